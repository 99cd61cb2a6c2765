"""What the device does, as small values for whoever observes it.

They are made only when there is an observer.  None holds key material or a
packet's plaintext.  The engine's events (:mod:`virtionet_ipsec.ipsec.events`)
have the same base.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ipsec import Event
from ..wire.enums import AdminStatus, Qualifier

__all__ = [
    "AdminCompleted",
    "AdminNotConsumed",
    "DeviceReset",
    "DriverFeaturesIgnored",
    "Event",
    "FeaturesAccepted",
    "FeaturesRefused",
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
