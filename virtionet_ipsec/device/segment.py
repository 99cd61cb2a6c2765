"""Segmentation on transmit (virtio 1.4, 5.1.9.2 Packet Transmission; Linux's GSO where that is silent).

    one IP packet with TCP or UDP -> the IP packets that leave, each with headers, lengths and checksums of its own

What a packet's headers say is read from the packet; ``hdr_len`` is not looked
at, which "the device MUST NOT rely on".  What is the same in all segments is
worked out once for each packet.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from ..ipsec import Reason, Refused
from ..ipsec.ip import (
    IPV4_MF,
    IPV4_OFFSET,
    PROTO_ROUTING,
    PROTO_TCP,
    PROTO_UDP,
    ipv6_chain,
    ones_complement_sum,
    pseudo_header,
)
from ..wire.enums import Feature, GsoType

MOST_HEADERS = 512
"""Octets of IP and transport header that are copied into every segment: more than honest packets have.

Extension headers could else be half of a packet that is cut into single octets.
"""

_CHECKSUM_AT = {PROTO_TCP: 16, PROTO_UDP: 6}
_LEAST = {PROTO_TCP: 20, PROTO_UDP: 8}
_NAME = {PROTO_TCP: "TCP", PROTO_UDP: "UDP"}
_SOURCE_ROUTES = frozenset({131, 137})  # loose and strict (RFC 791 3.1)

_FIN_PSH, _CWR = 0x09, 0x80
_U16 = struct.Struct("!H").pack
_IPV4 = struct.Struct("!2sHH4sH").pack
_TCP = struct.Struct("!4sI4sH2sH").pack
_UDP = struct.Struct("!4sHH").pack


class GsoKind(NamedTuple):
    """What a ``gso_type`` is for: IP versions, and the protocol in them."""

    versions: tuple[int, ...]
    protocol: int


def gso_kinds(negotiated: int) -> dict[int, GsoKind]:
    """What each ``gso_type`` that the negotiated features allow is for; the device segments nothing else (D130)."""
    kinds = {
        int(gso_type): kind
        for gso_type, feature, kind in (
            (GsoType.TCPV4, Feature.HOST_TSO4, GsoKind((4,), PROTO_TCP)),
            (GsoType.TCPV6, Feature.HOST_TSO6, GsoKind((6,), PROTO_TCP)),
            (GsoType.UDP_L4, Feature.HOST_USO, GsoKind((4, 6), PROTO_UDP)),
        )
        if negotiated >> feature & 1
    }
    if negotiated >> Feature.HOST_ECN & 1:
        kinds |= {gso_type | GsoType.ECN: kind for gso_type, kind in kinds.items() if kind.protocol == PROTO_TCP}
    return kinds


class Segments:
    """How the IP ``packet``, octets from its IP header on, is cut into segments of at most ``size`` octets of payload.

    ``count`` segments, of ``octets`` together and at most ``largest`` each,
    counted from the IP header on.  The transport header begins at
    ``transport``, its checksum ``checksum_at`` octets further on.  Raises
    :class:`Refused` for a packet that is none for its ``kind``, or contradicts
    itself (D131, D132).
    """

    __slots__ = ("_packet", "_payload", "_protocol", "_size", "checksum_at", "count", "largest", "octets", "transport")

    def __init__(self, packet: bytes, kind: GsoKind, size: int) -> None:
        if not size:
            raise Refused(Reason.BAD_HEADER, "gso_size is 0")
        protocol = self._protocol = kind.protocol
        self._packet, self._size = packet, size
        self.checksum_at = _CHECKSUM_AT[protocol]
        self.transport = _transport_offset(packet, kind)
        self._payload = self.transport + _transport_length(packet, self.transport, protocol)
        if self._payload > MOST_HEADERS:
            raise Refused(
                Reason.TOO_BIG, f"headers of {self._payload} octets for every segment, {MOST_HEADERS} at most"
            )
        payload = len(packet) - self._payload
        self.count = -(-payload // size) or 1
        self.octets = self.count * self._payload + payload
        self.largest = self._payload + min(payload, size)

    def cut(self, front: bytes) -> Iterator[bytes]:
        """The segments, ``front`` in front of each."""
        packet, size, payload = self._packet, self._size, self._payload
        headers = packet[: self.transport]
        network: _Ipv4 | _Ipv6 = _Ipv4(headers) if packet[0] >> 4 == 4 else _Ipv6(headers)
        kind = _Tcp if self._protocol == PROTO_TCP else _Udp
        transport: _Tcp | _Udp = kind(packet, self.transport, payload)
        more = payload - self.transport
        last = payload + (self.count - 1) * size
        for at in range(payload, last + 1, size):
            data = packet[at : at + size]
            header = transport.build(data, at == payload, at == last)
            yield front + network.build(more + len(data)) + header + data


# -- what the packet is ------------------------------------------------------------------------------------------


def _transport_offset(packet: bytes, kind: GsoKind) -> int:
    """Where the transport header starts; the packet's length is then its IP header's."""
    version = packet[0] >> 4 if packet else 0
    if version not in kind.versions:
        wanted = " or ".join(f"IPv{each}" for each in kind.versions)
        raise Refused(
            Reason.BAD_HEADER, f"gso_type is for {_NAME[kind.protocol]} over {wanted}, not IP version {version}"
        )
    offset, protocol = _ipv4(packet) if version == 4 else _ipv6(packet)
    if protocol != kind.protocol:
        raise Refused(Reason.BAD_HEADER, f"gso_type is for {_NAME[kind.protocol]}, and IP has protocol {protocol}")
    return offset


def _ipv4(packet: bytes) -> tuple[int, int]:
    """(offset, protocol) of what follows the IPv4 header."""
    offset = (packet[0] & 0xF) * 4
    if offset < 20:
        raise Refused(Reason.MALFORMED, f"an IPv4 header of {offset} octets")
    if len(packet) < offset:
        raise Refused(Reason.TRUNCATED, f"{len(packet)} octets hold no IPv4 header of {offset}")
    _check_length(packet, packet[2] << 8 | packet[3])
    if (packet[6] << 8 | packet[7]) & (IPV4_MF | IPV4_OFFSET):
        raise Refused(Reason.FRAGMENT, "a fragment cannot be segmented")
    if offset > 20 and _on_a_source_route(packet[20:offset]):
        raise _other_destination("a source route")
    return offset, packet[9]


def _ipv6(packet: bytes) -> tuple[int, int]:
    """(offset, protocol) of what follows the IPv6 header and its extension headers."""
    if len(packet) < 40:
        raise Refused(Reason.TRUNCATED, f"{len(packet)} octets hold no IPv6 header")
    _check_length(packet, 40 + (packet[4] << 8 | packet[5]))
    chain = ipv6_chain(packet, len(packet))
    if chain.fragment:
        raise Refused(Reason.FRAGMENT, "a fragment cannot be segmented")
    if any(protocol == PROTO_ROUTING and packet[at + 3] for protocol, at, _ in chain.headers):
        raise _other_destination("a routing header with segments left")
    return chain.offset, chain.nh


def _check_length(packet: bytes, length: int) -> None:
    """What lies behind the IP packet's own end would be data for nobody: no padding is that long (D132)."""
    if length > len(packet):
        raise Refused(Reason.TRUNCATED, f"the IP header says {length} octets, there are {len(packet)}")
    if length < len(packet):
        raise Refused(Reason.MALFORMED, f"the IP header says {length} octets, and {len(packet)} are to be segmented")


