"""Packet transmission (virtio 1.4, 5.1.9.2): which packets the device takes, and what it reads of their header."""

from __future__ import annotations

import struct

import pytest

from virtionet_ipsec.ipsec import Direction, Mode, Reason
from virtionet_ipsec.wire import Feature, GsoType, HdrFlag, Profile, ResourceType

from .rig import (
    BARE,
    DEFAULT,
    ETHERNET,
    KEY,
    PROFILES,
    SALT,
    TAGS,
    TUNNELS,
    decrypted,
    framed,
    inbound,
    ip,
    mask,
    offering,
    outbound,
    params,
    refused,
    rig,
    sized,
)

SECURITY = {Profile.VIRTIO_1_4: 16, Profile.RFC_V1: 8}
SIZE = {Profile.VIRTIO_1_4: 32, Profile.RFC_V1: 18}
FRAME = framed(ip(payload=b"hello"))


def header(
    profile: Profile, flags: int = 0, resource_id: int = 0, resource_type: int = 0, middle: bytes = b""
) -> bytes:
    """The header by hand: flags first, ipsec_resource_hdr last, ``middle`` from gso_type on."""
    rest = middle.ljust(SIZE[profile] - 7, b"\0")
    return bytes((flags,)) + rest + struct.pack("<IH", resource_id, resource_type)


@pytest.mark.parametrize("profile", PROFILES)
def test_security_with_a_known_resource_id(profile: Profile) -> None:
    driver = rig(profile)
    first, second = outbound(driver), outbound(driver, spi=0x2000, cipher_key=bytes(16))
    assert (first, second) == (1, 2)
    (wire,) = driver.device.transmit(header(profile, SECURITY[profile], first) + FRAME)
    assert wire[:14] == FRAME[:14]
    assert wire[34:42] == struct.pack("!II", 0x1000, 1)
    assert decrypted(wire[14:]) == (FRAME[14:], 4)
    (wire,) = driver.device.transmit(header(profile, SECURITY[profile], second) + FRAME)
    assert wire[34:42] == struct.pack("!II", 0x2000, 1)
    assert driver.device.counters.tx_sent == 2
    assert driver.device.transmit_refused is None


@pytest.mark.parametrize("profile", PROFILES)
def test_security_with_an_unknown_resource_id(profile: Profile) -> None:
    driver = rig(profile)
    outbound(driver)
    inbound(driver, spi=1), inbound(driver, spi=2)  # an inbound SA's id is none of the outbound table
    for resource_id in (0, 2, 0x101, 0x10000, 0x10001, 0x01000000, 0x01000001, 0xFFFFFFFF):
        buffer = header(profile, SECURITY[profile], resource_id, ResourceType.IPSEC_INB_SA) + FRAME
        assert refused(driver, buffer) is Reason.UNKNOWN_SA
        assert str(resource_id) in driver.device.transmit_refused.detail
    assert driver.device.outbound[1].state.seq == 0


@pytest.mark.parametrize("resource_type", [0, 0x203, 0x204, 0xFFFF])
def test_resource_type_is_ignored(resource_type: int) -> None:
    """D40."""
    driver = rig()
    sa = outbound(driver)
    (wire,) = driver.device.transmit(header(Profile.VIRTIO_1_4, 16, sa, resource_type) + FRAME)
    assert decrypted(wire[14:])[0] == FRAME[14:]


