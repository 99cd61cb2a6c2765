"""Damaged packets: cut at every octet, every bit inverted, lengths that lie, octets at random.

Only ``Refused`` leaves the engine.  What is refused before its ICV is
known to be good changes nothing but a failure count.
"""

from __future__ import annotations

import functools
import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtionet_ipsec.ipsec import InboundSa, Mode, OutboundSa, Reason, locate

from .builders import (
    ALL,
    ESP,
    NATT,
    SPI,
    examples,
    header_length,
    inbound,
    ip,
    ipv4,
    ipv6,
    octets,
    outbound,
    outcome,
    receive,
    snapshot,
    udp,
    with_fixed_checksum,
    with_octet,
)

Kind = tuple[str, Mode, int, bool]  # algorithms, mode, outer family, UDP encapsulation

KINDS: list[Kind] = [(name, mode, family, False) for name in ALL for mode in Mode for family in (4, 6)]
KINDS += [(name, mode, family, True) for name in ("gcm128", "cbc128-sha1") for mode in Mode for family in (4, 6)]
IDS = ["-".join((name, mode.value, str(family), *(("udp",) if encap else ()))) for name, mode, family, encap in KINDS]


def options(encap: bool) -> dict[str, Any]:
    return {"udp": NATT} if encap else {}


@functools.cache
def plain_packet(family: int) -> bytes:
    return ip(family, udp(b"some data"))


@functools.cache
def protected(kind: Kind) -> bytes:
    name, mode, family, encap = kind
    return outbound(name, mode, family, **options(encap)).protect(plain_packet(family))


def receiver_for(kind: Kind) -> InboundSa:
    name, mode, _, encap = kind
    return inbound(name, mode, **options(encap))


# Reasons that come up before the ICV has been found good.
BEFORE_THE_ICV = frozenset(
    {
        Reason.MALFORMED,
        Reason.TRUNCATED,
        Reason.NOT_IP,
        Reason.NOT_IPSEC,
        Reason.FRAGMENT,
        Reason.PROTOCOL_MISMATCH,
        Reason.ENCAP_MISMATCH,
        Reason.REPLAYED,
        Reason.TOO_OLD,
        Reason.BAD_ICV,
    }
)


def attempt(receiver: InboundSa, packet: bytes) -> bytes | Reason:
    """What comes out, or why not; in the latter case the state has to be as it was."""
    before, failures = snapshot(receiver), Counter(receiver.state.failures)
    where = outcome(locate, packet)
    if isinstance(where, Reason):
        assert receiver.state.failures == failures
        return where
    got = outcome(receiver.unprotect, packet, where)
    if isinstance(got, Reason):
        assert got in BEFORE_THE_ICV
        assert snapshot(receiver) == before
        failures[got] += 1
        assert receiver.state.failures == failures
    return got


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_cut_at_every_octet(kind: Kind) -> None:
    """With the length that the header says, and with a header made to agree."""
    packet, receiver = protected(kind), receiver_for(kind)
    start = header_length(packet)
    for length in range(len(packet)):
        cut = packet[:length]
        assert isinstance(attempt(receiver, cut), Reason), length
        if length >= start:
            at = 2 if packet[0] >> 4 == 4 else 4
            said = length if packet[0] >> 4 == 4 else length - 40
            agreeing = cut[:at] + said.to_bytes(2, "big") + cut[at + 2 :]
            if kind[3] and length >= start + 8:
                agreeing = agreeing[: start + 4] + (length - start).to_bytes(2, "big") + agreeing[start + 6 :]
            if agreeing[0] >> 4 == 4:
                agreeing = with_fixed_checksum(agreeing)
            assert isinstance(attempt(receiver, agreeing), Reason), length
    assert receiver.window.top == 0 and attempt(receiver, packet) == plain_packet(kind[2])


