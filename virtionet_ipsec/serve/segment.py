"""The segment: the hub that the device, the wires and the control clients are plugged into.

What one port sends goes to all others, in batches, so that who puts frames
into rings can notify once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from .loop import READ, Loop
from .wires import Wire

Deliver = Callable[[Sequence[bytes]], object]

_BATCH = 64
"""Frames that are taken from a wire before others have their turn."""

_SETTLING = 64
"""Batches that :meth:`Segment.settle` takes from a wire at most: two ends that answer each other never end."""


class Port:
    """A place in the segment.  ``deliver`` is given what the others send."""

    __slots__ = ("deliver", "others")

    def __init__(self, deliver: Deliver) -> None:
        self.deliver = deliver
        self.others: tuple[Port, ...] = ()

    def send(self, frames: Sequence[bytes]) -> None:
        """Send ``frames``, Ethernet frames of at most :data:`~.frames.MAX_FRAME` octets, to all other ports."""
        for other in self.others:
            other.deliver(frames)


class Segment:
    """The ports, and the wires among them; ``tell`` is given a line when a wire works no more."""

    def __init__(self, loop: Loop, tell: Callable[[str], object] = lambda line: None) -> None:
        self.wires: list[Wire] = []
        self._loop = loop
        self._tell = tell
        self._ports: list[Port] = []
        self._sources: dict[Port, tuple[Wire, int]] = {}  # those that frames come from, and their descriptors

    def attach(self, deliver: Deliver) -> Port:
        """A new port.  ``deliver`` must not block; it may attach and detach."""
        port = Port(deliver)
        self._ports.append(port)
        self._connect()
        return port

    def detach(self, port: Port) -> None:
        """Take ``port`` out; it sends to nobody any more."""
        self._ports.remove(port)
        port.others = ()
        self._connect()

    def plug(self, wire: Wire) -> None:
        """A port for ``wire``; its frames are taken as they come.  It is closed with the segment."""
        if not self.wires:
            self._loop.call_every(1, self._tick)
        port = self.attach(partial(_send_all, wire))
        self.wires.append(wire)
        fd = wire.fileno()
        if fd is not None:
            self._sources[port] = wire, fd
            self._loop.register(fd, READ, lambda _: self._take(port, wire))

    def settle(self) -> None:
        """Take all that has arrived on wires by now."""
        for port, (wire, _) in list(self._sources.items()):
            for _ in range(_SETTLING):
                if not self._take(port, wire):
                    break

    def close(self) -> None:
        """Close all wires."""
        for _, fd in self._sources.values():
            self._loop.unregister(fd)
        for wire in self.wires:
            wire.close()
        self.wires.clear()
        self._sources.clear()
        self._ports.clear()

    def _take(self, port: Port, wire: Wire) -> bool:
        """Whether there were frames on ``wire``; they are sent."""
        frames = wire.receive(_BATCH)
        if frames:
            port.send(frames)
        if wire.failed and port in self._sources:
            _, fd = self._sources.pop(port)
            self._loop.unregister(fd)
            self._tell(f"wire {wire.name}: {wire.failed}")
        return bool(frames)

    def _tick(self) -> None:
        for wire in self.wires:
            wire.tick()

    def _connect(self) -> None:
        for port in self._ports:
            port.others = tuple(other for other in self._ports if other is not port)


def _send_all(wire: Wire, frames: Sequence[bytes]) -> None:
    for frame in frames:
        wire.send(frame)
