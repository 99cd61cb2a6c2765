"""Rules on packets and SAs say nothing of what a driver may well do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from virtionet_ipsec.conformance.driving import frames
from virtionet_ipsec.conformance.watching.monitor import Monitor
from virtionet_ipsec.conformance.watching.sent_packet import CHECKSUM_AT, UDP, checksum_holds, ip_packet
from virtionet_ipsec.device import Device
from virtionet_ipsec.driver import Driver
from virtionet_ipsec.ipsec import Direction, Mode, Protocol, SaParams, Tunnel, UdpEncap
from virtionet_ipsec.ipsec.algorithms import AEADS, AUTHS, CIPHERS
from virtionet_ipsec.trace import Session
from virtionet_ipsec.wire.enums import GsoType, HdrFlag
from virtionet_ipsec.wire.net_hdr import NetHdr
from virtionet_ipsec.wire.profile import Profile

from .drivers.tx import PARTIAL, WITHOUT_CSUM
from .segmenting import MSS, TUNNELS, Offload, in_tunnel, segment

TUNNEL4 = Tunnel(bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2)))
TUNNEL6 = Tunnel(frames.SRC6, frames.DST6)


class Watch:
    """A driver, up and running, that accepts all that is offered."""

    def __init__(self, profile: Profile = Profile.VIRTIO_1_4, features: int | None = None) -> None:
        model = Device(profile, features=features)
        self.monitor = Monitor(Session(profile, model.features, model.config))
        model.on_exchange = self.monitor.observe
        self.driver = Driver(model, profile, model.features if features is not None else None)
        self.driver.start()

    def send(self, offload: Offload) -> list[str]:
        """The rules that the packet violates."""
        before = len(self.monitor.violations)
        self.driver.port.transmit(self.driver.layout.build(offload.hdr) + offload.frame)
        return [each.rule for each in self.monitor.violations[before:]]


def completed(offload: Offload) -> Offload:
    """A packet in a tunnel with the outer checksum of its segments: all of one size, which the outer length says."""
    hdr, frame = offload.hdr, offload.frame
    length = hdr.hdr_len + MSS - hdr.outer_th_offset
    inner = ip_packet(frame, hdr.inner_nh_offset)
    assert inner is not None and inner.version == 6
    # One segment, complete, and what the device will have to make of the headers of all.
    size = hdr.hdr_len + MSS
    tcp = frames.tcp(bytes(MSS), addresses=inner.addresses)
    plen = len(tcp).to_bytes(2, "big")
    one = bytearray(frame[: hdr.csum_start] + tcp)
    one[hdr.inner_nh_offset + 4 : hdr.inner_nh_offset + 6] = plen
    th = hdr.outer_th_offset
    assert len(one) == size
    outer = ip_packet(frame, 14)
    assert outer is not None
    one[th + 4 : th + 8] = length.to_bytes(2, "big") + b"\0\0"
    udp = frames.udp(bytes(one[th + 8 :]), 5000, 4789, addresses=outer.addresses)
    return replace(offload, frame=frame[: th + 4] + udp[4:8] + frame[th + 8 :])


def test_in_front_of_an_inner_packet() -> None:
    """Without segmentation csum_start may lie in what UDP carries."""
    plain = in_tunnel(segment(4), 4, 4, csum=False)
    hdr = NetHdr(flags=plain.hdr.flags, csum_start=plain.hdr.csum_start, csum_offset=plain.hdr.csum_offset)
    assert Watch().send(Offload(hdr, plain.frame)) == []


def test_tunnel_bit_of_the_outer_header() -> None:
    """Linux takes the family of the outer header, and the text has that, too."""
    offload = in_tunnel(segment(4), 6, 4, csum=False)
    other = offload.with_gso(offload.hdr.gso_type & 0x1F | GsoType.UDP_TUNNEL_IPV6)
    for each in (offload, other):
        assert Watch(features=TUNNELS).send(each) == []


def test_outer_checksum_of_the_segments() -> None:
    offload = in_tunnel(segment(6), 6, 6, csum=False)
    right = completed(offload)
    assert right.frame != offload.frame
    watch = Watch(features=TUNNELS)
    assert watch.send(right) == []
    (result,) = watch.monitor.report("right", only={"tx.drv.outer-csum-zero-or-complete"}).results
    assert result.verdict.value == "pass"


def padded(frame: bytes) -> bytes:
    return frame.ljust(60, b"\0")


def broken(frame: bytes) -> bytes:
    """The frame with its last octet changed: the checksum is wrong, and was someone else's."""
    return frame[:-1] + bytes((frame[-1] ^ 1,))


