"""ESP in UDP, RFC 3948."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from ...ipsec import Direction, Mode, SaParams, UdpEncap
from ...ipsec.ip import ones_complement_sum
from ..check import check
from ..driving import frames
from ..driving.associations import (
    INBOUND,
    OUTBOUND,
    TUNNEL4,
    TUNNEL6,
    accepted,
    inside,
    null_sa,
    protected,
    sa,
    send,
    start,
)
from ..driving.ip_header import IpHeader, ip_header
from ..driving.rig import Rig
from ..driving.tunnels import both, far_receiver, far_sender, living
from ..verdict import Failed, NotApplicable

_PORT = 4500
_ENCAP = UdpEncap(_PORT, _PORT)
_KEEPALIVE = b"\xff"
_MARKER = bytes(4)

_TUNNEL, _TRANSPORT = (Mode.TUNNEL,), (Mode.TRANSPORT,)

# With TCP as well: UDP inside has the protocol number of the UDP around it.
_FRAMES = (
    *both(b"even"),
    *both(b"odd"),
    frames.ethernet(frames.ipv4(frames.tcp(b"TCP"), frames.TCP)),
    frames.ethernet(frames.ipv6(frames.tcp(b"TCP", addresses=frames.SRC6 + frames.DST6), frames.TCP)),
)


class _Datagram(NamedTuple):
    """What left for a packet: IP header, UDP header, the ESP packet in it."""

    what: str
    params: SaParams
    frame: bytes
    ip: IpHeader
    sport: int
    dport: int
    length: int
    checksum: int
    esp: bytes
    wire: bytes


def _sas(rig: Rig, direction: Direction, modes: tuple[Mode, ...], udp: UdpEncap) -> Iterator[SaParams]:
    """ESP SAs with UDP_ENCAP of these modes, tunnel mode over IPv4 and IPv6."""
    wanting: NotApplicable | None = None
    found = False
    for mode in modes:
        for tunnel in (TUNNEL4, TUNNEL6) if mode is Mode.TUNNEL else (None,):
            try:
                params = sa(rig, direction, mode=mode, udp=udp, **({"tunnel": tunnel} if tunnel else {}))
            except NotApplicable as reason:
                wanting = wanting or reason
                continue
            found = True
            yield params
    if wanting is not None and not found:
        raise wanting


def _frames_for(params: SaParams) -> list[bytes]:
    """The frames of the version that the tunnel has, all of them in transport mode."""
    versions = (4, 6) if params.tunnel is None else (4,) if len(params.tunnel.src) == 4 else (6,)
    return [frame for frame in _FRAMES if frame[14] >> 4 in versions]


def _name(params: SaParams, frame: bytes) -> str:
    outer = "" if params.tunnel is None else f" over IPv{4 if len(params.tunnel.src) == 4 else 6}"
    return f"ESP {params.mode.value}{outer} in UDP, IPv{frame[14] >> 4} inside"


def _sent(rig: Rig, modes: tuple[Mode, ...] = _TUNNEL + _TRANSPORT, udp: UdpEncap = _ENCAP) -> Iterator[_Datagram]:
    """Packets of each family through an SA of each mode."""
    for params in _sas(rig, OUTBOUND, modes, udp):
        with living(rig, params) as resource_id:
            for frame in _frames_for(params):
                what, wire = _name(params, frame), send(rig, resource_id, frame)
                yield _datagram(what, params, frame, wire)


def _datagram(what: str, params: SaParams, frame: bytes, wire: bytes) -> _Datagram:
    ip = ip_header(what, wire[14:])
    rest = wire[14 + ip.size :]
    if ip.protocol != frames.UDP or len(rest) < 16:
        raise Failed(what, "a UDP datagram with ESP in it", f"IP protocol {ip.protocol}, {len(rest)} octets")
    sport, dport, length, checksum = struct.unpack_from("!HHHH", rest)
    return _Datagram(what, params, frame, ip, sport, dport, length, checksum, rest[8:], wire)


def _in_udp(esp: bytes, addresses: bytes, *, sport: int = _PORT, checksum: bool = False) -> bytes:
    """``esp`` in a UDP datagram to port 4500, with a checksum where asked for, and over IPv6."""
    datagram = frames.udp(esp, sport, _PORT, addresses=addresses)
    return datagram if checksum or len(addresses) == 32 else datagram[:6] + b"\0\0" + datagram[8:]


def _arriving(rig: Rig, modes: tuple[Mode, ...], **udp: Any) -> Iterator[tuple[str, bytes, bytes]]:
    """(what, frame, wire): packets of each family from a far end behind a NAT that left only port 4500 alone."""
    for params in _sas(rig, INBOUND, modes, _ENCAP):
        far_end = far_sender(params, udp=None)
        with living(rig, params):
            for frame in _frames_for(params):
                esp_packet = protected(far_end, frame)[14:]
                yield _name(params, frame), frame, frames.ethernet(_encapsulated(esp_packet, **udp))


def _encapsulated(packet: bytes, *, last_octet: int | None = None, **udp: Any) -> bytes:
    """The ESP ``packet`` with UDP between its IP header, which has neither options nor extension headers, and ESP.

    ``last_octet`` is that of the source address after a NAT.
    """
    ip = ip_header("the far end's packet", packet)
    src = ip.src if last_octet is None else ip.src[:-1] + bytes((last_octet,))
    datagram = _in_udp(packet[ip.size :], src + ip.dst, **udp)
    if ip.version == 4:
        return frames.ipv4(datagram, ttl=ip.ttl, src=src, dst=ip.dst)
    return frames.ipv6(datagram, hop_limit=ip.ttl, src=src, dst=ip.dst)


def _without_udp(sent: _Datagram) -> bytes:
    """The frame as it would be without UDP encapsulation, its IP header made by hand."""
    ip = sent.ip
    if ip.version == 4:
        return frames.ethernet(
            frames.ipv4(
                sent.esp,
                frames.ESP,
                tos=ip.traffic_class,
                ttl=ip.ttl,
                df=ip.df,
                identification=ip.identification,
                src=ip.src,
                dst=ip.dst,
            )
        )
    return frames.ethernet(
        frames.ipv6(
            sent.esp,
            frames.ESP,
            traffic_class=ip.traffic_class,
            flow_label=ip.flow_label,
            hop_limit=ip.ttl,
            src=ip.src,
            dst=ip.dst,
        )
    )


@check
def ports(rig: Rig) -> None:
    """The UDP ports of what is sent are udp_sport and udp_dport of the SA."""
    start(rig)
    for udp in (_ENCAP, UdpEncap(1, 65535), UdpEncap(0x1234, 0xABCD)):
        for sent in _sent(rig, udp=udp):
            rig.equal(f"{sent.what}: source and destination port", (udp.sport, udp.dport), (sent.sport, sent.dport))


@check
def checksum_zero(rig: Rig) -> None:
    """Over IPv4 the UDP checksum of what is sent is zero."""
    start(rig)
    for sent in _sent(rig):
        if sent.ip.version == 4:
            rig.equal(f"{sent.what}: UDP checksum", 0, sent.checksum)


@check
def checksum_received(rig: Rig) -> None:
    """A packet whose UDP checksum is there, and right, is accepted as one with zero is."""
    start(rig)
    for checksum in (False, True):
        for what, frame, wire in _arriving(rig, _TUNNEL + _TRANSPORT, checksum=checksum):
            packet = accepted(rig, wire, f"{what}, {'a' if checksum else 'no'} UDP checksum over IPv4")
            rig.equal(f"{what}: payload", frame[-3:], packet.frame[-3:])


@check
def udp_header(rig: Rig) -> None:
    """The UDP length covers header and ESP; over IPv6 there is a checksum, and it is right."""
    start(rig)
    for sent in _sent(rig):
        datagram, ip = sent.wire[14 + sent.ip.size :], sent.ip
        rig.equal(f"{sent.what}: UDP length", len(datagram), sent.length)
        if ip.version == 4 and not sent.checksum:
            continue
        rig.expect(sent.checksum != 0, f"{sent.what}: UDP checksum", "one, over IPv6", "0")
        pseudo = frames.pseudo_header_sum(ip.src + ip.dst, frames.UDP, len(datagram)).to_bytes(2, "big")
        right = ones_complement_sum(pseudo + datagram) == 0xFFFF
        rig.expect(right, f"{sent.what}: UDP checksum", "the right one", f"{sent.checksum:#06x}")


# With this payload the sum over the SA's first packet, its ICV included, comes to 0xffff: found by trying.
_SUMS_TO_ZERO = 0x4062E.to_bytes(4, "big")


@check
def udp_checksum_zero(rig: Rig) -> None:
    """Over IPv6 a UDP checksum that comes to 0 is sent as 0xffff."""
    start(rig)
    params = null_sa(rig, OUTBOUND, tunnel=TUNNEL6, udp=_ENCAP)
    frame = frames.udp6_frame(_SUMS_TO_ZERO)
    with living(rig, params) as resource_id:
        wire = send(rig, resource_id, frame)
    sent = _datagram("ESP with cipher null over IPv6 in UDP", params, frame, wire)
    rig.expect(sent.checksum != 0, f"{sent.what}: UDP checksum that comes to 0", "0xffff", f"{sent.checksum:#06x}")


def _handed_up(rig: Rig, what: str, payload: bytes, *, may_vanish: bool = False) -> None:
    """A datagram to port 4500 that is not ESP: as it is, without SECURITY, also when Ethernet padding follows."""
    for frame in (
        frames.ethernet(frames.ipv4(frames.udp(payload, _PORT, _PORT))),
        frames.ethernet(frames.ipv6(frames.udp(payload, _PORT, _PORT, addresses=frames.SRC6 + frames.DST6))),
    ):
        said = f"{what} over IPv{frame[14] >> 4}"
        for wire in (frame, frame.ljust(60, b"\0")):
            packet = rig.receive(wire)
            if packet is None and may_vanish:
                continue
            rig.expect(packet is not None, said, "delivered to the driver", "nothing was delivered")
            assert packet is not None
            packet = rig.completed(packet)
            security = sorted(name for name in packet.flag_names if name.startswith("SECURITY"))
            rig.equal(f"{said}: SECURITY flags", [], security)
            rig.equal(f"{said}: the frame that the driver gets", frame, packet.frame[: len(frame)])


@check
def non_esp_marker(rig: Rig) -> None:
    """A datagram to port 4500 that begins with four zero octets is handed up as it came, without SECURITY."""
    start(rig)
    for params in _sas(rig, INBOUND, _TUNNEL, _ENCAP):
        with living(rig, params):
            for more in (bytes(range(28)), params.spi.to_bytes(4, "big") * 12, b""):
                _handed_up(rig, f"non-ESP marker and {len(more)} octets", _MARKER + more)


@check
def keepalive(rig: Rig) -> None:
    """A NAT keep-alive is no IPsec error, and the SA that is there takes its first packet after it."""
    start(rig)
    for params in _sas(rig, INBOUND, _TUNNEL, _ENCAP):
        far_end = far_sender(params, udp=None)
        with living(rig, params):
            _handed_up(rig, "a NAT keep-alive", _KEEPALIVE, may_vanish=True)
            wire = frames.ethernet(_encapsulated(protected(far_end, _frames_for(params)[0])[14:]))
            accepted(rig, wire, "the first packet after a NAT keep-alive")


def _goes_out(rig: Rig, modes: tuple[Mode, ...]) -> None:
    for sent in _sent(rig, modes):
        rig.equal(f"{sent.what}: octets of the packet, as the IP header says", len(sent.wire) - 14, sent.ip.total)
        rig.expect(sent.ip.checksum_right, f"{sent.what}: IP header checksum", "the right one", "another")
        far_end = far_receiver(sent.params, udp=None)
        plain = inside(far_end, _without_udp(sent), f"{sent.what}, UDP taken off")
        rig.equal(f"{sent.what}: the packet inside", sent.frame[14:], plain)


@check
def transport_out(rig: Rig) -> None:
    """Transport mode: ESP as without UDP, and the packet's own header fits the datagram."""
    start(rig)
    _goes_out(rig, _TRANSPORT)


@check
def tunnel_out(rig: Rig) -> None:
    """Tunnel mode: ESP as without UDP, and the outer header fits the datagram."""
    start(rig)
    _goes_out(rig, _TUNNEL)


def _comes_in(rig: Rig, modes: tuple[Mode, ...], **nat: int) -> None:
    for changes in ({}, nat):
        for what, frame, wire in _arriving(rig, modes, **changes):
            said = f"{what}{', through a NAT' if changes else ''}"
            packet = accepted(rig, wire, said)
            rig.equal(f"{said}: the packet for the driver", frame[14:], packet.frame[14:])


@check
def transport_in(rig: Rig) -> None:
    """Transport mode: UDP and ESP come off, from any source port, and the IP header fits what is left."""
    start(rig)
    _comes_in(rig, _TRANSPORT, sport=61234)


@check
def tunnel_in(rig: Rig) -> None:
    """Tunnel mode: outer header, UDP and ESP come off, from any source address and port."""
    start(rig)
    _comes_in(rig, _TUNNEL, sport=61234, last_octet=77)
