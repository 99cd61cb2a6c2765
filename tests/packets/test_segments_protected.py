"""Segments with SECURITY: each is a packet of its own, with its own sequence number and IV (virtio 1.4, 5.1.9.7).

scapy's SecurityAssociation decrypts them, and refuses them when their ICV is wrong.
"""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH, ESP, SecurityAssociation

from virtionet_ipsec.device.packet_events import SaSelected, Segmented, Sent
from virtionet_ipsec.driver.in_process import InProcess
from virtionet_ipsec.ipsec import Direction, Lifetime, Mode, Protocol, Reason, UdpEncap
from virtionet_ipsec.ipsec.events import Protected, SoftLifetimeReached
from virtionet_ipsec.wire import Feature, HdrFlag

from .large import KIND_IDS, KINDS, Large, large, segmenting
from .rig import KEY, PROFILES, SALT, TAGS, TUNNELS, mask, outbound, params, refused

V4_TCP = (4, 6)
AUTH_KEY = bytes(range(32))
CBC: dict[str, Any] = {"cipher": "aes-cbc", "cipher_key": KEY, "auth": "hmac-sha256", "auth_key": AUTH_KEY}
HMAC: dict[str, Any] = {"auth": "hmac-sha256", "auth_key": AUTH_KEY, "protocol": Protocol.AH}

# SA parameters, scapy's, and the octets of IV behind the ESP header.
ALGORITHMS: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "gcm": ({}, {"crypt_algo": "AES-GCM", "crypt_key": KEY + SALT}, 8),
    "cbc": (CBC, {"crypt_algo": "AES-CBC", "crypt_key": KEY, "auth_algo": "SHA2-256-128", "auth_key": AUTH_KEY}, 16),
    "ah": (HMAC, {"auth_algo": "SHA2-256-128", "auth_key": AUTH_KEY}, 0),
}


def parsed(packet: bytes) -> Any:
    return (IP if packet[0] >> 4 == 4 else IPv6)(packet)


def undone(name: str, packet: bytes, mode: Mode, udp: UdpEncap | None = None) -> bytes:
    """The IP packet inside; scapy raises when the integrity check fails."""
    theirs = dict(ALGORITHMS[name][1])
    if mode is Mode.TUNNEL:
        theirs["tunnel_header"] = IP() if packet[0] >> 4 == 4 else IPv6()
    if udp is not None:
        theirs["nat_t_header"] = UDP(sport=udp.sport, dport=udp.dport)
    make: Any = SecurityAssociation
    return bytes(make(AH if name == "ah" else ESP, spi=0x1000, **theirs).decrypt(parsed(packet)))


def ipsec_header(packet: bytes) -> Any:
    found = parsed(packet)
    return found.getlayer(AH) or found.getlayer(ESP)


def send(driver: InProcess, packet: Large, sa: int, size: int) -> list[bytes]:
    """The IP packets that leave; the Ethernet header is still the frame's, its EtherType that of the packet in it."""
    start = 14 + 4 * packet.tags
    frames = driver.device.transmit(packet.buffer(driver, sa, gso_size=size))
    for frame in frames:
        assert frame[: start - 2] == packet.frame[: start - 2]
        assert frame[start - 2 : start] == {4: b"\x08\x00", 6: b"\x86\xdd"}[frame[start] >> 4]
    return [frame[start:] for frame in frames]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
@pytest.mark.parametrize("outer", [4, 6, None], ids=["IPv4 tunnel", "IPv6 tunnel", "transport"])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_each_segment_is_a_packet_of_its_own(name: str, outer: int | None, kind: Any, tags: int, profile: Any) -> None:
    driver = segmenting(profile)
    mode = Mode.TRANSPORT if outer is None else Mode.TUNNEL
    sa = outbound(driver, mode=mode, tunnel=TUNNELS.get(outer or 0), **ALGORITHMS[name][0])
    packet = large(kind, 350, tags=tags)
    sent = send(driver, packet, sa, 100) + send(driver, packet, sa, 350)
    start = 14 + 4 * tags
    expected = [frame[start:] for frame in packet.segments(100) + packet.segments(350)]
    assert [undone(name, each, mode) for each in sent] == expected
    assert [ipsec_header(each).seq for each in sent] == [1, 2, 3, 4, 5]
    state = driver.device.outbound[sa].state
    assert (state.seq, state.packets, state.bytes) == (5, 5, sum(map(len, expected)))
    if ALGORITHMS[name][2]:
        ivs = {ipsec_header(each).data[: ALGORITHMS[name][2]] for each in sent}
        assert len(ivs) == 5
    if outer == 4:
        assert len({parsed(each).id for each in sent}) == 5
    assert driver.device.counters.tx_sent == 5


