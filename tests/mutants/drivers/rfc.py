"""Drivers with a fault in what the RFC of January 2025 has on its slides."""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar

from virtionet_ipsec.driver import AdminError
from virtionet_ipsec.driver.sa_object import sa_object
from virtionet_ipsec.wire.admin import AdminCmdHdr
from virtionet_ipsec.wire.codec import build
from virtionet_ipsec.wire.enums import CapId, HdrFlagRfcV1, Opcode, ResourceType
from virtionet_ipsec.wire.net_hdr import HdrLayout, NetHdr
from virtionet_ipsec.wire.profile import Profile

from ..mutant import violates
from ..session import FRAME, ReferenceDriver, sa
from .ipsec import OUTBOUND, GuessesAlgorithms, GuessesLimits, NoAlgorithms, NoLimits, NoSpi

RFC = Profile.RFC_V1


@violates("rfc.drv.cap-get-data", profile=RFC)
class ShortGet(ReferenceDriver):
    """Ends CAP_GET with the id."""

    def set_up_capabilities(self) -> None:
        super().set_up_capabilities()
        head = build(AdminCmdHdr, opcode=Opcode.DEVICE_CAP_GET)
        self.port.admin(head + CapId.IPSEC_SA_CAP.to_bytes(2, "little"), 4096)


@violates("rfc.drv.cap-set-data", profile=RFC)
class SetWithoutReserved(ReferenceDriver):
    """Has cap_specific_data follow the id in CAP_SET."""

    def set_up_capabilities(self) -> None:
        data = CapId.IPSEC_RESOURCE_CAP.to_bytes(2, "little") + b"\x10\0\0\0\x10\0\0\0"
        with suppress(AdminError):
            self.admin.command(Opcode.DRIVER_CAP_SET, data)
        super().set_up_capabilities()


@violates("rfc.drv.create-data", profile=RFC)
class CreateWithoutReserved(ReferenceDriver):
    """Has id follow type in RESOURCE_OBJ_CREATE."""

    def make_sas(self) -> None:
        super().make_sas()
        head = ResourceType.IPSEC_OUTB_SA.to_bytes(2, "little") + b"\x07\0\0\0" + bytes(8)
        with suppress(AdminError):
            self.admin.command(Opcode.RESOURCE_OBJ_CREATE, head + sa_object(sa(OUTBOUND), 7, self.profile))


@violates("rfc.drv.unique-id", profile=RFC)
class SameId(ReferenceDriver):
    """Creates two outbound SAs with one id."""

    def make_sas(self) -> None:
        super().make_sas()
        with suppress(AdminError):
            self.create_sa(sa(OUTBOUND, 0x2000), self.outbound)


@violates("rfc.drv.sa-layout", profile=RFC)
class LaterLayout(ReferenceDriver):
    """Writes an SA object as virtio 1.4 has it."""

    def make_sas(self) -> None:
        super().make_sas()
        data = sa_object(sa(OUTBOUND, 0x2000), 7, Profile.VIRTIO_1_4)
        with suppress(AdminError):
            self.admin.create(ResourceType.IPSEC_OUTB_SA, 7, data)


@violates("rfc.drv.sa-object-id", profile=RFC)
class SameObjectId(ReferenceDriver):
    """Creates two outbound SAs with one obj_id."""

    def make_sas(self) -> None:
        super().make_sas()
        data = sa_object(sa(OUTBOUND, 0x2000), self.outbound, self.profile)
        self.admin.create(ResourceType.IPSEC_OUTB_SA, 7, data)


for _entry, _kind in {
    "rfc.drv.get-resource-cap": GuessesLimits,
    "rfc.drv.get-sa-cap": GuessesAlgorithms,
    "rfc.drv.set-resource-cap": NoLimits,
    "rfc.drv.set-sa-cap": NoAlgorithms,
    "rfc.drv.sa-parameters": NoSpi,
}.items():
    violates(_entry, profile=RFC)(_kind)


@violates("rfc.drv.header", profile=RFC)
class NoResourceHeader(ReferenceDriver):
    """Leaves struct ipsec_resource_hdr out of the header."""

    def pass_packets(self) -> None:
        super().pass_packets()
        self.port.transmit(HdrLayout(self.profile, 0).build(NetHdr()) + FRAME)


class OddReference(ReferenceDriver):
    """Sends a packet for IPsec with another SA in the header."""

    fields: ClassVar[dict[str, int]]

    def pass_packets(self) -> None:
        super().pass_packets()
        right = {"resource_id": self.outbound, "resource_type": int(ResourceType.IPSEC_OUTB_SA)}
        hdr = NetHdr(flags=int(HdrFlagRfcV1.SECURITY), **(right | self.fields))
        self.port.transmit(self.layout.build(hdr) + FRAME)


@violates("rfc.drv.tx-resource-id", profile=RFC)
class UnknownSa(OddReference):
    """Sets resource_id to an id that no outbound SA has."""

    fields: ClassVar = {"resource_id": 100}


@violates("rfc.drv.tx-resource-type", profile=RFC)
class InboundSa(OddReference):
    """Sets resource_type to that of an inbound SA."""

    fields: ClassVar = {"resource_type": int(ResourceType.IPSEC_INB_SA)}
