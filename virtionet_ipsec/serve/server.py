"""A served device, put together.

front end -- Backend -- the guest's Device -- Transparent -- Segment -- wires, control clients
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from ..device import DEFAULT_MAC, Device
from ..device.negotiation import default_features
from ..input_error import InputError
from ..safile import SaEntry
from ..vhost_user import Backend
from ..virtqueue.in_memory import RING_FEATURES
from ..wire.enums import Feature
from ..wire.profile import Profile
from . import unix_sockets
from .control_server import ControlServer
from .host import Host
from .loop import Loop
from .segment import Segment
from .transparent import Transparent
from .wires import open_wire

_LEAST_MTU = 68


@dataclass(frozen=True, slots=True)
class Settings:
    """What to serve.

    ``socket`` and ``control`` are paths, ``control`` empty for none; ``wires``
    as ``--wire`` takes them.  ``wire_mtu`` and ``mtu``, that of the guest, count
    octets of IP packet; ``mtu`` None is what fits the wire when it is protected.
    ``features`` is the mask that is offered.
    """

    socket: str
    wires: Sequence[str]
    entries: Sequence[SaEntry]
    profile: Profile
    features: int
    queue_pairs: int = 1
    mac: bytes = DEFAULT_MAC
    wire_mtu: int = 1500
    mtu: int | None = None
    control: str = ""
    accept_cleartext: bool = False


def offered(changes: str, profile: Profile) -> int:
    """What is offered: the model's own choice and the rings', with ``changes`` such as ``+CTRL_RX_EXTRA,-RING_PACKED``.

    Raises :class:`InputError`.
    """
    features = default_features(profile) | RING_FEATURES
    for change in filter(None, (each.strip() for each in changes.split(","))):
        sign, name = change[0], change[1:].upper().removeprefix("VIRTIO_NET_F_").removeprefix("VIRTIO_F_")
        if sign not in "+-" or name not in Feature.__members__:
            raise InputError(
                f"--features {change}", "is no + or - and the name of a feature", "give for example -RING_PACKED"
            )
        bit = 1 << Feature[name]
        features = features | bit if sign == "+" else features & ~bit
    return features


class Server:
    """Serves from :meth:`run` on.  Raises :class:`InputError` when it cannot; nothing is left behind then.

    ``watch`` is given the guest's device before anything is done to it; ``tell``
    is given lines for the person who runs it.
    """

    def __init__(self, settings: Settings, tell: Callable[[str], object], watch: Callable[[Device], object]) -> None:
        self._loop = Loop()
        self._segment = Segment(self._loop, tell)
        self.transparent = Transparent(
            settings.entries,
            profile=settings.profile,
            mtu=settings.wire_mtu,
            accept_cleartext=settings.accept_cleartext,
        )
        self.device = _device(settings, self.transparent.inner_mtu)
        with ExitStack() as opened:
            opened.callback(self._loop.close)
            opened.callback(self._segment.close)
            for wire in settings.wires:
                self._segment.plug(open_wire(wire))
            listener, made = unix_sockets.listen(settings.socket)
            opened.callback(unix_sockets.remove, os.fsencode(settings.socket), made)
            self._port = self._segment.attach(self._arrived)
            self.backend = Backend(listener, self._loop, self.device, settings.queue_pairs, self._sent, tell)
            opened.callback(self.backend.close)
            if settings.control:
                host = Host(self.backend, self.transparent, self._segment)
                opened.callback(ControlServer(self._loop, settings.control, host).close)
            watch(self.device)  # last: what it writes over stays as it is when something else cannot be
            self._opened = opened.pop_all()
        self.transparent.to_guest = lambda frame: self.backend.arrive((frame,))
        tell(f"listening at {settings.socket}; the guest's MTU is {self.device.mtu}")

    def _sent(self, frames: Sequence[bytes]) -> None:
        """The guest sent ``frames``."""
        if not self.transparent.idle:
            frames = [each for frame in frames for each in self.transparent.outbound(frame)]
        self._port.send(frames)

    def _arrived(self, frames: Sequence[bytes]) -> None:
        """``frames`` came from the segment."""
        if self.transparent.idle:
            self.backend.arrive(frames)
        else:
            plain = map(self.transparent.inbound, frames)
            self.backend.arrive([frame for frame in plain if frame is not None])

    def run(self, *signals: int) -> None:
        """Serve until one of ``signals`` comes."""
        with self._loop.on_signals(*signals, call=self._loop.stop):
            self._loop.run()

    def close(self) -> None:
        """End connections, and remove what was made in the file system."""
        self._opened.close()


def _device(settings: Settings, inner_mtu: int) -> Device:
    mtu = settings.mtu if settings.mtu is not None else inner_mtu
    if mtu < _LEAST_MTU:
        raise InputError(
            f"an MTU of {settings.wire_mtu} on the wire",
            f"leaves {mtu} octets for the guest's packets",
            f"give a --wire-mtu that leaves {_LEAST_MTU}",
        )
    try:
        return Device(
            settings.profile,
            features=settings.features,
            mtu=mtu,
            wire_mtu=settings.wire_mtu,
            mac=settings.mac,
            queue_pairs=settings.queue_pairs,
        )
    except ValueError as error:
        raise InputError("the device", f"cannot be ({error})", "change --features, --mtu or --queues") from None
