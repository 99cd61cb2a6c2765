"""Packet transmission, virtio 1.4, 5.1.9.2: what the device does with the fields of virtio_net_hdr."""

from __future__ import annotations

from collections.abc import Iterator

from ...ipsec import InboundSa
from ...wire.enums import Feature, GsoType, HdrFlag
from ...wire.net_hdr import NetHdr
from ...wire.profile import Profile
from ..check import check
from ..driving import associations, frames, large, partial_sums, segments
from ..driving.rig import Rig
from ..verdict import Failed, NotApplicable, NotObservable

# The frames that pass in the clear: short enough for any mtu, checksums complete.
FRAMES = (("IPv4", frames.udp4_frame(bytes(range(32)))), ("IPv6", frames.udp6_frame(bytes(range(16)))))

HOST_SEGMENTATION = (Feature.HOST_TSO4, Feature.HOST_TSO6, Feature.HOST_USO, Feature.HOST_UFO)
TUNNEL_SEGMENTATION = (*HOST_SEGMENTATION, Feature.HOST_UDP_TUNNEL_GSO, Feature.HOST_UDP_TUNNEL_GSO_CSUM)

TUNNEL_BITS = GsoType.UDP_TUNNEL_IPV4 | GsoType.UDP_TUNNEL_IPV6


def leaves(rig: Rig, why: str, **fields: int) -> None:
    """Transmit a frame of each IP version with these fields; it has to leave as it is."""
    for version, frame in FRAMES:
        left = rig.transmit(rig.header(**fields) + frame)
        rig.equal(f"frames on the wire of {version} with {why}", (frame,), left)


def partial_udp() -> tuple[bytes, dict[str, int]]:
    """A UDP packet whose checksum is left to the device, and the fields that say so (NEEDS_CSUM)."""
    datagram = frames.udp()
    total = frames.pseudo_header_sum(frames.SRC4 + frames.DST4, frames.UDP, len(datagram))
    frame = frames.ethernet(frames.ipv4(datagram[:6] + total.to_bytes(2, "big") + datagram[8:]))
    return frame, {"flags": HdrFlag.NEEDS_CSUM, "csum_start": 34, "csum_offset": 6}


# -- flags and offsets -------------------------------------------------------------------------------------------


@check
def unknown_flags(rig: Rig) -> None:
    """A bit of flags that has no meaning, or that of a feature that was not negotiated, changes nothing."""
    rig.negotiate()
    _flags_change_nothing(rig, _meaningless(rig))
    for without in ((Feature.IPSEC,), (Feature.CSUM,), (Feature.CSUM, Feature.IPSEC)):
        rig.negotiate(without=without)
        layout, unnegotiated = rig.layout, []
        if Feature.IPSEC in without:
            ipsec = layout.security, layout.security_err, layout.soft_expiry_warn
            unnegotiated += [flag for flag in ipsec if flag]
        if Feature.CSUM in without:
            unnegotiated.append(int(HdrFlag.NEEDS_CSUM))
        _flags_change_nothing(rig, [*unnegotiated, *_meaningless(rig)])


def _meaningless(rig: Rig) -> list[int]:
    return [1 << bit for bit in range(8) if 1 << bit not in [int(flag) for flag in rig.layout.flags]]


def _flags_change_nothing(rig: Rig, unknown: list[int]) -> None:
    for flags in (*unknown, sum(unknown)):
        # The place of a UDP checksum, for a device that goes by a NEEDS_CSUM that means nothing to it.
        place = {"csum_start": 34, "csum_offset": 6} if flags & HdrFlag.NEEDS_CSUM else {}
        leaves(rig, f"flags {flags:#04x}", flags=flags, **place)


@check
def needs_csum(rig: Rig) -> None:
    """With NEEDS_CSUM the checksum is completed, in UDP and TCP, of any length, behind a VLAN tag; UDP never has 0."""
    rig.needs(Feature.CSUM)
    rig.negotiate()
    for partial in partial_sums.partials():
        for each in (partial, partial.tagged):
            left = rig.transmit(rig.header(**each.fields) + each.frame)
            rig.equal(f"frames on the wire of {each.what} with NEEDS_CSUM", (each.whole,), left)


