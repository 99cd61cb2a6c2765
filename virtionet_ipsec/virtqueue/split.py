"""The device's side of a split virtqueue (virtio 1.4, 2.7 Split Virtqueues).

The driver writes descriptor table and available ring, the device the used ring.  Every field that the driver can
change is read once, and all that comes from there is held against the ring's size and the memory before it is used.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence

from ..wire.enums import Feature
from .descriptors import (
    DESCRIPTOR,
    DESCRIPTOR_WORK,
    FAST_LENGTH,
    INDIRECT,
    MAX_SIZE,
    NEXT,
    RESUMED,
    SLOW,
    WORK,
    WRITE,
    Malformed,
    gather,
    indirect_table,
)
from .in_order import InOrder, batches
from .inflight import Contradiction
from .inflight_split import SplitInflight
from .memory import Memory, fence, items
from .notifications import passed
from .queue import Chain

NO_INTERRUPT = 1
"""VIRTQ_AVAIL_F_NO_INTERRUPT in the available ring's flags."""

NO_NOTIFY = 1
"""VIRTQ_USED_F_NO_NOTIFY in the used ring's flags."""

FLAGS, INDEX, RING = 0, 1, 2
"""Places in the available ring and at the start of the used ring, in units of two octets."""


def check_rings(size: int, rings: tuple[memoryview, memoryview, memoryview]) -> None:
    """ValueError unless ``size`` is one of a split virtqueue and the three parts are long enough (2.7, D119)."""
    if not 0 < size <= MAX_SIZE or size & (size - 1):
        raise ValueError(f"a split virtqueue has a power of 2 up to {MAX_SIZE} as its size, not {size}")
    parts = (("descriptor table", 16 * size), ("available ring", 6 + 2 * size), ("used ring", 6 + 8 * size))
    for (name, length), octets in zip(parts, rings, strict=True):
        if len(octets) < length:
            raise ValueError(f"the {name} has {len(octets)} octets, {length} are needed for a size of {size}")


