"""Device and driver capabilities, virtio 1.4, 2.12.1.2."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...wire.admin import CapGetData, CapSetData
from ...wire.capabilities import FfSelectorCap, ipsec_sa_cap
from ...wire.codec import build, parse
from ...wire.enums import AdminStatus, CapId, Feature, GroupType, Opcode, ResourceType, SelectorFlag
from ..check import check
from ..driving import objects
from ..driving.rig import Rig
from ..verdict import NotApplicable, NotObservable

_COMMANDS = (Opcode.CAP_ID_LIST_QUERY, Opcode.DEVICE_CAP_GET, Opcode.DRIVER_CAP_SET)
_BITMAPS = ("options", "cipher_algo", "hmac_algo", "aead_algo")
_BITS = {"options": 32, "cipher_algo": 64, "hmac_algo": 64, "aead_algo": 32, "flags": 8}
_MOST = 0xFFFFFFFF  # what a limit can be
_OTHER_GROUPS = (GroupType.SRIOV, 2, 0x7FFF)
_SA_TYPES = (ResourceType.IPSEC_OUTB_SA, ResourceType.IPSEC_INB_SA)
_UNRELATED = {
    ResourceType.FF_GROUP: CapId.IPSEC_RESOURCE_CAP,
    **dict.fromkeys(_SA_TYPES, CapId.FF_RESOURCE_CAP),
}


def _supported(rig: Rig, opcode: Opcode) -> None:
    """Bring the device up to the commands; fail unless ``opcode`` is listed when any of the three is."""
    rig.needs(Feature.ADMIN_VQ)
    rig.negotiate()
    listed = rig.list_query()
    if not listed & set(_COMMANDS):
        raise NotApplicable("the device has no commands on capabilities")
    rig.expect(opcode in listed, f"LIST_QUERY: {opcode.name}", "listed, as commands on capabilities are", "not listed")
    rig.driver.set_up_commands()


@check
def supports_id_list_query(rig: Rig) -> None:
    """CAP_ID_LIST_QUERY is listed, when any command on capabilities is, and gives a bitmap."""
    _supported(rig, Opcode.CAP_ID_LIST_QUERY)
    rig.cap_ids()


@check
def supports_device_get(rig: Rig) -> None:
    """DEVICE_CAP_GET is listed, when any command on capabilities is, and gives every capability that is reported."""
    _supported(rig, Opcode.DEVICE_CAP_GET)
    for cap in sorted(rig.cap_ids()):
        rig.ok(rig.cap_get(cap), f"DEVICE_CAP_GET of capability {cap:#06x}")


@check
def supports_driver_set(rig: Rig) -> None:
    """DRIVER_CAP_SET is listed, when any command on capabilities is, and takes a capability as the device has it."""
    _supported(rig, Opcode.DRIVER_CAP_SET)
    for cap, data in objects.device_caps(rig).items():
        rig.ok(rig.cap_set(cap, data), f"DRIVER_CAP_SET of {cap.name} as the device reports it")


@check
def set_limit(rig: Rig) -> None:
    """Each limit of objects can be set to the device's own value, one less, 1 and 0, whatever was set before."""
    limits = {cap: data for cap, data in objects.set_up(rig).items() if cap in objects.LIMIT_CAPS}
    if not limits:
        raise NotApplicable("the device has no capability with a limit of objects")
    for cap, data in limits.items():
        for field in objects.LIMIT_FIELDS[cap]:
            fields = _fields(parse(objects.LIMIT_CAPS[cap], data))
            most = fields[field]
            for value in sorted({most, max(most - 1, 0), min(most, 1), 0}):
                smaller = build(objects.LIMIT_CAPS[cap], **fields | {field: value})
                rig.ok(rig.cap_set(cap, smaller), f"DRIVER_CAP_SET of {cap.name} with {field} {value} of {most}")
        rig.ok(rig.cap_set(cap, data), f"DRIVER_CAP_SET of {cap.name} as the device reports it")


@check
def set_limit_beside_others(rig: Rig) -> None:
    """Limits of SAs can be set while a group exists, and those of the flow filter while an SA exists."""
    tried = False
    for kind in objects.each(rig):
        other, caps = _UNRELATED.get(kind.type), objects.device_caps(rig)
        if other is None or other not in caps:
            continue
        tried = True
        objects.make(rig, kind)
        fields = _fields(parse(objects.LIMIT_CAPS[other], caps[other]))
        for name in objects.LIMIT_FIELDS[other]:
            data = build(objects.LIMIT_CAPS[other], **fields | {name: min(fields[name], 1)})
            rig.ok(rig.cap_set(other, data), f"DRIVER_CAP_SET of {other.name} while an {kind.name} exists")
    if not tried:
        raise NotApplicable("the device does not have both SAs and a flow filter")


