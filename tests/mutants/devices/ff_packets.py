"""Devices that are wrong about which flow filter rule acts on a packet, and about what it does."""

from __future__ import annotations

from virtionet_ipsec.device import Device, Received
from virtionet_ipsec.device.flow_filter import FlowTable, Rule
from virtionet_ipsec.device.receive import Receiver
from virtionet_ipsec.wire.enums import Action, SelectorType

from ..flow_filters import choosing, receiver, seeing, with_lookup, with_masks
from ..mutant import breaks

# -- which rule acts -------------------------------------------------------------------------------------------------


@breaks("ff.dev.groups-highest-first")
class LowestGroupFirst(Device):
    """Groups are tried from the lowest priority to the highest."""

    __init__ = choosing(
        lambda rules: min(rules, key=lambda rule: (rule.group_priority, -rule.rule_priority), default=None)
    )


@breaks("ff.dev.groups-highest-first")
class GroupPriorityOfOneOctet(Device):
    """Of group_priority the low octet alone counts."""

    __init__ = choosing(
        lambda rules: max(rules, key=lambda rule: (rule.group_priority & 0xFF, rule.rule_priority), default=None)
    )


@breaks("ff.dev.groups-highest-first")
class RulePriorityAboveGroups(Device):
    """The rule with the highest rule_priority of all groups is tried first."""

    __init__ = choosing(
        lambda rules: max(rules, key=lambda rule: (rule.rule_priority, rule.group_priority), default=None)
    )


def _lower_groups_drop(rules: list[Rule]) -> Rule | None:
    lower = [rule for rule in rules if rule.group_id != rules[0].group_id and rule.action == Action.DROP]
    return next(iter(lower + rules), None)


@breaks("ff.dev.groups-remaining-ignored")
class LowerGroupsDrop(Device):
    """A DROP rule in a group of lower priority acts as well."""

    __init__ = choosing(_lower_groups_drop)


def _first_group_only(flows: FlowTable, frame: bytes) -> Rule | None:
    rule = flows.lookup(frame)
    return rule if rule is not None and rule.group_priority == max(flows.groups.values()) else None


@breaks("ff.dev.groups-next")
class FirstGroupOnly(Device):
    """When no rule of the group with the highest priority matches, the others are not tried."""

    __init__ = with_lookup(_first_group_only)


@breaks("ff.dev.rules-highest-first")
class LowestRuleFirst(Device):
    """Rules of a group are tried from the lowest priority to the highest."""

    __init__ = choosing(
        lambda rules: max(rules, key=lambda rule: (rule.group_priority, -rule.rule_priority), default=None)
    )


@breaks("ff.dev.rules-highest-first")
class MostSelectorsFirst(Device):
    """Of the rules of a group the one with the most selectors is tried first."""

    __init__ = choosing(
        lambda rules: max(rules, key=lambda rule: (rule.group_priority, len(rule.classifier.types)), default=None)
    )


def _recirculating_failures(receiver: Receiver, frame: bytes) -> tuple[bytes, bytes, bool]:
    front, body, processed = Receiver._ipsec(receiver, frame)
    taken = receiver._flows.lookup(frame)
    if not processed and taken is not None and taken.action == Action.IPSEC_RECIRCULATE:
        others = FlowTable()
        for rule in receiver._flows.rules.values():
            if rule.action not in (Action.IPSEC, Action.IPSEC_RECIRCULATE):
                others.put_rule(rule)
        again = others.lookup(frame)
        if again is not None:
            receiver._final_action(again)
    return front, body, processed


@breaks("ff.dev.rules-stop", "ff.dev.single-action")
class RecirculatesFailures(Device):
    """IPSEC_RECIRCULATE lets the rules with DROP act on a packet that failed IPsec processing, too."""

    _receiver_class = receiver(_ipsec=_recirculating_failures)


@breaks("ff.dev.rules-stop", "ff.dev.single-action")
class LaterRulesDrop(Device):
    """A DROP rule acts even on a packet that another rule took before."""

    __init__ = choosing(lambda rules: next(iter([rule for rule in rules if rule.action == Action.DROP] + rules), None))


def _rules_after_ipsec(receiver: Receiver, frame: bytes) -> tuple[bytes, bytes, bool]:
    front, body, processed = Receiver._ipsec(receiver, frame)
    if processed:
        receiver._recirculate(front[receiver._size :] + body)
    return front, body, processed


@breaks("ff.dev.rules-stop", "ff.dev.single-action")
class RulesAfterIpsec(Device):
    """After IPSEC the rules are applied again, as after IPSEC_RECIRCULATE."""

    _receiver_class = receiver(_ipsec=_rules_after_ipsec)


def _steers_directed_packets(rule: Rule) -> int:
    Receiver._final_action(rule)
    return 0


