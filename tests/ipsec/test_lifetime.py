"""Lifetimes (decision D15), sequence numbers that must not cycle, IVs (decision D10), and SAs modified in place."""

from __future__ import annotations

import random
from typing import Any

import pytest

from virtionet_ipsec.ipsec import (
    InboundSa,
    Lifetime,
    Mode,
    OutboundSa,
    Reason,
    Tunnel,
    locate,
    rekeyed_field,
)
from virtionet_ipsec.ipsec.events import Event, Protected, SoftLifetimeReached, Verified

from .builders import (
    ALL,
    ESP,
    GATE_A,
    GATE_B,
    NATT,
    SIZES,
    T6,
    inbound,
    ip,
    ipv4,
    octets,
    outbound,
    outcome,
    pair,
    receive,
    refused,
    snapshot,
    udp,
    with_octet,
)

NAMES = ["gcm128", "cbc128-sha1", "ah-sha256"]
PLAIN = ipv4(udp(b"x" * 72))
assert len(PLAIN) == 100


def through(sa: OutboundSa | InboundSa, plain: bytes, source: OutboundSa) -> bytes | Reason:
    """One packet through either kind of SA; ``source`` protects what an inbound one takes."""
    sent = source.protect(plain)
    return outcome(sa.protect, plain) if isinstance(sa, OutboundSa) else outcome(receive, sa, sent)


def feed(sa: OutboundSa | InboundSa, name: str, count: int, mode: Mode = Mode.TUNNEL) -> list[Any]:
    """Put ``count`` packets of 100 octets through; for each the reason it was refused, else whether soft is expired."""
    out: list[Any] = []
    source = outbound(name, mode)
    for _ in range(count):
        got = through(sa, PLAIN, source)
        out.append(got if isinstance(got, Reason) else sa.state.soft_expired)
    return out


HARD = Reason.HARD_LIFETIME
LIMITS = [
    (Lifetime(), [False] * 6),
    (Lifetime(packets_soft=3), [False, False, True, True, True, True]),
    (Lifetime(packets_hard=3), [False, False, False, HARD, HARD, HARD]),
    (Lifetime(packets_soft=1, packets_hard=1), [True, HARD, HARD, HARD, HARD, HARD]),
    (Lifetime(packets_soft=2, packets_hard=4), [False, True, True, True, HARD, HARD]),
    (Lifetime(bytes_soft=300), [False, False, True, True, True, True]),
    (Lifetime(bytes_soft=301), [False, False, False, True, True, True]),
    (Lifetime(bytes_hard=300), [False, False, False, HARD, HARD, HARD]),
    (Lifetime(bytes_hard=299), [False, False, HARD, HARD, HARD, HARD]),
    (Lifetime(bytes_hard=99), [HARD] * 6),
    (Lifetime(bytes_soft=100, bytes_hard=400, packets_soft=9, packets_hard=9), [True, True, True, True, HARD, HARD]),
    (Lifetime(packets_hard=(1 << 64) - 1, bytes_hard=(1 << 64) - 1), [False] * 6),
]


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("lifetime", "expected"), LIMITS)
def test_limits(lifetime: Lifetime, expected: list[Any], name: str, mode: Mode) -> None:
    """The same both ways: bytes are those of plain IP packets, and the count includes the packet itself."""
    for sa in (outbound(name, mode, lifetime=lifetime), inbound(name, mode, lifetime=lifetime)):
        assert feed(sa, name, 6, mode) == expected
        passed = sum(1 for row in expected if row is not HARD)
        assert (sa.state.packets, sa.state.bytes) == (passed, 100 * passed)
        assert sa.state.failures == ({HARD: 6 - passed} if passed < 6 else {})


@pytest.mark.parametrize(("lifetime", "expected"), LIMITS)
def test_room_for_several(lifetime: Lifetime, expected: list[Any]) -> None:
    """What check_room says of so many packets is what comes of them; it changes nothing but the count of failures."""
    for count in range(1, 7):
        sa = outbound("gcm128", lifetime=lifetime)
        before = snapshot(sa)
        passes = outcome(sa.check_room, count, 100 * count) is None
        assert passes is (HARD not in expected[:count])
        assert snapshot(sa) == before and sa.state.failures == ({} if passes else {HARD: 1})


