"""Segmentation in UDP tunnels, virtio 1.4, 5.1.9.2: more rules of the area tx."""

from __future__ import annotations

from ...wire.enums import TUNNEL_BITS, Feature, GsoType
from ..watching.packet_rule import Judge, add_packet_rule, packet_rules
from ..watching.rule import Finding
from ..watching.sent_packet import SentPacket
from ..watching.view import View

on_packet = packet_rules("tx")


@on_packet
def tunnel_unnegotiated(view: View, packet: SentPacket) -> Finding:
    """Without HOST_UDP_TUNNEL_GSO no tunnel bit is set in gso_type."""
    if view.has(Feature.HOST_UDP_TUNNEL_GSO):
        return None
    said = f"gso_type {packet.hdr.gso_type:#04x} without VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO"
    return [said] if packet.tunnel else []


def _tunnel_bit(version: int, bit: GsoType) -> Judge:
    def judge(view: View, packet: SentPacket) -> Finding:
        inner = packet.inner if view.has(Feature.HOST_UDP_TUNNEL_GSO) else None
        if inner is None or inner.version != version:
            return None
        if packet.tunnel & bit:
            return []
        if packet.outer is None or packet.outer.version != version:
            return None  # the bit for the outer header: the text has that, too
        return [f"gso_type {packet.hdr.gso_type:#04x}, and the inner network header is IPv{version}"]

    return judge


for _version, _bit in ((4, GsoType.UDP_TUNNEL_IPV4), (6, GsoType.UDP_TUNNEL_IPV6)):
    add_packet_rule(
        f"driver.tx.tunnel-bit-ipv{_version}",
        f"Segmentation in a UDP tunnel around IPv{_version} is asked for with VIRTIO_NET_HDR_GSO_{_bit.name}.",
        _tunnel_bit(_version, _bit),
    )


@on_packet
def tunnel_one_bit(view: View, packet: SentPacket) -> Finding:
    """UDP_TUNNEL_IPV4 and UDP_TUNNEL_IPV6 are not set together."""
    if not packet.tunnel:
        return None
    return ["gso_type has both tunnel bits"] if packet.tunnel == TUNNEL_BITS else []


@on_packet
def tunnel_no_ufo(view: View, packet: SentPacket) -> Finding:
    """A tunnel bit does not go with VIRTIO_NET_HDR_GSO_UDP."""
    if not packet.tunnel:
        return None
    return [f"gso_type {packet.hdr.gso_type:#04x}: a tunnel bit with GSO_UDP"] if packet.gso == GsoType.UDP else []


@on_packet
def outer_th_offset(view: View, packet: SentPacket) -> Finding:
    """With a tunnel bit outer_th_offset is where the outer UDP header begins."""
    outer = packet.outer_udp if packet.tunnel and view.has(Feature.HOST_UDP_TUNNEL_GSO) else None
    if outer is None:
        return None
    given = packet.hdr.outer_th_offset
    return [] if given == outer.transport else [f"outer_th_offset {given}, and the UDP header is at {outer.transport}"]


@on_packet
def inner_nh_offset(view: View, packet: SentPacket) -> Finding:
    """With a tunnel bit inner_nh_offset is where an IP header begins behind the outer UDP header."""
    outer = packet.outer_udp if packet.tunnel and view.has(Feature.HOST_UDP_TUNNEL_GSO) else None
    if outer is None:
        return None
    at, frame = packet.hdr.inner_nh_offset, packet.frame
    behind = outer.transport + 8 <= at < len(frame)
    if behind and frame[at] >> 4 in (4, 6):
        return []
    return [f"inner_nh_offset {at}: no IP header begins there behind the UDP header at {outer.transport}"]


def _tunnel_csum(view: View) -> bool:
    return view.has(Feature.HOST_UDP_TUNNEL_GSO) and view.has(Feature.HOST_UDP_TUNNEL_GSO_CSUM)


@on_packet
def tunnel_csum_features(view: View, packet: SentPacket) -> Finding:
    """Without both tunnel features no packet is to be segmented in a tunnel and to get its outer checksum."""
    if _tunnel_csum(view) or not packet.tunnel:
        return None
    if packet.flag("UDP_TUNNEL_CSUM") or (packet.outer_checksum_undone and not packet.outer_checksum_holds):
        return ["the outer checksum is left to the device without VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO_CSUM"]
    return []


@on_packet
def tunnel_csum_tunnel_bit(view: View, packet: SentPacket) -> Finding:
    """A packet that is to be segmented with UDP_TUNNEL_CSUM has a tunnel bit."""
    if not _tunnel_csum(view) or not packet.gso or not packet.flag("UDP_TUNNEL_CSUM"):
        return None
    return [] if packet.tunnel else [f"UDP_TUNNEL_CSUM, and gso_type is {packet.hdr.gso_type:#04x}"]


@on_packet
def tunnel_csum_flag(view: View, packet: SentPacket) -> Finding:
    """A packet that is to be segmented in a tunnel and whose outer checksum is undone has UDP_TUNNEL_CSUM."""
    if not _tunnel_csum(view) or not packet.tunnel or packet.outer_checksum_holds or not packet.outer_checksum_undone:
        return None
    if packet.flag("UDP_TUNNEL_CSUM"):
        return []
    return ["the outer checksum field has the pseudo header's sum, and UDP_TUNNEL_CSUM is not set"]


@on_packet
def tunnel_csum_flag_unnegotiated(view: View, packet: SentPacket) -> Finding:
    """Without HOST_UDP_TUNNEL_GSO_CSUM the flag UDP_TUNNEL_CSUM is not set."""
    if view.has(Feature.HOST_UDP_TUNNEL_GSO_CSUM):
        return None
    said = "UDP_TUNNEL_CSUM is set without VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO_CSUM"
    return [said] if packet.flag("UDP_TUNNEL_CSUM") else []


@on_packet
def tunnel_csum_needs_tunnel_bit(view: View, packet: SentPacket) -> Finding:
    """The flag UDP_TUNNEL_CSUM goes with a tunnel bit."""
    if not packet.flag("UDP_TUNNEL_CSUM"):
        return None
    return [] if packet.tunnel else [f"UDP_TUNNEL_CSUM with gso_type {packet.hdr.gso_type:#04x}"]


@on_packet
def outer_csum_pseudo_header(view: View, packet: SentPacket) -> Finding:
    """With UDP_TUNNEL_CSUM the outer checksum field has the outer pseudo header's sum."""
    asked = _tunnel_csum(view) and packet.tunnel and packet.flag("UDP_TUNNEL_CSUM")
    undone_there = packet.outer_checksum_undone if asked else None
    if undone_there is None:
        return None
    value = packet.outer_checksum
    return [] if undone_there else [f"the outer checksum field has {value:#06x}, not the pseudo header's sum"]


@on_packet
def outer_csum_zero_or_complete(view: View, packet: SentPacket) -> Finding:
    """Without HOST_UDP_TUNNEL_GSO_CSUM the outer UDP checksum of a tunnel packet is zero or complete."""
    if _tunnel_csum(view) or not packet.tunnel or not view.has(Feature.HOST_UDP_TUNNEL_GSO):
        return None
    value = packet.outer_checksum
    if value is None:
        return None
    if value == 0 or packet.outer_checksum_holds:
        return []
    said = f"the outer checksum field has {value:#06x}, the sum of the pseudo header alone"
    return [said] if packet.outer_checksum_undone else None  # another may be that of the segments
