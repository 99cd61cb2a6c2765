"""The ESP trailer: the least padding that each algorithm needs, and what a receiver makes of other people's.

Packets of a peer that has the key, but no manners, are made with `cryptography`
alone (:func:`.builders.sealed`).
"""

from __future__ import annotations

import struct

import pytest

from virtionet_ipsec.ipsec import InboundSa, Mode, Reason, locate
from virtionet_ipsec.ipsec.events import Event, TrailerRead

from .builders import (
    ESP,
    SIZES,
    SPI,
    inbound,
    ip,
    ipv4,
    ipv6,
    octets,
    outbound,
    pair,
    receive,
    refused,
    sealed,
    sent_by_peer,
    snapshot,
    trailer,
    udp,
)

# What `hmac` offers by name: XCBC and CMAC have their own known answers.
NAMES = [name for name in ESP if not name.endswith(("xcbc", "cmac"))]


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", NAMES)
def test_least_padding(name: str, mode: Mode) -> None:
    """RFC 4303 2.4: to 4 octets for AEAD, CTR and NULL, to the block for CBC.  The whole packet, octet for octet."""
    iv_length, icv_length, align = SIZES[name]
    for length in range(2 * align + 2):
        plain = ipv4(octets(length), proto=253)
        iv = octets(iv_length, "iv") or None
        sent = outbound(name, mode, iv=iv).protect(plain)
        text, nh = (plain, 4) if mode is Mode.TUNNEL else (plain[20:], 253)
        text += trailer(len(text), nh, align)
        head = struct.pack("!II", SPI, 1)
        assert sent[20:] == head + sealed(name, head, text, iv=iv or b"")
        assert len(sent) == 20 + 8 + iv_length + len(text) + icv_length
        assert len(text) % align == 0 and text[-2] < align


@pytest.mark.parametrize("name", ["null-sha256", "null-md5", "gmac128"])
def test_trailer_in_the_clear(name: str) -> None:
    """What can be seen: padding 1, 2, 3, its length, the next header of either family."""
    iv_length, icv_length, _ = SIZES[name]
    for family, nh in ((4, 4), (6, 41)):
        for length, expected in ((0, b"\1\2\2"), (1, b"\1\1"), (2, b"\0"), (3, b"\1\2\3\3")):
            plain = ip(family, bytes(length))
            sent = outbound(name).protect(plain)
            assert sent[28 + iv_length : -icv_length] == plain + expected + bytes((nh,))


@pytest.mark.parametrize("name", NAMES)
def test_more_padding_than_needed_is_accepted(name: str) -> None:
    """RFC 4303 2.4: a sender may add up to 255 octets."""
    _, _, align = SIZES[name]
    plain, receiver = ipv4(udp(b"abc")), inbound(name)
    most = (255 - trailer(len(plain), 4, align)[-2]) // align
    for seq, extra in enumerate((0, 1, 2, most), 1):
        text = plain + trailer(len(plain), 4, align, extra)
        events: list[Event] = []
        packet = sent_by_peer(name, text, seq=seq)
        assert receiver.unprotect(packet, locate(packet), events.append) == plain
        assert TrailerRead(text[-2], 4) in events
    assert text[-2] > 255 - align


@pytest.mark.parametrize("name", NAMES)
def test_bad_padding(name: str) -> None:
    """Each octet of padding is looked at (RFC 4303 3.4.4.1, the SHOULD on inspecting it)."""
    _, _, align = SIZES[name]
    plain = ipv4(udp(b"ab"))
    good = trailer(len(plain), 4, align, 2)
    receiver = inbound(name)
    for seq in range(1, good[-2] + 1):
        spoilt = good[: seq - 1] + bytes((good[seq - 1] ^ 0x80,)) + good[seq:]
        with refused(Reason.BAD_PADDING):
            receive(receiver, sent_by_peer(name, plain + spoilt, seq=seq))
    for seq, padding in enumerate((bytes(good[-2]), bytes(range(good[-2])), b"\xff" * good[-2]), 300):
        with refused(Reason.BAD_PADDING):
            receive(receiver, sent_by_peer(name, plain + padding + good[-2:], seq=seq))
    assert receiver.state.failures == {Reason.BAD_PADDING: good[-2] + 3}
    assert receiver.state.packets == 0 and receiver.window.top == 302


