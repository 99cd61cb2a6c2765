"""Packets that cannot be segmented as they ask: each is dropped whole, and its reason counted (D130 to D132)."""

from __future__ import annotations

import random

import pytest
from scapy.layers.inet import IPOption_LSRR, IPOption_RR, IPOption_SSRR
from scapy.layers.inet6 import IPv6ExtHdrFragment, IPv6ExtHdrRouting

from virtionet_ipsec.ipsec import Reason
from virtionet_ipsec.wire import Feature, GsoType, HdrFlag

from .large import KIND_IDS, KINDS, SEGMENTATION, Large, large, segmenting
from .rig import ETHERNET, mask, refused

V4_TCP, V6_TCP, V4_UDP, V6_UDP = (4, 6), (6, 6), (4, 17), (6, 17)

NEEDED = {
    GsoType.TCPV4: Feature.HOST_TSO4,
    GsoType.TCPV6: Feature.HOST_TSO6,
    GsoType.UDP_L4: Feature.HOST_USO,
}


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_a_type_is_taken_with_its_feature_alone(kind: tuple[int, int]) -> None:
    packet = large(kind, 350)
    needed = NEEDED[GsoType(packet.fields["gso_type"])]
    without_it = segmenting(without=mask(needed))
    assert refused(without_it, packet.buffer(without_it, gso_size=100)) is Reason.GSO_NOT_NEGOTIATED
    others = SEGMENTATION & ~mask(needed)
    alone = segmenting(without=others)
    assert len(alone.device.transmit(packet.buffer(alone, gso_size=100))) == 4


@pytest.mark.parametrize("kind", [V4_TCP, V6_TCP], ids=["IPv4", "IPv6"])
def test_the_ecn_bit_needs_its_feature(kind: tuple[int, int]) -> None:
    packet = large(kind, 350, flags="PAC")
    assert packet.fields["gso_type"] & 0x80
    driver = segmenting(without=mask(Feature.HOST_ECN))
    assert refused(driver, packet.buffer(driver, gso_size=100)) is Reason.GSO_NOT_NEGOTIATED
    driver = segmenting()
    assert len(driver.device.transmit(packet.buffer(driver, gso_size=100))) == 4


def test_every_other_type() -> None:
    """UFO, tunnels, ECN with anything but TCP, numbers that mean nothing."""
    driver = segmenting()
    packet = large(V4_TCP, 350)
    taken = {0, 1, 4, 5, 0x81, 0x84}
    for gso_type in sorted(set(range(256)) - taken):
        assert refused(driver, packet.buffer(driver, gso_size=100, gso_type=gso_type)) is Reason.GSO_NOT_NEGOTIATED


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_header_fields(kind: tuple[int, int]) -> None:
    driver = segmenting()
    packet = large(kind, 350)
    start, offset = packet.fields["csum_start"], packet.fields["csum_offset"]
    for reason, changes in (
        (Reason.BAD_HEADER, {"gso_size": 0}),
        (Reason.BAD_HEADER, {"flags": 0}),
        (Reason.BAD_HEADER, {"flags": HdrFlag.NEEDS_CSUM | HdrFlag.UDP_TUNNEL_CSUM}),
        (Reason.BAD_CSUM, {"csum_start": 0, "csum_offset": start + offset}),
        (Reason.BAD_CSUM, {"csum_start": start + 2, "csum_offset": offset - 2}),
        (Reason.BAD_CSUM, {"csum_start": start - 4}),
        (Reason.BAD_CSUM, {"csum_start": 0xFFFF, "csum_offset": 0xFFFF}),
        (Reason.BAD_CSUM, {"csum_offset": 22 - offset}),
        (Reason.BAD_CSUM, {"csum_offset": 0}),
    ):
        assert refused(driver, packet.buffer(driver, **{"gso_size": 100} | changes)) is reason, changes


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
@pytest.mark.parametrize("other", KINDS, ids=KIND_IDS)
def test_a_type_for_another_packet(kind: tuple[int, int], other: tuple[int, int]) -> None:
    driver = segmenting()
    packet = large(kind, 350)
    gso_type = large(other, 0).fields["gso_type"]
    buffer = packet.buffer(driver, gso_size=100, gso_type=gso_type)
    if gso_type == packet.fields["gso_type"]:
        assert len(driver.device.transmit(buffer)) == 4
    else:
        assert refused(driver, buffer) is Reason.BAD_HEADER


