"""The outer header (RFC 4301 5.1.2), UDP encapsulation (RFC 3948), TTL and DF, in all pairs of families."""

from __future__ import annotations

import dataclasses
import struct
from typing import Any

import pytest
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6

from virtionet_ipsec.ipsec import Mode, Reason, Tunnel, UdpEncap, locate

from .builders import (
    FAMILIES,
    GATE6_A,
    GATE6_B,
    GATE_A,
    GATE_B,
    NATT,
    T4,
    T6,
    header_length,
    inbound,
    internet_checksum,
    ip,
    ipv4,
    ipv6,
    octets,
    outbound,
    pair,
    receive,
    refused,
    snapshot,
    tos_of,
    ttl_of,
    udp,
    with_fixed_checksum,
    with_octet,
)

NAMES = ["gcm128", "cbc128-sha1", "ah-sha256"]


def tunnel(outer: int, **changes: Any) -> Tunnel:
    return dataclasses.replace(T4 if outer == 4 else T6, **changes)


def scapy_agrees(packet: bytes) -> None:
    """Length and checksum of the outer header are what scapy computes for it."""
    parsed = (IP if packet[0] >> 4 == 4 else IPv6)(packet)
    if packet[0] >> 4 == 4:
        del parsed.len, parsed.chksum
    else:
        del parsed.plen
    assert bytes(parsed) == packet


@pytest.mark.parametrize(("inner", "outer"), FAMILIES)
@pytest.mark.parametrize("name", NAMES)
def test_fixed_fields(name: str, inner: int, outer: int) -> None:
    """Version, header length, addresses, protocol, length, checksum; and the inner packet is not touched."""
    sender, receiver = pair(name, outer=outer)
    protocol = 51 if name.startswith("ah") else 50
    for size in (0, 1, 33, 1400):
        plain = ip(inner, udp(octets(size)), tos=0xFF, ttl=9)
        sent = sender.protect(plain)
        scapy_agrees(sent)
        if outer == 4:
            assert sent[0] == 0x45 and sent[9] == protocol and sent[12:20] == GATE_A + GATE_B
            assert int.from_bytes(sent[2:4], "big") == len(sent)
            assert internet_checksum(sent[:20]) == 0
        else:
            assert sent[0] >> 4 == 6 and sent[6] == protocol and sent[8:40] == GATE6_A + GATE6_B
            assert int.from_bytes(sent[4:6], "big") == len(sent) - 40
        assert receive(receiver, sent) == plain


@pytest.mark.parametrize(("inner", "outer"), FAMILIES)
@pytest.mark.parametrize("name", NAMES)
def test_dscp(name: str, inner: int, outer: int) -> None:
    """Copied, or set from the SA (RFC 4301 5.1.2.1); ECN aside."""
    copying = outbound(name, outer=outer, copy_dscp=True, tunnel=tunnel(outer, dscp=46))
    setting = outbound(name, outer=outer, tunnel=tunnel(outer, dscp=46))
    receiver = inbound(name, replay_window=0)
    for dscp in range(64):
        plain = ip(inner, udp(), tos=dscp << 2 | dscp & 3)
        copied, given = copying.protect(plain), setting.protect(plain)
        assert tos_of(copied) == dscp << 2 and tos_of(given) == 46 << 2
        assert receive(receiver, copied) == plain and receive(receiver, given) == plain


@pytest.mark.parametrize("dscp", [0, 1, 31, 32, 63])
@pytest.mark.parametrize("outer", [4, 6])
def test_dscp_leaves_its_neighbours_alone(outer: int, dscp: int) -> None:
    sender = outbound("gcm128", outer=outer, ecn=True, tunnel=tunnel(outer, dscp=dscp))
    for ecn in range(4):
        sent = sender.protect(ip(4, udp(), tos=ecn))
        assert tos_of(sent) == dscp << 2 | ecn
        scapy_agrees(sent)


