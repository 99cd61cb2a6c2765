"""Policies: which packets leave protected, and which may arrive how (RFC 4301 5)."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6ND_RS,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    fragment6,
)

from virtionet_ipsec.ipsec import Reason, Refused
from virtionet_ipsec.safile import Select
from virtionet_ipsec.serve.policies import Policies

from .rig import Direction

OUT, IN = Direction.OUTBOUND, Direction.INBOUND
US, THEM = ip_network("10.1.0.0/16"), ip_network("10.2.0.0/16")
TO_THEM = Select(src=US, dst=THEM)
DNS = Select(src=US, dst=THEM, proto=17, dport=53)


def policies(*rows: tuple[Direction, int, Select], paired: Any = lambda outbound, inbound: True) -> Policies:
    made = Policies(paired)
    for row in rows:
        made.add(*row)
    return made


def there(layer: Any = None, src: str = "10.1.0.1", dst: str = "10.2.0.1", **fields: Any) -> bytes:
    """A packet from us to them."""
    return bytes(IP(src=src, dst=dst, **fields) / (layer if layer is not None else UDP(sport=5000, dport=53) / b"?"))


def back(layer: Any = None, src: str = "10.2.0.1", dst: str = "10.1.0.1", **fields: Any) -> bytes:
    """A packet from them to us."""
    return bytes(IP(src=src, dst=dst, **fields) / (layer if layer is not None else UDP(sport=53, dport=5000) / b"!"))


def reason(made: Policies, packet: bytes) -> Reason:
    with pytest.raises(Refused) as caught:
        made.outbound(packet)
    return caught.value.reason


# -- outbound ---------------------------------------------------------------------------------------------------------


def test_the_first_that_matches() -> None:
    made = policies((OUT, 5, DNS), (OUT, 6, TO_THEM))
    assert made.outbound(there()) == 5
    assert made.outbound(there(TCP(dport=53))) == 6
    assert made.outbound(there(dst="10.3.0.1")) is None
    made.add(OUT, 7, Select(), first=True)
    assert made.outbound(there()) == made.outbound(there(dst="10.3.0.1")) == 7
    assert [each.sa for each in made] == [7, 5, 6]


def test_a_policy_that_is_removed() -> None:
    made = policies((OUT, 5, DNS), (OUT, 6, TO_THEM))
    first, second = made
    assert made.remove(first.id) and not made.remove(first.id)
    assert made.outbound(there()) == 6 and len(made) == 1
    assert made.remove(second.id)
    assert made.outbound(there()) is None and made.clear(back())


def test_ids_are_not_used_again() -> None:
    made = policies((OUT, 5, DNS))
    (first,) = made
    made.remove(first.id)
    assert made.add(OUT, 5, DNS).id != first.id


def test_inbound_policies_send_nothing() -> None:
    made = policies((IN, 1, Select()))
    assert made.outbound(there()) is None and made.outbound(b"\x45junk") is None


@pytest.mark.parametrize("made", [there(flags="MF"), there(frag=3)])
def test_a_fragment_does_not_leave_where_ports_decide(made: bytes) -> None:
    assert reason(policies((OUT, 5, DNS)), made) is Reason.FRAGMENT
    assert reason(policies((OUT, 5, DNS), (OUT, 6, TO_THEM)), made) is Reason.FRAGMENT
    assert policies((OUT, 6, TO_THEM), (OUT, 5, DNS)).outbound(made) == 6
    assert policies((OUT, 5, Select(proto=6, dport=53))).outbound(made) is None
    assert policies((OUT, 5, Select(dst=ip_network("10.9.0.0/16"), proto=17, dport=53))).outbound(made) is None


def test_what_makes_no_sense_does_not_leave() -> None:
    for packet in (b"", b"\x45", b"\x46" + bytes(19), b"\x50" + bytes(39), b"\x45\0\0\x13" + bytes(16)):
        assert reason(policies((OUT, 5, DNS)), packet) is Reason.MALFORMED
        assert policies().outbound(packet) is None


def test_an_icmp_error_goes_as_what_it_answers() -> None:
    """It holds a part of a packet that came protected (RFC 4301 6.2)."""
    made = policies((OUT, 5, DNS))
    question = IP(src="10.2.0.1", dst="10.1.0.1") / UDP(sport=53, dport=5000) / b"secret"
    assert made.outbound(there(ICMP(type=3, code=3) / question)) == 5
    assert made.outbound(there(ICMP(type=3, code=3) / question, dst="10.9.9.9")) == 5  # of a router in between
    assert made.outbound(there(ICMP(type=8) / question)) is None  # an echo request holds what it likes
    other = IP(src="10.2.0.1", dst="10.1.0.1") / UDP(sport=54, dport=5000)
    assert made.outbound(there(ICMP(type=3, code=3) / other)) is None
    piece = IP(src="10.2.0.1", dst="10.1.0.1", frag=2, proto=17) / b"12345678"
    assert reason(made, there(ICMP(type=11) / piece)) is Reason.FRAGMENT
    six = policies((OUT, 5, Select(proto=17, dport=53)))
    told = IPv6(src="fd02::1", dst="fd01::1") / UDP(sport=53, dport=5000) / b"secret"
    assert six.outbound(bytes(IPv6(src="fd01::1", dst="fd02::1") / ICMPv6DestUnreach(code=4) / told)) == 5
    assert six.outbound(bytes(IPv6(src="fd01::1", dst="fd02::1") / ICMPv6EchoRequest() / bytes(told))) is None


def test_a_select_without_anything_takes_all_but_discovery() -> None:
    made = policies((OUT, 5, Select()))
    assert made.outbound(there()) == 5
    v6 = {"src": "fe80::1", "dst": "ff02::1:ff00:2"}
    for message in (ICMPv6ND_NS(), ICMPv6ND_NA(), ICMPv6ND_RS(), ICMPv6ND_RA(), ICMPv6ND_Redirect()):
        assert made.outbound(bytes(IPv6(**v6, hlim=255) / message)) is None
        assert made.clear(bytes(IPv6(**v6, hlim=255) / message))
        assert made.outbound(bytes(IPv6(**v6, hlim=254) / message)) == 5
        assert not made.clear(bytes(IPv6(**v6, hlim=254) / message))
    assert made.outbound(bytes(IPv6(**v6, hlim=255) / ICMPv6EchoRequest())) == 5
    assert not made.clear(bytes(IPv6(**v6, hlim=255) / ICMPv6EchoRequest()))


# -- in the clear -----------------------------------------------------------------------------------------------------


def test_answers_have_to_come_protected() -> None:
    made = policies((OUT, 5, DNS))
    assert not made.clear(back())
    assert made.clear(back(UDP(sport=54, dport=5000)))
    assert made.clear(back(TCP(sport=53, dport=5000)))
    assert made.clear(back(src="10.3.0.1"))
    assert made.clear(there())  # not ours to receive, and no answer


def test_what_an_inbound_policy_names_has_to_come_protected() -> None:
    made = policies((IN, 1, Select(src=THEM, proto=17, sport=53)))
    assert not made.clear(back())
    assert made.clear(back(UDP(sport=54, dport=5000)))
    assert made.clear(there())


@pytest.mark.parametrize("rows", [[(OUT, 5, DNS)], [(IN, 1, Select(src=THEM, proto=17, sport=53))]])
def test_fragments_are_no_way_around(rows: list[Any]) -> None:
    made = policies(*rows)
    whole = IP(src="10.2.0.1", dst="10.1.0.1") / UDP(sport=53, dport=5000) / bytes(3000)
    pieces = fragment(whole, 1400)
    assert len(pieces) == 3 and not any(made.clear(bytes(each)) for each in pieces)
    assert made.clear(back(frag=1, proto=6, layer=bytes(20)))


@pytest.mark.parametrize("rows", [[(OUT, 5, DNS)], [(IN, 1, Select(src=THEM, proto=17, sport=53))]])
def test_fragments_over_ipv6_are_no_way_around(rows: list[Any]) -> None:
    """Nor behind further extension headers, in front of which a fragment header hides the protocol."""
    six = {US: ip_network("fd01::/16"), THEM: ip_network("fd02::/16"), None: None}
    made = policies(*((way, sa, Select(six[s.src], six[s.dst], s.proto, s.sport, s.dport)) for way, sa, s in rows))
    head = IPv6(src="fd02::1", dst="fd01::1")
    data = UDP(sport=53, dport=5000) / bytes(3000)
    pieces = fragment6(head / IPv6ExtHdrFragment() / data, 1400)
    hidden = fragment6(head / IPv6ExtHdrFragment() / IPv6ExtHdrDestOpt() / data, 1400)
    assert len(pieces) > 2 and len(hidden) > 2
    assert not any(made.clear(bytes(each)) for each in [*pieces, *hidden])
    assert made.clear(bytes(head / IPv6ExtHdrFragment(nh=6, m=1) / TCP()))


def test_icmp_errors_about_protected_packets_have_to_come_protected() -> None:
    made = policies((OUT, 5, DNS))
    sent = IP(src="10.1.0.1", dst="10.2.0.1") / UDP(sport=5000, dport=53)
    assert not made.clear(back(ICMP(type=3, code=4) / sent, src="10.9.9.9"))
    assert made.clear(back(ICMP(type=3, code=4) / (IP(src="10.1.0.1", dst="10.2.0.1") / TCP()), src="10.9.9.9"))
    assert made.clear(back(ICMP(type=8) / sent, src="10.9.9.9"))


def test_what_makes_no_sense_does_not_arrive() -> None:
    for packet in (b"", b"\x45", b"\x46" + bytes(19), b"\x50" + bytes(39)):
        assert not policies((IN, 1, DNS)).clear(packet) and not policies((OUT, 1, DNS)).clear(packet)
        assert policies().clear(packet)


# -- through an SA ----------------------------------------------------------------------------------------------------


def test_out_of_an_sa_comes_what_the_outbound_policies_let_out() -> None:
    made = policies((OUT, 5, DNS))
    assert made.through(1, back())
    assert not made.through(1, back(UDP(sport=54, dport=5000)))
    assert not made.through(1, back(src="10.3.0.1"))
    assert not made.through(1, there())
    assert made.through(1, back(frag=1, proto=17, layer=bytes(20)))  # it may be one of them, and came protected
    assert not made.through(1, back(frag=1, proto=6, layer=bytes(20)))
    assert not made.through(1, b"\x45junk")


def test_out_of_the_other_half_of_a_pair_alone() -> None:
    """Two tunnels: what comes out of one may not claim to be of the other's network."""
    near, far = Select(dst=THEM), Select(dst=ip_network("10.3.0.0/16"))
    made = policies((OUT, 1, near), (OUT, 2, far), paired=lambda outbound, inbound: outbound == inbound)
    assert made.through(1, back()) and made.through(2, back(src="10.3.0.1"))
    assert not made.through(2, back()) and not made.through(1, back(src="10.3.0.1"))


