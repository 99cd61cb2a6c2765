"""The flow filter for checks (virtio 1.4, 5.1.9.6): what the device has of it, and objects in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import count
from math import ceil
from typing import Any

from ...driver import flow_rules
from ...driver.flow_rules import ETHERTYPE_AT, Match
from ...driver.packet import RxPacket
from ...wire.capabilities import FfActionCap, FfResourceCap, FfSelectorCap
from ...wire.codec import build, parse
from ...wire.enums import Action, AdminStatus, CapId, Feature, Opcode, ResourceType, SelectorType
from ...wire.flow_filter import FfClassifier
from ..verdict import Failed, NotApplicable
from .rig import Answer, Rig

CAPS = (CapId.FF_RESOURCE_CAP, CapId.FF_SELECTOR_CAP, CapId.FF_ACTION_CAP)
TYPES = (ResourceType.FF_GROUP, ResourceType.FF_CLASSIFIER, ResourceType.FF_RULE)
GROUP, CLASSIFIER, RULE = TYPES

# The limits of which the least bounds a type (D53).
_BOUNDS: dict[ResourceType, tuple[str, ...]] = {
    GROUP: ("groups_limit", "rules_per_group_limit"),
    CLASSIFIER: ("classifiers_limit",),
    RULE: ("rules_limit", "rules_per_group_limit"),
}

Matches = tuple[Match, ...]

# Where Protocol and Next Header lie.
_NEXT_AT = {SelectorType.IPV4: 9, SelectorType.IPV6: 6}
_ETHERTYPE = {SelectorType.IPV4: b"\x08\x00", SelectorType.IPV6: b"\x86\xdd"}

_FREE_PRIORITY = 0x4242  # a group_priority that no check uses


def ethertype(value: bytes) -> Match:
    """The Ethernet selector for EtherType alone."""
    return Match.fields(SelectorType.ETH, (ETHERTYPE_AT, value))


IPV4_FRAMES: Matches = (ethertype(_ETHERTYPE[SelectorType.IPV4]),)
IPV6_FRAMES: Matches = (ethertype(_ETHERTYPE[SelectorType.IPV6]),)


def packets_of(kind: SelectorType, protocol: int) -> Matches:
    """IPv4 or IPv6 packets with this Protocol or Next Header."""
    return (ethertype(_ETHERTYPE[kind]), Match.fields(kind, (_NEXT_AT[kind], bytes((protocol,)))))


def begin(rig: Rig, *, without: Collection[Feature] = ()) -> frozenset[int]:
    """Negotiate and LIST_USE, no capability set; gives the ids of those that the device lists.

    :class:`NotApplicable` unless one of the flow filter's is among them.
    """
    rig.needs(Feature.ADMIN_VQ)
    rig.negotiate(without=without)
    if Opcode.CAP_ID_LIST_QUERY not in rig.list_query():
        raise NotApplicable("the device has no capabilities")
    rig.driver.set_up_commands()
    listed = rig.cap_ids()
    if not listed & set(CAPS):
        raise NotApplicable("the device has no flow filter")
    return listed


def start(
    rig: Rig, *actions: Action, without: Collection[Feature] = (), limits: Mapping[str, int] | None = None
) -> FlowFilter:
    """Bring the device up with every capability set whole, but ``limits``, fields of FF_RESOURCE_CAP, as given.

    :class:`NotApplicable` for a device without ``actions``, or with less than ``limits``.
    """
    begin(rig, without=without)
    rig.driver.set_up_capabilities()
    flows = FlowFilter(rig)
    if not (flows.actions and flows.selectors):
        raise NotApplicable("a capability of the flow filter has no entry, which is as if it were disabled")
    if missing := [action.name for action in actions if action not in flows.actions]:
        raise NotApplicable(f"the flow filter has no action {' and no '.join(missing)}")
    if limits:
        flows.limit(limits)
    return flows


def flow_filter(rig: Rig, *actions: Action) -> FlowFilter:
    """The flow filter of a device that is up, with every capability set whole; as :func:`start` from there on."""
    rig.driver.set_up_commands()
    if not set(CAPS) <= rig.cap_ids():
        raise NotApplicable("the device has no flow filter")
    rig.driver.set_up_capabilities()
    flows = FlowFilter(rig)
    if missing := [action.name for action in actions if action not in flows.actions]:
        raise NotApplicable(f"the flow filter has no action {' and no '.join(missing)}")
    return flows


def can_steer(rig: Rig, action: Action) -> None:
    """Raise :class:`NotApplicable` when the device's flow filter cannot steer ESP, AH and UDP 4500 to ``action``.

    That takes selectors, the action and room.  A device without a flow filter
    passes: with VIRTIO_NET_F_IPSEC it is for the steering to fail.
    """
    if not set(CAPS) <= rig.cap_ids():
        return
    flows = FlowFilter(rig)
    if action not in flows.actions:
        raise NotApplicable(f"the flow filter has no action {action.name}")
    found = flow_rules.ipsec_matches((4500,))
    flows.needs(*found)
    groups = ceil(len(found) / max(flows.limits["last_rule_priority"], 1))
    flows.needs_room({GROUP: groups, CLASSIFIER: len({_shape(matches, 0) for matches in found}), RULE: len(found)})


class FlowFilter:
    """The flow filter of a rig's device; objects get ids from 0 on, unless a check gives one.

    :class:`NotApplicable` for the object that is one more than the device has room for.
    """

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.limits: dict[str, int] = {
            name: value
            for name, value in parse(FfResourceCap, self._cap(CapId.FF_RESOURCE_CAP)).items()
            if name.endswith(("_limit", "_priority"))
        }
        selectors = parse(FfSelectorCap, self._cap(CapId.FF_SELECTOR_CAP)).selectors
        self.selectors: dict[int, Any] = {selector.type: selector for selector in selectors}
        self.actions = frozenset(parse(FfActionCap, self._cap(CapId.FF_ACTION_CAP)).actions)
        self._used: dict[ResourceType, set[int]] = {kind: set() for kind in TYPES}
        self._room = {kind: min(self.limits[name] for name in names) for kind, names in _BOUNDS.items()}
        self._classifiers: dict[tuple[object, ...], int] = {}

    def _cap(self, cap: CapId) -> bytes:
        return self._rig.ok(self._rig.cap_get(cap), f"DEVICE_CAP_GET of {cap.name}")

    # -- capabilities --------------------------------------------------------------------------------------------

    def limit(self, limits: Mapping[str, int]) -> None:
        """DRIVER_CAP_SET of FF_RESOURCE_CAP: these fields as given, the others as the device has them."""
        for name, value in limits.items():
            if self.limits[name] < value:
                raise NotApplicable(f"the device's {name} is {self.limits[name]}, and this takes {value}")
        data = build(FfResourceCap, **(self.limits | dict(limits)))
        self._rig.ok(self._rig.cap_set(CapId.FF_RESOURCE_CAP, data), "DRIVER_CAP_SET of FF_RESOURCE_CAP")

    def can(self, matches: Matches) -> bool:
        """Whether the device can have a classifier of these selectors."""
        if len(matches) > self.limits["selectors_per_classifier_limit"]:
            return False
        for match in matches:
            cap = self.selectors.get(match.type)
            if cap is None or any(wanted & ~had for wanted, had in zip(match.mask, cap.mask, strict=True)):
                return False
        return True

    def needs(self, *each: Matches) -> None:
        """Raise :class:`NotApplicable` unless the device can match all of these."""
        for matches in each:
            if not self.can(matches):
                names = " and ".join(match.type.name for match in matches)
                raise NotApplicable(f"the flow filter cannot match what this takes of {names}")

    def needs_room(self, wanted: Mapping[ResourceType, int]) -> None:
        """Raise :class:`NotApplicable` unless there can be so many objects of each type at one time."""
        for kind, number in wanted.items():
            if self._room[kind] < number:
                raise NotApplicable(f"the device has room for {self._room[kind]} {kind.name}, and this takes {number}")

    def queues(self) -> tuple[int, ...]:
        """The receive queues (receiveq1 is 0), at most two, that a rule can direct packets to.

        How many there are is not told without VIRTIO_NET_F_MQ: a second one is there when a rule can name it.
        """
        group = self.group(_FREE_PRIORITY)
        answer = self.try_rule(group, IPV6_FRAMES, Action.DIRECT_RX_VQ, vq_index=2, resource_id=0)
        if answer.status == AdminStatus.OK:
            self.destroy(RULE, 0)
        self.destroy(GROUP, group)
        return (0, 1) if answer.status == AdminStatus.OK else (0,)

    # -- objects -------------------------------------------------------------------------------------------------

    def create(self, kind: ResourceType, data: bytes, what: str, resource_id: int | None = None) -> int:
        """CREATE, which has to succeed, under ``resource_id`` or the lowest that is free; gives the id."""
        number = self._free_id(kind) if resource_id is None else resource_id
        self._rig.ok(self._rig.create(kind, number, data), f"CREATE of {what}")
        self._used[kind].add(number)
        return number

    def destroy(self, kind: ResourceType, resource_id: int) -> None:
        """DESTROY, which has to succeed."""
        self._rig.ok(self._rig.destroy(kind, resource_id), f"DESTROY of {kind.name} {resource_id}")
        self._used[kind].discard(resource_id)

    def group(self, priority: int, resource_id: int | None = None) -> int:
        return self.create(GROUP, flow_rules.group(priority), f"a group with group_priority {priority}", resource_id)

    def classifier(self, matches: Matches, flags: int = 0) -> int:
        """The classifier of these masks; there is one of each.  ``flags`` are those of the last selector."""
        shape = _shape(matches, flags)
        if shape not in self._classifiers:
            names = " and ".join(match.type.name for match in matches)
            self._classifiers[shape] = self.create(CLASSIFIER, classifier_object(matches, flags), f"one for {names}")
        return self._classifiers[shape]

    def destroy_classifier(self, matches: Matches, flags: int = 0) -> None:
        """Destroy the classifier that :meth:`classifier` gave for these masks; it has no rules."""
        self.destroy(CLASSIFIER, self._classifiers.pop(_shape(matches, flags)))

    def try_rule(
        self,
        group: int,
        matches: Matches,
        action: int,
        priority: int = 0,
        *,
        vq_index: int = 0,
        resource_id: int | None = None,
    ) -> Answer:
        """CREATE of a rule, with what its classifier and keys take from ``matches``; whoever calls destroys it."""
        number = self._free_id(RULE) if resource_id is None else resource_id
        data = flow_rules.rule(group, self.classifier(matches), priority, action, matches, vq_index)
        return self._rig.create(RULE, number, data)

    def rule(
        self,
        group: int,
        matches: Matches,
        action: Action,
        priority: int = 0,
        *,
        vq_index: int = 0,
        resource_id: int | None = None,
        flags: int = 0,
    ) -> int:
        """A rule, which has to be accepted, whose classifier's last selector has ``flags``; gives its id."""
        classifier = self.classifier(matches, flags)
        data = flow_rules.rule(group, classifier, priority, action, matches, vq_index)
        return self.create(RULE, data, f"a rule with rule_priority {priority}, action {action.name}", resource_id)

    def _free_id(self, kind: ResourceType) -> int:
        number = next(number for number in count() if number not in self._used[kind])
        self.needs_room({kind: number + 1})
        return number

    # -- packets -------------------------------------------------------------------------------------------------

    def dropped(self, frame: bytes, what: str) -> None:
        """Let ``frame`` arrive; the check fails when the driver gets it."""
        got = self._rig.receive(frame)
        if got is not None:
            raise Failed(what, "dropped", f"delivered to receive queue {got.queue}")

    def arrives(self, frame: bytes, what: str, queue: int | None = None) -> RxPacket:
        """Let ``frame`` arrive; it has to be delivered, to ``queue`` where it is given."""
        got = self._rig.receive(frame)
        wanted = "delivered" if queue is None else f"delivered to receive queue {queue}"
        if got is None:
            raise Failed(what, wanted, "nothing delivered")
        if queue not in (None, got.queue):
            raise Failed(what, wanted, f"delivered to receive queue {got.queue}")
        return self._rig.completed(got)


def _shape(matches: Matches, flags: int) -> tuple[object, ...]:
    return (flags, *((match.type, match.mask) for match in matches))


def classifier_object(matches: Matches, flags: int = 0) -> bytes:
    """The classifier object of these selectors, the last one with ``flags``."""
    selectors: list[dict[str, Any]] = [{"type": match.type, "mask": match.mask} for match in matches]
    selectors[-1]["flags"] = flags
    return build(FfClassifier, selectors=selectors)
