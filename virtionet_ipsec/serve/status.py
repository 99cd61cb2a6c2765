"""What is told of a served device, in the types of JSON; never a key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from ..device.flow_filter import FlowTable, Rule
from ..ipsec import Direction
from ..policy import sa_parameters, sa_row
from ..safile.selects import select_as_dict
from ..wire.enums import SELECTOR_LENGTH, Action
from .policies import Policy
from .transparent import Transparent
from .wires import Wire


def counted(counters: Any) -> dict[str, Any]:
    """A dataclass of counts; those by reason with the reasons' names."""
    return {row.name: _plain(getattr(counters, row.name)) for row in fields(counters)}


def _plain(value: Any) -> Any:
    if not isinstance(value, Counter):
        return value
    return {getattr(reason, "value", reason): count for reason, count in value.most_common()}


def wires_told(wires: Iterable[Wire]) -> list[dict[str, Any]]:
    """Each wire: its name, its counts, and why it works no more, or ""."""
    return [
        {
            "name": wire.name,
            "sent": wire.sent,
            "received": wire.received,
            "dropped": wire.dropped,
            "failed": wire.failed,
        }
        for wire in wires
    ]


def sas_told(transparent: Transparent, start: int, most: int) -> list[dict[str, Any]]:
    """``most`` SAs from number ``start`` on, outbound ones first, by their ids."""
    device = transparent.device
    policies: dict[tuple[Direction, int], list[int]] = {}
    for policy in transparent.policies:
        policies.setdefault((policy.direction, policy.sa), []).append(policy.id)
    outbound, inbound = sorted(device.outbound), sorted(device.inbound)
    keys = [(Direction.OUTBOUND, each) for each in outbound[start : start + most]]
    behind = max(start - len(outbound), 0)
    keys += [(Direction.INBOUND, each) for each in inbound[behind : behind + most - len(keys)]]
    rows = []
    for direction, resource_id in keys:
        sa = device.outbound[resource_id] if direction is Direction.OUTBOUND else device.inbound[resource_id]
        about = {"policies": policies.get((direction, resource_id), []), "parameters": sa_parameters(sa.params)}
        rows.append(sa_row(resource_id, sa, **about))
    return rows


def policy_told(policy: Policy) -> dict[str, Any]:
    """One policy."""
    select = select_as_dict(policy.select)
    return {"id": policy.id, "direction": policy.direction.value, "sa": policy.sa, "select": select}


def rules_told(flows: FlowTable, own: set[int], start: int, most: int) -> list[dict[str, Any]]:
    """``most`` rules from number ``start`` on, in the order in which they are tried; ``own`` are the host's."""
    ordered = sorted(flows.rules.values(), key=lambda rule: (-rule.group_priority, -rule.rule_priority))
    return [_rule(rule, rule.resource_id in own) for rule in ordered[start : start + most]]


def _rule(rule: Rule, own: bool) -> dict[str, Any]:
    selectors, at = [], 0
    for kind in rule.classifier.types:
        end = at + SELECTOR_LENGTH[kind]
        mask, key = rule.classifier.mask[at:end], rule.key[at:end]
        selectors.append({"type": kind.name, "mask": mask.hex(), "key": key.hex()})
        at = end
    return {
        "resource_id": rule.resource_id,
        "group": rule.group_id,
        "group_priority": rule.group_priority,
        "rule_priority": rule.rule_priority,
        "classifier": rule.classifier_id,
        "action": Action(rule.action).name,
        "vq_index": rule.vq_index,
        "selectors": selectors,
        "own": own,
    }
