"""Any device, watched: the same exchanges that the model tells of itself."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from ..device import Received
from ..device.exchanges import (
    Arrived,
    BuffersSized,
    Commanded,
    ConfigRead,
    Controlled,
    Exchange,
    FeaturesWritten,
    Listener,
    StatusWritten,
    Transmitted,
)
from ..virtqueue.transport import Unobservable

T = TypeVar("T")

_WORDS = 500
"""Characters of an exception's text that are passed on."""


class TargetFailed(Exception):
    """A device broke down where it had to answer: what it raised, or what it gave that is no octets, in words."""


class Target(Protocol):
    """What a device has to offer to be driven, judged or recorded.  All octets are as they cross the boundary.

    :class:`virtionet_ipsec.device.Device` is one; ``specs/adapter.py`` is
    another, to start from.  A device may have ``last_refusal`` as well: why it
    refused the last command or status, in words; and
    ``control(readable, writable_len)``: one command of the control virtqueue,
    what the device wrote out, nothing when it used no buffer (5.1.9.5); and
    ``rings(wanted)``: the device, reset, behind virtqueues of this kind, a
    :class:`~virtionet_ipsec.virtqueue.port.QueuePort`.
    """

    @property
    def features(self) -> int:
        """The features offered, a bit mask."""

    @property
    def status(self) -> int:
        """The device status as read back (virtio 1.4, 2.1)."""

    def set_status(self, value: int) -> None:
        """The driver writes the device status; 0 resets the device."""

    def set_driver_features(self, value: int) -> None:
        """The driver accepts features, a bit mask."""

    def read_config(self, offset: int, length: int) -> bytes:
        """Octets of the device configuration space (virtio 1.4, 5.1.4); fewer where it ends."""

    def admin(self, readable: bytes, writable_len: int) -> bytes:
        """One group administration command; gives what the device wrote, nothing when it used no buffer (2.13)."""

    def transmit(self, buffer: bytes, queue: int = ...) -> Sequence[bytes]:
        """A buffer of a transmit queue (transmitq1 is 0), virtio_net_hdr and frame; gives the frames that left."""

    def receive(self, frame: bytes) -> tuple[int, Sequence[bytes]] | None:
        """A frame from the wire; gives the receive queue (receiveq1 is 0) and its used buffers, or None (5.1.9.4)."""

    receive_buffer_size: int
    """The size of the receive buffers that the driver makes available, in octets (5.1.9.3)."""


MakeTarget = Callable[[], Target]
"""Makes a device; each one is new, or reset when it is driven next."""