def uncovered(kind: Kind) -> set[tuple[int, int]]:
    """(octet, bit) of all that may change without anybody noticing: no ICV covers it, and it leads nowhere else.

    IPv4, ESP: DSCP and ECN, identification, the reserved bit and DF, TTL,
    checksum, addresses.  AH covers identification and addresses.
    IPv6, ESP: traffic class, flow label, hop limit, addresses.  AH covers the
    addresses.
    UDP: ports and checksum.
    """
    name, _, family, encap = kind
    if family == 4:
        spans: Iterable[int] = (1, 8, 10, 11) if name not in ESP else (1, 4, 5, 8, 10, 11, *range(12, 20))
        bits = {(6, 6), (6, 7)}
    else:
        spans = (1, 2, 3, 7) if name not in ESP else (1, 2, 3, 7, *range(8, 40))
        bits = {(0, bit) for bit in range(4)}
    bits |= {(octet, bit) for octet in spans for bit in range(8)}
    if encap:
        start = 20 if family == 4 else 40
        bits |= {(start + octet, bit) for octet in (0, 1, 2, 3, 6, 7) for bit in range(8)}
    return bits


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_every_bit_inverted(kind: Kind) -> None:
    """Refused, or among those that no ICV covers: exactly those."""
    packet = protected(kind)
    passed = set()
    receiver = receiver_for(kind)
    for octet in range(len(packet)):
        for bit in range(8):
            got = attempt(receiver, with_octet(packet, octet, packet[octet] ^ 1 << bit))
            if not isinstance(got, Reason):
                passed.add((octet, bit))
                receiver = receiver_for(kind)  # it has now seen number 1
                if kind[1] is Mode.TUNNEL:
                    assert got == plain_packet(kind[2])
                else:
                    start = header_length(got)
                    assert got[start:] == plain_packet(kind[2])[start:]
    assert passed == uncovered(kind)


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_lying_lengths(kind: Kind) -> None:
    """Every value of the octets that say how long something is, with and without octets behind the packet.

    One lie is none: an IP packet may be longer than the UDP datagram in it.
    """
    packet, receiver = protected(kind), receiver_for(kind)
    start = header_length(packet)
    places = [0, 2, 3] if packet[0] >> 4 == 4 else [4, 5]
    if kind[3]:
        places += [start + 4, start + 5]
    if kind[0] not in ESP:
        places.append(start + 1)
    for place in places:
        for value in range(256):
            if value == packet[place] or (place == 0 and value >> 4 != 4):
                continue
            lie = with_octet(packet, place, value)
            assert isinstance(attempt(receiver, lie), Reason), (place, value)
            longer = 0 < place < start and value > packet[place]
            if kind[3] and longer and len(packet) + 300 >= int.from_bytes(lie[2:4] if start == 20 else lie[4:6], "big"):
                continue
            assert isinstance(attempt(receiver, lie + octets(300)), Reason), (place, value)


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_octets_swapped_in_from_elsewhere(kind: Kind) -> None:
    """A body under another packet's number, and parts of two packets joined."""
    name, mode, family, encap = kind
    sender = outbound(name, mode, family, **options(encap))
    one, two = sender.protect(plain_packet(family)), sender.protect(plain_packet(family))
    assert len(one) == len(two)
    start = locate(one)[1] + (8 if name in ESP else 12)
    for cut in range(start, len(one), 3):
        joined = one[:cut] + two[cut:]
        if joined not in (one, two):
            assert isinstance(attempt(receiver_for(kind), joined), Reason)


# --- Octets at random -------------------------------------------------------------------------------------------------

FUZZED = ["gcm128", "ccm192-icv12", "cbc128-sha1", "3des-sha1", "null-sha256", "ctr128-sha256", "gmac128", "ah-sha256"]
_RECEIVERS = [inbound(name, mode, ecn=True, dec_ttl=True) for name in [*FUZZED, "ah-gmac128"] for mode in Mode]
_RECEIVERS += [inbound("gcm128", mode, udp=NATT, esn=True) for mode in Mode]


def throw_at_receivers(packet: bytes) -> None:
    where = outcome(locate, packet)
    if isinstance(where, Reason):
        return
    assert 20 <= where[1] <= where[2] <= len(packet) and 0 <= where[3] < where[1]
    for receiver in _RECEIVERS:
        before = snapshot(receiver)
        assert outcome(receiver.unprotect, packet, where) in BEFORE_THE_ICV
        assert snapshot(receiver) == before