@pytest.mark.parametrize(("esn", "last"), [(False, (1 << 32) - 1), (True, (1 << 64) - 1)])
def test_room_for_several_below_the_last_number(esn: bool, last: int) -> None:
    sa = outbound("gcm128", esn=esn, first_seq=last - 2)
    assert [outcome(sa.check_room, count, 0) for count in (3, 4)] == [None, Reason.SEQUENCE_EXHAUSTED]
    for _ in range(3):
        sa.protect(PLAIN)
    assert outcome(sa.check_room, 1, 0) is outcome(sa.protect, PLAIN) is Reason.SEQUENCE_EXHAUSTED


def test_a_smaller_packet_may_still_pass() -> None:
    """The packet that would pass the limit fails; the limit itself is not yet reached."""
    small = ipv4(udp())
    sender, receiver = pair("gcm128", lifetime=Lifetime(bytes_hard=128))
    source = outbound("gcm128")
    for sa in (sender, receiver):
        for plain, good in ((PLAIN, True), (PLAIN, False), (small, True), (small, False)):
            got = through(sa, plain, source)
            assert isinstance(got, bytes) if good else got is HARD
        assert sa.state.bytes == 128


def test_a_refused_packet_ages_nothing() -> None:
    sender = outbound("gcm128", lifetime=Lifetime(packets_hard=1))
    sender.protect(PLAIN)
    before = snapshot(sender)
    with refused(HARD):
        sender.protect(PLAIN)
    assert snapshot(sender) == before

    receiver = inbound("gcm128", lifetime=Lifetime(packets_hard=1))
    source = outbound("gcm128")
    receive(receiver, source.protect(PLAIN))
    before = snapshot(receiver)
    with refused(HARD):
        receive(receiver, source.protect(PLAIN))
    assert snapshot(receiver) == before  # not even the window: the packet was not looked at


def test_what_is_counted() -> None:
    """Bytes of the plain packet as it was given and as it comes out: no padding, no headers, no trailing octets."""
    sender, receiver = pair("gcm128", dec_ttl=True)
    assert len(receive(receiver, sender.protect(PLAIN + bytes(9)) + bytes(3))) == 100
    assert sender.state.bytes == receiver.state.bytes == 100


def test_the_soft_limit_is_observable() -> None:
    sender, receiver = pair("gcm128", lifetime=Lifetime(packets_soft=2))
    for events, sa in (([], sender), ([], receiver)):
        seen: list[Event] = events
        source = outbound("gcm128")
        for _ in range(3):
            sent = source.protect(PLAIN)
            if isinstance(sa, OutboundSa):
                sa.protect(PLAIN, seen.append)
            else:
                sa.unprotect(sent, locate(sent), seen.append)
        soft = [event for event in seen if isinstance(event, SoftLifetimeReached)]
        assert soft == [SoftLifetimeReached(2, 200), SoftLifetimeReached(3, 300)]


# --- Modified in place (decision D19) ---------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [outbound, inbound])
def test_modify_keeps_the_counters(make: Any) -> None:
    sa = make("gcm128")
    feed(sa, "gcm128", 3)
    before = snapshot(sa)[:3]
    sa.modify(make("gcm128", lifetime=Lifetime(packets_soft=3, packets_hard=4)).params)
    assert snapshot(sa)[:3] == before and sa.state.soft_expired
    sa.modify(make("gcm128", lifetime=Lifetime(packets_soft=4, packets_hard=4)).params)
    assert not sa.state.soft_expired
    source = outbound("gcm128", first_seq=4)
    for reason in (None, HARD):
        got = through(sa, PLAIN, source)
        assert isinstance(got, bytes) if reason is None else got is reason
    assert sa.state.soft_expired and sa.state.packets == 4


def test_modify_changes_the_tunnel() -> None:
    sender, receiver = pair("gcm128")
    first = sender.protect(PLAIN)
    sender.modify(outbound("gcm128", outer=6, tunnel=T6, copy_dscp=True).params)
    second = sender.protect(ip(4, udp(), tos=0xB8))
    assert first[0] == 0x45 and second[:2] == b"\x6b\x80" and second[24:40] == T6.dst
    assert receive(receiver, first) == PLAIN and receive(receiver, second) == ip(4, udp(), tos=0xB8)
    assert receiver.window.top == 2


