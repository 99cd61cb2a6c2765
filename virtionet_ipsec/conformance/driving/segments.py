"""Packets that a driver asks the device to segment, for checks: transmit buffers' frames and header fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ...wire.enums import GsoType, HdrFlag
from . import frames

# Each packet as a whole is short of any usual mtu: a device that takes it for one packet lets it leave.
GSO_SIZE = 400
_DATA = bytes(2 * GSO_SIZE)
_TCP_CHECKSUM = 16  # its offset in the header (RFC 9293 3.1)
_GENEVE = bytes.fromhex("0000655800000100")  # no options, an Ethernet frame inside, VNI 1 (RFC 8926 3.4)


class Segmentable(NamedTuple):
    """``frame`` with the fields of the header that make it one packet of several segments, and what it is."""

    what: str
    frame: bytes
    fields: dict[str, int]


def _tcp(addresses: bytes) -> bytes:
    """A TCP segment with the pseudo header's sum in the checksum field."""
    segment = frames.tcp(_DATA, addresses=addresses)
    total = frames.pseudo_header_sum(addresses, frames.TCP, len(segment))
    return segment[:_TCP_CHECKSUM] + total.to_bytes(2, "big") + segment[_TCP_CHECKSUM + 2 :]


def _fields(gso_type: int, csum_start: int) -> dict[str, int]:
    return {
        "flags": HdrFlag.NEEDS_CSUM,
        "gso_type": gso_type,
        "gso_size": GSO_SIZE,
        "hdr_len": csum_start + 20,
        "csum_start": csum_start,
        "csum_offset": _TCP_CHECKSUM,
    }


def tcp4() -> Segmentable:
    """TCP over IPv4, two segments."""
    frame = frames.ethernet(frames.ipv4(_tcp(frames.SRC4 + frames.DST4), frames.TCP))
    return Segmentable("TCP over IPv4", frame, _fields(GsoType.TCPV4, 34))


def tcp6() -> Segmentable:
    """TCP over IPv6, two segments."""
    frame = frames.ethernet(frames.ipv6(_tcp(frames.SRC6 + frames.DST6), frames.TCP))
    return Segmentable("TCP over IPv6", frame, _fields(GsoType.TCPV6, 54))


def tunnelled() -> Iterator[Segmentable]:
    """TCP over IPv4 and IPv6, each in Geneve over IPv4 and IPv6; the outer UDP checksum is 0."""
    for inner in (tcp4(), tcp6()):
        geneve = _GENEVE + inner.frame
        datagram = frames.udp(geneve, dport=6081)
        datagram = datagram[:6] + b"\0\0" + datagram[8:]
        for bit, packet in (
            (GsoType.UDP_TUNNEL_IPV4, frames.ipv4(datagram)),
            (GsoType.UDP_TUNNEL_IPV6, frames.ipv6(datagram)),
        ):
            outer = len(packet) - len(datagram)
            front = 14 + outer + 8 + len(_GENEVE)
            fields = _fields(inner.fields["gso_type"] | bit, front + inner.fields["csum_start"])
            fields |= {"outer_th_offset": 14 + outer, "inner_nh_offset": front + 14}
            yield Segmentable(f"{inner.what} in a UDP tunnel, {bit.name}", frames.ethernet(packet), fields)
