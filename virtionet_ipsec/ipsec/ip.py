"""IPv4 and IPv6 headers as far as IPsec needs them: lengths, chains, checksums.

Everything works on ``bytes`` in network order.  Functions that look into a
packet raise :class:`Refused` when it contradicts itself.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from .reasons import Reason, Refused

PROTO_HOPOPTS, PROTO_IPIP, PROTO_TCP, PROTO_UDP, PROTO_IPV6 = 0, 4, 6, 17, 41
PROTO_ROUTING, PROTO_FRAGMENT, PROTO_ESP, PROTO_AH, PROTO_NONE, PROTO_DSTOPTS = 43, 44, 50, 51, 59, 60

IPV4_DF, IPV4_MF, IPV4_OFFSET = 0x4000, 0x2000, 0x1FFF

_pack_u16 = struct.Struct("!H").pack


def ones_complement_sum(data: bytes) -> int:
    """The 16-bit ones' complement sum of ``data``, an odd last octet padded with zero (RFC 1071).

    Sixteen-bit words summed with end-around carry are the number modulo
    2**16 - 1, so that one long division does the whole loop.
    """
    if len(data) & 1:
        data += b"\0"
    total = int.from_bytes(data, "big")
    folded = total % 0xFFFF
    # 0xffff and 0 are both zero in ones' complement; only all-zero input sums to 0.
    return folded or (0xFFFF if total else 0)


def checksum(data: bytes) -> int:
    """The Internet checksum of ``data`` (RFC 1071): the complement of the sum."""
    return ~ones_complement_sum(data) & 0xFFFF


def with_ipv4_checksum(header: bytes) -> bytes:
    """``header`` (IPv4, options included) with its checksum computed (RFC 791 3.1)."""
    blank = header[:10] + b"\0\0" + header[12:]
    return header[:10] + _pack_u16(checksum(blank)) + header[12:]


def adjust_checksum(old_sum: int, old_word: int, new_word: int) -> int:
    """``old_sum`` after one 16-bit word of what it covers changed (RFC 1624, equation 3)."""
    total = (~old_sum & 0xFFFF) + (~old_word & 0xFFFF) + new_word
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def with_ipv4_word(packet: bytes, offset: int, word: int) -> bytes:
    """``packet`` with the 16-bit header word at ``offset`` replaced and the checksum adjusted.

    Adjusting, not recomputing, leaves a checksum that was wrong wrong.
    """
    old = packet[offset] << 8 | packet[offset + 1]
    if old == word:
        return packet
    fixed = adjust_checksum(packet[10] << 8 | packet[11], old, word)
    changed = bytearray(packet)
    changed[offset : offset + 2] = _pack_u16(word)
    changed[10:12] = _pack_u16(fixed)
    return bytes(changed)


def traffic_class(packet: bytes) -> int:
    """The IPv4 TOS or the IPv6 Traffic Class octet."""
    return packet[1] if packet[0] >> 4 == 4 else (packet[0] << 4 | packet[1] >> 4) & 0xFF


def with_traffic_class(packet: bytes, value: int) -> bytes:
    """``packet`` with its TOS or Traffic Class octet replaced."""
    if packet[0] >> 4 == 4:
        return with_ipv4_word(packet, 0, packet[0] << 8 | value)
    first = packet[0] & 0xF0 | value >> 4
    second = (value & 0xF) << 4 | packet[1] & 0xF
    return bytes((first, second)) + packet[2:]


def with_ttl_decremented(packet: bytes) -> bytes:
    """``packet`` with TTL or Hop Limit one lower; raises ``TTL_EXPIRED`` when none would be left."""
    if packet[0] >> 4 == 4:
        if packet[8] <= 1:
            raise Refused(Reason.TTL_EXPIRED, f"TTL {packet[8]} cannot be decremented")
        return with_ipv4_word(packet, 8, (packet[8] - 1) << 8 | packet[9])
    if packet[7] <= 1:
        raise Refused(Reason.TTL_EXPIRED, f"hop limit {packet[7]} cannot be decremented")
    return packet[:7] + bytes((packet[7] - 1,)) + packet[8:]


def trimmed(packet: bytes) -> bytes:
    """``packet`` without what follows its own length (Ethernet padding, TFC padding).

    Raises ``NOT_IP``, ``TRUNCATED`` or ``MALFORMED``; afterwards the header,
    IPv4 options included, is known to be whole.
    """
    size = len(packet)
    if size >= 20 and packet[0] == 0x45 and packet[2] << 8 | packet[3] == size:
        return packet  # nearly every packet
    version = packet[0] >> 4 if size else 0
    if version == 4:
        if size < 20:
            raise Refused(Reason.TRUNCATED, f"{size} octets hold no IPv4 header")
        header, length = (packet[0] & 0xF) * 4, packet[2] << 8 | packet[3]
        if header < 20 or length < header:
            raise Refused(Reason.MALFORMED, f"IPv4 header of {header} octets in a packet of {length}")
    elif version == 6:
        if size < 40:
            raise Refused(Reason.TRUNCATED, f"{size} octets hold no IPv6 header")
        length = 40 + (packet[4] << 8 | packet[5])
    else:
        raise Refused(Reason.NOT_IP, f"IP version {version}" if size else "no octets")
    if length == size:
        return packet
    if length > size:
        raise Refused(Reason.TRUNCATED, f"the IP header says {length} octets, there are {size}")
    return packet[:length]


def too_big(length: int, mtu: int) -> Refused:
    """The refusal of an IP packet of ``length`` octets."""
    return Refused(Reason.TOO_BIG, f"{length} octets after encapsulation, and the MTU is {mtu}")


class Ipv6Chain(NamedTuple):
    """Where a walk over IPv6 extension headers ended.

    ``nh`` is the first protocol that is not an extension header, ``offset``
    where it starts, ``nh_offset`` where the Next Header octet that names it
    lies.  ``fragment`` tells a real fragment (an atomic one, RFC 6946, is none).
    ``headers`` lists (protocol, offset, length) of the extension headers.
    """

    nh: int
    offset: int
    nh_offset: int
    fragment: bool
    headers: tuple[tuple[int, int, int], ...]


EXTENSIONS = frozenset({PROTO_HOPOPTS, PROTO_ROUTING, PROTO_FRAGMENT, PROTO_DSTOPTS})


def ipv6_chain(packet: bytes, end: int) -> Ipv6Chain:
    """Walk the extension headers of the IPv6 ``packet`` up to octet ``end`` (RFC 8200 4).

    ESP and AH end the walk.  After a fragment header with an offset there is
    nothing to walk.  Raises ``MALFORMED`` when a header runs past ``end``.
    """
    nh, nh_offset, offset = packet[6], 6, 40
    fragment = False
    headers: list[tuple[int, int, int]] = []
    while nh in EXTENSIONS and not fragment:
        if offset + 8 > end:
            raise Refused(Reason.MALFORMED, f"IPv6 extension header {nh} at {offset} runs past the packet")
        if nh == PROTO_FRAGMENT:
            length = 8
            fragment = (packet[offset + 2] << 8 | packet[offset + 3]) & 0xFFF9 != 0
        else:
            length = (packet[offset + 1] + 1) * 8
        if offset + length > end:
            raise Refused(Reason.MALFORMED, f"IPv6 extension header {nh} at {offset} runs past the packet")
        headers.append((nh, offset, length))
        nh, nh_offset, offset = packet[offset], offset, offset + length
    return Ipv6Chain(nh, offset, nh_offset, fragment, tuple(headers))


def pseudo_header(packet: bytes, length: int, protocol: int) -> bytes:
    """The pseudo header for a transport checksum: IPv4 (RFC 793) or IPv6 (RFC 8200 8.1)."""
    if packet[0] >> 4 == 4:
        return packet[12:20] + struct.pack("!HH", protocol, length)
    return packet[8:40] + struct.pack("!II", length, protocol)
