"""Packet transmission, virtio 1.4, 5.1.9.2: what a driver puts into a transmit buffer."""

from __future__ import annotations

from ...device.ethernet import MAX_HEADER, ip_offset
from ...device.exchanges import Transmitted
from ...wire.enums import Feature, GsoType, ResourceType
from ...wire.features import HOST_SEGMENTATION, feature_name
from ..watching.header_place import placed
from ..watching.packet_rule import Judge, add_packet_rule, packet_rules
from ..watching.rule import Finding, rule
from ..watching.sent_packet import CHECKSUM_AT, UDP, SentPacket, pseudo_sums, word
from ..watching.undone import undone
from ..watching.view import View

on_packet = packet_rules("tx")


def _segments(view: View) -> bool:
    """Whether any of the features that let the device segment is negotiated."""
    return any(view.has(feature) for feature in HOST_SEGMENTATION)


@rule(Transmitted)
def header_size(view: View, sent: Transmitted) -> Finding:
    """The virtio_net_hdr of a transmitted packet has the size that the negotiated features give it."""
    return placed(view, sent)


@on_packet
def num_buffers(view: View, packet: SentPacket) -> Finding:
    """num_buffers of a transmit buffer is zero."""
    return [f"num_buffers is {packet.hdr.num_buffers}"] if packet.hdr.num_buffers else []


@on_packet
def outer_nh_offset_value(view: View, packet: SentPacket) -> Finding:
    """With VIRTIO_NET_F_OUT_NET_HEADER an outer_nh_offset that is not zero is that of the outer IP header."""
    given = packet.hdr.outer_nh_offset
    if not given or not view.has(Feature.OUT_NET_HEADER):
        return None
    if given >= len(packet.frame):
        return [f"outer_nh_offset {given} in a frame of {len(packet.frame)} octets"]
    right = ip_offset(packet.frame[:MAX_HEADER])
    if not right:
        return None  # a network header of another kind than IP, or none
    return [] if given == right else [f"outer_nh_offset {given}, and the outer IP header begins at {right}"]


# -- checksums ---------------------------------------------------------------------------------------------------


@on_packet
def flags_without_csum(view: View, packet: SentPacket) -> Finding:
    """Without VIRTIO_NET_F_CSUM flags are zero, but for SECURITY with VIRTIO_NET_F_IPSEC (D39)."""
    if view.has(Feature.CSUM):
        return None
    rest = packet.hdr.flags & ~(packet.layout.security if view.has(Feature.IPSEC) else 0)
    return [f"flags are {packet.hdr.flags:#04x} without VIRTIO_NET_F_CSUM"] if rest else []


@on_packet
def checksummed_without_csum(view: View, packet: SentPacket) -> Finding:
    """Without VIRTIO_NET_F_CSUM no checksum is left to the device."""
    if view.has(Feature.CSUM) or packet.hdr.gso_type or packet.outer is None:
        return None
    left = undone(packet.frame, packet.outer)
    return None if left is None else [f"without VIRTIO_NET_F_CSUM, {what}" for what in left]


def _needs_csum(view: View, packet: SentPacket) -> bool:
    return view.has(Feature.CSUM) and packet.flag("NEEDS_CSUM")


@on_packet
def csum_pseudo_header(view: View, packet: SentPacket) -> Finding:
    """With NEEDS_CSUM the TCP or UDP checksum field has the pseudo header's sum."""
    hdr, ip = packet.hdr, packet.offloaded
    if not _needs_csum(view, packet) or ip is None or not ip.plain or packet.headers_end is None:
        return None
    if hdr.csum_start != ip.transport or hdr.csum_offset != CHECKSUM_AT[ip.protocol]:
        return None  # another header's, or the business of csum-fields
    value = word(packet.frame, hdr.csum_start + hdr.csum_offset)
    if value % 0xFFFF in pseudo_sums(ip, packet.pseudo_lengths(ip)):
        return []
    return [f"NEEDS_CSUM, and the checksum field has {value:#06x}, which is not the pseudo header's sum"]


@on_packet
def csum_fields(view: View, packet: SentPacket) -> Finding:
    """With NEEDS_CSUM csum_start and csum_offset are those of the TCP or UDP checksum."""
    if not _needs_csum(view, packet):
        return None
    start, offset, size = packet.hdr.csum_start, packet.hdr.csum_offset, len(packet.frame)
    said = f"csum_start {start}, csum_offset {offset}"
    if start + offset + 2 > size:
        return [f"{said} in a frame of {size} octets"]
    ip = packet.offloaded
    if ip is None or packet.headers_end is None:
        return None
    # What lies in UDP without segmentation may be a tunnel, whose inner packet is meant.
    if ip.protocol == UDP and not packet.tunnel and start >= ip.transport + 8:
        return None
    right = ip.transport, CHECKSUM_AT[ip.protocol]
    return (
        [] if (start, offset) == right else [f"{said}, and the checksum is that of csum_start {right[0]} + {right[1]}"]
    )


@on_packet
def data_valid(view: View, packet: SentPacket) -> Finding:
    """DATA_VALID is not set on transmit."""
    return ["DATA_VALID is set"] if packet.flag("DATA_VALID") else []


