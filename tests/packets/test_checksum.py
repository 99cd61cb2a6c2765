"""NEEDS_CSUM (virtio 1.4, 5.1.9.2): the checksum is there before anything is encrypted."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.utils import checksum as scapy_checksum

from virtionet_ipsec.device.packet_events import ChecksumFilled
from virtionet_ipsec.driver.in_process import InProcess
from virtionet_ipsec.ipsec import Mode, Reason
from virtionet_ipsec.wire import Feature, Profile

from .rig import DEFAULT, PROFILES, decrypted, framed, ip, mask, outbound, refused, rig

NO_CSUM = DEFAULT & ~mask(Feature.CSUM)
OFFSET = {"tcp": 16, "udp": 6}
LAYER = {"tcp": TCP, "udp": UDP}
IP_LAYER = {4: IP, 6: IPv6}
IP_HEADER = {4: 20, 6: 40}


def pseudo_sum(packet: bytes, protocol: int, length: int) -> int:
    """The sum that the driver leaves in the checksum field: the pseudo header's (RFC 9293 3.1, RFC 8200 8.1)."""
    addresses = packet[12:20] if packet[0] >> 4 == 4 else packet[8:40]
    words = addresses + struct.pack("!II", length, protocol)
    total = sum(struct.unpack(f"!{len(words) // 2}H", words))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def offloaded(version: int, transport: str, payload: bytes, **fields: int) -> tuple[bytes, bytes, tuple[int, int]]:
    """A packet with a partial checksum, the same one whole (as scapy makes it), and csum_start, csum_offset."""
    layer = TCP(sport=1, dport=2, **fields) if transport == "tcp" else UDP(sport=1, dport=2, **fields)
    whole = bytes(ip(version, layer / payload))
    start, offset = IP_HEADER[version], OFFSET[transport]
    at = start + offset
    partial = pseudo_sum(whole, {"tcp": 6, "udp": 17}[transport], len(whole) - start)
    return whole[:at] + struct.pack("!H", partial) + whole[at + 2 :], whole, (14 + start, offset)


CASES = [
    (version, transport, payload)
    for version in (4, 6)
    for transport in ("tcp", "udp")
    for payload in (b"", b"a", b"hello world!", bytes(range(256)) * 5)
]


@pytest.mark.parametrize(("version", "transport", "payload"), CASES)
def test_in_the_clear(version: int, transport: str, payload: bytes) -> None:
    driver = rig()
    partial, whole, csum = offloaded(version, transport, payload)
    assert partial != whole
    assert driver.send(framed(partial), csum=csum) == (framed(whole),)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("tags", [0, 1, 2])
@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(("version", "transport", "payload"), CASES)
def test_before_encryption(
    profile: Profile, tags: int, mode: Mode, version: int, transport: str, payload: bytes
) -> None:
    driver = rig(profile)
    sa = outbound(driver, mode=mode)
    partial, whole, (start, offset) = offloaded(version, transport, payload)
    (wire,) = driver.send(framed(partial, tags), sa, (start + 4 * tags, offset))
    inside, _ = decrypted(wire[14 + 4 * tags :])
    if mode is Mode.TUNNEL:
        assert inside == whole
        # scapy's own opinion of the checksum: it makes the same one.
        again = IP_LAYER[version](inside)
        del again[LAYER[transport]].chksum
        assert bytes(again) == inside
    else:
        assert inside == whole[IP_HEADER[version] :]


@pytest.mark.parametrize("flag_alone", [False, True])
def test_not_without_csum_negotiated(flag_alone: bool) -> None:
    driver = rig(features=NO_CSUM)
    sa = outbound(driver)
    partial, _, csum = offloaded(4, "udp", b"hello")
    if flag_alone:  # csum_start outside does not matter either
        csum = (0xFFFF, 0xFFFF)
    assert driver.send(framed(partial), csum=csum) == (framed(partial),)
    (wire,) = driver.send(framed(partial), sa, csum)
    assert decrypted(wire[14:])[0] == partial