def _other_destination(what: str) -> Refused:
    """The pseudo header has the last destination (RFC 8200 8.1), and IP the next (D132)."""
    return Refused(Reason.BAD_HEADER, f"{what}: the checksum is over another destination than the IP header's")


def _on_a_source_route(options: bytes) -> bool:
    """Whether the IPv4 ``options`` hold a source route whose end is not reached (RFC 791 3.1)."""
    at = 0
    while at + 2 < len(options) and options[at]:
        if options[at] == 1:
            at += 1
            continue
        if options[at] in _SOURCE_ROUTES:
            return options[at + 2] <= options[at + 1]
        at += max(options[at + 1], 2)
    return False


def _transport_length(packet: bytes, start: int, protocol: int) -> int:
    """The octets of the TCP header with its options, or of the UDP header."""
    least, room = _LEAST[protocol], len(packet) - start
    if room < least:
        raise Refused(Reason.TRUNCATED, f"{room} octets hold no {_NAME[protocol]} header")
    if protocol == PROTO_UDP:
        return least  # UDP's own length may be the packet's or a segment's: each segment gets its own (D132)
    length = (packet[start + 12] >> 4) * 4
    if not least <= length <= room:
        raise Refused(Reason.MALFORMED, f"a TCP header of {length} octets, of {room} behind IP")
    return length


