"""The driver's control virtqueue commands, octet by octet (virtio 1.4, 5.1.9.5), and what it says when one fails."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from virtionet_ipsec.device import Device
from virtionet_ipsec.driver import ControlError, Driver
from virtionet_ipsec.driver.control import CONTROLLED, ControlClient
from virtionet_ipsec.driver.driver import UNDERSTOOD
from virtionet_ipsec.wire import CtrlClass, CtrlRx, Feature, HashType

from .fake import FakePort, mask

MAC, OTHER, GROUP = (bytes.fromhex(each) for each in ("0253a1b2c3d4", "0253a1b2c3d5", "01005e0000fb"))


class Port(FakePort):
    """Answers with ``written``, and keeps what it was sent."""

    def __init__(self, written: bytes = b"\0", why: str = "") -> None:
        super().__init__()
        self.written = written
        self.last_refusal = why
        self.sent: list[str] = []

    def control(self, readable: bytes, writable_len: int = 0) -> bytes:
        assert writable_len == 1
        self.sent.append(readable.hex())
        return self.written


COMMANDS: dict[str, tuple[Callable[[ControlClient], None], str]] = {
    "RX PROMISC": (lambda c: c.receive_mode(CtrlRx.PROMISC, True), "000001"),
    "RX NOBCAST": (lambda c: c.receive_mode(CtrlRx.NOBCAST, False), "000500"),
    "MAC TABLE_SET": (
        lambda c: c.set_mac_table([MAC, OTHER], [GROUP]),
        "0100" + "02000000" + MAC.hex() + OTHER.hex() + "01000000" + GROUP.hex(),
    ),
    "MAC ADDR_SET": (lambda c: c.set_mac_address(MAC), "0101" + MAC.hex()),
    "VLAN ADD": (lambda c: c.add_vlan(0x123), "02002301"),
    "VLAN DEL": (lambda c: c.remove_vlan(5), "02010500"),
    "ANNOUNCE ACK": (lambda c: c.acknowledge_announcement(), "0300"),
    "MQ VQ_PAIRS_SET": (lambda c: c.set_queue_pairs(0x102), "04000201"),
    "MQ HASH_CONFIG": (
        lambda c: c.set_hash(b"key", HashType.TCPV4 | HashType.UDPV4),
        "040206000000" + "00" * 8 + "036b6579",
    ),
    "MQ RSS_CONFIG": (
        lambda c: c.set_rss(b"key", HashType.IPV6, [0, 3], unclassified=1),
        "04010800000001000100000003000400036b6579",
    ),
    "STATS 1": (lambda c: c.command(CtrlClass.STATS, 1, b"data"), "080164617461"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_octets(name: str) -> None:
    send, octets = COMMANDS[name]
    port = Port()
    send(ControlClient(port))  # type: ignore[arg-type]
    assert port.sent == [octets]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("written", "why", "ack", "said"),
    [
        (b"\1", "it is full", 1, "ERR: it is full"),
        (b"\1", "", 1, "ERR"),
        (b"\7", "", 7, "ack 7"),
        (b"", "DRIVER_OK is not set", None, "not answered: DRIVER_OK is not set"),
        (b"", "", None, "not answered: the device did not use the buffer"),
    ],
)
def test_failures(name: str, written: bytes, why: str, ack: int | None, said: str) -> None:
    with pytest.raises(ControlError) as caught:
        COMMANDS[name][0](ControlClient(Port(written, why)))  # type: ignore[arg-type]
    assert (caught.value.what, caught.value.ack) == (name, ack)
    assert str(caught.value) == f"{name}: {said}"


def test_max_tx_vq() -> None:
    port = Port()
    client = ControlClient(port)  # type: ignore[arg-type]
    client.set_rss(b"", 0, [0], unclassified=2)
    client.set_rss(b"", 0, [0, 1], max_tx_vq=1)
    assert port.sent == ["040100000000000002000000030000", "0401000000000100000000000100010000"]


def test_all_of_it_on_the_model() -> None:
    """Every command is one that a right device takes, when its feature was asked for."""
    features = mask(*UNDERSTOOD, *CONTROLLED)
    driver = Driver(Device(features=features, queue_pairs=4), features=features).start()
    for send in (
        lambda c: c.receive_mode(CtrlRx.PROMISC, False),
        lambda c: c.set_mac_table([MAC], [GROUP]),
        lambda c: c.set_mac_address(MAC),
        lambda c: c.add_vlan(5),
        lambda c: c.remove_vlan(5),
        lambda c: c.acknowledge_announcement(),
        lambda c: c.set_queue_pairs(4),
        lambda c: c.set_hash(bytes(40), HashType.IPV4),
        lambda c: c.set_rss(bytes(40), HashType.IPV4, [0, 1, 2, 3]),
    ):
        send(driver.control)


def test_asked_for_and_not_offered() -> None:
    driver = Driver(Device(), features=mask(*UNDERSTOOD, Feature.CTRL_VQ, Feature.CTRL_RX_EXTRA)).start()
    assert not driver.negotiated >> Feature.CTRL_RX_EXTRA & 1
    with pytest.raises(ControlError, match="RX ALLUNI: ERR: VIRTIO_NET_F_CTRL_RX_EXTRA was not negotiated"):
        driver.control.receive_mode(CtrlRx.ALLUNI, True)


def test_without_a_control_virtqueue() -> None:
    driver = Driver(Device()).start()
    with pytest.raises(ControlError, match="not answered: VIRTIO_NET_F_CTRL_VQ was not negotiated"):
        driver.control.set_queue_pairs(1)
