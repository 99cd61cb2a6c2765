"""A driver and a device on one ring, each the package's or the model's, and what must be true between them."""

from __future__ import annotations

from typing import Any, NamedTuple

from virtionet_ipsec.virtqueue.driver_packed import PackedDriver
from virtionet_ipsec.virtqueue.driver_split import SplitDriver
from virtionet_ipsec.virtqueue.memory import Memory
from virtionet_ipsec.virtqueue.packed import PackedQueue
from virtionet_ipsec.virtqueue.queue import Chain
from virtionet_ipsec.virtqueue.split import SplitQueue

from .models import (
    IN_ORDER,
    Element,
    ModelPackedDevice,
    ModelPackedDriver,
    ModelSplitDevice,
    ModelSplitDriver,
    Packed,
    Ram,
    Split,
)

ROOM = 0x100
"""Octets for the elements of one buffer."""


class Expected(NamedTuple):
    """A buffer: what the device has to find in it."""

    token: int
    readable: bytes
    writable: list[Element]
    positions: int  # how many places of the ring it takes
    outside: bool

    @property
    def writable_len(self) -> int:
        return 0 if self.outside else sum(length for _, length in self.writable)


def write(ram: Ram, chain: Any, data: bytes) -> None:
    """``data`` into the first octets that the device may write."""
    for part in chain.writable:
        if isinstance(part, memoryview):
            piece, data = data[: len(part)], data[len(part) :]
            part[: len(piece)] = piece
        else:
            piece, data = data[: part[1]], data[part[1] :]
            ram.put(part[0], piece)
    assert not data


