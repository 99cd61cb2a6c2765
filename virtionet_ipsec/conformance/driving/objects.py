"""Resource objects for checks: valid ones of every type that the device has, within limits that stay small.

``each`` starts the device anew for every type, so that what a check does to
one type does not stand in the way of the next.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from ...driver.sa_object import sa_object
from ...ipsec import Direction, SaParams
from ...wire.capabilities import FfActionCap, FfResourceCap, FfSelectorCap, IpsecResourceCap, ipsec_sa_cap
from ...wire.codec import build, parse
from ...wire.enums import Action, AdminStatus, CapId, Feature, Opcode, ResourceType, SelectorType
from ...wire.flow_filter import FfClassifier, FfGroup, FfRule
from ...wire.sa import ipsec_sa
from ..verdict import NotApplicable
from .associations import INBOUND, OUTBOUND, SA_TYPE
from .rig import Answer, Rig
from .sa_objects import any_sa

LIMIT = 4
"""How many objects of a type there can be, unless a check says otherwise or the device has fewer."""

FF_CAPS = (CapId.FF_RESOURCE_CAP, CapId.FF_SELECTOR_CAP, CapId.FF_ACTION_CAP)
IPSEC_CAPS = (CapId.IPSEC_RESOURCE_CAP, CapId.IPSEC_SA_CAP)
LIMIT_FIELDS = {
    CapId.FF_RESOURCE_CAP: ("groups_limit", "classifiers_limit", "rules_limit", "rules_per_group_limit"),
    CapId.IPSEC_RESOURCE_CAP: ("inb_sa_limit", "outb_sa_limit"),
}
LIMIT_CAPS: dict[CapId, Any] = {CapId.FF_RESOURCE_CAP: FfResourceCap, CapId.IPSEC_RESOURCE_CAP: IpsecResourceCap}
_ARRAY_CAPS: dict[CapId, Any] = {CapId.FF_SELECTOR_CAP: FfSelectorCap, CapId.FF_ACTION_CAP: FfActionCap}

_OBJECT_OPCODES = frozenset(
    {
        Opcode.RESOURCE_OBJ_CREATE,
        Opcode.RESOURCE_OBJ_MODIFY,
        Opcode.RESOURCE_OBJ_QUERY,
        Opcode.RESOURCE_OBJ_DESTROY,
    }
)
_ACTIONS = (Action.DROP, Action.DIRECT_RX_VQ, Action.IPSEC, Action.IPSEC_RECIRCULATE)
_NONE = 0x7F  # no selector type, action, IPsec mode, direction or algorithm has this number
_ETHERTYPE = b"\x88\xb5"  # for local experiments (IEEE 802)


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of objects on a started device.  The ids are 0 to ``limit`` - 1, ``limit`` is the driver's.

    ``data(n)`` are valid ``resource_obj_specific_data`` that conflict for no
    two n; ``changed(n)`` is what MODIFY can make of ``data(n)``.
    ``needed`` are the objects that they depend on: type, id, data.
    """

    type: ResourceType
    limit: int
    data: Callable[[int], bytes]
    changed: Callable[[int], bytes]
    needed: tuple[tuple[ResourceType, int, bytes], ...] = ()

    @property
    def name(self) -> str:
        return self.type.name


def device_caps(rig: Rig) -> dict[CapId, bytes]:
    """The device's capabilities that virtio 1.4 gives to the network device, as they are."""
    known = [cap for cap in CapId if cap in rig.cap_ids()]
    return {cap: rig.ok(rig.cap_get(cap), f"DEVICE_CAP_GET of {cap.name}") for cap in known}


def structure_length(rig: Rig, cap: CapId, data: bytes) -> int:
    """How long the structure of a capability is, with as many entries as ``data`` says."""
    structure = {**LIMIT_CAPS, **_ARRAY_CAPS, CapId.IPSEC_SA_CAP: ipsec_sa_cap(rig.profile)}[cap]
    return len(build(structure, **_fields(structure, data)))


def set_up(rig: Rig) -> dict[CapId, bytes]:
    """Bring the device up to the commands, with no capability set; gives the device's capabilities."""
    rig.needs(Feature.ADMIN_VQ)
    rig.negotiate()
    supported = rig.list_query()
    if not supported >= {Opcode.CAP_ID_LIST_QUERY, Opcode.DEVICE_CAP_GET, Opcode.DRIVER_CAP_SET}:
        raise NotApplicable("the device has no commands on capabilities")
    rig.driver.set_up_commands()
    return device_caps(rig)


