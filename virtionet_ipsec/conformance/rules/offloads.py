"""Offloads state configuration, virtio 1.4, 5.1.9.5.9."""

from __future__ import annotations

from ...wire.enums import CtrlClass, Feature
from ...wire.features import feature_name
from ..watching.control_command import ControlCommand
from ..watching.control_rule import on_control
from ..watching.rule import Finding
from ..watching.view import View

# Bits of offloads: those of the features up to 63, and two below for the tunnels' features, which are above.
_FEATURES = {
    **{
        int(each): each
        for each in (
            Feature.GUEST_CSUM,
            Feature.GUEST_TSO4,
            Feature.GUEST_TSO6,
            Feature.GUEST_ECN,
            Feature.GUEST_UFO,
            Feature.GUEST_USO4,
            Feature.GUEST_USO6,
        )
    },
    46: Feature.GUEST_UDP_TUNNEL_GSO,
    47: Feature.GUEST_UDP_TUNNEL_GSO_CSUM,
}


@on_control("offloads", (int(CtrlClass.GUEST_OFFLOADS), 0))
def negotiated(view: View, command: ControlCommand) -> Finding:
    """GUEST_OFFLOADS_SET enables offloads with their features only."""
    offloads = command.number(0, 8)
    wrong = [each for bit, each in _FEATURES.items() if offloads >> bit & 1 and not view.has(each)]
    return [f"an offload is enabled without {feature_name(each)}" for each in wrong]