# copy_df, tunnel.df, inner: what the outer DF has to be.
DF_CASES = [
    (False, False, "df", False),
    (False, False, "no df", False),
    (False, False, "ipv6", False),
    (False, True, "df", True),
    (False, True, "no df", True),
    (False, True, "ipv6", True),
    (True, False, "df", True),
    (True, False, "no df", False),
    (True, False, "ipv6", True),
    (True, True, "df", True),
    (True, True, "no df", False),
    (True, True, "ipv6", True),
]


@pytest.mark.parametrize(("copy", "given", "inner", "expected"), DF_CASES)
@pytest.mark.parametrize("name", NAMES)
def test_df(name: str, copy: bool, given: bool, inner: str, expected: bool) -> None:
    """RFC 4301 8.1: copy, clear or set.  IPv6 cannot be fragmented on the way, as if all of it had DF (5.1.2.2)."""
    plain = ipv6(udp()) if inner == "ipv6" else ipv4(udp(), flags=2 if inner == "df" else 0)
    sent = outbound(name, copy_df=copy, tunnel=tunnel(4, df=given)).protect(plain)
    assert sent[6:8] == (b"\x40\0" if expected else b"\0\0")
    scapy_agrees(sent)
    assert receive(inbound(name, copy_df=copy), sent) == plain


def test_fragments_travel_in_tunnels() -> None:
    """Tunnel mode takes fragments (RFC 4301 7); their flags and offset do not get out, but for DF."""
    for flags, offset in ((1, 0), (0, 185), (3, 0), (4, 0)):
        plain = ipv4(octets(64), flags=flags, offset=offset)
        sent = outbound("gcm128", copy_df=True).protect(plain)
        assert sent[6:8] == (b"\x40\0" if flags & 2 else b"\0\0")
        assert receive(inbound("gcm128"), sent) == plain


@pytest.mark.parametrize("outer", [4, 6])
@pytest.mark.parametrize("ttl", [1, 2, 64, 255])
def test_outer_ttl_is_the_tunnels(outer: int, ttl: int) -> None:
    for inner in (1, 64, 255):
        sent = outbound("gcm128", outer=outer, tunnel=tunnel(outer, ttl=ttl)).protect(ip(4, udp(), ttl=inner))
        assert ttl_of(sent) == ttl
        scapy_agrees(sent)


@pytest.mark.parametrize(("inner", "outer"), FAMILIES)
@pytest.mark.parametrize("name", NAMES)
def test_ttl_decrement(name: str, inner: int, outer: int) -> None:
    """Once on the way in, once on the way out, each with the header checksum adjusted; other TTLs stay."""
    plain = ip(inner, udp(b"x"), ttl=17)
    sent = outbound(name, outer=outer, dec_ttl=True).protect(plain)
    assert ttl_of(sent) == 64
    assert receive(inbound(name), sent) == ip(inner, udp(b"x"), ttl=16)
    assert receive(inbound(name, dec_ttl=True), sent) == ip(inner, udp(b"x"), ttl=15)
    without = outbound(name, outer=outer).protect(plain)
    assert receive(inbound(name), without) == plain
    assert receive(inbound(name, dec_ttl=True), without) == ip(inner, udp(b"x"), ttl=16)


