"""Device initialization, virtio 1.4, 3.1: what has to wait for FEATURES_OK and DRIVER_OK."""

from __future__ import annotations

from ...device.exchanges import Commanded, Controlled, FeaturesWritten, StatusWritten, Transmitted
from ...device.negotiation import feature_names
from ...wire.enums import Status
from ..watching.command import Command
from ..watching.rule import Finding, rule
from ..watching.view import View


@rule(FeaturesWritten, StatusWritten)
def features_settled(view: View, written: FeaturesWritten | StatusWritten) -> Finding:
    """From FEATURES_OK on the driver writes no feature that it had not written before."""
    if not view.status & Status.FEATURES_OK:
        return None
    if isinstance(written, StatusWritten):
        return [] if written.value & Status.DRIVER_OK else None
    return [f"{name} after FEATURES_OK" for name in feature_names(written.features & ~view.driver_features)]


@rule(StatusWritten)
def stops(view: View, written: StatusWritten) -> Finding:
    """DRIVER_OK is written when FEATURES_OK has read back."""
    if not written.value & ~view.status & Status.DRIVER_OK:
        return None
    return [] if view.status & Status.FEATURES_OK else ["DRIVER_OK, though FEATURES_OK did not read back"]


@rule(Transmitted, Commanded, Controlled)
def no_notifications_early(view: View, exchange: Transmitted | Command | Controlled) -> Finding:
    """Nothing is transmitted and no command is sent before DRIVER_OK is set."""
    return [] if view.live else ["a buffer is made available, and the device notified, before DRIVER_OK"]
