"""Group administration commands, virtio 1.4, 2.12.1."""

from __future__ import annotations

from collections.abc import Iterator

from ...wire.admin import CapGetData, CapSetData
from ...wire.codec import build
from ...wire.enums import AdminStatus, CapId, Feature, GroupType, Opcode, Qualifier, Status
from ..check import check
from ..driving import associations, frames, objects, refusals
from ..driving.refusals import LISTS, MEMBERS, UNKNOWN_GROUPS
from ..driving.rig import Answer, Rig
from ..verdict import NotApplicable

UNKNOWN_TYPE = 0x4FF  # of a resource: the last of the device types' range
EINVAL = AdminStatus.EINVAL


def _opcodes(rig: Rig) -> list[int]:
    """The supported opcodes, and the least and the greatest of those that are not."""
    unsupported = refusals.unsupported_opcodes(rig)
    return [*sorted(rig.list_query()), unsupported[0], unsupported[-1]]


def _on_capabilities(rig: Rig) -> Iterator[tuple[Opcode, bytes]]:
    """The commands on capabilities, with command_specific_data that are valid."""
    for cap, data in objects.set_up(rig).items():
        yield Opcode.CAP_ID_LIST_QUERY, b""
        yield Opcode.DEVICE_CAP_GET, build(CapGetData, id=cap)
        yield Opcode.DRIVER_CAP_SET, build(CapSetData, id=cap) + data


# -- validation ------------------------------------------------------------------------------------------------------


def _each_unsupported_opcode(rig: Rig, qualifier: int | None = None) -> None:
    rig.start()
    for opcode in refusals.unsupported_opcodes(rig):
        for member in (0, *MEMBERS):
            answer = rig.command(opcode, member=member)
            what = f"opcode {opcode:#06x}, which LIST_QUERY does not give, with member {member}"
            rig.refused(answer, what, EINVAL, qualifier)


@check
def validates_opcode(rig: Rig) -> None:
    """Commands with opcodes that LIST_QUERY does not give get EINVAL."""
    _each_unsupported_opcode(rig)


@check
def invalid_opcode(rig: Rig) -> None:
    """Commands with opcodes that LIST_QUERY does not give get EINVAL, INVALID_OPCODE, whatever group_member_id is."""
    _each_unsupported_opcode(rig, Qualifier.INVALID_OPCODE)


def _each_unknown_group(rig: Rig, qualifier: int | None = None) -> None:
    rig.start()
    for opcode in _opcodes(rig):
        for group in UNKNOWN_GROUPS:
            for member in (0, 1):
                answer = rig.command(opcode, group=group, member=member)
                rig.refused(answer, f"opcode {opcode:#06x} for group type {group:#x}", EINVAL, qualifier)


@check
def validates_group(rig: Rig) -> None:
    """Commands for group types that do not exist get EINVAL."""
    _each_unknown_group(rig)


@check
def invalid_group(rig: Rig) -> None:
    """Commands for group types that do not exist get EINVAL, INVALID_GROUP, even with an opcode or member amiss."""
    _each_unknown_group(rig, Qualifier.INVALID_GROUP)


def _each_invalid_member(rig: Rig, qualifier: int | None = None) -> None:
    for kind in objects.each(rig):
        objects.make(rig, kind)
        for opcode, data in refusals.object_commands(kind):
            for member in MEMBERS:
                answer = rig.command(opcode, data, member=member)
                rig.refused(answer, f"{opcode.name} of {kind.name} for member {member:#x}", EINVAL, qualifier)


@check
def validates_member(rig: Rig) -> None:
    """Commands on resource objects for any member of the self group but 0 get EINVAL."""
    _each_invalid_member(rig)


@check
def invalid_member(rig: Rig) -> None:
    """Commands on resource objects for any member of the self group but 0 get EINVAL, INVALID_MEMBER."""
    _each_invalid_member(rig, Qualifier.INVALID_MEMBER)


