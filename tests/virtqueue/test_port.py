"""A driver's port through rings: what it does when, the reference driver on it, and devices that do wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.negotiation import default_features
from virtionet_ipsec.driver import AdminError, Driver
from virtionet_ipsec.virtqueue.arena import Arena
from virtionet_ipsec.virtqueue.in_memory import RING_FEATURES, MemoryTransport
from virtionet_ipsec.virtqueue.port import QueuePort, Rings
from virtionet_ipsec.virtqueue.transport import NotUsed, RingFailed, Unobservable
from virtionet_ipsec.wire import Feature, Profile, ResourceType, Status

ROOT = Path(__file__).parents[2]
FRAME = bytes.fromhex("020000000001 020000000002 88b5") + bytes(range(46))
FORMATS = {
    "split": Rings(),
    "packed": Rings(packed=True),
    "split, bare": Rings(indirect=False, event_idx=False),
    "packed, bare": Rings(packed=True, indirect=False, event_idx=False),
    "split, in order": Rings(in_order=True),
    "packed, in order": Rings(packed=True, in_order=True),
}
everywhere = pytest.mark.parametrize("rings", FORMATS.values(), ids=FORMATS)


def port_to(rings: Rings, pairs: int = 1, kind: type[MemoryTransport] = MemoryTransport) -> QueuePort:
    device = Device(features=default_features(Profile.VIRTIO_1_4) | RING_FEATURES, queue_pairs=pairs)
    return QueuePort(kind(device, pairs), rings)


def device_of(port: QueuePort) -> Device:
    assert isinstance(port.transport, MemoryTransport)
    return port.transport.device


def negotiate(port: QueuePort, features: int = 1 << Feature.VERSION_1) -> None:
    """Up to FEATURES_OK."""
    port.set_status(0)
    port.set_status(Status.ACKNOWLEDGE | Status.DRIVER)
    port.set_driver_features(features)
    port.set_status(port.status | Status.FEATURES_OK)
    assert port.status & Status.FEATURES_OK


# -- the driver --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rings", ["split", "packed"])
def test_the_tests_of_the_driver(rings: str, environment: dict[str, str]) -> None:
    """They pass with virtqueues between driver and device, but for those that cannot be about them."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "tests.virtqueue.over_rings", "-p", "no:cacheprovider"]
    words += ["tests/driver", "tests/packets/test_transmit.py", "tests/packets/test_receive.py"]
    words += [word for name in NOT_OVER_RINGS for word in ("--deselect", name)]
    done = subprocess.run(
        words, env={**environment, "OVER_RINGS": rings}, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    passed = int(done.stdout.rsplit(" passed", 1)[0].split()[-1])
    assert passed > 300


NOT_OVER_RINGS = (
    # Of features that are accepted: the port adds those of the rings.
    "tests/driver/test_negotiation.py::test_the_order_of_things",
    "tests/driver/test_negotiation.py::test_only_what_both_have",
    "tests/driver/test_negotiation.py::test_what_is_understood",
    # Of what passes between driver and port, which they put themselves between.
    "tests/driver/test_segmentation.py::test_the_header",
    "tests/driver/test_segmentation.py::test_what_a_monitor_says",
    # Of a queue that is not there, and a device whose status is written behind the port's back.
    "tests/driver/test_control.py::test_without_a_control_virtqueue",
    "tests/packets/test_transmit.py::test_before_driver_ok_and_after_reset",
    "tests/packets/test_receive.py::test_rx_packet_reads_what_is_there",
)


@everywhere
def test_packets_and_commands(rings: Rings) -> None:
    """All queues of a driver, many times round their rings; and the notifications for them."""
    port = port_to(rings)
    driver = Driver(port, features=default_features(Profile.VIRTIO_1_4)).start()
    negotiated = device_of(port).negotiated
    assert negotiated & rings.features == rings.features
    assert negotiated & RING_FEATURES == rings.features
    for number in range(3 * rings.size):
        frame = FRAME + number.to_bytes(4, "little")
        assert driver.send(frame) == (frame,)
        got = driver.receive(frame)
        assert got is not None and got.frame == frame
    driver.steer_ipsec()
    assert len(device_of(port).flow_table.rules) > 2
    with pytest.raises(AdminError, match="FF_GROUP 77 does not exist"):
        driver.admin.destroy(ResourceType.FF_GROUP, 77)
    assert port.control(bytes((0, 0, 1)), 1) == b"\0"  # RX, PROMISC, on
    assert port.control(bytes((0, 77, 1)), 1) == b"\1"


@everywhere
def test_all_queues_of_many_pairs(rings: Rings) -> None:
    port = port_to(rings, pairs=3)
    driver = Driver(port, features=1 << Feature.VERSION_1 | 1 << Feature.CTRL_VQ | 1 << Feature.MQ)
    driver.negotiate()
    assert set(port.bases) == set(range(7))
    for queue in range(3):
        assert port.transmit(driver.header() + FRAME, queue) == (FRAME,)
    assert port.control(b"\4\0\3\0", 1) == b"\0"  # MQ, VQ_PAIRS_SET, 3
    driver = Driver(port, features=1 << Feature.VERSION_1)
    driver.negotiate()
    assert set(port.bases) == {0, 1}
    assert port.transmit(driver.header() + FRAME, 2) == ()  # there is no such queue


@everywhere
def test_receive_buffers_of_many_sizes(rings: Rings) -> None:
    """Buffers of another size take the place of those that the device has."""
    port = port_to(rings)
    driver = Driver(port).start()
    size = driver.layout.size
    for room in (2048, size + 1, 64, 70, 65536, 64):
        port.receive_buffer_size = room
        for length in (60, 61, 600):
            got = port.receive(bytes(14) + bytes(length - 14))
            assert got is not None
            assert [len(each) for each in got.buffers[:-1]] == [room] * (len(got.buffers) - 1)
            assert sum(map(len, got.buffers)) == size + length
            assert int.from_bytes(got.buffers[0][10:12], "little") == len(got.buffers)
    port.receive_buffer_size = 1 << 30
    with pytest.raises(ValueError, match="a receive buffer of 1073741824 octets"):
        port.receive(FRAME)


def test_a_buffer_that_is_too_long() -> None:
    port = port_to(Rings())
    Driver(port).start()
    with pytest.raises(ValueError, match="a buffer of 300000 \\+ 0 octets"):
        port.transmit(bytes(300000))


def test_a_buffer_of_nothing() -> None:
    """It cannot be in a ring."""
    port = port_to(Rings())
    Driver(port).start()
    assert port.transmit(b"") == () and port.admin(b"", 0) == b""


# -- when ---------------------------------------------------------------------------------------------------------


class Late(MemoryTransport):
    """Queues may not be set up before DRIVER_OK."""

    early = False

    def start(self, index: int, size: int, addresses: Sequence[int]) -> None:
        assert self.status & Status.DRIVER_OK
        super().start(index, size, addresses)


class Prompt(MemoryTransport):
    """The device looks at its queues as soon as it goes live."""

    def set_status(self, value: int) -> None:
        super().set_status(value)
        self.wait(lambda: False)


@pytest.mark.parametrize("kind", [MemoryTransport, Late, Prompt])
def test_nothing_happens_before_driver_ok(kind: type[MemoryTransport]) -> None:
    """What was made available is left alone, and when the device goes live it is there no more."""
    port = port_to(Rings(), kind=kind)
    features = 1 << Feature.VERSION_1 | 1 << Feature.ADMIN_VQ | 1 << Feature.CTRL_VQ
    negotiate(port, features)
    assert bool(port.bases) is (kind is not Late)
    for _ in range(2):
        assert port.transmit(bytes(12) + FRAME) == () == device_of(port).counters.tx_dropped.total() * (0,)
        assert port.admin(bytes(24)) == b"" and port.control(bytes(3), 1) == b""
        assert port.receive(FRAME) is None
    port.set_status(port.status | Status.DRIVER_OK)
    other = FRAME[::-1]
    assert port.transmit(bytes(12) + other) == (other,)
    assert port.admin(bytes(24))[:2] == b"\0\0"
    got = port.receive(other)
    assert got is not None and got.buffers[0][12:] == other
    assert device_of(port).counters.tx_sent == 1


@pytest.mark.parametrize("kind", [MemoryTransport, Late])
def test_features_count_from_features_ok_on(kind: type[MemoryTransport]) -> None:
    """Those that are written later change nothing, neither for the device nor for the rings."""
    port = port_to(Rings(), kind=kind)
    negotiate(port)
    port.set_driver_features(1 << Feature.VERSION_1 | 1 << Feature.CTRL_VQ | 1 << Feature.RING_PACKED)
    port.set_status(port.status | Status.DRIVER_OK)
    assert set(port.bases) == {0, 1} and port.control(bytes(3), 1) == b""
    assert port.transmit(bytes(12) + FRAME) == (FRAME,)


def test_a_reset_frees_the_memory() -> None:
    port = port_to(Rings())
    for _ in range(20):
        Driver(port).start()
    taken = port.transport.arena.taken
    port.set_status(0)
    assert not port.bases and port.transport.arena.taken == 0 < taken


# -- devices that do wrong ----------------------------------------------------------------------------------------


class Meddling(MemoryTransport):
    """A device whose queues are ``meddle``d with when it has been served."""

    meddle: Callable[[Meddling, int], object] = staticmethod(lambda transport, index: None)

    def wait(self, ready: Callable[[], bool], must: bool = True) -> bool:
        kicked = list(self._kicked)
        super().wait(lambda: False, must)
        for index in kicked:
            type(self).meddle(self, index)
        return ready()


def used_more(transport: Meddling, index: int) -> None:
    """The device says that it has written more than there was room for."""
    queue = transport._running[index]
    inner = queue.finish
    queue.finish = lambda done: inner([(chain, chain.writable_len + 1) for chain, _ in done])  # type: ignore[method-assign]


@pytest.mark.parametrize("rings", [Rings(), Rings(packed=True)], ids=["split", "packed"])
def test_more_written_than_there_is_room(rings: Rings) -> None:
    port = port_to(rings)
    Driver(port).start()
    for index in (0, port.transport.admin_index or 0):
        used_more(port.transport, index)  # type: ignore[arg-type]
    with pytest.raises(RingFailed, match=r"virtqueue 3: 65537 octets are written where there is room for 65536"):
        port.admin(bytes(24))
    with pytest.raises(RingFailed, match="virtqueue 0: 131073 octets are written to a receive buffer of 131072"):
        port.receive(FRAME)


def test_a_buffer_that_is_not_used() -> None:
    port = port_to(Rings())
    Driver(port).start()
    device = device_of(port)
    port.transport.queues.service = lambda index: False  # type: ignore[attr-defined]
    with pytest.raises(NotUsed, match="virtqueue 1: the device does not use a buffer that is available"):
        port.transmit(bytes(32) + FRAME)
    device.needs_reset("for a test")
    assert port.transmit(bytes(32) + FRAME) == ()


def test_a_buffer_that_is_used_too_early() -> None:
    class Hasty(MemoryTransport):
        def wait(self, ready: Callable[[], bool], must: bool = True) -> bool:
            self.queues.service(1)
            return ready()

    port = port_to(Rings(), kind=Hasty)
    negotiate(port)
    with pytest.raises(RingFailed, match="virtqueue 1: the device used a buffer before DRIVER_OK"):
        port.transmit(bytes(12) + FRAME)


def test_a_ring_that_makes_no_sense() -> None:
    port = port_to(Rings())
    header = Driver(port).start().header()
    port.transport.queues.service = lambda index: False  # type: ignore[attr-defined]
    port.driver_side(1).parts[2].cast("H")[1] = 5
    with pytest.raises(RingFailed, match="virtqueue 1: the used index is"):
        port.transmit(header + FRAME)


def test_a_packet_in_two_queues() -> None:
    """Buffers of one packet are all of one queue."""
    port = port_to(Rings(), pairs=2)
    driver = Driver(port, features=1 << Feature.VERSION_1 | 1 << Feature.CTRL_VQ | 1 << Feature.MQ)
    driver.negotiate()
    queues = port.transport.queues  # type: ignore[attr-defined]
    place = queues.device.place

    def both(number: int, data: bytes) -> object:
        place(1, data)
        return place(0, data)

    queues.device.place = both
    with pytest.raises(RingFailed, match="receive queues 1, 2 all got one frame"):
        port.receive(FRAME)


def test_a_control_virtqueue_that_is_somebody_elses() -> None:
    """Where a transport says that it may be, it is waited for once."""

    class Elsewhere(MemoryTransport):
        control_elsewhere = True
        waits = 0

        def wait(self, ready: Callable[[], bool], must: bool = True) -> bool:
            self.waits += 1
            return super().wait(ready, must)

    port = port_to(Rings(), kind=Elsewhere)
    Driver(port, features=1 << Feature.VERSION_1 | 1 << Feature.CTRL_VQ).negotiate()
    transport = port.transport
    assert isinstance(transport, Elsewhere)
    transport.queues._service[2] = lambda index, queue: False
    for _ in range(3):
        with pytest.raises(Unobservable, match="leaves the control virtqueue alone"):
            port.control(bytes(3), 1)
    assert transport.waits == 1


def test_a_broken_ring_and_the_way_back() -> None:
    port = port_to(Rings())
    header = Driver(port).start().header()
    port.driver_side(1).parts[1].cast("H")[1] += 1000
    port.transport.kick(1)
    port.transport.wait(lambda: False)
    assert port.transmit(header + FRAME) == () and port.status & Status.DEVICE_NEEDS_RESET
    driver = Driver(port).start()
    assert driver.send(FRAME) == (FRAME,)


# -- memory ------------------------------------------------------------------------------------------------------


def test_arena() -> None:
    octets = memoryview(bytearray(1000))
    arena = Arena(octets, 0x1008)
    first, second = arena.take(10), arena.take(20, 64)
    assert (first, second) == (0x1010, 0x1040) and arena.taken == second + 20 - 0x1008
    arena.view(second, 20)[:] = b"x" * 20
    assert bytes(octets[0x38 : 0x38 + 20]) == b"x" * 20
    for address, length in ((0x1007, 1), (0x1008, 1001), (0x1008, -1), (0x2000, 0)):
        with pytest.raises(ValueError, match="not in this memory"):
            arena.view(address, length)
    with pytest.raises(MemoryError, match="1000 octets of driver memory are wanted"):
        arena.take(1000)
    arena.taken = 0
    assert arena.take(900) == 0x1010
    with pytest.raises(ValueError, match="outside the 64-bit address space"):
        Arena(octets, (1 << 64) - 999)
