"""What passes between a device and its driver or its wire, as plain values: each is complete once it is told.

A device tells them to its ``on_exchange``; :class:`virtionet_ipsec.trace.Watched`
tells the same ones of any other device.  They are octets as they crossed the
boundary, keys and all: :mod:`virtionet_ipsec.conformance.decode` shows them
without.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StatusWritten:
    """The driver wrote ``value`` to the device status; ``status`` is what it reads back (virtio 1.4, 2.1)."""

    value: int
    status: int


@dataclass(frozen=True, slots=True)
class FeaturesWritten:
    """The driver accepted ``features``, a mask (virtio 1.4, 2.2)."""

    features: int


@dataclass(frozen=True, slots=True)
class ConfigRead:
    """The driver read ``data`` at ``offset`` of the configuration space (virtio 1.4, 2.5)."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class BuffersSized:
    """From here on the driver's receive buffers have ``size`` octets each (virtio 1.4, 5.1.9.3)."""

    size: int


@dataclass(frozen=True, slots=True)
class Commanded:
    """A group administration command: the device-readable octets, the room for the answer, what was written there.

    ``written`` is empty when the device did not use the buffer (virtio 1.4, 2.13).
    """

    readable: bytes
    writable_len: int
    written: bytes

    def __repr__(self) -> str:
        """Without octets: they may be keys."""
        sizes = f"readable={len(self.readable)} octets, written={len(self.written)} of {self.writable_len} octets"
        return f"Commanded(opcode={int.from_bytes(self.readable[:2], 'little'):#x}, {sizes})"


@dataclass(frozen=True, slots=True)
class Controlled:
    """A command of the control virtqueue: device-readable octets, room for ``ack``, what was written (5.1.9.5).

    ``written`` is empty when the device did not use the buffer, or had no room for ``ack``.
    """

    readable: bytes
    writable_len: int
    written: bytes

    def __repr__(self) -> str:
        """Without the data: it may be the key of the hash."""
        sizes = f"readable={len(self.readable)} octets, written={len(self.written)} of {self.writable_len} octets"
        return f"Controlled(command={self.readable[:2].hex('.')}, {sizes})"


@dataclass(frozen=True, slots=True)
class Transmitted:
    """A buffer of transmit queue ``queue`` (transmitq1 is 0) and the ``frames`` that left (virtio 1.4, 5.1.9.2)."""

    queue: int
    buffer: bytes
    frames: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Arrived:
    """A frame from the wire, and the used buffers of receive queue ``queue``; none when it was dropped (5.1.9.4)."""

    frame: bytes
    queue: int
    buffers: tuple[bytes, ...]


Exchange = StatusWritten | FeaturesWritten | ConfigRead | BuffersSized | Commanded | Controlled | Transmitted | Arrived

Listener = Callable[[Exchange], None]
