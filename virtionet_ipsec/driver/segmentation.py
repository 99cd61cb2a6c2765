"""Packets that the device is to segment, as virtio 1.4, 5.1.9.2 Packet Transmission asks of drivers."""

from __future__ import annotations

from typing import NamedTuple

from ..device.ethernet import MAX_HEADER, ip_offset
from ..ipsec import Refused
from ..ipsec.ip import PROTO_TCP, PROTO_UDP, ipv6_chain, ones_complement_sum, pseudo_header, trimmed
from ..wire.enums import Feature, GsoType
from ..wire.features import feature_name
from .errors import CannotSegment

_CWR = 0x80


class _Kind(NamedTuple):
    gso_type: GsoType
    feature: Feature
    checksum_at: int


_TCP = {
    4: _Kind(GsoType.TCPV4, Feature.HOST_TSO4, 16),
    6: _Kind(GsoType.TCPV6, Feature.HOST_TSO6, 16),
}
_UDP = _Kind(GsoType.UDP_L4, Feature.HOST_USO, 6)


def to_segment(frame: bytes, gso_size: int, negotiated: int) -> tuple[bytes, dict[str, int]]:
    """``frame`` as the device gets it, and the fields of its virtio_net_hdr; ``gso_size`` is the MSS in octets.

    Ethernet padding is left out.  The checksum field has the pseudo header's sum, the length in it being the
    packet's own, as in Linux; ``hdr_len`` is exact.  ``flags`` is the caller's:
    NEEDS_CSUM.  Raises :class:`CannotSegment` for what is no TCP or UDP packet,
    or needs a feature that is not among ``negotiated``.
    """
    if not 0 < gso_size <= 0xFFFF:
        raise CannotSegment(f"gso_size cannot be {gso_size}")
    start = ip_offset(frame[:MAX_HEADER])
    try:
        packet = trimmed(frame[start:]) if start else b""
        transport, protocol = _transport(packet)
    except Refused as refused:
        raise CannotSegment(str(refused)) from None
    kind = _UDP if protocol == PROTO_UDP else _TCP[packet[0] >> 4]
    if protocol not in (PROTO_TCP, PROTO_UDP) or len(packet) < transport + (20 if protocol == PROTO_TCP else 8):
        raise CannotSegment("the frame has no TCP or UDP header")
    header = 8 if protocol == PROTO_UDP else (packet[transport + 12] >> 4) * 4
    cwr = protocol == PROTO_TCP and packet[transport + 13] & _CWR
    # Without HOST_ECN a packet with CWR is not to be handed over at all (SHOULD NOT).
    for feature in (kind.feature, Feature.HOST_ECN) if cwr else (kind.feature,):
        if not negotiated >> feature & 1:
            raise CannotSegment(f"{feature_name(feature)} was not negotiated")
    at = start + transport + kind.checksum_at
    total = ones_complement_sum(pseudo_header(packet, len(packet) - transport, protocol))
    fields = {
        "gso_type": kind.gso_type | (GsoType.ECN if cwr else 0),
        "gso_size": gso_size,
        "hdr_len": start + transport + header,
        "csum_start": start + transport,
        "csum_offset": kind.checksum_at,
    }
    return frame[:at] + total.to_bytes(2, "big") + frame[at + 2 : start + len(packet)], fields


def _transport(packet: bytes) -> tuple[int, int]:
    """(offset, protocol) of what follows the IP header."""
    if not packet:
        raise CannotSegment("the frame holds no IP packet")
    if packet[0] >> 4 == 4:
        return (packet[0] & 0xF) * 4, packet[9]
    chain = ipv6_chain(packet, len(packet))
    return chain.offset, chain.nh
