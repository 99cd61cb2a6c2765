"""The RFC of January 2025: commands, capabilities, SA objects, transmit headers as on its slides."""

from __future__ import annotations

from collections.abc import Callable

from ...device.exchanges import Commanded, Transmitted
from ...wire.admin import CapGetData, CapSetData, ResourceObjCreateData
from ...wire.enums import CapId, GroupType, Opcode, ResourceType
from ...wire.sa import ipsec_sa
from ..watching.header_place import misplaced
from ..watching.object_index import ObjectIndex, le32, other
from ..watching.packet_rule import packet_rules
from ..watching.rule import Finding, add, on_command, rule
from ..watching.sa_values import irrelevant
from ..watching.sent_packet import SentPacket
from ..watching.view import Command, View

_SA_TYPES = frozenset({ResourceType.IPSEC_OUTB_SA, ResourceType.IPSEC_INB_SA})
_CAPS = {"resource": CapId.IPSEC_RESOURCE_CAP, "sa": CapId.IPSEC_SA_CAP}

_CAP_RESERVED = slice(2, 8)
_OBJECT_RESERVED = slice(2, 4)
_PADDING = 7
"""Octets that may follow the last structure: the device-readable part is a multiple of 64 bits (2.13)."""


def _layout(command: Command, what: str, least: int, reserved: slice, more: bool) -> list[str]:
    """What is wrong with the data of a command: ``least`` octets, something behind them if ``more``."""
    length = len(command.data)
    if length < least + more:
        return [f"{what} has {length} octets of data, and its structure {least}{' and what follows' if more else ''}"]
    octets = command.data[reserved]
    return [f"{what}: reserved is {octets.hex()}"] if any(octets) else []


@on_command(Opcode.DEVICE_CAP_GET)
def cap_get_data(_: View, command: Command) -> Finding:
    """CAP_GET has id and 6 reserved octets."""
    return _layout(command, "CAP_GET", CapGetData.sizeof(), _CAP_RESERVED, False)


@on_command(Opcode.DRIVER_CAP_SET)
def cap_set_data(_: View, command: Command) -> Finding:
    """CAP_SET has id, 6 reserved octets and cap_specific_data."""
    return _layout(command, "CAP_SET", CapSetData.sizeof(), _CAP_RESERVED, True)


@on_command(Opcode.RESOURCE_OBJ_CREATE)
def create_data(_: View, command: Command) -> Finding:
    """RESOURCE_OBJ_CREATE has type, 2 reserved octets, id, flags and the object's data."""
    return _layout(command, "RESOURCE_OBJ_CREATE", ResourceObjCreateData.sizeof(), _OBJECT_RESERVED, True)


@on_command(Opcode.RESOURCE_OBJ_CREATE)
def unique_id(view: View, command: Command) -> Finding:
    """No two objects of a type have one id."""
    if command.group_type != GroupType.SELF:
        return None
    kind, resource_id = command.object
    clash = command.object in view.objects
    return [f"an object of type {kind:#06x} with the id {resource_id} exists"] if clash else []


# -- SA objects --------------------------------------------------------------------------------------------------


def _sa_rule(name: str, judge: Callable[[View, Command], Finding]) -> None:
    """A rule on the creation of an SA."""

    def on_create(view: View, command: Command) -> Finding:
        if command.group_type != GroupType.SELF or command.object[0] not in _SA_TYPES:
            return None
        return judge(view, command)

    add(f"driver.rfc.{name}", judge.__doc__ or "", (Commanded,), on_create, frozenset({Opcode.RESOURCE_OBJ_CREATE}))


def _sa_layout(view: View, command: Command) -> Finding:
    """An SA object has 166 octets, padding to 64 bits aside."""
    length, given = ipsec_sa(view.profile).sizeof(), len(command.object_data)
    fits = length <= given <= length + _PADDING and not any(command.object_data[length:])
    return [] if fits else [f"the SA object has {given} octets, not {length}"]


def _sa_object_id(view: View, command: Command) -> Finding:
    """obj_id of an SA, unless it is zero, is that of no other of its type."""
    kind, resource_id = command.object
    obj_id = le32(command.object_data, ObjectIndex.OBJ_ID)
    holder = other(view.index.sas_with_obj_id(kind, obj_id), resource_id) if obj_id else None
    name = ResourceType(kind).name
    return [] if holder is None else [f"{name} {resource_id} has the obj_id {obj_id} of {name} {holder}"]


def _sa_parameters(view: View, command: Command) -> Finding:
    """The fields of a new SA object go together."""
    return irrelevant(ResourceType(command.object[0]), command.object_data, view.profile)


_sa_rule("sa-layout", _sa_layout)
_sa_rule("sa-object-id", _sa_object_id)
_sa_rule("sa-parameters", _sa_parameters)


# -- capabilities ------------------------------------------------------------------------------------------------


def _capability_rules(name: str, cap: CapId) -> None:
    def get(view: View, command: Command) -> Finding:
        if command.group_type != GroupType.SELF or command.cap_id != cap:
            return None
        return [] if cap in view.device_caps else [f"{cap.name} is set, and was not got"]

    def set_(view: View, _: Command) -> Finding:
        return [] if cap in view.driver_caps else [f"an SA is created, and {cap.name} was not set"]

    get_sentence = f"VIRTIO_NET_{cap.name} is got before it is set."
    add(f"driver.rfc.get-{name}-cap", get_sentence, (Commanded,), get, frozenset({Opcode.DRIVER_CAP_SET}))
    set_.__doc__ = f"VIRTIO_NET_{cap.name} is set before an SA is created."
    _sa_rule(f"set-{name}-cap", set_)


for _name, _cap in _CAPS.items():
    _capability_rules(_name, _cap)


# -- packets -----------------------------------------------------------------------------------------------------

_on_packet = packet_rules("rfc")


@rule(Transmitted)
def header(view: View, sent: Transmitted) -> Finding:
    """The frame begins behind a virtio_net_hdr of 12, 18, 20 or 26 octets, as the negotiated features say (D21)."""
    if not view.live:
        return None
    why = misplaced(sent.buffer, view.layout.size)
    return [why] if why else []


@_on_packet
def tx_resource_id(view: View, packet: SentPacket) -> Finding:
    """With SECURITY resource_id is that of an outbound SA object."""
    if not packet.security or packet.layout.resource_offset is None:
        return None
    resource_id = packet.hdr.resource_id
    known = (ResourceType.IPSEC_OUTB_SA, resource_id) in view.objects
    return [] if known else [f"SECURITY with resource_id {resource_id}, and there is no such IPSEC_OUTB_SA object"]


@_on_packet
def tx_resource_type(_: View, packet: SentPacket) -> Finding:
    """With SECURITY resource_type is VIRTIO_NET_RESOURCE_OBJ_IPSEC_OUTB_SA."""
    if not packet.security or packet.layout.resource_offset is None:
        return None
    given = packet.hdr.resource_type
    return [] if given == ResourceType.IPSEC_OUTB_SA else [f"SECURITY with resource_type {given:#06x}"]
