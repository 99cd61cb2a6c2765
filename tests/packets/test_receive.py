"""Processing of incoming packets (virtio 1.4, 5.1.9.4): flags and resource of virtio_net_hdr, exactly."""

from __future__ import annotations

import struct

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from scapy.layers.inet import UDP

from virtionet_ipsec.driver.in_process import InProcess
from virtionet_ipsec.driver.packet import RxPacket
from virtionet_ipsec.ipsec import Direction, Lifetime, Mode, Protocol, Reason, UdpEncap
from virtionet_ipsec.wire import Feature, Profile

from .rig import (
    BARE,
    DEFAULT,
    ETHERNET,
    KEY,
    PROFILES,
    SALT,
    TAGS,
    TUNNELS,
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

V1_4, RFC = Profile.VIRTIO_1_4, Profile.RFC_V1
# Flag values, by hand: none, SECURITY, with SECURITY_ERR; SOFT_EXPIRY_WARN.
S = {V1_4: 16, RFC: 8}
E = {V1_4: 32, RFC: 16}
WARN = 64
SIZE = {V1_4: 32, RFC: 18}

FRAME = framed(ip(payload=b"hello"))


def header(profile: Profile, flags: int = 0, resource_id: int = 0, resource_type: int = 0) -> bytes:
    """All octets of the header: num_buffers is 1, and what is not named here zero."""
    front = bytes((flags,)) + bytes(9) + b"\1\0"
    return front.ljust(SIZE[profile] - 6, b"\0") + struct.pack("<IH", resource_id, resource_type)


def arrive(driver: InProcess, frame: bytes) -> bytes:
    """The one receive buffer that the driver gets for ``frame``."""
    got = driver.device.receive(frame)
    assert got is not None
    assert got.queue == 0
    (buffer,) = got.buffers
    return buffer


def failed(driver: InProcess, frame: bytes) -> Reason:
    """``frame`` goes up unchanged with SECURITY_ERR (D13); why."""
    before = driver.device.counters.rx_security_err.copy()
    buffer = arrive(driver, frame)
    layout = driver.layout
    assert buffer[0] & layout.security and buffer[0] & layout.security_err
    assert buffer[layout.size :] == frame
    why = driver.device.receive_refused
    assert why is not None
    before[why.reason] += 1
    assert driver.device.counters.rx_security_err == before
    return why.reason


def wires(count: int = 1, frame: bytes = FRAME, **fields: object) -> list[bytes]:
    """``frame`` as somebody sends it ``count`` times through an SA."""
    driver = rig(steer=False, mtu=65535)
    sa = outbound(driver, **fields)
    return [driver.send(frame, sa)[0] for _ in range(count)]


def flipped(frame: bytes, at: int = -1) -> bytes:
    changed = bytearray(frame)
    changed[at] ^= 1
    return bytes(changed)


def with_spi(frame: bytes, spi: int) -> bytes:
    return frame[:34] + struct.pack("!I", spi) + frame[38:]


# -- the combinations of flags --------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES)
def test_no_flag(profile: Profile) -> None:
    driver = rig(profile)
    inbound(driver)
    arp = ETHERNET + b"\x08\x06" + bytes(28)
    for frame in (FRAME, framed(ip(6)), arp, ETHERNET + b"\0\x04abcd", FRAME[:14], FRAME[:20]):
        assert arrive(driver, frame) == header(profile) + frame
        assert driver.device.receive_refused is None
    assert driver.device.counters.rx_delivered == 6


@pytest.mark.parametrize("profile", PROFILES)
def test_security(profile: Profile) -> None:
    driver = rig(profile)
    inbound(driver, spi=7), inbound(driver)
    for wire in wires(3):
        assert arrive(driver, wire) == header(profile, S[profile], 2, 0x0204) + FRAME
        assert driver.device.receive_refused is None


@pytest.mark.parametrize("profile", PROFILES)
def test_security_err(profile: Profile) -> None:
    driver = rig(profile)
    inbound(driver, spi=7), inbound(driver)
    good, other = wires(2)
    flags = S[profile] | E[profile]
    assert arrive(driver, flipped(good)) == header(profile, flags, 2, 0x0204) + flipped(good)
    assert driver.device.receive_refused.reason is Reason.BAD_ICV
    assert arrive(driver, good)[0] == S[profile]
    assert arrive(driver, good) == header(profile, flags, 2, 0x0204) + good
    assert driver.device.receive_refused.reason is Reason.REPLAYED
    assert arrive(driver, other)[0] == S[profile]
    assert driver.device.counters.rx_security_err == {Reason.BAD_ICV: 1, Reason.REPLAYED: 1}
    assert not driver.device.counters.rx_dropped


@pytest.mark.parametrize("profile", PROFILES)
def test_unknown_spi(profile: Profile) -> None:
    """D12: resource_id 0, and no resource_type."""
    driver = rig(profile)
    inbound(driver)
    frame = with_spi(wires()[0], 0x1001)
    assert arrive(driver, frame) == header(profile, S[profile] | E[profile]) + frame
    assert driver.device.receive_refused.reason is Reason.UNKNOWN_SPI
    assert "0x1001" in driver.device.receive_refused.detail


def test_an_outbound_sa_is_not_found_by_its_spi() -> None:
    driver = rig()
    outbound(driver)
    assert failed(driver, wires()[0]) is Reason.UNKNOWN_SPI


@pytest.mark.parametrize("limit", [{"packets_soft": 3}, {"bytes_soft": 2 * len(FRAME[14:]) + 1}])
def test_soft_expiry(limit: dict[str, int]) -> None:
    """Set from the packet that reaches the limit (D15), and on failures as well (D47)."""
    driver = rig()
    sa = inbound(driver, lifetime=Lifetime(**limit))
    first, second, third, fourth, fifth = wires(5)
    assert arrive(driver, first) == header(V1_4, 16, sa, 0x0204) + FRAME
    assert arrive(driver, second)[0] == 16
    assert arrive(driver, flipped(third))[0] == 16 | 32
    assert arrive(driver, third) == header(V1_4, 16 | WARN, sa, 0x0204) + FRAME
    assert arrive(driver, fourth)[0] == 16 | WARN
    assert arrive(driver, flipped(fifth)) == header(V1_4, 16 | 32 | WARN, sa, 0x0204) + flipped(fifth)
    # Nothing of it is another SA's, or an unknown one's.
    assert arrive(driver, with_spi(fifth, 9)) == header(V1_4, 16 | 32) + with_spi(fifth, 9)
    assert arrive(driver, FRAME)[0] == 0
    # MODIFY moves the limit; counters go on (D19).
    driver.modify_sa(params(Direction.INBOUND, lifetime=Lifetime(packets_soft=6)), sa)
    assert arrive(driver, fifth)[0] == 16
    assert driver.device.inbound[sa].state.packets == 5


def test_hard_limit() -> None:
    driver = rig()
    sa = inbound(driver, lifetime=Lifetime(packets_soft=1, packets_hard=2))
    first, second, third = wires(3)
    assert [arrive(driver, wire)[0] for wire in (first, second)] == [16 | WARN] * 2
    assert arrive(driver, third) == header(V1_4, 16 | 32 | WARN, sa, 0x0204) + third
    assert driver.device.receive_refused.reason is Reason.HARD_LIFETIME
    driver = rig()
    inbound(driver, lifetime=Lifetime(packets_hard=1))
    assert [arrive(driver, wire)[0] for wire in (first, second)] == [16, 16 | 32]


def test_no_warning_in_rfc_v1() -> None:
    """The RFC has neither lifetimes nor the flag; a soft limit inside the model changes no header."""
    driver = rig(RFC)
    sa = inbound(driver)
    first, second = wires(2)
    driver.device.inbound[sa].state.soft_expired = True
    assert arrive(driver, first)[0] == 8
    assert arrive(driver, flipped(second))[0] == 8 | 16


# -- what is processed and what is not ------------------------------------------------------------------------------


@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize("inner", [4, 6])
@pytest.mark.parametrize("outer", [4, 6])
def test_tags_stay_and_the_ethertype_follows_the_inner_packet(tags: int, inner: int, outer: int) -> None:
    driver = rig()
    sa = inbound(driver)
    frame = framed(ip(inner, b"hello"), tags)
    (wire,) = wires(frame=frame, tunnel=TUNNELS[outer])
    assert wire != frame and wire[: 12 + 4 * tags] == frame[: 12 + 4 * tags]
    assert arrive(driver, wire) == header(V1_4, 16, sa, 0x0204) + frame
    assert arrive(driver, wire) == header(V1_4, 48, sa, 0x0204) + wire


@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("protocol", Protocol)
def test_transport_mode(tags: int, version: int, protocol: Protocol) -> None:
    fields: dict = {"mode": Mode.TRANSPORT, "protocol": protocol}
    if protocol is Protocol.AH:
        fields |= {"auth": "hmac-sha256", "auth_key": bytes(32)}
    driver = rig()
    sa = inbound(driver, **fields)
    frame = framed(ip(version, b"hello"), tags)
    (wire,) = wires(frame=frame, **fields)
    assert arrive(driver, wire) == header(V1_4, 16, sa, 0x0204) + frame


def test_ethernet_padding_goes() -> None:
    driver = rig()
    inbound(driver)
    (wire,) = wires()
    assert arrive(driver, wire + bytes(17))[32:] == FRAME


def fragments() -> list[bytes]:
    """Fragments of an ESP packet: the first, a middle one, the last; of either IP version."""
    (v4,) = wires(frame=framed(sized(4, 600)))
    (v6,) = wires(frame=framed(sized(4, 600)), tunnel=TUNNELS[6])
    out = []
    for offset, more in ((0, 1), (10, 1), (10, 0)):
        packet = bytearray(v4[14 : 14 + 20 + 400])
        packet[2:4] = struct.pack("!H", len(packet))
        packet[6:8] = struct.pack("!H", more << 13 | offset)
        out.append(v4[:14] + bytes(packet))
        piece = bytes((50, 0)) + struct.pack("!HI", offset << 3 | more, 77) + v6[54:454]
        out.append(v6[:14] + v6[14:18] + struct.pack("!HBB", len(piece), 44, 64) + v6[22:54] + piece)
    return out


@pytest.mark.parametrize("number", range(6))
def test_fragments_are_not_processed(number: int) -> None:
    """D17: handed up as they are, with no SA named: that is in the part which may be missing."""
    driver = rig()
    inbound(driver)
    frame = fragments()[number]
    assert failed(driver, frame) is Reason.FRAGMENT
    assert arrive(driver, frame)[:32] == header(V1_4, 48)


def test_an_atomic_fragment_is_none() -> None:
    driver = rig()
    inbound(driver)
    (v6,) = wires(tunnel=TUNNELS[6])
    piece = bytes((50, 0)) + struct.pack("!HI", 0, 77) + v6[54:]
    frame = v6[:18] + struct.pack("!HBB", len(piece), 44, 64) + v6[22:54] + piece
    assert arrive(driver, frame)[32:] == FRAME


ENCAP = {"udp": UdpEncap(4500, 4500)}


def to_4500(payload: bytes) -> bytes:
    return framed(ip(4, UDP(sport=4500, dport=4500) / payload))


@pytest.mark.parametrize("payload", [b"", b"\xff", b"\0", b"abc", bytes(4), bytes(4) + bytes(40), b"\0\0\0\0IKE"])
def test_ike_and_keepalives_pass_by(payload: bytes) -> None:
    """D41: the non-ESP marker, NAT keep-alives and what has no room for an SPI did not go through IPsec processing."""
    driver = rig()
    inbound(driver, **ENCAP)
    for frame in (to_4500(payload), framed(ip(6, UDP(sport=4500, dport=4500) / payload))):
        assert arrive(driver, frame) == header(V1_4) + frame
        assert driver.device.receive_refused is None
    assert not driver.device.counters.rx_security_err


def test_what_looks_like_udp_encapsulated_esp_is_taken_for_it() -> None:
    driver = rig()
    inbound(driver, **ENCAP)
    assert failed(driver, to_4500(b"\0\0\0\1")) is Reason.MALFORMED
    assert failed(driver, to_4500(b"\0\0\0\1\0\0\0\1")) is Reason.UNKNOWN_SPI
    assert failed(driver, to_4500(b"\xff\0\0\0\0\0\0\1")) is Reason.UNKNOWN_SPI
    assert failed(driver, to_4500(b"\xff\xff\xff\xff")) is Reason.MALFORMED


@pytest.mark.parametrize("version", [4, 6])
def test_udp_encapsulation(version: int) -> None:
    driver = rig()
    sa = inbound(driver, **ENCAP)
    encapsulated, plain = wires(tunnel=TUNNELS[version], **ENCAP) + wires(tunnel=TUNNELS[version])
    assert arrive(driver, encapsulated) == header(V1_4, 16, sa, 0x0204) + FRAME
    assert failed(driver, plain) is Reason.ENCAP_MISMATCH
    driver = rig()
    inbound(driver)
    assert failed(driver, encapsulated) is Reason.ENCAP_MISMATCH
    # A port that no rule names is just a port.
    (wire,) = wires(tunnel=TUNNELS[version], udp=UdpEncap(4500, 4501))
    assert arrive(driver, wire) == header(V1_4) + wire
    driver = rig(steer=False)
    driver.steer_ipsec((1, 4501))
    inbound(driver, udp=UdpEncap(1, 2))  # the SA's ports are not compared: a NAT may change them (D45)
    assert arrive(driver, wire)[32:] == FRAME


def test_dummy_packets_are_swallowed() -> None:
    """RFC 4303 2.6: not delivered, counted apart, no failure; the window moves."""
    driver = rig()
    sa = inbound(driver)
    (wire,) = wires()
    head, iv = struct.pack("!II", 0x1000, 5), bytes(8)
    sealed = AESGCM(KEY).encrypt(SALT + iv, bytes(10) + bytes((0, 59)), head)
    packet = bytearray(wire[14:34]) + head + iv + sealed
    packet[2:4] = struct.pack("!H", len(packet))
    frame = wire[:14] + bytes(packet)
    assert driver.device.receive(frame) is None
    assert driver.device.receive_refused.reason is Reason.DUMMY
    counters, state = driver.device.counters, driver.device.inbound[sa].state
    assert counters.rx_dropped == {Reason.DUMMY: 1} and not counters.rx_security_err
    assert (state.dummies, state.packets, not state.failures) == (1, 0, True)
    assert failed(driver, frame) is Reason.REPLAYED


def test_the_right_protocol() -> None:
    driver = rig()
    inbound(driver)
    (wire,) = wires(protocol=Protocol.AH, auth="hmac-sha1", auth_key=bytes(20))
    assert failed(driver, wire) is Reason.PROTOCOL_MISMATCH


@pytest.mark.parametrize("length", range(20, 28))
def test_esp_too_short_for_its_header(length: int) -> None:
    driver = rig()
    inbound(driver)
    packet = bytearray(wires()[0][14 : 14 + length])
    packet[2:4] = struct.pack("!H", length)
    frame = ETHERNET + b"\x08\x00" + bytes(packet)
    assert failed(driver, frame) is Reason.MALFORMED
    assert arrive(driver, frame)[26:32] == bytes(6)


def test_every_cut_of_a_packet() -> None:
    driver = rig()
    sa = inbound(driver)
    (wire,) = wires()
    for length in range(34, len(wire)):
        assert failed(driver, wire[:length]) is Reason.TRUNCATED
    for length in range(14, 34):  # no whole IP header, no rule for it
        assert arrive(driver, wire[:length]) == header(V1_4) + wire[:length]
    assert arrive(driver, wire)[0] == 16
    assert driver.device.inbound[sa].state.packets == 1


# -- MTU, before and after ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize("version", [4, 6])
def test_mtu(version: int, tags: int) -> None:
    """ "MUST NOT pass received packets that exceed mtu (plus low level ethernet header length)" (5.1.4.2, D48)"""
    driver = rig(mtu=1400)
    frame = framed(sized(version, 1400), tags)
    assert arrive(driver, frame)[32:] == frame
    assert driver.device.receive(frame + b"\0") is None
    assert driver.device.receive_refused.reason is Reason.TOO_BIG
    assert driver.device.counters.rx_dropped == {Reason.TOO_BIG: 1}
    free = rig(mtu=1400, features=DEFAULT & ~mask(Feature.MTU))
    assert arrive(free, frame + b"\0")[32:] == frame + b"\0"
    large = framed(sized(version, 9000), tags)
    assert arrive(free, large)[32:] == large


def test_mtu_counts_what_is_passed() -> None:
    """The sentence binds what the driver gets: what was around it on the wire does not count (D48)."""
    driver = rig(mtu=1400)
    inbound(driver)
    (wire,) = wires(frame=framed(sized(4, 1400)))
    assert len(wire) > 14 + 1400
    assert arrive(driver, wire)[0] == 16
    (wire,) = wires(frame=framed(sized(4, 1401)))
    assert driver.device.receive(wire) is None
    assert driver.device.receive_refused.reason is Reason.TOO_BIG


def test_before_driver_ok_and_after_reset() -> None:
    driver = rig()
    inbound(driver)
    (wire,) = wires()
    assert arrive(driver, wire)[0] == 16
    driver.device.set_status(0)
    assert driver.device.inbound == {} and driver.device.inbound_by_spi == {}
    assert driver.device.receive(wire) is None and driver.device.receive(FRAME) is None
    assert driver.device.receive_refused.reason is Reason.NOT_READY
    assert driver.device.counters.rx_dropped == {Reason.NOT_READY: 2}
    driver.start()
    assert arrive(driver, wire) == header(V1_4) + wire  # the rules are gone as well
    driver.steer_ipsec()
    assert failed(driver, wire) is Reason.UNKNOWN_SPI
    inbound(driver)
    assert arrive(driver, wire)[0] == 16  # a new SA, a new window


def test_without_ipsec_negotiated() -> None:
    device = offering(BARE)
    (wire,) = wires()
    got = device.receive(wire)
    assert got == (0, (bytes(10) + b"\1\0" + wire,))


def test_after_destroy_and_recreation() -> None:
    driver = rig()
    sa = inbound(driver)
    first, second = wires(2)
    assert arrive(driver, first)[0] == 16
    driver.destroy_sa(Direction.INBOUND, sa)
    assert failed(driver, second) is Reason.UNKNOWN_SPI
    assert driver.create_sa(params(Direction.INBOUND), 40) == 40
    assert arrive(driver, first) == header(V1_4, 16, 40, 0x0204) + FRAME


def test_rx_packet_reads_what_is_there() -> None:
    driver = rig()
    inbound(driver)
    got = driver.receive(wires()[0])
    assert isinstance(got, RxPacket)
    assert (got.queue, got.flags, got.flag_names) == (0, 16, ("SECURITY",))
    assert (got.resource, got.resource_id, got.resource_type, got.frame) == ((1, 0x0204), 1, 0x0204, FRAME)
    assert (got.hdr.flags, got.hdr.num_buffers, got.hdr.resource_id) == (16, 1, 1)
    assert repr(got) == "RxPacket(queue=0, flags=SECURITY, resource_id=1, frame=47 octets)"
    assert refused(driver, b"") is Reason.BAD_HEADER  # and the other way is not disturbed
