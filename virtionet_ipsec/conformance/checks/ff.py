"""Flow filter, virtio 1.4, 5.1.9.6."""

from __future__ import annotations

from contextlib import suppress
from itertools import product

from ...driver import flow_rules
from ...driver.flow_rules import Match
from ...wire.admin import ResourceObjCreateData
from ...wire.capabilities import FfActionCap, FfResourceCap, FfSelectorCap
from ...wire.codec import build, parse
from ...wire.enums import (
    Action,
    AdminStatus,
    CapId,
    Feature,
    Opcode,
    Qualifier,
    SelectorFlag,
    SelectorType,
)
from ...wire.net import NetConfig
from ..check import add, check
from ..driving import controlled_flows, filter_order, filters, frames, matching
from ..driving.filters import CLASSIFIER, GROUP, IPV4_FRAMES, IPV6_FRAMES, RULE, FlowFilter, Matches
from ..driving.rig import Rig
from ..verdict import NotApplicable

DROP, DIRECT = Action.DROP, Action.DIRECT_RX_VQ
UDP_PACKETS = filters.packets_of(SelectorType.IPV4, frames.UDP)

# -- capabilities and objects ----------------------------------------------------------------------------------------


@check
def capabilities_listed(rig: Rig) -> None:
    """CAP_ID_LIST_QUERY has all three flow filter capabilities when it has one of them."""
    listed = filters.begin(rig)
    names = {cap.name for cap in filters.CAPS}
    rig.equal("flow filter capabilities", names, {cap.name for cap in filters.CAPS if cap in listed})


@check
def object_commands(rig: Rig) -> None:
    """CREATE, QUERY, MODIFY and DESTROY of a group, a classifier and a rule succeed."""
    flows = filters.start(rig)
    flows.needs(IPV4_FRAMES)
    before = flow_rules.rule(0, 0, 0, min(flows.actions), IPV4_FRAMES)
    objects = (
        (GROUP, flow_rules.group(1), flow_rules.group(2)),
        (CLASSIFIER, filters.classifier_object(IPV4_FRAMES), filters.classifier_object(IPV4_FRAMES)),
        (RULE, before, flow_rules.rule(0, 0, 0, min(flows.actions), IPV6_FRAMES)),
    )
    for kind, data, changed in objects:
        rig.ok(rig.create(kind, 0, data), f"CREATE of {kind.name}")
        rig.ok(rig.query(kind, 0), f"QUERY of {kind.name}")
        rig.ok(rig.modify(kind, 0, changed), f"MODIFY of {kind.name}")
    for kind, _, _ in reversed(objects):
        rig.ok(rig.destroy(kind, 0), f"DESTROY of {kind.name}")


@check
def disabled_capability(rig: Rig) -> None:
    """With any flow filter capability not set, or set to nothing, its object commands get EINVAL, INVALID_OPCODE."""
    nothing = {
        CapId.FF_RESOURCE_CAP: build(FfResourceCap),
        CapId.FF_SELECTOR_CAP: build(FfSelectorCap),
        CapId.FF_ACTION_CAP: build(FfActionCap),
    }
    for disabled, zeroed in product(filters.CAPS, (False, True)):
        listed = filters.begin(rig)
        for cap in filters.CAPS:
            if cap in listed and (zeroed or cap is not disabled):
                data = rig.ok(rig.cap_get(cap), f"DEVICE_CAP_GET of {cap.name}")
                rig.ok(rig.cap_set(cap, data), f"DRIVER_CAP_SET of {cap.name}")
        if zeroed and disabled in listed:
            rig.ok(rig.cap_set(disabled, nothing[disabled]), f"DRIVER_CAP_SET of {disabled.name} with nothing")
        _no_objects(rig, f"with {disabled.name} {'set to nothing' if zeroed else 'not set'}")


def _no_objects(rig: Rig, when: str) -> None:
    objects = {
        GROUP: flow_rules.group(1),
        CLASSIFIER: filters.classifier_object(IPV4_FRAMES),
        RULE: flow_rules.rule(0, 0, 0, DROP, IPV4_FRAMES),
    }
    for kind, data in objects.items():
        answers = {
            "CREATE": rig.create(kind, 0, data),
            "MODIFY": rig.modify(kind, 0, data),
            "QUERY": rig.query(kind, 0),
            "DESTROY": rig.destroy(kind, 0),
        }
        for name, answer in answers.items():
            rig.refused(answer, f"{name} of {kind.name} {when}", AdminStatus.EINVAL, Qualifier.INVALID_OPCODE)


@check
def group_priority_taken(rig: Rig) -> None:
    """A second group with the first one's group_priority gets EINVAL; one with another, or after the first, is made."""
    flows = filters.start(rig, limits={"groups_limit": 2, "rules_per_group_limit": 2})
    for priority in (0, 1, 0x100, 0xFFFF):
        flows.group(priority, 0)
        answer = rig.create(GROUP, 1, flow_rules.group(priority))
        what = f"CREATE of a group with group_priority {priority}, which another has"
        rig.refused(answer, what, AdminStatus.EINVAL)
        flows.group(priority ^ 1, 1)
        flows.destroy(GROUP, 0)
        flows.group(priority, 0)
        flows.destroy(GROUP, 0)
        flows.destroy(GROUP, 1)


