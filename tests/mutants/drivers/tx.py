"""Drivers with a fault in what they put into transmit buffers (virtio 1.4, 5.1.9.2)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from virtionet_ipsec.conformance.driving import frames
from virtionet_ipsec.device.negotiation import default_features, feature_mask
from virtionet_ipsec.wire.enums import Feature, GsoType, HdrFlag
from virtionet_ipsec.wire.features import HOST_SEGMENTATION
from virtionet_ipsec.wire.net_hdr import HdrLayout, NetHdr
from virtionet_ipsec.wire.profile import Profile

from ..mutant import violates
from ..segmenting import TSO, Offload, Segmenting, segment, with_pseudo_sum
from ..session import FRAME, ReferenceDriver

ARP = frames.MACS + b"\x08\x06" + bytes(28)
WITHOUT_CSUM = default_features(Profile.VIRTIO_1_4) & ~feature_mask(Feature.CSUM, Feature.HOST_ECN, *HOST_SEGMENTATION)
ECN = TSO | feature_mask(Feature.HOST_ECN)
HDRLEN = TSO | feature_mask(Feature.GUEST_HDRLEN)


class OddHeader(ReferenceDriver):
    """Sends one packet more, with ``fields`` in its header."""

    fields: ClassVar[dict[str, Any]]

    def pass_packets(self) -> None:
        super().pass_packets()
        self.port.transmit(self.layout.build(NetHdr(**self.fields)) + FRAME)


@violates("tx.drv.header-size")
class ShortHeader(ReferenceDriver):
    """Sends the header of 12 octets, whatever was negotiated."""

    def pass_packets(self) -> None:
        super().pass_packets()
        self.port.transmit(HdrLayout(self.profile, 0).build(NetHdr()) + FRAME)


@violates("tx.drv.num-buffers")
class CountsBuffers(OddHeader):
    """Sets num_buffers as the device does on receive."""

    fields: ClassVar = {"num_buffers": 1}


@violates("tx.drv.data-valid", "tx.drv.data-valid-tunnel")
class ClaimsValid(OddHeader):
    """Sets DATA_VALID."""

    fields: ClassVar = {"flags": HdrFlag.DATA_VALID}


@violates("tx.drv.rsc-info")
class ClaimsCoalesced(OddHeader):
    """Sets RSC_INFO."""

    fields: ClassVar = {"flags": HdrFlag.RSC_INFO}


class GivesOffset(ReferenceDriver):
    """Sends packets with outer_nh_offset, the right one: plain, behind a VLAN tag, to be protected, and ARP."""

    def pass_packets(self) -> None:
        super().pass_packets()
        tagged = FRAME[:12] + b"\x81\0\0\5" + FRAME[12:]
        for frame, offset in ((FRAME, 14), (frames.udp6_frame(), 14), (tagged, 18), (ARP, 0), (FRAME, 0)):
            self.port.transmit(self.with_offset(self.header(), offset) + frame)
        self.port.transmit(self.with_offset(self.header(self.outbound), 14) + FRAME)

    def with_offset(self, header: bytes, offset: int) -> bytes:
        return self.layout.build(replace(self.layout.parse(header), outer_nh_offset=self.altered(offset)))

    def altered(self, offset: int) -> int:
        """The offset as it is given: the step for a fault."""
        return offset


GivesOffset.right = GivesOffset


@violates("tx.drv.outer-nh-offset-optional", "tx.drv.outer-nh-offset-permitted")
class OffsetBeforeTags(GivesOffset):
    """Gives the offset behind a VLAN tag as if there were none."""

    def altered(self, offset: int) -> int:
        return min(offset, 14)


@violates("tx.drv.outer-nh-offset-optional", "tx.drv.outer-nh-offset-permitted")
class OffsetWithHeader(GivesOffset):
    """Counts outer_nh_offset from the beginning of virtio_net_hdr."""

    def altered(self, offset: int) -> int:
        return offset + self.layout.size if offset else 0


@violates("tx.drv.outer-nh-offset-optional", "tx.drv.outer-nh-offset-permitted")
class OffsetBehindTheEnd(GivesOffset):
    """Gives, in front of ARP too, an outer_nh_offset behind the packet."""

    def altered(self, offset: int) -> int:
        return offset or 1500


# -- checksums ---------------------------------------------------------------------------------------------------

PARTIAL = frames.ethernet(frames.ipv4(with_pseudo_sum(frames.udp(), frames.UDP, 4)))


@violates("tx.drv.flags-without-csum", features=WITHOUT_CSUM)
class ChecksumAnyway(OddHeader):
    """Sets NEEDS_CSUM though VIRTIO_NET_F_CSUM was not negotiated."""

    fields: ClassVar = {"flags": HdrFlag.NEEDS_CSUM, "csum_start": 34, "csum_offset": 6}


@violates("tx.drv.checksummed-without-csum", features=WITHOUT_CSUM)
class LeavesChecksum(ReferenceDriver):
    """Leaves a UDP checksum undone though VIRTIO_NET_F_CSUM was not negotiated."""

    def pass_packets(self) -> None:
        super().pass_packets()
        self.send(PARTIAL)


@violates("tx.drv.csum-pseudo-header")
class EmptyChecksum(ReferenceDriver):
    """Leaves zero in the checksum field that the device is to fill in."""

    def send_with_checksum(self) -> None:
        self.send(PARTIAL[:40] + b"\0\0" + PARTIAL[42:], csum=(34, 6))


@violates("tx.drv.csum-fields")
class ChecksumInTheWrongPlace(ReferenceDriver):
    """Gives csum_offset as for TCP in front of UDP."""

    def send_with_checksum(self) -> None:
        self.send(PARTIAL, csum=(34, 16))


@violates("tx.drv.csum-fields")
class ChecksumBeyondTheEnd(ReferenceDriver):
    """Gives a csum_start behind the packet."""

    def send_with_checksum(self) -> None:
        self.send(PARTIAL, csum=(1500, 6))


# -- segmentation ------------------------------------------------------------------------------------------------


@violates("tx.drv.tso4-unnegotiated", "tx.drv.gso-none")
class SegmentsTcp4(OddHeader):
    """Asks for TCPv4 segmentation, which was not negotiated."""

    fields: ClassVar = {"gso_type": GsoType.TCPV4}


@violates("tx.drv.tso6-unnegotiated")
class SegmentsTcp6(OddHeader):
    """Asks for TCPv6 segmentation, which was not negotiated."""

    fields: ClassVar = {"gso_type": GsoType.TCPV6}


@violates("tx.drv.ufo-unnegotiated")
class FragmentsUdp(OddHeader):
    """Asks for UDP fragmentation, which was not negotiated."""

    fields: ClassVar = {"gso_type": GsoType.UDP}


@violates("tx.drv.uso-unnegotiated")
class SegmentsUdp(OddHeader):
    """Asks for UDP segmentation, which was not negotiated."""

    fields: ClassVar = {"gso_type": GsoType.UDP_L4}


@violates("tx.drv.ecn-unnegotiated", features=TSO)
class CongestionUnnegotiated(Segmenting):
    """Has TCP with CWR segmented though VIRTIO_NET_F_HOST_ECN was not negotiated."""

    def pass_packets(self) -> None:
        super().pass_packets()
        offload = segment(4, cwr=True)
        self.port.transmit(self.layout.build(offload.hdr) + offload.frame)


@violates("tx.drv.ecn-bit", features=ECN)
class NoEcnBit(Segmenting):
    """Leaves VIRTIO_NET_HDR_GSO_ECN out."""

    def altered(self, offload: Offload) -> Offload:
        return offload.with_gso(offload.hdr.gso_type & ~GsoType.ECN)


@violates("tx.drv.gso-needs-csum", features=TSO)
class SegmentsWithoutChecksum(Segmenting):
    """Asks for segmentation without NEEDS_CSUM."""

    def altered(self, offload: Offload) -> Offload:
        return replace(offload, hdr=replace(offload.hdr, flags=0))


@violates("tx.drv.gso-size", features=TSO)
class NoSegmentSize(Segmenting):
    """Leaves gso_size at zero."""

    def altered(self, offload: Offload) -> Offload:
        return replace(offload, hdr=replace(offload.hdr, gso_size=0))


@violates("tx.drv.hdr-len-exact", features=HDRLEN)
class HeadersWithoutTransport(Segmenting):
    """Leaves the transport header out of hdr_len."""

    def altered(self, offload: Offload) -> Offload:
        return replace(offload, hdr=replace(offload.hdr, hdr_len=offload.hdr.csum_start))


@violates("tx.drv.hdr-len-hint", features=TSO)
class NoHint(Segmenting):
    """Leaves hdr_len at zero."""

    send = ReferenceDriver.send


# -- IPsec -------------------------------------------------------------------------------------------------------


@violates("tx.drv.security-sa-created")
class ProtectsTooEarly(ReferenceDriver):
    """Sets SECURITY before there is an SA."""

    def make_sas(self) -> None:
        self.send(FRAME, sa=1)
        super().make_sas()


@violates("tx.drv.security-resource-id")
class UnknownSa(ReferenceDriver):
    """Sets SECURITY with an id that no outbound SA has."""

    def pass_packets(self) -> None:
        super().pass_packets()
        self.send(FRAME, sa=self.outbound + 100)
