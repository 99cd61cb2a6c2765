"""Virtqueues that a check writes and reads field by field (virtio 1.4, 2.7 Split Virtqueues, 2.8 Packed Virtqueues).

A target that is driven through rings says so with ``rings``
(:class:`~virtionet_ipsec.virtqueue.port.QueuePort`).  One queue of it is taken
from the port and run by hand here; nothing of the project's own driver side is
between the check and the memory that the device sees.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, TypeVar

from ...trace import TargetFailed, Watched, said
from ...virtqueue.port import QueuePort, Rings
from ...virtqueue.transport import Unobservable, ring_lengths
from ...wire.enums import Feature
from ..verdict import Failed, NotObservable
from .rig import Rig

NEXT, WRITE, INDIRECT = 1, 2, 4
RECEIVEQ1, TRANSMITQ1, CONTROLQ = 0, 1, 2
"""Virtqueues of a device with one pair (5.1.2)."""

SIZE = 8
"""Queue Size of the rings of most checks."""

DESCRIPTOR = struct.Struct("<QIHH")
"""Split: addr, len, flags, next.  Packed: addr, len, id, flags."""

_POISON = 0x5A
T = TypeVar("T")


class Element(NamedTuple):
    """A piece of a buffer in driver memory; ``flags`` are WRITE or 0."""

    address: int
    length: int
    flags: int = 0


Used = tuple[int, int]
"""A used buffer: head or Buffer ID, and the length that the device says."""


def start(rig: Rig, wanted: Rings, *needed: Feature, also: Collection[Feature] = ()) -> QueuePort:
    """Bring the device up behind rings of this kind, with the features that they and ``needed`` stand for."""
    make = getattr(rig.port.target, "rings", None)
    if not callable(make):
        raise NotObservable("the target is driven by calls, and has no rings")
    port = make(wanted)
    rig.port = Watched(port, rig.steps.append)
    rig.needs(*(feature for feature in Feature if wanted.features >> feature & 1), *needed)
    rig.negotiate(also=(*needed, *also), without={Feature.MQ, Feature.RSS} - set(needed))
    if not isinstance(port, QueuePort):
        raise NotObservable("the target's rings cannot be written by hand")
    return port


def asked(question: Callable[[], T]) -> T:
    """What the transport gives; what it raises is the device's failure, unless it is that nobody can tell."""
    try:
        return question()
    except (Unobservable, Failed):
        raise
    except Exception as error:  # a connection, and whatever is at its end
        raise TargetFailed(said(error)) from error


def stop(port: QueuePort, index: int) -> None:
    """Reset a virtqueue (2.6.1)."""
    asked(lambda: port.transport.stop(index))


class Ring:
    """Virtqueue ``index`` of ``port``, begun anew and in the check's hands.

    Memory of the arena is taken and not given back: a check uses little, and the port's next reset frees it all.
    """

    packed: bool

    def __init__(self, port: QueuePort, index: int, size: int = SIZE) -> None:
        self.port, self.index, self.size = port, index, size
        self._transport = port.transport
        self._arena = port.transport.arena
        self.parts: tuple[memoryview, memoryview, memoryview]
        stop(port, index)
        self.begin(size)

    def begin(self, size: int) -> None:
        """Start the queue, which is stopped, with this size and new memory."""
        self.size = size
        lengths = ring_lengths(size, self.packed)
        addresses = [self._arena.take(length, 64) for length in lengths]
        first, second, third = (
            self._arena.view(address, length) for address, length in zip(addresses, lengths, strict=True)
        )
        for part in (first, second, third):
            part[:] = bytes(len(part))
        self.parts = (first, second, third)
        self._forget()
        asked(lambda: self._transport.start(self.index, size, addresses))
        self.notified()

    def stop(self) -> None:
        """Reset the queue (2.6.1)."""
        stop(self.port, self.index)

    def _forget(self) -> None:
        """A new ring begins at its beginning."""
        raise NotImplementedError

    # -- memory ----------------------------------------------------------------------------------------------------

    def holding(self, octets: bytes, flags: int = 0) -> Element:
        """New memory with these octets in it."""
        address = self._arena.take(max(len(octets), 1))
        self._arena.view(address, len(octets))[:] = octets
        return Element(address, len(octets), flags)

    def room(self, length: int) -> Element:
        """New memory for the device to write, with octets in it that nobody would write there."""
        return self.holding(bytes((_POISON,)) * length, WRITE)

    def octets(self, element: Element) -> bytes:
        """What is in the element's memory now."""
        return bytes(self._arena.view(element.address, element.length))

    def table(self, descriptors: Sequence[tuple[int, int, int, int]]) -> Element:
        """An indirect table."""
        return self.holding(b"".join(DESCRIPTOR.pack(*each) for each in descriptors))

    # -- notifications ---------------------------------------------------------------------------------------------

    def kick(self) -> None:
        """An available buffer notification."""
        asked(lambda: self._transport.kick(self.index))

    def notified(self) -> bool:
        """Whether the device has notified since this was asked last; it is given time to do so."""
        heard: list[bool] = []

        def ready() -> bool:
            if self._transport.notified(self.index):
                heard.append(True)
            return bool(heard)

        return asked(lambda: self._transport.wait(ready, must=False))

    def expect_notified(self, what: str, wanted: bool) -> None:
        """Fail unless the device has notified, or has not, since it was asked last."""
        if self.notified() != wanted:
            said_so = {True: "a used buffer notification", False: "no used buffer notification"}
            raise Failed(what, said_so[wanted], said_so[not wanted])

    # -- buffers ---------------------------------------------------------------------------------------------------

    def give(self, *buffers: Sequence[Element], kick: bool = True) -> None:
        """Make buffers available, all at once, and notify the device."""
        raise NotImplementedError

    def new_used(self) -> list[Used]:
        """The buffers that were used since this was asked last, in order."""
        raise NotImplementedError

    def use(self, count: int = 1) -> list[Used]:
        """Wait until so many more buffers are used."""
        found: list[Used] = []

        def enough() -> bool:
            found.extend(self.new_used())
            return len(found) >= count

        if not asked(lambda: self._transport.wait(enough)):
            raise Failed(f"buffers of virtqueue {self.index} that are used", str(count), str(len(found)))
        if len(found) > count:
            raise Failed(f"buffers of virtqueue {self.index} that are used", str(count), str(len(found)))
        return found

    def settle(self) -> None:
        """Let the device do all that it is going to do."""
        asked(lambda: self._transport.wait(lambda: False, must=False))

    def expect_untouched(self, what: str) -> None:
        """Fail if a buffer is used that must not be."""
        self.settle()
        if found := self.new_used():
            raise Failed(what, "no buffer is used", f"{len(found)} used")

    def frames(self) -> tuple[bytes, ...]:
        """The frames that left for the wire since this was asked last."""
        return asked(self._transport.frames)

    def arrive(self, frame: bytes) -> None:
        """A frame from the wire."""
        asked(lambda: self._transport.arrive(frame))
