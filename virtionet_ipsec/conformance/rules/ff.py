"""The flow filter, virtio 1.4, 5.1.9.6: capabilities, classifiers, rules.

What a driver creates is judged whatever the device answers.  Priorities are
about rules that a group has: there only commands that were carried out count.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import islice
from typing import Any

from ...device.ethernet import ETHERTYPE
from ...device.exchanges import Commanded
from ...device.header_fields import ETHERTYPE_OCTETS, NEXT_PROTOCOL, partly_masked
from ...wire.codec import parse
from ...wire.enums import (
    FF_CAPS,
    FF_TYPES,
    SELECTOR_LENGTH,
    CapId,
    Opcode,
    ResourceType,
    SelectorFlag,
    SelectorType,
)
from ...wire.flow_filter import FfClassifier, FfRule
from ..watching.capability_data import nothing
from ..watching.command import Command
from ..watching.object_index import other
from ..watching.overlap import may_overlap
from ..watching.rule import Finding, add, on_command
from ..watching.view import View

_IP = (SelectorType.IPV4, SelectorType.IPV6)
_ETHERTYPES = {SelectorType.IPV4: ETHERTYPE[4], SelectorType.IPV6: ETHERTYPE[6]}
_PROTOCOLS = {SelectorType.TCP: 6, SelectorType.UDP: 17, SelectorType.ESP: 50}

_MOST_COMPARED = 64
"""Rules of one priority that a new one is compared with: a driver with more has been told."""


def _about(command: Command, kind: ResourceType) -> bool:
    return command.for_self and command.object[0] == kind


@lru_cache(maxsize=64)
def _selectors(classifier: bytes) -> list[Any]:
    """The selectors of a classifier, or of FF_SELECTOR_CAP, which looks the same: many rules ask for those of one."""
    return list(parse(FfClassifier, classifier).selectors)


@on_command(Opcode.RESOURCE_OBJ_CREATE)
def capabilities_enabled(view: View, command: Command) -> Finding:
    """The three capabilities of the flow filter are enabled before its objects are created (D36)."""
    if not command.for_self or command.object[0] not in FF_TYPES:
        return None
    name = ResourceType(command.object[0]).name
    disabled = [cap.name for cap in FF_CAPS if nothing(cap, view.driver_caps.get(cap, b""))]
    return [f"{name} is created while {cap} is not enabled" for cap in disabled]


# -- what rules depend on ----------------------------------------------------------------------------------------


@on_command(Opcode.RESOURCE_OBJ_DESTROY)
def group_in_use(view: View, command: Command) -> Finding:
    """A group is destroyed after all its rules."""
    if not _about(command, ResourceType.FF_GROUP) or command.object not in view.objects:
        return None
    rules = view.index.rules_of_group(command.object[1])
    return [f"FF_GROUP {command.object[1]} is destroyed while it has {len(rules)} rules"] if rules else []


@on_command(Opcode.RESOURCE_OBJ_DESTROY)
def classifier_in_use(view: View, command: Command) -> Finding:
    """A classifier is destroyed after all the rules that use it."""
    if not _about(command, ResourceType.FF_CLASSIFIER) or command.object not in view.objects:
        return None
    rules = view.index.rules_of_classifier(command.object[1])
    return [f"FF_CLASSIFIER {command.object[1]} is destroyed while {len(rules)} rules use it"] if rules else []


# -- priorities --------------------------------------------------------------------------------------------------


def _had_beside(view: View, command: Command) -> list[int] | None:
    """The other rules of the group that have this rule's priority; None when the group has no others.

    None as well for a rule that the device refused: the group does not have it.
    """
    if not command.ok or not _about(command, ResourceType.FF_RULE):
        return None
    rule, own_id = _fields(command.object_data), command.object[1]
    if other(view.index.rules_of_group(rule.group_id), own_id) is None:
        return None
    same = view.index.rules_with_priority(rule.group_id, rule.rule_priority)
    return list(islice((each for each in same if each != own_id), _MOST_COMPARED))


@on_command(Opcode.RESOURCE_OBJ_CREATE)
def same_priority(view: View, command: Command) -> Finding:
    """No rule is added to a group with the rule_priority of another; one that the device refused is not."""
    same = _had_beside(view, command)
    if same is None:
        return None
    return [f"FF_RULE {command.object[1]} has the rule_priority of FF_RULE {same[0]}"] if same else []


@on_command(Opcode.RESOURCE_OBJ_CREATE, Opcode.RESOURCE_OBJ_MODIFY)
def overlap_priority(view: View, command: Command) -> Finding:
    """Rules that a group has, created or modified, and that may match one packet have different priorities."""
    same = _had_beside(view, command)
    if same is None:
        return None
    new = _with_classifier(view, command.object_data)
    for number in same:
        old = _with_classifier(view, view.objects[ResourceType.FF_RULE, number])
        if new is not None and old is not None and may_overlap(*new, *old):
            what = f"FF_RULE {command.object[1]} and FF_RULE {number}"
            return [f"{what} have the same rule_priority and may match the same packet"]
    return []


@lru_cache(maxsize=4 * _MOST_COMPARED)
def _fields(rule: bytes) -> Any:
    return parse(FfRule, rule)


def _with_classifier(view: View, rule: bytes) -> tuple[Any, bytes] | None:
    """The selectors and the keys of a rule; None when there is no such classifier."""
    fields = _fields(rule)
    classifier = view.objects.get((ResourceType.FF_CLASSIFIER, fields.classifier_id))
    return None if classifier is None else (_selectors(classifier), fields["keys"])


# -- classifiers -------------------------------------------------------------------------------------------------


def _selector_type(place: int, name: str, *allowed: SelectorType) -> None:
    """The rule that ``selectors[place]`` has one of these types."""

    def judge(_: View, command: Command) -> Finding:
        selectors = _selectors(command.object_data) if _about(command, ResourceType.FF_CLASSIFIER) else []
        if len(selectors) <= place:
            return None
        given = selectors[place].type
        wanted = " or ".join(each.name for each in allowed)
        return [] if given in allowed else [f"selectors[{place}].type is {given}, not {wanted}"]

    names = ", ".join(each.name for each in allowed)
    sentence = f"selectors[{place}].type of a new classifier is one of: {names}."
    add(f"driver.ff.{name}", sentence, (Commanded,), judge, frozenset({Opcode.RESOURCE_OBJ_CREATE}))


_selector_type(0, "first-selector", SelectorType.ETH)
_selector_type(1, "second-selector", *_IP)
_selector_type(2, "third-selector", SelectorType.UDP, SelectorType.TCP, SelectorType.ESP)


@on_command(Opcode.RESOURCE_OBJ_CREATE)
def ethertype_mask(_: View, command: Command) -> Finding:
    """With a second selector, the first one's mask covers EtherType."""
    if not _about(command, ResourceType.FF_CLASSIFIER):
        return None
    selectors = _selectors(command.object_data)
    if len(selectors) < 2 or selectors[0].type != SelectorType.ETH:
        return None
    mask = selectors[0].mask[ETHERTYPE_OCTETS]
    return [] if mask == b"\xff\xff" else ["selectors[0].mask does not cover EtherType"]


