"""Feature bits, virtio 1.4, 2.2: which features a driver accepts."""

from __future__ import annotations

from ...device.exchanges import StatusWritten
from ...wire.enums import Feature
from ...wire.features import FEATURE_REQUIREMENTS, missing_requirements
from ..watching.accepted import accepted, has, never
from ..watching.rule import Finding, rule
from ..watching.view import View


def _bits(*numbers: int) -> int:
    return sum(1 << number for number in numbers)


_DESCRIBED = _bits(*Feature)
_UNDESCRIBED = _bits(*range(24, 42), 43) & ~_DESCRIBED
_OF_THE_DEVICE_TYPE = _bits(*range(24), 42, *range(50, 128))
_OF_OTHERS = _OF_THE_DEVICE_TYPE & ~_DESCRIBED
_RESERVED = ~(_bits(*range(24, 44)) | _OF_THE_DEVICE_TYPE)


@rule(StatusWritten)
def only_offered(view: View, written: StatusWritten) -> Finding:
    """Every feature that is accepted was offered."""
    return never(view, written, ~view.offered, "which was not offered")


@rule(StatusWritten)
def requirements(view: View, written: StatusWritten) -> Finding:
    """A feature is accepted with all that it requires."""
    features = accepted(view, written)
    if features is None or not any(has(features, feature) for feature in FEATURE_REQUIREMENTS):
        return None
    return [f"{missing}, which the driver did not accept" for missing in missing_requirements(features)]


@rule(StatusWritten)
def refuses_undescribed(view: View, written: StatusWritten) -> Finding:
    """No feature is accepted that the specification does not describe."""
    return never(view, written, _UNDESCRIBED, "which the specification does not describe")


@rule(StatusWritten)
def refuses_reserved(view: View, written: StatusWritten) -> Finding:
    """No feature is accepted that is reserved."""
    return never(view, written, _RESERVED, "which is reserved")


@rule(StatusWritten)
def refuses_other_device_type(view: View, written: StatusWritten) -> Finding:
    """No feature is accepted that is not defined for network devices."""
    return never(view, written, _OF_OTHERS, "which is not defined for the network device")
