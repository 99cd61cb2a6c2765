"""Devices that are wrong about the fields of virtio_net_hdr in transmitted packets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.transmit import Transmitter
from virtionet_ipsec.wire.enums import Feature, GsoType, HdrFlag
from virtionet_ipsec.wire.net_hdr import HdrLayout, NetHdr
from virtionet_ipsec.wire.profile import Profile

from ..mutant import breaks

TUNNEL_BITS = GsoType.UDP_TUNNEL_IPV4 | GsoType.UDP_TUNNEL_IPV6
SEGMENTS = sum(1 << each for each in (Feature.VERSION_1, Feature.CSUM, Feature.HOST_TSO4, Feature.HOST_TSO6))
TUNNELS = sum(1 << each for each in (Feature.HOST_USO, Feature.HOST_UDP_TUNNEL_GSO, Feature.HOST_UDP_TUNNEL_GSO_CSUM))


class Taking(Device):
    """A device that goes by the header that :meth:`take` makes of the driver's; None drops the packet."""

    def transmit(self, buffer: bytes, queue: int = 0) -> tuple[bytes, ...]:
        layout = HdrLayout(self.profile, self.negotiated)
        frame = buffer[layout.size :]
        header = self.take(layout.parse(buffer), frame)
        return super().transmit(layout.build(header) + frame, queue) if header is not None else ()

    def has(self, feature: Feature) -> bool:
        return bool(self.negotiated >> feature & 1)

    def take(self, header: NetHdr, frame: bytes) -> NetHdr | None:
        raise NotImplementedError


# -- flags and offsets -------------------------------------------------------------------------------------------


@breaks("tx.dev.unknown-flags")
@breaks("tx.dev.unknown-flags", profile=Profile.RFC_V1)
class DropsUnknownFlags(Taking):
    """A packet with a flag that has no meaning is dropped."""

    def take(self, header: NetHdr, frame: bytes) -> NetHdr | None:
        return None if header.flags & 0x80 else header


@breaks("tx.dev.unknown-flags")
@breaks("tx.dev.unknown-flags", profile=Profile.RFC_V1)
class DropsUnnegotiatedSecurity(Taking):
    """A packet with SECURITY in flags is dropped when VIRTIO_NET_F_IPSEC was not negotiated."""

    def take(self, header: NetHdr, frame: bytes) -> NetHdr | None:
        security = HdrLayout(self.profile, self.negotiated).security
        return None if header.flags & security and not self.has(Feature.IPSEC) else header


@breaks("tx.dev.unknown-flags")
class FillsInUnnegotiatedChecksum(Device):
    """NEEDS_CSUM is carried out whether VIRTIO_NET_F_CSUM was negotiated or not."""

    class Wrong(Transmitter):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self._needs_csum = int(HdrFlag.NEEDS_CSUM)

    _transmitter_class = Wrong


@breaks("tx.dev.needs-csum")
@breaks("tx.dev.needs-csum", profile=Profile.RFC_V1)
class IgnoresNeedsCsum(Taking):
    """NEEDS_CSUM does nothing."""

    def take(self, header: NetHdr, frame: bytes) -> NetHdr | None:
        return replace(header, flags=header.flags & ~HdrFlag.NEEDS_CSUM)


class _Checksumming(Transmitter):
    """A device's checksums, altered."""

    def _with_checksum(self, buffer: bytes) -> bytes:
        size = self._size
        header, frame = buffer[:size], super()._with_checksum(buffer)[size:]
        start, offset = (int.from_bytes(header[at : at + 2], "little") for at in (6, 8))
        right = frame[start + offset : start + offset + 2]
        value = self.alter(right, frame[start:])
        return header + frame[: start + offset] + value + frame[start + offset + 2 :]

    def alter(self, right: bytes, summed: bytes) -> bytes:
        raise NotImplementedError


@breaks("tx.dev.needs-csum")
class SendsZeroSums(Device):
    """A computed checksum of 0 is sent as 0."""

    class Wrong(_Checksumming):
        def alter(self, right: bytes, summed: bytes) -> bytes:
            return b"\0\0" if right == b"\xff\xff" else right

    _transmitter_class = Wrong


@breaks("tx.dev.needs-csum")
class LeavesOutOddOctets(Device):
    """The last octet of a packet of odd length is not in the checksum."""

    class Wrong(_Checksumming):
        def alter(self, right: bytes, summed: bytes) -> bytes:
            if len(summed) % 2 == 0 or not summed[-1]:
                return right
            total = (int.from_bytes(right, "big") + (summed[-1] << 8)) % 0xFFFF
            return (total or 0xFFFF).to_bytes(2, "big")

    _transmitter_class = Wrong


