"""ESP and AH as octets: packets that the device sent, taken apart, and packets that no sound sender makes.

The MACs and ciphers are the engine's, everything around them is put together
here; the known answers (:mod:`.known_answers`) hold devices against packets
that owe nothing to the engine.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from ...ipsec import Protocol, Refused, SaParams, locate
from ...ipsec.integrity import make_mac
from ...ipsec.transforms import make_transform
from ..verdict import Failed
from . import frames

HOPOPTS, IPIP, TCP, UDP, IPV6, ROUTING, FRAGMENT, DSTOPTS = 0, 4, 6, 17, 41, 43, 44, 60
LOW = 0xFFFFFFFF

_EXTENSIONS = frozenset({HOPOPTS, ROUTING, FRAGMENT, DSTOPTS})
_AH = struct.Struct("!BBHII")  # next header, payload length, reserved, SPI, sequence number (RFC 4302 2)


def parted(wire: bytes, protocol: Protocol) -> tuple[bytes, bytes]:
    """A frame's IP header, options and extension headers included, and the ESP or AH packet behind it.

    Fails the check where the IP header, or the last extension header, names something else.
    """
    packet = wire[14:]
    if packet[0] >> 4 == 4:
        size, named, end = (packet[0] & 0xF) * 4, packet[9], int.from_bytes(packet[2:4], "big")
    else:
        size, named, end = 40, packet[6], 40 + int.from_bytes(packet[4:6], "big")
        while named in _EXTENSIONS:
            named, size = packet[size], size + (8 if named == FRAGMENT else (packet[size + 1] + 1) * 8)
    if named != protocol.value:
        raise Failed("the protocol that the IP header names", f"{protocol.value} ({protocol.name})", str(named))
    return packet[:size], packet[size:end]


def spi_of(wire: bytes) -> int:
    """The SPI of a frame, also behind a UDP header; 0 for one that is no IPsec packet."""
    return _located(wire)[0]


def seq_of(wire: bytes) -> int:
    """The (low half of the) sequence number in a frame, also behind a UDP header; 0 for one that is no IPsec packet."""
    return _located(wire)[1]


def _located(wire: bytes) -> tuple[int, int]:
    try:
        where = locate(wire[14:])
    except Refused:
        return 0, 0
    return where[5], where[6]


def flipped(wire: bytes, at: int = -1) -> bytes:
    """``wire`` with one bit of the octet ``at`` changed: of the last, which the ICV covers or which is the ICV's."""
    at %= len(wire)
    return wire[:at] + bytes((wire[at] ^ 1,)) + wire[at + 1 :]


def high_half(params: SaParams, seq: int) -> bytes:
    """What an ICV covers of an extended sequence number besides the octets that are sent (RFC 4303 2.2.1)."""
    return (seq >> 32).to_bytes(4, "big") if params.esn else b""


# -- ESP (RFC 4303) --------------------------------------------------------------------------------------------------


class Opened(NamedTuple):
    """What ESP encrypts (RFC 4303 2): payload, padding, Pad Length, Next Header."""

    payload: bytes
    padding: bytes
    pad_length: int
    next_header: int


def trailer(length: int, next_header: int, align: int = 4) -> bytes:
    """The trailer behind a payload of ``length`` octets, with the least padding."""
    pad = -(length + 2) % align
    return bytes(range(1, pad + 1)) + bytes((pad, next_header))


def _no_chance(length: int) -> bytes:
    return bytes(range(1, length + 1))


def esp(params: SaParams, seq: int, plaintext: bytes) -> bytes:
    """An ESP packet, from the SPI to the ICV, whose payload and trailer are ``plaintext`` as it is."""
    head = struct.pack("!II", params.spi, seq & LOW)
    return head + b"".join(make_transform(params, _no_chance).seal(head, plaintext, high_half(params, seq)))


def opened(params: SaParams, wire: bytes, seq: int) -> Opened:
    """What is inside the ESP packet ``seq`` that the device sent; a wrong ICV fails the check."""
    _, body = parted(wire, Protocol.ESP)
    try:
        plain = make_transform(params, _no_chance).open(body, 0, len(body), high_half(params, seq))
    except Refused as refused:
        raise Failed("the ESP packet on the wire", "one that the far end accepts", refused.detail) from None
    cut = len(plain) - 2 - plain[-2]
    if cut < 0:
        raise Failed("Pad Length", f"at most {len(plain) - 2}", str(plain[-2]))
    return Opened(plain[:cut], plain[cut:-2], plain[-2], plain[-1])


# -- AH (RFC 4302) ---------------------------------------------------------------------------------------------------


class AhPacket(NamedTuple):
    """An AH packet; ``header`` is what lies in front of AH, ``payload_len`` the field of this name."""

    header: bytes
    next_header: int
    payload_len: int
    reserved: int
    spi: int
    seq: int
    icv: bytes
    padding: bytes
    payload: bytes


def ah_parts(params: SaParams, wire: bytes) -> AhPacket:
    """The fields of the AH packet in a frame; where AH ends its Payload Len says."""
    header, body = parted(wire, Protocol.AH)
    next_header, payload_len, reserved, spi, seq = _AH.unpack_from(body)
    end, cut = (payload_len + 2) * 4, 12 + params.icv_length
    icv, padding, payload = body[12:cut], body[cut:end], body[end:]
    return AhPacket(header, next_header, payload_len, reserved, spi, seq, icv, padding, payload)


def counted(header: bytes) -> bytes:
    """``header`` as the ICV counts it, its options and extension headers as they are (RFC 4302 3.3.3.1.1.1, ...2.1)."""
    if header[0] >> 4 == 4:
        return header[:1] + b"\0" + header[2:6] + bytes(3) + header[9:10] + bytes(2) + header[12:]
    return b"\x60" + bytes(3) + header[4:7] + b"\0" + header[8:]


def ah_icv(params: SaParams, packet: AhPacket, front: bytes) -> bytes:
    """The ICV of ``packet``, an early one of its SA, whose ``header`` counts as ``front`` (RFC 4302 3.3.3.1)."""
    fixed = _AH.pack(packet.next_header, packet.payload_len, packet.reserved, packet.spi, packet.seq)
    covered = front + fixed + bytes(params.icv_length) + packet.padding + packet.payload
    return make_mac(params).compute(covered + high_half(params, packet.seq))


def ah(
    params: SaParams,
    around: Callable[[bytes], bytes],
    carried: tuple[int, bytes],
    seq: int,
    *,
    count: Callable[[bytes], bytes] = counted,
    reserved: int = 0,
    padding: bytes | None = None,
) -> bytes:
    """A frame with AH: ``around`` puts the IP header in front of AH, ``carried`` is Next Header and payload.

    ``count`` makes of what lies in front of AH what the ICV counts of it;
    ``padding`` of the ICV field is as much as alignment needs, of zeros, unless given.
    """
    next_header, payload = carried
    least = 12 + params.icv_length
    if padding is None:
        padding = bytes(-least % (8 if around(b"")[0] >> 4 == 6 else 4))
    fixed = _AH.pack(next_header, (least + len(padding)) // 4 - 2, reserved, params.spi, seq & LOW)
    blank = fixed + bytes(params.icv_length) + padding + payload
    front = count(around(blank)[: -len(blank)])
    icv = make_mac(params).compute(front + blank + high_half(params, seq))
    return frames.ethernet(around(fixed + icv + padding + payload))
