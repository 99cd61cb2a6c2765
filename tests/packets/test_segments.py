"""Segmentation on transmit (virtio 1.4, 5.1.9.2), held against scapy; test_segments_linux.py has a kernel's answers."""

from __future__ import annotations

import pytest
from scapy.layers.inet6 import IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrRouting, PadN

from virtionet_ipsec.device.packet_events import Segmented, Sent
from virtionet_ipsec.ipsec import Reason
from virtionet_ipsec.replay.story import Story
from virtionet_ipsec.wire import Profile

from .large import KIND_IDS, KINDS, large, segmenting, verified
from .rig import PROFILES, TAGS, refused

V6_TCP, V6_UDP, V4_TCP, V4_UDP = (6, 6), (6, 17), (4, 6), (4, 17)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_segments_are_scapys(kind: tuple[int, int], tags: int, profile: Profile) -> None:
    driver = segmenting(profile)
    packet = large(kind, 350, tags=tags)
    for size in (1, 7, 100, 116, 117, 175, 349):
        frames = driver.device.transmit(packet.buffer(driver, gso_size=size))
        assert list(frames) == packet.segments(size)
        assert len(frames) == -(-350 // size)


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
@pytest.mark.parametrize("size", [350, 351, 1448, 0xFFFF])
def test_one_segment(kind: tuple[int, int], size: int) -> None:
    """As much payload as gso_size, or less: nothing to cut, and the checksum is filled in."""
    driver = segmenting()
    packet = large(kind, 350, **({"flags": "FPA"} if kind[1] == 6 else {}))
    assert list(driver.device.transmit(packet.buffer(driver, gso_size=size))) == packet.segments(size)
    assert len(packet.segments(size)) == 1


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_no_payload(kind: tuple[int, int]) -> None:
    driver = segmenting()
    packet = large(kind, 0)
    (frame,) = driver.device.transmit(packet.buffer(driver, gso_size=10))
    assert [frame] == packet.segments(10) and verified(frame[14:])


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
@pytest.mark.parametrize("hdr_len", [0, 1, 14, 53, 54, 0xFFFF])
def test_hdr_len_is_not_looked_at(kind: tuple[int, int], hdr_len: int) -> None:
    """ "The device MUST NOT rely on hdr_len to be correct." """
    driver = segmenting()
    packet = large(kind, 300)
    assert list(driver.device.transmit(packet.buffer(driver, gso_size=100, hdr_len=hdr_len))) == packet.segments(100)


@pytest.mark.parametrize(("version", "limit"), [(4, 65535), (6, 65575)])
def test_the_largest_packet(version: int, limit: int) -> None:
    driver = segmenting()
    packet = large((version, 6), 65535 - 20 - (20 if version == 4 else 0))
    assert len(packet.frame) == 14 + limit
    frames = driver.device.transmit(packet.buffer(driver, gso_size=1440))
    assert list(frames) == packet.segments(1440)
    assert driver.device.counters.tx_sent == len(frames) == 46


def test_an_octet_each() -> None:
    """As many segments as there can be."""
    driver = segmenting()
    packet = large(V4_UDP, 65507)
    frames = driver.device.transmit(packet.buffer(driver, gso_size=1))
    assert len(frames) == 65507 and b"".join(frame[42:] for frame in frames) == packet.payload
    assert all(verified(frame[14:]) for frame in frames[:: len(frames) // 50])


# -- TCP flags ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [V4_TCP, V6_TCP], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("flags", ["A", "PA", "FA", "FPA", "PAC", "FPAEC", "FSRPAUEC"])
def test_flags(kind: tuple[int, int], flags: str) -> None:
    """D133: CWR in the first segment alone, FIN and PSH in the last."""
    driver = segmenting()
    packet = large(kind, 350, flags=flags)
    frames = driver.device.transmit(packet.buffer(driver, gso_size=100))
    at = 14 + {4: 20, 6: 40}[kind[0]] + 13
    seen = [frame[at] for frame in frames]
    assert [octet & 0x80 for octet in seen] == [0x80 * ("C" in flags), 0, 0, 0]
    assert [octet & 0x09 for octet in seen] == [0, 0, 0, ("F" in flags) | ("P" in flags) << 3]
    assert {octet & 0x76 for octet in seen} == {int(packet.transport.flags) & 0x76}
    assert list(frames) == packet.segments(100)


def test_cwr_without_the_ecn_bit() -> None:
    """The driver is to set the bit (D130); without it the packet is segmented as if it were there."""
    driver = segmenting()
    packet = large(V4_TCP, 350, flags="AC")
    frames = driver.device.transmit(packet.buffer(driver, gso_size=100, gso_type=1))
    assert list(frames) == packet.segments(100)


# -- headers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("checksum", [b"\0\0", b"\xff\xff", b"\x12\x34"])
@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_what_the_checksum_field_holds_does_not_matter(kind: tuple[int, int], checksum: bytes) -> None:
    """D131: the driver's pseudo header may have the packet's length, a segment's, or none."""
    driver = segmenting()
    packet = large(kind, 350)
    buffer = packet.buffer(driver, gso_size=100)
    at = driver.layout.size + packet.fields["csum_start"] + packet.fields["csum_offset"]
    frames = driver.device.transmit(buffer[:at] + checksum + buffer[at + 2 :])
    assert list(frames) == packet.segments(100)


@pytest.mark.parametrize("length", [0, 8, 108, 0xFFFF])
def test_the_udp_length_does_not_matter(length: int) -> None:
    """D132: Linux takes the packet's and a segment's."""
    driver = segmenting()
    packet = large(V4_UDP, 350)
    buffer = packet.buffer(driver, gso_size=100)
    at = driver.layout.size + 34 + 4
    frames = driver.device.transmit(buffer[:at] + length.to_bytes(2, "big") + buffer[at + 2 :])
    assert list(frames) == packet.segments(100)


@pytest.mark.parametrize("kind", [V6_TCP, V6_UDP], ids=["TCP", "UDP"])
@pytest.mark.parametrize(
    "between",
    [
        IPv6ExtHdrDestOpt(options=[PadN(optdata=b"abcd"), PadN(optdata=b"abcdef")]),
        IPv6ExtHdrRouting(addresses=["2001:db8:2::1"], segleft=0),
        IPv6ExtHdrFragment(id=7),  # an atomic fragment is none (RFC 6946)
        IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting(segleft=0) / IPv6ExtHdrDestOpt(),
    ],
    ids=["options", "routing", "atomic fragment", "three"],
)
def test_extension_headers_are_in_every_segment(kind: tuple[int, int], between: IPv6ExtHdrDestOpt) -> None:
    driver = segmenting()
    packet = large(kind, 350, between=between)
    frames = driver.device.transmit(packet.buffer(driver, gso_size=100))
    assert len(frames) == 4 and list(frames) == packet.segments(100)


@pytest.mark.parametrize(("octets", "fits"), [(464, True), (472, False)])
def test_headers_are_not_copied_without_end(octets: int, fits: bool) -> None:
    """512 octets of them are copied, more are not, however large the MTU (D132)."""
    driver = segmenting(mtu=65535)
    options = [PadN(optdata=bytes(255)), PadN(optdata=bytes(octets - 261))]
    packet = large(V6_UDP, 350, between=IPv6ExtHdrDestOpt(options=options, autopad=0))
    assert packet.fields["csum_start"] - 14 + 8 == 48 + octets
    if fits:
        assert list(driver.device.transmit(packet.buffer(driver, gso_size=100))) == packet.segments(100)
    else:
        assert refused(driver, packet.buffer(driver, gso_size=100)) is Reason.TOO_BIG


# -- MTU ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_each_segment_fits_the_mtu_and_the_packet_need_not(kind: tuple[int, int], tags: int) -> None:
    driver = segmenting(mtu=1400)
    packet = large(kind, 5000, tags=tags)
    headers = packet.fields["csum_start"] + (20 if kind[1] == 6 else 8) - 14 - 4 * tags
    frames = driver.device.transmit(packet.buffer(driver, gso_size=1400 - headers))
    assert max(map(len, frames)) == 1414 + 4 * tags and list(frames) == packet.segments(1400 - headers)
    assert refused(driver, packet.buffer(driver, gso_size=1401 - headers)) is Reason.TOO_BIG


def test_a_short_packet_fits_whatever_gso_size_says() -> None:
    driver = segmenting(mtu=1400)
    packet = large(V4_TCP, 1360)
    assert list(driver.device.transmit(packet.buffer(driver, gso_size=9000))) == packet.segments(9000)
    assert refused(driver, large(V4_TCP, 1361).buffer(driver, gso_size=9000)) is Reason.TOO_BIG


# -- what is told ------------------------------------------------------------------------------------------------


def test_the_story() -> None:
    driver = segmenting()
    story = driver.device.observer = Story(driver)
    driver.device.transmit(large(V4_TCP, 250).buffer(driver, gso_size=100))
    assert story.lines[1:] == [
        "cut into 3 segment(s) of at most 100 octets behind their headers",
        "a frame of 154 octets goes on the wire, in the clear",
        "a frame of 154 octets goes on the wire, in the clear",
        "a frame of 104 octets goes on the wire, in the clear",
    ]


def test_the_events() -> None:
    driver = segmenting()
    told: list[object] = []
    driver.device.observer = told.append
    driver.device.transmit(large(V4_TCP, 250).buffer(driver, gso_size=100))
    assert told[1:] == [Segmented(3, 100), Sent(154, False), Sent(154, False), Sent(104, False)]
