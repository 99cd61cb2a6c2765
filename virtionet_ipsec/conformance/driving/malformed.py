"""Frames that an IPsec rule matches and whose headers contradict their length, or each other."""

from __future__ import annotations

from collections.abc import Iterator

from ...ipsec import Protocol, SaParams
from ...ipsec.ip import with_ipv4_checksum
from . import frames
from .traffic import Sent

_IP4, _IP6 = 14 + 20, 14 + 40  # where a header without options or extensions ends in a frame
_HOP_BY_HOP, _NATT = 0, 4500


def _ipv4(frame: bytes, at: int, value: bytes) -> bytes:
    """``frame`` with ``value`` at octet ``at`` of its IPv4 header, whose checksum is right."""
    header = frame[14 : 14 + at] + value + frame[14 + at + len(value) : _IP4]
    return frame[:14] + with_ipv4_checksum(header) + frame[_IP4:]


def _over_ipv4(wire: bytes) -> Iterator[Sent]:
    total = len(wire) - 14
    for octets in (1, 8, 19):
        yield Sent(f"{octets} octets of an IPv4 header", wire[: 14 + octets])
    for length in (0, 19, total + 1, total + 100, 0xFFFF):
        yield Sent(f"Total Length {length} in {total} octets", _ipv4(wire, 2, length.to_bytes(2, "big")))
    for words in (0, 4):
        yield Sent(f"an IPv4 header of {words} words", wire[:14] + bytes((0x40 | words,)) + wire[15:])
    yield Sent("IPv4 options past the end", wire[:14] + b"\x4f" + wire[15:16] + b"\0\x20" + wire[18 : 14 + 32])
    body = wire[_IP4:]
    for octets in (0, 1, 4, 7, 8, 9, 11, 12, 16, 20):
        yield Sent(f"{octets} octets behind IPv4", _ipv4(wire, 2, (20 + octets).to_bytes(2, "big"))[: _IP4 + octets])
    yield Sent("half of the packet, its Total Length right", _half(wire, body))


def _half(wire: bytes, body: bytes) -> bytes:
    octets = len(body) // 2
    return _ipv4(wire, 2, (20 + octets).to_bytes(2, "big"))[: _IP4 + octets]


def _over_ipv6(wire: bytes) -> Iterator[Sent]:
    """``wire`` is a frame with IPv4, whose payload goes into IPv6."""
    body, protocol = wire[_IP4:], wire[14 + 9]
    whole = frames.ethernet(frames.ipv6(body, protocol))
    for octets in (1, 10, 39):
        yield Sent(f"{octets} octets of an IPv6 header", whole[: 14 + octets])
    for length in (len(body) + 1, len(body) + 100, 0xFFFF):
        said = whole[: 14 + 4] + length.to_bytes(2, "big") + whole[14 + 6 :]
        yield Sent(f"Payload Length {length} in {len(body)} octets", said)
    yield Sent("Payload Length 0", whole[: 14 + 4] + b"\0\0" + whole[14 + 6 :])
    for units in (len(body) // 8 + 1, 255):
        extension = bytes((protocol, units)) + b"\1\4" + bytes(4)
        past = frames.ethernet(frames.ipv6(extension + body, _HOP_BY_HOP))
        yield Sent(f"an extension header of {8 * units + 8} octets, which goes past the end", past)
    for octets in (0, 1, 2):
        cut = frames.ethernet(frames.ipv6(bytes((protocol, 0, 1, 4))[:octets], _HOP_BY_HOP))
        yield Sent(f"{octets} octets of an extension header", cut)


def _in_udp(wire: bytes) -> Iterator[Sent]:
    body = wire[_IP4:]
    for length in (0, 7, 8 + len(body) + 1, 8 + len(body) + 100, 0xFFFF):
        ports = _NATT.to_bytes(2, "big") * 2
        datagram = ports + length.to_bytes(2, "big") + b"\0\0" + body
        what = f"a UDP length of {length} in {8 + len(body)} octets"
        yield Sent(what, frames.ethernet(frames.ipv4(datagram, frames.UDP)))


def malformed(params: SaParams, wire: bytes) -> Iterator[Sent]:
    """What can be wrong with ``wire``, a good packet of the SA over IPv4 without options."""
    yield from _over_ipv4(wire)
    yield from _over_ipv6(wire)
    if params.protocol is Protocol.ESP:
        yield from _in_udp(wire)
        return
    for length in (0, 1, 0x80, 0xFF):
        cut = wire[: _IP4 + 1] + bytes((length,)) + wire[_IP4 + 2 :]
        yield Sent(f"AH of {4 * length + 8} octets, as it says, in a packet of {len(wire) - _IP4}", cut)
