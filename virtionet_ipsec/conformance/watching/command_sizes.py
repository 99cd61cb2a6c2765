"""How long the device-readable part of a command is by the specification (virtio 1.4, 2.12.1)."""

from __future__ import annotations

from collections.abc import Callable

from ...wire.admin import AdminCmdHdr, CapGetData, CapSetData, ResourceObjCreateData, ResourceObjHdr
from ...wire.capabilities import FfResourceCap, IpsecResourceCap, ipsec_mode_cap
from ...wire.enums import CapId, Opcode, ResourceType
from ...wire.flow_filter import FfGroup
from ...wire.profile import Profile
from ...wire.sa import ipsec_sa
from .command import Command

_HEADER = AdminCmdHdr.sizeof()
_COUNTED = 8  # octets of an array capability or a classifier, and of a selector, in front of what they count
_RULE, _KEY_LENGTH_AT = 16, 9
_SELECTOR_LENGTH_AT = 4

_DATA = {
    Opcode.DEVICE_CAP_GET: CapGetData.sizeof(),
    Opcode.RESOURCE_OBJ_QUERY: ResourceObjCreateData.sizeof(),
    Opcode.RESOURCE_OBJ_DESTROY: ResourceObjHdr.sizeof(),
}
"""Octets of ``command_specific_data``, where the opcode says it all; LIST_USE may be empty, and so is the rest."""


def _octet(data: bytes, at: int) -> int:
    return data[at] if at < len(data) else 0


def _selectors(data: bytes, profile: Profile) -> int:
    at = _COUNTED
    for _ in range(_octet(data, 0)):
        at += _COUNTED + _octet(data, at + _SELECTOR_LENGTH_AT)
    return at


_CAPABILITY: dict[int, Callable[[bytes, Profile], int]] = {
    CapId.FF_RESOURCE_CAP: lambda data, profile: int(FfResourceCap.sizeof()),
    CapId.FF_SELECTOR_CAP: _selectors,
    CapId.FF_ACTION_CAP: lambda data, profile: _COUNTED + _octet(data, 0),
    CapId.IPSEC_RESOURCE_CAP: lambda data, profile: int(IpsecResourceCap.sizeof()),
    CapId.IPSEC_SA_CAP: lambda data, profile: _COUNTED + _octet(data, 0) * int(ipsec_mode_cap(profile).sizeof()),
}
_OBJECT: dict[int, Callable[[bytes, Profile], int]] = {
    ResourceType.FF_GROUP: lambda data, profile: int(FfGroup.sizeof()),
    ResourceType.FF_CLASSIFIER: _selectors,
    ResourceType.FF_RULE: lambda data, profile: _RULE + _octet(data, _KEY_LENGTH_AT),
    ResourceType.IPSEC_OUTB_SA: lambda data, profile: int(ipsec_sa(profile).sizeof()),
    ResourceType.IPSEC_INB_SA: lambda data, profile: int(ipsec_sa(profile).sizeof()),
}


def described_length(command: Command, profile: Profile) -> int:
    """The octets that the command's structure has, counts in it taken as they are; at least its header."""
    match command.opcode:
        case Opcode.DRIVER_CAP_SET:
            size, data = _CAPABILITY.get(command.cap_id), command.cap_data
            fixed = int(CapSetData.sizeof())
        case Opcode.RESOURCE_OBJ_CREATE | Opcode.RESOURCE_OBJ_MODIFY:
            size, data = _OBJECT.get(command.object[0]), command.object_data
            fixed = int(ResourceObjCreateData.sizeof())
        case other:
            return int(_HEADER + _DATA.get(Opcode(other), 0)) if other in _DATA else int(_HEADER)
    return int(_HEADER) + fixed + (size(data, profile) if size is not None else 0)
