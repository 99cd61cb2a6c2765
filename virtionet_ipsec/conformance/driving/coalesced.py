"""Packets that a device coalesced, virtio 1.4, 5.1.9.4: what their headers have to say.

No device has to coalesce.  These checks send what could be coalesced, and
judge the packets that come with a gso_type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ...driver.packet import RxPacket
from ...ipsec.ip import checksum
from ...wire.enums import Feature, GsoType
from ...wire.features import feature_name
from ...wire.profile import Profile
from ..verdict import NotApplicable, NotObservable
from . import frames, traffic, trains
from .rig import Rig
from .traffic import Transport
from .trains import DUPLICATES, SIZE

COALESCING = (Feature.GUEST_TSO4, Feature.GUEST_TSO6, Feature.GUEST_UFO, Feature.GUEST_USO4, Feature.GUEST_USO6)
TUNNEL = (Feature.GUEST_UDP_TUNNEL_GSO, Feature.GUEST_UDP_TUNNEL_GSO_CSUM)
# All that makes a received header say more; RSC_EXT needs one of the last two (D62).
ASSISTS = (*COALESCING, *TUNNEL, Feature.GUEST_ECN, Feature.RSC_EXT, Feature.HOST_TSO4, Feature.HOST_TSO6)
TUNNEL_BITS = GsoType.UDP_TUNNEL_IPV4 | GsoType.UDP_TUNNEL_IPV6
KIND = 0xFF & ~(TUNNEL_BITS | GsoType.ECN)  # gso_type without the bits that are added
SEGMENTED_TCP = (GsoType.TCPV4, GsoType.TCPV6)

_TUNNEL_BIT = {4: GsoType.UDP_TUNNEL_IPV4, 6: GsoType.UDP_TUNNEL_IPV6}
_NOTHING = "the device coalesced nothing of what was sent"


class Coalesced(NamedTuple):
    """A packet with a gso_type; ``outer`` and ``inner`` are its transport headers, ``inner`` that in VXLAN."""

    what: str
    packet: RxPacket
    outer: Transport | None
    inner: Transport | None

    @property
    def kind(self) -> int:
        return self.packet.hdr.gso_type & KIND

    @property
    def tunnel(self) -> int:
        return self.packet.hdr.gso_type & TUNNEL_BITS

    @property
    def tcp(self) -> Transport | None:
        """The TCP header that is to be segmented."""
        found = self.inner or self.outer
        if self.kind not in SEGMENTED_TCP or found is None or found.protocol != frames.TCP:
            return None
        return found

    def flag(self, name: str) -> bool:
        return name in self.packet.flag_names


def _all(_: Coalesced) -> bool:
    return True


def _start(rig: Rig, *features: Feature) -> None:
    """Bring the device up with every receive feature, ``features`` among them."""
    rig.needs(*features)
    if not any(rig.offers(feature) for feature in COALESCING):
        raise NotApplicable("none of VIRTIO_NET_F_GUEST_TSO4, TSO6, UFO, USO4, USO6 is offered")
    rig.negotiate(also=ASSISTS)
    for feature in features:
        if not rig.layout.features >> feature & 1:
            raise NotApplicable(f"{feature_name(feature)} is offered without what it requires")


def _start_tunnels(rig: Rig, feature: Feature) -> None:
    if rig.profile is Profile.RFC_V1:
        raise NotApplicable("the RFC has no segmentation in UDP tunnels")
    _start(rig, feature)


def _coalesced(rig: Rig, when: Callable[[Coalesced], bool] = _all, why: str = _NOTHING) -> Iterator[Coalesced]:
    """What comes coalesced of the trains, where ``when``; :class:`NotObservable` at the end when there was nothing."""
    came = False
    for each in trains.TRAINS:
        packet = rig.receive(each.frame)
        if packet is None or not packet.hdr.gso_type:
            continue
        frame = packet.frame
        what = f"a packet coalesced when {each.what} came"
        found = Coalesced(what, packet, traffic.transport_of(frame), traffic.inside(frame))
        if when(found):
            came = True
            yield found
    if not came:
        raise NotObservable(why)


def gso_needs_csum(rig: Rig) -> None:
    """Packets with a gso_type, of trains of TCP, UDP and VXLAN, have NEEDS_CSUM."""
    _start(rig)
    for found in _coalesced(rig):
        rig.expect(found.flag("NEEDS_CSUM"), f"{found.what}: flags", "NEEDS_CSUM", _flags(found))


def gso_size(rig: Rig) -> None:
    """gso_size of coalesced TCP and UDP is 64, the data in each packet of the trains; of others it is not 0."""
    _start(rig)
    for found in _coalesced(rig):
        got = found.packet.hdr.gso_size
        # GSO_UDP is about fragments, and UDP_L4 of VXLAN about whole packets in it.
        if found.tcp is not None or (found.kind == GsoType.UDP_L4 and found.inner is None):
            rig.equal(f"{found.what}: gso_size", SIZE, got)
        else:
            rig.expect(got != 0, f"{found.what}: gso_size", "not 0", "0")


def _flags(found: Coalesced) -> str:
    return "|".join(found.packet.flag_names) or "none"


def _congested(found: Coalesced) -> bool:
    tcp = found.tcp
    return tcp is not None and bool(found.packet.frame[tcp.at + 13] & traffic.CWR)


def ecn_bit(rig: Rig) -> None:
    """A packet with a gso_type of TCP and CWR in its TCP header has the bit ECN in gso_type."""
    _start(rig, Feature.GUEST_ECN)
    for found in _coalesced(rig, _congested, "the device coalesced no segments of which one has CWR"):
        gso_type = found.packet.hdr.gso_type
        rig.expect(bool(gso_type & GsoType.ECN), f"{found.what}, with CWR: gso_type", "ECN in it", f"{gso_type:#x}")


# -- UDP tunnels -----------------------------------------------------------------------------------------------------


def _tunnelled(found: Coalesced) -> bool:
    return found.inner is not None and bool(found.tunnel or found.kind in SEGMENTED_TCP)


def _in_tunnels(rig: Rig) -> Iterator[tuple[Coalesced, Transport, Transport]]:
    """Coalesced packets of TCP in VXLAN, with their outer and inner transport header."""
    _start_tunnels(rig, Feature.GUEST_UDP_TUNNEL_GSO)
    for found in _coalesced(rig, _tunnelled, "the device coalesced nothing in a UDP tunnel"):
        assert found.outer is not None and found.inner is not None
        yield found, found.outer, found.inner


def tunnel_bit_inner(rig: Rig) -> None:
    """TCP in VXLAN with a gso_type has the tunnel bit of the inner IP version; of the outer one where they differ."""
    for found, outer, inner in _in_tunnels(rig):
        allowed = {_TUNNEL_BIT[inner.version], _TUNNEL_BIT[outer.version]}  # D97
        names = " or ".join(sorted(bit.name or "" for bit in allowed))
        rig.expect(found.tunnel in allowed, f"{found.what}: tunnel bits of gso_type", names, f"{found.tunnel:#x}")


def tunnel_offsets(rig: Rig) -> None:
    """TCP in VXLAN with a gso_type has the offsets of outer UDP and inner IP in outer_th_offset, inner_nh_offset."""
    for found, outer, _ in _in_tunnels(rig):
        hdr = found.packet.hdr
        rig.equal(f"{found.what}: outer_th_offset", outer.at, hdr.outer_th_offset)
        rig.equal(f"{found.what}: inner_nh_offset", traffic.inner_packet_at(outer), hdr.inner_nh_offset)


def _with_tunnel_csum(rig: Rig, said: bool) -> Iterator[tuple[Coalesced, Transport, Transport, int]]:
    """Coalesced packets with a tunnel bit, with or without UDP_TUNNEL_CSUM, and the outer checksum field."""
    _start_tunnels(rig, Feature.GUEST_UDP_TUNNEL_GSO_CSUM)
    why = f"the device coalesced nothing in a UDP tunnel {'with' if said else 'without'} UDP_TUNNEL_CSUM"

    def when(found: Coalesced) -> bool:
        return bool(found.tunnel) and found.inner is not None and found.flag("UDP_TUNNEL_CSUM") is said

    for found in _coalesced(rig, when, why):
        outer, inner = found.outer, found.inner
        assert outer is not None and inner is not None
        yield found, outer, inner, _word(found.packet.frame, outer.csum_at)


def udp_tunnel_csum_pseudo_header(rig: Rig) -> None:
    """A packet with a tunnel bit and UDP_TUNNEL_CSUM has the sum of the outer pseudo header as outer UDP checksum."""
    for found, outer, inner, value in _with_tunnel_csum(rig, said=True):
        hdr, frame = found.packet.hdr, found.packet.frame
        # Which length the pseudo header has is not told: the packet's, the UDP header's, a segment's or none (D95).
        segment = inner.payload_at + hdr.gso_size - outer.at
        lengths = (outer.end - outer.at, _word(frame, outer.at + 4), segment, 0)
        sums = [frames.pseudo_header_sum(outer.addresses, frames.UDP, length & 0xFFFF) for length in lengths]
        right = value % 0xFFFF in [each % 0xFFFF for each in sums]
        rig.expect(right, f"{found.what}: outer UDP checksum", f"{sums[0]:#06x}", f"{value:#06x}")


def udp_tunnel_csum_clear(rig: Rig) -> None:
    """A packet with a tunnel bit and without UDP_TUNNEL_CSUM has an outer UDP checksum that is right, or zero."""
    for found, _, inner, value in _with_tunnel_csum(rig, said=False):
        frame = found.packet.frame
        # The inner checksum counts as it is, or as NEEDS_CSUM has it completed.
        right = not value or traffic.complete(frame) or traffic.complete(_completed(frame, inner))
        rig.expect(right, f"{found.what}: outer UDP checksum", "zero, or complete", f"{value:#06x}")


def _word(frame: bytes, at: int) -> int:
    return int.from_bytes(frame[at : at + 2], "big")


def _completed(frame: bytes, inner: Transport) -> bytes:
    """``frame`` with the inner checksum worked out."""
    blank = frame[: inner.csum_at] + b"\0\0" + frame[inner.csum_at + 2 :]
    pseudo = traffic.pseudo_header(inner).to_bytes(2, "big")
    total = checksum(pseudo + blank[inner.at : inner.end]).to_bytes(2, "big")
    return frame[: inner.csum_at] + total + frame[inner.csum_at + 2 :]


# -- VIRTIO_NET_F_RSC_EXT --------------------------------------------------------------------------------------------


def _is_tcp(found: Coalesced) -> bool:
    return found.tcp is not None


def rsc_info(rig: Rig) -> None:
    """Packets with a gso_type of TCP have RSC_INFO."""
    _start(rig, Feature.RSC_EXT)
    for found in _coalesced(rig, _is_tcp):
        rig.expect(found.flag("RSC_INFO"), f"{found.what}: flags", "RSC_INFO", _flags(found))


def rsc_segments(rig: Rig) -> None:
    """csum_start of a packet with a gso_type of TCP is the number of segments of 64 octets that it holds."""
    _start(rig, Feature.RSC_EXT)
    for found in _coalesced(rig, _is_tcp):
        octets = trains.tcp_payload(found.packet.frame) or 0
        right = -(-octets // SIZE)
        rig.equal(f"{found.what}, {octets} octets of data: csum_start", right, found.packet.hdr.csum_start)


def rsc_duplicate_acks(rig: Rig) -> None:
    """csum_offset of coalesced TCP is 0; in a train with two duplicate ACKs it counts those that do not come alone."""
    _start(rig, Feature.RSC_EXT)
    for found in _coalesced(rig, _is_tcp):
        rig.equal(f"{found.what}, no duplicate ACK: csum_offset", 0, found.packet.hdr.csum_offset)
    for train in trains.WITH_DUPLICATES:
        got = [packet for each in train if (packet := rig.receive(each.frame)) is not None]
        octets = [trains.tcp_payload(packet.frame) or 0 for packet in got]
        counted = [packet.hdr.csum_offset for packet in got if packet.hdr.gso_type]
        if not counted or sum(octets) != (len(train) - DUPLICATES) * SIZE:
            continue  # nothing is coalesced, or more is to come
        alone, said = octets.count(0), sum(counted)
        # Those that are counted may come, too.
        holds = DUPLICATES - alone <= said <= DUPLICATES
        wanted = f"{max(DUPLICATES - alone, 0)} to {DUPLICATES}, as {alone} came alone"
        rig.expect(holds, f"csum_offset of what was coalesced up to {train[-1].what}, together", wanted, str(said))


CHECKS: tuple[Callable[[Rig], None], ...] = (
    gso_needs_csum,
    gso_size,
    ecn_bit,
    tunnel_bit_inner,
    tunnel_offsets,
    udp_tunnel_csum_pseudo_header,
    udp_tunnel_csum_clear,
    rsc_info,
    rsc_segments,
    rsc_duplicate_acks,
)
