"""Receive buffers (virtio 1.4, 5.1.9.3.2 and 5.1.9.4.1): num_buffers, and how a packet lies in them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtionet_ipsec.driver.in_process import InProcess
from virtionet_ipsec.ipsec import Reason
from virtionet_ipsec.wire import Feature, Profile

from .rig import BARE, DEFAULT, PROFILES, framed, inbound, ip, le16, mask, offering, outbound, rig, sized

SIZE = {Profile.VIRTIO_1_4: 32, Profile.RFC_V1: 18}
NO_MRG = DEFAULT & ~mask(Feature.MRG_RXBUF)


def check(driver: InProcess, frame: bytes, room: int) -> tuple[bytes, ...]:
    """``frame`` lies in buffers of ``room`` octets as the text says."""
    size = driver.layout.size
    driver.device.receive_buffer_size = room
    got = driver.device.receive(frame)
    assert got is not None
    count = -(-(size + len(frame)) // room)
    assert len(got.buffers) == count == le16(got.buffers[0], 10)
    assert all(len(buffer) == room for buffer in got.buffers[:-1])
    assert 1 <= len(got.buffers[-1]) <= room
    whole = b"".join(got.buffers)
    assert whole[size:] == frame and whole[:10] + whole[12:size] == bytes(size - 2)
    return got.buffers


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("length", [14, 15, 60, 63, 64, 65, 127, 128, 1400])
def test_every_buffer_size(profile: Profile, length: int) -> None:
    driver = rig(profile)
    frame = bytes(12) + b"\x08\x06" + bytes(range(256)) * 6
    size = SIZE[profile]
    for room in {*range(size, size + 40), *range(max(size, size + length - 3), size + length + 4)}:
        check(driver, frame[:length], room)


def test_header_alone_in_the_first_buffer() -> None:
    driver = rig()
    buffers = check(driver, framed(ip()), 32)
    assert buffers[0] == bytes(10) + b"\3\0" + bytes(20)
    assert buffers[1] == framed(ip())[:32]


@pytest.mark.parametrize("profile", PROFILES)
def test_buffers_smaller_than_the_header(profile: Profile) -> None:
    """ "each buffer MUST be at least size of struct virtio_net_hdr" """
    driver = rig(profile)
    for room in range(SIZE[profile]):
        driver.device.receive_buffer_size = room
        assert driver.device.receive(framed(ip())) is None
        assert driver.device.receive_refused.reason is Reason.NO_BUFFER
    assert driver.device.counters.rx_dropped == {Reason.NO_BUFFER: SIZE[profile]}


@pytest.mark.parametrize("profile", PROFILES)
def test_without_mergeable_buffers(profile: Profile) -> None:
    """ "MUST use only a single descriptor if VIRTIO_NET_F_MRG_RXBUF was not negotiated" """
    driver = rig(profile, features=NO_MRG)
    frame = framed(ip(payload=bytes(100)))
    whole = SIZE[profile] + len(frame)
    for room in (whole, whole + 1):
        check(driver, frame, room)
    for room in (whole - 1, SIZE[profile], 1, 0):
        driver.device.receive_buffer_size = room
        assert driver.device.receive(frame) is None
        assert driver.device.receive_refused.reason is Reason.NO_BUFFER
        assert str(room) in driver.device.receive_refused.detail


def test_more_buffers_than_num_buffers_can_say() -> None:
    device = offering(BARE | mask(Feature.MRG_RXBUF))
    device.receive_buffer_size = 12
    got = device.receive(bytes(12 * 65534))
    assert got is not None and len(got.buffers) == 65535 == le16(got.buffers[0], 10)
    assert device.receive(bytes(12 * 65534 + 1)) is None
    assert device.receive_refused is not None and device.receive_refused.reason is Reason.NO_BUFFER


@pytest.mark.parametrize("profile", PROFILES)
def test_a_processed_packet_in_many_buffers(profile: Profile) -> None:
    driver = rig(profile)
    out, sa = outbound(driver), inbound(driver)
    frame = framed(sized(4, 1000))
    (wire,) = driver.send(frame, out)
    driver.device.receive_buffer_size = 100
    got = driver.receive(wire)
    assert got is not None and len(got.buffers) == -(-(SIZE[profile] + 1014) // 100)
    assert (got.flag_names, got.resource_id, got.frame) == (("SECURITY",), sa, frame)
    assert got.hdr.num_buffers == len(got.buffers)
    # Its failure, in the same way.
    again = driver.receive(wire)
    assert again is not None and again.frame == wire
    assert again.flag_names == ("SECURITY", "SECURITY_ERR") and again.resource_id == sa


def test_the_setting_outlives_reset() -> None:
    driver = rig()
    driver.device.receive_buffer_size = 40
    assert driver.device.receive_buffer_size == 40
    driver.start()
    assert len(driver.device.receive(framed(ip())).buffers) == 2


@settings(max_examples=150, deadline=None)
@given(frame=st.binary(min_size=14, max_size=300), room=st.integers(32, 400))
def test_any_frame_in_any_buffers(driver: InProcess, frame: bytes, room: int) -> None:
    check(driver, frame, room)


@pytest.fixture(scope="module")
def driver() -> InProcess:
    return rig(steer=False)
