"""Device status and feature negotiation (virtio 1.4, 2.1, 2.2, 3.1 and 5.1.3.1).

The driver sets status bits and never clears one; only writing 0, a reset,
does.  FEATURES_OK is the device's to grant: the bit stays clear when the
driver's features make no sense, and the driver sees that by reading it back.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..wire.enums import Feature, Status
from ..wire.features import feature_name, missing_requirements
from ..wire.profile import Profile

# Features whose fields in virtio_net_hdr the 2025 RFC does not have.
_NOT_IN_RFC_V1 = (
    Feature.GUEST_UDP_TUNNEL_GSO,
    Feature.GUEST_UDP_TUNNEL_GSO_CSUM,
    Feature.HOST_UDP_TUNNEL_GSO,
    Feature.HOST_UDP_TUNNEL_GSO_CSUM,
    Feature.OUT_NET_HEADER,
)

_OFFERED = (
    Feature.VERSION_1,
    Feature.ADMIN_VQ,
    Feature.MAC,
    Feature.MTU,
    Feature.STATUS,
    Feature.CSUM,
    Feature.GUEST_CSUM,
    Feature.HOST_TSO4,
    Feature.HOST_TSO6,
    Feature.HOST_ECN,
    Feature.HOST_USO,
    Feature.MRG_RXBUF,
    Feature.CTRL_VQ,
    Feature.CTRL_RX,
    Feature.CTRL_VLAN,
    Feature.CTRL_MAC_ADDR,
    Feature.GUEST_ANNOUNCE,
    Feature.MQ,
    Feature.RSS,
    Feature.HASH_REPORT,
    Feature.OUT_NET_HEADER,
    Feature.IPSEC,
)


def feature_mask(*features: Feature) -> int:
    """The set of these features, as an int."""
    return sum(1 << feature for feature in set(features))


_KNOWN = feature_mask(*Feature)


def feature_names(mask: int) -> tuple[str, ...]:
    """The names of the bits in ``mask``; ``bit 90`` for one without a name."""
    bits = (bit for bit in range(mask.bit_length()) if mask >> bit & 1)
    return tuple(feature_name(Feature(bit)) if _KNOWN >> bit & 1 else f"bit {bit}" for bit in bits)


def default_features(profile: Profile) -> int:
    """What a device offers when it is not told."""
    absent = _NOT_IN_RFC_V1 if profile is Profile.RFC_V1 else ()
    return feature_mask(*_OFFERED) & ~feature_mask(*absent)


def check_offered(features: int, profile: Profile) -> None:
    """Raise ValueError for a set that no device may offer (virtio 1.4, 2.2.2 and 6.2, device requirements)."""
    if features < 0:
        raise ValueError("offered features: a mask is not negative")
    if unknown := features & ~_KNOWN:
        raise ValueError(f"offered features: virtio 1.4 does not describe {', '.join(feature_names(unknown))}")
    if not features >> Feature.VERSION_1 & 1:
        raise ValueError("offered features: a device has to offer VIRTIO_F_VERSION_1")
    if missing := missing_requirements(features):
        raise ValueError(f"offered features: {'; '.join(missing)}")
    strange = features & feature_mask(*_NOT_IN_RFC_V1) if profile is Profile.RFC_V1 else 0
    if strange:
        raise ValueError(f"offered features: {profile.value} has no {', '.join(feature_names(strange))}")


@dataclass(frozen=True, slots=True)
class StatusWrite:
    """What came of a write to the device status.  ``why`` says so for the ``ignored`` bits, and is else empty."""

    old: int
    new: int
    ignored: int
    why: str


# Not DEVICE_NEEDS_RESET, which the device sets, nor SUSPEND, which needs VIRTIO_F_SUSPEND.
_THE_DRIVERS = Status.ACKNOWLEDGE | Status.DRIVER | Status.DRIVER_OK | Status.FEATURES_OK | Status.FAILED


class Negotiation:
    """The device status field and the features on both sides."""

    def __init__(self, offered: int) -> None:
        self.offered = offered
        self.status = 0
        self.driver_features = 0

    def reset(self) -> None:
        """Back to a device that nobody has touched; what it offers stays."""
        self.status = 0
        self.driver_features = 0

    @property
    def negotiated(self) -> int:
        """The features in force: the driver's, once FEATURES_OK is set, before that none."""
        return self.driver_features if self.status & Status.FEATURES_OK else 0

    def has(self, feature: Feature) -> bool:
        """Whether ``feature`` is negotiated."""
        return bool(self.negotiated >> feature & 1)

    def write_driver_features(self, value: int) -> bool:
        """The driver accepts features.  False, and nothing changed, once FEATURES_OK is set."""
        if self.status & Status.FEATURES_OK:
            return False
        self.driver_features = value
        return True

    def needs_reset(self) -> None:
        """The device, not the driver, sets DEVICE_NEEDS_RESET; only a reset clears it."""
        self.status |= int(Status.DEVICE_NEEDS_RESET)

    def features_refusal(self) -> str:
        """Why FEATURES_OK cannot be set with the driver's features; empty when it can."""
        if strange := self.driver_features & ~self.offered:
            return f"{', '.join(feature_names(strange))} not offered"
        if not self.driver_features >> Feature.VERSION_1 & 1:
            return "VIRTIO_F_VERSION_1 was not accepted, and there is no legacy interface"
        return "; ".join(missing_requirements(self.driver_features))

    def write_status(self, value: int) -> StatusWrite:
        """The driver sets status bits; ``value`` is one octet, an int and no Status, and not 0, which is a reset.

        Bits that the driver may not set, or not yet, stay clear; bits that it
        would clear stay set.
        """
        old = self.status
        reasons: list[str] = []
        value |= old & int(
            Status.DEVICE_NEEDS_RESET
        )  # the device's, whether the driver writes back what it read or not
        if cleared := old & ~value:
            reasons.append(f"{_status_names(cleared)}: a driver must not clear status bits")
        added = value & ~old
        if strange := added & ~int(_THE_DRIVERS):
            reasons.append(f"{_status_names(strange)}: not for the driver to set on this device")
            added ^= strange
        if added & Status.FEATURES_OK and (refused := self.features_refusal()):
            reasons.append(f"FEATURES_OK: {refused}")
            added ^= Status.FEATURES_OK
        if added & Status.DRIVER_OK and not (old | added) & Status.FEATURES_OK:
            reasons.append("DRIVER_OK: comes after FEATURES_OK")
            added ^= Status.DRIVER_OK
        self.status = int(old | added)
        return StatusWrite(old, self.status, value ^ self.status, "; ".join(reasons))


def _status_names(bits: int) -> str:
    named = [flag.name or "" for flag in Status if bits & flag]
    unnamed = [f"bit {bit}" for bit in range(8) if bits >> bit & 1 and not any(flag == 1 << bit for flag in Status)]
    return ", ".join(named + unnamed)
