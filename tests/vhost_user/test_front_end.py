"""The front end: with back ends that have everything, that lack something, and that are none."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from virtionet_ipsec.driver import Driver, NegotiationError
from virtionet_ipsec.vhost_user import session, vrings
from virtionet_ipsec.vhost_user.asking import BackEndFailed, BackEndHangs
from virtionet_ipsec.vhost_user.front_connection import ALL_PROTOCOL_FEATURES
from virtionet_ipsec.vhost_user.front_end import FrontEnd
from virtionet_ipsec.vhost_user.messages import ProtocolFeature, Request, mask
from virtionet_ipsec.virtqueue.net import NetQueues
from virtionet_ipsec.virtqueue.port import QueuePort, Rings
from virtionet_ipsec.virtqueue.transport import RingFailed, Unobservable
from virtionet_ipsec.wire import Feature, Status

from .served import Impostor, Served

FRAME = bytes.fromhex("020000000001 020000000002 88b5") + bytes(range(46))
REPLY_ACK = 1 << ProtocolFeature.REPLY_ACK


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path) as served:
        yield served


def works(port: QueuePort) -> Driver:
    """Bring the device up, and let a frame go each way."""
    driver = Driver(port).start()
    for number in range(3):
        frame = FRAME + bytes((number,))
        assert driver.send(frame) == (frame,)
        got = driver.receive(frame)
        assert got is not None and got.frame == frame
    return driver


LACKING = [0, *(1 << feature for feature in ProtocolFeature), ALL_PROTOCOL_FEATURES]
LACKING += [
    mask((ProtocolFeature.STATUS, other)) for other in (ProtocolFeature.RESET_DEVICE, ProtocolFeature.REPLY_ACK)
]
STATUSLESS = mask((ProtocolFeature.STATUS, ProtocolFeature.RESET_DEVICE, ProtocolFeature.REPLY_ACK))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("lacking", [*LACKING, STATUSLESS], ids=hex)
def test_a_back_end_that_lacks_something(
    served: Served, lacking: int, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packets pass, a reset is a reset, and features that were not offered are refused, whatever it has not."""
    monkeypatch.setattr(session, "OFFERED", session.OFFERED & ~lacking)
    front_end = served.front_end()
    assert not front_end.protocol_features & lacking
    port = QueuePort(front_end, Rings(packed=packed))
    driver = works(port)
    assert driver.negotiated >> Feature.IPSEC & 1
    driver.steer_ipsec()
    assert served.server.device.flow_table.rules
    port.set_status(0)
    assert port.status == 0
    assert not served.server.device.flow_table.rules and not served.server.device.status

    for strange in (Feature.GUEST_TSO4, Feature.NOTF_COAL, Feature.RSS_CONTEXT):
        assert not port.features >> strange & 1
        port.set_status(Status.ACKNOWLEDGE | Status.DRIVER)
        port.set_driver_features(1 << Feature.VERSION_1 | 1 << strange)
        port.set_status(Status.ACKNOWLEDGE | Status.DRIVER | Status.FEATURES_OK)
        assert port.status == Status.ACKNOWLEDGE | Status.DRIVER and port.last_refusal
        port.set_status(0)
    works(port)
    front_end.close()


def test_a_back_end_without_protocol_features(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "PROTOCOL_FEATURES_BIT", 0)
    front_end = served.front_end()
    assert not front_end.protocol_features
    works(QueuePort(front_end))
    front_end.close()


