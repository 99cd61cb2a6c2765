"""AH (RFC 4302): which fields its ICV covers, how it is padded, GMAC in it (RFC 4543 4).

For every field and every class of option two things are shown: what may change
on the way and still verifies, and what may not.  The ICV itself is held against
scapy (:mod:`.test_scapy`), against DPDK and OpenDataPlane (:mod:`.test_witnesses`),
and here against a computation by hand.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from virtionet_ipsec.ipsec import Mode, Reason, locate

from .builders import (
    AH,
    ALL,
    FAMILIES,
    HOST6_A,
    HOST6_B,
    HOST_A,
    HOST_B,
    SPI,
    inbound,
    ip,
    ipv4,
    ipv6,
    octets,
    outbound,
    outcome,
    pair,
    receive,
    refused,
    udp,
    with_fixed_checksum,
    with_octet,
)

NAMES = ["ah-sha256", "ah-gmac128"]
ICV = {"ah-md5": 12, "ah-sha1": 12, "ah-sha256": 16, "ah-sha384": 24, "ah-sha512": 32, "ah-xcbc": 12, "ah-cmac": 12}
ICV |= {"ah-gmac128": 24, "ah-gmac192": 24, "ah-gmac256": 24}  # 8 octets of IV among them


def changed(packet: bytes, offset: int, mask: int) -> bytes:
    """``packet`` with bits of one octet inverted, an IPv4 checksum made right as a router would."""
    flipped = with_octet(packet, offset, packet[offset] ^ mask)
    return with_fixed_checksum(flipped) if packet[0] >> 4 == 4 and offset not in (10, 11) else flipped


def verifies(name: str, packet: bytes) -> bool:
    """Whether a fresh transport mode SA takes ``packet``; a refusal has to be for its ICV."""
    got = outcome(inbound(name, Mode.TRANSPORT).unprotect, packet, locate(packet))
    assert isinstance(got, bytes) or got is Reason.BAD_ICV, got
    return isinstance(got, bytes)


# --- IPv4: RFC 4302 3.3.3.1.1 and appendix A1 -------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_ipv4_base_header(name: str) -> None:
    """Every bit of the header that leaves the packet one that can be located."""
    sent = outbound(name, Mode.TRANSPORT).protect(ipv4(udp(b"data"), flags=2))
    mutable = {(1, 1 << bit) for bit in range(8)}  # DSCP and ECN
    mutable |= {(6, 0x80), (6, 0x40)}  # reserved and DF; MF and the offset make fragments
    mutable |= {(8, 1 << bit) for bit in range(8)}  # TTL
    mutable |= {(offset, 1 << bit) for offset in (10, 11) for bit in range(8)}  # checksum
    immutable = {(offset, 1 << bit) for offset in (4, 5, *range(12, 20)) for bit in range(8)}  # id and addresses
    for offset, mask in sorted(mutable | immutable):
        assert verifies(name, changed(sent, offset, mask)) is ((offset, mask) in mutable), (offset, mask)


# By class of appendix A1: type, length, then zeros up to that length.
IPV4_IMMUTABLE = {
    "security": b"\x82\x0b" + bytes(range(9)),
    "extended security": b"\x85\x04ab",
    "commercial security": b"\x86\x06abcd",
    "router alert": b"\x94\x04\0\0",
    "multi-destination delivery": b"\x95\x08" + bytes(range(6)),
}
IPV4_MUTABLE = {
    "loose source route": b"\x83\x07\x08" + HOST_A,
    "timestamp": b"\x44\x0c\x05\0" + bytes(8),
    "record route": b"\x07\x0b\x04" + bytes(8),
    "strict source route": b"\x89\x07\x08" + HOST_A,
    "traceroute": b"\x52\x0c" + bytes(range(10)),
    "stream id": b"\x88\x04\x12\x34",
    "mtu probe": b"\x0b\x04\5\xdc",
    "mtu reply": b"\x0c\x04\5\xdc",
    "experimental measurement": b"\x0a\x04ab",
    "experimental flow control": b"\xcd\x04ab",
    "imi traffic descriptor": b"\x90\x04ab",
    "extended ip": b"\x91\x04ab",
    "address extension": b"\x93\x0a" + bytes(8),
    "unknown": b"\x9f\x05xyz",
}


def _with_option(option: bytes) -> bytes:
    options = b"\1" + option
    return ipv4(udp(b"data"), options=options.ljust(-(-len(options) // 4) * 4, b"\1"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("option", IPV4_IMMUTABLE)
def test_immutable_ipv4_options(option: str, name: str) -> None:
    sent = outbound(name, Mode.TRANSPORT).protect(_with_option(IPV4_IMMUTABLE[option]))
    assert verifies(name, sent)
    for offset in range(23, 21 + len(IPV4_IMMUTABLE[option])):
        assert not verifies(name, changed(sent, offset, 1)), offset


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("option", IPV4_MUTABLE)
def test_mutable_ipv4_options(option: str, name: str) -> None:
    """Zero for the ICV, type and length too: but those have to go on fitting."""
    sent = outbound(name, Mode.TRANSPORT).protect(_with_option(IPV4_MUTABLE[option]))
    assert verifies(name, sent)
    for offset in range(23, 21 + len(IPV4_MUTABLE[option])):
        for mask in (1, 0x80, 0xFF):
            assert verifies(name, changed(sent, offset, mask)), offset


@pytest.mark.parametrize("name", NAMES)
def test_nop_and_end_of_options(name: str) -> None:
    """What is behind the end of the list is padding, and immutable, whatever it looks like."""
    sent = outbound(name, Mode.TRANSPORT).protect(ipv4(udp(), options=b"\1\1\0\x07\x07\x04\xab\xcd"))
    assert verifies(name, sent)
    for offset in range(23, 28):
        assert not verifies(name, changed(sent, offset, 2))
    assert not verifies(name, changed(sent, 20, 1))  # a NOP turned into the end


@pytest.mark.parametrize("option", [b"\x07", b"\x07\x01\0\0", b"\x07\x00\0\0", b"\x07\x09\0\0", b"\x94\xff\0\0"])
def test_options_that_do_not_fit(option: bytes) -> None:
    options = option.rjust(-(-len(option) // 4) * 4, b"\1")
    with refused(Reason.MALFORMED):
        outbound("ah-sha256", Mode.TRANSPORT).protect(ipv4(udp(), options=options))
    sent = outbound("ah-sha256", Mode.TRANSPORT).protect(ipv4(udp(), options=bytes(len(options))))
    with refused(Reason.MALFORMED):
        receive(
            inbound("ah-sha256", Mode.TRANSPORT), with_fixed_checksum(sent[:20] + options + sent[20 + len(options) :])
        )


@pytest.mark.parametrize("kind", [0x83, 0x89])
@pytest.mark.parametrize("name", NAMES)
def test_source_routes_are_predicted(name: str, kind: int) -> None:
    """The destination counts as it will be at the end of the route (RFC 4302 3.3.3.1.1.1)."""
    hops = [HOST_B, bytes((10, 9, 9, 1)), bytes((10, 9, 9, 2))]
    last = hops[-1]
    option = bytes((1, kind, 3 + 4 * 2, 4)) + hops[1] + last
    sent = outbound(name, Mode.TRANSPORT).protect(ipv4(udp(b"data"), dst=hops[0], options=option))
    assert sent[16:20] == hops[0]
    assert not verifies(name, sent)  # not there yet
    routed = sent[:16] + last + sent[20:23] + b"\x0c" + HOST_A + hops[1] + sent[32:]  # as RFC 791 has hops rewrite it
    assert verifies(name, with_fixed_checksum(routed))
    assert not verifies(name, with_fixed_checksum(routed[:16] + hops[1] + routed[20:]))
    # A route that is used up changes nothing.
    done = bytes((1, kind, 7, 8)) + hops[1]
    assert verifies(name, outbound(name, Mode.TRANSPORT).protect(ipv4(udp(), options=done)))


# --- IPv6: RFC 4302 3.3.3.1.2 and appendix A2 -------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_ipv6_base_header(name: str) -> None:
    sent = outbound(name, Mode.TRANSPORT).protect(ipv6(udp(b"data"), tc=0x55, flow=0x12345))
    mutable = {(0, 1 << bit) for bit in range(4)} | {(n, 1 << bit) for n in (1, 2, 3, 7) for bit in range(8)}
    immutable = {(offset, 1 << bit) for offset in range(8, 40) for bit in range(8)}
    for offset, mask in sorted(mutable | immutable):
        assert verifies(name, changed(sent, offset, mask)) is ((offset, mask) in mutable), (offset, mask)


# All eight classes of option type: what to do when it is unknown, times whether it may change (RFC 8200 4.2).
@pytest.mark.parametrize("header", [0, 60])
@pytest.mark.parametrize("kind", [action << 6 | change << 5 | 0x1E for action in range(4) for change in (0, 1)])
@pytest.mark.parametrize("name", NAMES)
def test_ipv6_options(name: str, kind: int, header: int) -> None:
    """Data counts as zero where the option may change; type and length always count."""
    body = b"\0" + bytes((kind, 4)) + b"abcd" + b"\1\2\0\0" + b"\0\0\0"
    extension = bytes((43 if header == 60 else 17, 1)) + body
    if header == 60:  # in front of a routing header, or it would be protected
        extension += struct.pack("!BBBBI", 17, 2, 0, 0, 0) + HOST6_A
    sent = outbound(name, Mode.TRANSPORT).protect(ipv6(extension + udp(b"data"), nh=header))
    assert verifies(name, sent)
    may_change = bool(kind & 0x20)
    for offset in range(45, 49):
        assert verifies(name, changed(sent, offset, 0x81)) is may_change
    assert not verifies(name, changed(sent, 43, 1))  # the option's type
    assert not verifies(name, changed(sent, 51, 1))  # PadN's data
    assert not verifies(name, changed(sent, 53, 1))  # Pad1


def test_ipv6_options_that_do_not_fit() -> None:
    for body in (b"\x1e\5\0\0\0\0", b"\0\0\0\0\0\x1e", b"\x3e\xff\0\0\0\0"):
        with refused(Reason.MALFORMED):
            outbound("ah-sha256", Mode.TRANSPORT).protect(ipv6(b"\x11\0" + body + udp(), nh=0))
        sent = outbound("ah-sha256", Mode.TRANSPORT).protect(ipv6(b"\x11\0" + bytes(6) + udp(), nh=0))
        with refused(Reason.MALFORMED):
            receive(inbound("ah-sha256", Mode.TRANSPORT), sent[:42] + body + sent[48:])


def _hops(packet: bytes) -> Iterator[bytes]:
    """``packet`` as each node of its type 0 routing header at octet 40 sends it on (RFC 2460 4.4)."""
    while packet[43]:
        count, left = packet[41] // 2, packet[43]
        at = 48 + 16 * (count - left)
        swapped = packet[:24] + packet[at : at + 16] + packet[40:at] + packet[24:40] + packet[at + 16 :]
        packet = with_octet(swapped, 43, left - 1)
        yield packet


@pytest.mark.parametrize("left", [0, 1, 2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_type_0_routing_headers(name: str, left: int) -> None:
    """Good at the last node and nowhere before it, however much of the route is behind the packet already."""
    addresses = b"".join(octets(16, f"hop {n}") for n in range(3))
    header = struct.pack("!BBBBI", 17, 6, 0, left, 0) + addresses
    sent = outbound(name, Mode.TRANSPORT).protect(ipv6(header + udp(b"data"), nh=43, dst=HOST6_B))
    assert sent[24:40] == HOST6_B and sent[43] == left
    journey = [sent, *_hops(sent)]
    assert len(journey) == left + 1
    assert [verifies(name, packet) for packet in journey] == [False] * left + [True]
    arrived = journey[-1]
    assert not verifies(name, changed(arrived, 50, 1)) and not verifies(name, changed(arrived, 30, 1))


def test_routing_headers_that_contradict_themselves() -> None:
    for length, left in ((2, 2), (4, 3), (3, 1), (2, 255)):
        header = struct.pack("!BBBBI", 17, length, 0, left, 0) + bytes(8 * length)
        with refused(Reason.MALFORMED):
            outbound("ah-sha256", Mode.TRANSPORT).protect(ipv6(header + udp(), nh=43))


def test_other_routing_headers_count_as_they_are() -> None:
    header = struct.pack("!BBBBI", 17, 2, 4, 1, 0) + HOST6_A
    sent = outbound("ah-sha256", Mode.TRANSPORT).protect(ipv6(header + udp(), nh=43))
    assert verifies("ah-sha256", sent)
    assert not verifies("ah-sha256", changed(sent, 43, 1))


# --- What is covered besides ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", AH)
def test_ah_and_payload_are_covered_whole(name: str, mode: Mode, family: int) -> None:
    """SPI, number, ICV, padding and payload: every octet."""
    sent = outbound(name, mode, family, esn=True).protect(ip(family, udp(b"data")))
    start = locate(sent)[1]
    for offset in (start, *range(start + 2, len(sent))):
        if mode is Mode.TRANSPORT or offset != start:
            receiver = inbound(name, mode, esn=True)
            with refused(Reason.BAD_ICV):
                receive(receiver, changed(sent, offset, 4))
            assert receiver.window.top == 0


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("align", [None, 4, 8])
@pytest.mark.parametrize("name", AH)
def test_length_and_padding(name: str, align: int | None, family: int) -> None:
    """RFC 4302 2.2 and 2.6: a multiple of 4 octets over IPv4, of 8 over IPv6; Linux pads to 8 over both."""
    sender = outbound(name, Mode.TRANSPORT, ah_align=align)
    plain = ip(family, udp(b"data"))
    sent = sender.protect(plain)
    start = locate(sent)[1]
    unit = align or (4 if family == 4 else 8)
    length = -(-(12 + ICV[name]) // unit) * unit
    assert sent[start : start + 12] == struct.pack("!BBHII", 17, length // 4 - 2, 0, SPI, 1)
    assert sent[start + 12 + ICV[name] : start + length] == bytes(length - 12 - ICV[name])
    assert sent[start + length :] == udp(b"data")
    for receiver_align in (None, 4, 8):
        assert receive(inbound(name, Mode.TRANSPORT, ah_align=receiver_align), sent) == plain


@pytest.mark.parametrize("name", ["ah-sha256", "ah-sha1", "ah-gmac128"])
def test_lying_payload_length(name: str) -> None:
    """All 256 values of the field: what does not fit algorithm or packet is malformed, the rest fails its ICV."""
    sent = outbound(name, Mode.TRANSPORT).protect(ipv4(udp(octets(600))))
    least = 12 + ICV[name]
    for value in range(256):
        packet = with_octet(sent, 21, value)
        length = (value + 2) * 4
        if packet == sent:
            assert receive(inbound(name, Mode.TRANSPORT), packet)
        else:
            with refused(Reason.BAD_ICV if least <= length < least + 8 else Reason.MALFORMED):
                receive(inbound(name, Mode.TRANSPORT), packet)


@pytest.mark.parametrize("esn", [False, True])
@pytest.mark.parametrize("padding", [0, 4])
def test_icv_by_hand(padding: int, esn: bool) -> None:
    """HMAC over header, AH with its ICV zero, payload, and the high half behind them (RFC 4302 2.5.1, 3.3.3)."""
    seq = (3 << 32) + 9 if esn else 9
    align = 8 if padding else 4
    sender = outbound("ah-sha256", Mode.TRANSPORT, first_seq=seq, esn=esn, ah_align=align)
    sent = sender.protect(ipv4(udp(b"data"), tos=9, ttl=33, flags=2))
    header = struct.pack("!BBHHHBBH", 0x45, 0, len(sent), 0x3039, 0, 0, 51, 0) + HOST_A + HOST_B
    ah = struct.pack("!BBHII", 17, (28 + padding) // 4 - 2, 0, SPI, 9)
    high = struct.pack("!I", 3) if esn else b""
    covered = header + ah + bytes(16 + padding) + udp(b"data") + high
    icv = hmac.digest(ALL["ah-sha256"]["auth_key"], covered, "sha256")[:16]
    assert sent[20:] == ah + icv + bytes(padding) + udp(b"data")


@pytest.mark.parametrize("esn", [False, True])
@pytest.mark.parametrize("family", [4, 6])
def test_gmac_by_hand(family: int, esn: bool) -> None:
    """RFC 4543 4: IV and tag fill the ICV field, over IPv6 padding follows (erratum 3643).

    The tag counts as zero and the IV as it is, as OpenDataPlane computes it;
    its packet, which DPDK's tests hold devices against, is among the witnesses'.
    """
    seq, iv = ((3 << 32) + 9 if esn else 9), octets(8, "iv")
    given = ALL["ah-gmac128"]
    sent = outbound("ah-gmac128", Mode.TRANSPORT, first_seq=seq, esn=esn, iv=iv).protect(ip(family, udp(b"data")))
    padding = 0 if family == 4 else 4
    ah = struct.pack("!BBHII", 17, (36 + padding) // 4 - 2, 0, SPI, 9)
    if family == 4:
        header = struct.pack("!BBHHHBBH", 0x45, 0, len(sent), 0x3039, 0, 0, 51, 0) + HOST_A + HOST_B
    else:
        header = struct.pack("!IHBB", 6 << 28, len(sent) - 40, 51, 0) + HOST6_A + HOST6_B
    high = struct.pack("!I", 3) if esn else b""
    covered = header + ah + iv + bytes(16 + padding) + udp(b"data") + high
    tag = AESGCM(given["auth_key"]).encrypt(given["salt"] + iv, b"", covered)
    assert sent[len(header) :] == ah + iv + tag + bytes(padding) + udp(b"data")


@pytest.mark.parametrize("padding", [b"\0\0\0\0", b"\xa9\x50\x08\x00"])
def test_explicit_padding_may_be_anything(padding: bytes) -> None:
    """RFC 4302 3.3.3.2.1: its content is the sender's choice, and covered (Linux sends what was in memory)."""
    payload = udp(b"data")
    length = 20 + 32 + len(payload)
    header = struct.pack("!BBHHHBBH", 0x45, 0, length, 1, 0, 0, 51, 0) + HOST_A + HOST_B
    ah = struct.pack("!BBHII", 17, 6, 0, SPI, 1)
    icv = hmac.digest(ALL["ah-sha256"]["auth_key"], header + ah + bytes(16) + padding + payload, "sha256")[:16]
    packet = with_fixed_checksum(with_octet(header, 8, 64) + ah + icv + padding + payload)
    assert receive(inbound("ah-sha256", Mode.TRANSPORT), packet) == ipv4(payload, ident=1)


@pytest.mark.parametrize(("inner", "outer"), FAMILIES)
@pytest.mark.parametrize("name", AH)
def test_tunnels(name: str, inner: int, outer: int) -> None:
    """The outer header's mutable fields may change; the inner packet is covered whole."""
    sender, receiver = pair(name, outer=outer)
    plain = ip(inner, udp(b"inner"), tos=0xB9, ttl=5)
    sent = sender.protect(plain)
    start = locate(sent)[1]
    assert sent[start] == (4 if inner == 4 else 41) and sent.endswith(plain)
    hop = changed(changed(sent, 8 if outer == 4 else 7, 0x3F), 1, 0x33)
    assert receive(receiver, hop) == plain
    for offset in range(len(sent) - len(plain), len(sent)):
        with refused(Reason.BAD_ICV):
            receive(inbound(name), changed(sent, offset, 1))