@check
def group_limit(rig: Rig) -> None:
    """With groups_limit 2, rules_per_group_limit 3, and the reverse, two groups are made, a third gets ENOSPC."""
    for limits in ({"groups_limit": 2, "rules_per_group_limit": 3}, {"groups_limit": 3, "rules_per_group_limit": 2}):
        flows = filters.start(rig, limits=limits)
        said = ", ".join(f"{name} {value}" for name, value in limits.items())
        for number in range(2):
            flows.group(number, number)
        answer = rig.create(GROUP, 2, flow_rules.group(2))
        rig.refused(answer, f"CREATE of a third group ({said})", AdminStatus.ENOSPC)
        flows.destroy(GROUP, 0)
        flows.group(7, 0)


@check
def classifier_limit(rig: Rig) -> None:
    """With classifiers_limit 2 the third classifier gets ENOSPC; two are made, and another after one is destroyed."""
    flows = filters.start(rig, limits={"classifiers_limit": 2})
    flows.needs(IPV4_FRAMES)
    data = filters.classifier_object(IPV4_FRAMES)
    for number in range(2):
        flows.create(CLASSIFIER, data, "a classifier within the limit", number)
    answer = rig.create(CLASSIFIER, 2, data)
    what = "CREATE of a third classifier (classifiers_limit 2)"
    rig.refused(answer, what, AdminStatus.ENOSPC)
    flows.destroy(CLASSIFIER, 0)
    flows.create(CLASSIFIER, data, "a classifier when one was destroyed", 0)


@check
def group_in_use(rig: Rig) -> None:
    """DESTROY of a group gets EBUSY as long as one of its two rules is there, and succeeds after that."""
    flows = filters.start(rig, DROP)
    flows.needs(IPV4_FRAMES)
    group, other = flows.group(1), flows.group(2)
    rules = [flows.rule(group, IPV4_FRAMES, DROP), flows.rule(group, IPV6_FRAMES, DROP)]
    for number, rule in enumerate(rules):
        answer = rig.destroy(GROUP, group)
        rig.refused(answer, f"DESTROY of a group, {2 - number} rules left", AdminStatus.EBUSY)
        flows.destroy(RULE, rule)
    flows.destroy(GROUP, other)
    flows.destroy(GROUP, group)


@check
def classifier_in_use(rig: Rig) -> None:
    """DESTROY of a classifier gets EBUSY as long as one of its two rules is there, and succeeds after that."""
    flows = filters.start(rig, DROP)
    flows.needs(IPV4_FRAMES)
    classifier = flows.classifier(IPV4_FRAMES)
    rules = [flows.rule(flows.group(number), IPV4_FRAMES, DROP) for number in range(2)]
    for number, rule in enumerate(rules):
        answer = rig.destroy(CLASSIFIER, classifier)
        what = f"DESTROY of a classifier, {2 - number} rules left"
        rig.refused(answer, what, AdminStatus.EBUSY)
        flows.destroy(RULE, rule)
    flows.destroy(CLASSIFIER, classifier)


@check
def rule_vq_index(rig: Rig) -> None:
    """A DIRECT_RX_VQ rule is refused for a vq_index of no receive virtqueue, odd or beyond the last, and made for 0."""
    flows = filters.start(rig, DIRECT)
    flows.needs(IPV4_FRAMES)
    invalid = {1, 3, 0xFFFF}
    config = parse(NetConfig, rig.port.read_config(0, NetConfig.sizeof()))
    pairs = config.max_virtqueue_pairs if rig.offers(Feature.MQ) or rig.offers(Feature.RSS) else 1
    if pairs < 0x8000:
        invalid.add(0xFFFE)
    if pairs > 1:
        invalid |= {2 * pairs - 1, 2 * pairs}
    group = flows.group(1)
    for index in sorted(invalid):
        answer = flows.try_rule(group, IPV4_FRAMES, DIRECT, vq_index=index)
        rig.refused(answer, f"CREATE of a DIRECT_RX_VQ rule with vq_index {index}")
    flows.rule(group, IPV4_FRAMES, DIRECT, vq_index=0)


@check
def rule_priority_range(rig: Rig) -> None:
    """A rule_priority of last_rule_priority or more is refused, one below it is not."""
    for last in (1, 5, 0xFF):
        flows = filters.start(rig, DROP)
        if last > 1 and flows.limits["last_rule_priority"] < last:
            continue
        flows.limit({"last_rule_priority": last})
        flows.needs(IPV4_FRAMES)
        group = flows.group(1)
        for priority in sorted({last, min(last + 1, 0xFF), 0xFF}):
            answer = flows.try_rule(group, IPV4_FRAMES, DROP, priority)
            rig.refused(answer, f"CREATE of a rule with rule_priority {priority} (last_rule_priority {last})")
        for priority in sorted({0, last - 1}):
            flows.rule(group, IPV4_FRAMES, DROP, priority)


