"""Frames that checks send are what scapy takes them for."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from virtionet_ipsec.conformance.driving import frames

V6 = frames.SRC6 + frames.DST6
MADE = {
    "udp4": frames.udp4_frame(tos=3, ttl=9, df=True),
    "udp6": frames.udp6_frame(traffic_class=5, flow_label=0x12345, hop_limit=7),
    "tcp4": frames.ethernet(frames.ipv4(frames.tcp(b"odd"), frames.TCP)),
    "tcp6": frames.ethernet(frames.ipv6(frames.tcp(b"odd", addresses=V6), frames.TCP)),
    "options": frames.ethernet(frames.ipv4(frames.udp(), options=b"\x01\x01\x01\x00")),
    "sized": frames.sized_frame(1500),
}


@pytest.mark.parametrize("frame", MADE.values(), ids=MADE)
def test_lengths_and_checksums(frame: bytes) -> None:
    seen = Ether(frame)
    again = Ether(frame)
    for layer in (IP, UDP, TCP):
        if layer in again:
            del again[layer].chksum
    for layer, field in ((IP, "len"), (UDP, "len"), (IPv6, "plen")):
        if layer in again:
            delattr(again[layer], field)
    assert bytes(again) == frame == bytes(seen)


def test_fields() -> None:
    ip = Ether(MADE["udp4"])[IP]
    assert (ip.tos, ip.ttl, ip.flags, ip.src, ip.dst) == (3, 9, "DF", "198.51.100.1", "203.0.113.2")
    ip6 = Ether(MADE["udp6"])[IPv6]
    assert (ip6.tc, ip6.fl, ip6.hlim, ip6.src, ip6.dst) == (5, 0x12345, 7, "2001:db8:0:1::1", "2001:db8:0:2::2")
    assert len(MADE["sized"]) == 1514


def test_pseudo_header_sum() -> None:
    """With it in the checksum field, the ones' complement sum from csum_start on is the checksum (5.1.9.2)."""
    datagram = frames.udp()
    start = frames.pseudo_header_sum(frames.SRC4 + frames.DST4, frames.UDP, len(datagram))
    partial = datagram[:6] + start.to_bytes(2, "big") + datagram[8:]
    total = sum(int.from_bytes((partial + b"\0")[at : at + 2], "big") for at in range(0, len(partial), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total ^ 0xFFFF == int.from_bytes(datagram[6:8], "big")