@pytest.mark.parametrize("profile", PROFILES)
def test_without_security_the_resource_is_not_used(profile: Profile) -> None:
    """ "the device MUST NOT use the resource_id and resource_type" """
    driver = rig(profile)
    for resource_id in (outbound(driver), 77):
        assert driver.device.transmit(header(profile, 0, resource_id, 0x203) + FRAME) == (FRAME,)
    assert driver.device.outbound[1].state.packets == 0


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("also", [(), (Feature.OUT_NET_HEADER,)])
def test_security_without_ipsec_negotiated_is_ignored(profile: Profile, also: tuple[Feature, ...]) -> None:
    """D64: a flag that the device does not recognise."""
    if profile is Profile.RFC_V1:
        also = ()
    device = offering(BARE | mask(*also), profile)
    size = 32 if also else 12
    assert device.transmit(bytes((SECURITY[profile],)) + b"\0" * (size - 1) + FRAME) == (FRAME,)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_gso_type_is_refused(profile: Profile) -> None:
    driver = rig(profile)
    sa = outbound(driver)
    for gso_type in range(1, 256):
        for flags in (0, HdrFlag.NEEDS_CSUM, SECURITY[profile]):
            buffer = header(profile, flags, sa, middle=bytes((gso_type,))) + FRAME
            assert refused(driver, buffer) is Reason.GSO_NOT_NEGOTIATED
    assert GsoType.TCPV4 in range(1, 256) and driver.device.outbound[sa].state.seq == 0


def test_udp_tunnel_csum_is_refused() -> None:
    """ "... and both the bits ... are not set, the device MOST NOT accept the packet" """
    driver = rig()
    sa = outbound(driver)
    for flags in (8, 8 | 1, 8 | 16):
        assert refused(driver, header(Profile.VIRTIO_1_4, flags, sa) + FRAME) is Reason.BAD_HEADER
    assert "UDP_TUNNEL_CSUM" in driver.device.transmit_refused.detail
    assert offering(BARE).transmit(b"\x08" + bytes(11) + FRAME) == ()


@pytest.mark.parametrize(
    ("profile", "others"), [(Profile.VIRTIO_1_4, (2, 4, 32, 64, 128)), (Profile.RFC_V1, (2, 4, 16, 32, 64, 128))]
)
def test_other_flags_are_ignored(profile: Profile, others: tuple[int, ...]) -> None:
    """ "The device MUST ignore flag bits that it does not recognize" """
    driver = rig(profile)
    sa = outbound(driver)
    for flag in (*others, sum(others)):
        assert driver.device.transmit(header(profile, flag, sa) + FRAME) == (FRAME,)
        (wire,) = driver.device.transmit(header(profile, flag | SECURITY[profile], sa) + FRAME)
        assert decrypted(wire[14:])[0] == FRAME[14:]


@pytest.mark.parametrize("profile", PROFILES)
def test_fields_that_mean_nothing_here(profile: Profile) -> None:
    """hdr_len, gso_size, num_buffers, hash, offsets; csum_start and csum_offset without NEEDS_CSUM."""
    driver = rig(profile)
    sa = outbound(driver)
    middle = b"\0" + b"\xff" * (SIZE[profile] - 8)
    assert driver.device.transmit(header(profile, 0, 0, middle=middle) + FRAME) == (FRAME,)
    (wire,) = driver.device.transmit(header(profile, SECURITY[profile], sa, middle=middle) + FRAME)
    assert decrypted(wire[14:])[0] == FRAME[14:]


@pytest.mark.parametrize("payload", [b"", bytes(ip())[:1], bytes(ip())])
@pytest.mark.parametrize("ethertype", [b"\x08\x06", b"\x88\xcc", b"\x00\x2e"])
def test_security_on_what_is_no_ip(ethertype: bytes, payload: bytes) -> None:
    driver = rig()
    buffer = header(Profile.VIRTIO_1_4, 16, outbound(driver)) + ETHERNET + ethertype + payload
    assert refused(driver, buffer) is Reason.NOT_IP
    assert driver.device.transmit(bytes(32) + buffer[32:]) == (buffer[32:],)


def test_security_on_a_cut_packet() -> None:
    driver = rig()
    sa = outbound(driver)
    head = header(Profile.VIRTIO_1_4, 16, sa)
    assert refused(driver, head + FRAME[:14]) is Reason.NOT_IP
    for length in range(15, len(FRAME)):
        assert refused(driver, head + FRAME[:length]) is Reason.TRUNCATED
    assert driver.device.outbound[sa].state.seq == 0


def test_ethernet_padding_is_not_protected() -> None:
    driver = rig()
    (wire,) = driver.send(FRAME + bytes(13), outbound(driver))
    assert decrypted(wire[14:])[0] == FRAME[14:]


