"""What the device does, as small values for whoever observes it.

They are made only when there is an observer.  None holds key material or a
packet's plaintext.  The engine's events (:mod:`virtionet_ipsec.ipsec.events`)
have the same base.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ipsec import Event
from ..wire.enums import AdminStatus, CtrlAck, Qualifier

__all__ = [
    "AdminCompleted",
    "AdminNotConsumed",
    "BufferRefused",
    "ConfigChanged",
    "ControlCompleted",
    "ControlNotConsumed",
    "DeviceReset",
    "DriverFeaturesIgnored",
    "Event",
    "FeaturesAccepted",
    "FeaturesRefused",
    "NeedsReset",
    "StatusBitsIgnored",
    "StatusChanged",
]


@dataclass(frozen=True, slots=True)
class StatusChanged(Event):
    """The device status field went from ``old`` to ``new`` (virtio 1.4, 2.1)."""

    old: int
    new: int


@dataclass(frozen=True, slots=True)
class StatusBitsIgnored(Event):
    """The driver wrote ``written``, and the device did not take over ``bits`` of it."""

    written: int
    bits: int
    why: str


@dataclass(frozen=True, slots=True)
class DeviceReset(Event):
    """The driver wrote 0 to the device status: everything it had set up is gone (virtio 1.4, 2.4)."""


@dataclass(frozen=True, slots=True)
class FeaturesAccepted(Event):
    """FEATURES_OK is set; ``negotiated`` is the mask that holds until reset (virtio 1.4, 2.2)."""

    negotiated: int


@dataclass(frozen=True, slots=True)
class FeaturesRefused(Event):
    """FEATURES_OK stayed clear: the device cannot work with ``accepted``."""

    accepted: int
    why: str


@dataclass(frozen=True, slots=True)
class DriverFeaturesIgnored(Event):
    """The driver wrote features after FEATURES_OK; what was negotiated stays."""

    written: int


@dataclass(frozen=True, slots=True)
class AdminNotConsumed(Event):
    """A command that the device left where it was, because it has no live administration virtqueue."""

    why: str


@dataclass(frozen=True, slots=True)
class AdminCompleted(Event):
    """A group administration command was completed; ``why`` is empty when ``status`` is OK.

    ``opcode`` is what the driver sent and may be none of the specification's.
    """

    opcode: int
    status: AdminStatus
    qualifier: Qualifier
    why: str


@dataclass(frozen=True, slots=True)
class BufferRefused(Event):
    """A buffer of virtqueue ``index`` is malformed and went back to the driver with nothing written."""

    index: int
    why: str


@dataclass(frozen=True, slots=True)
class NeedsReset(Event):
    """The device set DEVICE_NEEDS_RESET (virtio 1.4, 2.1.2)."""

    why: str


@dataclass(frozen=True, slots=True)
class ControlNotConsumed(Event):
    """A command that the device left where it was, because it has no live control virtqueue."""

    why: str


@dataclass(frozen=True, slots=True)
class ControlCompleted(Event):
    """A command of the control virtqueue was completed; ``why`` is empty when ``ack`` is OK.

    ``command`` is its name, "RX PROMISC", with numbers where there are no names.
    """

    command: str
    ack: CtrlAck
    why: str


@dataclass(frozen=True, slots=True)
class ConfigChanged(Event):
    """The configuration space changed without the driver's doing; ``octets`` is all of it (virtio 1.4, 5.1.4)."""

    octets: bytes
