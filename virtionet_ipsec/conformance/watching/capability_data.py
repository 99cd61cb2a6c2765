"""What capabilities say, side by side: the device's and the driver's (virtio 1.4, 2.12.1.2).

An entry of an array capability is known by its first octet: the type of a
selector, an action, the mode of an SA.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ...wire.capabilities import FfActionCap, FfResourceCap, FfSelectorCap, IpsecResourceCap, ipsec_sa_cap
from ...wire.codec import parse
from ...wire.enums import FF_CAPS, FF_TYPES, IPSEC_CAPS, SA_TYPES, CapId, ResourceType
from ...wire.profile import Profile
from .view import View

RELATED: dict[int, tuple[ResourceType, ...]] = {
    **dict.fromkeys(FF_CAPS, FF_TYPES),
    **dict.fromkeys(IPSEC_CAPS, SA_TYPES),
}
"""The types of objects that depend on a capability: the flow filter's on all of its own (5.1.9.6), SAs on theirs."""

LIMITS: dict[int, tuple[Any, tuple[str, ...]]] = {
    CapId.FF_RESOURCE_CAP: (
        FfResourceCap,
        (
            "groups_limit",
            "classifiers_limit",
            "rules_limit",
            "rules_per_group_limit",
            "selectors_per_classifier_limit",
        ),
    ),
    CapId.IPSEC_RESOURCE_CAP: (IpsecResourceCap, ("inb_sa_limit", "outb_sa_limit")),
}
"""The capabilities with limits: structure, and those of its fields that are one."""

LIMIT_OF: dict[int, tuple[CapId, str]] = {
    ResourceType.FF_GROUP: (CapId.FF_RESOURCE_CAP, "groups_limit"),
    ResourceType.FF_CLASSIFIER: (CapId.FF_RESOURCE_CAP, "classifiers_limit"),
    ResourceType.FF_RULE: (CapId.FF_RESOURCE_CAP, "rules_limit"),
    ResourceType.IPSEC_OUTB_SA: (CapId.IPSEC_RESOURCE_CAP, "outb_sa_limit"),
    ResourceType.IPSEC_INB_SA: (CapId.IPSEC_RESOURCE_CAP, "inb_sa_limit"),
}
"""Where the limit of each type of object is."""

_KNOWN_BY: dict[int, str] = {
    CapId.FF_SELECTOR_CAP: "selector type",
    CapId.FF_ACTION_CAP: "action",
    CapId.IPSEC_SA_CAP: "mode",
}
ARRAYS = frozenset(_KNOWN_BY)
"""The capabilities that are arrays."""

# Fields of an entry that are sets of flags, and those that are numbers which the driver may lower.
_FLAGS: dict[int, tuple[str, ...]] = {
    CapId.FF_SELECTOR_CAP: ("flags",),
    CapId.IPSEC_SA_CAP: ("options", "cipher_algo", "hmac_algo", "aead_algo"),
}
_NUMBERS = ("max_replay_win_sz", "max_cipher_key_len", "max_auth_key_len")

Entries = dict[int, dict[str, Any]]
"""The fields of each entry, by what it is known by; of two for one thing the last."""


def limits(cap: int, data: bytes) -> dict[str, int]:
    """The limits in ``cap_specific_data`` of a capability in :data:`LIMITS`."""
    structure, names = LIMITS[cap]
    fields = parse(structure, data)
    return {name: fields[name] for name in names}


def entries(cap: int, data: bytes, profile: Profile) -> Entries:
    """The entries in ``cap_specific_data`` of a capability in :data:`ARRAYS`."""
    if cap == CapId.FF_ACTION_CAP:
        return {action: {} for action in parse(FfActionCap, data).actions}
    if cap == CapId.FF_SELECTOR_CAP:
        return {each.type: dict(each) for each in parse(FfSelectorCap, data).selectors}
    return {each.mode: dict(each) for each in parse(ipsec_sa_cap(profile), data).cap_mode}


def nothing(cap: int, data: bytes) -> bool:
    """Whether a capability with this ``cap_specific_data`` is disabled (decision D36): no entry, or no number but 0.

    last_rule_priority is such a number, though no limit of objects.
    """
    if cap in ARRAYS:
        return not any(data[:1])
    structure, _ = LIMITS[cap]
    fields = parse(structure, data)
    return not any(fields[each.name] for each in structure.subcons if each.name != "reserved")


def related_objects(view: View, cap: int) -> list[str]:
    """How many objects exist of each type that depends on a capability, in words."""
    counts = view.index.counts
    return [f"{counts[kind]} {kind.name}" for kind in RELATED.get(cap, ()) if counts[kind]]


def flags_beyond(cap: int, wanted: Entries, had: Entries) -> Iterator[str]:
    """Flags of the driver's entries that the device's entry for the same thing lacks, in words."""
    for key in wanted.keys() & had.keys():
        for name in _FLAGS.get(cap, ()):
            if extra := wanted[key][name] & ~had[key][name]:
                yield f"{entry_name(cap, key)}: {name} has the bits {extra:#x}, which were not reported"


def entries_beyond(cap: int, wanted: Entries, had: Entries) -> Iterator[str]:
    """Entries of the driver's that are more than the device's, in words; flags apart."""
    for key, fields in wanted.items():
        if key not in had:
            yield f"{entry_name(cap, key)} was not reported"
            continue
        yield from (f"{entry_name(cap, key)}: {what}" for what in _more(fields, had[key]))


def _more(wanted: dict[str, Any], had: dict[str, Any]) -> Iterable[str]:
    for name in _NUMBERS:
        if wanted.get(name, 0) > had.get(name, 0):
            yield f"{name} {wanted[name]} is more than the {had[name]} reported"
    mask, reported = wanted.get("mask", b""), had.get("mask", b"")
    if any(bits & ~has for bits, has in zip(mask, reported.ljust(len(mask), b"\0"), strict=False)):
        yield "mask has bits that were not reported"


def entry_name(cap: int, key: int) -> str:
    """What an entry is known by, in words."""
    return f"{_KNOWN_BY[cap]} {key}"
