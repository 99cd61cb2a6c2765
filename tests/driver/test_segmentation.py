"""The reference driver hands packets over for segmentation as virtio 1.4, 5.1.9.2 asks of drivers."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet
from scapy.utils import checksum

from virtionet_ipsec.device import Device
from virtionet_ipsec.driver import CannotSegment, Driver, connect
from virtionet_ipsec.testing import DriverMonitor, Pair
from virtionet_ipsec.wire import Feature, Profile

from .fake import mask

SEGMENTATION = mask(Feature.HOST_TSO4, Feature.HOST_TSO6, Feature.HOST_USO, Feature.HOST_ECN)
BARE = mask(Feature.VERSION_1, Feature.CSUM)

ETHERNET = Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02")
V4, V6 = IP(src="198.51.100.1", dst="203.0.113.2"), IPv6(src="2001:db8:1::1", dst="2001:db8:2::2")
PAYLOAD = bytes(range(250))
PACKETS: dict[str, tuple[Packet, int, int, int]] = {  # frame, gso_type, csum_start, hdr_len
    "TCP over IPv4": (ETHERNET / V4 / TCP(flags="PA") / PAYLOAD, 1, 34, 54),
    "TCP with CWR": (ETHERNET / V4 / TCP(flags="PAC") / PAYLOAD, 0x81, 34, 54),
    "TCP with ECE": (ETHERNET / V4 / TCP(flags="PAE") / PAYLOAD, 1, 34, 54),
    "TCP with options": (ETHERNET / V4 / TCP(options=[("Timestamp", (1, 2))]) / PAYLOAD, 1, 34, 66),
    "TCP behind a tag": (ETHERNET / Dot1Q(vlan=5) / V4 / TCP() / PAYLOAD, 1, 38, 58),
    "TCP over IPv6": (ETHERNET / V6 / TCP(flags="PA") / PAYLOAD, 4, 54, 74),
    "TCP over IPv6 with CWR": (ETHERNET / V6 / TCP(flags="PAC") / PAYLOAD, 0x84, 54, 74),
    "TCP behind an extension header": (ETHERNET / V6 / IPv6ExtHdrDestOpt() / TCP() / PAYLOAD, 4, 62, 82),
    "UDP over IPv4": (ETHERNET / V4 / UDP() / PAYLOAD, 5, 34, 42),
    "UDP over IPv6": (ETHERNET / V6 / UDP() / PAYLOAD, 5, 54, 62),
}


class Recording(Device):
    """A device that remembers what it was given to send."""

    def transmit(self, buffer: bytes, queue: int = 0) -> tuple[bytes, ...]:
        self.last = bytes(buffer)
        return super().transmit(buffer, queue)


def driver(features: int = BARE | SEGMENTATION) -> Driver:
    made = Driver(Recording(), features=features)
    made.negotiate()
    return made


@pytest.mark.parametrize(("packet", "gso_type", "start", "hdr_len"), PACKETS.values(), ids=PACKETS)
def test_the_header(packet: Packet, gso_type: int, start: int, hdr_len: int) -> None:
    """To the octet; the checksum field has the sum of the pseudo header, with the packet's own length in it."""
    sender, frame = driver(), bytes(packet)
    left = sender.send(frame, gso=100)
    offset = 16 if TCP in packet else 6
    sent, at = sender.port.last, start + offset
    assert sent[:12] == struct.pack("<BBHHHHH", 1, gso_type, hdr_len, 100, start, offset, 0)
    protocol, length = 6 if TCP in packet else 17, len(frame) - start
    addresses = bytes(packet[IP])[12:20] if IP in packet else bytes(packet[IPv6])[8:40]
    total = addresses + (struct.pack("!HH", protocol, length) if IP in packet else struct.pack("!II", length, protocol))
    assert sent[12:] == frame[:at] + struct.pack("!H", checksum(total) ^ 0xFFFF) + frame[at + 2 :]
    assert len(left) == 3 and b"".join(each[hdr_len:] for each in left) == PAYLOAD


def test_what_a_monitor_says() -> None:
    """No statement on drivers is violated, be it a SHOULD: with SECURITY and without."""
    monitor = DriverMonitor(strict=True)
    wanted = connect().negotiated | SEGMENTATION
    pair = Pair(features=wanted, watch=monitor.watch)
    sas = pair.add_sa_pair()
    for packet, *_ in PACKETS.values():
        for sa in (None, sas.outbound):
            assert len(pair.send(packet, sa, gso=100)) == 3
    assert monitor.violations == []
    assert monitor.monitors[0].exchanges


def test_with_an_sa() -> None:
    pair = Pair(features=connect().negotiated | SEGMENTATION)
    sas = pair.add_sa_pair()
    packet = PACKETS["UDP over IPv4"][0]
    got = [pair.receive(wire) for wire in pair.send(packet, sas.outbound, gso=100)]
    assert [each.flag_names for each in got if each is not None] == [("SECURITY",)] * 3
    assert "cut into 3 segment(s) of at most 100 octets behind their headers" in str(pair.send(packet, gso=100)) + str(
        pair.story
    )


def test_ethernet_padding_is_left_out() -> None:
    sender, frame = driver(), bytes(ETHERNET / V4 / UDP() / b"abc")
    assert sender.send(frame + bytes(15), gso=2) == sender.send(frame, gso=2) != ()


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("TCP over IPv4", Feature.HOST_TSO4),
        ("TCP over IPv6", Feature.HOST_TSO6),
        ("TCP with CWR", Feature.HOST_ECN),
        ("UDP over IPv4", Feature.HOST_USO),
        ("UDP over IPv6", Feature.HOST_USO),
    ],
)
def test_without_the_feature(name: str, missing: Feature) -> None:
    sender = driver(BARE | SEGMENTATION & ~mask(missing))
    with pytest.raises(CannotSegment, match=f"VIRTIO_NET_F_{missing.name} was not negotiated"):
        sender.send(bytes(PACKETS[name][0]), gso=100)
    assert not hasattr(sender.port, "last")


@pytest.mark.parametrize("profile", Profile)
def test_nobody_asked(profile: Profile) -> None:
    """Segmentation is negotiated when ``features`` says so, and not otherwise."""
    sender = connect(profile)
    assert not sender.negotiated & SEGMENTATION and sender.device.features & SEGMENTATION == SEGMENTATION
    with pytest.raises(CannotSegment):
        sender.send(bytes(PACKETS["TCP over IPv4"][0]), gso=100)


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (ETHERNET / ARP(), "no IP packet"),
        (b"", "no IP packet"),
        (ETHERNET / V4, "no TCP or UDP header"),
        (ETHERNET / V4.__class__(bytes(V4 / UDP())[:24]), "truncated"),
        (ETHERNET / IP(proto=6) / b"123", "no TCP or UDP header"),
        (ETHERNET / IPv6(nh=0) / b"\6\xff123456", "malformed"),
    ],
)
def test_what_is_not_for_it(frame: Any, why: str) -> None:
    with pytest.raises(CannotSegment, match=why):
        driver().send(bytes(frame), gso=100)


@pytest.mark.parametrize("size", [0, -1, 0x10000])
def test_a_size_that_does_not_fit(size: int) -> None:
    with pytest.raises(CannotSegment, match=f"gso_size cannot be {size}"):
        driver().send(bytes(PACKETS["TCP over IPv4"][0]), gso=size)
