"""Reserved feature bits, virtio 1.4, 6.1: features that a driver accepts where they are offered."""

from __future__ import annotations

from functools import partial

from ...device.exchanges import StatusWritten
from ...wire.enums import Feature
from ...wire.features import feature_name
from ..watching.accepted import accepts_if_offered
from ..watching.rule import add

for _feature in (
    Feature.VERSION_1,
    Feature.ACCESS_PLATFORM,
    Feature.RING_PACKED,
    Feature.ORDER_PLATFORM,
    Feature.NOTIF_CONFIG_DATA,
):
    add(
        f"driver.reserved.{_feature.name.lower().replace('_', '-')}",
        f"{feature_name(_feature)} is accepted where it is offered.",
        (StatusWritten,),
        partial(accepts_if_offered, _feature),
    )
