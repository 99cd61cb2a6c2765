"""The RFC of January 2025: commands, capabilities, SA objects, transmit headers as on its slides.

Only what virtio 1.4 has not: the entries of the slides name its rules for the
rest.  What a driver creates is judged whatever the device answers.
"""

from __future__ import annotations

from collections.abc import Callable

from ...device.exchanges import Commanded
from ...wire.admin import CapGetData, CapSetData, ResourceObjCreateData
from ...wire.enums import IPSEC_CAPS, SA_TYPES, CapId, Opcode, ResourceType
from ...wire.profile import Profile
from ...wire.sa import ipsec_sa
from ..watching.command import Command
from ..watching.object_index import ObjectIndex, le32, other
from ..watching.packet_rule import packet_rules
from ..watching.rule import Finding, add, on_command
from ..watching.sent_packet import SentPacket
from ..watching.view import View

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
    return [f"{what}: reserved is not zero"] if any(octets) else []


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


# -- SA objects --------------------------------------------------------------------------------------------------


def _sa_rule(name: str, judge: Callable[[View, Command], Finding]) -> None:
    """A rule on the creation of an SA."""

    def on_create(view: View, command: Command) -> Finding:
        if not command.for_self or command.object[0] not in SA_TYPES:
            return None
        return judge(view, command)

    add(f"driver.rfc.{name}", judge.__doc__ or "", (Commanded,), on_create, frozenset({Opcode.RESOURCE_OBJ_CREATE}))


def _sa_layout(view: View, command: Command) -> Finding:
    """An SA object has 166 octets, zeros behind it aside, and not the 196 of virtio 1.4's."""
    length, given = ipsec_sa(view.profile).sizeof(), len(command.object_data)
    later = ipsec_sa(Profile.VIRTIO_1_4).sizeof()
    fits = length <= given and not any(command.object_data[length:]) and not later <= given <= later + _PADDING
    return [] if fits else [f"the SA object has {given} octets, not {length}"]


def _sa_object_id(view: View, command: Command) -> Finding:
    """obj_id of an SA, unless it is zero, is that of no other of its type."""
    kind, resource_id = command.object
    obj_id = le32(command.object_data, ObjectIndex.OBJ_ID)
    holder = other(view.index.sas_with_obj_id(kind, obj_id), resource_id) if obj_id else None
    name = ResourceType(kind).name
    return [] if holder is None else [f"{name} {resource_id} has the obj_id {obj_id} of {name} {holder}"]


_sa_rule("sa-layout", _sa_layout)
_sa_rule("sa-object-id", _sa_object_id)


# -- capabilities ------------------------------------------------------------------------------------------------


def _got_before_set(cap: CapId) -> None:
    """The rule that this capability, listed or not, is got before it is set."""

    def judge(view: View, command: Command) -> Finding:
        if not command.for_self or command.cap_id != cap:
            return None
        return [] if cap in view.device_caps else [f"{cap.name} is set, and was not got"]

    name = cap.name.removeprefix("IPSEC_").removesuffix("_CAP").lower()
    sentence = f"VIRTIO_NET_{cap.name} is got before it is set."
    add(f"driver.rfc.get-{name}-cap", sentence, (Commanded,), judge, frozenset({Opcode.DRIVER_CAP_SET}))


for _cap in IPSEC_CAPS:
    _got_before_set(_cap)


# -- packets -----------------------------------------------------------------------------------------------------


@packet_rules("rfc")
def tx_resource_type(_: View, packet: SentPacket) -> Finding:
    """With SECURITY resource_type is VIRTIO_NET_RESOURCE_OBJ_IPSEC_OUTB_SA."""
    if not packet.security or packet.layout.resource_offset is None:
        return None
    given = packet.hdr.resource_type
    return [] if given == ResourceType.IPSEC_OUTB_SA else [f"SECURITY with resource_type {given:#06x}"]
