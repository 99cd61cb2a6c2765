"""Processing of incoming packets, virtio 1.4, 5.1.9.4."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress

from ...driver.packet import RxPacket
from ...ipsec.ip import checksum
from ...wire.enums import Feature, GsoType
from ...wire.profile import Profile
from ..check import add, check
from ..driving import associations, coalesced, frames, incoming_security, traffic, trains
from ..driving.coalesced import ASSISTS, COALESCING, KIND, SEGMENTED_TCP, TUNNEL, TUNNEL_BITS
from ..driving.rig import Rig
from ..driving.traffic import Sent
from ..verdict import Failed, NotApplicable


def _seen(
    rig: Rig, sent: Collection[Sent] = traffic.MIXED, *, without: Collection[Feature] = ()
) -> Iterator[tuple[Sent, RxPacket]]:
    """Let frames arrive with every receive feature that is offered but ``without``; gives those that are delivered."""
    rig.negotiate(also=ASSISTS, without=without)
    got_any = False
    for each in sent:
        packet = rig.receive(each.frame)
        if packet is not None:
            got_any = True
            yield each, packet
    if not got_any and set(sent) >= set(traffic.MIXED):
        raise Failed("UDP and TCP packets from the wire", "delivered to the driver", "nothing was delivered")


def _flag(packet: RxPacket, name: str) -> bool:
    return name in packet.flag_names


def _no_rfc(rig: Rig, what: str) -> None:
    if rig.profile is Profile.RFC_V1:
        raise NotApplicable(f"the RFC has no {what}")


# -- buffers ---------------------------------------------------------------------------------------------------------

_BUFFER = 64


@check
def num_buffers_one(rig: Rig) -> None:
    """Without VIRTIO_NET_F_MRG_RXBUF num_buffers is 1 in every packet, short or long."""
    rig.negotiate(without=(Feature.MRG_RXBUF,))
    for what, frame in (*traffic.MIXED, Sent("1000 octets of IPv4", frames.sized_frame(1000))):
        packet = rig.receive(frame)
        if packet is not None:
            rig.equal(f"{what}: num_buffers", 1, packet.hdr.num_buffers)
    rig.delivered(frames.udp4_frame())


def _spread(rig: Rig) -> Iterator[tuple[str, bytes, RxPacket]]:
    """Packets that end at, one octet before and one behind the end of their first, second and fifth buffer."""
    rig.needs(Feature.MRG_RXBUF)
    # The MTU need not let the longest of these pass.
    rig.negotiate(without=(Feature.MTU,))
    rig.port.receive_buffer_size = _BUFFER
    for buffers in (1, 2, 5):
        for more in (-1, 0, 1):
            length = _BUFFER * buffers + more - rig.layout.size - 14
            if length >= 28:
                frame = frames.sized_frame(length)
                said = f"header and frame of {rig.layout.size + len(frame)} octets, receive buffers of {_BUFFER}"
                yield said, frame, rig.delivered(frame)


@check
def num_buffers_count(rig: Rig) -> None:
    """With VIRTIO_NET_F_MRG_RXBUF num_buffers is the number of buffers that hold header and packet, all of it."""
    for what, frame, packet in _spread(rig):
        rig.equal(f"{what}: num_buffers", len(packet.buffers), packet.hdr.num_buffers)
        rig.equal(f"{what}: octets in them", rig.layout.size + len(frame), sum(map(len, packet.buffers)))


@check
def full_buffers(rig: Rig) -> None:
    """Of a packet in several buffers all but the last are full."""
    for what, _, packet in _spread(rig):
        lengths = [len(buffer) for buffer in packet.buffers[:-1]]
        rig.equal(f"{what}: octets in all buffers but the last", [_BUFFER] * len(lengths), lengths)


@check
def buffers_together(rig: Rig) -> None:
    """A packet is used together with no fewer buffers than its num_buffers says."""
    for what, _, packet in _spread(rig):
        used, said = len(packet.buffers), packet.hdr.num_buffers
        rig.expect(used >= said, f"{what}: used buffers", f"{said} or more, as num_buffers says", str(used))


# -- checksums -------------------------------------------------------------------------------------------------------


@check
def flags_zero(rig: Rig) -> None:
    """Without VIRTIO_NET_F_GUEST_CSUM no flag but those of IPsec is set, in plain packets and in decrypted ones."""
    for sent, packet in _seen(rig, without=(Feature.GUEST_CSUM,)):
        _no_flags(rig, sent.what, packet)
    with suppress(NotApplicable):  # a device need not have IPsec
        associations.start(rig, without=(Feature.GUEST_CSUM,))
        wire = incoming_security.inbound(rig).wire()
        _no_flags(rig, "an IPsec packet", rig.delivered(wire))


def _no_flags(rig: Rig, what: str, packet: RxPacket) -> None:
    layout = rig.layout
    ipsec = layout.security | layout.security_err | layout.soft_expiry_warn
    allowed = ipsec if layout.resource_offset is not None else 0  # those follow VIRTIO_NET_F_IPSEC alone (D39)
    names = layout.flag_names(int(packet.flags) & ~allowed)
    rig.expect(not names, f"{what}: flags without VIRTIO_NET_F_GUEST_CSUM", "none", "|".join(names))


@check
def fully_checksummed(rig: Rig) -> None:
    """Without VIRTIO_NET_F_GUEST_CSUM TCP and UDP packets with a right checksum are delivered with a right one."""
    rig.negotiate(without=(Feature.GUEST_CSUM,))
    for what, frame in (*traffic.SIMPLE, *traffic.TUNNELLED):
        got = rig.delivered(frame).frame
        found = traffic.transport_of(got)
        if found is None:
            raise Failed(what, "TCP or UDP as it was sent", got.hex(" ", -4))
        value = got[found.csum_at : found.csum_at + 2].hex()
        rig.expect(traffic.complete(got), f"{what}: checksum", "one that is right", value)


@check
def needs_csum_validated(rig: Rig) -> None:
    """No packet with a wrong checksum has NEEDS_CSUM, at that checksum or at one behind it."""
    for sent, packet in _seen(rig, traffic.DAMAGED):
        rig.expect(not _flag(packet, "NEEDS_CSUM"), f"{sent.what}: flags", "no NEEDS_CSUM", "NEEDS_CSUM")
    for sent, packet in _seen(rig, traffic.DAMAGED_INSIDE):
        outer = traffic.transport_of(sent.frame)
        assert outer is not None
        inside = _flag(packet, "NEEDS_CSUM") and packet.hdr.csum_start > outer.at
        rig.expect(not inside, f"{sent.what}: flags", "no NEEDS_CSUM inside the tunnel", "NEEDS_CSUM")


def _needing_csum(rig: Rig) -> Iterator[tuple[str, RxPacket, traffic.Transport]]:
    """Packets of one TCP or UDP header that are delivered with NEEDS_CSUM."""
    for sent, packet in _seen(rig, traffic.SIMPLE):
        found = traffic.transport_of(packet.frame)
        if found is not None and _flag(packet, "NEEDS_CSUM"):
            yield sent.what, packet, found


@check
def needs_csum_pseudo_header(rig: Rig) -> None:
    """A packet with NEEDS_CSUM has the sum of its TCP or UDP pseudo header in the checksum field."""
    for what, packet, found in _needing_csum(rig):
        value = int.from_bytes(packet.frame[found.csum_at : found.csum_at + 2], "big")
        rig.equal(f"{what} with NEEDS_CSUM: checksum field", f"{traffic.pseudo_header(found):#06x}", f"{value:#06x}")


@check
def needs_csum_completes(rig: Rig) -> None:
    """Of a packet with NEEDS_CSUM, csum_start and csum_offset are those with which its checksum is completed."""
    for what, packet, found in _needing_csum(rig):
        hdr, frame = packet.hdr, packet.frame
        if _flag(packet, "RSC_INFO"):
            continue
        at = hdr.csum_start + hdr.csum_offset
        # The checksum field is taken to hold what it should: what it holds is another statement's.
        right = traffic.pseudo_header(found).to_bytes(2, "big")
        whole = frame[: found.csum_at] + right + frame[found.csum_at + 2 :]
        total = checksum(whole[hdr.csum_start :]).to_bytes(2, "big")
        done = (whole[:at] + total + whole[at + 2 :])[: len(whole)]
        said = f"csum_start {hdr.csum_start}, csum_offset {hdr.csum_offset}"
        wanted = f"csum_start {found.at}, csum_offset {found.csum_at - found.at}, or others that complete it"
        rig.expect(traffic.complete(done), f"{what} with NEEDS_CSUM", wanted, said)


@check
def data_valid_validated(rig: Rig) -> None:
    """No packet with a wrong outermost checksum has DATA_VALID, none with a wrong inner one UDP_TUNNEL_CSUM too."""
    for sent, packet in _seen(rig, traffic.DAMAGED):
        rig.expect(not _flag(packet, "DATA_VALID"), f"{sent.what}: flags", "no DATA_VALID", "DATA_VALID")
    for sent, packet in _seen(rig, traffic.DAMAGED_INSIDE):
        both = _flag(packet, "DATA_VALID") and _flag(packet, "UDP_TUNNEL_CSUM")
        rig.expect(not both, f"{sent.what}: flags", "no DATA_VALID, UDP_TUNNEL_CSUM", "DATA_VALID|UDP_TUNNEL_CSUM")


@check
def data_valid_tunnel(rig: Rig) -> None:
    """No packet has both a UDP tunnel bit in gso_type and DATA_VALID."""
    for sent, packet in _seen(rig):
        wrong = packet.hdr.gso_type & TUNNEL_BITS and _flag(packet, "DATA_VALID")
        said = f"gso_type {packet.hdr.gso_type:#x} and DATA_VALID"
        rig.expect(not wrong, f"{sent.what}: header", "no DATA_VALID with a UDP tunnel bit", said)


@check
def udp_tunnel_csum_unnegotiated(rig: Rig) -> None:
    """Without VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO_CSUM no packet, in a UDP tunnel or not, has UDP_TUNNEL_CSUM."""
    _no_rfc(rig, "VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM")
    for sent, packet in _seen(rig, without=(Feature.GUEST_UDP_TUNNEL_GSO_CSUM,)):
        rig.expect(not _flag(packet, "UDP_TUNNEL_CSUM"), f"{sent.what}: flags", "no UDP_TUNNEL_CSUM", "UDP_TUNNEL_CSUM")


@check
def rsc_info_unnegotiated(rig: Rig) -> None:
    """Without VIRTIO_NET_F_RSC_EXT no packet, of a train of TCP segments or another, has RSC_INFO."""
    for sent, packet in _seen(rig, without=(Feature.RSC_EXT,)):
        rig.expect(not _flag(packet, "RSC_INFO"), f"{sent.what}: flags", "no RSC_INFO", "RSC_INFO")


# -- segmentation ----------------------------------------------------------------------------------------------------


def _unnegotiated(name: str, forbidden: GsoType, *features: Feature) -> None:
    """Enter a check: without ``features``, but with all others, no packet has the gso_type ``forbidden``."""

    def run(rig: Rig) -> None:
        for sent, packet in _seen(rig, without=features):
            kind = packet.hdr.gso_type & KIND
            what = f"{sent.what}: gso_type without {' and '.join(feature.name for feature in features)}"
            rig.expect(kind != forbidden, what, f"another than {forbidden.name}", forbidden.name)

    said = " and ".join(f"VIRTIO_NET_F_{feature.name}" for feature in features)
    sentence = f"Without {said}, and with all else that is offered, no packet has the gso_type {forbidden.name}."
    add(f"rx.{name}", sentence, run)


_unnegotiated("tcpv4-unnegotiated", GsoType.TCPV4, Feature.GUEST_TSO4)
_unnegotiated("tcpv6-unnegotiated", GsoType.TCPV6, Feature.GUEST_TSO6)
_unnegotiated("udp-unnegotiated", GsoType.UDP, Feature.GUEST_UFO)
_unnegotiated("udp-l4-unnegotiated", GsoType.UDP_L4, Feature.GUEST_USO4, Feature.GUEST_USO6)


@check
def gso_none(rig: Rig) -> None:
    """Without VIRTIO_NET_F_GUEST_TSO4, TSO6, UFO, USO4 and USO6 gso_type is NONE in every packet."""
    for sent, packet in _seen(rig, without=COALESCING):
        gso = packet.hdr.gso_type
        rig.expect(gso == GsoType.NONE, f"{sent.what}: gso_type", "0 (NONE)", f"{gso:#x}")


@check
def tunnel_bit_unnegotiated(rig: Rig) -> None:
    """Without VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO no packet, in a UDP tunnel or not, has a UDP tunnel bit in gso_type."""
    for sent, packet in _seen(rig, without=TUNNEL):
        bits = packet.hdr.gso_type & TUNNEL_BITS
        rig.expect(not bits, f"{sent.what}: UDP tunnel bits in gso_type", "none", f"{bits:#x}")


@check
def tunnel_gso_unnegotiated(rig: Rig) -> None:
    """Without VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO no packet in a UDP tunnel has the gso_type of what is inside, TCP."""
    for sent, packet in _seen(rig, without=TUNNEL):
        if "VXLAN" in sent.what:
            kind = packet.hdr.gso_type & KIND
            rig.expect(kind not in SEGMENTED_TCP, f"{sent.what}: gso_type", "neither TCPV4 nor TCPV6", f"{kind:#x}")


@check
def tunnel_outer_csum(rig: Rig) -> None:
    """Without VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO_CSUM a GSO packet in a UDP tunnel has an outer checksum, or zero."""
    for sent, packet in _seen(rig, without=(Feature.GUEST_UDP_TUNNEL_GSO_CSUM,)):
        gso = packet.hdr.gso_type & TUNNEL_BITS or packet.hdr.gso_type & KIND in SEGMENTED_TCP
        found = traffic.transport_of(packet.frame)
        if "VXLAN" not in sent.what or not gso or found is None:
            continue
        value = packet.frame[found.csum_at : found.csum_at + 2]
        right = value == b"\0\0" or traffic.complete(packet.frame)
        rig.expect(right, f"{sent.what}: outer UDP checksum of a GSO packet", "complete or zero", value.hex())


@check
def ecn_unnegotiated(rig: Rig) -> None:
    """Without VIRTIO_NET_F_GUEST_ECN no TCP packet with CWR has a gso_type of TCP, and none has the ECN bit in it."""
    for sent, packet in _seen(rig, without=(Feature.GUEST_ECN,)):
        gso = packet.hdr.gso_type
        wrong = gso & GsoType.ECN or (sent in traffic.WITH_ECN and gso & KIND in SEGMENTED_TCP)
        rig.expect(not wrong, f"{sent.what}: gso_type", "none that needs segmentation", f"{gso:#x}")


@check
def hdr_len(rig: Rig) -> None:
    """With VIRTIO_NET_F_GUEST_TSO4, TSO6, UFO, USO4 or USO6 hdr_len covers the headers up to (inner) TCP or UDP."""
    if not any(rig.offers(feature) for feature in COALESCING):
        raise NotApplicable("none of VIRTIO_NET_F_GUEST_TSO4, TSO6, UFO, USO4, USO6 is offered")
    for sent, packet in _seen(rig, (*traffic.MIXED, *trains.TRAINS)):
        tunnelled = packet.hdr.gso_type & TUNNEL_BITS
        found = traffic.inside(packet.frame) if tunnelled else traffic.transport_of(packet.frame)
        if found is not None:
            least, said = found.payload_at, packet.hdr.hdr_len
            rig.expect(said >= least, f"{sent.what}: hdr_len", f"{least} or more", str(said))


# -- outer network header --------------------------------------------------------------------------------------------


_TAGS = ((b"", ""), (b"\x81\0\0\5", " behind a VLAN tag"), (b"\x88\xa8\0\7\x81\0\0\5", " behind two VLAN tags"))


@check
def outer_nh_offset_value(rig: Rig) -> None:
    """An outer_nh_offset that is not zero is that of the IP header: 14, and 18 or 22 behind VLAN tags."""
    rig.needs(Feature.OUT_NET_HEADER)
    for tag, said in _TAGS:
        tagged = [
            Sent(what + said, frame[:12] + tag + frame[12:]) for what, frame in (*traffic.SIMPLE, *traffic.TUNNELLED)
        ]
        right = 14 + len(tag)
        for sent, packet in _seen(rig, tagged):
            got = packet.hdr.outer_nh_offset
            rig.expect(got in (0, right), f"{sent.what}: outer_nh_offset", f"0 or {right}", str(got))


@check
def outer_nh_offset_unused(rig: Rig) -> None:
    """outer_nh_offset is zero without VIRTIO_NET_F_OUT_NET_HEADER, and with it in frames without a network header."""
    _no_rfc(rig, "outer_nh_offset")
    if not (rig.offers(Feature.OUT_NET_HEADER) or rig.offers(Feature.IPSEC)):
        raise NotApplicable("no feature that is offered makes the header reach to outer_nh_offset")
    if rig.offers(Feature.OUT_NET_HEADER):
        for sent, packet in _seen(rig, traffic.NO_NETWORK_HEADER):
            rig.equal(f"{sent.what}: outer_nh_offset", 0, packet.hdr.outer_nh_offset)
    if rig.offers(Feature.IPSEC):
        for sent, packet in _seen(rig, without=(Feature.OUT_NET_HEADER,)):
            what = f"{sent.what}: outer_nh_offset without VIRTIO_NET_F_OUT_NET_HEADER"
            rig.equal(what, 0, packet.hdr.outer_nh_offset)


for _run in (*coalesced.CHECKS, *incoming_security.CHECKS):
    add(f"rx.{_run.__name__.replace('_', '-')}", _run.__doc__ or "", _run)