@on_packet
def rsc_info(view: View, packet: SentPacket) -> Finding:
    """RSC_INFO is not set on transmit."""
    return ["RSC_INFO is set"] if packet.flag("RSC_INFO") else []


# -- segmentation ------------------------------------------------------------------------------------------------


def _unnegotiated(feature: Feature, kind: GsoType) -> Judge:
    def judge(view: View, packet: SentPacket) -> Finding:
        if view.has(feature):
            return None
        return [f"gso_type {packet.hdr.gso_type:#04x} without {feature_name(feature)}"] if packet.gso == kind else []

    return judge


for _name, _feature, _kind in (
    ("tso4", Feature.HOST_TSO4, GsoType.TCPV4),
    ("tso6", Feature.HOST_TSO6, GsoType.TCPV6),
    ("ufo", Feature.HOST_UFO, GsoType.UDP),
    ("uso", Feature.HOST_USO, GsoType.UDP_L4),
):
    add_packet_rule(
        f"driver.tx.{_name}-unnegotiated",
        f"Without {feature_name(_feature)} gso_type is not VIRTIO_NET_HDR_GSO_{_kind.name}.",
        _unnegotiated(_feature, _kind),
    )


@on_packet
def gso_none(view: View, packet: SentPacket) -> Finding:
    """Without any of HOST_TSO4, HOST_TSO6, HOST_USO and HOST_UFO gso_type is NONE."""
    if _segments(view):
        return None
    gso_type = packet.hdr.gso_type
    return [f"gso_type {gso_type:#04x}, and no segmentation was negotiated"] if gso_type else []


@on_packet
def gso_needs_csum(view: View, packet: SentPacket) -> Finding:
    """With a gso_type but NONE, NEEDS_CSUM is set."""
    if not packet.hdr.gso_type:
        return None
    return [] if packet.flag("NEEDS_CSUM") else [f"gso_type {packet.hdr.gso_type:#04x} without NEEDS_CSUM"]


@on_packet
def gso_size(view: View, packet: SentPacket) -> Finding:
    """With a gso_type but NONE, gso_size is not zero."""
    if not packet.hdr.gso_type:
        return None
    return [] if packet.hdr.gso_size else [f"gso_type {packet.hdr.gso_type:#04x} with gso_size 0"]


@on_packet
def hdr_len_exact(view: View, packet: SentPacket) -> Finding:
    """With GUEST_HDRLEN, hdr_len of a packet that is to be segmented is the length of all headers."""
    if not (_segments(view) and view.has(Feature.GUEST_HDRLEN) and packet.hdr.gso_type):
        return None
    right, given = packet.headers_end, packet.hdr.hdr_len
    if right is None:
        return None
    return [] if given == right else [f"hdr_len {given}, and the headers have {right} octets"]


@on_packet
def hdr_len_hint(view: View, packet: SentPacket) -> Finding:
    """Where hdr_len need not be exact, it is no less than the length of all headers."""
    if not _segments(view) or (view.has(Feature.GUEST_HDRLEN) and packet.hdr.gso_type):
        return None
    least, given = packet.headers_end, packet.hdr.hdr_len
    if least is None:
        return None
    return [] if given >= least else [f"hdr_len {given}, and the headers have {least} octets"]


@on_packet
def ecn_unnegotiated(view: View, packet: SentPacket) -> Finding:
    """Without HOST_ECN no TCP packet that is to be segmented has CWR set."""
    if view.has(Feature.HOST_ECN) or packet.congestion_bit is None:
        return None
    return ["a TCP packet with CWR is to be segmented without VIRTIO_NET_F_HOST_ECN"] if packet.congestion_bit else []


@on_packet
def ecn_bit(view: View, packet: SentPacket) -> Finding:
    """With HOST_ECN a TCP packet that is to be segmented and has CWR set has VIRTIO_NET_HDR_GSO_ECN."""
    if not view.has(Feature.HOST_ECN) or not packet.congestion_bit:
        return None
    return [] if packet.hdr.gso_type & GsoType.ECN else [f"CWR is set, and gso_type is {packet.hdr.gso_type:#04x}"]


# -- IPsec -------------------------------------------------------------------------------------------------------


@on_packet
def security_sa_created(view: View, packet: SentPacket) -> Finding:
    """Before SECURITY is set, an outbound SA object was created."""
    if not packet.security:
        return None
    created = ResourceType.IPSEC_OUTB_SA in view.history.types_created
    return [] if created else ["SECURITY is set, and no IPSEC_OUTB_SA object was created"]


@on_packet
def security_resource_id(view: View, packet: SentPacket) -> Finding:
    """With SECURITY resource_id is that of an outbound SA object."""
    if not packet.security or packet.layout.resource_offset is None:
        return None
    resource_id = packet.hdr.resource_id
    known = (ResourceType.IPSEC_OUTB_SA, resource_id) in view.objects
    return [] if known else [f"SECURITY with resource_id {resource_id}, and there is no such IPSEC_OUTB_SA object"]
