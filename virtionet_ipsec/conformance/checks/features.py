"""Feature bits, virtio 1.4, 2.2."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ...device.negotiation import feature_names
from ...wire.enums import Feature, Status
from ...wire.features import FEATURE_REQUIREMENTS, missing_requirements
from ..check import check
from ..driving.rig import Rig, mask
from ..verdict import NotApplicable

_MASK = 128
"""Feature bits that a transport carries; those above are reserved."""

# A device MAY fail to operate without these (virtio 1.4, 6, device requirements).
_INSISTED_ON = (Feature.VERSION_1, Feature.ACCESS_PLATFORM, Feature.ORDER_PLATFORM)

# What transitional devices offer: NOTIFY_ON_EMPTY, ANY_LAYOUT and 30 (6.3); GSO and GUEST_RSC6 (5.1.3.2).
_TRANSITIONAL = frozenset({24, 27, 30, 6, 42})


def _accepted(rig: Rig, features: int) -> bool:
    """Whether FEATURES_OK stays set when the driver writes these features after a reset."""
    rig.reset()
    rig.set_status(Status.ACKNOWLEDGE)
    rig.set_status(Status.DRIVER)
    rig.port.set_driver_features(features)
    return bool(rig.set_status(Status.FEATURES_OK) & Status.FEATURES_OK)


def _names(features: int) -> str:
    return ", ".join(feature_names(features)) or "none"


def _described(rig: Rig) -> int:
    """The offered features that virtio 1.4 describes."""
    return rig.port.features & mask(tuple(Feature))


def _base(rig: Rig) -> int:
    return mask(_INSISTED_ON) & rig.port.features


def _met(any_of: Iterable[Feature], features: int) -> bool:
    return any(features >> each & 1 for each in any_of)


def _with_required(feature: Feature, offered: int) -> int:
    """``feature`` with what it requires, of alternatives the first that is offered."""
    features, todo = 1 << feature, [feature]
    while todo:
        for any_of in FEATURE_REQUIREMENTS.get(todo.pop(), ()):
            if not _met(any_of, features):
                chosen = next((each for each in any_of if offered >> each & 1), any_of[0])
                features |= 1 << chosen
                todo.append(chosen)
    return features


def _without(feature: Feature, features: int) -> int:
    """``features`` without this one, and without those that require it."""
    features &= ~(1 << feature)
    for other, all_of in FEATURE_REQUIREMENTS.items():
        if features >> other & 1 and not all(_met(any_of, features) for any_of in all_of):
            return _without(other, features)
    return features


@check
def requirements(rig: Rig) -> None:
    """Every feature offered has what it requires offered beside it."""
    missing = missing_requirements(rig.port.features)
    rig.expect(not missing, "offered features", "each with what it requires", "; ".join(missing))


@check
def accepts_valid_subset(rig: Rig) -> None:
    """All that is offered, each feature with what it requires, and all but each are accepted: FEATURES_OK stays set."""
    offered, base = _described(rig), _base(rig)
    kept = [feature for feature in Feature if offered >> feature & 1 and not base >> feature & 1]
    subsets = {base, offered}
    subsets.update(base | _with_required(feature, offered) for feature in kept)
    subsets.update(_without(feature, offered) for feature in kept)
    for subset in sorted(subsets):
        if not subset & ~offered and not missing_requirements(subset):
            got = "set" if _accepted(rig, subset) else "clear"
            rig.equal(f"FEATURES_OK with driver features {_names(subset)}", "set", got)


@check
def refuses_features_ok(rig: Rig) -> None:
    """The driver writes one feature that was not offered beside those that were: FEATURES_OK does not stay set."""
    offered = rig.port.features
    for base in {_base(rig), _described(rig)}:
        for bit in range(_MASK):
            if not offered >> bit & 1:
                got = "set" if _accepted(rig, base | 1 << bit) else "clear"
                rig.equal(f"FEATURES_OK with {_names(1 << bit)}, which was not offered", "clear", got)


def _offers_none(rig: Rig, what: str, numbers: Iterable[int], described: Collection[int]) -> None:
    strange = [bit for bit in numbers if rig.port.features >> bit & 1 and bit not in described]
    got = ", ".join(f"bit {bit}" for bit in strange)
    rig.expect(not strange, f"offered features: {what}", "none", got)


@check
def offers_no_undescribed(rig: Rig) -> None:
    """Of the bits 24 to 40 and 43, those are offered alone that virtio 1.4 describes."""
    _offers_none(rig, "bits that are not described", (*range(24, 41), 43), {*Feature, *_TRANSITIONAL})


@check
def offers_no_reserved(rig: Rig) -> None:
    """None of the bits 44 to 49, and 128 and above, is offered."""
    above = range(_MASK, max(rig.port.features.bit_length(), _MASK))
    _offers_none(rig, "reserved bits", (*range(44, 50), *above), ())


@check
def offers_none_of_other_types(rig: Rig) -> None:
    """Of the bits 0 to 23, 42 and 50 to 127, those are offered alone that virtio 1.4 gives to the network device."""
    numbers = (*range(24), 42, *range(50, _MASK))
    _offers_none(rig, "bits that the network device does not have", numbers, {*Feature, *_TRANSITIONAL})


@check
def renegotiates(rig: Rig) -> None:
    """A set of features that was accepted, and used up to DRIVER_OK, is accepted again after a device reset."""
    sets = {_described(rig), _base(rig)}
    accepted = [features for features in sorted(sets) if _accepted(rig, features)]
    if not accepted:
        raise NotApplicable("the device accepts neither all that it offers nor the least of it")
    for features in accepted * 2:
        got = "set" if _accepted(rig, features) else "clear"
        rig.equal(f"FEATURES_OK, again with driver features {_names(features)}", "set", got)
        rig.set_status(Status.DRIVER_OK)
