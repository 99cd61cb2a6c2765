"""Packets for the device to segment, against the example of virtio 1.4, 5.1.9.2 Packet Transmission."""

from __future__ import annotations

from virtionet_ipsec.conformance.driving import frames, segments
from virtionet_ipsec.wire.enums import GsoType


def test_tcp_over_ipv4_in_geneve_is_the_example() -> None:
    """But for two offsets: the example says 42 and 62, where the outer UDP header is at 14 + 20, the inner IP at 64."""
    packet = next(segments.tunnelled())
    expected = {"csum_start": 84, "csum_offset": 16, "outer_th_offset": 34, "inner_nh_offset": 64, "gso_type": 0x21}
    assert {name: packet.fields[name] for name in expected} == expected


def test_offsets_point_at_what_they_name() -> None:
    for packet in segments.tunnelled():
        frame, fields = packet.frame, packet.fields
        outer, inner = fields["outer_th_offset"], fields["inner_nh_offset"]
        version = 4 if fields["gso_type"] & ~0x60 == GsoType.TCPV4 else 6
        assert frame[outer + 2 : outer + 4] == (6081).to_bytes(2, "big") and frame[outer + 6 : outer + 8] == b"\0\0"
        assert frame[inner] >> 4 == version
        assert fields["csum_start"] == inner + {4: 20, 6: 40}[version]


def test_filling_in_the_checksum_makes_it_right() -> None:
    for packet in (segments.tcp4(), segments.tcp6()):
        start = packet.fields["csum_start"]
        at = start + packet.fields["csum_offset"]
        total = frames.checksum(packet.frame[start:]).to_bytes(2, "big")
        addresses = packet.frame[start - (8 if packet.fields["gso_type"] == GsoType.TCPV4 else 32) : start]
        data = packet.frame[start + 20 :]
        assert packet.frame[start:at] + total + packet.frame[at + 2 :] == frames.tcp(data, addresses=addresses)