@check
def no_sriov_group(rig: Rig) -> None:
    """Every command for the SR-IOV group type, which is not there, gets EINVAL, INVALID_GROUP, for any member."""
    rig.start()
    for opcode in _opcodes(rig):
        for member in (0, 1):
            answer = rig.command(opcode, group=GroupType.SRIOV, member=member)
            what = f"opcode {opcode:#06x} for group type SR-IOV, member {member}"
            rig.refused(answer, what, EINVAL, Qualifier.INVALID_GROUP)


# -- status and what was done ----------------------------------------------------------------------------------------


@check
def status_ok(rig: Rig) -> None:
    """CREATE, MODIFY and DESTROY whose effect shows in QUERY had the status OK; for each type of objects."""
    for kind in objects.each(rig):
        created = rig.create(kind.type, 0, kind.data(0))
        if objects.succeeded(rig.query(kind.type, 0)):
            rig.ok(created, f"CREATE of {kind.name} 0, which QUERY shows")
            before = objects.held(rig, kind)
            modified = rig.modify(kind.type, 0, kind.changed(0))
            if objects.held(rig, kind) != before:
                rig.ok(modified, f"MODIFY of {kind.name} 0, whose change QUERY shows")
            destroyed = rig.destroy(kind.type, 0)
            if not objects.succeeded(rig.query(kind.type, 0)):
                rig.ok(destroyed, f"DESTROY of {kind.name} 0, which QUERY does not find")


@check
def status_failure(rig: Rig) -> None:
    """CREATE that left no object, or the one that was there, and QUERY of what does not exist: any status but OK."""
    for kind in objects.each(rig):
        rig.refused(rig.query(kind.type, 0), f"QUERY of {kind.name} 0, which does not exist")
        created = rig.create(UNKNOWN_TYPE, 0, kind.data(0))
        rig.refused(created, f"CREATE of the unknown type {UNKNOWN_TYPE:#x}")
        data = objects.make(rig, kind)
        again = rig.create(kind.type, 0, kind.changed(0))
        if kind.changed(0) != data and objects.held(rig, kind)[: len(data)] == data:
            rig.refused(again, f"CREATE of {kind.name} 0, which stayed as it was")


def _is_einval(answer: Answer) -> bool:
    return bool(answer.written) and answer.status == EINVAL


@check
def einval_keeps_state(rig: Rig) -> None:
    """Commands get EINVAL: status, configuration, lists and all objects stay, and no object is made or unmade."""
    kinds = refusals.start_with_objects(rig)
    kept = [refusals.check_kept(rig, {}, refusals.lists_to_be_refused(rig), _is_einval)]
    for kind in kinds.values():
        kept.append(refusals.check_kept(rig, {kind.type: kind}, refusals.objects_to_be_refused(rig, kind), _is_einval))
    for kind in kinds.values() if all(kept) else ():  # the capabilities that the driver set have not changed
        if kind.limit > 1:
            rig.ok(rig.create(kind.type, 1, kind.data(1)), f"CREATE of {kind.name} 1 after commands that got EINVAL")


def _constant(wire: bytes) -> bytes:
    """Of ESP in an IPv4 tunnel what does not change from one packet to the next, up to the SPI."""
    return wire[14:18] + wire[20:24] + wire[26:38]


def _number(wire: bytes) -> int:
    """The sequence number of ESP in an IPv4 tunnel."""
    return int.from_bytes(wire[38:42], "big")