@breaks("tx.dev.needs-csum")
class NoChecksumBeforeEncryption(Device):
    """A packet with SECURITY and NEEDS_CSUM is protected with its checksum undone."""

    class Wrong(Transmitter):
        def _with_checksum(self, buffer: bytes) -> bytes:
            return buffer if buffer[0] & self._security else super()._with_checksum(buffer)

    _transmitter_class = Wrong


@breaks("tx.dev.csum-fields-unused")
@breaks("tx.dev.csum-fields-unused", profile=Profile.RFC_V1)
class FillsInEveryChecksum(Taking):
    """A nonzero csum_start is enough for a checksum to be computed."""

    def take(self, header: NetHdr, frame: bytes) -> NetHdr | None:
        return replace(header, flags=header.flags | HdrFlag.NEEDS_CSUM) if header.csum_start else header


@breaks("tx.dev.csum-fields-unused")
class ChecksEveryCsumOffset(Taking):
    """A packet whose csum_start and csum_offset point behind its end is dropped without NEEDS_CSUM, too."""

    def take(self, header: NetHdr, frame: bytes) -> NetHdr | None:
        return None if header.csum_start + header.csum_offset + 2 > len(frame) else header


@breaks("tx.dev.outer-nh-offset-zero", "tx.dev.outer-nh-offset-unused")
class LooksForIpAtZero(Taking):
    """With VIRTIO_NET_F_OUT_NET_HEADER an outer_nh_offset of 0 is where the network header has to be."""

    def take(self, header: NetHdr, frame: bytes) -> NetHdr | None:
        if not self.has(Feature.OUT_NET_HEADER):
            return header
        return header if frame[header.outer_nh_offset] >> 4 in (4, 6) else None


@breaks("tx.dev.outer-nh-offset-zero", "tx.dev.outer-nh-offset-unused")
class ChecksEveryOuterOffset(Taking):
    """A packet whose outer_nh_offset points behind its end is dropped without VIRTIO_NET_F_OUT_NET_HEADER, too."""

    def take(self, header: NetHdr, frame: bytes) -> NetHdr | None:
        return None if header.outer_nh_offset >= len(frame) else header


@breaks("tx.dev.outer-nh-offset-zero", "tx.dev.outer-nh-offset-unused")
class ProtectsFromOuterOffsetOn(Taking):
    """A packet to be protected begins at a nonzero outer_nh_offset, whatever was negotiated."""

    def take(self, header: NetHdr, frame: bytes) -> NetHdr | None:
        if not header.flags & HdrFlag.SECURITY or not header.outer_nh_offset:
            return header
        return header if header.outer_nh_offset == 14 else None


@breaks("tx.dev.tunnel-offsets-unused")
@breaks("tx.dev.tunnel-offsets-unused", features=SEGMENTS | TUNNELS)
class ChecksEveryTunnelOffset(Taking):
    """A packet whose inner_nh_offset points behind its end is dropped without a tunnel bit, too."""

    def take(self, header: NetHdr, frame: bytes) -> NetHdr | None:
        return None if header.inner_nh_offset >= len(frame) else header


@breaks("tx.dev.tunnel-offsets-unused")
class ChecksumsBehindInnerHeader(Taking):
    """A checksum begins 20 octets behind a nonzero inner_nh_offset, with or without a tunnel bit."""

    def take(self, header: NetHdr, frame: bytes) -> NetHdr | None:
        return replace(header, csum_start=header.inner_nh_offset + 20 & 0xFFFF) if header.inner_nh_offset else header


@breaks("tx.dev.resource-id-unused")
@breaks("tx.dev.resource-id-unused", profile=Profile.RFC_V1)
class ProtectsByResourceId(Taking):
    """The id of an outbound SA in resource_id is enough for a packet to be protected."""

    def take(self, header: NetHdr, frame: bytes) -> NetHdr | None:
        if header.resource_id not in self.outbound:
            return header
        return replace(header, flags=header.flags | HdrLayout(self.profile, self.negotiated).security)


@breaks("tx.dev.resource-id-unused")
class ChecksEveryResourceId(Taking):
    """A packet whose resource_id is nonzero and no outbound SA's is dropped without SECURITY, too."""

    def take(self, header: NetHdr, frame: bytes) -> NetHdr | None:
        return None if header.resource_id and header.resource_id not in self.outbound else header


@breaks("tx.dev.resource-id-unused")
class ChecksEveryResourceType(Taking):
    """A packet whose resource_type is nonzero and not IPSEC_OUTB_SA's is dropped without SECURITY, too."""

    def take(self, header: NetHdr, frame: bytes) -> NetHdr | None:
        return None if header.resource_type not in (0, self._outbound.type) else header


