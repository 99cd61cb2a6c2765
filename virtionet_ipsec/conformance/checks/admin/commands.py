"""Group administration commands: which are valid, and for whom."""

from __future__ import annotations

from ....wire.enums import AdminStatus, GroupType, Qualifier
from ...check import check
from ...driving import objects, refusals
from ...driving.refusals import MEMBERS, UNKNOWN_GROUPS
from ...driving.rig import Rig

EINVAL = AdminStatus.EINVAL


def _opcodes(rig: Rig) -> list[int]:
    """The supported opcodes, and the least and the greatest of those that are not."""
    unsupported = refusals.unsupported_opcodes(rig)
    return [*sorted(rig.list_query()), unsupported[0], unsupported[-1]]


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
