"""IP headers that a device made, read by hand."""

from __future__ import annotations

from dataclasses import dataclass

from ...ipsec.ip import ones_complement_sum
from ..verdict import Failed


@dataclass(frozen=True, slots=True)
class IpHeader:
    """An IPv4 header, or an IPv6 header without extension headers; what the version does not have is 0.

    ``size`` counts the header's octets, ``total`` the packet's as the header
    says; ``fragment`` is the offset in units of 8 octets; ``checksum_right``
    is always true of IPv6.
    """

    version: int
    size: int
    total: int
    traffic_class: int
    identification: int
    df: bool
    more: bool
    fragment: int
    ttl: int
    protocol: int
    checksum_right: bool
    flow_label: int
    src: bytes
    dst: bytes

    @property
    def dscp(self) -> int:
        return self.traffic_class >> 2

    @property
    def ecn(self) -> int:
        return self.traffic_class & 3


def ip_header(what: str, packet: bytes) -> IpHeader:
    """The header at the beginning of ``packet``; fails the check when there is none."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        size, field = (packet[0] & 15) * 4, packet[6] << 8 | packet[7]
        return IpHeader(
            version=4,
            size=size,
            total=packet[2] << 8 | packet[3],
            traffic_class=packet[1],
            identification=packet[4] << 8 | packet[5],
            df=bool(field & 0x4000),
            more=bool(field & 0x2000),
            fragment=field & 0x1FFF,
            ttl=packet[8],
            protocol=packet[9],
            checksum_right=ones_complement_sum(packet[:size]) == 0xFFFF,
            flow_label=0,
            src=packet[12:16],
            dst=packet[16:20],
        )
    if version == 6 and len(packet) >= 40:
        return IpHeader(
            version=6,
            size=40,
            total=40 + (packet[4] << 8 | packet[5]),
            traffic_class=(packet[0] << 4 | packet[1] >> 4) & 0xFF,
            identification=0,
            df=False,
            more=False,
            fragment=0,
            ttl=packet[7],
            protocol=packet[6],
            checksum_right=True,
            flow_label=int.from_bytes(packet[1:4], "big") & 0xFFFFF,
            src=packet[8:24],
            dst=packet[24:40],
        )
    raise Failed(what, "a packet that begins with a whole IP header", packet[:40].hex(" ", -4) or "no octets")
