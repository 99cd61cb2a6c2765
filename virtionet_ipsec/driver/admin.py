"""Group administration commands from the driver's side (virtio 1.4, 2.12.1 and 2.13)."""

from __future__ import annotations

from typing import Any

from ..wire.admin import (
    AdminCmdHdr,
    AdminCmdList,
    AdminCmdResult,
    CapGetData,
    CapSetData,
    ResourceObjCreateData,
    ResourceObjHdr,
)
from ..wire.bitmap import bitmap_numbers, u64_bitmap
from ..wire.codec import build, parse
from ..wire.enums import AdminStatus, CapId, GroupType, Opcode, ResourceType
from .errors import AdminError
from .port import AdminPort

_RESULT_ROOM = 1 << 16
_RETRIES = 8


class AdminClient:
    """Sends commands for the self group, whose only member is 0; raises :class:`AdminError` for any but OK."""

    def __init__(self, port: AdminPort) -> None:
        self._port = port

    def command(self, opcode: Opcode, data: bytes = b"", what: str = "") -> bytes:
        """The ``command_specific_result`` of one command.

        Both parts of the buffer are a multiple of 64 bits long.  A command that
        says EAGAIN is sent again a few times (2.13, driver requirements).
        """
        readable = build(AdminCmdHdr, opcode=opcode, group_type=GroupType.SELF, group_member_id=0) + data
        readable += bytes(-len(readable) % 8)
        for _ in range(_RETRIES):
            written = self._port.admin(readable, _RESULT_ROOM)
            result = parse(AdminCmdResult, written)
            if result.status != AdminStatus.EAGAIN:
                break
        if not written:
            raise AdminError(opcode, what, AdminStatus.EINVAL, 0, "the device did not use the buffer")
        if result.status != AdminStatus.OK:
            raise AdminError(opcode, what, result.status, result.status_qualifier, self._port.last_refusal)
        return written[AdminCmdResult.sizeof() :]

    def list_query(self) -> frozenset[int]:
        """The opcodes that the device supports."""
        return bitmap_numbers(self.command(Opcode.LIST_QUERY))

    def list_use(self, opcodes: frozenset[int]) -> None:
        """Tell the device which opcodes will be used."""
        self.command(Opcode.LIST_USE, build(AdminCmdList, device_admin_cmd_opcodes=u64_bitmap(opcodes)))

    def cap_ids(self) -> frozenset[int]:
        """The ids of the capabilities that the device has."""
        return bitmap_numbers(self.command(Opcode.CAP_ID_LIST_QUERY))

    def device_cap(self, cap: CapId) -> bytes:
        """The device's capability, as it is."""
        return self.command(Opcode.DEVICE_CAP_GET, build(CapGetData, id=cap), cap.name)

    def set_driver_cap(self, cap: CapId, data: bytes) -> None:
        """Tell the device what of a capability will be used."""
        self.command(Opcode.DRIVER_CAP_SET, build(CapSetData, id=cap) + data, cap.name)

    def create(self, kind: ResourceType, resource_id: int, data: bytes) -> None:
        self._object(Opcode.RESOURCE_OBJ_CREATE, kind, resource_id, data)

    def modify(self, kind: ResourceType, resource_id: int, data: bytes) -> None:
        self._object(Opcode.RESOURCE_OBJ_MODIFY, kind, resource_id, data)

    def query(self, kind: ResourceType, resource_id: int) -> bytes:
        """The object's data as last created or modified."""
        return self._object(Opcode.RESOURCE_OBJ_QUERY, kind, resource_id, b"")

    def destroy(self, kind: ResourceType, resource_id: int) -> None:
        self.command(
            Opcode.RESOURCE_OBJ_DESTROY, build(ResourceObjHdr, **_hdr(kind, resource_id)), _name(kind, resource_id)
        )

    def _object(self, opcode: Opcode, kind: ResourceType, resource_id: int, data: bytes) -> bytes:
        head = build(ResourceObjCreateData, hdr=_hdr(kind, resource_id))
        return self.command(opcode, head + data, _name(kind, resource_id))


def _hdr(kind: ResourceType, resource_id: int) -> dict[str, Any]:
    return {"type": kind, "id": resource_id}


def _name(kind: ResourceType, resource_id: int) -> str:
    return f"{kind.name} {resource_id}"
