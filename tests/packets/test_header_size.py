"""The size of virtio_net_hdr in front of every packet, both ways (virtio 1.4, 5.1.9.3.1; rfc-v1: D21)."""

from __future__ import annotations

import pytest

from virtionet_ipsec.ipsec import Reason
from virtionet_ipsec.wire import Feature, Profile

from .rig import framed, ip, le16, mask, offering

F = Feature
V1_4, RFC = Profile.VIRTIO_1_4, Profile.RFC_V1
GSO = (F.CSUM, F.HOST_TSO4, F.HOST_TSO6, F.HOST_USO, F.HOST_UDP_TUNNEL_GSO)
GUEST_GSO = (F.GUEST_CSUM, F.GUEST_TSO4, F.GUEST_TSO6, F.GUEST_USO4, F.GUEST_USO6, F.GUEST_UDP_TUNNEL_GSO)

SIZES = [
    (V1_4, (), 12),
    (V1_4, (F.CSUM, F.GUEST_CSUM, F.MRG_RXBUF, F.MTU, F.MAC, F.STATUS), 12),
    (V1_4, (F.HASH_REPORT,), 20),
    (V1_4, GSO, 24),
    (V1_4, GUEST_GSO, 24),
    (V1_4, (*GSO, F.HASH_REPORT), 24),
    (V1_4, (F.OUT_NET_HEADER,), 32),
    (V1_4, (F.IPSEC,), 32),
    (V1_4, (F.IPSEC, F.OUT_NET_HEADER, F.HASH_REPORT, *GSO), 32),
    (RFC, (), 12),
    (RFC, (F.HASH_REPORT,), 20),
    (RFC, (F.IPSEC,), 18),
    (RFC, (F.IPSEC, F.HASH_REPORT), 26),
]
FRAME = framed(ip())


@pytest.mark.parametrize(("profile", "features", "size"), SIZES)
def test_size(profile: Profile, features: tuple[Feature, ...], size: int) -> None:
    device = offering(mask(F.VERSION_1, F.ADMIN_VQ, *features), profile)
    assert device.transmit(bytes(size) + FRAME) == (FRAME,)
    got = device.receive(FRAME)
    assert got is not None
    (buffer,) = got.buffers
    assert buffer == bytes(10) + b"\1\0" + bytes(size - 12) + FRAME
    assert le16(buffer, 10) == 1


@pytest.mark.parametrize(("profile", "features", "size"), SIZES)
def test_every_shorter_buffer(profile: Profile, features: tuple[Feature, ...], size: int) -> None:
    device = offering(mask(F.VERSION_1, F.ADMIN_VQ, *features), profile)
    buffer = bytes(size + 14)
    for length in range(size + 14):
        assert device.transmit(buffer[:length]) == ()
        assert device.transmit_refused is not None and device.transmit_refused.reason is Reason.BAD_HEADER
    assert device.counters.tx_dropped == {Reason.BAD_HEADER: size + 14}
    # An Ethernet header and nothing in it is a frame.
    assert device.transmit(buffer) == (bytes(14),)


@pytest.mark.parametrize(("profile", "features", "size"), SIZES)
def test_every_shorter_frame(profile: Profile, features: tuple[Feature, ...], size: int) -> None:
    device = offering(mask(F.VERSION_1, F.ADMIN_VQ, *features), profile)
    for length in range(14):
        assert device.receive(FRAME[:length]) is None
        assert device.receive_refused is not None and device.receive_refused.reason is Reason.TRUNCATED
    assert device.counters.rx_dropped == {Reason.TRUNCATED: 14}
    got = device.receive(FRAME[:14])
    assert got is not None and len(got.buffers[0]) == size + 14