@breaks("ff.dev.steering-ceases", queue_pairs=2)
class SteersDirectedPackets(Device):
    """A packet that a rule directs to a queue is steered to receiveq1 after that."""

    _receiver_class = receiver(_final_action=staticmethod(_steers_directed_packets))


@breaks("ff.dev.order-rules-second")
class SteersBeforeRules(Device):
    """Packets are steered without being looked up in the rules."""

    __init__ = with_lookup(lambda flows, frame: None)


@breaks("ff.dev.order-steering-last")
class DropsUnmatched(Device):
    """A packet that no rule matches is treated as the first rule says."""

    __init__ = with_lookup(lambda flows, frame: flows.lookup(frame) or next(iter(flows.rules.values()), None))


def _processes_what_it_drops(receiver: Receiver, frame: bytes) -> Received | None:
    received = Receiver.receive(receiver, frame)
    if received is None:
        receiver._ipsec(frame)
    return received


@breaks("ff.dev.drop-ends-processing")
class ProcessesWhatItDrops(Device):
    """An ESP packet that a rule drops goes through IPsec processing all the same."""

    _receiver_class = receiver(receive=_processes_what_it_drops)


@breaks("ff.dev.drop-ends-processing")
class LaterRulesRevive(Device):
    """A packet that DROP takes is delivered when a rule further down directs it to a queue."""

    __init__ = choosing(
        lambda rules: next(iter([rule for rule in rules if rule.action == Action.DIRECT_RX_VQ] + rules), None)
    )


# -- what a rule matches, and what it does ---------------------------------------------------------------------------


@breaks("ff.dev.action-taken")
class DeliversDropped(Device):
    """A packet for DROP is delivered."""

    __init__ = choosing(lambda rules: rules[0] if rules and rules[0].action != Action.DROP else None)


@breaks("ff.dev.action-taken", queue_pairs=2)
class CountsVirtqueues(Device):
    """vq_index is taken for the number of the receive queue."""

    _receiver_class = receiver(
        _final_action=staticmethod(lambda rule: Receiver._final_action(rule) + rule.vq_index - rule.vq_index // 2)
    )


@breaks("ff.dev.action-taken")
class HandsUpEsp(Device):
    """IPSEC hands the packet up as it came."""

    _receiver_class = receiver(_ipsec=lambda receiver, frame: (receiver._plain_header, frame, False))


@breaks("ff.dev.action-taken")
class SeesNoTags(Device):
    """A packet behind a VLAN tag is no IP packet to the rules."""

    __init__ = seeing(lambda frame: frame[:18] if frame[12:14] == b"\x81\x00" else frame)


@breaks("ff.dev.action-taken")
class SeesFirstNextHeader(Device):
    """Hop-by-hop options are what the rules see, and not what is behind them."""

    __init__ = seeing(lambda frame: frame[:54] if frame[12:14] == b"\x86\xdd" and frame[20] == 0 else frame)


@breaks("ff.dev.action-taken")
class SeesUdpInFragments(Device):
    """A later IPv4 fragment is looked at as if a transport header were in it."""

    __init__ = seeing(lambda frame: frame[:20] + b"\0\0" + frame[22:] if frame[12:14] == b"\x08\x00" else frame)


def _first(frame: bytes) -> bytes:
    return frame[:20] + b"\0\0" + frame[22:] if frame[12:14] == b"\x08\x00" and not frame[21] else frame


@breaks("ff.dev.action-taken")
class LooksAtOneOctetOfTheOffset(Device):
    """A later IPv4 fragment whose Fragment Offset ends in a zero octet is taken for a first one."""

    __init__ = seeing(_first)


@breaks("ff.dev.action-taken")
class SeesNoPadding(Device):
    """The rules see an IPv4 packet no further than its Total Length."""

    __init__ = seeing(
        lambda frame: frame[: 14 + int.from_bytes(frame[16:18], "big")] if frame[12:14] == b"\x08\x00" else frame
    )


@breaks("ff.dev.action-taken")
class IgnoresTtl(Device):
    """Time to Live is not compared."""

    __init__ = with_masks(lambda right: right.mask[:22] + b"\0" + right.mask[23:] if right.family == 4 else right.mask)


@breaks("ff.dev.action-taken")
class IgnoresUdpLength(Device):
    """Of the UDP header, Source and Destination Port alone are compared."""

    __init__ = with_masks(
        lambda right: right.mask[:-4] + bytes(4) if right.types[-1] is SelectorType.UDP else right.mask
    )


@breaks("ff.dev.action-taken")
class ComparesWholeOctets(Device):
    """Of an octet that the mask takes in part, all bits are compared."""

    __init__ = with_masks(lambda right: bytes(0xFF if octet else 0 for octet in right.mask))