@check
def needs_csum_protected(rig: Rig) -> None:
    """With NEEDS_CSUM and SECURITY the checksum is completed in the packet that is protected."""
    rig.needs(Feature.CSUM)
    associations.start(rig)
    outbound = associations.sa(rig, associations.OUTBOUND)
    security = {"flags": rig.layout.security, "resource_id": associations.create(rig, outbound)}
    far_end, (_, plain) = associations.receiver(outbound), FRAMES[0]
    if _inside(far_end, rig.transmit(rig.header(**security) + plain)) != plain[14:]:
        raise NotObservable("a packet is not protected right without NEEDS_CSUM")
    for partial in partial_sums.partials():
        fields = security | partial.fields | {"flags": security["flags"] | HdrFlag.NEEDS_CSUM}
        left = rig.transmit(rig.header(**fields) + partial.frame)
        if not left and partial.frame[14] >> 4 == 6:
            continue  # that IPv6 goes through a tunnel over IPv4 is an entry of its own
        rig.equal(f"what is protected of {partial.what} with NEEDS_CSUM", partial.whole[14:], _inside(far_end, left))


@check
def csum_fields_unused(rig: Rig) -> None:
    """Without NEEDS_CSUM in flags a frame leaves as it is, whatever csum_start and csum_offset hold."""
    rig.negotiate()
    for start, offset in ((34, 6), (34, 0), (0, 0), (14, 10), (20, 40), (0xFFFF, 0xFFFF), (0xFFFF, 0), (0, 0xFFFF)):
        leaves(rig, f"csum_start {start} and csum_offset {offset}", csum_start=start, csum_offset=offset)


@check
def outer_nh_offset_unused(rig: Rig) -> None:
    """outer_nh_offset changes nothing when it is 0, nor when VIRTIO_NET_F_OUT_NET_HEADER was not negotiated."""
    if rig.profile is Profile.RFC_V1:
        raise NotApplicable("the RFC has no outer_nh_offset")
    if not rig.offers(Feature.OUT_NET_HEADER) and not rig.offers(Feature.IPSEC):
        raise NotApplicable("virtio_net_hdr has no outer_nh_offset without VIRTIO_NET_F_OUT_NET_HEADER and _IPSEC")
    rig.negotiate()
    if "outer_nh_offset" in rig.layout.fields:
        leaves(rig, "outer_nh_offset 0", outer_nh_offset=0)
    rig.negotiate(without=(Feature.OUT_NET_HEADER,))
    if "outer_nh_offset" in rig.layout.fields:
        for offset in (1, 13, 14, 15, 34, 0xFFFF):
            leaves(rig, f"outer_nh_offset {offset} and no OUT_NET_HEADER", outer_nh_offset=offset)


@check
def outer_nh_offset_unused_protected(rig: Rig) -> None:
    """A packet is protected right whatever outer_nh_offset holds, if VIRTIO_NET_F_OUT_NET_HEADER was not negotiated."""
    if rig.profile is Profile.RFC_V1:
        raise NotApplicable("the RFC has no outer_nh_offset")
    associations.start(rig, without=(Feature.OUT_NET_HEADER,))
    outbound = associations.sa(rig, associations.OUTBOUND)
    fields = {"flags": rig.layout.security, "resource_id": associations.create(rig, outbound)}
    far_end, (_, frame) = associations.receiver(outbound), FRAMES[0]
    if _inside(far_end, rig.transmit(rig.header(**fields) + frame)) != frame[14:]:
        raise NotObservable("a packet is not protected right with an outer_nh_offset of 0")
    for offset in (1, 13, 15, 34, 0xFFFF):
        left = rig.transmit(rig.header(**fields, outer_nh_offset=offset) + frame)
        rig.equal(f"what is protected with outer_nh_offset {offset}", frame[14:], _inside(far_end, left))