def test_a_fragment_in_transport_mode() -> None:
    """D17; in tunnel mode a fragment is a packet like others."""
    driver = rig()
    tunnel = outbound(driver)
    transport = outbound(driver, mode=Mode.TRANSPORT, tunnel=None, spi=2)
    for packet in (ip(4, flags="MF"), ip(4, frag=3)):
        assert refused(driver, driver.header(transport) + framed(packet)) is Reason.FRAGMENT
        (wire,) = driver.send(framed(packet), tunnel)
        assert decrypted(wire[14:])[0] == bytes(packet)


# -- VLAN tags, families --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize("inner", [4, 6])
@pytest.mark.parametrize("outer", [4, 6])
def test_tags_stay_and_the_ethertype_follows_the_tunnel(tags: int, inner: int, outer: int) -> None:
    driver = rig()
    sa = outbound(driver, tunnel=TUNNELS[outer])
    frame = framed(ip(inner, b"hello"), tags)
    (wire,) = driver.send(frame, sa)
    start = 14 + 4 * tags
    assert wire[: start - 2] == frame[: start - 2] == ETHERNET + TAGS[tags]
    assert wire[start - 2 : start] == {4: b"\x08\x00", 6: b"\x86\xdd"}[outer]
    assert wire[start] >> 4 == outer
    assert decrypted(wire[start:]) == (frame[start:], {4: 4, 6: 41}[inner])


def test_three_tags_are_one_too_many() -> None:
    driver = rig()
    frame = ETHERNET + TAGS[2] + b"\x81\x00\x00\x01" + FRAME[12:]
    assert refused(driver, driver.header(outbound(driver)) + frame) is Reason.NOT_IP
    assert driver.send(frame) == (frame,)


@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize("version", [4, 6])
def test_transport_mode_keeps_frame_and_addresses(tags: int, version: int) -> None:
    driver = rig()
    sa = outbound(driver, mode=Mode.TRANSPORT, tunnel=None)
    frame = framed(ip(version, b"hello"), tags)
    (wire,) = driver.send(frame, sa)
    start = 14 + 4 * tags
    header_end = start + {4: 20, 6: 40}[version]
    addresses = {4: slice(start + 12, start + 20), 6: slice(start + 8, start + 40)}[version]
    assert wire[:start] == frame[:start] and wire[addresses] == frame[addresses]
    assert decrypted(wire[start:]) == (frame[header_end:], 17)


# -- MTU ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("mtu", [1280, 1500, 65535])
def test_mtu_of_what_is_sent_in_the_clear(mtu: int, version: int, tags: int) -> None:
    driver = rig(mtu=mtu)
    frame = framed(sized(version, mtu), tags)
    assert driver.send(frame) == (frame,)
    assert refused(driver, driver.header() + frame + b"\0") is Reason.TOO_BIG


@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize("inner", [4, 6])
@pytest.mark.parametrize("outer", [4, 6])
def test_mtu_after_encapsulation_in_tunnel_mode(inner: int, outer: int, tags: int) -> None:
    """D48.  A packet that is too big takes no sequence number, and does not age the SA."""
    mtu = 1400
    driver = rig(mtu=mtu)
    sa = outbound(driver, tunnel=TUNNELS[outer])
    # IP header, SPI, sequence number, IV; trailer of two octets and padding to four; ICV.
    room = mtu - {4: 20, 6: 40}[outer] - 8 - 8 - 16
    fits = room // 4 * 4 - 2
    (wire,) = driver.send(framed(sized(inner, fits), tags), sa)
    assert mtu - 3 <= len(wire) - 14 - 4 * tags <= mtu
    state = driver.device.outbound[sa].state
    assert (state.seq, state.packets, state.bytes) == (1, 1, fits)
    for length in range(fits + 1, fits + 6):
        assert refused(driver, driver.header(sa) + framed(sized(inner, length), tags)) is Reason.TOO_BIG
    assert (state.seq, state.packets, state.bytes) == (1, 1, fits)
    assert state.failures == {Reason.TOO_BIG: 5}
    (wire,) = driver.send(framed(sized(inner, fits), tags), sa)
    assert wire[14 + 4 * tags + {4: 20, 6: 40}[outer] + 4 :][:4] == b"\0\0\0\2"


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("remainder", range(4))
def test_mtu_after_encapsulation_to_the_octet(version: int, remainder: int) -> None:
    """An MTU of any remainder: the packet that just fits is as long as the MTU."""
    driver = rig(mtu=1396 + remainder)
    sa = outbound(driver, mode=Mode.TRANSPORT, tunnel=None)
    header_length = {4: 20, 6: 40}[version]
    room = (1396 + remainder - header_length - 32) // 4 * 4 - 2
    (wire,) = driver.send(framed(sized(version, header_length + room)), sa)
    assert len(wire) - 14 == header_length + 32 + room + 2 <= 1396 + remainder
    assert refused(driver, driver.header(sa) + framed(sized(version, header_length + room + 1))) is Reason.TOO_BIG
    assert driver.device.outbound[sa].state.seq == 1


