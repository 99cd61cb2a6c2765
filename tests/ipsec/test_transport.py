"""Transport mode: where ESP and AH go, what is left of the header; and how a packet's IPsec header is found."""

from __future__ import annotations

import struct

import pytest

from virtionet_ipsec.ipsec import Mode, Reason, locate

from .builders import (
    ALL,
    GATE_A,
    GATE_B,
    NATT,
    SPI,
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
    sealed,
    snapshot,
    trailer,
    udp,
    with_octet,
    with_payload,
)

NAMES = ["gcm128", "cbc128-sha1", "null-sha256", "ah-sha256", "ah-gmac128"]


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("name", ALL)
def test_there_and_back(name: str, family: int) -> None:
    sender, receiver = pair(name, Mode.TRANSPORT)
    for size in range(40):
        plain = ip(family, udp(octets(size)), tos=0xAB, ttl=3)
        sent = sender.protect(plain)
        assert receive(receiver, sent) == plain
        # The header is the packet's own: protocol, length and checksum aside.
        if family == 4:
            assert sent[:2] + sent[4:9] + sent[12:20] == plain[:2] + plain[4:9] + plain[12:20]
            assert internet_checksum(sent[:20]) == 0
        else:
            assert sent[:4] + sent[7:40] == plain[:4] + plain[7:40]


def chain(*headers: int, last: int = 17, option: bytes = b"\1\4\0\0\0\0") -> tuple[int, bytes]:
    """(first next header, octets) of IPv6 extension headers of the given types, 8 or 24 octets each."""
    out, nh = b"", last
    for kind in reversed(headers):
        body = b"\0\0\0\0\0\0" if kind in (43, 44) else option
        if kind == 43:
            out = struct.pack("!BBBBI", nh, 2, 0, 0, 0) + octets(16, "hop") + out
        else:
            out = bytes((nh, 0)) + body + out
        nh = kind
    return nh, out


HOPS, ROUTING, ATOMIC, DEST = 0, 43, 44, 60

# Headers, and how many octets of them stay in front (RFC 4303 3.1.1, RFC 8200 4.1).
PLACES = [
    ((), 0),
    ((HOPS,), 8),
    ((ROUTING,), 24),
    ((ATOMIC,), 8),  # an "atomic" fragment header is none (RFC 6946)
    ((DEST,), 0),  # for the destination alone: protected
    ((HOPS, DEST), 8),
    ((DEST, ROUTING), 32),  # for each hop of the routing header: in front
    ((HOPS, DEST, ROUTING), 40),
    ((HOPS, ROUTING, DEST), 32),
    ((HOPS, DEST, ROUTING, DEST), 40),
    ((HOPS, DEST, ROUTING, ATOMIC, DEST), 48),
    ((ROUTING, ATOMIC), 32),
]


@pytest.mark.parametrize(("headers", "in_front"), PLACES)
@pytest.mark.parametrize("name", NAMES)
def test_ipv6_extension_headers(name: str, headers: tuple[int, ...], in_front: int) -> None:
    first, octets_of_them = chain(*headers)
    plain = ipv6(octets_of_them + udp(b"body"), nh=first)
    sender, receiver = pair(name, Mode.TRANSPORT)
    sent = sender.protect(plain)
    protocol, offset, end, nh_offset, _, spi, seq = locate(sent)
    assert (protocol, offset, end) == (51 if name.startswith("ah") else 50, 40 + in_front, len(sent))
    assert (spi, seq) == (SPI, 1)
    assert sent[nh_offset] == protocol
    # All in front of it is as it was, but for the octet that names it and the length.
    was = bytearray(plain[: 40 + in_front])
    was[nh_offset], was[4:6] = protocol, struct.pack("!H", len(sent) - 40)
    assert sent[:offset] == was
    # AH and a NULL cipher name in the clear what comes next.
    inside = plain[nh_offset]
    if name.startswith("ah"):
        assert sent[offset] == inside
    elif name == "null-sha256":
        assert sent[-17] == inside and sent[offset + 8 :].startswith(plain[40 + in_front :])
    assert receive(receiver, sent) == plain


