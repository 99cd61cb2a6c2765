"""The ICMP errors that tell a guest how large its packets may be, read by scapy."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether

from virtionet_ipsec.serve.too_big import too_big

from .rig import MACS, frame

V4: dict[str, Any] = {"src": "10.1.0.1", "dst": "10.2.0.1", "flags": "DF"}
V6 = {"src": "fd01::1", "dst": "fd02::1"}


def checked(octets: bytes) -> Any:
    """The answer, whose checksums scapy would compute the same."""
    answer = Ether(octets)
    again = answer.copy()
    for layer in (IP, ICMP):
        if layer in again:
            del again[layer].chksum
    if ICMPv6PacketTooBig in again:
        del again[ICMPv6PacketTooBig].cksum
    assert bytes(again) == octets
    return answer


@pytest.mark.parametrize("size", [100, 548, 549, 1400])
def test_ipv4(size: int) -> None:
    sent = frame(IP(**V4, ttl=9, tos=0xB8) / UDP(sport=1, dport=2) / bytes(size))
    answer = checked(too_big(sent, 1446))
    assert (answer.dst, answer.src) == (Ether(sent).src, Ether(sent).dst)
    assert (answer[IP].src, answer[IP].dst, answer[IP].proto) == (V4["dst"], V4["src"], 1)
    assert (answer[ICMP].type, answer[ICMP].code, answer[ICMP].nexthopmtu) == (3, 4, 1446)
    quoted = bytes(answer)[14 + 20 + 8 :]
    assert quoted == sent[14 : 14 + len(quoted)]
    assert len(answer[IP]) == min(576, 28 + len(sent) - 14)


@pytest.mark.parametrize("size", [100, 1300, 1400])
def test_ipv6(size: int) -> None:
    sent = frame(IPv6(**V6, hlim=9) / TCP(sport=1, dport=2) / bytes(size))
    answer = checked(too_big(sent, 1426))
    assert (answer.dst, answer.src) == (Ether(sent).src, Ether(sent).dst)
    assert (answer[IPv6].src, answer[IPv6].dst) == (V6["dst"], V6["src"])
    assert answer[ICMPv6PacketTooBig].mtu == 1426
    quoted = bytes(answer)[14 + 40 + 8 :]
    assert quoted == sent[14 : 14 + len(quoted)] and len(answer[IPv6]) == min(1280, 48 + len(sent) - 14)


def test_in_a_vlan() -> None:
    for packet in (IP(**V4) / UDP() / bytes(100), IPv6(**V6) / UDP() / bytes(100)):
        sent = frame(Dot1Q(vlan=7) / Dot1Q(vlan=8) / packet)
        answer = too_big(sent, 1446)
        assert answer[12:22] == sent[12:22] and answer[:12] == sent[6:12] + sent[:6]


def test_no_less_than_every_link_carries() -> None:
    assert Ether(too_big(frame(IP(**V4) / UDP()), 20))[ICMP].nexthopmtu == 68
    assert Ether(too_big(frame(IPv6(**V6) / UDP()), 1000))[ICMPv6PacketTooBig].mtu == 1280


@pytest.mark.parametrize(
    "packet",
    [
        IP(src="10.1.0.1", dst="10.2.0.1") / UDP(),
        IP(**{**V4, "src": "0.0.0.0"}) / UDP(),
        IP(**{**V4, "src": "224.0.0.1"}) / UDP(),
        IP(**{**V4, "src": "127.0.0.1"}) / UDP(),
        IP(**{**V4, "dst": "239.1.1.1"}) / UDP(),
        IP(**{**V4, "dst": "255.255.255.255"}) / UDP(),
        IP(**V4, frag=9) / bytes(30),
        IP(**V4) / ICMP(type=3, code=1) / IP(),
        IP(**V4) / ICMP(type=11) / IP(),
        IPv6(src="::", dst="fd02::1") / UDP(),
        IPv6(src="fd01::1", dst="ff02::1") / UDP(),
        IPv6(**V6) / ICMPv6TimeExceeded() / IPv6(),
        ARP(),
        IP(**V4, len=10) / UDP(),
    ],
    ids=lambda packet: packet.summary(),
)
def test_what_is_not_answered(packet: Any) -> None:
    assert too_big(frame(packet), 1446) is None


def test_pings_are_answered() -> None:
    assert too_big(frame(IP(**V4) / ICMP()), 1446) and too_big(frame(IPv6(**V6) / ICMPv6EchoRequest()), 1446)


@pytest.mark.parametrize("at", [0, 6])
def test_frames_of_or_for_many_are_not_answered(at: int) -> None:
    sent = bytearray(frame(IP(**V4) / UDP()))
    sent[at] |= 1
    assert too_big(bytes(sent), 1446) is None


@given(st.binary(max_size=100), st.sampled_from([b"\x08\0\x45\0\0", b"\x08\0", b"\x86\xdd\x60", b"\x81\0", b""]))
def test_any_octets(octets: bytes, kind: bytes) -> None:
    answer = too_big(MACS + kind + octets, 1400)
    assert answer is None or len(answer) <= 1280 + 22