@check
def einval_no_side_effects(rig: Rig) -> None:
    """Commands get EINVAL: both SAs go on with the same parameters, numbers and replay window."""
    associations.start(rig)
    outbound, inbound = associations.pair(rig)
    sent, received = associations.create(rig, outbound, 0), associations.create(rig, inbound, 0)
    near, far = associations.receiver(outbound), associations.sender(inbound)
    frame = frames.udp4_frame()
    wire = associations.send(rig, sent, frame)
    first, second = (associations.protected(far, frame) for _ in range(2))
    associations.accepted(rig, first)
    kinds = {associations.SA_TYPE[params.direction]: objects.sa_kind(rig, params, 2) for params in (outbound, inbound)}
    for what, send in refusals.to_be_refused(rig, kinds):
        if objects.succeeded(send()):
            raise NotApplicable(f"{what} succeeds, and may have effects")
    when = "after commands that got EINVAL"
    again = associations.send(rig, sent, frame)
    rig.equal(f"outer header and SPI of a packet sent {when}", _constant(wire), _constant(again))
    rig.equal(f"sequence number sent {when}", _number(wire) + 1, _number(again))
    rig.equal(f"packet that the far end gets {when}", frame[14:], associations.inside(near, again))
    associations.rejected(rig, first, f"a packet that came before, {when}")
    packet = associations.accepted(rig, second, f"an IPsec packet {when}")
    rig.equal(f"resource_id of a packet received {when}", received, packet.resource_id)


@check
def einval_no_error_state(rig: Rig) -> None:
    """Each command that gets EINVAL leaves DEVICE_NEEDS_RESET clear, commands answered and packets on their way."""
    kinds = refusals.start_with_objects(rig)
    buffer = rig.header() + frames.udp4_frame()
    sent = rig.transmit(buffer)
    for what, send in refusals.to_be_refused(rig, kinds):
        if _is_einval(send()):
            needs_reset = bool(rig.port.status & Status.DEVICE_NEEDS_RESET)
            rig.equal(f"DEVICE_NEEDS_RESET after {what}", False, needs_reset)
            rig.ok(rig.command(Opcode.LIST_QUERY), f"LIST_QUERY after {what}")
            rig.equal(f"frames sent after {what}", sent, rig.transmit(buffer))


@check
def failure_keeps_state(rig: Rig) -> None:
    """Commands fail for what exists, is missing, is depended on, or is too much: QUERY gives what it gave before."""
    kinds = refusals.start_with_objects(rig)
    refusals.check_kept(rig, kinds, refusals.to_fail(rig, kinds), lambda answer: not objects.succeeded(answer))


# -- the lists -------------------------------------------------------------------------------------------------------


@check
def list_after_reset(rig: Rig) -> None:
    """Without LIST_USE, at first and after the reset of a device that used all: LIST_QUERY works, and nothing else."""
    rig.needs(Feature.ADMIN_VQ)
    rig.negotiate()
    rig.list_query()
    gets = [(Opcode.DEVICE_CAP_GET, build(CapGetData, id=cap)) for cap in CapId]
    _check_refused(rig, [(Opcode.CAP_ID_LIST_QUERY, b""), *gets], "without LIST_USE")
    used = list(_on_capabilities(rig))
    rig.negotiate()
    rig.list_query()
    _check_refused(rig, used, "without LIST_USE after a reset")


def _check_refused(rig: Rig, commands: list[tuple[Opcode, bytes]], when: str) -> None:
    for opcode, data in commands:
        rig.refused(rig.command(opcode, data), f"{opcode.name} {when}")


@check
def unlisted_command(rig: Rig) -> None:
    """Each supported opcode that was not given to LIST_USE gets EINVAL, INVALID_OPCODE."""
    rig.needs(Feature.ADMIN_VQ)
    rig.negotiate()
    supported = sorted(rig.list_query() - set(LISTS))
    if not supported:
        raise NotApplicable("the device has no commands but LIST_QUERY and LIST_USE")
    for opcode in supported:
        answer = rig.command(opcode)
        rig.refused(answer, f"opcode {opcode:#06x} before LIST_USE", EINVAL, Qualifier.INVALID_OPCODE)
    for opcode in supported:
        used = [*LISTS, *(other for other in supported if other != opcode)]
        if objects.succeeded(rig.list_use(used)):
            answer = rig.command(opcode)
            rig.refused(answer, f"opcode {opcode:#06x}, not given to LIST_USE", EINVAL, Qualifier.INVALID_OPCODE)


