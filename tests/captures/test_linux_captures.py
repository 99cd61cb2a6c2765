"""Every packet of every capture that the Linux kernel made, to the octet.

Inbound, what the engine makes of the wire is what the kernel forwarded.
Outbound, the engine is given what a sender may choose (IV, IPv4
identification, flow label, sequence number) and has to make the kernel's
packet.  Where Linux does something else than the model on purpose, it is
written out here, and nowhere is a field left out of a comparison.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from ipaddress import ip_address
from typing import NamedTuple

import pytest

from virtionet_ipsec.ipsec import InboundSa, OutboundSa, Protocol, Reason, Refused, SaParams, locate
from virtionet_ipsec.replay.linktypes import ETHERNET
from virtionet_ipsec.replay.session import Options, Session
from virtionet_ipsec.safile import load

from .corpus import ETH, PCAPS, addresses, checksum, forwarded, frames_of, upper_layer, with_header_checksum

LINUX = PCAPS / "linux"
NAMES = sorted(path.name.removesuffix(".wire.pcap") for path in LINUX.glob("*.wire.pcap"))
TUNNELS = [name for name in NAMES if "tunnel" in name]
NOT_FOR_THE_DEVICE = "cbc256-sha512-esn-tunnel-v4"  # D09: a key of 64 octets

LINK_MTU = 1500
TCP, UDP = 6, 17
ICMP_ERRORS = {1: 3, 58: 2}  # protocol: the type that says "too big"
GA = frozenset(ip_address(address).packed for address in ("192.168.1.1", "fd01::1"))
HOST = frozenset(ip_address(address).packed for address in ("192.168.1.10", "fd01::10"))

CE, ECT_0 = 3, 2


class Received(NamedTuple):
    """A packet on the wire, the SPI it has, and the engine's plain packet."""

    wire: bytes
    spi: int
    plain: bytes


@cache
def sas(name: str) -> tuple[dict[int, SaParams], dict[int, SaParams]]:
    """The SAs of a capture by SPI, as inbound ones and as outbound ones."""
    path = LINUX / f"{name}.xfrm"
    inbound, outbound = ({e.params.spi: e.params for e in load(path, way)} for way in ("inbound", "outbound"))
    return inbound, outbound


@cache
def received(name: str) -> tuple[Received, ...]:
    """Every packet of a wire capture, taken through the engine; none may be refused."""
    inbound = {spi: InboundSa(params) for spi, params in sas(name)[0].items()}
    packets = []
    for frame in frames_of(LINUX / f"{name}.wire.pcap"):
        wire = frame[ETH:]
        where = locate(wire)
        packets.append(Received(wire, where[5], inbound[where[5]].unprotect(wire, where)))
    return tuple(packets)


def to_gb(name: str) -> list[Received]:
    return [packet for packet in received(name) if packet.spi >> 12 == 1]


def to_ga(name: str) -> list[Received]:
    return [packet for packet in received(name) if packet.spi >> 12 == 2]


def plain_packets(name: str) -> list[bytes]:
    return [frame[ETH:] for frame in frames_of(LINUX / f"{name}.plain.pcap")]


def from_host(name: str) -> list[bytes]:
    return [packet for packet in plain_packets(name) if addresses(packet)[0] in HOST]


def test_there_are_sixteen() -> None:
    assert len(NAMES) == 16 and len(TUNNELS) == 12


# --- inbound ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_packet_is_good(name: str) -> None:
    """None is refused, both SAs have met packets, and sequence numbers are the kernel's: 1, 2, 3, ..."""
    assert len(received(name)) == len(frames_of(LINUX / f"{name}.wire.pcap"))
    for way in (to_gb(name), to_ga(name)):
        assert [locate(packet.wire)[6] for packet in way] == list(range(1, len(way) + 1))
        assert len(way) >= 43


@pytest.mark.parametrize("name", TUNNELS)
def test_to_gb_the_tunnel_holds_what_the_host_sent(name: str) -> None:
    """In order, with the TTL one lower; what is missing was too big, and each of those was answered by ICMP."""
    inside = [packet.plain for packet in to_gb(name)]
    sent = [forwarded(packet) for packet in from_host(name)]
    too_big = list(sent)
    for packet in inside:
        too_big.remove(packet)  # a ValueError is a packet that the host never sent
    assert [packet for packet in sent if packet not in too_big] == inside
    assert len(too_big) == 10 and {len(packet) for packet in too_big} == {LINK_MTU}

    errors = [quoted(packet) for packet in plain_packets(name) if addresses(packet)[0] in GA]
    assert len(errors) == len(too_big)
    # Linux quotes an IPv4 packet as it came, and an IPv6 packet after it has decremented the hop limit.
    refused = [
        forwarded(packet) if packet[0] >> 4 == 6 else packet
        for packet in from_host(name)
        if forwarded(packet) in too_big
    ]
    for packet, (_, quote) in zip(refused, errors, strict=True):
        assert len(quote) >= 500 and packet.startswith(quote)