def test_the_first_policy_that_matches_says_which_pair() -> None:
    made = policies((OUT, 1, DNS), (OUT, 2, TO_THEM), paired=lambda outbound, inbound: outbound == inbound)
    assert made.through(1, back()) and not made.through(2, back())
    assert made.through(2, back(TCP())) and not made.through(1, back(TCP()))
    piece = back(frag=1, proto=17, layer=bytes(20))  # of a packet to either
    assert made.through(1, piece) and made.through(2, piece)


def test_an_inbound_policy_takes_the_place_of_the_others() -> None:
    made = policies((OUT, 5, DNS), (IN, 1, Select(src=THEM, proto=6)), (IN, 1, Select(src=THEM, proto=1)))
    assert made.through(1, back(TCP())) and made.through(1, back(ICMP()))
    assert not made.through(1, back())
    assert made.through(2, back()) and not made.through(2, back(TCP()))


def test_without_policies_all_that_was_protected_may_come() -> None:
    assert policies().through(1, there()) and policies().through(1, b"\x45junk")
    assert policies((IN, 2, DNS)).through(1, there())


def test_icmp_errors_come_as_what_they_are_about() -> None:
    """From a router behind the other gateway, whose address is in no policy (RFC 4301 6.2)."""
    sent = IP(src="10.1.0.1", dst="10.2.0.1") / UDP(sport=5000, dport=53) / b"?"
    error = back(ICMP(type=11) / sent, src="10.9.9.9")
    for rows in ([(OUT, 5, DNS)], [(IN, 1, Select(src=THEM, proto=17, sport=53))]):
        made = policies(*rows)
        assert made.through(1, error)
        assert not made.through(1, back(ICMP(type=8) / sent, src="10.9.9.9"))
        assert not made.through(1, back(ICMP(type=11) / (IP(dst="10.2.0.1") / TCP()), src="10.9.9.9"))


# -- any octets -------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=100), st.sampled_from([b"", b"\x45\0\0\x40", b"\x60\0\0\0\0\x20"]))
def test_any_octets(octets: bytes, head: bytes) -> None:
    """Nothing is raised but Refused, and what has no meaning goes no way at all."""
    made = policies((OUT, 5, DNS), (IN, 1, Select(proto=58)))
    packet = head + octets
    try:
        made.outbound(packet)
        why = None
    except Refused as refused:
        why = refused.reason
    assert why in (None, Reason.MALFORMED, Reason.FRAGMENT)
    arrives = made.clear(packet) or made.through(1, packet)
    assert not (arrives and why is Reason.MALFORMED)