def test_what_modify_may_change() -> None:
    """Everything else is another SA."""
    old = outbound("gcm128").params
    other_tunnel = Tunnel(GATE_B, GATE_A)
    same: dict[str, Any] = {
        "lifetime": Lifetime(1, 2, 3, 4),
        "tunnel": other_tunnel,
        "copy_df": True,
        "ecn": True,
        "dec_ttl": True,
    }
    assert rekeyed_field(old, old) is None
    assert rekeyed_field(old, outbound("gcm128", **same, copy_dscp=True, replay_window=9).params) is None
    others: dict[str, Any] = {
        "spi": 5,
        "cipher_key": octets(16, "other"),
        "salt": octets(4, "other"),
        "esn": True,
        "udp": NATT,
        "icv_len": 8,
        "first_seq": 2,
        "iv": bytes(8),
    }
    for field, value in others.items():
        assert rekeyed_field(old, outbound("gcm128", **{field: value}).params) == field
    assert rekeyed_field(old, inbound("gcm128").params) == "direction"
    assert rekeyed_field(old, outbound("gcm128", Mode.TRANSPORT, tunnel=old.tunnel).params) == "mode"
    assert rekeyed_field(outbound("cbc128-sha1").params, outbound("cbc128-xcbc").params) == "auth"


# --- Sequence numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("esn", [False, True])
@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", NAMES)
def test_sequence_numbers_do_not_cycle(name: str, mode: Mode, esn: bool) -> None:
    """RFC 4303 3.3.3: 2**32 - 1, or 2**64 - 1 when extended, is the last; after it nothing is sent."""
    last = (1 << (64 if esn else 32)) - 1
    sender = outbound(name, mode, first_seq=last - 2, esn=esn)
    receiver = inbound(name, mode, first_seq=last - 5, esn=esn)
    for number in (last - 2, last - 1, last):
        sent = sender.protect(PLAIN)
        assert locate(sent)[6] == number & 0xFFFFFFFF
        assert receive(receiver, sent) == PLAIN
        assert receiver.window.top == sender.state.seq == number
    before = snapshot(sender)
    for _ in range(3):
        with refused(Reason.SEQUENCE_EXHAUSTED):
            sender.protect(PLAIN)
    assert snapshot(sender) == before and sender.state.failures == {Reason.SEQUENCE_EXHAUSTED: 3}


@pytest.mark.parametrize("name", NAMES)
def test_receiver_at_the_last_number(name: str) -> None:
    """Nothing after 2**64 - 1 can be meant by a low half from the left of the window."""
    last = (1 << 64) - 1
    receiver = inbound(name, esn=True, first_seq=last)
    receive(receiver, outbound(name, esn=True, first_seq=last).protect(PLAIN))
    with refused(Reason.SEQUENCE_EXHAUSTED):
        receive(receiver, outbound(name, esn=True, first_seq=5).protect(PLAIN))
    receiver = inbound(name, first_seq=(1 << 32) - 1)
    receive(receiver, outbound(name, first_seq=(1 << 32) - 1).protect(PLAIN))
    with refused(Reason.TOO_OLD):
        receive(receiver, outbound(name, first_seq=5).protect(PLAIN))


@pytest.mark.parametrize("name", ALL)
def test_numbers_count_up_from_first_seq(name: str) -> None:
    for first in (1, 2, 77777):
        sender = outbound(name, first_seq=first)
        assert [locate(sender.protect(PLAIN))[6] for _ in range(5)] == list(range(first, first + 5))


def test_a_refused_packet_takes_no_number() -> None:
    sender = outbound("gcm128", mtu=150)
    sent = [outcome(sender.protect, ipv4(udp(bytes(size)))) for size in (0, 1400, 1, 1400, 1400, 2)]
    assert [locate(packet)[6] for packet in sent if isinstance(packet, bytes)] == [1, 2, 3]


# --- IVs --------------------------------------------------------------------------------------------------------------


def ivs(sender: OutboundSa, name: str, count: int) -> list[bytes]:
    start = 28 if name in ESP else 32
    length = sender.params.iv_length
    return [sender.protect(PLAIN)[start : start + length] for _ in range(count)]


COUNTERS = [name for name in ALL if name.startswith(("gcm", "ccm", "chacha", "ctr", "gmac", "ah-gmac"))]
RANDOM = [name for name in ESP if "des" in name or name.startswith("cbc")]