@given(st.binary(max_size=200))
@examples(300)
def test_random_octets_received(packet: bytes) -> None:
    throw_at_receivers(packet)


@given(
    st.sampled_from([0, 6, 17, 41, 43, 44, 50, 51, 59, 60]),
    st.binary(max_size=40).map(lambda data: data[: len(data) // 4 * 4]),
    st.binary(max_size=120),
)
@examples(400)
def test_random_octets_behind_good_headers(protocol: int, options: bytes, payload: bytes) -> None:
    throw_at_receivers(ipv4(payload, proto=protocol, options=options))
    throw_at_receivers(ipv6(options + payload, nh=protocol))
    throw_at_receivers(ipv4(udp(payload), options=options))


@given(st.sampled_from(KINDS), st.data())
@examples(400)
def test_real_packets_mangled(kind: Kind, data: st.DataObject) -> None:
    """Several octets overwritten, some inserted, some cut out: nothing but a refusal or the packet itself."""
    packet = bytearray(protected(kind))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(packet)))
        patch = data.draw(st.binary(max_size=4))
        packet[at : at + data.draw(st.integers(0, 4))] = patch
    got = attempt(receiver_for(kind), bytes(packet))
    if not isinstance(got, Reason) and kind[1] is Mode.TUNNEL:
        assert got == plain_packet(kind[2])


SENDERS = [
    outbound(name, mode, family, dec_ttl=True, ecn=True, copy_df=True, copy_dscp=True)
    for name in FUZZED
    for mode in Mode
    for family in (4, 6)
]


def throw_at_senders(packet: bytes) -> None:
    for sender in SENDERS:
        before, failures = snapshot(sender), sum(sender.state.failures.values())
        sent = outcome(sender.protect, packet)
        if isinstance(sent, Reason):
            assert snapshot(sender) == before and sum(sender.state.failures.values()) == failures + 1
        else:
            assert locate(sent)[5] == SPI and sender.state.packets == before[0] + 1


@given(st.binary(max_size=120))
@examples(150)
def test_random_octets_sent(packet: bytes) -> None:
    throw_at_senders(packet)


@given(st.sampled_from([0, 17, 43, 44, 50, 51, 59, 60]), st.binary(max_size=40), st.binary(max_size=60))
@examples(150)
def test_random_octets_behind_good_headers_sent(protocol: int, options: bytes, payload: bytes) -> None:
    throw_at_senders(ipv4(payload, proto=protocol, options=options[: len(options) // 4 * 4]))
    throw_at_senders(ipv6(options + payload, nh=protocol))


def test_random_headers_of_both_versions() -> None:
    """Hypothesis likes zeros; this does not."""
    rng = random.Random(20)
    for number in range(2000):
        packet = bytearray(rng.randbytes(rng.randrange(12, 120)))
        protocol = rng.choice((0, 17, 43, 44, 50, 51, 59, 60))
        if number % 2:
            packet[0], packet[9] = rng.choice((0x45, 0x45, 0x46, 0x4F, 0x40)), protocol
            packet[2:4] = len(packet).to_bytes(2, "big")
            if rng.random() < 0.8:  # no fragment
                packet[6:8] = b"\x40\0"
        else:
            packet[0], packet[6] = 0x60, protocol
            packet[4:6] = max(0, len(packet) - 40).to_bytes(2, "big")
        throw_at_receivers(bytes(packet))
        if number % 5 == 0:
            throw_at_senders(bytes(packet))


def test_a_failure_is_counted_under_its_reason() -> None:
    receiver, sender = inbound("gcm128"), outbound("gcm128")
    packets = [sender.protect(plain_packet(4)) for _ in range(80)]
    receive(receiver, packets[79])
    for packet in (packets[79], packets[0], with_octet(packets[70], 60, packets[70][60] ^ 1), packets[0]):
        attempt(receiver, packet)
    assert receiver.state.failures == {Reason.REPLAYED: 1, Reason.TOO_OLD: 2, Reason.BAD_ICV: 1}
    assert isinstance(sender, OutboundSa) and not sender.state.failures
