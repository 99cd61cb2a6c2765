"""Commands that a device has to refuse, and what must not have changed after them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ...wire.admin import AdminCmdList, CapSetData, ResourceObjCreateData
from ...wire.bitmap import u64_bitmap
from ...wire.codec import build
from ...wire.enums import CapId, GroupType, Opcode, ResourceType
from . import objects
from .objects import Kind
from .rig import Answer, Rig

UNKNOWN_GROUPS = (2, 0x7FFF, 0xFFFF)
MEMBERS = (1, 1 << 32, 0xFFFFFFFFFFFFFFFF)  # the self group's only member is 0
LISTS = (Opcode.LIST_QUERY, Opcode.LIST_USE)

Refusal = tuple[str, Callable[[], Answer]]
"""A command in words, and what sends it."""


def unsupported_opcodes(rig: Rig) -> list[int]:
    """Opcodes that LIST_QUERY does not give: legacy and device parts commands, and some without a meaning."""
    return sorted({*Opcode, 0x12, 0x13, 0x40, 0x7FFF, 0x8000, 0xFFFF} - rig.list_query())


def object_data(kind: int, number: int, data: bytes = b"") -> bytes:
    """command_specific_data of CREATE and MODIFY, and of QUERY and DESTROY without ``data``."""
    return build(ResourceObjCreateData, hdr={"type": kind, "id": number}) + data


def object_commands(kind: Kind) -> Iterator[tuple[Opcode, bytes]]:
    """The commands on objects that are right when object 0 exists and 1 does not; the destructive one is the last."""
    yield Opcode.RESOURCE_OBJ_CREATE, object_data(kind.type, 1, kind.data(1))
    yield Opcode.RESOURCE_OBJ_MODIFY, object_data(kind.type, 0, kind.changed(0))
    yield Opcode.RESOURCE_OBJ_QUERY, object_data(kind.type, 0)
    yield Opcode.RESOURCE_OBJ_DESTROY, object_data(kind.type, 0)


def to_be_refused(rig: Rig, kinds: dict[ResourceType, Kind]) -> Iterator[Refusal]:
    """Commands that a device has to refuse with EINVAL, or may; of each type object 0 exists, and 1 does not."""
    yield from lists_to_be_refused(rig)
    for kind in kinds.values():
        yield from objects_to_be_refused(rig, kind)


def objects_to_be_refused(rig: Rig, kind: Kind) -> Iterator[Refusal]:
    """Commands on objects for other groups and members, and with data that no object can have."""
    for opcode, data in object_commands(kind):
        what = f"{opcode.name} of {kind.name}"
        yield f"{what} for a group type that is none", _sending(rig, opcode, data, group=UNKNOWN_GROUPS[0])
        yield f"{what} for a member that is none", _sending(rig, opcode, data, member=MEMBERS[0])
    if kind.type is ResourceType.FF_GROUP:  # all of its data are possible
        return
    for what, data in objects.impossible(rig, kind):
        create, modify = object_data(kind.type, 1, data), object_data(kind.type, 0, data)
        yield f"CREATE of {kind.name} with {what}", _sending(rig, Opcode.RESOURCE_OBJ_CREATE, create)
        yield f"MODIFY of {kind.name} with {what}", _sending(rig, Opcode.RESOURCE_OBJ_MODIFY, modify)


def lists_to_be_refused(rig: Rig) -> Iterator[Refusal]:
    """An unsupported opcode; LIST_USE that would leave but the lists in use; DRIVER_CAP_SET that would disable all."""
    unsupported = unsupported_opcodes(rig)[0]
    listed = build(AdminCmdList, device_admin_cmd_opcodes=u64_bitmap([*LISTS, unsupported]))
    lists_alone = build(AdminCmdList, device_admin_cmd_opcodes=u64_bitmap(LISTS))
    yield f"opcode {unsupported:#06x}", _sending(rig, unsupported)
    yield f"LIST_USE with opcode {unsupported:#06x}", _sending(rig, Opcode.LIST_USE, listed)
    yield (
        "LIST_USE for a group type that is none",
        _sending(rig, Opcode.LIST_USE, lists_alone, group=UNKNOWN_GROUPS[0]),
    )
    for cap in CapId:
        data = build(CapSetData, id=cap) + bytes(24)
        sending = _sending(rig, Opcode.DRIVER_CAP_SET, data, group=UNKNOWN_GROUPS[0])
        yield f"DRIVER_CAP_SET of {cap.name} for a group type that is none", sending


def _sending(
    rig: Rig, opcode: int, data: bytes = b"", *, group: int = GroupType.SELF, member: int = 0
) -> Callable[[], Answer]:
    return lambda: rig.command(opcode, data, group=group, member=member)


def to_fail(rig: Rig, kinds: dict[ResourceType, Kind]) -> Iterator[Refusal]:
    """Commands that fail for what there is: of each type object 0 exists, and 1 does not."""
    for kind in kinds.values():
        for what, opcode, number in (
            ("that exists", Opcode.RESOURCE_OBJ_CREATE, 0),
            ("beyond the limit", Opcode.RESOURCE_OBJ_CREATE, kind.limit),
            ("that does not exist", Opcode.RESOURCE_OBJ_MODIFY, 1),
            ("that does not exist", Opcode.RESOURCE_OBJ_DESTROY, 1),
        ):
            sending = _sending(rig, opcode, object_data(kind.type, number, kind.data(number + 1)))
            yield f"{opcode.name} of {kind.name} {what}", sending
        if kind.type in (ResourceType.FF_GROUP, ResourceType.FF_CLASSIFIER) and ResourceType.FF_RULE in kinds:
            for opcode in (Opcode.RESOURCE_OBJ_MODIFY, Opcode.RESOURCE_OBJ_DESTROY):
                sending = _sending(rig, opcode, object_data(kind.type, 0, kind.changed(0)))
                yield f"{opcode.name} of {kind.name} with a rule", sending


def start_with_objects(rig: Rig) -> dict[ResourceType, Kind]:
    """Object 0 of every type that the device has."""
    kinds = objects.start(rig)
    for kind in kinds.values():
        objects.make(rig, kind)  # groups and classifiers before rules
    return kinds


def driver_view(rig: Rig, kinds: dict[ResourceType, Kind]) -> dict[str, object]:
    """The state of the device as far as the driver can ask for it: by name."""
    view: dict[str, object] = {
        "device status": rig.port.status,
        "configuration space": rig.port.read_config(0, 64),
        "LIST_QUERY": rig.command(Opcode.LIST_QUERY).written,
        "CAP_ID_LIST_QUERY": rig.command(Opcode.CAP_ID_LIST_QUERY).written,
    }
    for kind in kinds.values():
        for number in (0, 1):
            view[f"QUERY of {kind.name} {number}"] = rig.query(kind.type, number).written
    return view


def check_kept(
    rig: Rig, kinds: dict[ResourceType, Kind], refused: Iterator[Refusal], counts: Callable[[Answer], bool]
) -> bool:
    """Send commands; fail if the driver sees another device after one whose answer ``counts``.

    False when a command succeeded: that may have changed the device, even so
    that commands are no longer in use.
    """
    before, none_succeeded = driver_view(rig, kinds), True
    for what, send in refused:
        answer = send()
        if counts(answer):
            after = driver_view(rig, kinds)
            changed = ", ".join(name for name in before if before[name] != after[name])
            rig.expect(not changed, f"the device after {what}, {answer}", "as it was", f"another {changed}")
        elif objects.succeeded(answer):
            rig.driver.set_up_commands()
            before, none_succeeded = driver_view(rig, kinds), False
    return none_succeeded
