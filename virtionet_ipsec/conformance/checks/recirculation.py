"""IPSEC_RECIRCULATE, virtio 1.4, 5.1.9.7, "Packet processing order"."""

from __future__ import annotations

from ...wire.enums import Action
from ..check import check
from ..driving import associations, filters, frames
from ..driving.associations import INBOUND
from ..driving.filter_order import ESP_PACKETS
from ..driving.filters import IPV4_FRAMES
from ..driving.rig import Rig

FRAME = frames.udp4_frame()


@check
def again(rig: Rig) -> None:
    """A DROP rule for what comes out of IPsec drops it after IPSEC_RECIRCULATE, and not after IPSEC."""
    flows = filters.start(rig, Action.IPSEC, Action.IPSEC_RECIRCULATE, Action.DROP)
    flows.needs(ESP_PACKETS)
    params = associations.sa(rig, INBOUND)
    associations.create(rig, params)
    far_end = associations.sender(params)
    first, then = flows.group(2), flows.group(1)
    flows.rule(then, IPV4_FRAMES, Action.DROP)
    for action in (Action.IPSEC, Action.IPSEC_RECIRCULATE):
        rule = flows.rule(first, ESP_PACKETS, action)
        wire, what = associations.protected(far_end, FRAME), f"an ESP packet for {action.name}, IPv4 for DROP"
        if action is Action.IPSEC:
            rig.equal(f"{what}: packet", FRAME[14:], flows.arrives(wire, what).frame[14:])
        else:
            flows.dropped(wire, what)
        flows.destroy(filters.RULE, rule)


@check
def once(rig: Rig) -> None:
    """ESP in ESP, and IPSEC_RECIRCULATE for both: the outer one is taken off, the inner one is handed up as it is."""
    flows = filters.start(rig, Action.IPSEC_RECIRCULATE)
    flows.needs(ESP_PACKETS)
    outer = associations.sa(rig, INBOUND, spi=0x1000)
    inner = associations.sa(rig, INBOUND, spi=0x2000)
    outer_id = associations.create(rig, outer)
    associations.create(rig, inner)
    flows.rule(flows.group(1), ESP_PACKETS, Action.IPSEC_RECIRCULATE)
    inside = associations.protected(associations.sender(inner), FRAME)
    wire = associations.protected(associations.sender(outer), inside)
    packet = associations.accepted(rig, wire, "an ESP packet in another")
    rig.equal("an ESP packet in another: packet", inside[14:], packet.frame[14:])
    rig.equal("an ESP packet in another: resource_id", outer_id, packet.resource_id)
    plain = associations.accepted(rig, inside, "the inner ESP packet by itself, which moved no window before")
    rig.equal("the inner ESP packet by itself: packet", FRAME[14:], plain.frame[14:])
