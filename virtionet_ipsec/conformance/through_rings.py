"""Targets that are driven through real virtqueues: ``rings:`` and ``vhost-user:``.

    rings:split                                       the model, in this process
    vhost-user:PATH[,control=PATH][,wire=PATH][,rings=split|packed]

Behind ``vhost-user:`` is whatever listens at PATH.  The packets of the device's
wire, and what such a connection does not carry, go through ``control=``, the
socket of ``virtionet-ipsec serve --control`` (specs/control.md).  ``wire=`` is a
socket at which the wire is, a frame a message.  What neither reaches is not
observable.
"""

from __future__ import annotations

from ..control import ControlError, GuestSide
from ..input_error import InputError
from ..trace import MakeTarget, Target
from ..vhost_user.asking import BackEndFailed, BackEndHangs
from ..vhost_user.beside import Beside, Nothing, WireSocket
from ..vhost_user.front_end import FrontEnd
from ..virtqueue.port import QueuePort, Rings
from ..wire.profile import Profile
from .model import Model

_RINGS = {"split": Rings(), "packed": Rings(packed=True)}
_FORM = "give vhost-user:PATH[,control=PATH][,wire=PATH][,rings=split|packed]"
_TIMEOUT = 5.0  # seconds for an answer
_PATIENCE = 3  # checks in a row that may wait so long in vain


def model_behind_rings(rest: str, profile: Profile) -> MakeTarget:
    """``--target rings:split`` or ``rings:packed``."""
    if rest not in _RINGS:
        raise InputError(f"--target rings:{rest}", "is neither format", "give rings:split or rings:packed")

    return lambda: Model(profile).rings(_RINGS[rest])


def back_end(rest: str, profile: Profile) -> MakeTarget:
    """``--target vhost-user:...``; the profile is the back end's matter."""
    where = f"--target vhost-user:{rest}"
    path, *words = rest.split(",")
    options = dict(word.partition("=")[::2] for word in words)
    if not path or not all(options.values()) or options.keys() - {"control", "wire", "rings"}:
        raise InputError(where, "is no back end", _FORM)
    if options.get("rings", "split") not in _RINGS:
        raise InputError(where, f"rings={options['rings']} is neither format", "give rings=split or rings=packed")
    connections = _Connections(path, options)
    try:
        connections.open()
    except BackEndFailed as error:
        raise InputError(where, str(error), "start a back end there, for example with virtionet-ipsec serve") from None
    return connections


class _Connections:
    """Makes a target of a connection of its own, the one before is closed."""

    def __init__(self, path: str, options: dict[str, str]) -> None:
        self._path = path
        self._control, self._wire = options.get("control", ""), options.get("wire", "")
        self._rings = _RINGS[options.get("rings", "split")]
        self._now: FrontEnd | None = None
        self._port: QueuePort | None = None
        self._fresh = False
        self._in_vain = 0

    def open(self) -> None:
        """Connect.  Raises :class:`BackEndFailed`, and InputError for the control socket."""
        if self._now is not None:
            self._now.close()
            self._now = None
        if self._in_vain == _PATIENCE:
            raise BackEndHangs(f"the back end at {self._path} did not answer {_PATIENCE} times, and is not asked again")
        try:
            self._now = FrontEnd(self._path, beside=self._beside(), timeout=_TIMEOUT)
        except (BackEndHangs, ControlError):
            self._in_vain += 1
            raise
        self._in_vain = 0
        self._fresh = True

    def _beside(self) -> Beside:
        if self._control and self._wire:
            return ControlAndWire(self._control, self._wire)
        if self._control:
            return GuestSide(self._control, _TIMEOUT)
        return WireSocket(self._wire) if self._wire else Nothing()

    def __call__(self) -> Target:
        if not self._fresh:  # the connection that was made to look whether there is a back end serves the first check
            self.open()
        self._fresh = False
        assert self._now is not None
        port = QueuePort(self._now, self._rings)
        if self._port is not None:  # what one check has waited for in vain, others need not
            port.control_left_alone = self._port.control_left_alone
        self._port = port
        return port


class ControlAndWire(GuestSide):
    """The control socket, and frames through a wire's socket."""

    def __init__(self, control: str, wire: str) -> None:
        super().__init__(control, _TIMEOUT)
        try:
            self._wire = WireSocket(wire)
        except BackEndFailed:
            super().close()
            raise

    def arrive(self, frame: bytes) -> None:
        self._wire.arrive(frame)

    def frames(self) -> tuple[bytes, ...]:
        self.sync()
        return self._wire.there()

    def reopen(self) -> None:
        super().reopen()
        self._wire.reopen()

    def close(self) -> None:
        super().close()
        self._wire.close()
