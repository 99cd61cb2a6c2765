"""Drivers with a fault where they have packets segmented in UDP tunnels (virtio 1.4, 5.1.9.2)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from virtionet_ipsec.wire.enums import GsoType, HdrFlag

from ..mutant import violates
from ..segmenting import TUNNEL_BIT, TUNNEL_CSUM, TUNNELS, Offload, Segmenting, in_tunnel, segment
from .tx import OddHeader

BOTH = GsoType.UDP_TUNNEL_IPV4 | GsoType.UDP_TUNNEL_IPV6


class WrongTunnel(Segmenting):
    """Changes header fields of the packets that go through a tunnel; ``change`` gives the new ones."""

    def altered(self, offload: Offload) -> Offload:
        if not offload.hdr.gso_type & BOTH:
            return offload
        return replace(offload, hdr=replace(offload.hdr, **self.change(offload)))

    def change(self, offload: Offload) -> dict[str, Any]:
        raise NotImplementedError


@violates("tx.drv.tunnel-unnegotiated", "tx.drv.tunnel-bits-without-feature")
class TunnelsUnnegotiated(OddHeader):
    """Sets a tunnel bit, which was not negotiated."""

    fields: ClassVar = {"gso_type": GsoType.TCPV4 | GsoType.UDP_TUNNEL_IPV4}


@violates("tx.drv.tunnel-csum-flag-unnegotiated", "tx.drv.tunnel-csum-flag-without-feature")
class TunnelChecksumUnnegotiated(OddHeader):
    """Sets UDP_TUNNEL_CSUM, which was not negotiated."""

    fields: ClassVar = {"flags": HdrFlag.UDP_TUNNEL_CSUM}


@violates("tx.drv.tunnel-bit-ipv4", features=TUNNELS)
class NeverIpv4(WrongTunnel):
    """Sets UDP_TUNNEL_IPV6 whatever the inner header is."""

    def change(self, offload: Offload) -> dict[str, Any]:
        return {"gso_type": offload.hdr.gso_type & ~BOTH | TUNNEL_BIT[6]}


@violates("tx.drv.tunnel-bit-ipv6", features=TUNNELS)
class NeverIpv6(WrongTunnel):
    """Sets UDP_TUNNEL_IPV4 whatever the inner header is."""

    def change(self, offload: Offload) -> dict[str, Any]:
        return {"gso_type": offload.hdr.gso_type & ~BOTH | TUNNEL_BIT[4]}


@violates("tx.drv.tunnel-one-bit", features=TUNNELS)
class BothBits(WrongTunnel):
    """Sets both tunnel bits."""

    def change(self, offload: Offload) -> dict[str, Any]:
        return {"gso_type": offload.hdr.gso_type | BOTH}


@violates("tx.drv.tunnel-no-ufo", features=TUNNELS)
class FragmentsInTunnel(WrongTunnel):
    """Asks for UDP fragmentation in a tunnel."""

    def change(self, offload: Offload) -> dict[str, Any]:
        return {"gso_type": offload.hdr.gso_type & BOTH | GsoType.UDP}


@violates("tx.drv.outer-th-offset", features=TUNNELS)
class BehindTheOuterHeader(WrongTunnel):
    """Sets outer_th_offset to what follows the outer UDP header."""

    def change(self, offload: Offload) -> dict[str, Any]:
        return {"outer_th_offset": offload.hdr.outer_th_offset + 8}


@violates("tx.drv.inner-nh-offset", features=TUNNELS)
class InnerEthernet(WrongTunnel):
    """Sets inner_nh_offset to the inner Ethernet header."""

    def change(self, offload: Offload) -> dict[str, Any]:
        return {"inner_nh_offset": offload.hdr.inner_nh_offset - 14}


@violates(
    "tx.drv.tunnel-csum-features",
    "tx.drv.tunnel-csum-packet-unnegotiated",
    "tx.drv.outer-csum-not-required",
    "tx.drv.outer-csum-zero-or-complete",
    features=TUNNELS,
)
class OuterChecksumUnnegotiated(Segmenting):
    """Leaves the outer checksum to the device, which was not negotiated."""

    def pass_packets(self) -> None:
        super().pass_packets()
        offload = in_tunnel(segment(4), 4, 4, csum=True)
        self.port.transmit(self.layout.build(offload.hdr) + offload.frame)


@violates("tx.drv.tunnel-csum-tunnel-bit", "tx.drv.tunnel-csum-needs-tunnel-bit", features=TUNNEL_CSUM)
class NoTunnelBit(WrongTunnel):
    """Leaves the tunnel bit out."""

    def change(self, offload: Offload) -> dict[str, Any]:
        return {"gso_type": offload.hdr.gso_type & ~BOTH}


@violates("tx.drv.tunnel-csum-flag", features=TUNNEL_CSUM)
class NoTunnelChecksum(WrongTunnel):
    """Leaves UDP_TUNNEL_CSUM out."""

    def change(self, offload: Offload) -> dict[str, Any]:
        return {"flags": offload.hdr.flags & ~HdrFlag.UDP_TUNNEL_CSUM}


@violates("tx.drv.outer-csum-pseudo-header", features=TUNNEL_CSUM)
class EmptyOuterChecksum(Segmenting):
    """Leaves zero in the outer checksum field that the device is to fill in."""

    def altered(self, offload: Offload) -> Offload:
        if not offload.hdr.flags & HdrFlag.UDP_TUNNEL_CSUM:
            return offload
        at = offload.hdr.outer_th_offset + 6
        return replace(offload, frame=offload.frame[:at] + b"\0\0" + offload.frame[at + 2 :])
