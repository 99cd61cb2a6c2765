"""A group administration command and its answer, taken apart (virtio 1.4, 2.12.1)."""

from __future__ import annotations

from dataclasses import dataclass

from ...device.exchanges import Commanded
from ...wire.admin import AdminCmdHdr, AdminCmdResult
from ...wire.codec import parse
from ...wire.enums import AdminStatus, GroupType

_DATA = AdminCmdHdr.sizeof()
_ID_AT = 4  # offset of an object's id, in command_specific_data
_SPECIFIC = 16  # where resource_obj_specific_data begins there
_CAP_DATA = 8  # where cap_specific_data begins there
_IDENTITY = _DATA + 4  # octets of a command up to a capability's id or an object's type


@dataclass(frozen=True, slots=True)
class Command:
    """A command and its answer.  ``data`` and ``result`` are command_specific_data and command_specific_result."""

    opcode: int
    group_type: int
    member_id: int
    reserved: bytes
    data: bytes
    status: int
    result: bytes
    readable: bytes
    writable_len: int

    @property
    def ok(self) -> bool:
        """Whether it was carried out."""
        return self.status == AdminStatus.OK

    @property
    def for_self(self) -> bool:
        """Whether it is for the self group, whose member is the device itself."""
        return self.group_type == GroupType.SELF

    @property
    def identity(self) -> bytes:
        """What it has in common with the same command sent again; an object may get another id then."""
        return self.readable[:_IDENTITY]

    @property
    def object(self) -> tuple[int, int]:
        """Type and id, of a command on a resource object."""
        kind, resource_id = self.data[:2], self.data[_ID_AT : _ID_AT + 4]
        return int.from_bytes(kind, "little"), int.from_bytes(resource_id, "little")

    @property
    def object_data(self) -> bytes:
        """``resource_obj_specific_data``."""
        return self.data[_SPECIFIC:]

    @property
    def cap_id(self) -> int:
        """``id``, of a command on a capability."""
        return int.from_bytes(self.data[:2], "little")

    @property
    def cap_data(self) -> bytes:
        """``cap_specific_data`` of DRIVER_CAP_SET."""
        return self.data[_CAP_DATA:]


def command_of(exchange: Commanded) -> Command:
    """The exchange taken apart; a buffer that the device did not use counts as refused."""
    header = parse(AdminCmdHdr, exchange.readable)
    answer = parse(AdminCmdResult, exchange.written)
    return Command(
        header.opcode,
        header.group_type,
        header.group_member_id,
        bytes(header.reserved1),
        exchange.readable[_DATA:],
        answer.status if exchange.written else int(AdminStatus.EINVAL),
        exchange.written[AdminCmdResult.sizeof() :],
        exchange.readable,
        exchange.writable_len,
    )