@pytest.mark.parametrize("ethertype", [b"\x08\x06", b"\x88\xcc", b"\x00\x2e", b"\x86\xdd"])
def test_a_frame_without_the_packet(ethertype: bytes) -> None:
    """No IP by its EtherType, or IP of the other version."""
    driver = segmenting()
    buffer = large(V4_TCP, 350).buffer(driver, gso_size=100)
    at = driver.layout.size + 12
    assert driver.device.transmit(buffer)
    assert refused(driver, buffer[:at] + ethertype + buffer[at + 2 :]) is (
        Reason.MALFORMED if ethertype == b"\x86\xdd" else Reason.NOT_IP
    )


# -- packets that contradict themselves --------------------------------------------------------------------------


def patched(packet: Large, at: int, octets: bytes, **changes: int) -> tuple[object, bytes]:
    """A driver and the packet's buffer with ``octets`` at ``at``, counted from its IP header on."""
    driver = segmenting()
    buffer = packet.buffer(driver, **{"gso_size": 100} | changes)
    at += driver.layout.size + 14
    return driver, buffer[:at] + octets + buffer[at + len(octets) :]


@pytest.mark.parametrize(
    ("kind", "at", "octets", "reason"),
    [
        (V4_TCP, 0, b"\x54", Reason.BAD_HEADER),  # version 5
        (V4_TCP, 0, b"\x44", Reason.MALFORMED),  # an IPv4 header of 16 octets
        (V4_UDP, 0, b"\x44", Reason.MALFORMED),
        (V4_TCP, 2, b"\0\0", Reason.MALFORMED),
        (V4_TCP, 2, b"\0\x13", Reason.MALFORMED),
        (V4_TCP, 2, (389).to_bytes(2, "big"), Reason.MALFORMED),  # one octet short of all
        (V4_TCP, 2, (391).to_bytes(2, "big"), Reason.TRUNCATED),
        (V4_TCP, 6, b"\x20\0", Reason.FRAGMENT),
        (V4_TCP, 6, b"\0\1", Reason.FRAGMENT),
        (V4_UDP, 6, b"\x1f\xff", Reason.FRAGMENT),
        (V4_TCP, 9, b"\x32", Reason.BAD_HEADER),  # ESP
        (V4_TCP, 9, b"\x84", Reason.BAD_HEADER),  # SCTP
        (V6_TCP, 4, (369).to_bytes(2, "big"), Reason.MALFORMED),
        (V6_TCP, 4, (371).to_bytes(2, "big"), Reason.TRUNCATED),
        (V6_TCP, 4, b"\0\0", Reason.MALFORMED),
        (V6_TCP, 6, b"\0", Reason.MALFORMED),  # hop-by-hop options that run past the packet
        (V6_TCP, 6, b"\x3b", Reason.BAD_HEADER),
        (V4_TCP, 32, b"\x40", Reason.MALFORMED),  # a TCP header of 16 octets
        (V6_TCP, 52, b"\x00", Reason.MALFORMED),
    ],
)
def test_headers_that_lie(kind: tuple[int, int], at: int, octets: bytes, reason: Reason) -> None:
    packet = large(kind, 350)
    if reason is Reason.MALFORMED and octets == b"\0":
        packet = large(kind, 350, sport=0x06FF)  # what reads as a next header, and a length of 2048 octets
    driver, buffer = patched(packet, at, octets)
    assert refused(driver, buffer) is reason


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_frames_that_end_early(kind: tuple[int, int]) -> None:
    """Cut anywhere, with a length field that agrees with what is left."""
    driver = segmenting()
    packet = large(kind, 1)
    whole, size = packet.buffer(driver, gso_size=100), driver.layout.size
    at, taken_off = (16, 0) if kind[0] == 4 else (18, 40)
    for end in range(size + 14 + (20 if kind[0] == 4 else 40), len(whole) - 1):
        left = bytearray(whole[:end])
        left[size + at : size + at + 2] = (end - size - 14 - taken_off).to_bytes(2, "big")
        assert refused(driver, bytes(left)) is Reason.TRUNCATED
    for end in range(size + 14, len(whole)):
        assert refused(driver, whole[:end]) in (Reason.TRUNCATED, Reason.BAD_HEADER)
    assert driver.device.transmit(whole)