def test_features_without_a_configuration_space(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a driver could not use without reading it is not offered, nor what stands on that."""
    monkeypatch.setattr(session, "OFFERED", session.OFFERED & ~mask((ProtocolFeature.CONFIG,)))
    front_end = served.front_end()
    hidden = {Feature.MAC, Feature.MTU, Feature.STATUS, Feature.MQ, Feature.RSS, Feature.HASH_REPORT}
    assert not any(front_end.features >> feature & 1 for feature in hidden)
    assert front_end.features >> Feature.CSUM & 1 and front_end.read_config(0, 6) == b""
    front_end.close()


def test_features_that_are_not_done_here(tmp_path: Path) -> None:
    """An eventfd has no room for NOTIFICATION_DATA: it is not shown, and refused."""
    with Served(tmp_path, "+NOTIFICATION_DATA") as served:
        front_end = served.front_end()
        assert served.server.device.features >> Feature.NOTIFICATION_DATA & 1
        assert not front_end.features >> Feature.NOTIFICATION_DATA & 1
        front_end.set_status(Status.ACKNOWLEDGE | Status.DRIVER)
        front_end.set_driver_features(1 << Feature.VERSION_1 | 1 << Feature.NOTIFICATION_DATA)
        front_end.set_status(Status.ACKNOWLEDGE | Status.DRIVER | Status.FEATURES_OK)
        assert front_end.status == Status.ACKNOWLEDGE | Status.DRIVER
        assert front_end.last_refusal == "features 0x4000000000 are not carried here"
        front_end.close()


def test_what_the_connection_does_not_carry(served: Served) -> None:
    """Without a control socket there are neither IPSEC nor commands, and no wire."""
    front_end = FrontEnd(served.socket)
    port = QueuePort(front_end)
    assert not port.features >> Feature.ADMIN_VQ & 1 and not port.features >> 64
    assert port.features >> Feature.MRG_RXBUF & 1
    Driver(port).start()
    for packet in (port.transmit, port.receive):
        with pytest.raises(Unobservable):
            packet(FRAME)
    assert port.admin(bytes(24)) == b"" and port.last_refusal == ""
    port.set_status(0)
    driver = Driver(port, features=1 << Feature.VERSION_1 | 1 << Feature.IPSEC)
    driver.negotiate()
    assert driver.negotiated == 1 << Feature.VERSION_1
    front_end.close()


def test_beside_the_connection(served: Served) -> None:
    front_end = served.front_end()
    port = QueuePort(front_end)
    driver = Driver(port).start()
    assert driver.admin.list_query() and driver.negotiated >> Feature.IPSEC & 1
    port.admin(b"\x77" * 24)
    assert "" != port.last_refusal == served.server.device.last_refusal
    port.set_status(0)
    with pytest.raises(NegotiationError, match="was refused"):
        Driver(_Accepting(port, 1 << Feature.OUT_NET_HEADER | 1 << 100), features=(1 << 128) - 1).negotiate()
    front_end.close()


class _Accepting:
    """A port whose driver accepts ``more`` than it is offered."""

    def __init__(self, port: QueuePort, more: int) -> None:
        self._port = port
        self._more = more

    def __getattr__(self, name: str) -> object:
        return getattr(self._port, name)

    def set_driver_features(self, value: int) -> None:
        self._port.set_driver_features(value | self._more)


def test_the_configuration_space(served: Served) -> None:
    front_end = served.front_end()
    config = served.server.device.config
    assert front_end.read_config(0, len(config)) == config
    assert front_end.read_config(10, 2) == config[10:12]
    assert front_end.read_config(0, 1000) == config.ljust(256, b"\0")
    assert front_end.read_config(256, 1) == b""
    front_end.close()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("pairs", [1, 4])
def test_queue_pairs_and_the_control_queue(tmp_path: Path, packed: bool, pairs: int) -> None:
    """With MQ all pairs are there, and the control queue is behind them; without it is the third queue."""
    with Served(tmp_path, queue_pairs=pairs) as served:
        front_end = served.front_end()
        assert front_end.queue_pairs == pairs
        port = QueuePort(front_end, Rings(packed=packed))
        base = 1 << Feature.VERSION_1 | 1 << Feature.CTRL_VQ
        for features in (base, base | 1 << Feature.MQ):
            driver = Driver(port, features=features)
            driver.negotiate()
            there = pairs if features >> Feature.MQ & 1 else 1
            assert set(port.bases) == {*range(2 * there), 2 * there}
            answer = port.control(b"\4\0" + struct.pack("<H", pairs))  # MQ, VQ_PAIRS_SET
            assert answer == (b"\0" if features >> Feature.MQ & 1 else b"\1")
            for queue in range(there):
                assert port.transmit(driver.header() + FRAME, queue) == (FRAME,)
        front_end.close()


def test_another_front_end(served: Served) -> None:
    """One after the other; what the first one set up is not there any more."""
    first = served.front_end()
    works(QueuePort(first)).steer_ipsec()
    first.close()
    second = served.front_end()
    assert QueuePort(second).status == 0
    works(QueuePort(second))
    assert not served.server.device.flow_table.rules
    second.close()


def test_no_descriptor_is_left_open(served: Served) -> None:
    works(QueuePort(front_end := served.front_end()))
    front_end.close()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        front_end = served.front_end(in_flight=True)
        port = QueuePort(front_end)
        works(port)
        front_end.pause(0)
        port.set_status(0)
        works(port)
        front_end.memory.remove(front_end.memory.add(1 << 16))
        front_end.close()
        for _ in range(200):  # the other side hears of it when it comes to it
            if len(os.listdir("/proc/self/fd")) <= before:
                break
            time.sleep(0.01)
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize("slots", [True, False])
@pytest.mark.parametrize("packed", [False, True])
def test_memory_that_is_mapped_anew(served: Served, slots: bool, packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the rings run: the table again, a region more, one less."""
    if not slots:
        monkeypatch.setattr(session, "OFFERED", session.OFFERED & ~mask((ProtocolFeature.CONFIGURE_MEM_SLOTS,)))
    front_end = served.front_end()
    port = QueuePort(front_end, Rings(packed=packed))
    header = works(port).header()
    front_end.memory.set_table()
    assert port.transmit(header + FRAME) == (FRAME,)
    more = front_end.memory.add(1 << 16)
    side = port.driver_side(1)
    more.arena.octets[: len(header + FRAME)] = header + FRAME
    side.ring.add(((more.arena.address, len(header + FRAME)),), (), "elsewhere")
    side.show(kick=True)
    used: list[tuple[object, int]] = []
    assert front_end.wait(lambda: used.extend(side.used()) or bool(used))  # type: ignore[func-returns-value]
    assert used == [("elsewhere", 0)] and front_end.frames() == (FRAME,)
    front_end.memory.remove(more)
    assert port.transmit(header + FRAME) == (FRAME,)
    # What lies in memory that is not there any more cannot be read: the buffer comes back, and nothing leaves.
    side.ring.add(((more.arena.address, len(header + FRAME)),), (), "gone")
    side.show(kick=True)
    used.clear()
    assert front_end.wait(lambda: used.extend(side.used()) or bool(used))  # type: ignore[func-returns-value]
    assert used == [("gone", 0)] and front_end.frames() == ()
    assert served.server.device.counters.buffers_refused == 1
    front_end.close()


def test_a_change_of_the_configuration_is_heard(served: Served) -> None:
    front_end = served.front_end()
    Driver(QueuePort(front_end)).start()
    assert front_end.config_changes == 0
    served.server.device.set_link(False)
    assert front_end.config_changes == 1
    front_end.close()


# -- back ends that do not do what they have to ------------------------------------------------------------------


def test_nobody_is_there(tmp_path: Path) -> None:
    with pytest.raises(BackEndFailed, match=r"no back end takes a connection at .*absent"):
        FrontEnd(str(tmp_path / "absent"))
    with pytest.raises(BackEndFailed, match="AF_UNIX path too long"):
        FrontEnd(str(tmp_path / ("x" * 200)))


def _silent(connection: socket.socket) -> None:
    """Takes everything and says nothing."""
    while connection.recv(4096):
        pass


def _dribbling(connection: socket.socket) -> None:
    """Says something now and then, and never all of it."""
    while True:
        connection.send(b"\1")
        time.sleep(0.02)


def _answering(*answers: bytes) -> object:
    def behave(connection: socket.socket) -> None:
        for answer in answers:
            connection.send(answer)
        _silent(connection)

    return behave


def _reply(request: int, payload: bytes, flags: int = 5) -> bytes:
    return struct.pack("<III", request, flags, len(payload)) + payload


IMPOSTORS = {
    "silent": (_silent, BackEndHangs, r"does not answer GET_FEATURES within 0\.2 s"),
    "dribbling": (_dribbling, BackEndFailed, "version|within"),
    "gone": (lambda connection: connection.close(), BackEndFailed, "closed the connection|gone|took no"),
    "another request": (_answering(_reply(2, bytes(8))), BackEndFailed, "is message 2 with flags"),
    "no reply": (_answering(_reply(1, bytes(8), 1)), BackEndFailed, "is message 1 with flags 0x1"),
    "version": (_answering(_reply(1, bytes(8), 4)), BackEndFailed, "version 0"),
    "short": (_answering(_reply(1, bytes(4))), BackEndFailed, "4 octets is too short"),
    "long": (_answering(struct.pack("<III", 1, 5, 1 << 30)), BackEndFailed, "1073741824 octets"),
    "half": (_answering(_reply(1, bytes(8))[:15]), BackEndHangs, "does not answer GET_FEATURES"),
}


@pytest.mark.parametrize("kind", IMPOSTORS)
def test_no_back_end(tmp_path: Path, kind: str) -> None:
    """What is listened to is bounded in length and time."""
    behave, error, said = IMPOSTORS[kind]
    with Impostor(tmp_path / "socket", behave), pytest.raises(error, match=said) as caught:  # type: ignore[arg-type]
        FrontEnd(str(tmp_path / "socket"), timeout=0.2)
    assert "\n" not in str(caught.value)


def test_a_back_end_that_refuses(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vrings, "MOST_QUEUE_SIZE", 128)
    front_end = served.front_end()
    with pytest.raises(BackEndFailed, match="refuses SET_VRING_NUM"):
        Driver(QueuePort(front_end)).start()
    front_end.close()


def test_a_back_end_that_leaves_rings_alone(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A buffer that is never used is told, in time."""
    front_end = served.front_end(timeout=0.3)
    port = QueuePort(front_end)
    header = works(port).header()
    monkeypatch.setattr(NetQueues, "service", lambda self, index: False)
    with pytest.raises(RingFailed, match="virtqueue 1: the device does not use a buffer that is available"):
        port.transmit(header + FRAME)
    front_end.close()


def test_a_back_end_that_goes_away(tmp_path: Path) -> None:
    with Served(tmp_path) as served:
        front_end = served.front_end()
        port = QueuePort(front_end)
        works(port)
    for step in (lambda: port.status, lambda: port.transmit(bytes(12) + FRAME), lambda: front_end.sleep(5.0)):
        with pytest.raises((BackEndFailed, ValueError)) as caught:
            step()
        assert "\n" not in str(caught.value)
    front_end.close()


def test_a_broken_ring_is_told(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """DEVICE_NEEDS_RESET is seen, also where there is no STATUS: by the ring's err; and a reset mends it."""
    for lacking in (0, mask((ProtocolFeature.STATUS,))):
        monkeypatch.setattr(session, "OFFERED", ALL_PROTOCOL_FEATURES & ~lacking)
        front_end = served.front_end()
        port = QueuePort(front_end)
        header = works(port).header()
        available = port.driver_side(1).parts[1].cast("H")
        available[1] += 1000  # the index jumps
        front_end.kick(1)
        assert port.transmit(header + FRAME) == ()
        assert port.status & Status.DEVICE_NEEDS_RESET
        port.set_status(0)
        works(port)
        front_end.close()


def test_requests_have_names() -> None:
    assert {int(request) for request in Request} > {5, 37, 38, 39, 40}
