"""A driver's virtqueues with their buffers: rings and octets in memory that a transport shares."""

from __future__ import annotations

from collections.abc import Iterable

from ..wire.enums import Feature
from .driver_packed import PackedDriver
from .driver_split import SplitDriver
from .queue import DriverQueue
from .transport import RingFailed, Transport, ring_lengths

_LINE = 64  # of a cache: what rings and buffers begin on
_INDIRECT_DESCRIPTORS = 8  # for each buffer


class DriverSide:
    """One virtqueue of the driver, with memory for its rings and its buffers: ``room`` octets."""

    def __init__(self, index: int, size: int, features: int, room: int, transport: Transport) -> None:
        self.index = index
        self._size = size
        self._features = features
        self._transport = transport
        arena = transport.arena
        packed = bool(features >> Feature.RING_PACKED & 1)
        self._make: type[PackedDriver | SplitDriver] = PackedDriver if packed else SplitDriver
        self._lengths = ring_lengths(size, packed)
        self._addresses = [arena.take(length, _LINE) for length in self._lengths]
        self._tables: tuple[int, memoryview] | None = None
        if self.indirect:
            length = 16 * _INDIRECT_DESCRIPTORS * size
            address = arena.take(length, _LINE)
            self._tables = address, arena.view(address, length)
        self.address = arena.take(room, _LINE)
        self.octets = arena.view(self.address, room)
        self.ring: DriverQueue
        self.start()

    @property
    def indirect(self) -> bool:
        return bool(self._features >> Feature.INDIRECT_DESC & 1)

    def start(self) -> None:
        """Begin at the beginning, with nothing in the rings."""
        for octets in self.parts:
            octets[:] = bytes(len(octets))
        self.ring = self._make(self._size, self.parts, self._features, tables=self._tables)
        self._transport.start(self.index, self._size, self._addresses)

    @property
    def parts(self) -> tuple[memoryview, memoryview, memoryview]:
        """The ring's three parts, shared: descriptor table, available ring, used ring; or what packed rings have."""
        first, second, third = map(self._transport.arena.view, self._addresses, self._lengths)
        return first, second, third

    def restart(self) -> None:
        """Take back from the device what it has not used: the queue is reset, and begins at the beginning."""
        self._transport.stop(self.index)
        self.start()

    def show(self, kick: bool) -> None:
        """Make available what was added; with ``kick``, notify the device if it wants to be notified."""
        self.ring.publish()
        if self.ring.kick_wanted() and kick:
            self._transport.kick(self.index)

    def used(self) -> list[tuple[object, int]]:
        """The buffers that were used since the last call: what was given with them, and the octets written."""
        found = self.ring.used()
        if self.ring.broken:
            raise RingFailed(f"virtqueue {self.index}: {self.ring.broken}")
        return found


class Sender:
    """A queue with one buffer at a time, device-readable octets and room for an answer behind them."""

    def __init__(self, queue: DriverSide) -> None:
        self.queue = queue
        self.pending = False
        """Whether the device has a buffer."""

    def place(self, readable: bytes, room: int, cut: int) -> None:
        """Add a buffer to the ring; the first ``cut`` octets are an element of their own."""
        queue, length = self.queue, len(readable)
        if length + room > len(queue.octets):
            raise ValueError(f"a buffer of {length} + {room} octets, and the driver has {len(queue.octets)}")
        queue.octets[:length] = readable
        start, middle, end = queue.address, queue.address + min(cut, length), queue.address + length
        elements = [(at, until - at) for at, until in ((start, middle), (middle, end)) if until > at]
        answer = [(end, room)] if room else []
        queue.ring.add(elements, answer, length, indirect=queue.indirect and len(elements) + len(answer) > 1)
        self.pending = True

    def answer(self, written: int, readable: int) -> bytes:
        """What the device wrote behind ``readable`` octets."""
        return bytes(self.queue.octets[readable : readable + written])


class Receiver:
    """A queue of receive buffers, ``size`` octets each, as many as there is memory for."""

    def __init__(self, queue: DriverSide, size: int) -> None:
        self.queue = queue
        self.size = 0
        self.resize(size)

    def resize(self, size: int) -> None:
        """From here on buffers have ``size`` octets: those of another size are taken back first."""
        if size == self.size:
            return
        if not 0 < size <= len(self.queue.octets):
            raise ValueError(f"a receive buffer of {size} octets, and the driver has {len(self.queue.octets)}")
        if self.size:
            self.queue.restart()
        self.size = size
        self.offer(range(min(self.queue.ring.size, len(self.queue.octets) // size)), kick=False)

    def offer(self, slots: Iterable[int], kick: bool) -> None:
        """Give these buffers to the device."""
        queue = self.queue
        for slot in slots:
            queue.ring.add((), ((queue.address + slot * self.size, self.size),), slot)
        queue.show(kick)

    def take(self) -> tuple[bytes, ...]:
        """The octets of the buffers that were used, in order; the buffers are for the device again."""
        found, slots = [], []
        for slot, written in self.queue.used():
            assert isinstance(slot, int)
            if written > self.size:
                raise RingFailed(
                    f"virtqueue {self.queue.index}: {written} octets are written to a receive buffer of {self.size}"
                )
            found.append(bytes(self.queue.octets[slot * self.size : slot * self.size + written]))
            slots.append(slot)
        self.offer(slots, kick=True)
        return tuple(found)