@check
def rule_id_limit(rig: Rig) -> None:
    """With rules_limit 2, rules_per_group_limit 4, and the reverse, a rule with id 2 or more is refused, 1 is not."""
    for limits in ({"rules_limit": 2, "rules_per_group_limit": 4}, {"rules_limit": 4, "rules_per_group_limit": 2}):
        flows = filters.start(rig, DROP, limits=limits)
        flows.needs(IPV4_FRAMES)
        group = flows.group(1)
        for number in (2, 3, 0xFFFFFFFF):
            answer = flows.try_rule(group, IPV4_FRAMES, DROP, resource_id=number)
            said = ", ".join(f"{name} {value}" for name, value in limits.items())
            rig.refused(answer, f"CREATE of a rule with id {number} ({said})")
        flows.rule(group, IPV4_FRAMES, DROP, resource_id=1)


@check
def rule_key_length(rig: Rig) -> None:
    """A rule is refused with keys one octet too short or too long, empty or of another number of selectors."""
    flows = filters.start(rig, DROP)
    flows.needs(IPV4_FRAMES)
    group = flows.group(1)
    for matches in (IPV4_FRAMES, UDP_PACKETS):
        if not flows.can(matches):
            continue
        classifier = flows.classifier(matches)
        key = b"".join(match.key for match in matches)
        for length in sorted({0, 14, len(key) - 1, len(key) + 1, len(key) + 20, 0xFF} - {len(key)}):
            wrong = (Match(SelectorType.ETH, b"", key.ljust(length, b"\0")[:length]),)
            answer = rig.create(RULE, 0, flow_rules.rule(group, classifier, 0, DROP, wrong))
            rig.refused(answer, f"CREATE of a rule with keys of {length} octets for masks of {len(key)}")
        flows.destroy(RULE, flows.rule(group, matches, DROP))


@check
def rule_action_unsupported(rig: Rig) -> None:
    """A rule is refused with an action that FF_ACTION_CAP lacks, with and without IPsec, and made with any other."""
    _unsupported_actions(rig, filters.start(rig))
    with suppress(NotApplicable):  # no action may be left without IPsec
        _unsupported_actions(rig, filters.start(rig, without=(Feature.IPSEC,)))


def _unsupported_actions(rig: Rig, flows: FlowFilter) -> None:
    flows.needs(IPV4_FRAMES)
    group = flows.group(1)
    for action in sorted({0, *Action, 5, 0x80, 0xFF} - flows.actions):
        answer = flows.try_rule(group, IPV4_FRAMES, action)
        rig.refused(answer, f"CREATE of a rule with action {action}, the device has {sorted(flows.actions)}")
    for action in sorted(flows.actions & set(Action)):
        flows.destroy(RULE, flows.rule(group, IPV4_FRAMES, Action(action)))


@check
def partial_mask_create(rig: Rig) -> None:
    """A classifier with PARTIAL_MASK is made, for whole fields and for parts, whatever the command's flags."""
    flows = filters.start(rig)
    tried = False
    for kind in SelectorType:
        cap = flows.selectors.get(kind)
        if cap is None or not cap.flags & SelectorFlag.PARTIAL_MASK or not any(cap.mask):
            continue
        part = bytes(octet & 0x55 for octet in cap.mask)
        for front in matching.in_front_of(kind):
            whole: Matches = (*front, Match(kind, cap.mask, cap.mask))
            if flows.can(whole):
                tried = True
                _make_partial(rig, flows, whole, (*front, Match(kind, part, part)))
    if not tried:
        raise NotApplicable("no selector has VIRTIO_NET_FF_MASK_F_PARTIAL_MASK")


def _make_partial(rig: Rig, flows: FlowFilter, whole: Matches, part: Matches) -> None:
    partial = SelectorFlag.PARTIAL_MASK
    # Which flags are meant, the command's or the selectors', is open: the selectors' count, the command's do not (D37).
    for flags, matches in ((0, whole), (partial, whole), (0, part), (partial, part)):
        data = build(ResourceObjCreateData, hdr={"type": CLASSIFIER, "id": 0}, flags=flags)
        answer = rig.command(Opcode.RESOURCE_OBJ_CREATE, data + filters.classifier_object(matches, partial))
        masks = "whole fields" if matches is whole else "parts of fields"
        names = " and ".join(match.type.name for match in matches)
        rig.ok(answer, f"CREATE of a classifier with PARTIAL_MASK and {masks} of {names}, command flags {int(flags)}")
        flows.destroy(CLASSIFIER, 0)


for _run in filter_order.CHECKS + controlled_flows.CHECKS:
    add(f"ff.{_run.__name__.replace('_', '-')}", _run.__doc__ or "", _run)
for _topic in matching.TOPICS:
    add(f"ff.{_topic.name}", _topic.sentence, _topic.run)