def quoted(error: bytes) -> tuple[int, bytes]:
    """The MTU that an ICMP error tells, and the beginning of the packet that it is about."""
    protocol, message, _ = upper_layer(error)
    assert message[0] == ICMP_ERRORS[protocol]
    return int.from_bytes(message[4:8], "big"), message[8:]


@pytest.mark.parametrize("name", TUNNELS)
def test_to_ga_the_host_got_what_the_tunnel_held(name: str) -> None:
    """In order, with the TTL one lower; beside these the host got nothing but the ICMP errors above."""
    got = [packet for packet in plain_packets(name) if addresses(packet)[0] not in HOST | GA]
    assert got == [forwarded(packet.plain) for packet in to_ga(name)]
    errors = len(plain_packets(name)) - len(got) - len(from_host(name))
    assert errors == 10


@pytest.mark.parametrize("name", NAMES)
def test_every_checksum_inside_is_good(name: str) -> None:
    """Of IPv4 headers, TCP, UDP, ICMP and ICMPv6; of the UDP datagram that came in fragments, put together."""
    for plain in whole(packet.plain for packet in received(name)):
        protocol, payload, _ = upper_layer(plain)
        if plain[0] >> 4 == 4:
            assert checksum(plain[:20]) == 0
        if protocol == 1:
            assert checksum(payload) == 0
        else:
            pseudo = b"".join(addresses(plain)) + len(payload).to_bytes(4, "big") + protocol.to_bytes(4, "big")
            assert protocol in (TCP, UDP, 58) and checksum(pseudo + payload) == 0


def whole(packets: Iterator[bytes]) -> Iterator[bytes]:
    """``packets`` with fragments, which come one right behind the other, put together."""
    first = b""
    for packet in packets:
        _, payload, fragment = upper_layer(packet)
        if not fragment:
            yield packet
        elif not first:
            first = packet
        elif packet[0] >> 4 == 4:
            joined = first + payload
            header = joined[:2] + len(joined).to_bytes(2, "big") + joined[4:6] + b"\0\0" + joined[8:]
            yield with_header_checksum(header)
        else:
            joined = first[:6] + first[40:41] + first[7:40] + first[48:] + payload
            yield joined[:4] + (len(joined) - 40).to_bytes(2, "big") + joined[6:]


@pytest.mark.parametrize("name", NAMES)
def test_the_traffic_is_all_there(name: str) -> None:
    """The TCP transfer of 20,000 octets has no gap, and each datagram that came back is one that was sent, reversed."""
    stream: dict[int, int] = {}
    for packet in to_gb(name):
        protocol, segment, _ = upper_layer(packet.plain)
        if protocol == TCP:
            start = int.from_bytes(segment[4:8], "big")
            stream.update(enumerate(segment[(segment[12] >> 4) * 4 :], start))
    assert len(stream) == 20_000 and max(stream) - min(stream) == 19_999

    sent, echoed = Counter(udp_payloads(to_gb(name))), Counter(payload[::-1] for payload in udp_payloads(to_ga(name)))
    assert sum(sent.values()) == 20
    assert echoed <= sent and sum(echoed.values()) >= 19


def udp_payloads(packets: list[Received]) -> Iterator[bytes]:
    for plain in whole(packet.plain for packet in packets):
        protocol, datagram, _ = upper_layer(plain)
        if protocol == UDP:
            yield datagram[8:]


@pytest.mark.parametrize("name", [name for name in NAMES if name != NOT_FOR_THE_DEVICE])
def test_the_device_delivers_the_same(name: str) -> None:
    """The way through flow filter, SA table and receive buffer adds the Ethernet header and nothing else."""
    session = Session(load(LINUX / f"{name}.xfrm", "inbound"), Options("inbound"))
    for frame, packet in zip(frames_of(LINUX / f"{name}.wire.pcap"), received(name), strict=True):
        outcome = session.process(frame, ETHERNET)
        assert outcome.data == frame[:ETH] + packet.plain
        assert outcome.verdict == "delivered" and outcome.refused is None


# --- outbound -----------------------------------------------------------------------------------------------------


def chosen_by_linux(params: SaParams, wire: bytes) -> SaParams:
    """``params`` with what the kernel chose freely for the packet ``wire``: sequence number, IV, flow label."""
    _, start, _, _, _, _, seq = locate(wire)
    tunnel = params.tunnel
    if tunnel is not None and wire[0] >> 4 == 6:
        tunnel = replace(tunnel, flow_label=int.from_bytes(wire[1:4], "big") & 0xFFFFF)
    iv = None
    if params.protocol is Protocol.ESP and params.iv_length:
        iv = wire[start + 8 : start + 8 + params.iv_length]
    return replace(params, first_seq=seq, iv=iv, tunnel=tunnel)


def identification(wire: bytes) -> int:
    """The IPv4 identification, which the kernel chose freely too."""
    return wire[4] << 8 | wire[5]