def test_gcm_ivs_count_up() -> None:
    """D10: one after the other, over the segments of one packet and the next."""
    driver = segmenting()
    sa = outbound(driver, iv=bytes(7) + b"\xfe")
    sent = send(driver, large(V4_TCP, 350), sa, 100) + send(driver, large(V4_TCP, 350), sa, 200)
    assert [int.from_bytes(ipsec_header(each).data[:8], "big") for each in sent] == list(range(0xFE, 0x104))


def test_udp_encapsulation() -> None:
    driver = segmenting()
    sa = outbound(driver, udp=UdpEncap(4500, 4500))
    packet = large(V4_TCP, 350)
    sent = send(driver, packet, sa, 100)
    assert [undone("gcm", each, Mode.TUNNEL, UdpEncap(4500, 4500)) for each in sent] == [
        frame[14:] for frame in packet.segments(100)
    ]


def test_extended_sequence_numbers_carry_between_two_segments() -> None:
    driver = segmenting()
    sa = outbound(driver, esn=True, first_seq=0xFFFFFFFE)
    sent = send(driver, large(V4_TCP, 350), sa, 100)
    assert [ipsec_header(each).seq for each in sent] == [0xFFFFFFFE, 0xFFFFFFFF, 0, 1]
    assert driver.device.outbound[sa].state.seq == 0x100000001


def test_what_a_receiver_gets() -> None:
    """Through the model's own receive path, into the driver's buffers."""
    driver = segmenting()
    driver.steer_ipsec()
    sa = outbound(driver)
    driver.create_sa(params(Direction.INBOUND))
    packet = large(V4_TCP, 350)
    wires = driver.device.transmit(packet.buffer(driver, sa, gso_size=100))
    got = [driver.receive(wire) for wire in wires]
    assert [each.frame for each in got if each is not None] == packet.segments(100)


# -- all or nothing (D134) ---------------------------------------------------------------------------------------


def nothing_left(driver: InProcess, sa: int, packet: Large, size: int, reason: Reason) -> None:
    """The packet is dropped for ``reason``, and the SA is as before but for its count of failures."""
    state = driver.device.outbound[sa].state
    before, failures = (state.seq, state.packets, state.bytes, state.soft_expired), state.failures[reason]
    assert refused(driver, packet.buffer(driver, sa, gso_size=size)) is reason
    assert (state.seq, state.packets, state.bytes, state.soft_expired) == before
    assert state.failures[reason] == failures + 1


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
@pytest.mark.parametrize("outer", [4, 6])
def test_each_protected_segment_fits_the_mtu(kind: tuple[int, int], outer: int) -> None:
    """The first segment is the largest, so that the last ones do not leave without it."""
    driver = segmenting(mtu=1400)
    sa = outbound(driver, tunnel=TUNNELS[outer])
    packet = large(kind, 3000)
    room = (1400 - {4: 20, 6: 40}[outer] - 8 - 8 - 16) // 4 * 4 - 2
    headers = {4: 20, 6: 40}[kind[0]] + {6: 20, 17: 8}[kind[1]]
    sent = send(driver, packet, sa, room - headers)
    assert len(sent) == 3 and 1397 <= len(sent[0]) <= 1400
    nothing_left(driver, sa, packet, room - headers + 1, Reason.TOO_BIG)
    assert len(send(driver, packet, sa, room - headers)) == 3
    assert driver.device.outbound[sa].state.seq == 6