def test_not_without_needs_csum() -> None:
    """ "the device MUST NOT use the csum_start and csum_offset" """
    driver = rig()
    partial, _, (start, offset) = offloaded(4, "udp", b"hello")
    header = bytearray(driver.header(csum=(start, offset)))
    header[0] = 0
    assert driver.device.transmit(bytes(header) + framed(partial)) == (framed(partial),)
    for flag in (2, 4):
        header[0] = flag
        assert driver.device.transmit(bytes(header) + framed(partial)) == (framed(partial),)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("mode", Mode)
def test_udp_has_no_checksum_of_zero(version: int, mode: Mode) -> None:
    """Zero would say "none" (RFC 768), which IPv6 does not allow (RFC 8200 8.1): it goes out as 0xffff."""
    partial, whole, csum = offloaded(version, "udp", b"\0\0")
    (value,) = struct.unpack_from("!H", whole, IP_HEADER[version] + 6)
    # These two octets of payload make the sum 0xffff.
    partial, whole, csum = offloaded(version, "udp", struct.pack("!H", value))
    assert whole[IP_HEADER[version] + 6 :][:2] == b"\xff\xff"  # scapy knows it too
    driver = rig()
    assert driver.send(framed(partial), csum=csum) == (framed(whole),)
    (wire,) = driver.send(framed(partial), outbound(driver, mode=mode), csum)
    assert whole.endswith(decrypted(wire[14:])[0])


def test_any_protocol_and_any_place() -> None:
    """The device knows two numbers, not the protocol: from csum_start to the end, put at csum_offset."""
    driver = rig()
    frame = bytearray(framed(ip(4, ICMP() / b"some data")))
    good = bytes(frame)
    frame[36:38] = b"\0\0"
    assert driver.send(bytes(frame), csum=(34, 2)) == (good,)
    assert driver.send(bytes(14) + b"\0\0ab", csum=(14, 0)) == (bytes(14) + b"\x9e\x9dab",)
    assert driver.send(bytes(14) + b"\0\0a", csum=(14, 0)) == (bytes(14) + b"\x9e\xffa",)


def test_the_place_has_to_be_in_the_frame() -> None:
    driver = rig()
    sa = outbound(driver)
    frame = framed(ip(payload=b"hello"))
    size = len(frame)
    assert len(driver.send(frame, csum=(size - 2, 0))) == 1
    assert len(driver.send(frame, csum=(0, size - 2))) == 1
    outside = [(size - 1, 0), (size, 0), (0, size - 1), (size - 3, 2), (40, size - 41), (0xFFFF, 0), (0, 0xFFFF)]
    for csum in [*outside, (0xFFFF, 0xFFFF)]:
        assert refused(driver, driver.header(csum=csum) + frame) is Reason.BAD_CSUM
        assert refused(driver, driver.header(sa, csum) + frame) is Reason.BAD_CSUM
    assert "65535" in driver.device.transmit_refused.detail
    assert driver.device.outbound[sa].state.seq == 0


def test_the_event() -> None:
    driver = rig()
    partial, whole, csum = offloaded(4, "udp", b"hello")
    told: list[object] = []
    driver.device.observer = told.append
    driver.send(framed(partial), csum=csum)
    (value,) = struct.unpack_from("!H", whole, 26)
    assert ChecksumFilled(34, 6, value) in told


@pytest.fixture(scope="module")
def driver() -> InProcess:
    return rig()


@settings(max_examples=200, deadline=None)
@given(octets=st.binary(min_size=2, max_size=100), data=st.data())
def test_against_scapys_checksum(driver: InProcess, octets: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(octets) - 2))
    offset = data.draw(st.integers(0, len(octets) - 2 - start))
    (sent,) = driver.send(bytes(14) + octets, csum=(14 + start, offset))
    at = 14 + start + offset
    assert sent[:at] + sent[at + 2 :] == bytes(14) + octets[: start + offset] + octets[start + offset + 2 :]
    (value,) = struct.unpack_from("!H", sent, at)
    assert value == (scapy_checksum(octets[start:]) or 0xFFFF)
