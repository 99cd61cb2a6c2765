"""The anti-replay window against a model that keeps a set of what it has seen (RFC 4303 3.4.3, appendix A)."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtionet_ipsec.ipsec import Mode, Reason, locate
from virtionet_ipsec.ipsec.events import Event, WindowChecked
from virtionet_ipsec.ipsec.window import ReplayWindow

from .builders import (
    examples,
    inbound,
    ip,
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

SIZES = (0, 1, 2, 32, 64, 1000, 4096)
E32, E64 = 1 << 32, 1 << 64


class Model:
    """The highest number seen, and the set of all that were.  ``floor``: all numbers below count as seen."""

    def __init__(self, size: int, esn: bool, first: int) -> None:
        self.size, self.esn = size, esn
        self.top = first - 1
        self.first = self.floor = first
        self.seen: set[int] = set()

    def full(self, low: int) -> int | Reason:
        """The number that ``low`` stands for: the one among the 2**32 numbers from the window's left edge on."""
        if not self.esn:
            return low
        left = self.top - (self.size or 1 << 31) + 1
        number = left + (low - left) % E32
        if number < 0:
            return Reason.TOO_OLD if self.size else low
        return number if number < E64 else Reason.SEQUENCE_EXHAUSTED

    def verdict(self, number: int) -> Reason | None:
        if self.size == 0 or number > self.top:
            return None
        if number <= self.top - self.size or number < self.first:
            return Reason.TOO_OLD
        return Reason.REPLAYED if number in self.seen or number < self.floor else None

    def accept(self, number: int) -> None:
        self.seen.add(number)
        self.top = max(self.top, number)

    def resize(self, size: int) -> None:
        self.floor = max(self.floor, self.top - self.size + 1)
        self.size = size


def step(window: ReplayWindow, model: Model, low: int, genuine: bool) -> None:
    """One packet that carries ``low``; a forged one is checked and never committed."""
    number = model.full(low)
    verdict = number if isinstance(number, Reason) else model.verdict(number)
    before = (window.top, window.seen, window.size)
    got = outcome(window.check, low)
    assert (window.top, window.seen, window.size) == before
    assert got is verdict if verdict is not None else got == number, (low, got, verdict)
    if verdict is None and genuine:
        assert isinstance(number, int)
        window.commit(number)
        model.accept(number)
    assert window.top == model.top
    assert window.seen < 1 << window.size if window.size else window.seen == 0


def some_number(rng: random.Random, model: Model) -> int:
    """Mostly near the window's edges, sometimes far away."""
    top, size = model.top, model.size
    return max(
        0,
        rng.choice(
            (
                top + rng.randint(-3, 3),
                top - size + rng.randint(-3, 3),
                top - rng.randint(0, size + 10),
                top + rng.randint(1, 2 * size + 10),
                top + rng.choice((1, 31, 32, 33, 63, 64, 65, 1000, 4096)),
                rng.choice(sorted(model.seen)[-50:] or [1]),
                top + rng.randint(1, 1 << 20) if rng.random() < 0.05 else top + 1,
                rng.randrange(E32),
            )
        ),
    )


STARTS = {
    False: (1, 2, 40, 5000, E32 - 5000, E32 - 70, E32 - 1),
    True: (1, 2, 40, E32 - 5000, E32 - 70, E32, E32 + 1, E32 + 31, (7 << 32) - 3, E64 - 5000, E64 - 70, E64 - 1),
}


@pytest.mark.parametrize(("esn", "first"), [(esn, first) for esn in STARTS for first in STARTS[esn]])
@pytest.mark.parametrize("size", SIZES)
def test_against_the_model(size: int, esn: bool, first: int) -> None:
    rng = random.Random(f"{size} {esn} {first}")
    window, model = ReplayWindow(size, esn, first), Model(size, esn, first)
    for _ in range(300):
        number = some_number(rng, model)
        if esn or number < E32:
            step(window, model, number % E32, rng.random() < 0.9)


@pytest.mark.parametrize("esn", [False, True])
@pytest.mark.parametrize("first", [1, E32 - 400])
def test_resizing_against_the_model(esn: bool, first: int) -> None:
    rng = random.Random(f"resize {esn} {first}")
    for _ in range(20):
        size = rng.choice(SIZES)
        window, model = ReplayWindow(size, esn, first), Model(size, esn, first)
        for _ in range(150):
            if rng.random() < 0.05:
                size = rng.choice(SIZES)
                window.resize(size)
                model.resize(size)
                assert window.size == size
            number = some_number(rng, model)
            if esn or number < E32:
                step(window, model, number % E32, rng.random() < 0.9)


