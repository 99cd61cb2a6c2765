"""Find the IPsec header of an inbound packet (RFC 4301 5.2, RFC 3948 2).

The result is a plain tuple, because it is made for every packet:
``(protocol, offset, end, nh_offset, encapsulated, spi, seq)``: 50 or 51, where
ESP or AH starts and the packet ends, where the octet lies that names what
follows the IP header (counted from the IP header), whether UDP is in between,
and the SPI and the (low) sequence number as integers.
"""

from __future__ import annotations

import struct

from .ip import IPV4_MF, IPV4_OFFSET, PROTO_AH, PROTO_ESP, PROTO_UDP, ipv6_chain
from .reasons import Reason, Refused

Located = tuple[int, int, int, int, bool, int, int]

_spi_seq = struct.Struct("!II").unpack_from
# IPv4 without options, with ESP behind it: total length, fragment field, protocol, SPI, sequence number.
_plain_ipv4 = struct.Struct("!2xHxxHxB10xII").unpack_from

_PROTOCOLS = frozenset({PROTO_ESP, PROTO_AH, PROTO_UDP})
_WHOLE, _FIRST, _LATER = range(3)  # a packet, or which fragment of one

NON_ESP_MARKER = b"\0\0\0\0"  # RFC 3948 2.2
KEEPALIVE = b"\xff"  # RFC 3948 2.3


def locate(packet: bytes, start: int = 0) -> Located:
    """Where the IPsec header of the IP packet that begins at octet ``start`` of ``packet`` is.

    Raises :class:`Refused`: ``NOT_IP`` and ``NOT_IPSEC`` (also for the non-ESP
    marker and NAT keep-alives) mean that there is nothing to process;
    ``FRAGMENT`` (D17), ``TRUNCATED`` and ``MALFORMED`` mean that it cannot be.
    What a later fragment of a UDP datagram belongs to nobody can tell: ``FRAGMENT``.
    """
    size = len(packet) - start
    if size >= 28 and packet[start] == 0x45:  # nearly every packet
        end, fragment, protocol, spi, seq = _plain_ipv4(packet, start)
        if protocol == PROTO_ESP and not fragment & 0x3FFF and 28 <= end <= size:
            return PROTO_ESP, start + 20, start + end, 9, False, spi, seq
    protocol, offset, end, nh_offset, encapsulated, spi, seq = _locate(packet[start:])
    return protocol, start + offset, start + end, nh_offset, encapsulated, spi, seq


def _locate(packet: bytes) -> Located:
    """:func:`locate` for any packet, from its IP header on."""
    size = len(packet)
    protocol, offset, end, nh_offset, fragment = _headers(packet, size)
    if protocol not in _PROTOCOLS:
        raise Refused(Reason.NOT_IPSEC, f"IP protocol {protocol} is neither ESP nor AH")
    if protocol == PROTO_UDP and fragment != _LATER and packet[offset + 8 : offset + 12] == NON_ESP_MARKER:
        raise Refused(Reason.NOT_IPSEC, "the non-ESP marker (RFC 3948 2.2)")
    if fragment:
        raise Refused(Reason.FRAGMENT, "the packet is a fragment")
    if end > size:
        raise Refused(Reason.TRUNCATED, f"the IP header says {end} octets, there are {size}")
    encapsulated = False
    if protocol == PROTO_UDP:
        offset, end = _inside_udp(packet, offset, end)
        protocol, encapsulated = PROTO_ESP, True
    if protocol == PROTO_ESP:
        if end - offset < 8:
            raise Refused(Reason.MALFORMED, f"{end - offset} octets hold no ESP header")
        spi, seq = _spi_seq(packet, offset)
    else:
        if end - offset < 12:
            raise Refused(Reason.MALFORMED, f"{end - offset} octets hold no AH header")
        spi, seq = _spi_seq(packet, offset + 4)
    return protocol, offset, end, nh_offset, encapsulated, spi, seq


def _headers(packet: bytes, size: int) -> tuple[int, int, int, int, int]:
    """(protocol, offset, end, nh_offset, fragment): what follows the IP header and its options or extension headers."""
    version = packet[0] >> 4 if size else 0
    if version == 4:
        if size < 20:
            raise Refused(Reason.TRUNCATED, f"{size} octets hold no IPv4 header")
        offset, end = (packet[0] & 0xF) * 4, packet[2] << 8 | packet[3]
        if offset < 20 or end < offset:
            raise Refused(Reason.MALFORMED, f"IPv4 header of {offset} octets in a packet of {end}")
        field = packet[6] << 8 | packet[7]
        return packet[9], offset, end, 9, _fragment(field & IPV4_OFFSET, field & IPV4_MF)
    if version == 6:
        if size < 40:
            raise Refused(Reason.TRUNCATED, f"{size} octets hold no IPv6 header")
        end = 40 + (packet[4] << 8 | packet[5])
        try:
            chain = ipv6_chain(packet, min(end, size))
        except Refused:
            if end > size:  # the chain ends early because the packet does
                raise Refused(Reason.TRUNCATED, f"the IP header says {end} octets, there are {size}") from None
            raise
        later = chain.fragment and packet[chain.nh_offset + 2] << 8 | packet[chain.nh_offset + 3] & 0xF8
        return chain.nh, chain.offset, end, chain.nh_offset, _fragment(later, chain.fragment)
    raise Refused(Reason.NOT_IP, f"IP version {version}" if size else "no octets")


def _fragment(offset: int, more: int) -> int:
    return _LATER if offset else _FIRST if more else _WHOLE


def _inside_udp(packet: bytes, offset: int, end: int) -> tuple[int, int]:
    """(offset, end) of the ESP packet in the UDP datagram at ``offset``."""
    if end - offset < 8:
        raise Refused(Reason.MALFORMED, f"{end - offset} octets hold no UDP header")
    length = packet[offset + 4] << 8 | packet[offset + 5]
    if length < 8 or offset + length > end:
        raise Refused(Reason.MALFORMED, f"UDP says {length} octets, IP leaves {end - offset}")
    payload = packet[offset + 8 : offset + 12] if length >= 12 else packet[offset + 8 : offset + length]
    if payload == KEEPALIVE and length == 9:
        raise Refused(Reason.NOT_IPSEC, "a NAT keep-alive (RFC 3948 2.3)")
    if len(payload) < 4:
        raise Refused(Reason.NOT_IPSEC, "a UDP datagram without room for an SPI (RFC 3948 2.2)")
    return offset + 8, offset + length