# -- segmentation; what has a tunnel bit and is taken all the same leaves in one frame -----------------------------


@breaks("tx.dev.hdr-len-hint", "tx.dev.hdr-len-not-relied-on", features=SEGMENTS)
class ChecksHdrLen(Taking):
    """A packet whose hdr_len is more than its length is dropped."""

    def take(self, header: NetHdr, frame: bytes) -> NetHdr | None:
        return None if header.hdr_len > len(frame) else header


@breaks("tx.dev.hdr-len-hint", "tx.dev.hdr-len-not-relied-on", features=SEGMENTS)
class ChecksHdrLenAgainstHeaders(Taking):
    """A packet whose hdr_len ends inside of its headers is dropped."""

    def take(self, header: NetHdr, frame: bytes) -> NetHdr | None:
        return None if 0 < header.hdr_len < 42 else header


@breaks("tx.dev.hdr-len-hint", "tx.dev.hdr-len-not-relied-on", features=SEGMENTS)
class SegmentsAtHdrLen(Device):
    """A packet that is to be segmented has as many octets of headers as hdr_len says."""

    def transmit(self, buffer: bytes, queue: int = 0) -> tuple[bytes, ...]:
        layout = HdrLayout(self.profile, self.negotiated)
        header, frame = layout.parse(buffer), buffer[layout.size :]
        if header.gso_type not in (GsoType.TCPV4, GsoType.TCPV6) or header.flags != HdrFlag.NEEDS_CSUM:
            return super().transmit(buffer, queue)
        front = frame[: header.hdr_len]
        starts = range(header.hdr_len, len(frame), header.gso_size)
        return tuple(front + frame[start : start + header.gso_size] for start in starts)


class TakingTunnels(Taking):
    """A device that takes a packet with a tunnel bit that :meth:`wrongly` names for one without gso_type."""

    def take(self, header: NetHdr, frame: bytes) -> NetHdr | None:
        tunnel = header.gso_type & TUNNEL_BITS
        return replace(header, gso_type=0, flags=0) if tunnel and self.wrongly(header) else header

    def wrongly(self, header: NetHdr) -> bool:
        raise NotImplementedError


@breaks("tx.dev.tunnel-both-bits")
@breaks("tx.dev.tunnel-both-bits", features=SEGMENTS | TUNNELS)
class TakesBothTunnelBits(TakingTunnels):
    """A packet with both tunnel bits in gso_type is sent."""

    def wrongly(self, header: NetHdr) -> bool:
        return header.gso_type & TUNNEL_BITS == TUNNEL_BITS


@breaks("tx.dev.tunnel-without-needs-csum")
@breaks("tx.dev.tunnel-without-needs-csum", features=SEGMENTS | TUNNELS)
class TakesTunnelWithoutNeedsCsum(TakingTunnels):
    """A packet with a tunnel bit in gso_type and without NEEDS_CSUM is sent."""

    def wrongly(self, header: NetHdr) -> bool:
        return not header.flags & HdrFlag.NEEDS_CSUM


@breaks("tx.dev.tunnel-with-data-valid")
@breaks("tx.dev.tunnel-with-data-valid", features=SEGMENTS | TUNNELS)
class TakesTunnelWithDataValid(TakingTunnels):
    """A packet with a tunnel bit in gso_type and DATA_VALID is sent."""

    def wrongly(self, header: NetHdr) -> bool:
        return bool(header.flags & HdrFlag.DATA_VALID)


@breaks("tx.dev.tunnel-without-gso")
@breaks("tx.dev.tunnel-without-gso", features=SEGMENTS | TUNNELS)
class TakesTunnelWithoutGso(TakingTunnels):
    """A packet with a tunnel bit in gso_type that is GSO_NONE apart from it is sent."""

    def wrongly(self, header: NetHdr) -> bool:
        return not header.gso_type & ~TUNNEL_BITS


@breaks("tx.dev.tunnel-csum-without-tunnel")
@breaks("tx.dev.tunnel-csum-without-tunnel", features=SEGMENTS | TUNNELS)
class IgnoresTunnelCsum(Taking):
    """UDP_TUNNEL_CSUM is ignored without a tunnel bit in gso_type."""

    def take(self, header: NetHdr, frame: bytes) -> NetHdr | None:
        if header.gso_type & TUNNEL_BITS:
            return header
        return replace(header, flags=header.flags & ~HdrFlag.UDP_TUNNEL_CSUM)