@given(
    st.sampled_from(SIZES),
    st.booleans(),
    st.integers(1, E32 - 1) | st.just(1),
    st.integers(0, 3),
    st.lists(st.tuples(st.integers(-4200, 4200), st.booleans()), max_size=60),
)
@examples(150)
def test_walks_against_the_model(size: int, esn: bool, first: int, high: int, walk: list[tuple[int, bool]]) -> None:
    first += high << 32 if esn else 0
    window, model = ReplayWindow(size, esn, first), Model(size, esn, first)
    for distance, genuine in walk:
        number = model.top + distance
        if number >= 0 and (esn or number < E32):
            step(window, model, number % E32, genuine)


@pytest.mark.parametrize("size", SIZES[1:])
def test_each_number_once_in_any_order(size: int) -> None:
    """Shuffled within a window's width everything arrives once, and nothing twice."""
    rng = random.Random(size)
    numbers = list(range(1, 2 * size + 1))
    for start in range(0, len(numbers), size):
        part = numbers[start : start + size]
        rng.shuffle(part)
        numbers[start : start + size] = part
    window = ReplayWindow(2 * size)
    for number in numbers:
        window.commit(window.check(number))
    for number in range(1, 2 * size + 1):
        with refused(Reason.REPLAYED):
            window.check(number)


def test_number_zero_is_never_new() -> None:
    """Counting starts at 1 (RFC 4303 2.2)."""
    with refused(Reason.TOO_OLD):
        ReplayWindow(64).check(0)


def test_without_a_window_nothing_is_too_old() -> None:
    """5.9.9.9.2.1: checking is disabled at size 0; an extended number is then guessed, and the ICV tells."""
    assert ReplayWindow(0, esn=True).check(0x80000001) == 0x80000001


def test_without_a_window_memory_stays_flat() -> None:
    """Anti-replay off: a number billions behind the highest is no reason to shift a bit that far."""
    for esn, numbers in ((False, (E32 - 1, 1, E32 - 2)), (True, (E32 * 5, E32 * 5 - (1 << 31) + 1, E32 * 5 + 1))):
        window = ReplayWindow(0, esn, numbers[0])
        tracemalloc.start()
        for number in numbers:
            assert window.check(number % E32) == number
            window.commit(number)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert window.seen == 0 and peak < 100_000


def test_bottom() -> None:
    window = ReplayWindow(64, first=1000)
    assert (window.top, window.bottom) == (999, 936)
    assert ReplayWindow(64).bottom == 0


# --- The order: check, verify, update ---------------------------------------------------------------------------------

NAMES = ["gcm128", "chacha20", "cbc128-sha1", "gmac128", "ah-sha256", "ah-gmac128"]


def spoilt(packet: bytes) -> bytes:
    """``packet`` with its last octet wrong: it lies in the ICV (ESP) or in what it covers (AH)."""
    return with_octet(packet, len(packet) - 1, packet[-1] ^ 1)