@pytest.mark.parametrize(
    "limits",
    [{"packets_hard": 4}, {"bytes_hard": 4 * 40 + 350}, {"packets_hard": 4, "bytes_hard": 4 * 40 + 350}],
    ids=["packets", "bytes", "both"],
)
def test_a_hard_lifetime_that_ends_between_two_segments(limits: dict[str, int]) -> None:
    """Exactly enough is enough; of a packet that needs more no segment leaves, and a smaller one still may."""
    driver = segmenting()
    packet, small = large(V4_TCP, 350), large(V4_TCP, 50)
    sa = outbound(driver, lifetime=Lifetime(**limits))
    assert len(send(driver, packet, sa, 100)) == 4
    nothing_left(driver, sa, small, 100, Reason.HARD_LIFETIME)

    less = {name: value - 1 for name, value in limits.items()}
    sa = outbound(driver, lifetime=Lifetime(**less))
    nothing_left(driver, sa, packet, 100, Reason.HARD_LIFETIME)
    assert len(send(driver, small, sa, 100)) == 1


@pytest.mark.parametrize("esn", [False, True])
def test_sequence_numbers_that_end_between_two_segments(esn: bool) -> None:
    driver = segmenting()
    packet, small = large(V4_TCP, 350), large(V4_TCP, 50)
    last = (1 << (64 if esn else 32)) - 1
    sa = outbound(driver, esn=esn, first_seq=last - 3)
    sent = send(driver, packet, sa, 100)
    assert [ipsec_header(each).seq for each in sent] == [(last - back) & 0xFFFFFFFF for back in (3, 2, 1, 0)]
    nothing_left(driver, sa, small, 100, Reason.SEQUENCE_EXHAUSTED)

    sa = outbound(driver, esn=esn, first_seq=last - 2)
    nothing_left(driver, sa, packet, 100, Reason.SEQUENCE_EXHAUSTED)
    assert [ipsec_header(each).seq for each in send(driver, small, sa, 100)] == [(last - 2) & 0xFFFFFFFF]


def test_a_soft_lifetime_that_is_reached_between_two_segments() -> None:
    driver = segmenting()
    sa = outbound(driver, lifetime=Lifetime(packets_soft=3))
    told: list[object] = []
    driver.device.observer = told.append
    send(driver, large(V4_TCP, 350), sa, 100)
    assert [event.packets for event in told if isinstance(event, SoftLifetimeReached)] == [3, 4]
    assert driver.device.outbound[sa].state.soft_expired


def test_a_ttl_that_cannot_be_decremented() -> None:
    driver = segmenting()
    sa = outbound(driver, dec_ttl=True)
    packet = large(V4_TCP, 350)
    packet.packet.ttl = 1
    nothing_left(driver, sa, packet, 100, Reason.TTL_EXPIRED)


@pytest.mark.parametrize("resource_id", [2, 0, 0xFFFFFFFF])
def test_an_unknown_sa(resource_id: int) -> None:
    driver = segmenting()
    outbound(driver)
    assert refused(driver, large(V4_TCP, 350).buffer(driver, resource_id, gso_size=100)) is Reason.UNKNOWN_SA


def test_a_packet_that_cannot_be_segmented_takes_no_sequence_number() -> None:
    driver = segmenting()
    sa = outbound(driver)
    buffer = large(V4_TCP, 350).buffer(driver, sa, gso_size=100, flags=driver.layout.security)
    assert refused(driver, buffer) is Reason.BAD_HEADER
    state = driver.device.outbound[sa].state
    assert (state.seq, state.packets) == (0, 0) and not state.failures


def test_security_without_ipsec_negotiated() -> None:
    """D64: a flag that the device does not recognise; the segments leave in the clear."""
    driver = segmenting(without=mask(Feature.IPSEC))
    packet = large(V4_TCP, 350)
    buffer = packet.buffer(driver, gso_size=100, flags=HdrFlag.NEEDS_CSUM | HdrFlag.SECURITY)
    assert list(driver.device.transmit(buffer)) == packet.segments(100)


def test_the_events() -> None:
    driver = segmenting()
    sa = outbound(driver)
    told: list[object] = []
    driver.device.observer = told.append
    send(driver, large(V4_TCP, 150), sa, 100)
    assert [type(event) for event in told[1:]] == [Segmented] + [SaSelected, Protected] * 2 + [Sent] * 2
    assert told[1] == Segmented(2, 100)
    assert [event.seq for event in told if isinstance(event, Protected)] == [1, 2]
    assert all(event.protected for event in told if isinstance(event, Sent))
