"""Telling the guest that a packet is too big once it is protected (RFC 4301 8.2)."""

from __future__ import annotations

import struct

from ..device.ethernet import ip_offset
from ..ipsec import Refused
from ..ipsec.ip import IPV4_OFFSET, checksum, ipv6_chain, pseudo_header, trimmed, with_ipv4_checksum
from .flow_key import ICMP, ICMP_ERRORS, ICMPV6

_QUOTED4 = 576 - 20 - 8  # RFC 1812 4.3.2.3
_QUOTED6 = 1280 - 40 - 8  # RFC 4443 2.4 (c)
_LEAST4, _LEAST6 = 68, 1280  # no packet has to be smaller (RFC 791, RFC 8200 5)
_HOPS = 64
_INTERNETWORK_CONTROL = 0xC0  # RFC 1812 4.3.2.5


def too_big(frame: bytes, mtu: int) -> bytes | None:
    """The frame with the ICMP error for the guest that sent ``frame``; None where none may be sent.

    ``mtu`` is the largest IP packet that would have fitted.  IPv4 without DF gets
    no answer (D141), nor does anything that must not be answered (RFC 1122 3.2.2, RFC 4443 2.4 (e)).  The host has
    no address of its own: the answer seems to come from whom the packet was for (D138).
    """
    offset = ip_offset(frame)
    if not offset or frame[0] & 1 or frame[6] & 1:
        return None
    try:
        packet = trimmed(frame[offset:])
        answer = _ipv4(packet, mtu) if packet[0] >> 4 == 4 else _ipv6(packet, mtu)
    except Refused:
        return None
    return None if answer is None else frame[6:12] + frame[:6] + frame[12:offset] + answer


def _ipv4(packet: bytes, mtu: int) -> bytes | None:
    header = (packet[0] & 0xF) * 4
    if not packet[6] & 0x40 or (packet[6] << 8 | packet[7]) & IPV4_OFFSET:
        return None
    if packet[9] == ICMP and packet[header : header + 1] and packet[header] in ICMP_ERRORS:
        return None
    if not all(0 < address < 224 and address != 127 for address in (packet[12], packet[16])):
        return None
    quoted = packet[:_QUOTED4]
    message = struct.pack("!BBHHH", 3, 4, 0, 0, min(max(mtu, _LEAST4), 0xFFFF)) + quoted
    message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
    addresses = packet[16:20] + packet[12:16]
    ip = struct.pack("!BBHHHBBH", 0x45, _INTERNETWORK_CONTROL, 20 + len(message), 0, 0x4000, _HOPS, ICMP, 0)
    return with_ipv4_checksum(ip + addresses) + message


def _ipv6(packet: bytes, mtu: int) -> bytes | None:
    chain = ipv6_chain(packet, len(packet))
    if chain.nh == ICMPV6 and packet[chain.offset : chain.offset + 1] < b"\x80":
        return None
    if packet[8] == 0xFF or packet[24] == 0xFF or not any(packet[8:24]):
        return None
    quoted = packet[:_QUOTED6]
    message = struct.pack("!BBHI", 2, 0, 0, max(mtu, _LEAST6)) + quoted
    ip = struct.pack("!IHBB", 6 << 28, len(message), ICMPV6, _HOPS) + packet[24:40] + packet[8:24]
    message = message[:2] + struct.pack("!H", checksum(pseudo_header(ip, len(message), ICMPV6) + message)) + message[4:]
    return ip + message