@pytest.mark.parametrize("esn", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_forged_packet_does_not_move_the_window(name: str, esn: bool) -> None:
    sender, receiver = pair(name, esn=esn)
    plain = ip(4, udp(b"x" * 20))
    packets = [sender.protect(plain) for _ in range(200)]
    assert receive(receiver, packets[0]) == plain
    before = snapshot(receiver)
    with refused(Reason.BAD_ICV):
        receive(receiver, spoilt(packets[199]))
    assert snapshot(receiver) == before
    assert receiver.state.failures == {Reason.BAD_ICV: 1}
    assert receive(receiver, packets[1]) == plain  # it would be too old, had the window moved
    assert receive(receiver, packets[199]) == plain  # nor does the forgery count as its original
    # Left of the window; an extended number is then taken for one of the next 2**32 (RFC 4303 A2.1).
    with refused(Reason.BAD_ICV if esn else Reason.TOO_OLD):
        receive(receiver, packets[2])


@pytest.mark.parametrize("esn", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_replayed_packet_does_not_age_the_sa(name: str, esn: bool) -> None:
    sender, receiver = pair(name, esn=esn)
    packets = [sender.protect(ip(4, udp())) for _ in range(3)]
    for packet in packets:
        receive(receiver, packet)
    before = snapshot(receiver)
    for packet in packets * 2:
        with refused(Reason.REPLAYED):
            receive(receiver, packet)
    assert snapshot(receiver) == before and receiver.state.packets == 3
    assert receiver.state.failures == {Reason.REPLAYED: 6}


@pytest.mark.parametrize("name", NAMES)
def test_a_verified_packet_that_fails_later_has_moved_the_window(name: str) -> None:
    """The window follows the ICV alone; the SA's age follows what was delivered."""
    sender, receiver = pair(name, dec_ttl=True)
    sender.modify(outbound(name).params)
    expired = sender.protect(ip(4, udp(), ttl=1))
    with refused(Reason.TTL_EXPIRED):
        receive(receiver, expired)
    with refused(Reason.REPLAYED):
        receive(receiver, expired)
    assert (receiver.window.top, receiver.state.packets, receiver.state.bytes) == (1, 0, 0)


@pytest.mark.parametrize("name", NAMES)
def test_replays_pass_without_a_window(name: str) -> None:
    sender, receiver = outbound(name), inbound(name, replay_window=0)
    packet = sender.protect(ip(4, udp()))
    assert receive(receiver, packet) == receive(receiver, packet)
    assert receiver.state.packets == 2


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("window", [0, 64, 4096])
@pytest.mark.parametrize("name", NAMES)
def test_esn_over_the_edge(name: str, window: int, mode: Mode) -> None:
    """Packets on both sides of 2**32, out of order: the late ones still belong to the lower half."""
    first = E32 - 20
    sender = outbound(name, mode, esn=True, first_seq=first)
    receiver = inbound(name, mode, esn=True, first_seq=first, replay_window=window)
    packets = [sender.protect(ip(4, udp(octets(n)))) for n in range(40)]
    assert sender.state.seq == E32 + 19
    order = [0, 5, 19, 20, 39, 1, 18, 21, 38, *range(6, 18), *range(22, 38), 2, 3, 4]
    for n in order:
        assert receive(receiver, packets[n]) == ip(4, udp(octets(n)))
    assert receiver.window.top == E32 + 19
    if window:
        for packet in packets:
            with refused(Reason.REPLAYED):
                receive(receiver, packet)


@pytest.mark.parametrize("name", NAMES)
def test_esn_high_half_is_authenticated(name: str) -> None:
    """The same low half, another high half: what the receiver guesses is not what the sender signed."""
    receiver = inbound(name, esn=True)
    with refused(Reason.BAD_ICV):
        receive(receiver, outbound(name, esn=True, first_seq=E32 + 1).protect(ip(4, udp())))
    with refused(Reason.BAD_ICV):  # nor is a 32-bit sender taken for an extended one
        receive(receiver, outbound(name).protect(ip(4, udp())))
    assert receive(receiver, outbound(name, esn=True).protect(ip(4, udp()))) == ip(4, udp())


def test_first_seq_is_the_first_number_expected() -> None:
    sender, receiver = outbound("gcm128", first_seq=90), inbound("gcm128", first_seq=100)
    packets = [sender.protect(ip(4, udp())) for _ in range(11)]
    for packet in packets[:10]:
        with refused(Reason.TOO_OLD):
            receive(receiver, packet)
    assert receive(receiver, packets[10]) == ip(4, udp())
    assert receiver.window.top == 100


def test_resizing_a_live_sa() -> None:
    """MODIFY changes the window's size in place (decision D19); what a wider one newly covers counts as seen."""
    sender, receiver = outbound("gcm128"), inbound("gcm128", replay_window=32)
    packets = [sender.protect(ip(4, udp())) for _ in range(100)]
    receive(receiver, packets[79])
    receiver.modify(inbound("gcm128", replay_window=64).params)
    assert receiver.window.size == 64 and receiver.window.top == 80
    with refused(Reason.REPLAYED):
        receive(receiver, packets[30])
    assert receive(receiver, packets[50]) == ip(4, udp())
    receiver.modify(inbound("gcm128", replay_window=8).params)
    with refused(Reason.TOO_OLD):
        receive(receiver, packets[60])
    assert receive(receiver, packets[75]) == ip(4, udp())


def test_the_check_is_observable() -> None:
    sender, receiver = pair("gcm128")
    packets = [sender.protect(ip(4, udp())) for _ in range(2)]
    events: list[Event] = []
    for packet in reversed(packets):
        receiver.unprotect(packet, locate(packet), events.append)
    assert [e for e in events if isinstance(e, WindowChecked)] == [WindowChecked(2, 0, 64), WindowChecked(1, 2, 64)]
