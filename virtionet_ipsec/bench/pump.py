"""A driver that costs next to nothing, so that the device is what is measured.

Its buffers are of one length, and always the same ones in the same order: the
descriptors are written once, or copied from a picture of them.  It counts on a
device that uses buffers in order.
"""

from __future__ import annotations

from ..virtqueue.descriptors import DESCRIPTOR, MARKS, WRITE, available_marks, used_marks
from ..virtqueue.driver_side import DriverSide
from ..virtqueue.memory import fence, items
from ..virtqueue.notifications import packed_due, packed_event, passed


class SplitPump:
    """The ring of ``queue``, which has just been started with EVENT_IDX, with buffers of ``length`` octets.

    They all are the same one for a ``readable`` queue, else each is another.
    """

    def __init__(self, queue: DriverSide, length: int, readable: bool) -> None:
        self.size = size = queue.ring.size
        table, available, used = queue.parts
        write, step = (0, 0) if readable else (WRITE, length)
        for number in range(size):
            descriptor = DESCRIPTOR.pack(queue.address + number * step, length, write, 0)
            table[16 * number : 16 * number + 16] = descriptor
        self._available, self._used = items(available[: 6 + 2 * size], "H"), items(used[: 6 + 8 * size], "H")
        for number in range(size):
            self._available[2 + number] = number
        self._next = self._last = 0

    def offer(self, count: int) -> bool:
        """Make ``count`` more buffers available; gives whether to kick."""
        self._next = (self._next + count) & 0xFFFF
        fence()
        self._available[1] = self._next
        fence()
        return passed(self._used[2 + 4 * self.size], self._next, count)

    def used(self) -> int:
        """How many buffers were used since the last call."""
        now = self._used[1]
        count = (now - self._last) & 0xFFFF
        self._last = now
        return count

    def doze(self, count: int) -> bool:
        """Ask to be notified when ``count`` more buffers are used; gives whether they are."""
        self._available[2 + self.size] = (self._last + count - 1) & 0xFFFF
        fence()
        return bool((self._used[1] - self._last) & 0xFFFF >= count)


class PackedPump:
    """The same for a packed ring."""

    def __init__(self, queue: DriverSide, length: int, readable: bool) -> None:
        self.size = size = queue.ring.size
        self._ring, driver_event, device_event = queue.parts
        self._flags = items(self._ring, "H")[7::8]
        self._driver_event, self._device_event = items(driver_event, "I"), items(device_event, "I")
        # A picture of the whole ring for each value of the wrap counter.
        write, step = (0, 0) if readable else (WRITE, length)
        self._marks = [available_marks(wrap) | write for wrap in (0, 1)]
        self._pictures = [
            b"".join(DESCRIPTOR.pack(queue.address + number * step, length, number, marks) for number in range(size))
            for marks in self._marks
        ]
        self._next, self._wrap = 0, 1
        self._last, self._last_wrap = 0, 1

    def offer(self, count: int) -> bool:
        """Make ``count`` more buffers available; gives whether to kick."""
        left = count
        while left:
            at, part = self._next, min(left, self.size - self._next)
            picture = self._pictures[self._wrap]
            # All but the first descriptor's flags: those show the others.
            self._ring[16 * at : 16 * at + 14] = picture[16 * at : 16 * at + 14]
            self._ring[16 * at + 16 : 16 * (at + part)] = picture[16 * at + 16 : 16 * (at + part)]
            fence()
            self._flags[at] = self._marks[self._wrap]
            left -= part
            self._next += part
            if self._next == self.size:
                self._next, self._wrap = 0, self._wrap ^ 1
        fence()
        return packed_due(self._device_event[0], True, self.size, self._next, self._wrap, count)

    def used(self) -> int:
        """How many buffers were used since the last call."""
        count = 0
        while True:
            marks = used_marks(self._last_wrap)
            found = 0
            for flags in self._flags[self._last :].tolist():
                if flags & MARKS != marks:
                    break
                found += 1
            count += found
            self._last += found
            if self._last < self.size:
                return count
            self._last, self._last_wrap = 0, self._last_wrap ^ 1

    def doze(self, count: int) -> bool:
        """Ask to be notified when ``count`` more buffers are used; gives whether they are."""
        at, wrap = self._last + count - 1, self._last_wrap
        if at >= self.size:
            at, wrap = at - self.size, wrap ^ 1
        self._driver_event[0] = packed_event(at, wrap)
        fence()
        return bool(self._flags[at] & MARKS == used_marks(wrap))
