"""Properties over packets, algorithms and options drawn at random: what goes in comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from virtionet_ipsec.ipsec import Mode, Reason, Tunnel, locate

from .builders import (
    ALL,
    ESP,
    NATT,
    examples,
    inbound,
    internet_checksum,
    ipv4,
    ipv6,
    outbound,
    outcome,
    receive,
    refused,
    tos_of,
    ttl_of,
    udp,
    with_fixed_checksum,
    with_octet,
)


@dataclass(frozen=True)
class Setting:
    """One pair of SAs."""

    name: str
    mode: Mode
    outer: int
    options: dict[str, Any]


@st.composite
def settings_of_sas(draw: st.DrawFn) -> Setting:
    name = draw(st.sampled_from(sorted(ALL)))
    mode = draw(st.sampled_from(Mode))
    outer = draw(st.sampled_from((4, 6)))
    esn = draw(st.booleans())
    last = 1 << (64 if esn else 32)
    options: dict[str, Any] = {
        "esn": esn,
        "first_seq": draw(st.integers(1, last - 10) | st.sampled_from((1, (1 << 32) - 4, last - 9))),
        "copy_dscp": draw(st.booleans()),
        "copy_df": draw(st.booleans()),
        "ecn": draw(st.booleans()),
        "dec_ttl": draw(st.booleans()),
        "replay_window": draw(st.sampled_from((0, 1, 64, 4096))),
    }
    options["first_seq"] = min(options["first_seq"], last - 9)
    if name in ESP and draw(st.booleans()):
        options["udp"] = NATT
    if name not in ESP:
        options["ah_align"] = draw(st.sampled_from((None, 4, 8)))
    if mode is Mode.TUNNEL:
        size = 4 if outer == 4 else 16
        options["tunnel"] = Tunnel(
            draw(st.binary(min_size=size, max_size=size)),
            draw(st.binary(min_size=size, max_size=size)),
            dscp=draw(st.integers(0, 63)),
            df=draw(st.booleans()),
            ttl=draw(st.integers(1, 255)),
            flow_label=draw(st.integers(0, 0xFFFFF)),
        )
    return Setting(name, mode, outer, options)


payloads = st.binary(max_size=80) | st.integers(0, 1400).map(lambda size: bytes(n & 0xFF for n in range(size)))


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    payload, tos, ttl = draw(payloads), draw(st.integers(0, 255)), draw(st.integers(0, 255))
    if draw(st.booleans()):
        return ipv4(
            udp(payload),
            tos=tos,
            ttl=ttl,
            flags=draw(st.sampled_from((0, 2))),
            ident=draw(st.integers(0, 0xFFFF)),
            options=b"\1" * draw(st.sampled_from((0, 4, 40))),
        )
    return ipv6(udp(payload), tc=tos, hlim=ttl, flow=draw(st.integers(0, 0xFFFFF)))


def pair_of(setting: Setting) -> tuple[Any, Any]:
    sending = {k: v for k, v in setting.options.items() if k != "replay_window"}
    sender = outbound(setting.name, setting.mode, setting.outer, **sending)
    return sender, inbound(setting.name, setting.mode, setting.outer, **setting.options)


def with_ttl(packet: bytes, ttl: int) -> bytes:
    if packet[0] >> 4 == 6:
        return with_octet(packet, 7, ttl)
    return with_fixed_checksum(with_octet(packet, 8, ttl))


@given(settings_of_sas(), st.lists(packets(), min_size=1, max_size=5))
@examples(500)
def test_what_goes_in_comes_out(setting: Setting, plains: list[bytes]) -> None:
    """Identity, but for the TTL where it is decremented; and the outer header is what the options say."""
    sender, receiver = pair_of(setting)
    options, tunnel = setting.options, setting.options.get("tunnel")
    hops = 2 if options["dec_ttl"] and tunnel else 0
    number, count, octets_in = options["first_seq"], 0, 0
    for plain in plains:
        ttl = ttl_of(plain)
        if hops and ttl < 2:
            with refused(Reason.TTL_EXPIRED):
                sender.protect(plain)
            continue
        sent = sender.protect(plain)
        where = locate(sent)
        assert (where[0], where[2], where[4]) == (50 if setting.name in ESP else 51, len(sent), "udp" in options)
        assert where[6] == number & 0xFFFFFFFF and sender.state.seq == number
        number += 1
        if sent[0] >> 4 == 4:
            assert internet_checksum(sent[: (sent[0] & 15) * 4]) == 0
        if tunnel is not None:
            assert ttl_of(sent) == tunnel.ttl
            assert tos_of(sent) >> 2 == (tos_of(plain) >> 2 if options["copy_dscp"] else tunnel.dscp)
            assert tos_of(sent) & 3 == (tos_of(plain) & 3 if options["ecn"] else 0)
        if hops and ttl < 3:
            with refused(Reason.TTL_EXPIRED):
                receive(receiver, sent)
            continue
        expected = with_ttl(plain, ttl - hops) if hops else plain
        assert receive(receiver, sent) == expected
        count, octets_in = count + 1, octets_in + len(plain)
        if options["replay_window"]:
            with refused(Reason.REPLAYED):
                receive(receiver, sent)
    assert (receiver.state.packets, receiver.state.bytes) == (count, octets_in)


@given(settings_of_sas(), packets(), st.data())
@examples(300)
def test_a_changed_bit_is_refused(setting: Setting, plain: bytes, data: st.DataObject) -> None:
    """Anywhere from the IPsec header on, in packets of every kind."""
    sender, receiver = pair_of(setting)
    sent = outcome(sender.protect, plain)
    if isinstance(sent, Reason):
        return
    start = locate(sent)[1]
    octet = data.draw(st.integers(start, len(sent) - 1))
    bad = with_octet(sent, octet, sent[octet] ^ 1 << data.draw(st.integers(0, 7)))
    top = receiver.window.top
    assert outcome(receiver.unprotect, bad, locate(bad)) in {
        Reason.BAD_ICV,
        Reason.MALFORMED,  # AH's length
        Reason.REPLAYED,  # the sequence number: left of what is expected first
        Reason.TOO_OLD,
        Reason.SEQUENCE_EXHAUSTED,
    }
    assert receiver.window.top == top and receiver.state.packets == 0


@given(settings_of_sas(), packets(), st.data())
@examples(200)
def test_another_key_is_refused(setting: Setting, plain: bytes, data: st.DataObject) -> None:
    """Neither another key, nor another salt, nor another SA's packets."""
    fields = [field for field in ("cipher_key", "auth_key", "salt") if ALL[setting.name].get(field)]
    field = data.draw(st.sampled_from(fields))
    if field == "cipher_key" and "auth" in ALL[setting.name]:
        field = "auth_key"  # a wrong cipher key alone is not what integrity notices
    if field == "salt" and ALL[setting.name].get("cipher") == "aes-ctr":
        field = "auth_key"
    secret = ALL[setting.name][field]
    # Not the lowest bit: in DES it is parity and changes nothing.
    other = with_octet(secret, data.draw(st.integers(0, len(secret) - 1)), 0)
    if other == secret:
        other = with_octet(secret, 0, secret[0] ^ 0x80)
    sender, _ = pair_of(setting)
    changed = Setting(setting.name, setting.mode, setting.outer, {**setting.options, field: other})
    _, receiver = pair_of(changed)
    sent = outcome(sender.protect, plain)
    if isinstance(sent, bytes):
        with refused(Reason.BAD_ICV):
            receive(receiver, sent)


@given(settings_of_sas(), st.lists(st.integers(0, 40), min_size=1, max_size=8), st.randoms(use_true_random=False))
@examples(100)
def test_out_of_order_and_repeated(setting: Setting, sizes: list[int], rng: Any) -> None:
    """Within the window each packet arrives once, in any order."""
    sender, _ = pair_of(setting)
    _, receiver = pair_of(Setting(setting.name, setting.mode, setting.outer, {**setting.options, "replay_window": 64}))
    sent = [(sender.protect(ipv4(udp(bytes(size)))), ipv4(udp(bytes(size)))) for size in sizes]
    order = [*sent, *sent]
    rng.shuffle(order)
    seen: set[bytes] = set()
    for packet, plain in order:
        if packet in seen:
            with refused(Reason.REPLAYED):
                receive(receiver, packet)
        else:
            got = receive(receiver, packet)
            assert got[20:] == plain[20:]
            seen.add(packet)
    assert receiver.state.packets == len(sizes)
