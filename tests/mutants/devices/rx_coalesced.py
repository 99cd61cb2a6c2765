"""Devices that are wrong about the header of packets that they coalesced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from virtionet_ipsec.conformance.driving.traffic import inside, transport_of
from virtionet_ipsec.wire.enums import GsoType, HdrFlag
from virtionet_ipsec.wire.net_hdr import NetHdr

from ..coalescing import ECN, RSC, TSO, TUNNEL_BIT, TUNNEL_CSUM, TUNNELS, Coalescing, put
from ..mutant import breaks

_TUNNEL_BITS = GsoType.UDP_TUNNEL_IPV4 | GsoType.UDP_TUNNEL_IPV6


def saying(alter: Callable[[NetHdr], dict[str, Any]]) -> Any:
    """An ``altered`` that gives header fields another value; those that have it already stay."""
    return lambda device, hdr, frame: (replace(hdr, **alter(hdr)), frame)


@breaks("rx.dev.gso-needs-csum", features=TSO)
class NoNeedsCsum(Coalescing):
    """NEEDS_CSUM is left out."""

    altered = saying(lambda hdr: {"flags": hdr.flags & ~HdrFlag.NEEDS_CSUM})


@breaks("rx.dev.gso-needs-csum", features=TSO)
class NoNeedsCsumOverIpv6(Coalescing):
    """NEEDS_CSUM is left out of packets over IPv6."""

    altered = saying(lambda hdr: {"flags": hdr.flags & ~(HdrFlag.NEEDS_CSUM if hdr.gso_type == GsoType.TCPV6 else 0)})


@breaks("rx.dev.gso-size", features=TSO)
class NoSize(Coalescing):
    """gso_size is zero."""

    altered = saying(lambda hdr: {"gso_size": 0})


@breaks("rx.dev.gso-size", features=TSO)
class SizeOfAll(Coalescing):
    """gso_size is what all segments carry together."""

    def altered(self, hdr: NetHdr, frame: bytes) -> tuple[NetHdr, bytes]:
        return replace(hdr, gso_size=len(frame) - hdr.hdr_len), frame


@breaks("rx.dev.hdr-len", features=TSO)
class HeadersWithoutTransport(Coalescing):
    """hdr_len of a coalesced packet leaves the transport header out."""

    altered = saying(lambda hdr: {"hdr_len": hdr.csum_start})


@breaks("rx.dev.hdr-len", features=TSO)
class NoHdrLenWithoutGso(Coalescing):
    """hdr_len is zero in packets that are not coalesced."""

    def hdr_len(self, frame: bytes) -> int:
        return 0


@breaks("rx.dev.hdr-len", features=TUNNELS)
class OuterHeaders(Coalescing):
    """hdr_len of a coalesced packet in a UDP tunnel ends with the outer UDP header."""

    altered = saying(lambda hdr: {"hdr_len": hdr.outer_th_offset + 8 if hdr.outer_th_offset else hdr.hdr_len})


@breaks("rx.dev.ecn-bit", features=ECN)
class NoEcnBit(Coalescing):
    """The bit ECN is left out of gso_type."""

    altered = saying(lambda hdr: {"gso_type": hdr.gso_type & ~GsoType.ECN})


# -- UDP tunnels -----------------------------------------------------------------------------------------------------


@breaks("rx.dev.tunnel-bit-inner", features=TUNNELS)
class NoTunnelBit(Coalescing):
    """TCP in a UDP tunnel has the gso_type of TCP alone."""

    altered = saying(lambda hdr: {"gso_type": hdr.gso_type & ~_TUNNEL_BITS})


@breaks("rx.dev.tunnel-bit-inner", features=TUNNELS)
class AlwaysIpv4(Coalescing):
    """The tunnel bit is UDP_TUNNEL_IPV4, also of IPv6 in a tunnel over IPv6."""

    altered = saying(
        lambda hdr: {"gso_type": hdr.gso_type & ~_TUNNEL_BITS | TUNNEL_BIT[4] if hdr.inner_nh_offset else hdr.gso_type}
    )


@breaks("rx.dev.tunnel-bit-inner", features=TUNNELS)
class BothTunnelBits(Coalescing):
    """Where the IP versions differ, both tunnel bits are set."""

    def altered(self, hdr: NetHdr, frame: bytes) -> tuple[NetHdr, bytes]:
        outer, inner = transport_of(frame), inside(frame)
        differ = outer is not None and inner is not None and outer.version != inner.version
        return replace(hdr, gso_type=hdr.gso_type | (_TUNNEL_BITS if differ else 0)), frame


@breaks("rx.dev.tunnel-offsets", features=TUNNELS)
class NoOuterTransport(Coalescing):
    """outer_th_offset is zero."""

    altered = saying(lambda hdr: {"outer_th_offset": 0})


@breaks("rx.dev.tunnel-offsets", features=TUNNELS)
class InnerEthernet(Coalescing):
    """inner_nh_offset is that of the inner Ethernet header."""

    altered = saying(lambda hdr: {"inner_nh_offset": max(hdr.inner_nh_offset - 14, 0)})


@breaks("rx.dev.udp-tunnel-csum-pseudo-header", features=TUNNEL_CSUM)
class NoOuterChecksum(Coalescing):
    """With UDP_TUNNEL_CSUM the outer UDP checksum is zero."""

    def altered(self, hdr: NetHdr, frame: bytes) -> tuple[NetHdr, bytes]:
        return hdr, put(frame, hdr.outer_th_offset + 6, 0) if hdr.flags & HdrFlag.UDP_TUNNEL_CSUM else frame


@breaks("rx.dev.udp-tunnel-csum-clear", features=TUNNEL_CSUM)
class PseudoHeaderUnsaid(Coalescing):
    """The outer UDP checksum is left to the driver, and UDP_TUNNEL_CSUM is clear."""

    altered = saying(lambda hdr: {"flags": hdr.flags & ~HdrFlag.UDP_TUNNEL_CSUM})


# -- VIRTIO_NET_F_RSC_EXT --------------------------------------------------------------------------------------------


@breaks("rx.dev.rsc-info", features=RSC)
class NoRscInfo(Coalescing):
    """RSC_INFO is left out."""

    altered = saying(lambda hdr: {"flags": hdr.flags & ~HdrFlag.RSC_INFO})


@breaks("rx.dev.rsc-segments", features=RSC)
class OneSegmentLess(Coalescing):
    """csum_start counts the segments behind the first."""

    altered = saying(lambda hdr: {"csum_start": hdr.csum_start - 1})


@breaks("rx.dev.rsc-segments", features=RSC)
class ChecksumWhereCountsBelong(Coalescing):
    """csum_start is that of the checksum, with RSC_INFO as without."""

    altered = saying(lambda hdr: {"csum_start": hdr.hdr_len - 20})


@breaks("rx.dev.rsc-duplicate-acks", features=RSC)
class NoDuplicates(Coalescing):
    """Duplicate ACKs go unmentioned."""

    altered = saying(lambda hdr: {"csum_offset": 0})


@breaks("rx.dev.rsc-duplicate-acks", features=RSC)
class ChecksumOffset(Coalescing):
    """csum_offset is that of the checksum, with RSC_INFO as without."""

    altered = saying(lambda hdr: {"csum_offset": 16})
