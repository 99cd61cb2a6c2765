"""Devices that are wrong about group administration commands."""

from __future__ import annotations

from typing import Any

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.admin import AdminCommands, Handler
from virtionet_ipsec.device.refusal import invalid_member
from virtionet_ipsec.wire.enums import AdminStatus, GroupType, Opcode, Qualifier

from ..mutant import breaks
from ..wrapping import altering_answers, altering_answers_to, altering_commands, replace_admin

EINVAL, EEXIST, ENXIO = AdminStatus.EINVAL, AdminStatus.EEXIST, AdminStatus.ENXIO


@breaks("admin.dev.invalid-group")
class SaysInvalidOpcode(Device):
    """An invalid group type gets INVALID_OPCODE."""

    _execute = altering_answers(lambda status, qualifier: (status, 2 if qualifier == 4 else qualifier))


@breaks("admin.dev.invalid-group")
class LooksAtTheOpcodeFirst(Device):
    """An invalid opcode gets INVALID_OPCODE even for an invalid group type."""

    def _execute(self, readable: bytes) -> bytes:
        if int.from_bytes(readable[:2], "little") > Opcode.DEV_MODE_SET:
            readable = readable[:2] + bytes(2) + readable[4:]
        return super()._execute(readable)


@breaks("admin.dev.validates-group")
class NoSuchGroup(Device):
    """An invalid group type gets ENXIO."""

    _execute = altering_answers(lambda status, qualifier: (ENXIO if qualifier == 4 else status, qualifier))


@breaks(
    "admin.dev.validates-group",
    "admin.dev.no-sriov-group",
    "caps.dev.id-list-query-self-only",
    "caps.dev.device-get-self-only",
    "caps.dev.driver-set-self-only",
    "caps.dev.id-list-query-self-group",
    "caps.dev.device-get-self-group",
    "caps.dev.driver-set-self-group",
)
class TakesAnyGroup(Device):
    """group_type is not looked at."""

    _execute = altering_commands(lambda readable: readable[:2] + bytes(2) + readable[4:])


@breaks("admin.dev.no-sriov-group")
class HasEmptySriovGroup(Device):
    """The SR-IOV group type is there, without members."""

    def _execute(self, readable: bytes) -> bytes:
        written = super()._execute(readable)
        if written and int.from_bytes(readable[2:4], "little") == GroupType.SRIOV:
            return written[:2] + bytes((Qualifier.INVALID_MEMBER,)) + written[3:]
        return written


@breaks("admin.dev.validates-opcode")
class NoSuchOpcode(Device):
    """An invalid opcode gets ENXIO."""

    _execute = altering_answers(lambda status, qualifier: (ENXIO if qualifier == 2 else status, qualifier))


@breaks("admin.dev.validates-opcode", "admin.dev.invalid-opcode")
class DoesNothingForUnknownOpcodes(Device):
    """An opcode that the device does not know gets OK."""

    def _execute(self, readable: bytes) -> bytes:
        known = int.from_bytes(readable[:2], "little") <= Opcode.DEV_MODE_SET
        return super()._execute(readable) if known else bytes(8)


@breaks("admin.dev.invalid-opcode")
class SaysInvalidCommand(Device):
    """An invalid opcode gets INVALID_COMMAND."""

    _execute = altering_answers(lambda status, qualifier: (status, 1 if qualifier == 2 else qualifier))


class _MemberFirst(AdminCommands):
    def _validate(self, group_type: int, opcode: int, member_id: int) -> Handler:
        if group_type == GroupType.SELF and member_id and opcode > Opcode.LIST_USE:
            raise invalid_member("before the opcode")
        return super()._validate(group_type, opcode, member_id)


@breaks("admin.dev.invalid-opcode")
class LooksAtTheMemberFirst(Device):
    """An invalid group_member_id gets INVALID_MEMBER even with an invalid opcode."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        replace_admin(self, _MemberFirst)


@breaks("admin.dev.validates-member", "admin.dev.invalid-member")
class TakesAnyMember(Device):
    """group_member_id is not looked at."""

    _execute = altering_commands(lambda readable: readable[:16] + bytes(8) + readable[24:])


@breaks("admin.dev.validates-member", "admin.dev.invalid-member")
class HasThirtyTwoBitMembers(Device):
    """Only the lower half of group_member_id is looked at."""

    _execute = altering_commands(lambda readable: readable[:20] + bytes(4) + readable[24:])


@breaks("admin.dev.invalid-member")
class SaysInvalidField(Device):
    """An invalid group_member_id gets INVALID_FIELD."""

    _execute = altering_answers(lambda status, qualifier: (status, 3 if qualifier == 5 else qualifier))


@breaks("admin.dev.status-ok")
class DestroysWithENXIO(Device):
    """DESTROY that succeeded gets ENXIO."""

    _execute = altering_answers_to(Opcode.RESOURCE_OBJ_DESTROY, lambda status, qualifier: (ENXIO, 3))


@breaks("admin.dev.status-ok")
class CreatesWithEEXIST(Device):
    """CREATE of an SA that succeeded gets EEXIST."""

    def _execute(self, readable: bytes) -> bytes:
        written = super()._execute(readable)
        creates_sa = readable[:2] == bytes((Opcode.RESOURCE_OBJ_CREATE, 0)) and readable[24] >= 3
        return bytes((EEXIST, 0, 3)) + written[3:] if creates_sa and not written[0] else written


@breaks("admin.dev.status-failure")
class FindsNothing(Device):
    """QUERY of an object that does not exist gets OK."""

    _execute = altering_answers_to(Opcode.RESOURCE_OBJ_QUERY, lambda status, qualifier: (0, 0))


@breaks("admin.dev.status-failure")
class CreatesNothing(Device):
    """CREATE over an existing object does nothing, and gets OK."""

    _execute = altering_answers_to(
        Opcode.RESOURCE_OBJ_CREATE, lambda status, qualifier: (0, 0) if status == EEXIST else (status, qualifier)
    )
