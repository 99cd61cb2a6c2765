"""The device's side of a packed virtqueue (virtio 1.4, 2.8 Packed Virtqueues).

Driver and device write into the same descriptor ring.  A position in it is an offset and a wrap counter.  Every
descriptor is read once, after its flags said that it is available.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from ..wire.enums import Feature
from .descriptors import (
    DESCRIPTOR,
    DESCRIPTOR_WORK,
    FAST_LENGTH,
    INDIRECT,
    MARKS,
    MAX_SIZE,
    NEXT,
    RESUMED,
    SLOW,
    WORK,
    WRITE,
    Malformed,
    available_marks,
    gather,
    indirect_table,
    used_marks,
)
from .in_order import InOrder, batches
from .inflight import Contradiction
from .inflight_packed import Descriptor, Found, PackedInflight
from .memory import Memory, fence, items
from .notifications import DISABLE, ENABLE, packed_due, packed_event
from .positions import ahead, first_positions
from .queue import Chain

_LOOK_AHEAD = 32
"""Flags that are looked at together."""

_WRITTEN = WRITE << 48
"""In the flags of a used descriptor: something was written to the buffer (2.8.3)."""


def check_rings(size: int, rings: tuple[memoryview, memoryview, memoryview]) -> None:
    """ValueError unless ``size`` is one of a packed virtqueue and the three parts are long enough (2.8.14.1)."""
    if not 0 < size <= MAX_SIZE:
        raise ValueError(f"a packed virtqueue has a size from 1 to {MAX_SIZE}, not {size}")
    parts = (("descriptor ring", 16 * size), ("driver event suppression", 4), ("device event suppression", 4))
    for (name, length), octets in zip(parts, rings, strict=True):
        if len(octets) < length:
            raise ValueError(f"the {name} has {len(octets)} octets, {length} are needed for a size of {size}")


class PackedQueue:
    """One packed virtqueue; what its methods promise is in :class:`~.queue.DeviceQueue`.

    ``rings`` are descriptor ring, driver event suppression and device event suppression; ``features`` is the negotiated
    mask; ``start`` is where to go on, as vhost-user has it (see ``first_positions``; 0 for a new ring).  ValueError for
    sizes and positions that cannot be.
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
        ring, driver_event, device_event = rings
        self.size = size
        self.broken = ""
        self.inflight = PackedInflight(inflight, size) if inflight is not None else None
        self._memory = memory
        self._indirect = bool(features >> Feature.INDIRECT_DESC & 1)
        self._event_idx = bool(features >> Feature.EVENT_IDX & 1)
        self._in_order = InOrder() if features >> Feature.IN_ORDER & 1 else None

        self._ring = ring[: 16 * size]
        self._flags = items(self._ring, "H")[7::8]
        self._words = items(self._ring, "Q")  # a descriptor is two: addr; len, id and flags
        self._driver_event = items(driver_event[:4], "I")
        self._device_event = items(device_event[:4], "I")

        (self._next, self._wrap), use = first_positions(start, size, self._flags[0])
        self._used, self._used_wrap = use
        self._outstanding = ahead((self._next, self._wrap), use, size)
        self._again: deque[Found | Chain] = deque()  # in flight, taken by another object
        if self.inflight is not None:
            self._resume(self.inflight)
        self._untold = 0  # ring entries used since interrupt_wanted was asked
        self._resumed = (self._used, self._used_wrap) != (0, 1)  # another object may have used buffers and told nobody

    def _resume(self, inflight: PackedInflight) -> None:
        """Goes on from what the in-flight region says, which may be more or less than a backend that was killed said.

        It may have marked descriptors used that the driver was not to see before an earlier one: they are marked
        available again, as the driver would take them for used once it gets there.
        """
        try:
            (offset, wrap), found = inflight.resume((self._used, self._used_wrap), self._flags)
        except Contradiction as error:
            self.broken = str(error)
            return
        self._used, self._used_wrap = offset, wrap
        self._again += found
        self._outstanding = sum(len(each.descriptors) for each in found)
        for _ in range(self._outstanding):
            if self._flags[offset] & MARKS == used_marks(wrap):
                self._flags[offset] = available_marks(wrap)
            offset, wrap = self._after(offset, wrap)
        self._next, self._wrap = offset, wrap

    def _after(self, offset: int, wrap: int, count: int = 1) -> tuple[int, int]:
        """The position ``count`` entries on; negative is back."""
        offset += count
        if not 0 <= offset < self.size:
            return offset % self.size, wrap ^ 1
        return offset, wrap

    @property
    def base(self) -> int:
        """Where to take from and where to use from, in vhost-user's encoding."""
        return self._next | self._wrap << 15 | self._used << 16 | self._used_wrap << 31

    def take(self, most: int) -> list[Chain]:
        """Takes buffers.  A list without an end or descriptors that cannot be available break the queue (D110)."""
        if self.broken:
            return []
        if self._again:
            return self._take_again(most)
        size, offset, wrap = self.size, self._next, self._wrap
        room = size - self._outstanding
        unpack, ring, flags_of = DESCRIPTOR.unpack_from, self._ring, self._flags
        start, end, octets = self._memory.near
        chains: list[Chain] = []
        work = 0
        while work <= WORK and len(chains) < most and not self.broken:
            marks = available_marks(wrap)
            ready = offset
            for flags in flags_of[offset : min(offset + _LOOK_AHEAD, offset + most - len(chains), size)].tolist():
                if flags & MARKS != marks:
                    break
                ready += 1
            if ready == offset:
                break
            fence()
            while offset < ready:
                if not room:
                    self.broken = f"descriptor {offset} is available again and was not used"
                    break
                address, length, name, flags = unpack(ring, offset << 4)
                if flags & SLOW or address < start or address + length > end or not 0 < length <= FAST_LENGTH:
                    chain, done = self._walk(offset, wrap, room, (address, length, name, flags))
                    if chain is None:
                        break
                    chains.append(chain)
                    offset += chain.span
                    room -= chain.span
                    start, end, octets = self._memory.near
                    work += done
                    if work > WORK:
                        break
                    continue
                if flags & WRITE:
                    address -= start
                    chains.append(Chain(name, b"", (octets[address : address + length],), length, offset))
                else:
                    address -= start
                    chains.append(Chain(name, octets[address : address + length].tobytes(), (), 0, offset))
                offset += 1
                room -= 1
            if offset >= size:
                offset -= size
                wrap ^= 1
        if self._in_order is not None:
            self._in_order.take(chains)
        if self.inflight is not None:
            self.inflight.take([(chain, self._copy(chain)) for chain in chains])
        self._next, self._wrap = offset, wrap
        self._outstanding = size - room
        return chains

    def _copy(self, chain: Chain) -> list[Descriptor]:
        """The descriptors of ``chain``, read once more; a driver that has changed them gets them after a restart."""
        return [
            DESCRIPTOR.unpack_from(self._ring, (chain.place + index) % self.size << 4) for index in range(chain.span)
        ]

    def _take_again(self, most: int) -> list[Chain]:
        """What was taken before the backend was killed; these count as outstanding all the time."""
        chains: list[Chain] = []
        work = 0
        while self._again and len(chains) < most and work <= WORK:
            each = self._again.popleft()
            if isinstance(each, Found):
                chain, done = self._buffer(RESUMED, each.descriptors)
                work += done
                if self.inflight is not None:
                    self.inflight.resumed(chain, each.entries)
            else:
                chain = each
            chains.append(chain)
        if self._in_order is not None:
            self._in_order.take(chains)
        return chains

    def _walk(self, offset: int, wrap: int, room: int, first: Descriptor) -> tuple[Chain | None, int]:
        """The buffer that starts at ``offset``, and how much work it was; None when the queue is broken."""
        place = offset
        descriptors = [first]
        while descriptors[-1][3] & NEXT:
            if len(descriptors) == room:
                self.broken = f"the list at descriptor {place} does not end in the {room} that can be available"
                return None, 0
            offset, wrap = self._after(offset, wrap)
            if self._flags[offset] & MARKS != available_marks(wrap):
                self.broken = f"descriptor {offset} belongs to the list at descriptor {place} and is not available"
                return None, 0
            descriptors.append(DESCRIPTOR.unpack_from(self._ring, offset << 4))
        return self._buffer(place, descriptors)

    def _buffer(self, place: int, descriptors: list[Descriptor]) -> tuple[Chain, int]:
        """The buffer of these descriptors of the ring, and how much work it was."""
        name, span = descriptors[-1][2], len(descriptors)
        elements = [(address, length, flags) for address, length, _, flags in descriptors]
        try:
            if [flags for _, _, flags in elements if flags & INDIRECT]:
                elements = self._table(descriptors)
            readable, writable, room = gather(self._memory, elements)
        except Malformed as error:
            return Chain(name, b"", (), 0, place, span, str(error)), len(elements) * DESCRIPTOR_WORK
        return Chain(name, readable, writable, room, place, span), len(elements) * DESCRIPTOR_WORK + len(readable)

    def _table(self, descriptors: list[Descriptor]) -> list[tuple[int, int, int]]:
        """The elements in the indirect table that the one descriptor points to (2.8.7)."""
        if len(descriptors) > 1:
            raise Malformed("a descriptor is INDIRECT in a list that NEXT links")
        if not self._indirect:
            raise Malformed("a descriptor is INDIRECT, and INDIRECT_DESC was not negotiated")
        address, length, _, _ = descriptors[0]
        table = indirect_table(self._memory, address, length, self.size)
        return [(address, length, flags) for address, length, _, flags in DESCRIPTOR.iter_unpack(table)]

    def untake(self, chains: Sequence[Chain]) -> None:
        """Gives back the last ones taken, in the order in which they were."""
        fresh = [chain for chain in chains if chain.place != RESUMED]
        offset, wrap = self._next, self._wrap
        for chain in reversed(fresh):
            offset, wrap = self._after(offset, wrap, -chain.span)
            if chain.place != offset:
                raise ValueError("these buffers are not the last ones that were taken")
        if self._in_order is not None:
            self._in_order.untake(len(chains))
        if self.inflight is not None:
            self.inflight.untake(fresh[::-1])
        self._next, self._wrap = offset, wrap
        self._outstanding -= sum(chain.span for chain in fresh)
        self._again.extendleft(chain for chain in reversed(chains) if chain.place == RESUMED)

    def finish(self, done: Sequence[tuple[Chain, int]]) -> None:
        """Writes used descriptors; the first one last, since the driver waits for that."""
        if self._in_order is not None:
            done = self._in_order.finish(done)
            entries = [
                (batch[-1][0].id, batch[-1][1], sum(chain.span for chain, _ in batch)) for batch in batches(done)
            ]
        else:
            entries = [(chain.id, written, chain.span) for chain, written in done]
        if not entries:
            return
        words: memoryview = self._words
        size = self.size
        start = offset = self._used
        wrap = self._used_wrap
        marks = used_marks(wrap) << 48
        first = -1
        for name, written, span in entries:
            # One store for len, id and flags, so that no flags are seen without the rest.
            word = written | name << 32 | marks
            if written:
                word |= _WRITTEN
            if first < 0:
                first = word
            else:
                words[2 * offset + 1] = word
            offset += span
            if offset >= size:
                offset -= size
                wrap ^= 1
                marks = used_marks(wrap) << 48
        passed = sum([chain.span for chain, _ in done])
        self._used, self._used_wrap = offset, wrap
        self._outstanding -= passed
        self._untold += passed
        if self.inflight is None:
            fence()
            words[2 * start + 1] = first
        else:
            freed = self.inflight.using([chain for chain, _ in done], (offset, wrap))
            fence()
            words[2 * start + 1] = first
            self.inflight.used(freed, (offset, wrap))

    def interrupt_wanted(self) -> bool:
        """By the driver event suppression structure (2.8.14); after a restart, once, in doubt yes (D115)."""
        count, self._untold = self._untold, 0
        resumed, self._resumed = self._resumed, False
        if resumed:
            count = 2 * self.size
        if not count:
            return False
        fence()
        return packed_due(self._driver_event[0], self._event_idx, self.size, self._used, self._used_wrap, count)

    def ask_for_kicks(self, wanted: bool) -> bool:
        """By the device event suppression structure (2.8.14)."""
        if not wanted:
            self._device_event[0] = DISABLE << 16
        elif self._event_idx:
            self._device_event[0] = packed_event(self._next, self._wrap)
        else:
            self._device_event[0] = ENABLE << 16
        if not wanted or self.broken:
            return False
        fence()
        return bool(self._again) or self._flags[self._next] & MARKS == available_marks(self._wrap)