class Parties:
    """``real`` says which sides are the package's: "driver", "device" or both."""

    def __init__(self, packed: bool, size: int, features: int, real: set[str], start: int = 0) -> None:
        self.packed, self.size, self.features, self.real = packed, size, features, real
        self.ram = Ram(size, packed)
        self.memory = Memory(self.ram.regions)
        self.driver = self._driver(start)
        self.device = self._device(start)
        self.ring = (Packed if packed else Split)(self.ram, features)

        self.tokens = iter(range(1 << 30))
        self.places = list(range(2 * size))  # of ROOM octets each, for buffers
        self.added: list[Expected] = []
        self.available: list[Expected] = []
        self.taken: list[tuple[Any, Expected]] = []  # in order, not finished
        self.last_finished = -1
        self.held: list[tuple[Expected, int, bytes]] = []  # finished out of order, with IN_ORDER
        self.shown: list[tuple[Expected, int, bytes]] = []  # used, and not seen by the driver
        # Places of the ring that were made available and used, all of them and since a notification was asked about.
        self.position = self.unkicked = self.used_position = start
        self.untold = None if start else 0  # a device that goes on tells the driver in any case

    def _driver(self, start: int) -> Any:
        if "driver" not in self.real:
            return (
                ModelPackedDriver(self.ram, self.features)
                if self.packed
                else ModelSplitDriver(self.ram, self.features, start)
            )
        kind = PackedDriver if self.packed else SplitDriver
        return kind(self.size, self.ram.rings, self.features, tables=(self.ram.tables, self.ram.tables_octets))

    def _device(self, start: int) -> Any:
        if "device" not in self.real:
            return (
                ModelPackedDevice(self.ram, self.features)
                if self.packed
                else ModelSplitDevice(self.ram, self.features, start)
            )
        kind = PackedQueue if self.packed else SplitQueue
        return kind(self.memory, self.size, self.ram.rings, self.features, start=start % 65536)

    def replace_device(self) -> None:
        """Another object of the package goes on where this one stopped."""
        kind = PackedQueue if self.packed else SplitQueue
        self.device = kind(self.memory, self.size, self.ram.rings, self.features, start=self.device.base)
        self.untold = None

    # -- the driver's moves ----------------------------------------------------------------------------------------

    def add(self, lengths: list[int], readable: int, indirect: bool, direct: int, outside: bool = False) -> None:
        """A buffer with elements of these lengths, the first ``readable`` of them device-readable."""
        token = next(self.tokens)
        at = self.ram.buffers + ROOM * (self.places[0] if self.places else 0)
        elements = []
        for length in lengths:
            elements.append((at, length))
            self.ram.put(at, bytes((token + index) & 0xFF for index in range(length)))
            at += length
        data = b"".join(self.ram.get(address, length) for address, length in elements[:readable])
        if outside:
            elements[-1] = (self.ram.base + 0x10000 - 1, 2)
        count = len(elements)
        if indirect:
            count = min(direct, len(elements) - 1) + 1 if "driver" not in self.real and not self.packed else 1
        more = {"direct": count - 1} if "driver" not in self.real else {}
        self.driver.add(elements[:readable], elements[readable:], token, indirect=indirect, **more)
        self.places.append(self.places.pop(0))
        self.added.append(Expected(token, data, elements[readable:], count if self.packed else 1, outside))

    def publish(self) -> None:
        self.driver.publish()
        self.position += sum(each.positions for each in self.added)
        self.available += self.added
        self.added = []

    def kick(self) -> bool:
        must, may = self.ring.kick(range(self.unkicked, self.position))
        wanted = self.driver.kick_wanted()
        assert must <= wanted <= may
        self.unkicked = self.position
        return wanted

    def collect(self) -> None:
        """The driver sees what was used, in that order, with the octets that the device wrote."""
        used = self.driver.used()
        assert used == [(expected.token, written) for expected, written, _ in self.shown]
        for expected, written, data in self.shown:
            if not expected.outside:
                assert b"".join(self.ram.get(*element) for element in expected.writable)[:written] == data
        self.shown = []

    # -- the device's moves ----------------------------------------------------------------------------------------

    def take(self, most: int) -> None:
        chains = self.device.take(most)
        assert len(chains) == min(most, len(self.available))
        for chain in chains:
            expected = self.available.pop(0)
            if expected.outside:
                assert chain.refused and (chain.readable, chain.writable_len, chain.writable) == (b"", 0, ())
            else:
                assert (chain.readable, chain.writable_len) == (expected.readable, expected.writable_len)
                assert not isinstance(chain, Chain) or not chain.refused
            self.taken.append((chain, expected))

    def untake(self, count: int) -> None:
        back = self.taken[len(self.taken) - count :]
        del self.taken[len(self.taken) - count :]
        self.device.untake([chain for chain, _ in back])
        self.available[:0] = [expected for _, expected in back]

    def finish(self, which: list[int], lengths: list[int]) -> None:
        """Those of ``taken`` are finished, in this order, each with at most so many octets written."""
        done = []
        for index, length in zip(which, lengths, strict=True):
            chain, expected = self.taken[index]
            written = min(length, chain.writable_len)
            data = bytes(255 - (expected.token + at) & 0xFF for at in range(written))
            write(self.ram, chain, data)
            done.append((chain, expected, written, data))
        self.last_finished = max(self.last_finished, *(expected.token for _, expected, _, _ in done))
        self.taken = [each for index, each in enumerate(self.taken) if index not in which]
        self.device.finish([(chain, written) for chain, _, written, _ in done])
        self.held += [(expected, written, data) for _, expected, written, data in done]
        waiting = {expected.token for _, expected in self.taken}
        if self.features & IN_ORDER:
            self.held.sort(key=lambda each: each[0].token)
            first = min(waiting, default=1 << 30)
            visible = [each for each in self.held if each[0].token < first]
        else:
            visible = list(self.held)
        self.held = [each for each in self.held if each not in visible]
        self.shown += visible
        self.used_position += sum(expected.positions for expected, _, _ in visible)

    def interrupt(self) -> bool:
        wanted = self.device.interrupt_wanted()
        if self.untold is not None:
            must, may = self.ring.interrupt(range(self.untold, self.used_position))
            assert must <= wanted <= may
        self.untold = self.used_position
        return wanted

    # -- both --------------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Everything that was added goes through."""
        self.publish()
        while self.available or self.taken:
            self.take(self.size)
            if self.taken:
                self.finish(list(range(len(self.taken))), [ROOM] * len(self.taken))
            self.collect()
        self.collect()
        assert (self.held, self.driver.free) == ([], self.size)
        assert not getattr(self.driver, "broken", "")
        assert not getattr(self.device, "broken", "")