@pytest.mark.parametrize("length", range(4, 44, 4))
@pytest.mark.parametrize("name", NAMES)
def test_ipv4_options(name: str, length: int) -> None:
    plain = ipv4(udp(b"body"), options=b"\1" * length)
    sender, receiver = pair(name, Mode.TRANSPORT)
    sent = sender.protect(plain)
    assert locate(sent)[1] == 20 + length and sent[20 : 20 + length] == b"\1" * length
    assert internet_checksum(sent[: 20 + length]) == 0
    assert receive(receiver, sent) == plain


@pytest.mark.parametrize("length", [4, 40])
@pytest.mark.parametrize("name", ["gcm128", "cbc128-sha1"])
def test_udp_encapsulation_behind_options(name: str, length: int) -> None:
    plain = ipv4(udp(b"body"), options=b"\1" * length)
    sender, receiver = pair(name, Mode.TRANSPORT, udp=NATT)
    sent = sender.protect(plain)
    assert locate(sent)[:5] == (50, 28 + length, len(sent), 9, True)
    assert receive(receiver, sent) == plain


@pytest.mark.parametrize("name", ["gcm128", "cbc128-sha1"])
def test_udp_encapsulation_behind_extension_headers(name: str) -> None:
    first, extension = chain(HOPS, DEST)
    plain = ipv6(extension + udp(b"body"), nh=first)
    sender, receiver = pair(name, Mode.TRANSPORT, udp=NATT)
    sent = sender.protect(plain)
    assert locate(sent)[:5] == (50, 56, len(sent), 40, True)
    assert receive(receiver, sent) == plain


@pytest.mark.parametrize("name", NAMES)
def test_fragments_are_refused(name: str) -> None:
    """RFC 4301 7 and decision D17: transport mode does not apply to fragments."""
    sender = outbound(name, Mode.TRANSPORT)
    before = snapshot(sender)
    fragments = [ipv4(octets(32), flags=1), ipv4(octets(32), offset=4), ipv4(octets(32), flags=3, offset=8191)]
    for field in (1, 8, 0xFFF9):
        fragments.append(ipv6(struct.pack("!BBHI", 17, 0, field, 9) + octets(32), nh=44))
    for packet in fragments:
        with refused(Reason.FRAGMENT):
            sender.protect(packet)
    assert snapshot(sender) == before
    assert sender.state.failures == {Reason.FRAGMENT: len(fragments)}


def test_malformed_extension_headers_are_refused() -> None:
    for packet in (
        ipv6(b"", nh=0),
        ipv6(bytes(7), nh=0),
        ipv6(b"\x11\1" + bytes(8), nh=0),
        ipv6(b"\x3c\0" + bytes(6) + b"\x11\2" + bytes(12), nh=0),
        ipv6(bytes(4), nh=44),
        ipv6(b"\x11\xff" + bytes(100), nh=43),
    ):
        with refused(Reason.MALFORMED):
            outbound("gcm128", Mode.TRANSPORT).protect(packet)


def test_the_longest_ipv6_packet() -> None:
    """Payload length counts from behind the header: what arrives may have 65575 octets, and is let out."""
    inside = bytes(65528 - 8 - 16 - 8)
    head = struct.pack("!II", SPI, 1)
    packet = ipv6(head + sealed("gcm128", head, inside + trailer(len(inside), 17, 4)), nh=50)
    assert len(packet) > 65535
    assert receive(inbound("gcm128", Mode.TRANSPORT), packet) == ipv6(inside)


@pytest.mark.parametrize("family", [4, 6])
def test_a_tunnel_is_not_taken_for_transport(family: int) -> None:
    """Transport mode takes any next header; a tunnel only the two that are packets."""
    plain = ip(family, udp(b"abc"))
    tunnelled = outbound("gcm128").protect(plain)
    got = receive(inbound("gcm128", Mode.TRANSPORT), tunnelled)
    assert got == with_payload(tunnelled[:9] + bytes((4 if family == 4 else 41,)) + tunnelled[10:], plain)
    with refused(Reason.INNER_MISMATCH):
        receive(inbound("gcm128"), outbound("gcm128", Mode.TRANSPORT).protect(plain))