def start(rig: Rig, limit: int = LIMIT, *, unset: Collection[CapId] = ()) -> dict[ResourceType, Kind]:
    """Bring the device up with limits of at most ``limit``; gives the types of objects that it has.

    The capabilities in ``unset`` are left alone.  An object's ``needed`` ones do not exist yet.
    """
    caps = set_up(rig)
    if not rig.list_query() >= _OBJECT_OPCODES:
        raise NotApplicable("the device has no commands on resource objects")
    limits = {}
    for cap, data in caps.items():
        if cap in LIMIT_CAPS:
            limits[cap] = _small(cap, data, limit)
            data = build(LIMIT_CAPS[cap], **limits[cap])
        if cap not in unset:
            rig.ok(rig.cap_set(cap, data), f"DRIVER_CAP_SET of {cap.name}")
    kinds = []
    if caps.keys() >= set(FF_CAPS):
        kinds += _flow_filter_kinds(caps, limits[CapId.FF_RESOURCE_CAP])
    if caps.keys() >= set(IPSEC_CAPS):
        kinds += _sa_kinds(rig, limits[CapId.IPSEC_RESOURCE_CAP])
    found = {kind.type: kind for kind in kinds if kind.limit}
    if not found:
        raise NotApplicable("the device has no resource objects that this check knows")
    return found


def each(rig: Rig, limit: int = LIMIT) -> Iterator[Kind]:
    """Every type of objects that the device has, on the device started anew, and what its objects depend on."""
    for kind_type in list(start(rig, limit)):
        kind = start(rig, limit)[kind_type]
        make_needed(rig, kind)
        yield kind


def make_needed(rig: Rig, kind: Kind) -> None:
    """Create what objects of this type depend on."""
    for needed, number, data in kind.needed:
        rig.ok(rig.create(needed, number, data), f"CREATE of {needed.name} {number}")


def make(rig: Rig, kind: Kind, number: int = 0) -> bytes:
    """Create ``data(number)`` with the id ``number``; gives the data.  A device that refuses fails the check."""
    data = kind.data(number)
    rig.ok(rig.create(kind.type, number, data), f"CREATE of {kind.name} {number}")
    return data


def succeeded(answer: Answer) -> bool:
    """Whether the command was answered, with OK."""
    return bool(answer.written) and answer.status == AdminStatus.OK


def held(rig: Rig, kind: Kind, number: int = 0) -> bytes:
    """What QUERY gives of an object; a device that refuses fails the check."""
    return rig.ok(rig.query(kind.type, number), f"QUERY of {kind.name} {number}")


def check_held(rig: Rig, kind: Kind, number: int, data: bytes, when: str) -> None:
    """Fail unless QUERY gives these octets; zeros may be missing at the end, or be there (2.13)."""
    got = held(rig, kind, number)
    length = max(len(got), len(data))
    pairs = zip(data.ljust(length, b"\0"), got.ljust(length, b"\0"), strict=True)
    differ = next((at for at, (expected, found) in enumerate(pairs) if expected != found), None)
    what = f"QUERY of {kind.name} {number} {when}"
    rig.expect(differ is None, what, "the data of the object", f"others from octet {differ} on")


def impossible(rig: Rig, kind: Kind) -> Iterator[tuple[str, bytes]]:
    """What object 0 of this type cannot be made, or changed into: in words, and data; what is not named is valid.

    Of groups there is one more afterwards.
    """
    match kind.type:
        case ResourceType.FF_GROUP:
            if kind.limit > 1:
                yield "another group's priority", make(rig, kind, 1)
        case ResourceType.FF_CLASSIFIER:
            unknown, inner = ({"type": _NONE, "mask": bytes(14)}, {"type": SelectorType.IPV4, "mask": bytes(20)})
            yield "no selectors", build(FfClassifier)
            yield "an unknown selector type", build(FfClassifier, selectors=[unknown])
            yield "IPv4 outermost", build(FfClassifier, selectors=[inner])
        case ResourceType.FF_RULE:
            fields = _fields(FfRule, kind.changed(0))
            for field in ("group_id", "classifier_id"):
                yield f"a {field} that does not exist", build(FfRule, **fields | {field: 0x7FFF})
            yield "an unknown action", build(FfRule, **fields | {"action": _NONE})
        case _:
            structure = ipsec_sa(rig.profile)
            fields = _fields(structure, kind.changed(0))
            for field in ("mode", "direction", "cipher_algo"):
                yield f"an unknown {field}", build(structure, **fields | {field: _NONE})
            yield "an unknown option", build(structure, **fields | {"options": 1 << 63})


