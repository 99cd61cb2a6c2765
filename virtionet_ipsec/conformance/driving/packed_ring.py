"""A packed virtqueue by hand (virtio 1.4, 2.8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..verdict import Failed
from .by_hand import DESCRIPTOR, NEXT, WRITE, Element, Ring, Used

AVAIL, USED = 1 << 7, 1 << 15
ENABLE, DISABLE, DESC = 0, 1, 2
"""RING_EVENT_FLAGS_*."""


class Descriptor(NamedTuple):
    """A descriptor of the ring as it is."""

    address: int
    length: int
    id: int
    flags: int


class PackedRing(Ring):
    """Descriptor ring and event suppression structures (2.8.13, 2.8.14).

    ``slot`` and ``wrap`` say where the driver makes the next descriptor
    available, ``used_slot`` and ``used_wrap`` where the device has to write the
    next used one.
    """

    packed = True

    def _forget(self) -> None:
        ring, event, _ = self.parts
        self.descriptors, self._event = ring, event.cast("H")
        self.slot, self.wrap = 0, 1
        self.used_slot, self.used_wrap = 0, 1
        self._lengths: dict[int, int] = {}  # descriptors of the list with this Buffer ID
        self._ids = 0

    def marks(self, wrap: int) -> int:
        """The flags that make a descriptor available with this wrap counter."""
        return AVAIL if wrap else USED

    def read(self, slot: int) -> Descriptor:
        """The descriptor as it is now."""
        return Descriptor(*DESCRIPTOR.unpack_from(self.descriptors, 16 * slot))

    def write(self, slot: int, element: Element, buffer_id: int, flags: int) -> None:
        """Write a descriptor, the flags last."""
        DESCRIPTOR.pack_into(self.descriptors, 16 * slot, element.address, element.length, buffer_id, 0)
        self.descriptors[16 * slot + 14 : 16 * slot + 16] = flags.to_bytes(2, "little")

    def place(self, elements: Sequence[Element]) -> list[tuple[int, Element, int, int]]:
        """Slot, element, Buffer ID and flags of each descriptor of a list, which then are behind it."""
        self._ids += 1
        buffer_id = self._ids % self.size
        self._lengths[buffer_id] = len(elements)
        found = []
        for number, element in enumerate(elements):
            flags = element.flags | self.marks(self.wrap) | (NEXT if number < len(elements) - 1 else 0)
            found.append((self.slot, element, buffer_id, flags))
            self.slot += 1
            if self.slot == self.size:
                self.slot, self.wrap = 0, 1 - self.wrap
        return found

    def give(self, *buffers: Sequence[Element], kick: bool = True) -> None:
        for elements in buffers:
            first, *others = self.place(elements)
            for each in others:
                self.write(*each)
            self.write(*first)
        if kick:
            self.kick()

    def next_used(self) -> Descriptor | None:
        """The descriptor where the next used one has to be, if it is used."""
        seen = self.read(self.used_slot)
        return seen if bool(seen.flags & AVAIL) == bool(seen.flags & USED) == bool(self.used_wrap) else None

    def new_used(self) -> list[Used]:
        found: list[Used] = []
        while (seen := self.next_used()) is not None and len(found) <= self.size:
            length = self._lengths.pop(seen.id, 0)
            if not length:
                raise Failed("Buffer ID of a used descriptor", "one that is available", str(seen.id))
            self.used_slot += length
            if self.used_slot >= self.size:
                self.used_slot, self.used_wrap = self.used_slot - self.size, 1 - self.used_wrap
            found.append((seen.id, seen.length if seen.flags & WRITE else 0))
        return found

    def set_event(self, flags: int, slot: int = 0, wrap: int = 0) -> None:
        """The driver's event suppression structure."""
        self._event[0] = slot | wrap << 15
        self._event[1] = flags