# --- Finding the header -----------------------------------------------------------------------------------------------

ESP_HEADER = struct.pack("!II", 0xCAFEF00D, 77)


def test_locate() -> None:
    """(protocol, offset, end, nh_offset, encapsulated, spi, seq)"""
    tail = ESP_HEADER + octets(40)
    assert locate(ipv4(tail, proto=50) + b"more") == (50, 20, 68, 9, False, 0xCAFEF00D, 77)
    assert locate(ipv4(tail, proto=50, options=bytes(8))) == (50, 28, 76, 9, False, 0xCAFEF00D, 77)
    assert locate(ipv6(tail, nh=50)) == (50, 40, 88, 6, False, 0xCAFEF00D, 77)
    assert locate(ipv4(b"\6\4\0\0" + tail, proto=51)) == (51, 20, 72, 9, False, 0xCAFEF00D, 77)
    assert locate(ipv4(udp(tail))) == (50, 28, 76, 9, True, 0xCAFEF00D, 77)
    assert locate(ipv6(udp(tail))) == (50, 48, 96, 6, True, 0xCAFEF00D, 77)
    first, extension = chain(HOPS, ROUTING, DEST, last=50)
    assert locate(ipv6(extension + tail, nh=first)) == (50, 80, 128, 72, False, 0xCAFEF00D, 77)
    # A UDP datagram may end before its IP packet does.
    assert locate(ipv4(udp(tail) + octets(5)))[1:3] == (28, 76)


NOTHING_TO_DO = {
    "tcp": ipv4(octets(40), proto=6),
    "icmpv6": ipv6(octets(40), nh=58),
    "non-esp marker": ipv4(udp(bytes(4) + octets(28), 4500, 4500)),
    "keep-alive": ipv4(udp(b"\xff", 4500, 4500)),
    "udp, empty": ipv4(udp(b"")),
    "udp, three octets": ipv4(udp(b"abc")),
    "no next header": ipv6(b"", nh=59),
    "udp6 non-esp marker": ipv6(udp(bytes(12))),
}


@pytest.mark.parametrize("what", NOTHING_TO_DO)
def test_neither_esp_nor_ah(what: str) -> None:
    """RFC 3948 2.2 and 2.3: marker and keep-alive are IKE's and the NAT's."""
    with refused(Reason.NOT_IPSEC):
        locate(NOTHING_TO_DO[what])


def test_a_keepalive_is_one_octet() -> None:
    """0xff as the start of an SPI is one: SPIs may begin with it."""
    packet = ipv4(udp(b"\xff\xff\xff\xff" + octets(30)))
    assert locate(packet)[5] == 0xFFFFFFFF


