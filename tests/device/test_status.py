"""Device status, feature negotiation, reset (virtio 1.4, 2.1, 2.2, 2.4, 3.1, 5.1.3.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtionet_ipsec.device import Device, Limits, events
from virtionet_ipsec.device.negotiation import feature_mask
from virtionet_ipsec.ipsec import Event
from virtionet_ipsec.wire import Feature, Profile, Status

from .control import CLASSIFIER, ESP_V4, GROUP, INB, OUTB, RULE, Control, command, group, handshake, rule, sa

A, D, F, K = Status.ACKNOWLEDGE, Status.DRIVER, Status.FEATURES_OK, Status.DRIVER_OK
BASE = feature_mask(Feature.VERSION_1, Feature.ADMIN_VQ)


def watched(device: Device) -> list[Event]:
    seen: list[Event] = []
    device.observer = seen.append
    return seen


def test_status_starts_at_zero_and_nothing_is_negotiated() -> None:
    device = Device()
    assert (device.status, device.negotiated, device.last_refusal) == (0, 0, "")


def test_initialization_sequence_sets_each_bit() -> None:
    device = Device()
    seen = watched(device)
    handshake(device)
    assert device.status == A | D | F | K
    assert device.negotiated == device.features
    assert seen == [
        events.DeviceReset(),
        events.StatusChanged(0, A | D),
        events.FeaturesAccepted(device.features),
        events.StatusChanged(A | D, A | D | F),
        events.StatusChanged(A | D | F, A | D | F | K),
    ]


def test_a_status_bit_is_not_cleared() -> None:
    device = Device()
    handshake(device)
    seen = watched(device)
    device.set_status(K)
    assert device.status == A | D | F | K
    assert "must not clear" in device.last_refusal
    assert [type(event) for event in seen] == [events.StatusBitsIgnored]
    assert seen[0].bits == A | D | F  # type: ignore[attr-defined]


@pytest.mark.parametrize("bit", [Status.SUSPEND, Status.DEVICE_NEEDS_RESET, 32])
def test_bits_that_are_not_the_drivers_are_ignored(bit: int) -> None:
    device = Device()
    device.set_status(A | bit)
    assert device.status == A
    assert "not for the driver" in device.last_refusal


def test_failed_is_the_drivers_to_set() -> None:
    device = Device()
    device.set_status(A | Status.FAILED)
    assert device.status == A | Status.FAILED
    assert device.last_refusal == ""


def test_driver_ok_comes_after_features_ok() -> None:
    device = Device()
    device.set_status(A | D | K)
    assert device.status == A | D
    assert device.admin(command(0)) == b""


@pytest.mark.parametrize("value", [-1, 256, 1 << 40])
def test_status_is_one_octet(value: int) -> None:
    with pytest.raises(ValueError, match="not one octet"):
        Device().set_status(value)


@given(st.lists(st.integers(0, 255), max_size=12), st.integers(0, (1 << 72) - 1))
def test_no_sequence_of_writes_breaks_the_order(writes: list[int], features: int) -> None:
    device = Device()
    for value in writes:
        device.set_driver_features(features)
        before = device.status
        device.set_status(value)
        assert value == 0 or device.status & before == before
        assert device.status or not device.negotiated
        if device.status & K:
            assert device.status & F
        if device.status & F:
            assert not features & ~device.features
            assert features >> Feature.VERSION_1 & 1


# -- features ----------------------------------------------------------------------------------------------------


def features_ok(device: Device, accepted: int) -> bool:
    device.set_status(0)
    device.set_status(A | D)
    device.set_driver_features(accepted)
    device.set_status(A | D | F)
    return bool(device.status & F)


def test_the_default_offer() -> None:
    assert Device().features == feature_mask(
        Feature.VERSION_1,
        Feature.ADMIN_VQ,
        Feature.MAC,
        Feature.MTU,
        Feature.STATUS,
        Feature.CSUM,
        Feature.GUEST_CSUM,
        Feature.HOST_TSO4,
        Feature.HOST_TSO6,
        Feature.HOST_ECN,
        Feature.HOST_USO,
        Feature.MRG_RXBUF,
        Feature.CTRL_VQ,
        Feature.CTRL_RX,
        Feature.CTRL_VLAN,
        Feature.CTRL_MAC_ADDR,
        Feature.GUEST_ANNOUNCE,
        Feature.MQ,
        Feature.RSS,
        Feature.HASH_REPORT,
        Feature.OUT_NET_HEADER,
        Feature.IPSEC,
    )


def test_the_rfc_has_no_outer_nh_offset() -> None:
    assert not Device(Profile.RFC_V1).features >> Feature.OUT_NET_HEADER & 1
    with pytest.raises(ValueError, match="rfc-v1 has no VIRTIO_NET_F_OUT_NET_HEADER"):
        Device(Profile.RFC_V1, features=BASE | feature_mask(Feature.OUT_NET_HEADER))


def test_any_valid_subset_is_accepted() -> None:
    assert features_ok(Device(), BASE)
    assert features_ok(Device(), Device().features)


def test_a_feature_that_was_not_offered_is_refused() -> None:
    device = Device()
    seen = watched(device)
    assert not features_ok(device, device.features | feature_mask(Feature.CTRL_RX_EXTRA))
    assert device.status == A | D
    assert device.negotiated == 0
    assert device.last_refusal == "FEATURES_OK: VIRTIO_NET_F_CTRL_RX_EXTRA not offered"
    refusals = [event for event in seen if isinstance(event, events.FeaturesRefused)]
    assert [refusal.why for refusal in refusals] == ["VIRTIO_NET_F_CTRL_RX_EXTRA not offered"]


def test_a_feature_without_a_name_is_refused() -> None:
    device = Device()
    assert not features_ok(device, device.features | 1 << 100)
    assert "bit 100 not offered" in device.last_refusal


def test_version_1_has_to_be_accepted() -> None:
    device = Device()
    assert not features_ok(device, device.features & ~feature_mask(Feature.VERSION_1))
    assert "VIRTIO_F_VERSION_1" in device.last_refusal


TSO = feature_mask(Feature.CSUM, Feature.HOST_TSO4, Feature.HOST_ECN)


def test_a_missing_requirement_is_refused() -> None:
    device = Device(features=BASE | TSO)
    assert features_ok(device, BASE | TSO)
    assert not features_ok(device, BASE | feature_mask(Feature.CSUM, Feature.HOST_ECN))
    assert "HOST_ECN requires VIRTIO_NET_F_HOST_TSO4 or VIRTIO_NET_F_HOST_TSO6" in device.last_refusal


def test_after_a_refusal_the_driver_may_try_again() -> None:
    device = Device()
    assert not features_ok(device, 0)
    device.set_driver_features(BASE)
    device.set_status(A | D | F)
    assert device.status == A | D | F


def test_features_are_frozen_by_features_ok() -> None:
    device = Device()
    assert features_ok(device, BASE)
    seen = watched(device)
    device.set_driver_features(device.features)
    assert device.negotiated == BASE
    assert "cannot change" in device.last_refusal
    assert seen == [events.DriverFeaturesIgnored(device.features)]


@pytest.mark.parametrize(
    ("offered", "words"),
    [
        (feature_mask(Feature.ADMIN_VQ), "VERSION_1"),
        (BASE | feature_mask(Feature.HOST_TSO4), "HOST_TSO4 requires VIRTIO_NET_F_CSUM"),
        (BASE | feature_mask(Feature.MQ), "MQ requires VIRTIO_NET_F_CTRL_VQ"),
        (BASE | 1 << 90, "bit 90"),
        (-1, "negative"),
    ],
)
def test_a_device_may_not_offer_just_anything(offered: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Device(features=offered)


@pytest.mark.parametrize("features", [-1, 1 << 128])
def test_driver_features_are_a_mask_of_128_bits(features: int) -> None:
    with pytest.raises(ValueError, match="128 bits"):
        Device().set_driver_features(features)


# -- reset -------------------------------------------------------------------------------------------------------


def test_reset_takes_everything_away() -> None:
    control = Control(limits=Limits(groups=4)).start()
    fresh = Control(limits=Limits(groups=4)).device.digest()
    for kind, data in (
        (GROUP, group(1)),
        (CLASSIFIER, ESP_V4),
        (RULE, rule()),
        (OUTB, sa(OUTB)),
        (INB, sa(INB)),
    ):
        control.create(kind, 0, data)
        assert control.device.last_refusal == ""
    device = control.device
    assert device.outbound
    assert device.inbound_by_spi
    device.set_status(0)
    assert device.digest() == fresh
    assert device.status == device.negotiated == 0
    assert not device.outbound
    assert not device.inbound
    assert not device.inbound_by_spi
    assert not device.flow_table.rules
    assert not device.flow_table.groups
    assert not device.flow_table.classifiers
    assert device.admin(command(0)) == b""
    # the list in use and the capabilities are gone too, and the same objects can be made again
    control.start(use=False, enable=False)
    assert control.create(GROUP, 0, group(1))[1].name == "INVALID_OPCODE"
    control.start(enable=False)
    assert control.create(GROUP, 0, group(1))[1].name == "INVALID_OPCODE"
    control.start()
    assert control.create(GROUP, 0, group(1))[0].name == "OK"


def test_reset_is_told() -> None:
    device = Device()
    handshake(device)
    seen = watched(device)
    device.set_status(0)
    assert seen == [events.DeviceReset(), events.StatusChanged(A | D | F | K, 0)]


def test_the_same_features_can_be_negotiated_again() -> None:
    device = Device()
    for _ in range(3):
        handshake(device)
        assert device.negotiated == device.features


def test_packets_from_driver_ok_to_reset() -> None:
    device = Device()
    handshake(device)
    frame = bytes(12) + b"\x08\x06" + bytes(46)
    assert device.transmit(bytes(32) + frame) == (frame,)
    received = device.receive(frame)
    assert received is not None
    assert received.buffers == (bytes(10) + b"\1" + bytes(21) + frame,)
    device.set_status(0)
    assert device.transmit(bytes(32) + frame) == ()


def test_no_packets_before_driver_ok() -> None:
    device = Device()
    assert device.transmit(bytes(100)) == ()
    assert device.receive(bytes(100)) is None
    assert {reason.name for reason in device.counters.tx_dropped} == {"NOT_READY"}
    assert {reason.name for reason in device.counters.rx_dropped} == {"NOT_READY"}