@check
def set_flags(rig: Rig) -> None:
    """Each bitmap of a capability can be set whole, with each of its bits left out, with each alone, and to zero."""
    caps = objects.set_up(rig)
    bitmaps = [*_sa_bitmaps(rig, caps), *_selector_flags(caps)]
    if not bitmaps:
        raise NotApplicable("the device has no capability with flags")
    for cap, what, data in bitmaps:
        rig.ok(rig.cap_set(cap, data), f"DRIVER_CAP_SET of {cap.name} with {what}")


@check
def set_beyond_device(rig: Rig) -> None:
    """A limit one above the device's, and a bit that no bitmap of the device has, are set: OK, or EINVAL."""
    caps = objects.set_up(rig)
    beyond = [*_limits_beyond(caps), *_bits_beyond(rig, caps)]
    if not beyond:
        raise NotApplicable("the device has no capability with a limit of objects or with flags")
    for cap, what, data in beyond:
        answer = rig.cap_set(cap, data)
        conforms = answer.written and answer.status in (AdminStatus.OK, AdminStatus.EINVAL)
        rig.expect(bool(conforms), f"DRIVER_CAP_SET of {cap.name} with {what}", "EINVAL, or OK", str(answer))


def _limits_beyond(caps: dict[CapId, bytes]) -> Iterator[tuple[CapId, str, bytes]]:
    for cap, structure in objects.LIMIT_CAPS.items():
        if cap in caps:
            fields = _fields(parse(structure, caps[cap]))
            for name in objects.LIMIT_FIELDS[cap]:
                if fields[name] < _MOST:
                    more = fields[name] + 1
                    yield cap, f"{name} {more}, device {fields[name]}", build(structure, **fields | {name: more})


def _bits_beyond(rig: Rig, caps: dict[CapId, bytes]) -> Iterator[tuple[CapId, str, bytes]]:
    """The lowest bit that the device does not have, in each bitmap of an SA mode and in each selector's flags."""
    sa_cap = ipsec_sa_cap(rig.profile)
    for cap, structure, array, each, names in (
        (CapId.IPSEC_SA_CAP, sa_cap, "cap_mode", "mode", _BITMAPS),
        (CapId.FF_SELECTOR_CAP, FfSelectorCap, "selectors", "type", ("flags",)),
    ):
        if cap not in caps:
            continue
        entries = [_fields(entry) for entry in parse(structure, caps[cap])[array]]
        for index, entry in enumerate(entries):
            for name in names:
                more = entry[name] | entry[name] + 1
                if more < 1 << _BITS[name]:
                    changed = [*entries[:index], entry | {name: more}, *entries[index + 1 :]]
                    what = f"{name} {more:#x} in {each} {entry[each]}, device {int(entry[name]):#x}"
                    yield cap, what, build(structure, **{array: changed})


def _sa_bitmaps(rig: Rig, caps: dict[CapId, bytes]) -> Iterator[tuple[CapId, str, bytes]]:
    if CapId.IPSEC_SA_CAP not in caps:
        return
    structure = ipsec_sa_cap(rig.profile)
    modes = [_fields(mode) for mode in parse(structure, caps[CapId.IPSEC_SA_CAP]).cap_mode]
    for index, mode in enumerate(modes):
        for name in _BITMAPS:
            for value in _subsets(mode[name]):
                changed = [*modes[:index], mode | {name: value}, *modes[index + 1 :]]
                what = f"{name} {value:#x} of {mode[name]:#x} in mode {mode['mode']}"
                yield CapId.IPSEC_SA_CAP, what, build(structure, cap_mode=changed)


def _selector_flags(caps: dict[CapId, bytes]) -> Iterator[tuple[CapId, str, bytes]]:
    """PARTIAL_MASK can be left out where the mask covers no field in part, as one of ones alone does."""
    if CapId.FF_SELECTOR_CAP not in caps:
        return
    selectors = [_fields(selector) for selector in parse(FfSelectorCap, caps[CapId.FF_SELECTOR_CAP]).selectors]
    for index, selector in enumerate(selectors):
        whole = set(selector["mask"]) <= {0xFF}
        flags = selector["flags"]
        for value in {flags, flags & ~SelectorFlag.PARTIAL_MASK} if whole else {flags}:
            changed = [*selectors[:index], selector | {"flags": int(value)}, *selectors[index + 1 :]]
            what = f"flags {int(value):#x} of {flags:#x} in selector {selector['type']}"
            yield CapId.FF_SELECTOR_CAP, what, build(FfSelectorCap, selectors=changed)