@pytest.mark.parametrize("ttl", range(2, 256))
def test_ttl_decrement_from_every_value(ttl: int) -> None:
    for family in (4, 6):
        sent = outbound("gcm128", dec_ttl=True).protect(ip(family, udp(), ttl=ttl))
        assert receive(inbound("gcm128"), sent) == ip(family, udp(), ttl=ttl - 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("ttl", [0, 1])
def test_ttl_expiry(ttl: int, family: int, name: str) -> None:
    """A packet with nothing left to decrement is dropped, and nothing but a count remembers it."""
    plain = ip(family, udp(), ttl=ttl)
    sender = outbound(name, dec_ttl=True)
    before = snapshot(sender)
    with refused(Reason.TTL_EXPIRED):
        sender.protect(plain)
    assert snapshot(sender) == before and sender.state.failures == {Reason.TTL_EXPIRED: 1}
    assert sender.protect(ip(family, udp(), ttl=2))[: header_length(plain)]  # the next one is number 1

    receiver = inbound(name, dec_ttl=True)
    with refused(Reason.TTL_EXPIRED):
        receive(receiver, outbound(name).protect(plain))
    assert (receiver.state.packets, receiver.state.bytes) == (0, 0)
    assert receive(inbound(name), outbound(name).protect(plain)) == plain


def test_ttl_belongs_to_tunnels() -> None:
    for family in (4, 6):
        plain = ip(family, udp(), ttl=1)
        sender, receiver = pair("gcm128", Mode.TRANSPORT, dec_ttl=True)
        assert receive(receiver, sender.protect(plain)) == plain


@pytest.mark.parametrize("label", [0, 1, 0xFFFFF, 0x12345])
def test_flow_label(label: int) -> None:
    sender = outbound("gcm128", outer=6, tunnel=tunnel(6, flow_label=label, dscp=63), ecn=True)
    sent = sender.protect(ipv6(udp(), flow=0xABCDE, tc=3))
    assert int.from_bytes(sent[:4], "big") == 6 << 28 | 0xFF << 20 | label
    assert receive(inbound("gcm128"), sent) == ipv6(udp(), flow=0xABCDE, tc=3)


@pytest.mark.parametrize("name", NAMES)
def test_identification_is_fresh(name: str) -> None:
    sender = outbound(name)
    sent = [sender.protect(ipv4(udp(), ident=7)) for _ in range(300)]
    assert len({packet[4:6] for packet in sent}) == 300
    for packet in sent:
        scapy_agrees(packet)


def test_identification_wraps() -> None:
    """``next_id`` may give any number: its low 16 bits count."""
    for number, expected in ((0xFFFF, b"\xff\xff"), (0x10000, b"\0\0"), (0x123456, b"\x34\x56")):
        sent = outbound("gcm128", ident=number).protect(ipv4(udp()))
        assert sent[4:6] == expected
        scapy_agrees(sent)


def test_header_checksum_over_many_headers() -> None:
    """All the fields that vary, and sums that fold more than once."""
    for number in range(500):
        noise = octets(16, str(number))
        made = Tunnel(noise[:4], noise[4:8], dscp=noise[8] >> 2, df=bool(noise[9] & 1), ttl=noise[10] or 1)
        sender = outbound("null-md5", ident=noise[11] << 8 | noise[12], tunnel=made, ecn=True)
        sent = sender.protect(ipv4(bytes(noise[13]), tos=noise[14]))
        assert sent[:20] == with_fixed_checksum(sent)[:20]
    for address in (b"\0\0\0\0", b"\xff\xff\xff\xff"):
        sent = outbound("null-md5", tunnel=Tunnel(address, address)).protect(ipv4(b""))
        assert sent[:20] == with_fixed_checksum(sent)[:20]


def test_header_checksum_over_every_identification() -> None:
    """Sums that fold twice are rare: a few of the 65536."""
    sender = outbound("null-md5", tunnel=Tunnel(b"\xff\xff\xff\xff", b"\xff\xff\xff\xff", df=True))
    plain, twice = ipv4(b""), 0
    for number in range(1 << 16):
        words = struct.unpack_from("!10H", sender.protect(plain))
        assert words[2] == number
        assert sum(words) % 0xFFFF == 0
        rest = sum(words) - words[5]
        twice += (rest & 0xFFFF) + (rest >> 16) > 0xFFFF
    assert twice


# --- MTU --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("inner", "outer"), FAMILIES)
@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", NAMES)
def test_mtu(name: str, mode: Mode, inner: int, outer: int) -> None:
    """The protected packet may be as long as the MTU; one octet more is refused, and nothing has changed."""
    plain = ip(inner, udp(octets(100)))
    length = len(outbound(name, mode, outer).protect(plain))
    assert len(outbound(name, mode, outer, mtu=length).protect(plain)) == length
    sender = outbound(name, mode, outer, mtu=length - 1)
    before = snapshot(sender)
    with refused(Reason.TOO_BIG):
        sender.protect(plain)
    assert snapshot(sender) == before and sender.state.failures == {Reason.TOO_BIG: 1}
    small = sender.protect(ip(inner, udp()))
    assert locate(small)[6] == 1  # the refused packet used up no number


def test_more_than_a_length_field_holds() -> None:
    for mode in Mode:
        for family, most in ((4, 65535 - 20), (6, 65535 - 40)):
            with refused(Reason.TOO_BIG):
                outbound("gcm128", mode, mtu=1 << 20).protect(ip(family, bytes(most)))


# --- UDP encapsulation ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("inner", "outer"), FAMILIES)
@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", ["gcm128", "cbc128-sha1", "null-sha256", "gmac128"])
def test_udp_encapsulation(name: str, mode: Mode, inner: int, outer: int) -> None:
    """Ports and length; the checksum is zero over IPv4 (RFC 3948 2.1) and computed over IPv6 (RFC 8200 8.1)."""
    encap = UdpEncap(4500, 61234)
    sender, receiver = pair(name, mode, outer, udp=encap)
    for size in (0, 1, 2, 3, 55, 1200):
        plain = ip(inner, udp(octets(size)))
        sent = sender.protect(plain)
        scapy_agrees(sent)
        start = header_length(sent)
        assert sent[9 if sent[0] >> 4 == 4 else 6] == 17
        sport, dport, length, checksum = struct.unpack_from("!HHHH", sent, start)
        assert (sport, dport, length) == (4500, 61234, len(sent) - start)
        if sent[0] >> 4 == 4:
            assert checksum == 0
        else:
            pseudo = sent[8:40] + struct.pack("!II", length, 17)
            assert checksum and internet_checksum(pseudo + sent[start:]) == 0
        assert receive(receiver, sent) == plain


def test_udp_checksum_is_never_zero_over_ipv6() -> None:
    """A sum that comes out as zero is sent as 0xffff (RFC 8200 8.1): among so many, one does."""
    from virtionet_ipsec.ipsec.tunnel import udp_checksum

    addresses = GATE6_A + GATE6_B
    datagram = struct.pack("!HHHH", 4500, 4500, 12, 0)
    zeros = 0
    for tail in range(1 << 16):
        packet = udp_checksum(addresses, datagram + b"\0\0" + struct.pack("!H", tail))
        assert packet[6:8] != b"\0\0"
        zeros += packet[6:8] == b"\xff\xff"
    assert zeros == 1


def test_a_nat_may_change_the_ports() -> None:
    """RFC 3948: the ports are what the NAT made of them; a UDP checksum that it filled in does not matter."""
    plain = ipv4(udp(b"z"))
    sent = outbound("gcm128", udp=NATT).protect(plain)
    changed = sent[:20] + b"\x30\x39" + sent[22:26] + b"\xbe\xef" + sent[28:]
    assert receive(inbound("gcm128", udp=NATT), changed) == plain


@pytest.mark.parametrize("outer", [4, 6])
def test_octets_behind_the_packet_are_left_out(outer: int) -> None:
    """Ethernet pads short frames; outbound and inbound go by the IP header's length."""
    plain = ip(outer, udp(b"q"))
    for name, encap in (("gcm128", None), ("gcm128", NATT), ("ah-sha256", None)):
        sender, receiver = pair(name, outer=outer, udp=encap)
        sent = sender.protect(plain + bytes(17))
        assert receive(receiver, sent + octets(9)) == plain
        assert sender.state.bytes == receiver.state.bytes == len(plain)


def test_a_wrong_inner_checksum_stays_wrong() -> None:
    """A gateway adjusts the checksum for the TTL that it changed; it does not mend packets."""
    plain = with_octet(ipv4(udp(), ttl=9), 11, 0xAA)
    got = receive(inbound("gcm128", dec_ttl=True), outbound("gcm128").protect(plain))
    assert got[:10] + got[12:] == plain[:8] + b"\x08" + plain[9:10] + plain[12:]
    assert internet_checksum(got[:20]) == internet_checksum(plain[:20]) != 0
