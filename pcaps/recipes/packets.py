"""IP packets and Ethernet frames, as far as the recipes need them."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from .files import Frame

IPV4, IPV6 = b"\x08\x00", b"\x86\xdd"
ETH = 14  # octets of an Ethernet header without tags
MACS = bytes.fromhex("025000000002025000000001")  # of gb and ga: destination, source


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071), word by word."""
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def changed(data: bytes, offset: int, new: bytes) -> bytes:
    """``data`` with the octets from ``offset`` on replaced; negative offsets count from the end."""
    start = offset if offset >= 0 else len(data) + offset
    return data[:start] + new + data[start + len(new) :]


def flipped(data: bytes, offset: int, mask: int = 1) -> bytes:
    """``data`` with bits of one octet flipped."""
    start = offset if offset >= 0 else len(data) + offset
    return changed(data, start, bytes((data[start] ^ mask,)))


def summed(packet: bytes) -> bytes:
    """The IPv4 ``packet`` with its header checksum made right."""
    header = (packet[0] & 0xF) * 4
    blank = changed(packet[:header], 10, b"\0\0")
    return changed(packet, 10, struct.pack("!H", checksum(blank)))


def sized(packet: bytes) -> bytes:
    """``packet`` with its IP header's length, and IPv4's checksum, made right."""
    if packet[0] >> 4 == 4:
        return summed(changed(packet, 2, struct.pack("!H", len(packet))))
    return changed(packet, 4, struct.pack("!H", len(packet) - 40))


def ipv4(
    payload: bytes,
    protocol: int,
    src: str,
    dst: str,
    *,
    tos: int = 0,
    ttl: int = 64,
    ident: int = 0,
    flags: int = 0x4000,
    options: bytes = b"",
) -> bytes:
    """An IPv4 packet; ``flags`` is the word of flags and fragment offset, DF alone unless given."""
    first, total = 0x45 + len(options) // 4, 20 + len(options) + len(payload)
    head = struct.pack("!BBHHHBBH", first, tos, total, ident, flags, ttl, protocol, 0)
    return summed(head + ip_address(src).packed + ip_address(dst).packed + options + payload)


def ipv6(
    payload: bytes, protocol: int, src: str, dst: str, *, tos: int = 0, hop_limit: int = 64, flow_label: int = 0
) -> bytes:
    """An IPv6 packet; extension headers are part of ``payload``."""
    head = struct.pack("!IHBB", 6 << 28 | tos << 20 | flow_label, len(payload), protocol, hop_limit)
    return head + ip_address(src).packed + ip_address(dst).packed + payload


def udp(payload: bytes, sport: int, dport: int) -> bytes:
    """A UDP datagram with checksum zero: none (allowed over IPv4; RFC 3948 2.1 asks for it)."""
    return struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload


def udp_over_ipv6(payload: bytes, sport: int, dport: int, src: str, dst: str) -> bytes:
    """A UDP datagram with its checksum (RFC 8200 8.1)."""
    datagram = udp(payload, sport, dport)
    pseudo = ip_address(src).packed + ip_address(dst).packed + struct.pack("!II", len(datagram), 17)
    return changed(datagram, 6, struct.pack("!H", checksum(pseudo + datagram) or 0xFFFF))


def framed(packet: bytes, macs: bytes = MACS) -> bytes:
    """An Ethernet frame around an IP packet."""
    return macs + (IPV4 if packet[0] >> 4 == 4 else IPV6) + packet


def tagged(frame: bytes, *tags: tuple[int, int]) -> bytes:
    """``frame`` with VLAN tags in front of its EtherType: (TPID, PCP/DEI/VID), the outermost first."""
    return frame[:12] + b"".join(struct.pack("!HH", *tag) for tag in tags) + frame[12:]


def with_packet(frame: Frame, packet: bytes) -> Frame:
    """The untagged ``frame`` with another IP packet in it."""
    return frame._replace(data=frame.data[:ETH] + packet)


def fragments4(packet: bytes, size: int) -> list[bytes]:
    """The IPv4 ``packet``, which has no options, cut into fragments of at most ``size`` octets of payload (RFC 791)."""
    header, payload = packet[:20], packet[20:]
    pieces = []
    for at in range(0, len(payload), size):
        more = 0x2000 if at + size < len(payload) else 0
        pieces.append(sized(changed(header, 6, struct.pack("!H", more | at // 8)) + payload[at : at + size]))
    return pieces


def fragments6(packet: bytes, size: int, ident: int) -> list[bytes]:
    """The IPv6 ``packet`` cut into fragments (RFC 8200 4.5); one that fits becomes an atomic fragment (RFC 6946)."""
    header, payload = changed(packet[:40], 6, b"\x2c"), packet[40:]
    pieces = []
    for at in range(0, len(payload), size):
        more = at + size < len(payload)
        extension = struct.pack("!BBHI", packet[6], 0, at | more, ident)
        pieces.append(sized(header + extension + payload[at : at + size]))
    return pieces
