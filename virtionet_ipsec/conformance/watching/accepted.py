"""The features that a driver accepts: those that it has written when it sets FEATURES_OK (virtio 1.4, 3.1.1)."""

from __future__ import annotations

from ...device.exchanges import StatusWritten
from ...device.negotiation import feature_names
from ...wire.enums import Feature, Status
from ...wire.features import feature_name
from .rule import Finding
from .view import View


def accepted(view: View, written: StatusWritten) -> int | None:
    """The mask that the driver accepts with this write; None when it does not set FEATURES_OK.

    Before that it may still write another one.
    """
    return view.driver_features if written.value & ~view.status & Status.FEATURES_OK else None


def never(view: View, written: StatusWritten, wrong: int, why: str) -> Finding:
    """A violation for each feature of the mask ``wrong`` that the driver accepts."""
    features = accepted(view, written)
    if features is None:
        return None
    return [f"the driver accepted {name}, {why}" for name in feature_names(features & wrong)]


def has(features: int, feature: Feature) -> bool:
    """Whether ``feature`` is in the mask ``features``."""
    return bool(features >> feature & 1)


def accepts_if_offered(feature: Feature, view: View, written: StatusWritten) -> Finding:
    """A violation when ``feature`` is offered and the driver does without it; None when that is not decided here."""
    features = accepted(view, written)
    if features is None or not has(view.offered, feature):
        return None
    return [] if has(features, feature) else [f"{feature_name(feature)} is offered, and the driver did not accept it"]