ARP = frames.MACS + b"\x08\x06" + bytes(28)
LLDP = frames.MACS + b"\x88\xcc" + bytes(20)
HOP_BY_HOP = bytes((frames.UDP, 0, 1, 4, 0, 0, 0, 0))


@pytest.mark.parametrize(
    "frame",
    [
        ARP,
        padded(ARP),
        LLDP,
        padded(frames.udp4_frame(b"x")),
        frames.udp6_frame(),
        broken(frames.udp4_frame()),
        frames.udp4_frame(more=True),
        frames.udp4_frame(options=bytes((148, 4, 0, 0))),
        frames.ethernet(frames.ipv4(frames.udp()[:6] + b"\0\0" + frames.udp()[8:])),
        frames.ethernet(frames.ipv6(HOP_BY_HOP + frames.udp(), 0)),
        frames.MACS + b"\x81\x00\x00\x05" + frames.udp4_frame()[12:],
        frames.MACS + b"\xda\xda\x00\x00\x00\x01\x00\x02" + frames.udp4_frame()[12:],
        bytes(12) + b"\x12\x34" + frames.udp4_frame(),
    ],
)
@pytest.mark.parametrize("features", [None, WITHOUT_CSUM])
def test_odd_frames(frame: bytes, features: int | None) -> None:
    assert Watch(features=features).send(Offload(NetHdr(), frame)) == []


def test_needs_csum_with_vlan_tag() -> None:
    hdr = NetHdr(flags=int(HdrFlag.NEEDS_CSUM), csum_start=38, csum_offset=6)
    assert Watch().send(Offload(hdr, PARTIAL[:12] + b"\x81\x00\x00\x05" + PARTIAL[12:])) == []


def test_checksum_holds() -> None:
    packet = ip_packet(frames.udp4_frame(), 14)
    assert packet is not None and packet.protocol == UDP and CHECKSUM_AT[UDP] == 6
    assert checksum_holds(frames.udp4_frame(), packet) and not checksum_holds(broken(frames.udp4_frame()), packet)


def algorithms() -> Iterator[dict[str, object]]:
    for row in AEADS.values():
        for length in row.key_lengths:
            yield {"aead": row.name, "cipher_key": bytes(length), "salt": bytes(row.salt_length)}
    for cipher in CIPHERS.values():
        for length in cipher.key_lengths:
            fields = {"cipher": cipher.name, "cipher_key": bytes(length), "salt": bytes(cipher.salt_length)}
            yield fields | {"auth": "hmac-sha256", "auth_key": bytes(32)}


def sas() -> Iterator[SaParams]:
    """Outbound SAs of all kinds."""
    for fields in algorithms():
        for tunnel in (TUNNEL4, TUNNEL6, None):
            for udp in (None, UdpEncap(4500, 4500)):
                mode = Mode.TUNNEL if tunnel is not None else Mode.TRANSPORT
                yield SaParams(Direction.OUTBOUND, Protocol.ESP, mode, 0x1000, tunnel=tunnel, udp=udp, **fields)  # type: ignore[arg-type]
    for auth in AUTHS.values():
        for length in (each for each in auth.key_lengths if each <= 32):
            keys = {"auth": auth.name, "auth_key": bytes(length), "salt": bytes(auth.salt_length)}
            yield SaParams(Direction.OUTBOUND, Protocol.AH, Mode.TUNNEL, 0x1000, tunnel=TUNNEL4, **keys)  # type: ignore[arg-type]
            yield SaParams(Direction.OUTBOUND, Protocol.AH, Mode.TRANSPORT, 0x1000, **keys)  # type: ignore[arg-type]


@pytest.mark.parametrize("profile", Profile)
def test_every_kind_of_sa(profile: Profile) -> None:
    """No SA is irrelevant that the model takes, and no packet too large whose protected form fits the MTU."""
    for params in sas():
        unwatched, watch = Driver(Device(profile), profile).start(), Watch(profile)
        outbound = unwatched.create_sa(params)
        largest = next(size for size in range(1500, 0, -1) if unwatched.send(frames.sized_frame(size), outbound))
        watch.driver.create_sa(params)
        watch.driver.create_sa(replace(params, direction=Direction.INBOUND, tunnel=None))
        assert watch.driver.send(frames.sized_frame(largest), outbound)
        assert watch.monitor.violations == []
        watch.driver.send(frames.sized_frame(1500), outbound)
        assert [each.rule for each in watch.monitor.violations] == ["driver.ipsec.pmtu"]