def _inside(far_end: InboundSa, left: tuple[bytes, ...]) -> bytes:
    """The plain packet inside the one frame that left; nothing when there is no such frame or packet."""
    if len(left) != 1:
        return b""
    try:
        return associations.inside(far_end, left[0])
    except Failed:
        return b""


@check
def tunnel_offsets_unused(rig: Rig) -> None:
    """Without a tunnel bit in gso_type a frame leaves the same whatever outer_th_offset and inner_nh_offset hold."""
    if rig.profile is Profile.RFC_V1:
        raise NotApplicable("the RFC has no outer_th_offset and inner_nh_offset")
    rig.negotiate(also=TUNNEL_SEGMENTATION)
    if "outer_th_offset" not in rig.layout.fields:
        raise NotApplicable("virtio_net_hdr ends before outer_th_offset with all features that are offered")
    for outer, inner in ((0, 1), (1, 0), (14, 34), (34, 14), (34, 62), (0xFFFF, 0), (0, 0xFFFF), (0xFFFF, 0xFFFF)):
        offsets = {"outer_th_offset": outer, "inner_nh_offset": inner}
        said = f"outer_th_offset {outer} and inner_nh_offset {inner}"
        leaves(rig, said, **offsets)
        if rig.offers(Feature.CSUM):
            frame, fields = partial_udp()
            right, left = (rig.transmit(rig.header(**fields, **more) + frame) for more in ({}, offsets))
            rig.equal(f"frames on the wire of a packet with NEEDS_CSUM, {said}", right, left)


@check
def resource_id_unused(rig: Rig) -> None:
    """Without SECURITY in flags a frame leaves in the clear, whatever resource_id and resource_type hold."""
    associations.start(rig)
    outbound, inbound = associations.pair(rig)
    existing = associations.create(rig, outbound)
    associations.create(rig, inbound)
    for resource_id in (existing, existing + 1, 0, 0xFFFFFFFF):
        for kind in (*associations.SA_TYPE.values(), 0, 0xFFFF):
            said = f"resource_id {resource_id} and resource_type {int(kind):#x}"
            leaves(rig, said, resource_id=resource_id, resource_type=kind)


# -- segmentation ------------------------------------------------------------------------------------------------


@check
def hdr_len_not_relied_on(rig: Rig) -> None:
    """A wrong hdr_len changes no frame on the wire: of a packet as it is, nor of one that is to be segmented."""
    if not any(rig.offers(feature) for feature in HOST_SEGMENTATION):
        raise NotApplicable("none of VIRTIO_NET_F_HOST_TSO4, HOST_TSO6, HOST_USO and HOST_UFO is offered")
    rig.negotiate(also=HOST_SEGMENTATION)
    negotiated = [feature for feature in HOST_SEGMENTATION if rig.driver.negotiated >> feature & 1]
    if not negotiated:
        raise NotApplicable("segmentation is offered without VIRTIO_NET_F_CSUM")
    for hdr_len in (0, 1, 13, 41, 42, 43, 100, 0x8000, 0xFFFF):
        leaves(rig, f"hdr_len {hdr_len}", hdr_len=hdr_len)
    for packet in large.one_of_each(rig) if negotiated != [Feature.HOST_UFO] else ():
        right = _segments(rig, packet, packet.fields["hdr_len"])
        for hdr_len in (0, 14, packet.fields["hdr_len"] - 4, packet.fields["hdr_len"] + 4, 0xFFFF):
            wrong = _segments(rig, packet, hdr_len)
            rig.equal(f"frames on the wire of {packet.what} with hdr_len {hdr_len}", right, wrong)


def _segments(rig: Rig, packet: large.Large, hdr_len: int) -> tuple[bytes, ...]:
    """The frames that left, without what is the device's to choose in IPv4: identification, and its checksum."""
    left = rig.transmit(rig.header(**packet.fields | {"hdr_len": hdr_len}) + packet.frame)
    if packet.version == 6:
        return left
    return tuple(frame[:18] + bytes(2) + frame[20:24] + bytes(2) + frame[26:] for frame in left)


