"""A driver that leaves segmentation to the device, as it should: what wrong ones vary, a packet at a time.

The model does not do all of it that it offers here; a monitor sees what the
driver asks for all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from virtionet_ipsec.conformance.driving import frames
from virtionet_ipsec.device.negotiation import default_features, feature_mask
from virtionet_ipsec.driver.port import DevicePort
from virtionet_ipsec.wire.enums import Feature, GsoType, HdrFlag
from virtionet_ipsec.wire.net_hdr import NetHdr
from virtionet_ipsec.wire.profile import Profile

from .session import ReferenceDriver

F = Feature
TSO = default_features(Profile.VIRTIO_1_4) & ~feature_mask(F.HOST_ECN) | feature_mask(F.HOST_UFO)
TUNNELS = TSO | feature_mask(F.HOST_UDP_TUNNEL_GSO)
TUNNEL_CSUM = TUNNELS | feature_mask(F.HOST_UDP_TUNNEL_GSO_CSUM)

MSS = 100
ADDRESSES = {4: frames.SRC4 + frames.DST4, 6: frames.SRC6 + frames.DST6}
IP_SIZE = {4: 20, 6: 40}
TUNNEL_BIT = {4: GsoType.UDP_TUNNEL_IPV4, 6: GsoType.UDP_TUNNEL_IPV6}
CSUM_OFFSET = {frames.TCP: 16, frames.UDP: 6}
HEADER_SIZE = {frames.TCP: 20, frames.UDP: 8}
_GSO = {(4, frames.TCP): GsoType.TCPV4, (6, frames.TCP): GsoType.TCPV6}
_NEEDS = {
    GsoType.TCPV4: F.HOST_TSO4,
    GsoType.TCPV6: F.HOST_TSO6,
    GsoType.UDP: F.HOST_UFO,
    GsoType.UDP_L4: F.HOST_USO,
}


@dataclass(frozen=True)
class Offload:
    """A frame and the header in front of it."""

    hdr: NetHdr
    frame: bytes

    def with_gso(self, gso_type: int) -> Offload:
        return replace(self, hdr=replace(self.hdr, gso_type=gso_type))


def with_pseudo_sum(datagram: bytes, protocol: int, version: int) -> bytes:
    """The TCP or UDP datagram with the pseudo header's sum in its checksum field."""
    at = CSUM_OFFSET[protocol]
    value = frames.pseudo_header_sum(ADDRESSES[version], protocol, len(datagram))
    return datagram[:at] + value.to_bytes(2, "big") + datagram[at + 2 :]


def ip(payload: bytes, protocol: int, version: int) -> bytes:
    return frames.ipv4(payload, protocol) if version == 4 else frames.ipv6(payload, protocol)


def segment(version: int, protocol: int = frames.TCP, *, cwr: bool = False) -> Offload:
    """A packet of three segments."""
    payload = bytes(3 * MSS)
    datagram = frames.tcp(payload) if protocol == frames.TCP else frames.udp(payload)
    if cwr:
        datagram = datagram[:13] + bytes((datagram[13] | 0x80,)) + datagram[14:]
    start = 14 + IP_SIZE[version]
    hdr = NetHdr(
        flags=int(HdrFlag.NEEDS_CSUM),
        gso_type=_GSO.get((version, protocol), GsoType.UDP_L4) | (GsoType.ECN if cwr else 0),
        hdr_len=start + HEADER_SIZE[protocol],
        gso_size=MSS,
        csum_start=start,
        csum_offset=CSUM_OFFSET[protocol],
    )
    return Offload(hdr, frames.ethernet(ip(with_pseudo_sum(datagram, protocol, version), protocol, version)))


def in_tunnel(inside: Offload, outer: int, inner: int, *, csum: bool) -> Offload:
    """The packet in VXLAN (RFC 7348); with ``csum`` the outer checksum is left to the device, else there is none."""
    th = 14 + IP_SIZE[outer]
    nh = th + 8 + 8 + 14
    datagram = frames.udp(b"\x08" + bytes(7) + inside.frame, 5000, 4789)
    datagram = with_pseudo_sum(datagram, frames.UDP, outer) if csum else datagram[:6] + b"\0\0" + datagram[8:]
    hdr = replace(
        inside.hdr,
        flags=inside.hdr.flags | (HdrFlag.UDP_TUNNEL_CSUM if csum else 0),
        gso_type=inside.hdr.gso_type | TUNNEL_BIT[inner],
        hdr_len=inside.hdr.hdr_len + nh - 14,
        csum_start=inside.hdr.csum_start + nh - 14,
        outer_th_offset=th,
        inner_nh_offset=nh,
    )
    return Offload(hdr, frames.ethernet(ip(datagram, frames.UDP, outer)))


class Segmenting(ReferenceDriver):
    """Accepts all that is offered, and sends packets for the device to segment, of every kind negotiated."""

    def __init__(self, port: DevicePort, profile: Profile) -> None:
        super().__init__(port, profile, port.features)

    def has(self, feature: Feature) -> bool:
        return bool(self.negotiated >> feature & 1)

    def send(self, frame: bytes, sa: int | None = None, csum: tuple[int, int] | None = None) -> tuple[bytes, ...]:
        """``hdr_len`` is no less than the headers."""
        hdr = replace(self.layout.parse(self.header(sa, csum)), hdr_len=len(frame))
        return self.port.transmit(self.layout.build(hdr) + frame)

    def pass_packets(self) -> None:
        super().pass_packets()
        for offload in self.offloads():
            changed = self.altered(offload)
            self.port.transmit(self.layout.build(changed.hdr) + changed.frame)

    def offloads(self) -> Iterator[Offload]:
        """What is to be segmented."""
        udp = segment(4, frames.UDP)
        plain = [segment(4), segment(6), udp, udp.with_gso(GsoType.UDP)]
        if self.has(F.HOST_ECN):
            plain.append(segment(4, cwr=True))
        yield from (each for each in plain if self.has(_NEEDS[GsoType(each.hdr.gso_type & 0x1F)]))
        if self.has(F.HOST_UDP_TUNNEL_GSO):
            for version in (4, 6):
                yield in_tunnel(segment(version), version, version, csum=False)
            yield in_tunnel(udp, 6, 4, csum=False)
        if self.has(F.HOST_UDP_TUNNEL_GSO_CSUM):
            yield in_tunnel(segment(4), 4, 4, csum=True)

    def altered(self, offload: Offload) -> Offload:
        """The packet as it is sent: the step for a fault."""
        return offload


Segmenting.right = Segmenting
