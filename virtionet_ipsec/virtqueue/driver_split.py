"""The driver's side of a split virtqueue (virtio 1.4, 2.7 Split Virtqueues)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import takewhile

from ..wire.enums import Feature
from .descriptors import DESCRIPTOR, INDIRECT, NEXT, WRITE
from .memory import fence, items
from .notifications import passed
from .queue import QueueFull
from .split import FLAGS, INDEX, NO_INTERRUPT, NO_NOTIFY, RING, check_rings
from .tables import IndirectTables


class _Buffer:
    """What the driver remembers of a buffer that the device has."""

    __slots__ = ("descriptors", "room", "token")

    def __init__(self, descriptors: list[int], room: int, token: object) -> None:
        self.descriptors = descriptors
        self.room = room
        self.token = token


class SplitDriver:
    """One split virtqueue; what its methods promise is in :class:`~.queue.DriverQueue`.

    ``rings`` and ``features`` as for :class:`~.split.SplitQueue`; the rings are new, all zero.  ``tables`` is the
    memory for indirect tables, (guest address, octets): each descriptor has an equal share of it.  ValueError for sizes
    that cannot be.
    """

    def __init__(
        self,
        size: int,
        rings: tuple[memoryview, memoryview, memoryview],
        features: int,
        *,
        tables: tuple[int, memoryview] | None = None,
    ) -> None:
        check_rings(size, rings)
        table, available, used = rings
        self.size = size
        self.broken = ""
        self._event_idx = bool(features >> Feature.EVENT_IDX & 1)
        self._in_order = bool(features >> Feature.IN_ORDER & 1)
        self._tables = IndirectTables(size, features, tables)

        self._table = table
        self._available = items(available[: 6 + 2 * size], "H")
        self._used = items(used[: 6 + 8 * size], "H")
        self._elements = items(used[4 : 4 + 8 * size], "I")
        self._used_event = RING + size
        self._avail_event = RING + 4 * size

        self._free = deque(range(size))
        self._buffers: dict[int, _Buffer] = {}  # by head; oldest first
        self._next = 0  # available index behind what was added
        self._published = 0
        self._unkicked = 0  # buffers published since kick_wanted was asked
        self._last_used = 0

    @property
    def free(self) -> int:
        """Descriptors that are not in use."""
        return len(self._free)

    @property
    def base(self) -> int:
        """The available index of the first buffer that was not used, when buffers are used in order."""
        return self._last_used

    def add(
        self,
        readable: Sequence[tuple[int, int]],
        writable: Sequence[tuple[int, int]],
        token: object,
        indirect: bool = False,
    ) -> None:
        """Writes a chain, and its head into the available ring."""
        elements = [(address, length, 0) for address, length in readable]
        elements += [(address, length, WRITE) for address, length in writable]
        count = 1 if indirect else len(elements)
        if not elements or count > self.size:
            raise ValueError(f"a buffer of {len(elements)} elements does not go into a queue of {self.size}")
        if count > len(self._free):
            raise QueueFull(f"{count} descriptors are needed, {len(self._free)} are free")
        table = self._table
        if indirect:
            address, length = self._tables.write(self._free[0], _linked(elements))
            elements = [(address, length, INDIRECT)]
        descriptors = [self._free.popleft() for _ in elements]
        head = descriptors[0]
        if count == 1:
            address, length, flags = elements[0]
            table[head << 4 : (head << 4) + 16] = DESCRIPTOR.pack(address, length, flags, 0)
        else:
            following = [*descriptors[1:], 0]
            for index, after, (address, length, flags) in zip(descriptors, following, elements, strict=True):
                more = NEXT if index != descriptors[-1] else 0
                table[index << 4 : (index << 4) + 16] = DESCRIPTOR.pack(address, length, flags | more, after)
        self._buffers[head] = _Buffer(descriptors, sum(length for _, length in writable), token)
        self._available[RING + (self._next & (self.size - 1))] = head
        self._next = (self._next + 1) & 0xFFFF

    def publish(self) -> None:
        """Moves the available index, once."""
        if self._published != self._next:
            self._unkicked += (self._next - self._published) & 0xFFFF
            self._published = self._next
            fence()
            self._available[INDEX] = self._next

    def kick_wanted(self) -> bool:
        """By ``avail_event`` or the used ring's ``flags`` (2.7.10)."""
        count, self._unkicked = self._unkicked, 0
        if not count:
            return False
        fence()
        if self._event_idx:
            return passed(self._used[self._avail_event], self._published, count)
        return not self._used[FLAGS] & NO_NOTIFY

    def used(self) -> list[tuple[object, int]]:
        """Reads the used ring.  An index or an id that cannot be breaks the queue."""
        count = (self._used[INDEX] - self._last_used) & 0xFFFF
        if not count or self.broken:
            return []
        outstanding = len(self._buffers) - ((self._next - self._published) & 0xFFFF)
        if count > outstanding:
            self.broken = f"the used index is {count} ahead, with {outstanding} buffers at the device"
            return []
        fence()
        found: list[tuple[object, int]] = []
        while len(found) < count:
            at = 2 * ((self._last_used + len(found)) & (self.size - 1))
            head, written = self._elements[at], self._elements[at + 1]
            if head not in self._buffers:
                self.broken = f"the used ring names descriptor {head}, which is no available buffer"
                break
            if self._in_order:
                self._skip(head, found)
            found.append(self._take_back(head, written))
        self._last_used = (self._last_used + len(found)) & 0xFFFF
        return found

    def _skip(self, head: int, found: list[tuple[object, int]]) -> None:
        """The buffers before ``head`` are used as well, and completely (2.7.9)."""
        for skipped in list(takewhile(lambda name: name != head, self._buffers)):
            found.append(self._take_back(skipped, self._buffers[skipped].room))

    def _take_back(self, head: int, written: int) -> tuple[object, int]:
        buffer = self._buffers.pop(head)
        self._free += buffer.descriptors
        return buffer.token, written

    def ask_for_interrupts(self, wanted: bool) -> bool:
        """By ``used_event`` or the available ring's ``flags`` (2.7.7)."""
        if self._event_idx:
            self._available[self._used_event] = self._last_used if wanted else (self._last_used - 1) & 0xFFFF
        else:
            self._available[FLAGS] = 0 if wanted else NO_INTERRUPT
        if not wanted or self.broken:
            return False
        fence()
        return bool(self._used[INDEX] != self._last_used)


def _linked(elements: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Descriptors of an indirect table: each but the last has NEXT, and the index after its own."""
    last = len(elements) - 1
    return [
        (address, length, flags | NEXT, index + 1) if index < last else (address, length, flags, 0)
        for index, (address, length, flags) in enumerate(elements)
    ]
