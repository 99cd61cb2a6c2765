"""What the driver needs of a device: bytes both ways, and no more.

The in-process model is one; anything that takes the same calls will do.
"""

from __future__ import annotations

from typing import Protocol

from ..device.receive import Received


class AdminPort(Protocol):
    """What takes group administration commands."""

    def admin(self, readable: bytes, writable_len: int = ...) -> bytes:
        """One group administration command; gives what was written (virtio 1.4, 2.13)."""

    @property
    def last_refusal(self) -> str:
        """Why the last command was refused, in words; a device that cannot tell says ""."""


class DevicePort(AdminPort, Protocol):
    @property
    def features(self) -> int:
        """The features offered, a bit mask."""

    @property
    def status(self) -> int:
        """The device status as read back (virtio 1.4, 2.1)."""

    def set_status(self, value: int) -> None: ...

    def set_driver_features(self, value: int) -> None: ...

    def read_config(self, offset: int, length: int) -> bytes:
        """Octets of the device configuration space (virtio 1.4, 2.5); fewer where it ends."""

    def control(self, readable: bytes, writable_len: int = ...) -> bytes:
        """One command of the control virtqueue; gives what was written (virtio 1.4, 5.1.9.5)."""

    def transmit(self, buffer: bytes, queue: int = ...) -> tuple[bytes, ...]:
        """A buffer of transmitq; gives the frames that left."""

    def receive(self, frame: bytes) -> Received | None:
        """A frame from the wire; gives the used buffers of a receive queue."""

    receive_buffer_size: int
    """The size of the receive buffers that the driver makes available, in octets (virtio 1.4, 5.1.9.3)."""
