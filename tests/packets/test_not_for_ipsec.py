"""D41: what is no IPsec packet goes up without SECURITY, also in fragments or cut; what is, or may be, is an error."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment

from virtionet_ipsec.ipsec import Reason, Refused, locate

IKE = b"\0\0\0\0" + bytes(range(64))
ESP_IN_UDP = b"\0\0\x10\x01" + bytes(64)


def reason(packet: bytes) -> Reason:
    with pytest.raises(Refused) as caught:
        locate(packet)
    return caught.value.reason


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (IP(flags="MF") / TCP() / bytes(40), Reason.NOT_IPSEC),
        (IP(frag=9, proto=6) / bytes(40), Reason.NOT_IPSEC),
        (IP(flags="MF") / UDP(sport=4500, dport=4500, len=900) / IKE, Reason.NOT_IPSEC),
        (IP(flags="MF") / UDP(sport=4500, dport=4500, len=900) / ESP_IN_UDP, Reason.FRAGMENT),
        (IP(frag=9, proto=17) / bytes(40), Reason.FRAGMENT),
        (IP(flags="MF", proto=50) / bytes(40), Reason.FRAGMENT),
        (IP(frag=9, proto=51) / bytes(40), Reason.FRAGMENT),
        (IPv6() / IPv6ExtHdrFragment(m=1, nh=6) / TCP(), Reason.NOT_IPSEC),
        (IPv6() / IPv6ExtHdrFragment(m=1, nh=17) / UDP(sport=4500, dport=4500, len=900) / IKE, Reason.NOT_IPSEC),
        (IPv6() / IPv6ExtHdrFragment(offset=9, nh=17) / bytes(40), Reason.FRAGMENT),
        (IPv6() / IPv6ExtHdrFragment(offset=9, nh=50) / bytes(40), Reason.FRAGMENT),
    ],
)
def test_fragments(packet: IP | IPv6, expected: Reason) -> None:
    assert reason(bytes(packet)) is expected


@pytest.mark.parametrize(
    ("packet", "cuts", "expected"),
    [
        (IP(proto=50) / bytes(100), (20, 24, 60, 119), Reason.TRUNCATED),
        (IP() / TCP() / bytes(100), (20, 60), Reason.NOT_IPSEC),
        (IP() / UDP(dport=4500) / IKE, (32, 60), Reason.NOT_IPSEC),
        (IP() / UDP(dport=4500) / ESP_IN_UDP, (20, 24, 32, 60), Reason.TRUNCATED),
        (IPv6(nh=50) / bytes(100), (40, 60), Reason.TRUNCATED),
        (IPv6() / IPv6ExtHdrDestOpt(nh=50) / bytes(100), (40, 44, 50, 100), Reason.TRUNCATED),
    ],
)
def test_cut_by_a_short_snapshot_length(packet: IP | IPv6, cuts: tuple[int, ...], expected: Reason) -> None:
    for cut in cuts:
        assert reason(bytes(packet)[:cut]) is expected
