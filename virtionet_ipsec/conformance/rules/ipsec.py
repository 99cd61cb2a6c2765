"""IPsec operation, virtio 1.4, 5.1.9.7: capabilities, SA objects, the size of packets.

What a driver creates is judged whatever the device answers.  One spi for two
objects is about those that the driver has: there only commands that were
carried out count.
"""

from __future__ import annotations

from ...device.exchanges import Commanded
from ...wire.enums import IPSEC_CAPS, SA_TYPES, CapId, Feature, Opcode, ResourceType
from ..watching.command import Command
from ..watching.object_index import ObjectIndex, le32, other
from ..watching.packet_rule import packet_rules
from ..watching.rule import Finding, add, on_command
from ..watching.sa_values import irrelevant, least_added
from ..watching.sent_packet import SentPacket
from ..watching.view import View


@on_command(Opcode.DRIVER_CAP_SET)
def query_cap_ids(view: View, command: Command) -> Finding:
    """CAP_ID_LIST_QUERY comes before an IPsec capability is set (D83)."""
    if not command.for_self or command.cap_id not in IPSEC_CAPS:
        return None
    name = CapId(command.cap_id).name
    return [] if view.cap_ids is not None else [f"{name} is set, and no CAP_ID_LIST_QUERY came before"]


def _capability_rules(cap: CapId) -> None:
    def get(view: View, command: Command) -> Finding:
        if not command.for_self or command.cap_id != cap or cap not in (view.cap_ids or ()):
            return None
        return [] if cap in view.device_caps else [f"{cap.name} is listed and was not got with DEVICE_CAP_GET"]

    def set_(view: View, command: Command) -> Finding:
        if not command.for_self or command.object[0] not in SA_TYPES:
            return None
        return [] if cap in view.driver_caps else [f"an SA is created, and {cap.name} was not set"]

    name = cap.name.removeprefix("IPSEC_").removesuffix("_CAP").lower()
    add(
        f"driver.ipsec.get-{name}-cap",
        f"VIRTIO_NET_{cap.name}, when listed, is got with DEVICE_CAP_GET before it is set (D83).",
        (Commanded,),
        get,
        frozenset({Opcode.DRIVER_CAP_SET}),
    )
    add(
        f"driver.ipsec.set-{name}-cap",
        f"VIRTIO_NET_{cap.name} is set with DRIVER_CAP_SET before an SA is created (D83).",
        (Commanded,),
        set_,
        frozenset({Opcode.RESOURCE_OBJ_CREATE}),
    )


for _cap in IPSEC_CAPS:
    _capability_rules(_cap)


def _parameters(view: View, command: Command, kind: ResourceType) -> Finding:
    if not command.for_self or command.object[0] != kind:
        return None
    return irrelevant(kind, command.object_data, view.profile)


@on_command(Opcode.RESOURCE_OBJ_CREATE)
def outb_parameters(view: View, command: Command) -> Finding:
    """The fields of a new IPSEC_OUTB_SA go together."""
    return _parameters(view, command, ResourceType.IPSEC_OUTB_SA)


@on_command(Opcode.RESOURCE_OBJ_CREATE)
def inb_parameters(view: View, command: Command) -> Finding:
    """The fields of a new IPSEC_INB_SA, but for its tunnel parameters, go together."""
    return _parameters(view, command, ResourceType.IPSEC_INB_SA)


@on_command(Opcode.RESOURCE_OBJ_CREATE, Opcode.RESOURCE_OBJ_MODIFY)
def duplicate_spi(view: View, command: Command) -> Finding:
    """No two IPSEC_INB_SA objects that exist, created or modified, have one spi; what the device refused is none."""
    kind, resource_id = command.object
    if not command.ok or not command.for_self or kind != ResourceType.IPSEC_INB_SA:
        return None
    spi = le32(command.object_data, ObjectIndex.SPI)
    holder = other(view.index.sas_with_spi(kind, spi), resource_id)
    return [] if holder is None else [f"IPSEC_INB_SA {resource_id} has the spi {spi:#010x} of IPSEC_INB_SA {holder}"]


@packet_rules("ipsec")
def pmtu(view: View, packet: SentPacket) -> Finding:
    """With VIRTIO_NET_F_MTU, IPsec makes no packet larger than mtu (D48)."""
    if not packet.security or not view.has(Feature.MTU) or packet.hdr.gso_type or packet.outer is None:
        return None
    sa = view.objects.get((ResourceType.IPSEC_OUTB_SA, packet.hdr.resource_id))
    if sa is None:
        return None
    plain, added = packet.outer.end - packet.outer.start, least_added(sa, view.profile)
    if plain + added <= view.mtu:
        return []
    return [f"a packet of {plain} octets, to which IPsec adds at least {added}, and mtu is {view.mtu}"]