def as_linux_would(ours: bytes, plain: bytes, wire: bytes, params: SaParams) -> bytes:
    """``ours`` with the two things that Linux does in its own way.

    - Linux maps an inner CE to an outer ECT(0) (RFC 3168 9.1.1, full functionality); the model follows RFC 6040 4.1,
      which keeps CE.
    - Linux leaves arbitrary octets in AH's padding, whose content is the sender's choice (RFC 4302 3.3.3.2.1); the
      ICV covers them, so that it is computed anew, by hmac.
    """
    if params.tunnel is not None and traffic_class(plain) & 3 == CE:
        assert traffic_class(ours) & 3 == CE
        at, mask = (1, 1) if ours[0] >> 4 == 4 else (1, 0x10)  # CE, 0b11, becomes 0b10
        ours = ours[:at] + bytes((ours[at] ^ mask,)) + ours[at + 1 :]
        assert traffic_class(ours) & 3 == ECT_0
        if ours[0] >> 4 == 4:
            ours = with_header_checksum(ours)
    return ours if params.protocol is Protocol.ESP else with_padding_of(wire, ours, params)


def traffic_class(packet: bytes) -> int:
    return packet[1] if packet[0] >> 4 == 4 else int.from_bytes(packet[:2], "big") >> 4 & 0xFF


def with_padding_of(wire: bytes, ours: bytes, params: SaParams) -> bytes:
    start = 20 if ours[0] >> 4 == 4 else 40  # no options, no extension headers in these captures
    icv = slice(start + 12, start + 12 + params.icv_length)
    padding = slice(icv.stop, start + (ours[start + 1] + 2) * 4)
    if padding.start == padding.stop:
        return ours
    covered = bytearray(ours)
    covered[padding] = wire[padding]
    padded = bytes(covered)
    mutable = (1, 6, 7, 8, 10, 11) if start == 20 else (0, 1, 2, 3, 7)  # RFC 4302 3.3.3.1.1.1 and 3.3.3.1.2.1
    for at in mutable:
        covered[at] = 0
    if start == 40:
        covered[0] = 0x60
    covered[icv] = bytes(params.icv_length)
    digest = hmac.digest(params.auth_key, covered, (params.auth or "").removeprefix("hmac-"))
    return padded[: icv.start] + digest[: params.icv_length] + padded[icv.stop :]


@pytest.mark.parametrize("name", NAMES)
def test_the_engine_sends_what_the_kernel_sent(name: str) -> None:
    """Both directions: every plain packet, protected once more, is the packet on the wire."""
    for wire, spi, plain in received(name):
        params = chosen_by_linux(sas(name)[1][spi], wire)
        sa = OutboundSa(params, next_id=lambda wire=wire: identification(wire))
        assert as_linux_would(sa.protect(plain), plain, wire, params).hex() == wire.hex()


@pytest.mark.parametrize("name", TUNNELS)
def test_the_engine_forwards_as_ga_did(name: str) -> None:
    """From what the host sent to what ga sent: TTL decremented, the same packets too big, the others in order."""
    due = to_gb(name)
    refused = []
    for packet in from_host(name):
        wire = due[0].wire
        params = replace(chosen_by_linux(sas(name)[1][due[0].spi], wire), dec_ttl=True)
        sa = OutboundSa(params, next_id=lambda wire=wire: identification(wire), mtu=LINK_MTU)
        try:
            protected = sa.protect(packet)
        except Refused as why:
            refused.append((why.reason, len(packet)))
        else:
            assert as_linux_would(protected, packet, wire, params).hex() == wire.hex()
            due = due[1:] or due
    assert refused == [(Reason.TOO_BIG, LINK_MTU)] * 10
    assert len(due) == 1 and locate(due[0].wire)[6] == len(from_host(name)) - 10


@pytest.mark.parametrize("name", TUNNELS)
def test_the_engine_finds_the_mtu_that_ga_told_the_host(name: str) -> None:
    """The largest packet that fits, as the kernel computed it from block size, padding and headers."""
    told = {quoted(packet)[0] for packet in plain_packets(name) if addresses(packet)[0] in GA}
    assert len(told) == 1
    (mtu,) = told
    example = from_host(name)[0]
    params = sas(name)[1][to_gb(name)[0].spi]
    assert len(OutboundSa(params, mtu=LINK_MTU).protect(of_length(example, mtu))) <= LINK_MTU
    with pytest.raises(Refused, match="too_big"):
        OutboundSa(params, mtu=LINK_MTU).protect(of_length(example, mtu + 1))


def of_length(packet: bytes, length: int) -> bytes:
    """A packet of ``length`` octets with the header of ``packet``."""
    if packet[0] >> 4 == 4:
        return with_header_checksum(packet[:2] + length.to_bytes(2, "big") + packet[4:20]) + bytes(length - 20)
    return packet[:4] + (length - 40).to_bytes(2, "big") + packet[6:40] + bytes(length - 40)
