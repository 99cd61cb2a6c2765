"""The configuration space (virtio 1.4, 5.1.4)."""

from __future__ import annotations

import struct

import pytest

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.negotiation import feature_mask
from virtionet_ipsec.wire import Feature

BASE = feature_mask(Feature.VERSION_1)
MAC = bytes.fromhex("0253a1b2c3d4")


def fields(device: Device) -> tuple[object, ...]:
    return struct.unpack("<6sHHHIBBHII", device.config)


def test_the_offered_fields() -> None:
    assert fields(Device(mac=MAC, mtu=9000)) == (MAC, 1, 1, 9000, 0, 0, 40, 128, 0x1FF, 0)


def test_fields_without_their_feature_are_zero() -> None:
    assert fields(Device(features=BASE, mac=MAC)) == (MAC, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def test_multiqueue_rss_and_speed() -> None:
    offered = BASE | feature_mask(Feature.CTRL_VQ, Feature.MQ, Feature.RSS, Feature.SPEED_DUPLEX)
    device = Device(features=offered, mac=MAC, queue_pairs=4)
    assert fields(device) == (MAC, 0, 4, 0, 0xFFFFFFFF, 0xFF, 40, 128, 0x1FF, 0)


def test_reading_any_part_at_any_time() -> None:
    device = Device(mac=MAC, mtu=1280)
    assert device.read_config(0, 6) == MAC
    assert device.read_config(10, 2) == (1280).to_bytes(2, "little")
    assert device.read_config(3, 1000) == device.config[3:]
    assert device.read_config(28, 4) == device.read_config(-5, 0) == device.read_config(5, -1) == b""


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"mtu": 67}, "mtu 67"),
        ({"mtu": 65536}, "mtu 65536"),
        ({"mac": b"12345"}, "mac has 6 octets"),
        ({"queue_pairs": 0}, "queue_pairs 0"),
        ({"queue_pairs": 0x8001}, "queue_pairs 32769"),
    ],
)
def test_values_out_of_range(parameters: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Device(**parameters)  # type: ignore[arg-type]
