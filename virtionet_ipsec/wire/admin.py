"""Group administration commands (virtio 1.4, 2.12.1 Group administration commands).

The device-readable part of a command is :data:`AdminCmdHdr` and what the
command needs; the device-writable part is :data:`AdminCmdResult` and what the
command gives.  Where a structure of the specification ends in an open array of
octets (``cap_specific_data[]``, ``resource_obj_specific_data[]``), the
structure here ends in front of it: ``sizeof()`` is where the octets begin.
"""

from __future__ import annotations

from construct import Struct

from .fields import le16, le32, le64, le64s, octets

AdminCmdHdr = Struct(
    "opcode" / le16,
    "group_type" / le16,
    "reserved1" / octets(12),
    "group_member_id" / le64,
)
"""struct virtio_admin_cmd, device-readable part, up to ``command_specific_data``: 24 octets."""

AdminCmdResult = Struct(
    "status" / le16,
    "status_qualifier" / le16,
    "reserved2" / octets(4),
)
"""struct virtio_admin_cmd, device-writable part, up to ``command_specific_result``: 8 octets."""

AdminCmdList = Struct(
    "device_admin_cmd_opcodes" / le64s,
)
"""struct virtio_admin_cmd_list, of LIST_QUERY and LIST_USE: opcode n is bit n % 64 of entry n // 64."""

QueryCapIdResult = Struct(
    "supported_caps" / le64s,
)
"""struct virtio_admin_cmd_query_cap_id_result, of CAP_ID_LIST_QUERY: capability n is bit n % 64 of entry n // 64."""

CapGetData = Struct(
    "id" / le16,
    "reserved" / octets(6),
)
"""struct virtio_admin_cmd_cap_get_data, of DEVICE_CAP_GET."""

CapSetData = Struct(
    "id" / le16,
    "reserved" / octets(6),
)
"""struct virtio_admin_cmd_cap_set_data, of DRIVER_CAP_SET, up to ``cap_specific_data``."""

ResourceObjHdr = Struct(
    "type" / le16,
    "reserved" / octets(2),
    "id" / le32,
)
"""struct virtio_admin_cmd_resource_obj_cmd_hdr; all of RESOURCE_OBJ_DESTROY."""

ResourceObjFlags = Struct(
    "flags" / le64,
)
"""What follows :data:`ResourceObjHdr` in all but RESOURCE_OBJ_DESTROY."""

ResourceObjCreateData = Struct(
    "hdr" / ResourceObjHdr,
    "flags" / le64,
)
"""struct virtio_admin_cmd_resource_obj_create_data, up to ``resource_obj_specific_data``: 16 octets."""

ResourceModifyData = ResourceObjCreateData
"""struct virtio_admin_cmd_resource_modify_data, up to ``resource_obj_specific_data``."""

ResourceObjQueryData = ResourceObjCreateData
"""struct virtio_admin_cmd_resource_obj_query_data."""