def sa_kind(rig: Rig, params: SaParams, limit: int) -> Kind:
    """The SAs with these parameters, but for the SPI; ``data(0)`` has this one."""
    tunnel, window = params.tunnel, params.replay_window
    if params.direction is INBOUND:
        other = replace(params, replay_window=window // 2)
    else:
        other = replace(params, tunnel=tunnel and replace(tunnel, ttl=tunnel.ttl - 1))

    def data(of: SaParams) -> Callable[[int], bytes]:
        return lambda n: sa_object(replace(of, spi=of.spi + n), n, rig.profile)

    return Kind(SA_TYPE[params.direction], limit, data(params), data(other))


def _fields(structure: Any, data: bytes) -> dict[str, Any]:
    return {name: value for name, value in parse(structure, data).items() if not name.startswith("_")}


def _small(cap: CapId, data: bytes, limit: int) -> dict[str, Any]:
    """The capability's fields with all limits of objects at ``limit`` or less.

    Those of the flow filter are made equal, as one of them bounds several types
    (D53), and no more than the priorities that rules of one group can have (D22).
    """
    fields = _fields(LIMIT_CAPS[cap], data)
    names = LIMIT_FIELDS[cap]
    if cap is CapId.FF_RESOURCE_CAP:
        limit = min([limit, *filter(None, (fields[name] for name in (*names, "last_rule_priority")))])
    return fields | {name: min(fields[name], limit) for name in names}


def _flow_filter_kinds(caps: dict[CapId, bytes], limits: dict[str, Any]) -> list[Kind]:
    selectors = parse(FfSelectorCap, caps[CapId.FF_SELECTOR_CAP]).selectors
    actions = parse(FfActionCap, caps[CapId.FF_ACTION_CAP]).actions
    if not (selectors and actions):  # set so, the capability is disabled (D36)
        return []
    ethernet = next((selector for selector in selectors if selector.type == SelectorType.ETH), None)
    group = Kind(
        ResourceType.FF_GROUP,
        min(limits["groups_limit"], limits["rules_per_group_limit"]),
        lambda n: build(FfGroup, group_priority=n + 1),
        lambda n: build(FfGroup, group_priority=n + 1001),
    )
    if ethernet is None or not limits["selectors_per_classifier_limit"]:
        return [group]
    mask: bytes = ethernet.mask
    classifier = Kind(
        ResourceType.FF_CLASSIFIER,
        limits["classifiers_limit"],
        lambda _: _classifier(mask, ethernet.flags),
        lambda _: _classifier(bytes(6) + mask[6:], ethernet.flags),
    )
    action = next((each for each in _ACTIONS if each in actions), None)
    if action is None or not (group.limit and classifier.limit and limits["last_rule_priority"]):
        return [group, classifier]

    def rule(address: int, priority: int) -> bytes:
        key = bytes((2, 0, 0, 0, 0, address)) + bytes(6) + _ETHERTYPE
        masked = bytes(octet & bits for octet, bits in zip(key, mask, strict=True))
        return build(FfRule, rule_priority=priority, action=action, keys=masked)

    return [
        group,
        classifier,
        Kind(
            ResourceType.FF_RULE,
            min(limits["rules_limit"], limits["rules_per_group_limit"]),
            lambda n: rule(n, n),
            lambda n: rule(n + 128, n),
            ((group.type, 0, group.data(0)), (classifier.type, 0, classifier.data(0))),
        ),
    ]


def _classifier(mask: bytes, flags: int) -> bytes:
    return build(FfClassifier, selectors=[{"type": SelectorType.ETH, "flags": flags, "mask": mask}])


def _sa_kinds(rig: Rig, limits: dict[str, Any]) -> list[Kind]:
    fields = {OUTBOUND: "outb_sa_limit", INBOUND: "inb_sa_limit"}
    kinds = []
    for direction, field in fields.items():
        params = _any_sa(rig, direction)
        if params is not None:
            kinds.append(sa_kind(rig, params, limits[field]))
    return kinds


def _any_sa(rig: Rig, direction: Direction) -> SaParams | None:
    """Parameters of an SA that the device can do, whatever its modes are; with a replay window, if it has any."""
    for window in (64, 0) if direction is INBOUND else (0,):
        with suppress(NotApplicable):
            return any_sa(rig, direction, replay_window=window)
    return None