def _sessions(rig: Rig) -> Iterator[str]:
    """Bring the device up without UDP tunnel segmentation, then, where it is offered, with it."""
    if rig.profile is Profile.RFC_V1:
        raise NotApplicable("the RFC has no UDP tunnel segmentation")
    rig.negotiate()
    yield "VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO not negotiated"
    if rig.offers(*TUNNEL_SEGMENTATION[-2:]):
        rig.negotiate(also=TUNNEL_SEGMENTATION)
        yield "VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO negotiated"


def _not_accepted(rig: Rig, what: str, frame: bytes, fields: dict[str, int]) -> None:
    """Transmit a packet with these fields, those that the header has; no frame may leave."""
    present = {name: value for name, value in fields.items() if name in rig.layout.fields}
    left = rig.transmit(rig.layout.build(NetHdr(**present)) + frame)
    rig.equal(f"frames on the wire of {what}", (), left)


@check
def tunnel_both_bits(rig: Rig) -> None:
    """A packet with both tunnel bits in gso_type does not leave."""
    for session in _sessions(rig):
        for packet in segments.tunnelled():
            fields = packet.fields | {"gso_type": packet.fields["gso_type"] | TUNNEL_BITS}
            _not_accepted(rig, f"{packet.what}, with both tunnel bits, {session}", packet.frame, fields)


@check
def tunnel_without_needs_csum(rig: Rig) -> None:
    """A packet with a tunnel bit in gso_type and without NEEDS_CSUM in flags does not leave."""
    for session in _sessions(rig):
        for packet in segments.tunnelled():
            for flags in (0, HdrFlag.UDP_TUNNEL_CSUM):
                what = f"{packet.what}, flags {int(flags):#04x}, {session}"
                _not_accepted(rig, what, packet.frame, packet.fields | {"flags": flags})


@check
def tunnel_with_data_valid(rig: Rig) -> None:
    """A packet with a tunnel bit in gso_type and DATA_VALID in flags does not leave."""
    for session in _sessions(rig):
        for packet in segments.tunnelled():
            fields = packet.fields | {"flags": HdrFlag.NEEDS_CSUM | HdrFlag.DATA_VALID}
            _not_accepted(rig, f"{packet.what}, with DATA_VALID, {session}", packet.frame, fields)


@check
def tunnel_without_gso(rig: Rig) -> None:
    """A packet with a tunnel bit in gso_type and nothing to segment inside, GSO_NONE, does not leave."""
    for session in _sessions(rig):
        for packet in segments.tunnelled():
            fields = packet.fields | {"gso_type": packet.fields["gso_type"] & TUNNEL_BITS}
            _not_accepted(rig, f"{packet.what}, with GSO_NONE, {session}", packet.frame, fields)


@check
def tunnel_csum_without_tunnel(rig: Rig) -> None:
    """A packet with UDP_TUNNEL_CSUM in flags and no tunnel bit in gso_type does not leave."""
    for session in _sessions(rig):
        for version, frame in FRAMES:
            what = f"{version} with UDP_TUNNEL_CSUM, {session}"
            _not_accepted(rig, what, frame, {"flags": HdrFlag.UDP_TUNNEL_CSUM})
        frame, fields = partial_udp()
        both = {"flags": HdrFlag.UDP_TUNNEL_CSUM | HdrFlag.NEEDS_CSUM}
        _not_accepted(rig, f"IPv4 with UDP_TUNNEL_CSUM and NEEDS_CSUM, {session}", frame, fields | both)
        for packet in (segments.tcp4(), segments.tcp6()):
            what = f"{packet.what} to be segmented, with UDP_TUNNEL_CSUM, {session}"
            _not_accepted(rig, what, packet.frame, packet.fields | both)