@pytest.mark.parametrize("name", COUNTERS)
def test_counter_ivs(name: str) -> None:
    """Unique under the key (RFC 4106 3.1 and its kin): one more each time, from the given start or a random one."""
    given = ivs(outbound(name, iv=b"\0\0\0\0\0\0\0\xfe"), name, 4)
    assert given == [n.to_bytes(8, "big") for n in (0xFE, 0xFF, 0x100, 0x101)]
    wrapping = ivs(outbound(name, iv=b"\xff" * 8), name, 3)
    assert wrapping == [b"\xff" * 8, bytes(8), b"\0\0\0\0\0\0\0\1"]
    start = int.from_bytes(random.Random(name).randbytes(8), "big")
    assert ivs(outbound(name), name, 3) == [((start + n) % (1 << 64)).to_bytes(8, "big") for n in range(3)]
    two = OutboundSa(outbound(name).params), OutboundSa(outbound(name).params)
    assert ivs(two[0], name, 1) != ivs(two[1], name, 1)  # nor does an SA made anew repeat nonces


@pytest.mark.parametrize("name", RANDOM)
def test_random_ivs(name: str) -> None:
    """CBC wants what nobody can predict (RFC 3602 3): straight from the source, the given one first."""
    length = SIZES[name][0]
    source = random.Random(name)
    assert ivs(outbound(name), name, 5) == [source.randbytes(length) for _ in range(5)]
    source = random.Random(name)
    assert ivs(outbound(name, iv=b"\7" * length), name, 3) == [
        b"\7" * length,
        *(source.randbytes(length) for _ in range(2)),
    ]


@pytest.mark.parametrize("name", COUNTERS)
def test_a_refused_packet_takes_no_iv(name: str) -> None:
    """So that a run's IVs can be foretold; a nonce would not be repeated either way."""
    sender = outbound(name, iv=bytes(8), mtu=200)
    for size in (1400, 1400):
        with refused(Reason.TOO_BIG):
            sender.protect(ipv4(udp(bytes(size))))
    assert ivs(sender, name, 2) == [bytes(8), b"\0\0\0\0\0\0\0\1"]


@pytest.mark.parametrize("name", ALL)
def test_runs_repeat_bit_for_bit(name: str) -> None:
    """Randomness is handed in: the same seed gives the same packets."""
    first, second = outbound(name), outbound(name)
    for size in range(20):
        assert first.protect(ipv4(udp(bytes(size)))) == second.protect(ipv4(udp(bytes(size))))


@pytest.mark.parametrize("name", RANDOM)
def test_cbc_packets_stand_alone(name: str) -> None:
    """Each packet's chain starts from its own IV, in whatever order packets come, bad ones among them."""
    sender, receiver = pair(name)
    plains = [ipv4(udp(octets(n * 7))) for n in range(30)]
    packets = [sender.protect(plain) for plain in plains]
    order = list(range(30))
    random.Random(name).shuffle(order)
    for n in order:
        with refused(Reason.BAD_ICV):
            receive(inbound(name), with_octet(packets[n], 45, packets[n][45] ^ 1))
        with refused(Reason.BAD_ICV):
            receive(receiver, with_octet(packets[n], 45, packets[n][45] ^ 1))
        assert receive(receiver, packets[n]) == plains[n]


# --- Events -----------------------------------------------------------------------------------------------------------


def test_events_of_an_outbound_packet() -> None:
    events: list[Event] = []
    sent = outbound("cbc128-sha1", first_seq=9).protect(PLAIN, events.append)
    assert events == [Protected("ESP", "tunnel", 9, "aes-cbc+hmac-sha1", len(sent))]


def test_events_of_an_inbound_packet() -> None:
    events: list[Event] = []
    sent = outbound("gcm128").protect(PLAIN)
    inbound("gcm128").unprotect(sent, locate(sent), events.append)
    assert [type(event).__name__ for event in events] == ["WindowChecked", "Verified", "TrailerRead", "HeadersRemoved"]
    assert Verified("aes-gcm", 104) in events


def test_no_event_claims_what_did_not_happen() -> None:
    """A bad ICV: the window was checked, nothing was verified."""
    events: list[Event] = []
    sent = outbound("gcm128").protect(PLAIN)
    bad = with_octet(sent, len(sent) - 1, sent[-1] ^ 1)
    with refused(Reason.BAD_ICV):
        inbound("gcm128").unprotect(bad, locate(bad), events.append)
    assert [type(event).__name__ for event in events] == ["WindowChecked"]
    with refused(Reason.TOO_BIG):
        outbound("gcm128", mtu=100).protect(PLAIN, events.append)
    assert len(events) == 1
