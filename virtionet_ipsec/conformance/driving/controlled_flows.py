"""The flow filter beside the control virtqueue, and beside queues that are reset (virtio 1.4, 5.1.9.6)."""

from __future__ import annotations

from collections.abc import Callable

from ...ipsec.sa import Lifetime
from ...virtqueue.port import Rings
from ...wire.enums import Action, CtrlRx, Feature, IpsecMode, IpsecOption
from ..verdict import NotApplicable
from . import associations, by_hand, filters, frames, receiving
from .filter_order import ESP_PACKETS
from .filters import IPV4_FRAMES, RULE
from .flows import pairs_limit, set_pairs
from .receiving import STRANGER, own_address
from .rig import Rig


def ctrl_first(rig: Rig) -> None:
    """A packet for an address that is not wanted is dropped, although a rule directs it to a queue."""
    rig.needs(Feature.ADMIN_VQ)
    receiving.start(rig)
    flows = filters.flow_filter(rig, Action.DIRECT_RX_VQ)
    flows.needs(IPV4_FRAMES)
    flows.rule(flows.group(1), IPV4_FRAMES, Action.DIRECT_RX_VQ)
    flows.arrives(receiving.frame(own_address(rig)), "a packet for the device's address, which a rule directs", 0)
    flows.dropped(receiving.frame(STRANGER), "a packet for another address, which a rule directs to receive queue 0")


def ctrl_drop_skips_rules(rig: Rig) -> None:
    """An ESP packet that the MAC filter drops moves no replay window and does not count: it is accepted later."""
    rig.needs(Feature.ADMIN_VQ, Feature.IPSEC)
    receiving.start(rig)
    flows = filters.flow_filter(rig, Action.IPSEC)
    flows.needs(ESP_PACKETS)
    cap = associations.mode_cap(rig, IpsecMode.ESP_TUNNEL)
    window, lifetime = min(64, cap.max_replay_win_sz), Lifetime()
    if cap.options & IpsecOption.SA_LIFETIME:
        lifetime = Lifetime(packets_hard=1)
    elif not window:
        raise NotApplicable("no replay window and no lifetime that a packet could move")
    params = associations.sa(rig, associations.INBOUND, replay_window=window, lifetime=lifetime)
    associations.create(rig, params)
    flows.rule(flows.group(1), ESP_PACKETS, Action.IPSEC)
    wire = STRANGER + associations.protected(associations.sender(params), frames.udp4_frame())[6:]
    flows.dropped(wire, "an ESP packet for another address, which a rule sends through IPsec")
    receiving.switch(rig, CtrlRx.PROMISC, True)
    associations.accepted(rig, wire, "the same packet in promiscuous mode")


def reset_queue_drop(rig: Rig) -> None:
    """A packet that a rule directs to a receive queue which is reset is dropped; it arrives while that is not."""
    rig.needs(Feature.ADMIN_VQ)
    port = by_hand.start(rig, Rings(), Feature.RING_RESET, Feature.MQ, Feature.CTRL_VQ)
    pairs_limit(rig)
    set_pairs(rig, 2)
    flows = filters.flow_filter(rig, Action.DIRECT_RX_VQ)
    flows.needs(IPV4_FRAMES)
    group, frame = flows.group(1), receiving.frame(own_address(rig))
    for queue in (0, 1):
        rule = flows.rule(group, IPV4_FRAMES, Action.DIRECT_RX_VQ, vq_index=2 * queue)
        flows.arrives(frame, f"a packet for receive queue {queue}", queue)
        by_hand.stop(port, 2 * queue)
        flows.dropped(frame, f"a packet for receive queue {queue}, which is reset")
        flows.destroy(RULE, rule)


CHECKS: tuple[Callable[[Rig], None], ...] = (ctrl_first, ctrl_drop_skips_rules, reset_queue_drop)
