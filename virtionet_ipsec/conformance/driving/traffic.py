"""Plain frames of every kind that a device may treat in a way of its own when it receives them.

Trains of segments that it could coalesce, tunnels, ECN, fragments, what is no
IP; with right checksums, and the same with wrong ones.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from ...ipsec.ip import checksum
from . import frames
from .frames import DST4, DST6, SRC4, SRC6

V4, V6 = SRC4 + DST4, SRC6 + DST6
VXLAN = 4789  # RFC 7348
ACK, PSH, ECE, CWR = 0x10, 0x08, 0x40, 0x80
_INNER_PACKET = 8 + 8 + 14  # behind the beginning of a UDP header: that, VXLAN's and Ethernet's
_CSUM_AT = {frames.TCP: 16, frames.UDP: 6}
_LEAST = {frames.TCP: 20, frames.UDP: 8}  # octets of a header


class Sent(NamedTuple):
    """A frame from the wire and what it is."""

    what: str
    frame: bytes


class Transport(NamedTuple):
    """Where TCP or UDP lies in a frame: protocol, addresses, offset of its header and of what follows, end."""

    protocol: int
    addresses: bytes
    at: int
    payload_at: int
    end: int

    @property
    def csum_at(self) -> int:
        return self.at + _CSUM_AT[self.protocol]

    @property
    def version(self) -> int:
        return 4 if len(self.addresses) == 8 else 6


def tcp_segment(
    number: int, addresses: bytes, flags: int = ACK | PSH, size: int = 64, *, sport: int = 5000, data: bool = True
) -> bytes:
    """Segment ``number`` of a stream (RFC 9293), ``size`` octets of data in each but those without ``data``."""
    start = struct.pack("!HHIIBBH", sport, 80, 1 + number * size, 1, 0x50, flags, 4096)
    payload = bytes(range(size)) if data else b""
    pseudo = frames.pseudo_header_sum(addresses, frames.TCP, 20 + len(payload)).to_bytes(2, "big")
    total = checksum(pseudo + start + b"\0\0\0\0" + payload)
    return start + total.to_bytes(2, "big") + b"\0\0" + payload


def ip(addresses: bytes, payload: bytes, protocol: int, ecn: int = 0, number: int = 0) -> bytes:
    """Packet ``number`` between two addresses."""
    if len(addresses) == 8:
        return frames.ipv4(payload, protocol, tos=ecn, identification=number + 1, df=True)
    return frames.ipv6(payload, protocol, traffic_class=ecn)


def vxlan(addresses: bytes, number: int, inner: bytes | None = None) -> bytes:
    """A frame with an Ethernet frame, TCP over IPv4 unless ``inner`` is given, in a UDP tunnel (RFC 7348)."""
    inner = inner or frames.ethernet(ip(V4, tcp_segment(number, V4), frames.TCP, number=number))
    header = bytes((8, 0, 0, 0, 0, 0, 42, 0))
    datagram = frames.udp(header + inner, 5555, VXLAN, addresses=addresses)
    return frames.ethernet(ip(addresses, datagram, frames.UDP, number=number))


def _trains() -> list[Sent]:
    sent = []
    for name, addresses in (("IPv4", V4), ("IPv6", V6)):
        for number in range(3):
            said = f"{number + 1} of 3 over {name}"
            segment = tcp_segment(number, addresses, ACK | PSH if number == 2 else ACK)
            sent.append(Sent(f"TCP segment {said}", frames.ethernet(ip(addresses, segment, frames.TCP, 0, number))))
        for number in range(3):
            said = f"{number + 1} of 3 over {name}"
            datagram = frames.udp(bytes(64), addresses=addresses)
            sent.append(Sent(f"UDP datagram {said}", frames.ethernet(ip(addresses, datagram, frames.UDP, 0, number))))
        for number in range(2):
            sent.append(Sent(f"VXLAN packet {number + 1} of 2 over {name}", vxlan(addresses, number)))
    return sent


def _ecn() -> list[Sent]:
    """TCP segments with ECE and CWR in packets marked CE (RFC 3168)."""
    return [
        Sent(
            f"TCP segment {number + 1} of 2 with ECN over {name}",
            frames.ethernet(ip(a, tcp_segment(number, a, ACK | ECE | CWR), frames.TCP, 3, number)),
        )
        for name, a in (("IPv4", V4), ("IPv6", V6))
        for number in range(2)
    ]


def _fragments() -> list[Sent]:
    datagram = frames.udp(bytes(120))
    first = frames.ipv4(datagram[:64], more=True, identification=99)
    later = frames.ipv4(datagram[64:], offset=8, identification=99)
    return [Sent("IPv4 fragment 1 of 2", frames.ethernet(first)), Sent("IPv4 fragment 2 of 2", frames.ethernet(later))]


WITH_ECN = tuple(_ecn())
TUNNELLED = tuple(Sent(f"VXLAN over {name}", vxlan(a, 0)) for name, a in (("IPv4", V4), ("IPv6", V6)))
NO_NETWORK_HEADER = (
    Sent("a frame with EtherType 88b5, local experimental", frames.MACS + b"\x88\xb5" + bytes(46)),
    Sent("a frame with EtherType 0800 and no octet of IPv4", frames.MACS + b"\x08\x00"),
    Sent("a frame with 10 octets of IPv4", frames.udp4_frame()[:24]),
    Sent("a frame with 30 octets of IPv6", frames.udp6_frame()[:44]),
    Sent("a frame with EtherType 0800 and IP version 6", frames.MACS + b"\x08\x00" + frames.udp6_frame()[14:]),
)
SIMPLE = tuple(
    Sent(f"{what} over {name}", frames.ethernet(ip(a, transport, protocol)))
    for name, a in (("IPv4", V4), ("IPv6", V6))
    for what, transport, protocol in (
        ("UDP", frames.udp(addresses=a), frames.UDP),
        ("TCP", tcp_segment(0, a), frames.TCP),
    )
)
MIXED = (*SIMPLE, *_trains(), *WITH_ECN, *_fragments(), NO_NETWORK_HEADER[0])


def transport_of(frame: bytes) -> Transport | None:
    """TCP or UDP of a frame without VLAN tags, of the outer packet; None when there is none, or a fragment of it."""
    packet = frame[14:]
    if frame[12:14] == b"\x08\x00" and len(packet) >= 20:
        at, end = (packet[0] & 0xF) * 4, int.from_bytes(packet[2:4], "big")
        protocol, addresses = packet[9], packet[12:20]
        if packet[6] & 0x3F or packet[7]:
            return None
    elif frame[12:14] == b"\x86\xdd" and len(packet) >= 40:
        at, end = 40, 40 + int.from_bytes(packet[4:6], "big")
        protocol, addresses = packet[6], packet[8:40]
    else:
        return None
    if protocol not in _CSUM_AT or end > len(packet) or end - at < _LEAST[protocol]:
        return None
    header = 8 if protocol == frames.UDP else (packet[at + 12] >> 4) * 4
    return Transport(protocol, addresses, 14 + at, 14 + at + header, 14 + end)


def inside(frame: bytes) -> Transport | None:
    """As :func:`transport_of`, of the packet in VXLAN; None when there is none."""
    outer = transport_of(frame)
    if outer is None or frame[outer.at + 2 : outer.at + 4] != VXLAN.to_bytes(2, "big"):
        return None
    start = inner_packet_at(outer) - 14
    found = transport_of(frame[start:])
    if found is None:
        return None
    at, payload_at, end = (start + each for each in (found.at, found.payload_at, found.end))
    return Transport(found.protocol, found.addresses, at, payload_at, end)


def inner_packet_at(outer: Transport) -> int:
    """Where the inner IP packet begins behind the UDP header of VXLAN."""
    return outer.at + _INNER_PACKET


def pseudo_header(transport: Transport) -> int:
    """The sum over the pseudo header."""
    return frames.pseudo_header_sum(transport.addresses, transport.protocol, transport.end - transport.at)


def complete(frame: bytes) -> bool:
    """Whether TCP or UDP of ``frame``, which has either, carries a right checksum, or in UDP over IPv4 none."""
    found = transport_of(frame)
    assert found is not None
    if found.protocol == frames.UDP and frame[found.csum_at : found.csum_at + 2] == b"\0\0":
        return len(found.addresses) == 8
    return checksum(pseudo_header(found).to_bytes(2, "big") + frame[found.at : found.end]) == 0


def damaged(frame: bytes, at: int) -> bytes:
    """``frame`` with the checksum at octet ``at`` wrong, and not zero."""
    value = int.from_bytes(frame[at : at + 2], "big") ^ 0x0100
    return frame[:at] + (value or 0x0200).to_bytes(2, "big") + frame[at + 2 :]


def _spoiled(sent: Sent) -> Sent:
    found = transport_of(sent.frame)
    assert found is not None
    return Sent(f"{sent.what} with a wrong checksum", damaged(sent.frame, found.csum_at))


def _spoiled_inside(addresses: bytes) -> bytes:
    inner = frames.ethernet(ip(V4, tcp_segment(0, V4), frames.TCP))
    return vxlan(addresses, 0, damaged(inner, 14 + 20 + _CSUM_AT[frames.TCP]))


DAMAGED = tuple(_spoiled(sent) for sent in (*SIMPLE, *TUNNELLED))
"""The outermost TCP or UDP checksum is wrong."""

DAMAGED_INSIDE = tuple(
    Sent(f"VXLAN over {name}, a wrong checksum inside", _spoiled_inside(a)) for name, a in (("IPv4", V4), ("IPv6", V6))
)
"""The checksum inside the UDP tunnel is wrong, that of the tunnel is right."""