class SplitQueue:
    """One split virtqueue; what its methods promise is in :class:`~.queue.DeviceQueue`.

    ``rings`` are descriptor table, available ring and used ring, each of at least the size of 2.7; ``features`` is the
    negotiated mask; ``start`` the available index to go on from.  ValueError for sizes that cannot be.
    The used index is read from memory; a ``start`` further from it than the ring is long gives way to it (D116).
    ``inflight`` is this queue's part of the in-flight region, or None; what it says comes before ``start`` (D118).
    """

    def __init__(
        self,
        memory: Memory,
        size: int,
        rings: tuple[memoryview, memoryview, memoryview],
        features: int,
        *,
        start: int = 0,
        inflight: memoryview | None = None,
    ) -> None:
        check_rings(size, rings)
        table, available, used = rings
        self.size = size
        self.broken = ""
        self.inflight = SplitInflight(inflight, size) if inflight is not None else None
        self._memory = memory
        self._indirect = bool(features >> Feature.INDIRECT_DESC & 1)
        self._event_idx = bool(features >> Feature.EVENT_IDX & 1)
        self._in_order = InOrder() if features >> Feature.IN_ORDER & 1 else None

        self._table = table
        self._available = items(available[: 6 + 2 * size], "H")
        self._used = items(used[: 6 + 8 * size], "H")
        self._elements = items(used[4 : 4 + 8 * size], "I")
        self._used_event = RING + size
        self._avail_event = RING + 4 * size

        self._used_index: int = self._used[INDEX]
        self._next = start & 0xFFFF
        if (self._next - self._used_index) & 0xFFFF > size:
            self._next = self._used_index
        self._again: deque[int] = deque()  # heads in flight that another object took
        if self.inflight is not None:
            try:
                self._again += self.inflight.resume(self._used_index)
            except Contradiction as error:
                self.broken = str(error)
            self._next = (self._used_index + len(self._again)) & 0xFFFF
        self._outstanding = (self._next - self._used_index) & 0xFFFF
        self._untold = 0  # buffers used since interrupt_wanted was asked
        self._resumed = bool(self._used_index)  # another object may have used buffers and told nobody

    @property
    def base(self) -> int:
        """The available index of the next buffer."""
        return self._next

    def take(self, most: int) -> list[Chain]:
        """Takes buffers.  An available index or a head that cannot be breaks the queue (D110)."""
        if self.broken:
            return []
        if self._again:
            return self._take_again(most)
        size, base = self.size, self._next
        count = (self._available[INDEX] - base) & 0xFFFF
        if not count:
            return []
        if count > size - self._outstanding:
            self.broken = f"the available index is {count} ahead, with {self._outstanding} of {size} buffers not used"
            return []
        if count > most:
            count = most
        fence()

        first = RING + (base & (size - 1))
        heads = self._available[first : min(first + count, RING + size)].tolist()
        if len(heads) < count:
            heads += self._available[RING : RING + count - len(heads)].tolist()

        unpack, table = DESCRIPTOR.unpack_from, self._table
        start, end, octets = self._memory.near
        chains: list[Chain] = []
        work = 0
        for place, head in enumerate(heads, base):
            if head >= size:
                self.broken = f"the available ring names descriptor {head} of {size}"
                break
            address, length, flags, following = unpack(table, head << 4)
            if flags & SLOW or address < start or address + length > end or not 0 < length <= FAST_LENGTH:
                chain, done = self._walk(head, place, (address, length, flags, following))
                chains.append(chain)
                start, end, octets = self._memory.near
                work += done
                if work > WORK:
                    break
            elif flags & WRITE:
                address -= start
                chains.append(Chain(head, b"", (octets[address : address + length],), length, place))
            else:
                address -= start
                chains.append(Chain(head, octets[address : address + length].tobytes(), (), 0, place))
        self._next = (base + len(chains)) & 0xFFFF
        self._outstanding += len(chains)
        if self._in_order is not None:
            self._in_order.take(chains)
        if self.inflight is not None:
            self.inflight.take([chain.id for chain in chains])
        return chains

    def _take_again(self, most: int) -> list[Chain]:
        """What was taken before the backend was killed; these count as outstanding all the time."""
        chains: list[Chain] = []
        work = 0
        while self._again and len(chains) < most and work <= WORK:
            head = self._again.popleft()
            chain, done = self._walk(head, RESUMED, DESCRIPTOR.unpack_from(self._table, head << 4))
            chains.append(chain)
            work += done
        if self._in_order is not None:
            self._in_order.take(chains)
        return chains

    def _walk(self, head: int, place: int, first: tuple[int, int, int, int]) -> tuple[Chain, int]:
        """The buffer that starts with descriptor ``first``, whatever it is, and how much work it was."""
        elements: list[tuple[int, int, int]] = []
        try:
            self._follow(first, elements)
            readable, writable, room = gather(self._memory, elements)
        except Malformed as error:
            return Chain(head, b"", (), 0, place, refused=str(error)), len(elements) * DESCRIPTOR_WORK
        return Chain(head, readable, writable, room, place), len(elements) * DESCRIPTOR_WORK + len(readable)

    def _follow(self, first: tuple[int, int, int, int], elements: list[tuple[int, int, int]]) -> None:
        """Collects the (address, length, flags) of a chain, through an indirect table if it ends in one (2.7.5.3)."""
        table: memoryview | bytes = self._table
        count = self.size
        address, length, flags, following = first
        while True:
            if flags & INDIRECT:
                if table is not self._table:
                    raise Malformed("an indirect table refers to an indirect table")
                if not self._indirect:
                    raise Malformed("a descriptor is INDIRECT, and INDIRECT_DESC was not negotiated")
                if flags & NEXT:
                    raise Malformed("a descriptor is INDIRECT and has NEXT")
                table = indirect_table(self._memory, address, length, self.size)
                count = len(table) // DESCRIPTOR.size
                address, length, flags, following = DESCRIPTOR.unpack_from(table, 0)
                continue
            if len(elements) == self.size:
                raise Malformed(f"its chain is longer than the queue size, {self.size}, or has no end")
            elements.append((address, length, flags))
            if not flags & NEXT:
                return
            if following >= count:
                raise Malformed(f"a descriptor's next is {following} of {count}")
            address, length, flags, following = DESCRIPTOR.unpack_from(table, following << 4)

    def untake(self, chains: Sequence[Chain]) -> None:
        """Gives back the last ones taken, in the order in which they were."""
        fresh = [chain for chain in chains if chain.place != RESUMED]
        base = self._next - len(fresh)
        if any((chain.place - place) & 0xFFFF for place, chain in enumerate(fresh, base)):
            raise ValueError("these buffers are not the last ones that were taken")
        if self._in_order is not None:
            self._in_order.untake(len(chains))
        if self.inflight is not None:
            self.inflight.untake([chain.id for chain in reversed(fresh)])
        self._next = base & 0xFFFF
        self._outstanding -= len(fresh)
        self._again.extendleft(chain.id for chain in reversed(chains) if chain.place == RESUMED)

    def finish(self, done: Sequence[tuple[Chain, int]]) -> None:
        """Writes used elements, then the index, once."""
        if self._in_order is not None:
            self._finish_in_order(self._in_order.finish(done))
            return
        count = len(done)
        words = array("I", [word for chain, written in done for word in (chain.id, written)])
        first = 2 * (self._used_index & (self.size - 1))
        room = 2 * self.size - first
        if 2 * count <= room:
            self._elements[first : first + 2 * count] = words
        else:
            self._elements[first:] = words[:room]
            self._elements[: 2 * count - room] = words[room:]
        self._publish(done)

    def _finish_in_order(self, done: Sequence[tuple[Chain, int]]) -> None:
        """One used element for a batch, in the place of the batch's first buffer (2.7.9)."""
        index = self._used_index
        for batch in batches(done):
            at = 2 * (index & (self.size - 1))
            chain, written = batch[-1]
            self._elements[at : at + 2] = array("I", (chain.id, written))
            index += len(batch)
        self._publish(done)

    def _publish(self, done: Sequence[tuple[Chain, int]]) -> None:
        """The used elements of ``done`` are written: tells the driver."""
        count = len(done)
        index = self._used_index = (self._used_index + count) & 0xFFFF
        self._outstanding -= count
        self._untold += count
        if self.inflight is not None:
            heads = [chain.id for chain, _ in done]
            self.inflight.using(heads)
            fence()
            self._used[INDEX] = index
            self.inflight.used(heads, index)
        else:
            fence()
            self._used[INDEX] = index

    def interrupt_wanted(self) -> bool:
        """By ``used_event`` or the available ring's ``flags`` (2.7.7); after a restart, once, in doubt yes (D115)."""
        count, self._untold = self._untold, 0
        resumed, self._resumed = self._resumed, False
        if not (count or resumed):
            return False
        fence()
        if self._event_idx:
            return resumed or passed(self._available[self._used_event], self._used_index, count)
        return not self._available[FLAGS] & NO_INTERRUPT

    def ask_for_kicks(self, wanted: bool) -> bool:
        """By ``avail_event`` or the used ring's ``flags`` (2.7.10)."""
        if self._event_idx:
            self._used[self._avail_event] = self._next if wanted else (self._next - 1) & 0xFFFF
        else:
            self._used[FLAGS] = 0 if wanted else NO_NOTIFY
        if not wanted or self.broken:
            return False
        fence()
        return bool(self._again) or self._available[INDEX] != self._next
