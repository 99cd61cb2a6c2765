"""Any device, watched: the same exchanges that the model tells of itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..device import Received
from ..device.exchanges import (
    Arrived,
    BuffersSized,
    Commanded,
    ConfigRead,
    Exchange,
    FeaturesWritten,
    Listener,
    StatusWritten,
    Transmitted,
)


class Target(Protocol):
    """What a device has to offer to be driven, judged or recorded.  All octets are as they cross the boundary.

    :class:`virtionet_ipsec.device.Device` is one; ``specs/adapter.py`` is
    another, to start from.  A device may have ``last_refusal`` as well: why it
    refused the last command or status, in words.
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

    def transmit(self, buffer: bytes) -> Sequence[bytes]:
        """A buffer of transmitq1, virtio_net_hdr and frame; gives the frames that left (5.1.9.2)."""

    def receive(self, frame: bytes) -> tuple[int, Sequence[bytes]] | None:
        """A frame from the wire; gives the receive queue (receiveq1 is 0) and its used buffers, or None (5.1.9.4)."""

    receive_buffer_size: int
    """The size of the receive buffers that the driver makes available, in octets (5.1.9.3)."""


class Watched:
    """``target``, with every exchange told to ``listener``; a driver's port as well."""

    def __init__(self, target: Target, listener: Listener) -> None:
        self.target = target
        self._tell = listener
        self.features = target.features

    @property
    def status(self) -> int:
        return int(self.target.status)

    @property
    def last_refusal(self) -> str:
        return str(getattr(self.target, "last_refusal", ""))

    def set_status(self, value: int) -> None:
        self.target.set_status(value)
        self._tell(StatusWritten(value, self.status))

    def set_driver_features(self, value: int) -> None:
        self.target.set_driver_features(value)
        self._tell(FeaturesWritten(value))

    def read_config(self, offset: int, length: int) -> bytes:
        data = bytes(self.target.read_config(offset, length))
        self._tell(ConfigRead(offset, data))
        return data

    @property
    def receive_buffer_size(self) -> int:
        return self.target.receive_buffer_size

    @receive_buffer_size.setter
    def receive_buffer_size(self, size: int) -> None:
        self.target.receive_buffer_size = size
        self._tell(BuffersSized(size))

    def admin(self, readable: bytes, writable_len: int = 65536) -> bytes:
        written = bytes(self.target.admin(readable, writable_len))
        self._tell(Commanded(readable, writable_len, written))
        return written

    def transmit(self, buffer: bytes, queue: int = 0) -> tuple[bytes, ...]:
        frames = tuple(bytes(frame) for frame in self.target.transmit(buffer))
        self._tell(Transmitted(queue, buffer, frames))
        return frames

    def receive(self, frame: bytes) -> Received | None:
        got = self.target.receive(frame)
        received = None if got is None else Received(got[0], tuple(bytes(buffer) for buffer in got[1]))
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
            case Transmitted():
                self.transmit(exchange.buffer, exchange.queue)
            case Arrived():
                self.receive(exchange.frame)
