"""A split virtqueue by hand (virtio 1.4, 2.7)."""

from __future__ import annotations

from collections.abc import Sequence

from .by_hand import DESCRIPTOR, NEXT, Element, Ring, Used


class SplitRing(Ring):
    """Table, available ring and used ring (2.7.5 to 2.7.8); ``given`` counts what was made available."""

    packed = False

    def _forget(self) -> None:
        table, available, used = self.parts
        self.descriptors = table
        self._available, self._used = available.cast("H"), used[: 6 + 8 * self.size].cast("H")
        self._entries = used[4 : 4 + 8 * self.size].cast("I")
        self.given = self.seen = self._slot = 0

    def describe(self, slot: int, element: Element, next_: int = 0) -> None:
        """Write a descriptor; NEXT and INDIRECT are given with the element's flags."""
        DESCRIPTOR.pack_into(self.descriptors, 16 * slot, *element, next_)

    def chain(self, elements: Sequence[Element]) -> int:
        """Write a chain into the next descriptors of the table; gives its head."""
        head, last = self._slot, len(elements) - 1
        for number, element in enumerate(elements):
            slot, self._slot = self._slot, (self._slot + 1) % self.size
            more = number < last
            flags = element.flags | (NEXT if more else 0)
            self.describe(slot, element._replace(flags=flags), self._slot if more else 0)
        return head

    def offer(self, *heads: int, kick: bool = True) -> None:
        """Put heads into the available ring, then say so, all at once."""
        for number, head in enumerate(heads):
            self._available[2 + (self.given + number) % self.size] = head
        self.given += len(heads)
        self._available[1] = self.given & 0xFFFF
        if kick:
            self.kick()

    def give(self, *buffers: Sequence[Element], kick: bool = True) -> None:
        self.offer(*(self.chain(elements) for elements in buffers), kick=kick)

    def new_used(self) -> list[Used]:
        until = self._used[1]
        found: list[Used] = []
        while self.seen & 0xFFFF != until and len(found) <= self.size:
            at = 2 * (self.seen % self.size)
            found.append((self._entries[at], self._entries[at + 1]))
            self.seen += 1
        return found

    @property
    def used_flags(self) -> int:
        return int(self._used[0])

    def set_flags(self, value: int) -> None:
        """flags of the available ring."""
        self._available[0] = value

    def set_used_event(self, index: int) -> None:
        self._available[2 + self.size] = index & 0xFFFF

    def fill_used(self) -> None:
        """Let the used ring's entries hold what no device would write."""
        for at in range(2 * self.size):
            self._entries[at] = 0x5A5A5A5A