def test_a_tcp_header_longer_than_the_packet() -> None:
    driver, buffer = patched(large(V4_TCP, 39), 32, b"\xf0")
    assert refused(driver, buffer) is Reason.MALFORMED
    driver, buffer = patched(large(V4_TCP, 40), 32, b"\xf0")
    assert len(driver.device.transmit(buffer)) == 1


def test_octets_behind_the_packet() -> None:
    """Ethernet padding is for frames that have nothing to segment."""
    driver = segmenting()
    assert refused(driver, large(V4_TCP, 350).buffer(driver, gso_size=100) + b"\0") is Reason.MALFORMED


@pytest.mark.parametrize("fragment", [{"m": 1}, {"offset": 1}])
def test_ipv6_fragments(fragment: dict[str, int]) -> None:
    driver = segmenting()
    packet = large(V6_TCP, 350, between=IPv6ExtHdrFragment(**fragment))
    assert refused(driver, packet.buffer(driver, gso_size=100)) is Reason.FRAGMENT


@pytest.mark.parametrize("kind", [V6_TCP, V6_UDP], ids=["TCP", "UDP"])
def test_a_routing_header_with_segments_left(kind: tuple[int, int]) -> None:
    """The checksum is over the last destination (RFC 8200 8.1), which the IP header does not name yet."""
    driver = segmenting()
    routing = IPv6ExtHdrRouting(addresses=["2001:db8:9::9"], segleft=1)
    assert refused(driver, large(kind, 350, between=routing).buffer(driver, gso_size=100)) is Reason.BAD_HEADER


@pytest.mark.parametrize(
    ("option", "refused_for"),
    [
        (IPOption_LSRR(routers=["192.0.2.9"]), Reason.BAD_HEADER),
        (IPOption_SSRR(routers=["192.0.2.9", "192.0.2.8"]), Reason.BAD_HEADER),
        (IPOption_LSRR(routers=["192.0.2.9"], pointer=8), None),  # at its end
        (IPOption_RR(routers=["192.0.2.9"]), None),
        (b"\x01\x01\x83", None),  # the type alone: no route
        (b"\x94\x04\x83\x04", None),  # 131 inside another option
        (b"\x07\x00\x83\x07\x04", Reason.BAD_HEADER),  # behind an option that says that it has no octets
        (b"\x01\x83\x07\x04\xc0\0\2\x09", Reason.BAD_HEADER),  # behind one octet of padding
        (b"\x01\x83\x03\x03", Reason.BAD_HEADER),  # as short as can be, at the end
    ],
    ids=["loose", "strict", "ended", "record", "type alone", "in another", "behind none", "behind padding", "short"],
)
def test_source_routes(option: object, refused_for: Reason | None) -> None:
    """As in a routing header: RFC 791 3.1."""
    driver = segmenting()
    options = option if isinstance(option, bytes) else bytes(option)  # type: ignore[call-overload]
    options += bytes(-len(options) % 4)
    packet = bytes(large(V4_TCP, 350).packet)
    words = 5 + len(options) // 4
    packet = bytes((0x40 | words,)) + packet[1:2] + (len(packet) + len(options)).to_bytes(2, "big") + packet[4:]
    frame = ETHERNET + b"\x08\x00" + packet[:20] + options + packet[20:]
    head = large(V4_TCP, 350).buffer(driver, gso_size=100, csum_start=34 + len(options))[: driver.layout.size]
    if refused_for is None:
        frames = driver.device.transmit(head + frame)
        assert [each[34 : 34 + len(options)] for each in frames] == [options] * 4
    else:
        assert refused(driver, head + frame) is refused_for


def test_random_octets_change_no_other_packet() -> None:
    """Whatever a packet's octets are, it is segmented or dropped with a reason, and the next one is as ever."""
    driver, chance = segmenting(), random.Random(0)
    packets = [large(kind, 300) for kind in KINDS]
    for number in range(2000):
        packet = packets[number % len(packets)]
        buffer = bytearray(packet.buffer(driver, gso_size=chance.choice((0, 1, 99, 100, 1448))))
        for _ in range(chance.randrange(1, 4)):
            buffer[chance.randrange(len(buffer) - 280)] = chance.randrange(256)
        frames = driver.device.transmit(bytes(buffer[: chance.choice((len(buffer), chance.randrange(len(buffer))))]))
        assert frames or driver.device.transmit_refused is not None
    for packet in packets:
        assert list(driver.device.transmit(packet.buffer(driver, gso_size=100))) == packet.segments(100)