def _subsets(bitmap: int) -> list[int]:
    set_bits = [1 << bit for bit in range(bitmap.bit_length()) if bitmap >> bit & 1]
    return sorted({0, bitmap, *set_bits, *(bitmap ^ bit for bit in set_bits)})


def _fields(parsed: Any) -> dict[str, Any]:
    return {name: value for name, value in parsed.items() if not name.startswith("_")}


def _refused_outside_self(rig: Rig, opcode: Opcode, data: bytes) -> None:
    for group in _OTHER_GROUPS:
        answer = rig.command(opcode, data, group=group)
        rig.refused(answer, f"{opcode.name} for group type {group:#x}", AdminStatus.EINVAL)


@check
def id_list_query_self_only(rig: Rig) -> None:
    """CAP_ID_LIST_QUERY for other group types than the self group gets EINVAL."""
    objects.set_up(rig)
    _refused_outside_self(rig, Opcode.CAP_ID_LIST_QUERY, b"")


@check
def device_get_self_only(rig: Rig) -> None:
    """DEVICE_CAP_GET of a capability that exists gets EINVAL for other group types than the self group."""
    for cap in objects.set_up(rig):
        _refused_outside_self(rig, Opcode.DEVICE_CAP_GET, build(CapGetData, id=cap))


@check
def driver_set_self_only(rig: Rig) -> None:
    """DRIVER_CAP_SET with what the device reports gets EINVAL for other group types than the self group."""
    for cap, data in objects.set_up(rig).items():
        _refused_outside_self(rig, Opcode.DRIVER_CAP_SET, build(CapSetData, id=cap) + data)


@check
def disable_busy(rig: Rig) -> None:
    """Capabilities of existing objects are set to limits of zero or no entries, which disables them: EBUSY."""
    for kind in objects.each(rig):
        objects.make(rig, kind)
        related = objects.IPSEC_CAPS if kind.type in _SA_TYPES else objects.FF_CAPS
        # A group needs no selectors and no actions, a classifier no actions; a rule needs all.
        for cap in related[:1] if kind.type is ResourceType.FF_GROUP else related:
            if kind.type is not ResourceType.FF_CLASSIFIER or cap is not CapId.FF_ACTION_CAP:
                answer = rig.cap_set(cap, bytes(24))
                rig.refused(answer, f"disabling {cap.name} while an {kind.name} exists", AdminStatus.EBUSY)


def _unreported(rig: Rig) -> list[int]:
    """Some ids that CAP_ID_LIST_QUERY does not report: of the device type, generic, reserved."""
    reported = rig.cap_ids()
    return [cap for cap in (*CapId, 0x0805, 0x0FFF, 0x07FF, 0x1000, 0xFFFF) if cap not in reported]


@check
def get_unknown_id(rig: Rig) -> None:
    """DEVICE_CAP_GET of ids that CAP_ID_LIST_QUERY does not report gets ENXIO."""
    objects.set_up(rig)
    for cap in _unreported(rig):
        rig.refused(rig.cap_get(cap), f"DEVICE_CAP_GET of capability {cap:#06x}", AdminStatus.ENXIO)


@check
def set_unknown_id(rig: Rig) -> None:
    """DRIVER_CAP_SET of ids that CAP_ID_LIST_QUERY does not report gets ENXIO."""
    objects.set_up(rig)
    for cap in _unreported(rig):
        rig.refused(rig.cap_set(cap, bytes(8)), f"DRIVER_CAP_SET of capability {cap:#06x}", AdminStatus.ENXIO)


@check
def reset(rig: Rig) -> None:
    """After a device reset no object can be created, as on a device whose capabilities were never set."""
    kinds = objects.start(rig, unset=tuple(CapId)).values()
    if any(objects.succeeded(rig.create(kind.type, 0, kind.data(0))) for kind in kinds if not kind.needed):
        raise NotObservable("objects can be created without the driver's capabilities")
    for kind in objects.each(rig):
        objects.make(rig, kind)
        objects.start(rig, unset=tuple(CapId))
        answer = rig.create(kind.type, 0, kind.data(0))
        rig.refused(answer, f"CREATE of {kind.name} after a reset, no capability set")


@check
def unset_limit(rig: Rig) -> None:
    """With all capabilities set but those of the limits, no object can be created."""
    kinds = objects.start(rig, unset=tuple(objects.LIMIT_CAPS))
    for kind in kinds.values():
        if not kind.needed:  # others cannot be created in any case
            answer = rig.create(kind.type, 0, kind.data(0))
            rig.refused(answer, f"CREATE of {kind.name}, its limit not set")