@pytest.mark.parametrize("name", NAMES)
def test_every_pad_length(name: str) -> None:
    """A lying pad length either runs past the payload or fits the padding by chance; no third way."""
    _, _, align = SIZES[name]
    size = -(-48 // align) * align
    receiver = inbound(name, Mode.TRANSPORT, replay_window=512)
    for pad in range(256):
        body = bytes(range(1, size - 1))  # looks like padding all the way
        text = body + bytes((pad, 17))
        packet = sent_by_peer(name, text, seq=pad + 1)
        if pad > len(body):
            with refused(Reason.MALFORMED):
                receive(receiver, packet)
        elif pad in (0, len(body)):
            assert receive(receiver, packet)[20:] == body[: len(body) - pad]
        else:
            with refused(Reason.BAD_PADDING):
                receive(receiver, packet)
    assert receiver.state.packets == 2


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("name", NAMES)
def test_tfc_padding_is_trimmed(name: str, family: int) -> None:
    """RFC 4303 2.7: octets between the packet and the trailer, of any value."""
    _, _, align = SIZES[name]
    receiver = inbound(name)
    plain = ip(family, udp(b"inside"))
    for seq, length in enumerate((1, 2, 3, 16, 700), 1):
        text = plain + octets(length, "tfc")
        text += trailer(len(text), 4 if family == 4 else 41, align)
        assert receive(receiver, sent_by_peer(name, text, seq=seq)) == plain
    assert receiver.state.bytes == 5 * len(plain)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", NAMES)
def test_dummy_packets(name: str, mode: Mode) -> None:
    """RFC 4303 2.6: next header 59 is swallowed, whatever is inside, and is no failure."""
    _, _, align = SIZES[name]
    receiver = inbound(name, mode)
    for seq, length in enumerate((0, 1, 20, 500), 1):
        packet = sent_by_peer(name, octets(length) + trailer(length, 59, align), seq=seq)
        with refused(Reason.DUMMY):
            receive(receiver, packet)
        with refused(Reason.REPLAYED):
            receive(receiver, packet)
    state = receiver.state
    assert (state.dummies, state.packets, state.bytes) == (4, 0, 0)
    assert state.failures == {Reason.REPLAYED: 4}


def test_no_next_header_is_a_packet_for_ah() -> None:
    """AH knows no dummies: an IPv6 packet with next header 59 (RFC 8200 4.7) comes through."""
    plain = ipv6(b"", nh=59)
    sender, receiver = pair("ah-sha256", Mode.TRANSPORT)
    assert receive(receiver, sender.protect(plain)) == plain
    assert receiver.state.dummies == 0


def _inner_mismatch(receiver: InboundSa, text: bytes, reason: Reason, seq: int) -> None:
    with refused(reason):
        receive(receiver, sent_by_peer("gcm128", text, seq=seq))


def test_what_is_inside_a_tunnel() -> None:
    """Next header and payload have to agree, and the payload has to be a packet."""
    four, six = ipv4(udp(b"abcd")), ipv6(udp(b"abcd"))
    cases = (
        (four, 41, Reason.INNER_MISMATCH),
        (six, 4, Reason.INNER_MISMATCH),
        (four, 17, Reason.INNER_MISMATCH),
        (four, 0, Reason.INNER_MISMATCH),
        (b"", 4, Reason.INNER_MISMATCH),
        (b"", 41, Reason.INNER_MISMATCH),
        (b"\x55" + four[1:], 4, Reason.INNER_MISMATCH),
        (four[:19], 4, Reason.TRUNCATED),
        (four[:-1], 4, Reason.TRUNCATED),
        (six[:39], 41, Reason.TRUNCATED),
        (six[:-1], 41, Reason.TRUNCATED),
        (b"\x44" + four[1:], 4, Reason.MALFORMED),
        (four[:2] + b"\0\x13" + four[4:], 4, Reason.MALFORMED),
        (b"\x4f" + four[1:], 4, Reason.MALFORMED),
    )
    receiver = inbound("gcm128")
    for seq, (payload, nh, reason) in enumerate(cases, 1):
        _inner_mismatch(receiver, payload + trailer(len(payload), nh, 4), reason, seq)
    assert receiver.state.packets == 0 and sum(receiver.state.failures.values()) == len(cases)


@pytest.mark.parametrize("name", NAMES)
def test_length_that_no_sender_makes(name: str) -> None:
    """A ciphertext whose length does not fit its alignment is malformed, and that is known before any ICV."""
    iv_length, icv_length, align = SIZES[name]
    for wrong in range(1, align):
        receiver = inbound(name)
        before = snapshot(receiver)
        esp = octets(8 + iv_length + 4 * align + wrong + icv_length)
        with refused(Reason.MALFORMED):
            receive(receiver, ipv4(struct.pack("!II", SPI, 1) + esp[8:], proto=50))
        assert snapshot(receiver) == before


@pytest.mark.parametrize("name", NAMES)
def test_shortest_packet(name: str) -> None:
    """Header, IV, one block with the trailer and ICV: one octet less is malformed."""
    iv_length, icv_length, align = SIZES[name]
    receiver = inbound(name, Mode.TRANSPORT)
    text = trailer(0, 17, align)
    assert len(text) == align
    packet = sent_by_peer(name, text)
    assert len(packet) == 20 + 8 + iv_length + align + icv_length
    assert receive(receiver, packet) == ipv4(b"", src=packet[12:16], dst=packet[16:20])
    for length in range(8, len(packet) - 20):
        with refused(Reason.MALFORMED):
            receive(inbound(name, Mode.TRANSPORT), ipv4(packet[20 : 20 + length], proto=50))
