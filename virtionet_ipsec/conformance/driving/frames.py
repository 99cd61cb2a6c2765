"""Frames that checks send: Ethernet, IPv4 or IPv6, UDP or TCP or anything else, as octets.

Addresses are those of RFC 5737 and RFC 3849.  Checksums are right.
"""

from __future__ import annotations

import struct

from ...ipsec.ip import checksum

MACS = bytes.fromhex("525400000001 525400000002".replace(" ", ""))
SRC4, DST4 = bytes((198, 51, 100, 1)), bytes((203, 0, 113, 2))
SRC6, DST6 = bytes.fromhex("20010db8000000010000000000000001"), bytes.fromhex("20010db8000000020000000000000002")
TCP, UDP, ESP, AH = 6, 17, 50, 51
DESTINATION_OPTIONS = 60


def ethernet(packet: bytes) -> bytes:
    """The frame around an IP packet; the EtherType follows its version."""
    return MACS + (b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00") + packet


def ipv4(
    payload: bytes,
    protocol: int = UDP,
    *,
    tos: int = 0,
    ttl: int = 64,
    df: bool = False,
    more: bool = False,
    offset: int = 0,
    identification: int = 1,
    options: bytes = b"",
    src: bytes = SRC4,
    dst: bytes = DST4,
) -> bytes:
    """An IPv4 packet (RFC 791); ``offset`` of a fragment counts 8 octets, ``options`` have a multiple of 4 octets."""
    words = 5 + len(options) // 4
    fragment = (0x4000 if df else 0) | (0x2000 if more else 0) | offset
    start = struct.pack(
        "!BBHHHBB", 0x40 | words, tos, 4 * words + len(payload), identification, fragment, ttl, protocol
    )
    total = checksum(start + b"\0\0" + src + dst + options)
    return start + total.to_bytes(2, "big") + src + dst + options + payload


def ipv6(
    payload: bytes,
    next_header: int = UDP,
    *,
    traffic_class: int = 0,
    flow_label: int = 0,
    hop_limit: int = 64,
    src: bytes = SRC6,
    dst: bytes = DST6,
) -> bytes:
    """An IPv6 packet (RFC 8200)."""
    first = 6 << 28 | traffic_class << 20 | flow_label
    return struct.pack("!IHBB", first, len(payload), next_header, hop_limit) + src + dst + payload


def _pseudo_header(addresses: bytes, protocol: int, length: int) -> bytes:
    if len(addresses) == 32:  # IPv6: RFC 8200 8.1
        return addresses + struct.pack("!II", length, protocol)
    return addresses + struct.pack("!HH", protocol, length)


def pseudo_header_sum(addresses: bytes, protocol: int, length: int) -> int:
    """The sum over the pseudo header, which NEEDS_CSUM wants in the checksum field (virtio 1.4, 5.1.9.2)."""
    return checksum(_pseudo_header(addresses, protocol, length)) ^ 0xFFFF


def udp(
    payload: bytes = b"what the driver sends", sport: int = 5000, dport: int = 6000, *, addresses: bytes = SRC4 + DST4
) -> bytes:
    """A UDP datagram with its checksum over the pseudo header of ``addresses``, source and destination."""
    length = 8 + len(payload)
    ports = struct.pack("!HHH", sport, dport, length)
    total = checksum(_pseudo_header(addresses, UDP, length) + ports + b"\0\0" + payload) or 0xFFFF
    return ports + total.to_bytes(2, "big") + payload


def tcp(
    payload: bytes = b"",
    sport: int = 5000,
    dport: int = 6000,
    *,
    addresses: bytes = SRC4 + DST4,
    seq: int = 1,
    flags: int = 0x10,
    options: bytes = b"",
) -> bytes:
    """A TCP segment with its checksum (RFC 9293), ACK alone set; ``options`` have a multiple of 4 octets."""
    words = 5 + len(options) // 4
    start = struct.pack("!HHIIBBH", sport, dport, seq, 1, words << 4, flags, 4096)
    rest = b"\0\0" + options + payload
    total = checksum(_pseudo_header(addresses, TCP, len(start) + 2 + len(rest)) + start + b"\0\0" + rest)
    return start + total.to_bytes(2, "big") + rest


def udp4_frame(payload: bytes = b"what the driver sends", **ip: object) -> bytes:
    """An Ethernet frame with IPv4 and UDP; ``ip`` are :func:`ipv4`'s fields but for the addresses."""
    return ethernet(ipv4(udp(payload), **ip))  # type: ignore[arg-type]


def udp6_frame(payload: bytes = b"what the driver sends", **ip: object) -> bytes:
    """An Ethernet frame with IPv6 and UDP; ``ip`` are :func:`ipv6`'s fields but for the addresses."""
    return ethernet(ipv6(udp(payload, addresses=SRC6 + DST6), **ip))  # type: ignore[arg-type]


def sized_frame(length: int) -> bytes:
    """An Ethernet frame with an IPv4 packet of ``length`` octets, 28 or more."""
    return udp4_frame(bytes(length - 28))
