"""Group administration commands: validation, the list in use, dispatch (virtio 1.4, 2.12.1, 2.13).

A command goes through the checks in the order that the text fixes: the group
type, then the opcode (supported, and in the list in use), then the member id
where the command uses it.  Only then does its handler see
``command_specific_data``; it returns ``command_specific_result`` or raises
:class:`CommandRefused`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..wire.admin import AdminCmdHdr, AdminCmdList, AdminCmdResult
from ..wire.bitmap import u64_bitmap
from ..wire.codec import build, parse
from ..wire.enums import AdminStatus, GroupType, Opcode, Qualifier
from .refusal import CommandRefused, invalid_field, invalid_group, invalid_member, invalid_opcode

Handler = Callable[[bytes], bytes]

_SELF_MEMBER = 0
_DATA = AdminCmdHdr.sizeof()  # where command_specific_data begins
_LISTS = (Opcode.LIST_QUERY, Opcode.LIST_USE)  # they concern the group, and do not use group_member_id


@dataclass(frozen=True, slots=True)
class Completion:
    """A completed command; ``written`` is the device-writable part, whole."""

    opcode: int
    status: AdminStatus
    qualifier: Qualifier
    why: str
    written: bytes


class AdminCommands:
    """The commands of the self group.  ``handlers`` has those beside LIST_QUERY and LIST_USE."""

    def __init__(self, handlers: Mapping[Opcode, Handler]) -> None:
        self._handlers: dict[int, Handler] = {Opcode.LIST_QUERY: self._list_query, Opcode.LIST_USE: self._list_use}
        self._handlers.update(handlers.items())
        self._supported = u64_bitmap(self._handlers)
        self.in_use = u64_bitmap(_LISTS)

    def reset(self) -> None:
        """After reset the driver is taken to use LIST_QUERY and LIST_USE alone."""
        self.in_use = u64_bitmap(_LISTS)

    def execute(self, readable: bytes) -> Completion:
        """Carry out the command whose device-readable part is ``readable``, whatever that holds."""
        header = parse(AdminCmdHdr, readable)
        try:
            handler = self._validate(header.group_type, header.opcode, header.group_member_id)
            result = handler(readable[_DATA:])
        except CommandRefused as refused:
            return _completion(header.opcode, refused.status, refused.qualifier, refused.why, b"")
        return _completion(header.opcode, AdminStatus.OK, Qualifier.OK, "", result)

    def _validate(self, group_type: int, opcode: int, member_id: int) -> Handler:
        if group_type != GroupType.SELF:
            raise invalid_group(f"group_type {group_type}: this device has the self group alone")
        handler = self._handlers.get(opcode)
        if handler is None:
            raise invalid_opcode(f"opcode {opcode:#06x} is not supported")
        if not self.in_use[opcode // 64] >> opcode % 64 & 1:
            raise invalid_opcode(f"{Opcode(opcode).name} is not in the list that the driver uses (LIST_USE)")
        if opcode not in _LISTS and member_id != _SELF_MEMBER:
            raise invalid_member(f"group_member_id {member_id}: the self group's only member is {_SELF_MEMBER}")
        return handler

    def _list_query(self, _: bytes) -> bytes:
        return build(AdminCmdList, device_admin_cmd_opcodes=self._supported)

    def _list_use(self, data: bytes) -> bytes:
        length = 8 * len(self._supported)
        if data[length:].strip(b"\0"):  # the array may be longer, and is zero there
            raise invalid_field(f"LIST_USE has opcodes above {8 * length - 1:#x}, which are not supported")
        wanted = parse(AdminCmdList, data[:length].ljust(length, b"\0")).device_admin_cmd_opcodes
        for entry, (want, have) in enumerate(zip(wanted, self._supported, strict=True)):
            if extra := want & ~have:
                opcode = entry * 64 + extra.bit_length() - 1
                raise invalid_field(f"LIST_USE has opcode {opcode:#06x}, which is not supported")
        self.in_use = wanted
        return b""


def _completion(opcode: int, status: AdminStatus, qualifier: Qualifier, why: str, result: bytes) -> Completion:
    written = build(AdminCmdResult, status=status, status_qualifier=qualifier) + result
    return Completion(opcode, status, qualifier, why, written)
