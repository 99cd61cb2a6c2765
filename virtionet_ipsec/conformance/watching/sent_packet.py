"""A driver's transmit buffer taken apart for the rules: virtio_net_hdr, headers, checksums.

What the driver put there is not trusted: where it does not hold together there
is None, and a rule has nothing to say.  Offsets are octets from the frame's
beginning, as in virtio_net_hdr.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from ...device.ethernet import MAX_HEADER, ip_offset
from ...device.frame_headers import EXTENSION_HEADERS, MOST_EXTENSION_HEADERS
from ...wire.enums import TUNNEL_BITS, GsoType
from ...wire.net_hdr import HdrLayout, NetHdr

TCP, UDP = 6, 17
CHECKSUM_AT = {TCP: 16, UDP: 6}
"""Where the checksum lies in a transport header."""

_FRAGMENT = 44
_CWR = 0x80


@dataclass(frozen=True, slots=True)
class IpPacket:
    """An IP packet that lies whole in a frame.

    ``protocol`` is what lies at ``transport``; a fragment has none to see,
    which is -1.  ``plain``: no IPv4 options and no extension headers, so that
    ``addresses``, source and destination, are those of the pseudo header.
    """

    version: int
    start: int
    transport: int
    end: int
    protocol: int
    addresses: bytes
    plain: bool

    @property
    def transport_length(self) -> int:
        """The octets of what lies at ``transport``."""
        return self.end - self.transport


def ip_packet(frame: bytes, start: int) -> IpPacket | None:
    """The IP packet that begins at ``start``; a length of 0 in its header is the rest of the frame (a large one)."""
    version = frame[start] >> 4 if start < len(frame) else 0
    if version == 4:
        return _ipv4(frame, start)
    return _ipv6(frame, start) if version == 6 else None


def _ipv4(frame: bytes, start: int) -> IpPacket | None:
    transport = start + (frame[start] & 0xF) * 4
    if transport < start + 20 or transport > len(frame):
        return None
    length = word(frame, start + 2)
    end = start + length if length else len(frame)
    if not transport <= end <= len(frame):
        return None
    fragment = word(frame, start + 6) & 0x3FFF
    protocol = -1 if fragment else frame[start + 9]
    return IpPacket(4, start, transport, end, protocol, frame[start + 12 : start + 20], transport == start + 20)


def _ipv6(frame: bytes, start: int) -> IpPacket | None:
    at = start + 40
    if at > len(frame):
        return None
    length = word(frame, start + 4)
    end = at + length if length else len(frame)
    protocol = frame[start + 6]
    for _ in range(MOST_EXTENSION_HEADERS):
        if protocol not in EXTENSION_HEADERS or at + 8 > len(frame):
            break
        if protocol == _FRAGMENT and word(frame, at + 2) & 0xFFF9:
            protocol = -1
            break
        size = 8 if protocol == _FRAGMENT else (frame[at + 1] + 1) * 8
        protocol, at = frame[at], at + size
    if not at <= end <= len(frame):
        return None
    return IpPacket(6, start, at, end, protocol, frame[start + 8 : start + 40], at == start + 40)


def word(frame: bytes, at: int) -> int:
    """The 16 bits at ``at``, network order; what is not there counts as zero."""
    return int.from_bytes(frame[at : at + 2].ljust(2, b"\0"), "big")


def headers_end(frame: bytes, ip: IpPacket | None) -> int | None:
    """Where the payload behind a TCP or UDP header begins."""
    if ip is None:
        return None
    if ip.protocol == UDP:
        size = 8
    elif ip.protocol == TCP and ip.transport + 12 < len(frame):
        size = (frame[ip.transport + 12] >> 4) * 4
    else:
        return None
    least = {UDP: 8, TCP: 20}[ip.protocol]
    return ip.transport + size if size >= least and ip.transport + size <= ip.end else None


def pseudo_sums(ip: IpPacket, lengths: Collection[int]) -> frozenset[int]:
    """The sums over the pseudo header with each of ``lengths``, modulo 0xffff (RFC 1071)."""
    addresses = int.from_bytes(ip.addresses, "big") + ip.protocol
    return frozenset((addresses + length) % 0xFFFF for length in lengths)


def checksum_holds(frame: bytes, ip: IpPacket) -> bool:
    """Whether the transport checksum is complete and right."""
    data = frame[ip.transport : ip.end]
    (pseudo,) = pseudo_sums(ip, (len(data),))
    return (pseudo + int.from_bytes(data + bytes(len(data) % 2), "big")) % 0xFFFF == 0


class SentPacket:
    """A transmit buffer of at least a virtio_net_hdr."""

    def __init__(self, layout: HdrLayout, buffer: bytes) -> None:
        self.layout = layout
        self.hdr: NetHdr = layout.parse(buffer)
        self.frame = buffer[layout.size :]
        self.tunnel = self.hdr.gso_type & TUNNEL_BITS
        self.gso = self.hdr.gso_type & ~(TUNNEL_BITS | GsoType.ECN)
        self.security = bool(self.hdr.flags & layout.security)

    def flag(self, name: str) -> bool:
        """Whether the flag of this name, which the profile may lack, is set."""
        return bool(self.hdr.flags & int(self.layout.flags.__members__.get(name, 0)))

    @cached_property
    def outer(self) -> IpPacket | None:
        """The frame's IP packet."""
        at = ip_offset(self.frame[:MAX_HEADER])
        return ip_packet(self.frame, at) if at else None

    @cached_property
    def inner(self) -> IpPacket | None:
        """The IP packet at inner_nh_offset, behind the outer UDP header, of a packet that is segmented in a tunnel."""
        at = self.hdr.inner_nh_offset
        outer = self.outer_udp
        return ip_packet(self.frame, at) if self.tunnel and outer is not None and at >= outer.transport + 8 else None

    @property
    def outer_udp(self) -> IpPacket | None:
        """:attr:`outer`, when it has a whole UDP header."""
        outer = self.outer
        return outer if outer is not None and outer.protocol == UDP and headers_end(self.frame, outer) else None

    @property
    def offloaded(self) -> IpPacket | None:
        """The IP packet that csum_start and segmentation are about."""
        return self.inner if self.tunnel else self.outer

    @cached_property
    def headers_end(self) -> int | None:
        """The length of all headers, the (inner) transport header included."""
        return headers_end(self.frame, self.offloaded)

    @property
    def congestion_bit(self) -> bool | None:
        """CWR of the TCP packet that is to be segmented."""
        ip = self.offloaded
        if self.gso not in (GsoType.TCPV4, GsoType.TCPV6) or self.headers_end is None:
            return None
        return bool(self.frame[ip.transport + 13] & _CWR) if ip is not None and ip.protocol == TCP else None

    def pseudo_lengths(self, ip: IpPacket) -> set[int]:
        """The lengths that the pseudo header of ``ip`` may have.

        For a packet that is to be segmented the text gives none: its own, that
        of a segment, and none are taken.
        """
        lengths = {ip.transport_length}
        if self.hdr.gso_type:
            lengths |= {0, len(self.frame) - ip.transport}
            lengths |= {self.headers_end + self.hdr.gso_size - ip.transport} if self.headers_end is not None else set()
        if self.hdr.gso_type and ip.protocol == UDP:
            lengths.add(word(self.frame, ip.transport + 4))
        return lengths

    @property
    def outer_checksum(self) -> int | None:
        """The outer UDP header's checksum field."""
        outer = self.outer_udp
        return word(self.frame, outer.transport + CHECKSUM_AT[UDP]) if outer is not None else None

    @property
    def outer_checksum_undone(self) -> bool | None:
        """Whether that field has the pseudo header's sum alone; None where that cannot be told."""
        outer, value = self.outer_udp, self.outer_checksum
        if outer is None or value is None or not outer.plain:
            return None
        return value != 0 and value % 0xFFFF in pseudo_sums(outer, self.pseudo_lengths(outer))

    @property
    def outer_checksum_holds(self) -> bool:
        """Whether the outer UDP checksum is right once the inner one is filled in, for the length that it says.

        Behind csum_start everything then adds up to the complement of what is
        in the inner checksum field, so that only the headers in front count.
        That field may be the whole packet's, and the outer checksum a segment's.
        """
        outer, start = self.outer_udp, self.hdr.csum_start
        if outer is None or start < outer.transport + 8:
            return False
        (pseudo,) = pseudo_sums(outer, (word(self.frame, outer.transport + 4),))
        between = self.frame[outer.transport : start]
        total = pseudo + int.from_bytes(between + bytes(len(between) % 2), "big")
        field = word(self.frame, start + self.hdr.csum_offset)
        shorter = 0
        if self.inner is not None and self.headers_end is not None:
            shorter = self.inner.end - self.headers_end - self.hdr.gso_size
        return any((total - field + less) % 0xFFFF == 0 for less in (0, shorter))
