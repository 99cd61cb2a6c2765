"""The driver from reset to DRIVER_OK (virtio 1.4, 3.1.1) and to its capabilities (2.12.1, 5.1.9.7)."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from virtionet_ipsec.device import Device, Limits, SaModeCap
from virtionet_ipsec.device.events import AdminCompleted, StatusChanged
from virtionet_ipsec.device.exchanges import ConfigRead
from virtionet_ipsec.driver.control import CONTROLLED
from virtionet_ipsec.driver.driver import UNDERSTOOD, Driver
from virtionet_ipsec.driver.errors import AdminError, NegotiationError
from virtionet_ipsec.driver.in_process import connect
from virtionet_ipsec.ipsec import Direction, Mode, Protocol, SaParams
from virtionet_ipsec.wire import Action, AdminStatus, Feature, IpsecMode, Opcode, Profile, Qualifier, Status

from .fake import FakePort, answer, mask

INBOUND = SaParams(
    Direction.INBOUND, Protocol.ESP, Mode.TUNNEL, 0x100, aead="aes-gcm", cipher_key=bytes(16), salt=b"salt"
)


@pytest.mark.parametrize("profile", Profile)
def test_the_order_of_things(profile: Profile) -> None:
    """Status step by step, then LIST_QUERY, LIST_USE, then capabilities."""
    device = Device(profile)
    told: list[object] = []
    device.observer = told.append
    driver = Driver(device, profile).start()
    changes = [(event.old, event.new) for event in told if isinstance(event, StatusChanged)]
    assert changes == [(0, 1), (1, 3), (3, 11), (11, 15)]
    commands = [event.opcode for event in told if isinstance(event, AdminCompleted)]
    assert commands[:3] == [Opcode.LIST_QUERY, Opcode.LIST_USE, Opcode.CAP_ID_LIST_QUERY]
    assert commands[3:] == [Opcode.DEVICE_CAP_GET, Opcode.DRIVER_CAP_SET] * 5
    assert told.index(StatusChanged(11, 15)) < told.index(AdminCompleted(0, AdminStatus.OK, Qualifier.OK, ""))
    assert driver.negotiated == device.negotiated == device.features & mask(*UNDERSTOOD)
    assert driver.layout.size == (32 if profile is Profile.VIRTIO_1_4 else 18)


def test_what_is_told_to_the_port() -> None:
    port = FakePort(lambda opcode, data: answer(result=struct.pack("<Q", 0x3F83 | 1 << 0x11) if opcode == 0 else b""))
    driver = Driver(port).start()
    assert port.statuses == [0, 1, 3, 11, 15]
    assert port.driver_features == port.features == driver.negotiated
    assert [(group, member) for _, group, member, _ in port.commands] == [(0, 0)] * 3
    # LIST_USE: what is supported and understood, 0x11 (DEV_MODE_SET) is not.
    assert port.commands[1][::3] == (1, struct.pack("<Q", 0x3F83))


def test_list_use_has_no_more_than_is_supported() -> None:
    port = FakePort(lambda opcode, data: answer(result=struct.pack("<Q", 0b11) if opcode == 0 else b""))
    Driver(port).start()
    assert port.commands[1][3] == struct.pack("<Q", 0b11)


def test_opcodes_and_capabilities_beyond_64() -> None:
    """Bitmaps of several words, with bits that the driver does not know."""
    words = struct.pack("<3Q", 0x3F83, 0, 1 << 63)
    caps = bytes(0x800 // 8) + struct.pack("<QQ", 1 << 5 | 1 << 3, 1)
    port = FakePort(lambda opcode, data: answer(result={0: words, 7: caps}.get(opcode, b"")))
    Driver(port).start()
    assert [command[0] for command in port.commands] == [0, 1, 7, 8, 9]  # of 0x803, 0x805 and 0x840 the first is known
    assert port.commands[3][3] == struct.pack("<H6x", 0x803)


@pytest.mark.parametrize("accepted", [0, Feature.VERSION_1, Feature.CSUM])
def test_only_what_both_have(accepted: int) -> None:
    device = Device()
    features = mask(Feature.VERSION_1, Feature.IPSEC, accepted, Feature.SUSPEND)
    driver = Driver(device, features=features)
    driver.negotiate()
    assert driver.negotiated == device.negotiated == features & device.features
    assert not driver.negotiated >> Feature.SUSPEND & 1


def test_what_is_understood() -> None:
    """What nobody has to do anything for; segmentation and the control virtqueue are for those who ask."""
    asked_for = mask(Feature.HOST_TSO4, Feature.HOST_TSO6, Feature.HOST_ECN, Feature.HOST_USO)
    device = Device()
    assert device.features & ~mask(*UNDERSTOOD, *CONTROLLED) == asked_for
    assert not UNDERSTOOD & CONTROLLED
    assert Driver(device).start().negotiated == mask(*UNDERSTOOD)
    assert Driver(device, features=device.features).start().negotiated == device.features


@pytest.mark.parametrize(
    ("has_status", "octets", "up"), [(True, b"\1\0", True), (True, b"\4\0", False), (False, b"", True)]
)
def test_link_status(has_status: bool, octets: bytes, up: bool) -> None:
    """The lowest bit of status; without VIRTIO_NET_F_STATUS the link is taken to be active (5.1.4)."""
    device = Device() if has_status else Device(features=Device().features & ~mask(Feature.STATUS))
    device.config = device.config[:6] + octets.ljust(2, b"\0") + device.config[8:]
    reads: list[tuple[int, bytes]] = []
    device.on_exchange = lambda told: reads.append((told.offset, told.data)) if isinstance(told, ConfigRead) else None
    driver = Driver(device).start()
    assert driver.link_up is up
    assert reads == ([(6, octets)] if has_status else [])


def test_missing_dependency() -> None:
    """The driver does not even ask; it gives up as 3.1.1 says, with FAILED."""
    port = FakePort()
    port.features |= mask(Feature.GUEST_ECN, Feature.HOST_ECN)
    driver = Driver(port, features=port.features)
    with pytest.raises(NegotiationError) as caught:
        driver.start()
    assert str(caught.value) == (
        "VIRTIO_NET_F_GUEST_ECN requires VIRTIO_NET_F_GUEST_TSO4 or VIRTIO_NET_F_GUEST_TSO6; "
        "VIRTIO_NET_F_HOST_ECN requires VIRTIO_NET_F_HOST_TSO4 or VIRTIO_NET_F_HOST_TSO6"
    )
    assert port.statuses == [0, 1, 3, 3 | Status.FAILED]
    assert port.driver_features is None and port.commands == []


def test_features_ok_refused() -> None:
    device = Device()
    with pytest.raises(NegotiationError) as caught:
        Driver(device, features=mask(Feature.CSUM)).start()
    assert str(caught.value).startswith("FEATURES_OK was refused: FEATURES_OK: VIRTIO_F_VERSION_1 was not accepted")
    assert device.status == Status.ACKNOWLEDGE | Status.DRIVER | Status.FAILED


def test_features_ok_refused_by_a_device_that_cannot_tell() -> None:
    port = FakePort()
    port.refuses_features = True
    with pytest.raises(NegotiationError, match=r"^FEATURES_OK was refused$"):
        Driver(port).start()
    assert port.statuses == [0, 1, 3, 11, 3 | Status.FAILED]


def test_again_after_a_failure() -> None:
    device = Device()
    with pytest.raises(NegotiationError):
        Driver(device, features=0).start()
    Driver(device).start()
    assert device.status == 15


def test_without_admin_vq() -> None:
    device = Device(features=mask(Feature.VERSION_1, Feature.IPSEC))
    driver = Driver(device).start()
    assert device.status == 15
    frame = bytes(12) + b"\x08\x06" + bytes(28)
    assert driver.send(frame) == (frame,)
    with pytest.raises(AdminError) as caught:
        driver.create_sa(INBOUND)
    assert str(caught.value) == "RESOURCE_OBJ_CREATE IPSEC_INB_SA 1: EINVAL/OK: the device did not use the buffer"


def test_without_ipsec() -> None:
    device = Device(features=mask(Feature.VERSION_1, Feature.ADMIN_VQ))
    driver = Driver(device).start()
    with pytest.raises(AdminError, match="INVALID_OPCODE") as caught:
        driver.create_sa(INBOUND)
    assert "IPSEC" in caught.value.why
    with pytest.raises(AdminError, match=r"action 3 is not in the driver's FF_ACTION_CAP"):
        driver.steer_ipsec()


def test_capabilities_are_taken_over_whole() -> None:
    limits = Limits(inb_sa=3, outb_sa=2, groups=5, classifiers=4, rules=9, rules_per_group=9, last_rule_priority=7)
    driver = connect(limits=limits)
    values = driver.device._capabilities
    assert values.ff_resource.driver == limits.ff_resource
    assert values.ipsec_resource.driver == limits.ipsec_resource
    assert set(values.ff_action.driver) == set(Action)
    assert [cap.mode for cap in values.ipsec_sa.driver.values()] == [1, 2, 3, 4]
    assert values.ff_selector.driver == limits.selector_caps


def test_a_device_that_offers_less() -> None:
    """Fewer SAs, fewer algorithms, fewer priorities: the driver learns it and says it."""
    weak = SaModeCap(IpsecMode.ESP_TUNNEL, max_replay_win_sz=32, aead_algo=1 << 1, max_cipher_key_len=16)
    driver = connect(limits=Limits(inb_sa=2, sa_modes=(weak,), last_rule_priority=2))
    driver.steer_ipsec((4500, 4501))
    assert [rule.rule_priority for rule in driver.device.flow_table.rules.values()] == [1, 0] * 4
    assert sorted(driver.device.flow_table.groups.values()) == [1, 2, 3, 4]
    driver.create_sa(INBOUND)
    for changed, words in [
        ({"mode": Mode.TRANSPORT}, "mode ESP_TRANSPORT is not in the driver's IPSEC_SA_CAP"),
        ({"replay_window": 64}, "replay_win_sz 64 is more than max_replay_win_sz 32"),
        ({"esn": True}, "option ESN is not in the capability of ESP_TUNNEL"),
        ({"cipher_key": bytes(32)}, "cipher_key.length 32 is more than max_cipher_key_len 16"),
        ({"aead": "aes-ccm", "salt": b"sal"}, "cipher_algo CCM is not in aead_algo of the capability"),
    ]:
        with pytest.raises(AdminError) as caught:
            driver.create_sa(replace(INBOUND, spi=9, **changed))
        assert words in str(caught.value)
    assert driver.create_sa(replace(INBOUND, spi=9, replay_window=32)) == 0
    with pytest.raises(AdminError, match="id 2 is not below the driver's limit of 2"):
        driver.create_sa(replace(INBOUND, spi=10))


def test_a_device_without_a_flow_filter() -> None:
    driver = connect(
        limits=Limits(
            groups=0, classifiers=0, rules=0, rules_per_group=0, last_rule_priority=0, selectors_per_classifier=0
        )
    )
    with pytest.raises(AdminError, match="RESOURCE_OBJ_CREATE FF_GROUP 1: EINVAL/INVALID_OPCODE"):
        driver.steer_ipsec()


def test_where_there_is_room_for_one_its_id_is_0() -> None:
    """Ids end at the limit (5.1.9.7): with a limit of 1 there is no other."""
    device = Device(limits=Limits(inb_sa=1, groups=1))
    driver = Driver(device).start()
    assert driver.create_sa(INBOUND) == 0
    assert driver.create_group(1) == 0


def test_all_ids_below_the_limit_are_used() -> None:
    """Six rules steer IPsec, which takes the ids 0 to 5 of six; 0 comes last."""
    driver = Driver(Device(limits=Limits(inb_sa=3, groups=6, classifiers=4, rules=6, rules_per_group=6))).start()
    driver.steer_ipsec()
    assert [driver.create_sa(replace(INBOUND, spi=spi)) for spi in (1000, 1001, 1002)] == [1, 2, 0]