NOT_PACKETS = {
    "nothing": (b"", Reason.NOT_IP),
    "version 5": (with_octet(ipv4(octets(60), proto=50), 0, 0x55), Reason.NOT_IP),
    "version 0": (bytes(60), Reason.NOT_IP),
    "ethernet": (octets(6) + octets(6) + b"\x08\0" + ipv4(b""), Reason.NOT_IP),
    "19 octets": (ipv4(ESP_HEADER, proto=50)[:19], Reason.TRUNCATED),
    "39 octets": (ipv6(ESP_HEADER, nh=50)[:39], Reason.TRUNCATED),
    "one short": (ipv4(ESP_HEADER, proto=50)[:-1], Reason.TRUNCATED),
    "one short, ipv6": (ipv6(ESP_HEADER, nh=50)[:-1], Reason.TRUNCATED),
    "ihl 4": (with_octet(ipv4(ESP_HEADER, proto=50), 0, 0x44), Reason.MALFORMED),
    "ihl past the packet": (with_octet(ipv4(ESP_HEADER, proto=50), 0, 0x4F), Reason.MALFORMED),
    "length below the header": (ipv4(ESP_HEADER, proto=50)[:2] + b"\0\x13" + octets(40), Reason.MALFORMED),
    "7 octets of ESP": (ipv4(ESP_HEADER[:7], proto=50), Reason.MALFORMED),
    "11 octets of AH": (ipv4(bytes(11), proto=51), Reason.MALFORMED),
    "7 octets of UDP": (ipv4(bytes(7)), Reason.MALFORMED),
    "udp length 7": (ipv4(b"\0\1\0\1\0\7\0\0" + octets(20)), Reason.MALFORMED),
    "udp length 0": (ipv4(b"\0\1\0\1\0\0\0\0" + octets(20)), Reason.MALFORMED),
    "udp past the packet": (ipv4(b"\0\1\0\1\0\x40\0\0" + octets(20)), Reason.MALFORMED),
    "udp, short esp": (ipv4(udp(ESP_HEADER[:7])), Reason.MALFORMED),
    "mf": (ipv4(ESP_HEADER, proto=50, flags=1), Reason.FRAGMENT),
    "offset": (ipv4(ESP_HEADER, proto=50, offset=1), Reason.FRAGMENT),
    "mf, options": (ipv4(ESP_HEADER, proto=50, flags=1, options=bytes(4)), Reason.FRAGMENT),
    "offset, options": (ipv4(ESP_HEADER, proto=50, offset=8191, options=bytes(4)), Reason.FRAGMENT),
    "fragment header": (ipv6(b"\x32\0\0\1" + bytes(4) + ESP_HEADER, nh=44), Reason.FRAGMENT),
    "extension past the packet": (ipv6(b"\x32\5" + bytes(6) + ESP_HEADER, nh=60), Reason.MALFORMED),
}


@pytest.mark.parametrize("what", NOT_PACKETS)
def test_what_cannot_be_located(what: str) -> None:
    packet, reason = NOT_PACKETS[what]
    with refused(reason):
        locate(packet)


def test_df_and_the_reserved_bit_make_no_fragment() -> None:
    for flags in (0, 2, 4, 6):
        assert locate(ipv4(ESP_HEADER + octets(40), proto=50, flags=flags))[0] == 50


def test_wrong_kind_of_packet_for_the_sa() -> None:
    esp = outbound("gcm128").protect(ip(4, udp()))
    encapsulated = outbound("gcm128", udp=NATT).protect(ip(4, udp()))
    ah = outbound("ah-sha256").protect(ip(4, udp()))
    for receiver, packet, reason in (
        (inbound("gcm128"), ah, Reason.PROTOCOL_MISMATCH),
        (inbound("ah-sha256"), esp, Reason.PROTOCOL_MISMATCH),
        (inbound("ah-sha256"), encapsulated, Reason.PROTOCOL_MISMATCH),
        (inbound("gcm128"), encapsulated, Reason.ENCAP_MISMATCH),
        (inbound("gcm128", udp=NATT), esp, Reason.ENCAP_MISMATCH),
    ):
        before = snapshot(receiver)
        with refused(reason):
            receive(receiver, packet)
        assert snapshot(receiver) == before and receiver.state.failures == {reason: 1}


def test_outbound_wants_ip() -> None:
    sender = outbound("gcm128")
    for packet, reason in (
        (b"", Reason.NOT_IP),
        (bytes(64), Reason.NOT_IP),
        (b"\x45" * 19, Reason.TRUNCATED),
        (ipv4(udp())[:-1], Reason.TRUNCATED),
        (ipv6(udp())[:-1], Reason.TRUNCATED),
        (ipv6(udp())[:39], Reason.TRUNCATED),
        (with_octet(ipv4(udp()), 0, 0x44), Reason.MALFORMED),
        (with_octet(ipv4(b""), 0, 0x46), Reason.MALFORMED),
    ):
        before = snapshot(sender)
        with refused(reason):
            sender.protect(packet)
        assert snapshot(sender) == before


def test_the_builders_agree_with_themselves() -> None:
    packet = ipv4(udp(b"x"), src=GATE_A, dst=GATE_B, options=b"\1" * 4)
    assert with_payload(packet, packet[24:]) == packet and header_length(packet) == 24
