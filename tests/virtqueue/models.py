"""Drivers and devices for rings as virtio 1.4, 2.7 and 2.8 tell them: octet by octet and one buffer at a time.

They share no code with the package.  In a packed ring, position p is entry p % size in round p // size, and rounds have
the wrap counters 1, 0, 1, 0 ...
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

INDIRECT_DESC, EVENT_IDX, IN_ORDER = 1 << 28, 1 << 29, 1 << 35

Element = tuple[int, int]  # guest address, length


class Ram:
    """Memory by guest address; ``layout`` tells where the rings, the indirect tables and the buffers are."""

    def __init__(self, size: int, packed: bool, base: int = 0x10000) -> None:
        self.base = base
        self.octets = bytearray(1 << 16)
        self.size = size
        self.table = base
        self.driver_area = base + 16 * size
        self.device_area = self.driver_area + (6 + 2 * size + 2) // 4 * 4
        lengths = (16 * size, 4, 4) if packed else (16 * size, 6 + 2 * size, 6 + 8 * size)
        view = memoryview(self.octets)
        parts = (self.table, self.driver_area, self.device_area)
        self.rings: Any = tuple(view[at - base : at - base + length] for at, length in zip(parts, lengths, strict=True))
        self.tables = base + 0x1000
        self.tables_octets = view[0x1000:0x5000]
        self.buffers = base + 0x7C00  # around the middle, where one region ends and another begins
        self.regions = [(base + 0x8000, view[0x8000:]), (base, view[:0x8000])]

    def get(self, address: int, length: int) -> bytes:
        at = address - self.base
        assert 0 <= at <= at + length <= len(self.octets)
        return bytes(self.octets[at : at + length])

    def put(self, address: int, data: bytes) -> None:
        at = address - self.base
        assert 0 <= at <= at + len(data) <= len(self.octets)
        self.octets[at : at + len(data)] = data

    def number(self, address: int, length: int = 2) -> int:
        return int.from_bytes(self.get(address, length), "little")

    def set(self, address: int, value: int, length: int = 2) -> None:
        self.put(address, value.to_bytes(length, "little"))

    def descriptor(self, address: int) -> tuple[int, int, int, int]:
        """The four fields in their order, which are the same in both formats but for the names of the last two."""
        return (
            self.number(address, 8),
            self.number(address + 8, 4),
            self.number(address + 12),
            self.number(address + 14),
        )

    def set_descriptor(self, address: int, addr: int, length: int, third: int, fourth: int) -> None:
        self.set(address, addr, 8)
        self.set(address + 8, length, 4)
        self.set(address + 12, third)
        self.set(address + 14, fourth)


class ModelChain(NamedTuple):
    id: int
    readable: bytes
    writable: list[Element]
    position: int
    span: int

    @property
    def writable_len(self) -> int:
        return sum(length for _, length in self.writable)


class Split:
    """Where the fields of a split ring are, and when notifications are due."""

    def __init__(self, ram: Ram, features: int) -> None:
        self.ram, self.features = ram, features
        self.avail_flags = ram.driver_area
        self.avail_idx = ram.driver_area + 2
        self.avail_ring = ram.driver_area + 4
        self.used_event = ram.driver_area + 4 + 2 * ram.size
        self.used_flags = ram.device_area
        self.used_idx = ram.device_area + 2
        self.used_ring = ram.device_area + 4
        self.avail_event = ram.device_area + 4 + 8 * ram.size

    def kick(self, positions: Iterable[int]) -> tuple[bool, bool]:
        """After buffers were written at these places of the available ring: MUST, MAY the driver notify?"""
        return self._due(self.used_flags, self.avail_event, positions)

    def interrupt(self, positions: Iterable[int]) -> tuple[bool, bool]:
        """The same for the used ring and the device."""
        return self._due(self.avail_flags, self.used_event, positions)

    def _due(self, flags: int, event: int, positions: Iterable[int]) -> tuple[bool, bool]:
        if self.features & EVENT_IDX:
            due = self.ram.number(event) in [position % 65536 for position in positions]
        else:
            due = bool(list(positions)) and self.ram.number(flags) == 0
        return due, due

    def ask(self, flags: int, event: int, wanted: bool, position: int) -> None:
        if not self.features & EVENT_IDX:
            self.ram.set(flags, 0 if wanted else 1)
        else:
            self.ram.set(event, (position if wanted else position - 1) % 65536)


class Packed:
    """The same for a packed ring."""

    def __init__(self, ram: Ram, features: int) -> None:
        self.ram, self.features = ram, features

    def slot(self, position: int) -> int:
        return self.ram.table + 16 * (position % self.ram.size)

    def wrap(self, position: int) -> int:
        return 1 - position // self.ram.size % 2

    def kick(self, positions: Iterable[int]) -> tuple[bool, bool]:
        return self._due(self.ram.device_area, positions)

    def interrupt(self, positions: Iterable[int]) -> tuple[bool, bool]:
        return self._due(self.ram.driver_area, positions)

    def _due(self, structure: int, positions: Iterable[int]) -> tuple[bool, bool]:
        passed = [position % self.ram.size | self.wrap(position) << 15 for position in positions]
        flags = self.ram.number(structure + 2) & 3
        if flags == 1 or not passed:
            return False, False
        if flags == 2 and self.features & EVENT_IDX:
            due = self.ram.number(structure) in passed
            return due, due
        return True, True

    def ask(self, structure: int, wanted: bool, position: int) -> None:
        if wanted and self.features & EVENT_IDX:
            self.ram.set(structure, position % self.ram.size | self.wrap(position) << 15)
            self.ram.set(structure + 2, 2)
        else:
            self.ram.set(structure + 2, 0 if wanted else 1)


class ModelSplitDriver:
    def __init__(self, ram: Ram, features: int, start: int = 0) -> None:
        self.ram, self.features, self.ring = ram, features, Split(ram, features)
        self.unused = list(range(ram.size))
        self.position = start
        self.shown = start
        self.asked = start
        self.seen = start
        self.at_device: list[tuple[int, list[int], int, object]] = []  # head, descriptors, writable octets, token
        ram.set(self.ring.avail_idx, start % 65536)
        ram.set(self.ring.used_idx, start % 65536)

    @property
    def free(self) -> int:
        return len(self.unused)

    def add(
        self, readable: list[Element], writable: list[Element], token: object, indirect: bool = False, direct: int = 0
    ) -> None:
        """With ``indirect``, the first ``direct`` elements are in the ring all the same (2.7.5.3.2)."""
        elements = [(*each, 0) for each in readable] + [(*each, 2) for each in writable]
        if indirect:
            table = self.ram.tables + 16 * self.ram.size * self.unused[0]
            inner = elements[direct:]
            for index, (address, length, flags) in enumerate(inner):
                more = index + 1 < len(inner)
                self.ram.set_descriptor(table + 16 * index, address, length, flags | more, index + 1 if more else 0)
            # The write-only flag of a descriptor that refers to a table is ignored.
            elements = [*elements[:direct], (table, 16 * len(inner), 4 | 2)]
        chain = [self.unused.pop(0) for _ in elements]
        for index, (address, length, flags) in enumerate(elements):
            more = index + 1 < len(elements)
            self.ram.set_descriptor(
                self.ram.table + 16 * chain[index], address, length, flags | more, chain[index + 1] if more else 0
            )
        self.ram.set(self.ring.avail_ring + 2 * (self.position % self.ram.size), chain[0])
        self.at_device.append((chain[0], chain, sum(length for _, length in writable), token))
        self.position += 1

    def publish(self) -> None:
        self.shown = self.position
        self.ram.set(self.ring.avail_idx, self.shown % 65536)

    def kick_wanted(self) -> bool:
        due, _ = self.ring.kick(range(self.asked, self.shown))
        self.asked = self.shown
        return due

    def used(self) -> list[tuple[object, int]]:
        found = []
        while self.ram.number(self.ring.used_idx) != self.seen % 65536:
            element = self.ring.used_ring + 8 * (self.seen % self.ram.size)
            head, written = self.ram.number(element, 4), self.ram.number(element + 4, 4)
            index = [entry[0] for entry in self.at_device].index(head)
            batch = self.at_device[: index + 1] if self.features & IN_ORDER else [self.at_device[index]]
            for entry in batch:
                self.at_device.remove(entry)
                found.append((entry[3], written if entry[0] == head else entry[2]))
                # In order, descriptors are taken in ring order; otherwise any will do.
                self.unused = self.unused + entry[1] if self.features & IN_ORDER else entry[1] + self.unused
            self.seen += len(batch)
        return found

    def ask_for_interrupts(self, wanted: bool) -> bool:
        self.ring.ask(self.ring.avail_flags, self.ring.used_event, wanted, self.seen)
        return wanted and self.ram.number(self.ring.used_idx) != self.seen % 65536


class ModelSplitDevice:
    def __init__(self, ram: Ram, features: int, start: int = 0) -> None:
        self.ram, self.features, self.ring = ram, features, Split(ram, features)
        self.position = start
        self.used_position = start
        self.asked = start

    def take(self, most: int) -> list[ModelChain]:
        found = []
        while len(found) < most and self.ram.number(self.ring.avail_idx) != self.position % 65536:
            head = self.ram.number(self.ring.avail_ring + 2 * (self.position % self.ram.size))
            elements = []
            table, index, more = self.ram.table, head, 1
            while more:
                address, length, flags, index = self.ram.descriptor(table + 16 * index)
                if flags & 4:
                    table, index = address, 0
                else:
                    elements.append((address, length, flags))
                    more = flags & 1
            readable = b"".join(self.ram.get(address, length) for address, length, flags in elements if not flags & 2)
            writable = [(address, length) for address, length, flags in elements if flags & 2]
            found.append(ModelChain(head, readable, writable, self.position, 1))
            self.position += 1
        return found

    def untake(self, chains: list[ModelChain]) -> None:
        self.position -= len(chains)

    def finish(self, done: list[tuple[ModelChain, int]]) -> None:
        """In order, it skips what it may skip: one used element for several buffers that are used completely."""
        first = self.used_position
        for index, (chain, written) in enumerate(done):
            self.used_position += 1
            if self.features & IN_ORDER and index + 1 < len(done) and written == chain.writable_len:
                continue
            element = self.ring.used_ring + 8 * (first % self.ram.size)
            self.ram.set(element, chain.id, 4)
            self.ram.set(element + 4, written, 4)
            self.ram.set(self.ring.used_idx, self.used_position % 65536)
            first = self.used_position

    def interrupt_wanted(self) -> bool:
        due, _ = self.ring.interrupt(range(self.asked, self.used_position))
        self.asked = self.used_position
        return due

    def ask_for_kicks(self, wanted: bool) -> bool:
        self.ring.ask(self.ring.used_flags, self.ring.avail_event, wanted, self.position)
        return wanted and self.ram.number(self.ring.avail_idx) != self.position % 65536


class ModelPackedDriver:
    def __init__(self, ram: Ram, features: int) -> None:
        self.ram, self.features, self.ring = ram, features, Packed(ram, features)
        self.free = ram.size
        self.ids = list(range(100, 100 + ram.size))  # what an id is, is the driver's business
        self.position = self.shown = self.asked = self.seen = 0
        self.pending: list[tuple[int, int]] = []  # flags to set when it is published, by address
        self.at_device: list[tuple[int, int, int, object]] = []  # id, descriptors, writable octets, token

    def add(
        self, readable: list[Element], writable: list[Element], token: object, indirect: bool = False, direct: int = 0
    ) -> None:
        name = self.ids.pop()
        elements = [(*each, 0) for each in readable] + [(*each, 2) for each in writable]
        if indirect:
            table = self.ram.tables + 16 * self.ram.size * (name - 100)
            for index, (address, length, flags) in enumerate(elements):
                # Ids and all flags but WRITE are reserved there, and ignored by the device.
                self.ram.set_descriptor(table + 16 * index, address, length, 0xDEAD, flags | 1 | 4)
            elements = [(table, 16 * len(elements), 4 | 2)]
        for index, (address, length, flags) in enumerate(elements):
            last = index + 1 == len(elements)
            wrap = self.ring.wrap(self.position)
            flags |= (0 if last else 1) | wrap << 7 | (1 - wrap) << 15
            slot = self.ring.slot(self.position)
            # The id counts in the last descriptor only.
            self.ram.set_descriptor(slot, address, length, name if last else 0xBEEF, self.ram.number(slot + 14))
            self.pending.append((slot + 14, flags))
            self.position += 1
        self.free -= len(elements)
        self.at_device.append((name, len(elements), sum(length for _, length in writable), token))

    def publish(self) -> None:
        for address, flags in reversed(self.pending):
            self.ram.set(address, flags)
        self.pending = []
        self.shown = self.position

    def kick_wanted(self) -> bool:
        due, _ = self.ring.kick(range(self.asked, self.shown))
        self.asked = self.shown
        return due

    def _there(self) -> bool:
        flags = self.ram.number(self.ring.slot(self.seen) + 14)
        return flags >> 7 & 1 == flags >> 15 & 1 == self.ring.wrap(self.seen) and self.seen < self.shown

    def used(self) -> list[tuple[object, int]]:
        found = []
        while self._there():
            _, written, name, flags = self.ram.descriptor(self.ring.slot(self.seen))
            index = [entry[0] for entry in self.at_device].index(name)
            batch = self.at_device[: index + 1] if self.features & IN_ORDER else [self.at_device[index]]
            for entry in batch:
                self.at_device.remove(entry)
                length = written if flags & 2 else 0
                found.append((entry[3], length if entry[0] == name else entry[2]))
                self.ids.append(entry[0])
                self.free += entry[1]
                self.seen += entry[1]
        return found

    def ask_for_interrupts(self, wanted: bool) -> bool:
        self.ring.ask(self.ram.driver_area, wanted, self.seen)
        return wanted and self._there()


class ModelPackedDevice:
    def __init__(self, ram: Ram, features: int) -> None:
        self.ram, self.features, self.ring = ram, features, Packed(ram, features)
        self.position = self.used_position = self.asked = 0

    def _there(self) -> bool:
        flags = self.ram.number(self.ring.slot(self.position) + 14)
        wrap = self.ring.wrap(self.position)
        full = self.position - self.used_position == self.ram.size
        return flags >> 7 & 1 == wrap != flags >> 15 & 1 and not full

    def take(self, most: int) -> list[ModelChain]:
        found = []
        while len(found) < most and self._there():
            start, elements, more, name = self.position, [], 1, 0
            while more:
                address, length, name, flags = self.ram.descriptor(self.ring.slot(self.position))
                self.position += 1
                more = flags & 1
                if flags & 4:
                    inner = [self.ram.descriptor(address + 16 * index) for index in range(length // 16)]
                    elements = [(address, length, flags) for address, length, _, flags in inner]
                else:
                    elements.append((address, length, flags))
            readable = b"".join(self.ram.get(address, length) for address, length, flags in elements if not flags & 2)
            writable = [(address, length) for address, length, flags in elements if flags & 2]
            found.append(ModelChain(name, readable, writable, start, self.position - start))
        return found

    def untake(self, chains: list[ModelChain]) -> None:
        self.position -= sum(chain.span for chain in chains)

    def finish(self, done: list[tuple[ModelChain, int]]) -> None:
        """In order, it skips what it may skip: one used descriptor for several buffers that are used completely."""
        first = self.used_position
        for index, (chain, written) in enumerate(done):
            self.used_position += chain.span
            if self.features & IN_ORDER and index + 1 < len(done) and written == chain.writable_len:
                continue
            wrap = self.ring.wrap(first)
            flags = wrap << 7 | wrap << 15 | (2 if written else 0)
            address = self.ram.number(self.ring.slot(first), 8)
            self.ram.set_descriptor(self.ring.slot(first), address, written, chain.id, flags)
            first = self.used_position

    def interrupt_wanted(self) -> bool:
        due, _ = self.ring.interrupt(range(self.asked, self.used_position))
        self.asked = self.used_position
        return due

    def ask_for_kicks(self, wanted: bool) -> bool:
        self.ring.ask(self.ram.device_area, wanted, self.position)
        return wanted and self._there()
