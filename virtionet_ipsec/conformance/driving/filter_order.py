"""Which flow filter rule acts on a packet, and what it does (virtio 1.4, 5.1.9.6): the checks of packets.

Rules differ in DROP and DIRECT_RX_VQ, which every device tells apart.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from ...ipsec import Direction
from ...ipsec.sa import Lifetime
from ...wire.enums import Action, IpsecMode, IpsecOption, SelectorType
from ..verdict import NotApplicable
from . import associations, filters, frames
from .filters import GROUP, IPV4_FRAMES, IPV6_FRAMES, RULE, FlowFilter
from .on_the_wire import flipped
from .rig import Rig

DROP, DIRECT, IPSEC, RECIRCULATE = Action
NO_PROTOCOL = 253  # for experiments, RFC 3692
FRAME = frames.udp4_frame()
ESP_PACKETS = filters.packets_of(SelectorType.IPV4, frames.ESP)
UDP_PACKETS = filters.packets_of(SelectorType.IPV4, frames.UDP)


def _rules_for(rig: Rig, *actions: Action) -> FlowFilter:
    flows = filters.start(rig, DROP, DIRECT, *actions)
    flows.needs(IPV4_FRAMES, IPV6_FRAMES)
    return flows


def _acts(flows: FlowFilter, action: Action, what: str) -> None:
    if action is DROP:
        flows.dropped(FRAME, what)
    else:
        flows.arrives(FRAME, what, 0)


def group_order(rig: Rig) -> None:
    """Of two groups with a rule each for one packet, DROP and DIRECT_RX_VQ, that of the higher group_priority acts."""
    flows = _rules_for(rig)
    most = max(flows.limits["last_rule_priority"] - 1, 0)
    pairs = ((0, 1), (1, 2), (0xFF, 0x100), (0x7FFF, 0x8000), (0, 0xFFFF))
    for (low, high), acts, high_first in product(pairs, (DROP, DIRECT), (True, False)):
        other = DIRECT if acts is DROP else DROP
        # The other rule has the higher rule_priority, which must not matter.
        wanted = [(high, acts, 0), (low, other, most)]
        made = []
        for group_priority, action, priority in wanted if high_first else reversed(wanted):
            group = flows.group(group_priority)
            made.append((group, flows.rule(group, IPV4_FRAMES, action, priority)))
        _acts(flows, acts, f"a packet for group {high} with {acts.name} and group {low} with {other.name}")
        for group, rule in made:
            flows.destroy(RULE, rule)
            flows.destroy(GROUP, group)


def rule_order(rig: Rig) -> None:
    """Of two rules of a group for one packet, DROP and DIRECT_RX_VQ, the one with the higher rule_priority acts."""
    flows = _rules_for(rig)
    most = flows.limits["last_rule_priority"] - 1
    if most < 1:
        raise NotApplicable("there is one rule_priority only")
    group = flows.group(1)
    pairs = [pair for pair in ((1, 2), (0x7F, 0x80), (0, most)) if pair[1] <= most]
    cases = [((0, 1), better, worse) for better, worse in product((IPV4_FRAMES, UDP_PACKETS), repeat=2)]
    cases += [(pair, IPV4_FRAMES, IPV4_FRAMES) for pair in pairs]
    for ((low, high), better, worse), acts, high_first in product(cases, (DROP, DIRECT), (True, False)):
        if not (flows.can(better) and flows.can(worse)):
            continue
        other = DIRECT if acts is DROP else DROP
        wanted = [(better, acts, high), (worse, other, low)]
        made = [flows.rule(group, *each) for each in (wanted if high_first else reversed(wanted))]
        _acts(flows, acts, f"a packet for rule_priority {high} with {acts.name} and {low} with {other.name}")
        for rule in made:
            flows.destroy(RULE, rule)


def lower_group_ignored(rig: Rig) -> None:
    """A packet that a rule directs to a queue is delivered there, whatever the groups of lower priority do with it."""
    flows = _rules_for(rig)
    queues = flows.queues()
    top, *lower = (flows.group(priority) for priority in (9, 5, 1))
    for group in lower:
        flows.rule(group, IPV4_FRAMES, DROP)
    for queue in queues:
        rule = flows.rule(top, IPV4_FRAMES, DIRECT, vq_index=2 * queue)
        flows.arrives(FRAME, "a packet for group 9 with DIRECT_RX_VQ, groups 5 and 1 with DROP", queue)
        flows.destroy(RULE, rule)


def next_group(rig: Rig) -> None:
    """Groups without a matching rule, empty ones too, leave a packet to the next group."""
    flows = _rules_for(rig)
    groups = [flows.group(priority) for priority in (30, 20, 10)]
    last = flows.rule(groups[2], IPV4_FRAMES, DROP)
    flows.dropped(FRAME, "a packet for group 10 with DROP, groups 30 and 20 are empty")
    unmatched = [flows.rule(group, IPV6_FRAMES, DIRECT) for group in groups[:2]]
    flows.dropped(FRAME, "a packet for group 10 with DROP, no rule of groups 30 and 20 matches")
    middle = flows.rule(groups[1], IPV4_FRAMES, DIRECT)
    flows.arrives(FRAME, "a packet for group 20 with DIRECT_RX_VQ, group 10 with DROP, no rule of group 30 matches", 0)
    for rule in (middle, last):
        flows.destroy(RULE, rule)
    flows.arrives(FRAME, "a packet that no rule of three groups matches")
    for rule in unmatched:
        flows.destroy(RULE, rule)


def single_action(rig: Rig) -> None:
    """After DIRECT_RX_VQ no rule acts on the packet any more, of the group or another: not DROP, not another queue."""
    flows = _rules_for(rig)
    queues = flows.queues()
    priorities = [priority for priority in (2, 1, 0) if priority < flows.limits["last_rule_priority"]]
    group, lower = flows.group(2), flows.group(1)
    for queue, other in product(queues, queues):
        rules = [flows.rule(group, IPV4_FRAMES, DIRECT, priorities[0], vq_index=2 * queue)]
        rules += [flows.rule(group, IPV4_FRAMES, DROP, priority) for priority in priorities[1:]]
        rules += [
            flows.rule(lower, IPV4_FRAMES, DIRECT, priorities[0], vq_index=2 * other),
            *(flows.rule(lower, IPV4_FRAMES, DROP, priority) for priority in priorities[1:]),
        ]
        flows.arrives(FRAME, "a packet that DIRECT_RX_VQ takes before DROP", queue)
        for rule in rules:
            flows.destroy(RULE, rule)


def single_action_ipsec(rig: Rig) -> None:
    """After IPSEC no rule acts; after IPSEC_RECIRCULATE the first that matches what came out, or none on a failure."""
    flows = _rules_for(rig, IPSEC)
    flows.needs(ESP_PACKETS)
    params = associations.sa(rig, Direction.INBOUND)
    associations.create(rig, params)
    far_end = associations.sender(params)
    groups = [flows.group(priority) for priority in (3, 2, 1)]
    for action in (IPSEC, RECIRCULATE):
        if action not in flows.actions:
            continue
        rules = [flows.rule(groups[0], ESP_PACKETS, action)]
        failed = flipped(associations.protected(far_end, FRAME))
        delivered = rig.receive(failed) is not None  # it may be dropped without any other rule
        if action is RECIRCULATE:
            rules.append(flows.rule(groups[1], UDP_PACKETS, DIRECT))
        rules.append(flows.rule(groups[2], IPV4_FRAMES, DROP))
        wire = associations.protected(far_end, FRAME)
        packet = flows.arrives(wire, f"an ESP packet that {action.name} takes before DROP")
        associations.processed(rig, packet, f"an ESP packet for {action.name}")
        if delivered:
            flows.arrives(failed, f"an ESP packet with a wrong ICV that {action.name} takes before DROP")
        for rule in rules:
            flows.destroy(RULE, rule)


def rules_before_steering(rig: Rig) -> None:
    """A packet goes to the queue of a DIRECT_RX_VQ rule, whichever it goes to without, and to none with DROP."""
    flows = _rules_for(rig)
    queues = flows.queues()
    flows.arrives(FRAME, "a packet without rules")
    group = flows.group(1)
    for queue in queues:
        rule = flows.rule(group, IPV4_FRAMES, DIRECT, vq_index=2 * queue)
        flows.arrives(FRAME, f"a packet for a DIRECT_RX_VQ rule with vq_index {2 * queue}", queue)
        flows.destroy(RULE, rule)
    flows.rule(group, IPV4_FRAMES, DROP)
    flows.dropped(FRAME, "a packet for a DROP rule")


def unmatched_steered(rig: Rig) -> None:
    """Packets that no rule matches arrive unchanged, at the queue at which they arrive without any rule."""
    flows = filters.start(rig, DROP)
    flows.needs(IPV4_FRAMES)
    sent = {
        "UDP over IPv4": FRAME,
        "UDP over IPv6": frames.udp6_frame(),
        "TCP over IPv4": frames.ethernet(frames.ipv4(frames.tcp(b"data"), frames.TCP)),
    }
    queues = {name: flows.arrives(frame, f"{name} without rules").queue for name, frame in sent.items()}
    group = flows.group(1)
    unused = (filters.ethertype(b"\x88\xb5"),)  # local experimental EtherType 1, IEEE 802
    matches = (unused, *(filters.packets_of(kind, NO_PROTOCOL) for kind in (SelectorType.IPV4, SelectorType.IPV6)))
    for each in matches:
        if flows.can(each):
            flows.rule(group, each, DROP)
    for name, frame in sent.items():
        packet = flows.arrives(frame, f"{name} that no rule matches", queues[name])
        rig.equal(f"{name} that no rule matches: frame", frame, packet.frame)


# -- actions ---------------------------------------------------------------------------------------------------------


def action_taken(rig: Rig) -> None:
    """What a DROP rule matches is not delivered; what a DIRECT_RX_VQ rule matches arrives, unchanged, at its queue."""
    flows = _rules_for(rig)
    queues = flows.queues()
    group = flows.group(1)
    other = frames.udp6_frame()
    rule = flows.rule(group, IPV4_FRAMES, DROP)
    flows.dropped(FRAME, "an IPv4 packet, DROP takes IPv4")
    flows.arrives(other, "an IPv6 packet, DROP takes IPv4")
    flows.destroy(RULE, rule)
    flows.arrives(FRAME, "an IPv4 packet after the rule was destroyed")
    for queue in queues:
        rule = flows.rule(group, IPV6_FRAMES, DIRECT, vq_index=2 * queue)
        packet = flows.arrives(other, f"an IPv6 packet, DIRECT_RX_VQ with vq_index {2 * queue} takes IPv6", queue)
        rig.equal("an IPv6 packet that DIRECT_RX_VQ takes: frame", other, packet.frame)
        flows.destroy(RULE, rule)


def action_ipsec(rig: Rig) -> None:
    """An ESP packet that an IPSEC or IPSEC_RECIRCULATE rule matches comes out decrypted, and as it is without one."""
    flows = filters.start(rig, IPSEC)
    flows.needs(ESP_PACKETS)
    params = associations.sa(rig, Direction.INBOUND)
    associations.create(rig, params)
    far_end = associations.sender(params)
    group = flows.group(1)
    for action in (IPSEC, RECIRCULATE):
        if action not in flows.actions:
            continue
        rule = flows.rule(group, ESP_PACKETS, action)
        what = f"an ESP packet that {action.name} takes"
        packet = flows.arrives(associations.protected(far_end, FRAME), what)
        rig.equal(f"{what}: packet", FRAME[14:], packet.frame[14:])
        flows.destroy(RULE, rule)
        wire = associations.protected(far_end, FRAME)
        rig.equal(
            "an ESP packet without a rule: frame", wire, flows.arrives(wire, "an ESP packet without a rule").frame
        )


def drop_ends_processing(rig: Rig) -> None:
    """What a DROP rule takes is never delivered, though rules of lower priority direct it to a queue."""
    flows = _rules_for(rig)
    group, lower = flows.group(2), flows.group(1)
    flows.rule(group, IPV4_FRAMES, DROP)
    for queue in flows.queues():
        rule = flows.rule(lower, IPV4_FRAMES, DIRECT, vq_index=2 * queue)
        for number in range(3):
            flows.dropped(FRAME, f"packet {number + 1} for DROP, which comes before DIRECT_RX_VQ")
        flows.destroy(RULE, rule)
    flows.arrives(frames.udp6_frame(), "a packet that DROP does not take, after those that it took")


def drop_ages_no_sa(rig: Rig) -> None:
    """An ESP packet that DROP takes before IPSEC moves no replay window and does not count: it is accepted later."""
    flows = filters.start(rig, DROP, IPSEC)
    flows.needs(ESP_PACKETS)
    cap = associations.mode_cap(rig, IpsecMode.ESP_TUNNEL)
    window, lifetime = min(64, cap.max_replay_win_sz), Lifetime()
    if cap.options & IpsecOption.SA_LIFETIME:
        lifetime = Lifetime(packets_hard=1)
    elif not window:
        raise NotApplicable("no replay window and no lifetime that a packet could move")
    params = associations.sa(rig, Direction.INBOUND, replay_window=window, lifetime=lifetime)
    associations.create(rig, params)
    flows.rule(flows.group(1), ESP_PACKETS, IPSEC)
    drop = flows.rule(flows.group(2), ESP_PACKETS, DROP)
    wire = associations.protected(associations.sender(params), FRAME)
    flows.dropped(wire, "an ESP packet for DROP, which comes before IPSEC")
    flows.destroy(RULE, drop)
    associations.accepted(rig, wire, "the packet that DROP took, once more without DROP")


CHECKS: tuple[Callable[[Rig], None], ...] = (
    group_order,
    rule_order,
    lower_group_ignored,
    next_group,
    single_action,
    single_action_ipsec,
    rules_before_steering,
    unmatched_steered,
    action_taken,
    action_ipsec,
    drop_ends_processing,
    drop_ages_no_sa,
)