@check
def list_use_sets_list(rig: Rig) -> None:
    """Several lists in turn, the last one without LIST_QUERY: what LIST_USE took can be used, what it left out not."""
    commands = dict(_on_capabilities(rig)) | {Opcode.LIST_QUERY: b""}
    capabilities = [opcode for opcode in commands if opcode is not Opcode.LIST_QUERY]
    lists: list[list[Opcode]] = [
        *([*LISTS, opcode] for opcode in capabilities),
        [*LISTS, *capabilities],
        [*LISTS, *capabilities[:1]],
        [Opcode.LIST_USE, *capabilities],
    ]
    taken = [used for used in lists if _check_list(rig, used, commands)]
    if not taken:
        raise NotApplicable("the device takes none of the lists: it has restrictions of its own")


def _check_list(rig: Rig, used: list[Opcode], commands: dict[Opcode, bytes]) -> bool:
    """Whether LIST_USE took the list; fails unless that is the list of legal commands then."""
    names = " ".join(opcode.name for opcode in used)
    if not objects.succeeded(rig.list_use(used)):
        return False
    for opcode, data in commands.items():
        answer = rig.command(opcode, data)
        if opcode in used:
            rig.ok(answer, f"{opcode.name} after LIST_USE of {names}")
        else:
            rig.refused(answer, f"{opcode.name} after LIST_USE of {names}")
    return True


@check
def list_never_shrinks(rig: Rig) -> None:
    """What LIST_QUERY gave at first it gives after LIST_USE of less, with objects, and after resets."""
    rig.needs(Feature.ADMIN_VQ)
    rig.negotiate()
    reported = rig.list_query()

    def look(when: str) -> None:
        nonlocal reported
        gone = sorted(reported - rig.list_query())
        what = f"opcodes that LIST_QUERY no longer gives {when}"
        rig.expect(not gone, what, "none", ", ".join(f"{opcode:#06x}" for opcode in gone))
        reported |= rig.list_query()

    rig.list_use(LISTS)
    look("after LIST_USE of two")
    rig.list_use(reported)
    look("after LIST_USE of all")
    rig.negotiate()
    look("after a reset")
    rig.start()
    look("with the capabilities set")
    for kind in objects.start(rig).values() if Opcode.RESOURCE_OBJ_CREATE in reported else ():
        objects.make(rig, kind)
    look("with objects")
    rig.negotiate()
    look("after the reset of a device with objects")


def _lists_again(rig: Rig) -> Iterator[tuple[str, Answer]]:
    """LIST_USE of a list that was accepted before a reset, without LIST_QUERY: in words, and the answer."""
    rig.needs(Feature.ADMIN_VQ)
    rig.negotiate()
    supported = sorted(rig.list_query())
    for count in range(len(LISTS), len(supported) + 1):
        used = supported[:count]
        rig.negotiate()
        if objects.succeeded(rig.list_use(used)):
            rig.negotiate()
            yield f"LIST_USE of {len(used)} opcodes that were accepted before the reset", rig.list_use(used)


@check
def same_list_after_reset(rig: Rig) -> None:
    """A list that LIST_USE accepted is accepted after a device reset, without LIST_QUERY."""
    for what, answer in _lists_again(rig):
        rig.ok(answer, what)


@check
def same_list_not_at_fault(rig: Rig) -> None:
    """A list that LIST_USE accepted is not refused as such, with EINVAL, INVALID_FIELD, after a device reset."""
    for what, answer in _lists_again(rig):
        blamed = (answer.status, answer.qualifier) == (EINVAL, Qualifier.INVALID_FIELD)
        rig.expect(not blamed, what, "anything but EINVAL, INVALID_FIELD", str(answer))
