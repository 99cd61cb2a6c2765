"""The key of a frame's flow: what has one key is decided alike, whatever else differs."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
)
from scapy.layers.l2 import ARP, Dot1Q
from scapy.layers.sctp import SCTP

from virtionet_ipsec.ipsec import Refused
from virtionet_ipsec.policy import flow_of
from virtionet_ipsec.safile import Select
from virtionet_ipsec.serve.flow_key import flow_key
from virtionet_ipsec.serve.policies import Policies

from .rig import Direction, frame

V4, V6 = {"src": "10.1.0.1", "dst": "10.2.0.1"}, {"src": "fd01::1", "dst": "fd02::1"}


def key(packet: object) -> object:
    return flow_key(frame(packet))


@pytest.mark.parametrize("layer", [TCP, UDP, SCTP])
@pytest.mark.parametrize(("ip", "ends"), [(IP, V4), (IPv6, V6)])
def test_what_a_policy_can_ask_for_tells_flows_apart(layer: type, ip: type, ends: dict[str, str]) -> None:
    base = ip(**ends) / layer(sport=1, dport=2) / b"payload"
    same = key(base)
    assert same is not None
    assert key(ip(**ends) / layer(sport=1, dport=2) / b"another, longer payload") == same
    others = [
        ip(**ends) / layer(sport=2, dport=1),
        ip(**ends) / layer(sport=1, dport=3),
        ip(**{**ends, "src": ends["dst"]}) / layer(sport=1, dport=2),
        ip(**{**ends, "dst": ends["src"]}) / layer(sport=1, dport=2),
        *(ip(**ends) / other(sport=1, dport=2) for other in (TCP, UDP, SCTP) if other is not layer),
    ]
    keys = [key(each) for each in others]
    assert None not in keys and same not in keys and len(set(keys)) == len(keys)


def test_the_rest_of_the_header_does_not() -> None:
    same = key(IP(**V4, ttl=64) / UDP())
    assert key(IP(**V4, ttl=3, id=77, tos=0xB8, flags="DF") / UDP()) == same
    assert key(IPv6(**V6, hlim=3, fl=99, tc=0xB8) / UDP()) == key(IPv6(**V6) / UDP())


@pytest.mark.parametrize(
    "packet",
    [
        ARP(),
        Dot1Q(vlan=3) / IP(**V4) / UDP(),
        IP(**V4, options=b"\x94\x04\0\0") / UDP(),
        IP(**V4, flags="MF") / UDP(),
        IP(**V4, frag=1) / UDP(),
        IP(**V4, len=28) / UDP() / bytes(18),
        IP(**V4) / ICMP(type=3, code=4) / IP(**V4) / UDP(),
        IPv6(**V6) / IPv6ExtHdrDestOpt() / UDP(),
        IPv6(**V6) / IPv6ExtHdrFragment() / UDP(),
        IPv6(**V6) / ICMPv6PacketTooBig() / IPv6(**V6) / UDP(),
        IPv6(**V6, plen=7) / UDP(),
        IP(**V4, proto=17),
    ],
    ids=lambda packet: packet.summary(),
)
def test_what_has_to_be_looked_at_one_by_one(packet: object) -> None:
    assert key(packet) is None


def test_icmp_is_told_by_its_type() -> None:
    pings = {key(IP(**V4) / ICMP(type=8, id=number)) for number in range(5)}
    assert len(pings) == 1 and None not in pings
    assert key(IP(**V4) / ICMP(type=0)) not in pings


def test_discovery_has_keys_of_its_own() -> None:
    ns = IPv6(**V6, hlim=255) / ICMPv6ND_NS(tgt="fd02::1")
    assert key(ns) is not None
    assert (
        len({key(ns), key(IPv6(**V6, hlim=64) / ICMPv6ND_NS()), key(IPv6(**V6, hlim=255) / ICMPv6EchoRequest())}) == 3
    )


@given(st.binary(max_size=80), st.sampled_from([b"\x08\x00\x45", b"\x86\xdd\x60", b""]))
def test_any_octets(octets: bytes, kind: bytes) -> None:
    made = octets[:12].ljust(12, b"\0") + kind + octets[12:]
    found = flow_key(made)
    assert found is None or flow_of(made[14:]) is not None


# -- against what is decided without a key -----------------------------------------------------------------------------


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    """IP packets of few flows, whole and in pieces, in frames."""
    six = draw(st.booleans())
    ends = draw(st.permutations(["fd01::1", "fd02::1"] if six else ["10.1.0.1", "10.2.0.1"]))
    inner = draw(st.sampled_from([TCP, UDP]))(sport=draw(st.sampled_from([1, 7])), dport=draw(st.sampled_from([1, 7])))
    if six:
        hops = draw(st.sampled_from([64, 255]))
        made = IPv6(src=ends[0], dst=ends[1], hlim=hops)
        shape = draw(st.integers(0, 4))
        if shape == 0:
            made /= IPv6ExtHdrFragment(nh=17, m=1) / inner
        elif shape == 1:
            made /= ICMPv6PacketTooBig() / IPv6(src=ends[1], dst=ends[0]) / inner
        elif shape == 2:
            made /= draw(st.sampled_from([ICMPv6EchoRequest(), ICMPv6ND_NS()]))
        else:
            made /= inner / b"data"
    else:
        made = IP(src=ends[0], dst=ends[1], flags=draw(st.sampled_from([0, 1])), ttl=draw(st.integers(1, 3)))
        shape = draw(st.integers(0, 3))
        if shape == 0:
            made /= ICMP(type=draw(st.sampled_from([3, 8, 11]))) / IP(src=ends[1], dst=ends[0]) / inner
        else:
            made /= inner / b"data"
    return frame(made)


SELECTS = st.builds(
    Select,
    st.sampled_from([None, ip_network("10.1.0.0/16"), ip_network("fd01::/16")]),
    st.none(),
    st.sampled_from([None, 1, 17, 58]),
    st.none(),
    st.none(),
) | st.builds(
    Select, st.none(), st.none(), st.sampled_from([6, 17]), st.sampled_from([None, 1]), st.sampled_from([None, 7])
)


def decisions(policies: Policies, packet: bytes) -> tuple[object, ...]:
    try:
        outbound: object = policies.outbound(packet)
    except Refused as refused:
        outbound = refused.reason
    return outbound, policies.clear(packet), policies.through(1, packet), policies.through(2, packet)


@given(
    st.lists(st.tuples(st.sampled_from(Direction), SELECTS), max_size=4), st.lists(packets(), min_size=8, max_size=30)
)
def test_one_key_one_decision(selects: list[tuple[Direction, Select]], frames: list[bytes]) -> None:
    policies = Policies(lambda outbound, inbound: outbound == inbound)
    for number, (direction, select) in enumerate(selects, 1):
        policies.add(direction, number, select)
    known: dict[object, tuple[object, ...]] = {}
    for each in frames:
        found = flow_key(each)
        if found is not None:
            assert known.setdefault(found, decisions(policies, each[14:])) == decisions(policies, each[14:])