@on_command(Opcode.RESOURCE_OBJ_CREATE)
def protocol_mask(_: View, command: Command) -> Finding:
    """With a third selector, the second one's mask covers Protocol or Next Header."""
    if not _about(command, ResourceType.FF_CLASSIFIER):
        return None
    selectors = _selectors(command.object_data)
    if len(selectors) < 3 or selectors[1].type not in _IP:
        return None
    at = NEXT_PROTOCOL[selectors[1].type]
    mask = selectors[1].mask[at : at + 1]
    return [] if mask == b"\xff" else ["selectors[1].mask does not cover what follows the IP header"]


def _partly(selector: Any) -> str:
    """The field that a selector takes in part; empty for none, and for a mask that is not as long as its header."""
    if SELECTOR_LENGTH.get(selector.type) != len(selector.mask):
        return ""
    return partly_masked(SelectorType(selector.type), selector.mask)


def _partial(selector: Any) -> bool:
    return bool(selector.flags & SelectorFlag.PARTIAL_MASK)


@on_command(Opcode.DRIVER_CAP_SET)
def capability_whole_fields(_: View, command: Command) -> Finding:
    """Without PARTIAL_MASK, a mask in the driver's FF_SELECTOR_CAP takes fields whole."""
    if not command.for_self or command.cap_id != CapId.FF_SELECTOR_CAP:
        return None
    selectors = [each for each in _selectors(command.cap_data) if not _partial(each)]
    return _whole(selectors, "FF_SELECTOR_CAP") if selectors else None


@on_command(Opcode.RESOURCE_OBJ_CREATE)
def classifier_whole_fields(view: View, command: Command) -> Finding:
    """Without PARTIAL_MASK, in the selector or in the driver's FF_SELECTOR_CAP, a classifier takes fields whole."""
    if not _about(command, ResourceType.FF_CLASSIFIER):
        return None
    cap = _selectors(view.driver_caps.get(CapId.FF_SELECTOR_CAP, b""))
    partial = {each.type for each in cap if _partial(each)}
    selectors = _selectors(command.object_data)
    whole = [each for each in selectors if not _partial(each) and each.type not in partial]
    return _whole(whole, f"FF_CLASSIFIER {command.object[1]}") if whole else None


def _whole(selectors: list[Any], where: str) -> list[str]:
    found = [(each.type, _partly(each)) for each in selectors]
    return [f"{where}: the mask of selector type {kind} takes a part of {field}" for kind, field in found if field]


# -- keys --------------------------------------------------------------------------------------------------------

_Selectors = list[Any]


def _key_rule(name: str, sentence: str, judge: Callable[[_Selectors, bytes], Finding]) -> None:
    """A rule on the keys of a new rule whose classifier has an IP selector behind the Ethernet one."""

    def on_rule(view: View, command: Command) -> Finding:
        found = _with_classifier(view, command.object_data) if _about(command, ResourceType.FF_RULE) else None
        if found is None or len(found[0]) < 2 or found[0][1].type not in _IP:
            return None
        return judge(*found)

    add(f"driver.ff.{name}", sentence, (Commanded,), on_rule, frozenset({Opcode.RESOURCE_OBJ_CREATE}))


def _ethertype_key(selectors: _Selectors, keys: bytes) -> Finding:
    given, right = keys[ETHERTYPE_OCTETS], _ETHERTYPES[selectors[1].type]
    said = f"keys do not have the second selector's EtherType, {right.hex()}"
    return [] if given == right else [said]


def _protocol_key(selectors: _Selectors, keys: bytes) -> Finding:
    if len(selectors) < 3 or selectors[2].type not in _PROTOCOLS:
        return None
    at = selectors[0].length + NEXT_PROTOCOL[selectors[1].type]
    given, right = keys[at : at + 1], _PROTOCOLS[selectors[2].type]
    said = f"keys have protocol {given[0] if given else 'nothing'}, and the third selector's is {right}"
    return [] if given == bytes((right,)) else [said]


_key_rule("ethertype-key", "The EtherType in keys is that of the classifier's second selector.", _ethertype_key)
_key_rule("protocol-key", "The protocol in keys is that of the classifier's third selector.", _protocol_key)