class Watched:
    """``target``, with every exchange told to ``listener``; a driver's port as well.

    Raises :class:`TargetFailed` when the target raises anything, or gives what
    cannot be taken for octets.
    """

    def __init__(self, target: Target, listener: Listener) -> None:
        self.target = target
        self._tell = listener
        self.features = _asked(lambda: _number("features", target.features, 128))

    @property
    def status(self) -> int:
        return _asked(lambda: _number("status", self.target.status, 8))

    @property
    def last_refusal(self) -> str:
        return _asked(lambda: str(getattr(self.target, "last_refusal", "")))

    def set_status(self, value: int) -> None:
        _asked(lambda: self.target.set_status(value))
        self._tell(StatusWritten(value, self.status))

    def set_driver_features(self, value: int) -> None:
        _asked(lambda: self.target.set_driver_features(value))
        self._tell(FeaturesWritten(value))

    def read_config(self, offset: int, length: int) -> bytes:
        data = _asked(lambda: _octets(self.target.read_config(offset, length)))
        self._tell(ConfigRead(offset, data))
        return data

    @property
    def receive_buffer_size(self) -> int:
        return _asked(lambda: int(self.target.receive_buffer_size))

    @receive_buffer_size.setter
    def receive_buffer_size(self, size: int) -> None:
        _asked(lambda: setattr(self.target, "receive_buffer_size", size))
        self._tell(BuffersSized(size))

    def admin(self, readable: bytes, writable_len: int = 65536) -> bytes:
        written = _asked(lambda: _octets(self.target.admin(readable, writable_len)))
        self._tell(Commanded(readable, writable_len, written))
        return written

    @property
    def controllable(self) -> bool:
        """Whether the target has ``control``."""
        return callable(getattr(self.target, "control", None))

    def control(self, readable: bytes, writable_len: int = 1) -> bytes:
        """A device that has no such method uses no buffer of a control virtqueue."""
        asked = getattr(self.target, "control", None)
        written = b"" if asked is None else _asked(lambda: _octets(asked(readable, writable_len)))
        self._tell(Controlled(readable, writable_len, written))
        return written

    def transmit(self, buffer: bytes, queue: int = 0) -> tuple[bytes, ...]:
        queues = (queue,) if queue else ()  # a target with one transmit queue need not know of others
        frames = _asked(lambda: _list_of_octets("transmit", self.target.transmit(buffer, *queues)))
        self._tell(Transmitted(queue, buffer, frames))
        return frames

    def receive(self, frame: bytes) -> Received | None:
        received = _asked(lambda: _received(self.target.receive(frame)))
        self._tell(Arrived(frame, *(received or (0, ()))))
        return received

    def carry_out(self, exchange: Exchange) -> None:
        """Do the driver's, or the wire's, side of ``exchange`` once more."""
        match exchange:
            case StatusWritten():
                self.set_status(exchange.value)
            case FeaturesWritten():
                self.set_driver_features(exchange.features)
            case ConfigRead():
                self.read_config(exchange.offset, len(exchange.data))
            case BuffersSized():
                self.receive_buffer_size = exchange.size
            case Commanded():
                self.admin(exchange.readable, exchange.writable_len)
            case Controlled():
                self.control(exchange.readable, exchange.writable_len)
            case Transmitted():
                self.transmit(exchange.buffer, exchange.queue)
            case Arrived():
                self.receive(exchange.frame)


def _asked(question: Callable[[], T]) -> T:
    """The target's answer; whatever it raises is its failure, unless it is that nobody can tell."""
    try:
        return question()
    except (KeyboardInterrupt, Unobservable):
        raise
    except BaseException as error:  # it is anybody's code, and may call sys.exit
        raise TargetFailed(f"{said(error)}{_place(error)}") from error


def said(error: BaseException) -> str:
    """What anybody's exception says, on one line of bounded length."""
    name = type(error).__name__
    try:
        text = " ".join(str(error).split())[:_WORDS]
    except Exception:
        return name
    return f"{name}: {text}" if text else name


def _place(error: BaseException) -> str:
    """Where in the target's own code it was raised; nothing when what it gave was refused here."""
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    file = frame.f_code.co_filename
    return "" if file == __file__ else f" ({Path(file).name}, line {line})"


def _number(what: str, given: object, width: int) -> int:
    if not isinstance(given, int) or not 0 <= given < 1 << width:
        raise TypeError(f"{what} is no number of {width} bits")
    return int(given)


def _octets(given: object) -> bytes:
    if not isinstance(given, bytes | bytearray | memoryview):  # bytes(3) would be three zeros
        raise TypeError(f"the device gave {type(given).__name__} where octets (bytes) have to be")
    return bytes(given)


def _list_of_octets(method: str, given: object) -> tuple[bytes, ...]:
    if isinstance(given, bytes | bytearray | str) or not isinstance(given, Sequence):
        raise TypeError(f"{method} gave {type(given).__name__}, and not a list of octets")
    return tuple(map(_octets, given))


def _received(given: tuple[int, Sequence[bytes]] | None) -> Received | None:
    if given is None:
        return None
    if not isinstance(given, tuple) or len(given) != 2:
        raise TypeError(f"receive gave {type(given).__name__}, and neither a queue and its buffers nor None")
    queue, buffers = given
    return Received(int(queue), _list_of_octets("receive", buffers))