def test_the_largest_ipv4_packet() -> None:
    driver = rig(mtu=65535)
    sa = outbound(driver)
    fits = (65535 - 52) // 4 * 4 - 2
    (wire,) = driver.send(framed(sized(4, fits)), sa)
    assert decrypted(wire[14:])[0] == sized(4, fits)
    assert refused(driver, driver.header(sa) + framed(sized(4, fits + 1))) is Reason.TOO_BIG


# -- before and after ----------------------------------------------------------------------------------------------


def test_before_driver_ok_and_after_reset() -> None:
    driver = rig()
    sa = outbound(driver)
    buffer = driver.header(sa) + FRAME
    assert len(driver.device.transmit(buffer)) == 1
    driver.device.set_status(0)
    assert driver.device.outbound == {}
    assert refused(driver, buffer) is Reason.NOT_READY
    driver.start()
    assert refused(driver, buffer) is Reason.UNKNOWN_SA
    assert outbound(driver) == sa + 1  # an id that this driver has not used
    assert driver.create_sa(params(Direction.OUTBOUND), sa) == sa
    (wire,) = driver.device.transmit(buffer)
    assert wire[34:42] == struct.pack("!II", 0x1000, 1)


def test_after_destroy() -> None:
    driver = rig()
    first, second = outbound(driver), outbound(driver)
    driver.destroy_sa(Direction.OUTBOUND, first)
    assert refused(driver, driver.header(first) + FRAME) is Reason.UNKNOWN_SA
    assert len(driver.send(FRAME, second)) == 1


def test_features_decide_at_driver_ok() -> None:
    """The same device, negotiated twice: what the first driver accepted does not linger."""
    driver = rig(features=DEFAULT & ~mask(Feature.IPSEC, Feature.OUT_NET_HEADER), steer=False)
    assert driver.layout.size == 12
    driver.device.set_status(0)
    driver._features = DEFAULT
    driver.start()
    assert driver.layout.size == 32
    (wire,) = driver.send(FRAME, outbound(driver))
    assert decrypted(wire[14:])[0] == FRAME[14:]


def test_keys_are_not_in_any_reason() -> None:
    driver = rig()
    sa = outbound(driver)
    told: list[str] = []
    driver.device.observer = lambda event: told.append(repr(event))
    driver.send(FRAME, sa), driver.send(FRAME, 9), driver.send(FRAME[:20], sa)
    text = " ".join(told) + str(driver.device.transmit_refused)
    assert KEY.hex() not in text and repr(KEY) not in text and repr(SALT) not in text


@pytest.mark.parametrize(("negotiated", "most"), [(mask(Feature.MTU), 1400), (0, 1500)], ids=["told", "not told"])
def test_a_driver_that_was_not_told_the_mtu_may_fill_the_wire(negotiated: int, most: int) -> None:
    driver = rig(features=DEFAULT & ~mask(Feature.MTU) | negotiated, mtu=1400, wire_mtu=1500)
    frame = framed(sized(4, most), 0)
    assert driver.send(frame) == (frame,)
    assert refused(driver, driver.header() + frame + b"\0") is Reason.TOO_BIG
