"""Which outbound SA a packet goes through: the first whose ``select`` matches."""

from __future__ import annotations

import struct
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment
from scapy.layers.sctp import SCTP

from virtionet_ipsec.policy import Choice, flow_of, matcher, mirrored
from virtionet_ipsec.safile import Select

from .files import packet, sa

SRC, DST = bytes((198, 51, 100, 1)), bytes((203, 0, 113, 1))


def chosen(octets: bytes, *selects: Select | None) -> int | None:
    """The place (from 1) of the select that is chosen."""
    return Choice([sa("outbound", number, select) for number, select in enumerate(selects, 1)])(octets)


def net(text: str):
    return ip_network(text)


@pytest.mark.parametrize(
    ("select", "takes"),
    [
        (None, True),
        (Select(), True),
        (Select(dst=net("203.0.113.0/24")), True),
        (Select(dst=net("203.0.113.1/32")), True),
        (Select(dst=net("203.0.113.2/32")), False),
        (Select(dst=net("203.0.112.0/24")), False),
        (Select(dst=net("0.0.0.0/0")), True),
        (Select(dst=net("::/0")), False),
        (Select(src=net("198.51.100.0/31")), True),
        (Select(src=net("198.51.100.2/31")), False),
        (Select(src=net("203.0.113.0/24")), False),
        (Select(src=net("198.51.100.0/24"), dst=net("203.0.113.0/24")), True),
        (Select(src=net("198.51.100.0/24"), dst=net("203.0.114.0/24")), False),
        (Select(proto=17), True),
        (Select(proto=6), False),
        (Select(proto=17, dport=53), True),
        (Select(proto=17, dport=5000), False),
        (Select(proto=17, sport=5000), True),
        (Select(proto=17, sport=53), False),
        (Select(proto=17, sport=5000, dport=53), True),
        (Select(proto=17, sport=5000, dport=54), False),
        (Select(proto=17, dport=0), False),
    ],
)
def test_one_select(select: Select | None, takes: bool) -> None:
    assert chosen(packet(), select) == (1 if takes else None)


def test_ipv6() -> None:
    octets = packet(6)
    assert chosen(octets, Select(dst=net("2001:db8:2::/48"))) == 1
    assert chosen(octets, Select(dst=net("2001:db8:2::1/128"), src=net("2001:db8:1::/127"))) == 1
    assert chosen(octets, Select(dst=net("2001:db8:3::/48"))) is None
    assert chosen(octets, Select(dst=net("0.0.0.0/0"))) is None
    assert chosen(octets, Select(proto=17, dport=53)) == 1


def test_the_first_in_file_order() -> None:
    narrow, wide = Select(dst=net("203.0.113.1/32")), Select(dst=net("203.0.0.0/16"))
    assert chosen(packet(), narrow, wide) == chosen(packet(), wide, narrow) == 1
    assert chosen(packet(), Select(proto=6), wide, None) == 2
    assert chosen(packet(dst="203.0.113.9"), narrow, wide) == 2
    assert chosen(packet(dst="9.9.9.9"), narrow, wide) is None
    assert chosen(packet()) is None


def test_the_id_is_what_counts_and_not_its_size() -> None:
    choice = Choice([sa("outbound", 900), sa("outbound", 2)])
    assert choice(packet()) == 900


@pytest.mark.parametrize(("layer", "proto"), [(TCP, 6), (UDP, 17), (SCTP, 132)])
def test_protocols_with_ports(layer: type, proto: int) -> None:
    octets = bytes(IP(src="198.51.100.1", dst="203.0.113.1") / layer(sport=7, dport=8))
    assert flow_of(octets) == (SRC, DST, proto, 7, 8)


def test_udp_lite_has_ports_and_icmp_has_none() -> None:
    assert flow_of(bytes(IP(proto=136) / struct.pack("!HH", 7, 8)))[2:] == (136, 7, 8)
    assert flow_of(bytes(IP() / ICMP()))[2:] == (1, None, None)
    for proto in (50, 51, 58, 47):
        assert flow_of(bytes(IP(proto=proto) / bytes(8)))[2:] == (proto, None, None)


@pytest.mark.parametrize("offset", [0, 1, 100])
@pytest.mark.parametrize("more", [0, 1])
def test_fragments_have_no_ports(offset: int, more: int) -> None:
    """Neither the first, which has them in it: the fragments of one packet go one way."""
    udp = bytes(UDP(sport=7, dport=53)) + bytes(8)
    v4 = bytes(IP(proto=17, flags=more, frag=offset) / udp)
    v6 = bytes(IPv6(nh=44) / IPv6ExtHdrFragment(nh=17, m=more, offset=offset) / udp)
    whole = offset == more == 0  # of IPv6 that is an atomic fragment, and a packet like others (RFC 6946)
    for octets in (v4, v6):
        assert flow_of(octets)[2:] == ((17, 7, 53) if whole else (17, None, None))
        assert chosen(octets, Select(proto=17, dport=53), Select(proto=17)) == (1 if whole else 2)


