"""The driver's side of a packed virtqueue (virtio 1.4, 2.8 Packed Virtqueues)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import takewhile

from ..wire.enums import Feature
from .descriptors import DESCRIPTOR, INDIRECT, MARKS, NEXT, WRITE, available_marks, used_marks
from .memory import fence, items
from .notifications import DISABLE, ENABLE, packed_due, packed_event
from .packed import check_rings
from .queue import QueueFull
from .tables import IndirectTables


class _Buffer:
    """What the driver remembers of a buffer that the device has."""

    __slots__ = ("room", "span", "token")

    def __init__(self, span: int, room: int, token: object) -> None:
        self.span = span
        self.room = room
        self.token = token


class PackedDriver:
    """One packed virtqueue; what its methods promise is in :class:`~.queue.DriverQueue`.

    ``rings`` and ``features`` as for :class:`~.packed.PackedQueue`; the rings are new, all zero.  ``tables`` is the
    memory for indirect tables, (guest address, octets): each buffer id has an equal share of it.  ValueError for sizes
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
        ring, driver_event, device_event = rings
        self.size = size
        self.broken = ""
        self._event_idx = bool(features >> Feature.EVENT_IDX & 1)
        self._in_order = bool(features >> Feature.IN_ORDER & 1)
        self._tables = IndirectTables(size, features, tables)

        self._ring = ring[: 16 * size]
        self._flags = items(self._ring, "H")[7::8]
        self._words = items(self._ring, "Q")  # a descriptor is two: addr; len, id and flags
        self._driver_event = items(driver_event[:4], "I")
        self._device_event = items(device_event[:4], "I")

        self.free = size
        """Descriptors that are not in use."""
        self._names = deque(range(size))
        self._buffers: dict[int, _Buffer] = {}  # by buffer id; oldest first
        self._next, self._wrap = 0, 1
        self._held: tuple[int, int] | None = None  # offset and flags of the first descriptor that publish will show
        self._unpublished = 0  # descriptors added and not published
        self._unkicked = 0  # descriptors published since kick_wanted was asked
        self._used, self._used_wrap = 0, 1

    @property
    def base(self) -> int:
        """The position of the first buffer that was not used, twice: to take from and to use from."""
        position = self._used | self._used_wrap << 15
        return position | position << 16

    def add(
        self,
        readable: Sequence[tuple[int, int]],
        writable: Sequence[tuple[int, int]],
        token: object,
        indirect: bool = False,
    ) -> None:
        """Writes a list of descriptors, all but the flags of the first one since the last ``publish``."""
        elements = [(address, length, 0) for address, length in readable]
        elements += [(address, length, WRITE) for address, length in writable]
        count = 1 if indirect else len(elements)
        if not elements or count > self.size:
            raise ValueError(f"a buffer of {len(elements)} elements does not go into a queue of {self.size}")
        if count > self.free:
            raise QueueFull(f"{count} descriptors are needed, {self.free} are free")
        if indirect:
            table = [(address, length, 0, flags) for address, length, flags in elements]
            address, length = self._tables.write(self._names[0], table)
            elements = [(address, length, INDIRECT)]
        name = self._names.popleft()
        # The first descriptor's flags come last, by themselves: then the device finds the others there.
        later: list[tuple[int, int]] = []
        offset, wrap = self._next, self._wrap
        for left, (address, length, flags) in zip(range(count - 1, -1, -1), elements, strict=True):
            flags |= available_marks(wrap) | (NEXT if left else 0)
            at = offset << 4
            if later:
                self._ring[at : at + 16] = DESCRIPTOR.pack(address, length, name, flags)
            else:
                self._ring[at : at + 14] = DESCRIPTOR.pack(address, length, name, flags)[:14]
                later.append((offset, flags))
            offset += 1
            if offset == self.size:
                offset, wrap = 0, wrap ^ 1
        self._next, self._wrap = offset, wrap
        if self._held is None:
            self._held = later[0]
        else:
            self._flags[later[0][0]] = later[0][1]
        self.free -= count
        self._unpublished += count
        self._buffers[name] = _Buffer(count, sum(length for _, length in writable), token)

    def publish(self) -> None:
        """Shows the first descriptor that was added, and with it all of them."""
        if self._held is not None:
            offset, flags = self._held
            self._held = None
            self._unkicked += self._unpublished
            self._unpublished = 0
            fence()
            self._flags[offset] = flags

    def kick_wanted(self) -> bool:
        """By the device event suppression structure (2.8.14)."""
        count, self._unkicked = self._unkicked, 0
        if not count:
            return False
        fence()
        offset, wrap = self._next - self._unpublished, self._wrap
        if offset < 0:
            offset, wrap = offset + self.size, wrap ^ 1
        return packed_due(self._device_event[0], self._event_idx, self.size, offset, wrap, count)

    def used(self) -> list[tuple[object, int]]:
        """Reads used descriptors.  An id that cannot be breaks the queue."""
        found: list[tuple[object, int]] = []
        while not self.broken and self._there():
            fence()
            word = self._words[2 * self._used + 1]
            written, name, flags = word & 0xFFFFFFFF, word >> 32 & 0xFFFF, word >> 48
            if name not in self._buffers:
                self.broken = f"used descriptor {self._used} has the id {name}, which is no available buffer"
                break
            if self._in_order:
                self._skip(name, found)
            found.append(self._take_back(name, written if flags & WRITE else 0))
        return found

    def _skip(self, name: int, found: list[tuple[object, int]]) -> None:
        """The buffers before ``name`` are used as well, and completely (2.8.12)."""
        for skipped in list(takewhile(lambda other: other != name, self._buffers)):
            found.append(self._take_back(skipped, self._buffers[skipped].room))

    def _there(self) -> bool:
        """Is the next descriptor a used one?  Without buffers at the device it is not, whatever it looks like."""
        return bool(self._buffers) and bool(self._flags[self._used] & MARKS == used_marks(self._used_wrap))

    def _take_back(self, name: int, written: int) -> tuple[object, int]:
        buffer = self._buffers.pop(name)
        self._names.append(name)
        self.free += buffer.span
        self._used += buffer.span
        if self._used >= self.size:
            self._used -= self.size
            self._used_wrap ^= 1
        return buffer.token, written

    def ask_for_interrupts(self, wanted: bool) -> bool:
        """By the driver event suppression structure (2.8.14)."""
        if not wanted:
            self._driver_event[0] = DISABLE << 16
        elif self._event_idx:
            self._driver_event[0] = packed_event(self._used, self._used_wrap)
        else:
            self._driver_event[0] = ENABLE << 16
        if not wanted or self.broken:
            return False
        fence()
        return self._there()