# -- the headers of a segment ------------------------------------------------------------------------------------


class _Ipv4:
    """IPv4 headers: identification one more each time, as in Linux (D133); length and checksum their own."""

    __slots__ = ("_ident", "_length", "_middle", "_rest", "_start", "_sum")

    def __init__(self, header: bytes) -> None:
        self._length = len(header)
        self._start = header[:2]
        self._ident = header[4] << 8 | header[5]
        self._middle = header[6:10]
        self._rest = header[12:]
        self._sum = ones_complement_sum(self._start + self._middle + self._rest)

    def build(self, length: int) -> bytes:
        total, ident = self._length + length, self._ident
        self._ident = (ident + 1) & 0xFFFF
        value = _folded(self._sum + total + ident) ^ 0xFFFF
        return _IPV4(self._start, total, ident, self._middle, value) + self._rest


class _Ipv6:
    """IPv6 headers with all extension headers; the payload length is the segment's."""

    __slots__ = ("_extensions", "_rest", "_start")

    def __init__(self, header: bytes) -> None:
        self._start = header[:4]
        self._extensions = len(header) - 40
        self._rest = header[6:]

    def build(self, length: int) -> bytes:
        return self._start + _U16(self._extensions + length) + self._rest


class _Tcp:
    """TCP headers: FIN and PSH in the last alone, CWR in the first alone, all other flags in each (D133)."""

    __slots__ = ("_ack", "_flags", "_length", "_ports", "_rest", "_seq", "_sum", "_window")

    def __init__(self, packet: bytes, start: int, end: int) -> None:
        header = packet[start:end]
        self._length = len(header)
        self._ports, self._ack, self._window, self._rest = header[:4], header[8:12], header[14:16], header[18:]
        self._seq = int.from_bytes(header[4:8], "big")
        self._flags = header[12] << 8 | header[13]
        # The parts that are the same in each segment; the pseudo header's length comes with the segment.
        same = self._ports + self._ack + self._window + self._rest
        self._sum = ones_complement_sum(pseudo_header(packet, 0, PROTO_TCP) + same)

    def build(self, data: bytes, first: bool, last: bool) -> bytes:
        flags, seq = self._flags, self._seq
        if not first:
            flags &= ~_CWR
        if not last:
            flags &= ~_FIN_PSH
        size = len(data)
        self._seq = (seq + size) & 0xFFFFFFFF
        value = _folded(
            self._sum + (seq >> 16) + (seq & 0xFFFF) + flags + self._length + size + ones_complement_sum(data)
        )
        return _TCP(self._ports, seq, self._ack, flags, self._window, value ^ 0xFFFF) + self._rest


class _Udp:
    """UDP headers: a datagram for each segment, and never a checksum of 0, which would be none (RFC 768)."""

    __slots__ = ("_ports", "_sum")

    def __init__(self, packet: bytes, start: int, end: int) -> None:
        self._ports = packet[start : start + 4]
        self._sum = ones_complement_sum(pseudo_header(packet, 0, PROTO_UDP) + self._ports)

    def build(self, data: bytes, first: bool, last: bool) -> bytes:
        length = len(data) + 8
        value = _folded(self._sum + 2 * length + ones_complement_sum(data)) ^ 0xFFFF  # the length counts twice
        return _UDP(self._ports, length, value or 0xFFFF)


def _folded(total: int) -> int:
    """The 16-bit ones' complement sum of which ``total``, a few 16-bit words, is the plain sum."""
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)