def test_ipv4_options_and_ipv6_extension_headers() -> None:
    options = bytes(IP(options=b"\x94\x04\x00\x00") / UDP(sport=7, dport=8))
    assert options[0] == 0x46 and flow_of(options)[2:] == (17, 7, 8)
    extended = bytes(IPv6() / IPv6ExtHdrDestOpt() / UDP(sport=7, dport=8))
    assert flow_of(extended)[2:] == (17, 7, 8)


def test_padding_is_not_part_of_the_packet() -> None:
    octets = bytes(IP(proto=17)) + bytes(20)
    assert octets[2:4] == b"\0\x14" and flow_of(octets)[2:] == (17, None, None)
    assert flow_of(packet() + bytes(20)) == flow_of(packet())


@pytest.mark.parametrize("version", [4, 6])
def test_cut_packets(version: int) -> None:
    """What a short snapshot length left of the headers still tells the way; less than an IP header does not."""
    octets = packet(version, bytes(100))
    header = {4: 20, 6: 40}[version]
    assert [flow_of(octets[:length]) for length in range(header)] == [None] * header
    for length in range(header, len(octets)):
        flow = flow_of(octets[:length])
        assert flow == flow_of(octets) if length >= header + 4 else flow == (*flow_of(octets)[:3], None, None)


@pytest.mark.parametrize(
    "octets", [b"", b"\0" * 40, b"\x50" * 40, b"\x44" + bytes(39), b"\x45\0\0\x13" + bytes(36), b"\x46\0\0\x17" * 10]
)
def test_what_is_no_ip_packet(octets: bytes) -> None:
    assert flow_of(octets) is None
    assert chosen(octets, None, Select()) is None


@given(st.binary(max_size=120))
def test_any_octets(octets: bytes) -> None:
    flow = flow_of(octets)
    assert flow is None or len(flow) == 5
    assert chosen(octets, Select(proto=17, dport=53), None) in (None, 1, 2)


def test_dccp_has_ports() -> None:
    octets = bytes(IP(src="198.51.100.1", dst="203.0.113.1", proto=33) / struct.pack("!HH", 7, 8) / bytes(8))
    assert flow_of(octets)[2:] == (33, 7, 8)
    assert chosen(octets, Select(proto=33, dport=8)) == 1


def test_mirrored() -> None:
    assert mirrored(flow_of(packet())) == (DST, SRC, 17, 53, 5000)
    assert mirrored(mirrored(flow_of(packet(6)))) == flow_of(packet(6))


# -- what may be meant ------------------------------------------------------------------------------------------------

PORT = Select(src=net("198.51.100.0/24"), dst=net("203.0.113.0/24"), proto=17, dport=53)


@pytest.mark.parametrize(
    ("flow", "exact", "may"),
    [
        ((SRC, DST, 17, 5000, 53), True, True),
        ((SRC, DST, 17, 5000, 54), False, False),
        ((SRC, DST, 17, None, None), False, True),
        ((SRC, DST, 6, None, None), False, False),
        ((DST, SRC, 17, None, None), False, False),
        ((SRC, DST, 60, None, None), False, True),  # a fragment in front of an extension header: what follows is hidden
        ((SRC, DST, 50, None, None), False, False),
    ],
)
def test_a_flow_that_hides_its_ports(flow: tuple, exact: bool, may: bool) -> None:
    assert matcher(PORT)(flow) is exact
    assert matcher(PORT, may=True)(flow) is may


selects = st.builds(
    Select,
    st.none() | st.sampled_from([net("198.51.100.0/24"), net("203.0.113.0/24")]),
    st.none() | st.sampled_from([net("198.51.100.0/24"), net("203.0.113.0/24")]),
    st.sampled_from([None, 6, 17]),
    st.sampled_from([None, 5000]),
    st.sampled_from([None, 53]),
)


@given(selects, st.sampled_from([SRC, DST]), st.sampled_from([SRC, DST]), st.sampled_from([6, 17]))
def test_the_fragments_of_what_is_matched_may_be_matched(select: Select, src: bytes, dst: bytes, proto: int) -> None:
    """Whatever the ports of the whole packet: if it is matched, then its fragments may be; and never the other way."""
    may, exact = matcher(select, may=True), matcher(select)
    hidden = (src, dst, proto, None, None)
    for ports in ((5000, 53), (5000, 1), (1, 53), (1, 1)):
        whole = (src, dst, proto, *ports)
        assert may(whole) is exact(whole)
        assert may(hidden) or not exact(whole)
    assert may(hidden) or not exact(hidden)
