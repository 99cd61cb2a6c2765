"""Linux's virtio_net driver on our device: both kinds of ring, with and without each offload."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from virtionet_ipsec.wire.enums import Feature

from . import needs
from .lab import FAR6, Lab

needs.require(*needs.GUEST)

MEGABYTE = 1_000_000
LARGEST = 1514  # octets of a frame for an MTU of 1500, without FCS


@dataclass(frozen=True)
class Variant:
    """What is offered otherwise than by default, and which features the driver has to have accepted, or not."""

    features: str
    has: frozenset[Feature]
    has_not: frozenset[Feature]


F = Feature
RINGS = frozenset({F.INDIRECT_DESC, F.EVENT_IDX})
OFFLOADS = frozenset({F.CSUM, F.HOST_TSO4, F.HOST_TSO6, F.MRG_RXBUF})
PACKED = frozenset({F.RING_PACKED})
PLAIN = "-INDIRECT_DESC,-EVENT_IDX,-MRG_RXBUF,-HOST_TSO4,-HOST_TSO6,-HOST_ECN,-HOST_USO,-CSUM"
VARIANTS = {
    "packed": Variant("", OFFLOADS | RINGS | PACKED, frozenset()),
    "split": Variant("-RING_PACKED", OFFLOADS | RINGS, PACKED),
    "packed, plain": Variant(PLAIN, PACKED, OFFLOADS | RINGS),
    "split, plain": Variant(f"-RING_PACKED,{PLAIN}", frozenset(), OFFLOADS | RINGS | PACKED),
}


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> Variant:
    return VARIANTS[request.param]


@pytest.fixture(scope="module")
def lab(variant: Variant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("net"), "--features", variant.features) as lab:
        yield lab


def test_the_driver_takes_the_features(lab: Lab, variant: Variant) -> None:
    bits = lab.near.do("cat /sys/class/net/eth0/device/features").strip()
    accepted = {feature for feature in Feature if feature < len(bits) and bits[feature] == "1"}
    assert accepted >= variant.has | {F.VERSION_1, F.MAC, F.MTU, F.STATUS}
    assert accepted & variant.has_not == set()


def test_the_link_is_up(lab: Lab) -> None:
    assert lab.near.do("cat /sys/class/net/eth0/carrier /sys/class/net/eth0/mtu").split() == ["1", "1500"]


def test_ping(lab: Lab) -> None:
    lab.ping(count=20)
    lab.ping(FAR6, count=5, size=1400)
    lab.ping(size=8000)  # in fragments


def test_tcp(lab: Lab, variant: Variant) -> None:
    """4 MB each way; with TSO the guest gives the device larger packets, and the wire sees none of them."""
    lab.wire.forget()
    before = sent(lab)
    lab.tcp(up=4 * MEGABYTE, down=4 * MEGABYTE)
    frames = lab.wire.frames
    assert max(len(frame.data) for frame in frames) <= LARGEST
    on_the_wire = sum(frame.sender == "near" for frame in frames)
    given = sent(lab) - before
    if F.HOST_TSO4 in variant.has:
        assert given < 0.9 * on_the_wire
    else:
        assert on_the_wire <= given <= on_the_wire + 20  # what it has sent since


def sent(lab: Lab) -> int:
    """What the driver counts as packets: before segmentation."""
    return int(lab.near.do("cat /sys/class/net/eth0/statistics/tx_packets"))


def test_tcp_over_ipv6(lab: Lab) -> None:
    lab.tcp(FAR6, MEGABYTE, MEGABYTE)


def test_udp(lab: Lab) -> None:
    """4 MB, and sizes up to what does not fit one packet."""
    lab.udp(sizes=[1472] * 2700 + list(range(0, 1473, 16)))
    lab.udp(sizes=[1473, 3000, 20_000])
    lab.udp(FAR6, sizes=range(0, 1453, 121))
