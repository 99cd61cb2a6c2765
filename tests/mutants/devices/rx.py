"""Devices that are wrong about the header and the checksums of incoming packets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from virtionet_ipsec.conformance.driving.traffic import VXLAN, complete, pseudo_header, transport_of
from virtionet_ipsec.device import Device, Received
from virtionet_ipsec.device.receive import Receiver
from virtionet_ipsec.wire.enums import Feature, GsoType, HdrFlag
from virtionet_ipsec.wire.net_hdr import NetHdr
from virtionet_ipsec.wire.profile import Profile

from ..mutant import breaks
from ..wrapping import altering_headers, altering_received

DEFAULT = Device().features
F = Feature


def offering(*features: Feature) -> int:
    """What the model offers, and these."""
    return DEFAULT | sum(1 << feature for feature in features)


SEGMENTED = (F.GUEST_TSO4, F.GUEST_TSO6, F.GUEST_USO4, F.GUEST_USO6)
TUNNEL = offering(*SEGMENTED, F.GUEST_UDP_TUNNEL_GSO)
TUNNEL_CSUM = offering(*SEGMENTED, F.GUEST_UDP_TUNNEL_GSO, F.GUEST_UDP_TUNNEL_GSO_CSUM)


def protocol(frame: bytes) -> int:
    """The IP protocol of a frame with TCP or UDP in it, else 0."""
    found = transport_of(frame)
    return found.protocol if found is not None else 0


def over4(frame: bytes) -> bool:
    return frame[12:14] == b"\x08\x00"


def tcp(frame: bytes) -> bool:
    return protocol(frame) == 6


def udp(frame: bytes) -> bool:
    return protocol(frame) == 17


def tunnelled(frame: bytes) -> bool:
    found = transport_of(frame)
    return found is not None and frame[found.at + 2 : found.at + 4] == VXLAN.to_bytes(2, "big")


def flagged(flag: int, when: Callable[[Any, bytes], bool]) -> Any:
    """A ``Device.receive`` that sets ``flag`` in the header of packets ``when(device, frame)`` says so."""
    return altering_headers(
        lambda device, hdr, frame: replace(hdr, flags=hdr.flags | flag) if when(device, frame) else hdr
    )


def segmented(gso_type: int, when: Callable[[bytes], bool], flags: int = HdrFlag.NEEDS_CSUM) -> Any:
    """A ``Device.receive`` that gives packets ``when(frame)`` says so a gso_type."""
    return altering_headers(
        lambda device, hdr, frame: (
            replace(hdr, gso_type=gso_type, gso_size=64, flags=hdr.flags | flags) if when(frame) else hdr
        )
    )


def has(device: Any, feature: Feature) -> bool:
    return bool(device.negotiated >> feature & 1)


# -- buffers ---------------------------------------------------------------------------------------------------------


@breaks("rx.dev.num-buffers-one")
@breaks("rx.dev.num-buffers-one", profile=Profile.RFC_V1)
class CountsNothing(Device):
    """num_buffers is zero when VIRTIO_NET_F_MRG_RXBUF was not negotiated."""

    receive = altering_headers(
        lambda device, hdr, frame: hdr if has(device, F.MRG_RXBUF) else replace(hdr, num_buffers=0)
    )


@breaks("rx.dev.num-buffers-count")
@breaks("rx.dev.num-buffers-count", profile=Profile.RFC_V1)
class CountsOne(Device):
    """num_buffers is 1, also for packets in several buffers."""

    receive = altering_headers(lambda device, hdr, frame: replace(hdr, num_buffers=1))


class _WithoutHeader(Receiver):
    def _buffers(self, queue: int, data: bytes) -> Received:
        right = super()._buffers(queue, data)
        count = -(-(len(data) - self._size) // self.buffer_size)
        first = right.buffers[0]
        return Received(queue, (first[:10] + count.to_bytes(2, "little") + first[12:], *right.buffers[1:]))


@breaks("rx.dev.num-buffers-count")
class CountsWithoutHeader(Device):
    """num_buffers is what the packet without its header would take."""

    _receiver_class = _WithoutHeader


class _EvenBuffers(Receiver):
    def _buffers(self, queue: int, data: bytes) -> Received:
        right = super()._buffers(queue, data)
        size = -(-len(data) // len(right.buffers))
        joined = b"".join(right.buffers)
        return Received(queue, tuple(joined[at : at + size] for at in range(0, len(joined), size)))


@breaks("rx.dev.full-buffers")
class SpreadsEvenly(Device):
    """A packet is spread evenly over the buffers that it takes."""

    _receiver_class = _EvenBuffers


class _OneBuffer(Receiver):
    def _buffers(self, queue: int, data: bytes) -> Received:
        right = super()._buffers(queue, data)
        return Received(queue, right.buffers[:1])


@breaks("rx.dev.buffers-together")
class UsesFirstBuffer(Device):
    """Of a packet in several buffers the first is used, and not yet the others."""

    _receiver_class = _OneBuffer


# -- checksums -------------------------------------------------------------------------------------------------------


@breaks("rx.dev.flags-zero")
@breaks("rx.dev.flags-zero", profile=Profile.RFC_V1)
class ValidUnasked(Device):
    """DATA_VALID is set though VIRTIO_NET_F_GUEST_CSUM was not negotiated."""

    receive = flagged(HdrFlag.DATA_VALID, lambda device, frame: not has(device, F.GUEST_CSUM) and udp(frame))


def _incomplete(frame: bytes) -> bytes:
    """``frame`` with the sum of the pseudo header in its checksum field."""
    found = transport_of(frame)
    if found is None:
        return frame
    value = pseudo_header(found).to_bytes(2, "big")
    return frame[: found.csum_at] + value + frame[found.csum_at + 2 :]


@breaks("rx.dev.fully-checksummed")
class IncompleteUnasked(Device):
    """Packets have an incomplete checksum though VIRTIO_NET_F_GUEST_CSUM was not negotiated."""

    receive = altering_received(
        lambda device, hdr, frame: (hdr, frame if has(device, F.GUEST_CSUM) else _incomplete(frame))
    )


def needing(
    body: Callable[[bytes], bytes] = _incomplete, *, checked: bool = True, start: int = 0, offset: int = 0
) -> Any:
    """A ``Device.receive`` with NEEDS_CSUM for TCP and UDP, all right but for what is given."""

    def alter(device: Any, hdr: NetHdr, frame: bytes) -> tuple[NetHdr, bytes]:
        found = transport_of(frame)
        if found is None or not has(device, F.GUEST_CSUM) or (checked and not complete(frame)):
            return hdr, frame
        csum_start, csum_offset = found.at + start, found.csum_at - found.at + offset
        flags = hdr.flags | HdrFlag.NEEDS_CSUM
        return replace(hdr, flags=flags, csum_start=csum_start, csum_offset=csum_offset), body(frame)

    return altering_received(alter)


@breaks("rx.dev.needs-csum-validated")
class NeedsUnchecked(Device):
    """NEEDS_CSUM is set without a look at the checksum that the packet has."""

    receive = needing(checked=False)


@breaks("rx.dev.needs-csum-pseudo-header")
class NeedsComplete(Device):
    """NEEDS_CSUM is set, and the checksum in the packet is left as it is, complete."""

    receive = needing(lambda frame: frame)


def _zeroed(frame: bytes) -> bytes:
    found = transport_of(frame)
    assert found is not None
    return frame[: found.csum_at] + b"\0\0" + frame[found.csum_at + 2 :]


@breaks("rx.dev.needs-csum-pseudo-header")
class NeedsFromZero(Device):
    """NEEDS_CSUM is set, and the checksum field in the packet is zero."""

    receive = needing(_zeroed)


@breaks("rx.dev.needs-csum-completes")
class StartsAtIp(Device):
    """csum_start of a packet with NEEDS_CSUM does not count the Ethernet header."""

    receive = needing(start=-14)


@breaks("rx.dev.needs-csum-completes")
class OffsetOfTcp(Device):
    """csum_offset of a packet with NEEDS_CSUM is two octets too far."""

    receive = needing(offset=2)


@breaks("rx.dev.data-valid-validated")
@breaks("rx.dev.data-valid-validated", profile=Profile.RFC_V1)
class ValidUnchecked(Device):
    """DATA_VALID is set without a look at the checksum of TCP and UDP."""

    receive = flagged(HdrFlag.DATA_VALID, lambda device, frame: has(device, F.GUEST_CSUM) and protocol(frame) != 0)


@breaks("rx.dev.data-valid-validated", features=TUNNEL_CSUM)
class InnerUnchecked(Device):
    """DATA_VALID and UDP_TUNNEL_CSUM are set with a look at the outer checksum alone."""

    receive = flagged(
        HdrFlag.DATA_VALID | HdrFlag.UDP_TUNNEL_CSUM, lambda device, frame: tunnelled(frame) and complete(frame)
    )


@breaks("rx.dev.data-valid-tunnel", features=TUNNEL)
class ValidInTunnel(Device):
    """A packet with a UDP tunnel bit in gso_type has DATA_VALID."""

    receive = segmented(GsoType.TCPV4 | GsoType.UDP_TUNNEL_IPV4, tunnelled, HdrFlag.NEEDS_CSUM | HdrFlag.DATA_VALID)


@breaks("rx.dev.udp-tunnel-csum-unnegotiated", features=TUNNEL)
@breaks("rx.dev.udp-tunnel-csum-unnegotiated")
class TunnelCsumUnasked(Device):
    """UDP_TUNNEL_CSUM is set though VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO_CSUM was not negotiated."""

    receive = flagged(HdrFlag.UDP_TUNNEL_CSUM, lambda device, frame: tunnelled(frame))


@breaks("rx.dev.rsc-info-unnegotiated")
@breaks("rx.dev.rsc-info-unnegotiated", profile=Profile.RFC_V1)
class RscInfoUnasked(Device):
    """RSC_INFO is set in TCP packets though VIRTIO_NET_F_RSC_EXT was not negotiated."""

    receive = flagged(HdrFlag.RSC_INFO, lambda device, frame: tcp(frame) and not has(device, F.RSC_EXT))


# -- segmentation ----------------------------------------------------------------------------------------------------


@breaks("rx.dev.tcpv4-unnegotiated", "rx.dev.gso-none")
@breaks("rx.dev.tcpv4-unnegotiated", features=offering(F.GUEST_TSO6))
class Tcpv4Unasked(Device):
    """TCP over IPv4 has the gso_type TCPV4, whatever was negotiated."""

    receive = segmented(GsoType.TCPV4, lambda frame: tcp(frame) and over4(frame))


@breaks("rx.dev.tcpv6-unnegotiated", "rx.dev.gso-none")
@breaks("rx.dev.tcpv6-unnegotiated", features=offering(F.GUEST_TSO4))
class Tcpv6Unasked(Device):
    """TCP over IPv6 has the gso_type TCPV6, whatever was negotiated."""

    receive = segmented(GsoType.TCPV6, lambda frame: tcp(frame) and not over4(frame))


@breaks("rx.dev.udp-unnegotiated", "rx.dev.gso-none")
class UdpUnasked(Device):
    """UDP has the gso_type UDP, whatever was negotiated."""

    receive = segmented(GsoType.UDP, udp)


@breaks("rx.dev.udp-l4-unnegotiated", "rx.dev.gso-none")
@breaks("rx.dev.gso-none", profile=Profile.RFC_V1)
class UdpL4Unasked(Device):
    """UDP has the gso_type UDP_L4, whatever was negotiated."""

    receive = segmented(GsoType.UDP_L4, udp)


@breaks("rx.dev.tunnel-bit-unnegotiated")
class TunnelBitUnasked(Device):
    """A packet in a UDP tunnel has a tunnel bit in gso_type though VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO is not offered."""

    receive = segmented(GsoType.UDP_TUNNEL_IPV4, tunnelled)


@breaks("rx.dev.tunnel-bit-unnegotiated", features=TUNNEL)
class TunnelBit6Unasked(Device):
    """A packet in a UDP tunnel over IPv6 has a tunnel bit in gso_type, whatever was negotiated."""

    receive = segmented(GsoType.TCPV4 | GsoType.UDP_TUNNEL_IPV6, lambda frame: tunnelled(frame) and not over4(frame))


@breaks("rx.dev.tunnel-gso-unnegotiated")
@breaks("rx.dev.tunnel-gso-unnegotiated", features=TUNNEL)
class TunnelledTcpUnasked(Device):
    """TCP in a UDP tunnel is handed up to be segmented, whatever was negotiated."""

    receive = segmented(GsoType.TCPV4, tunnelled)


@breaks("rx.dev.tunnel-outer-checksum", "rx.dev.tunnel-outer-checksum-unnegotiated", features=TUNNEL)
class TunnelIncomplete(Device):
    """The outer UDP checksum of a GSO packet in a UDP tunnel is incomplete."""

    receive = altering_received(
        lambda device, hdr, frame: (
            (
                replace(hdr, gso_type=GsoType.TCPV4 | GsoType.UDP_TUNNEL_IPV4, flags=hdr.flags | HdrFlag.NEEDS_CSUM),
                _incomplete(frame),
            )
            if tunnelled(frame) and has(device, F.GUEST_UDP_TUNNEL_GSO)
            else (hdr, frame)
        )
    )


@breaks("rx.dev.ecn-unnegotiated", features=offering(F.GUEST_TSO4, F.GUEST_TSO6))
class EcnUnasked(Device):
    """TCP with CWR is handed up to be segmented though VIRTIO_NET_F_GUEST_ECN was not negotiated."""

    receive = segmented(GsoType.TCPV4, lambda frame: tcp(frame) and over4(frame) and bool(frame[47] & 0x80))


# -- outer network header --------------------------------------------------------------------------------------------


@breaks("rx.dev.outer-nh-offset", "rx.dev.outer-nh-offset-described")
class OffsetBeforeTags(Device):
    """outer_nh_offset is always 14, also behind a VLAN tag."""

    receive = altering_headers(
        lambda device, hdr, frame: replace(hdr, outer_nh_offset=14) if has(device, F.OUT_NET_HEADER) else hdr
    )


@breaks("rx.dev.outer-nh-offset-unused")
class OffsetOfNothing(Device):
    """outer_nh_offset is 14 in frames without a network header."""

    receive = altering_headers(
        lambda device, hdr, frame: (
            replace(hdr, outer_nh_offset=14)
            if has(device, F.OUT_NET_HEADER) and frame[12:14] not in (b"\x08\x00", b"\x86\xdd")
            else hdr
        )
    )


@breaks("rx.dev.outer-nh-offset-unused")
class OffsetUnasked(Device):
    """outer_nh_offset is set though VIRTIO_NET_F_OUT_NET_HEADER was not negotiated."""

    receive = altering_headers(
        lambda device, hdr, frame: (
            replace(hdr, outer_nh_offset=14)
            if has(device, F.IPSEC) and not has(device, F.OUT_NET_HEADER) and over4(frame)
            else hdr
        )
    )
