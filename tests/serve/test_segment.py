"""The hub: what one port sends goes to all others, and never back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from virtionet_ipsec.serve.loop import Loop
from virtionet_ipsec.serve.segment import Port, Segment
from virtionet_ipsec.serve.wires import open_wire

from .test_socket_wire import SocketWire
from .test_wires import pcap_records

FRAMES = [b"one" * 20, b"two" * 20]


class Ear:
    """A port that keeps what it hears."""

    def __init__(self, segment: Segment) -> None:
        self.heard: list[bytes] = []
        self.port: Port = segment.attach(self.hear)

    def hear(self, frames: Sequence[bytes]) -> None:
        self.heard += frames


def test_to_all_others() -> None:
    segment = Segment(Loop())
    ears = [Ear(segment) for _ in range(3)]
    ears[0].port.send(FRAMES)
    assert [ear.heard for ear in ears] == [[], FRAMES, FRAMES]
    segment.detach(ears[1].port)
    ears[2].port.send(FRAMES[:1])
    assert [ear.heard for ear in ears] == [FRAMES[:1], FRAMES, FRAMES]
    ears[1].port.send(FRAMES)
    assert ears[0].heard == FRAMES[:1]


def test_a_port_may_leave_while_it_hears() -> None:
    segment = Segment(Loop())
    first, last = Ear(segment), Ear(segment)
    leaving = segment.attach(lambda frames: segment.detach(leaving))
    behind = Ear(segment)
    for _ in range(2):
        first.port.send(FRAMES)
    assert last.heard == behind.heard == FRAMES * 2 and leaving.others == ()


def test_wires_and_the_device(tmp_path: Path) -> None:
    """A frame from a socket goes to the device and into the capture; one of the device goes to both."""
    loop = Loop()
    segment = Segment(loop)
    device = Ear(segment)
    segment.plug(open_wire(f"socket:{tmp_path}/wire"))
    segment.plug(open_wire(f"pcap:{tmp_path}/out.pcap"))
    far = SocketWire("far", str(tmp_path / "wire"))
    for each in FRAMES:
        far.send(each)
    until(loop, lambda: len(device.heard) == 2)
    assert device.heard == FRAMES
    device.port.send(FRAMES[:1])
    assert far.receive(10) == FRAMES[:1]
    assert pcap_records((tmp_path / "out.pcap").read_bytes()) == [*FRAMES, FRAMES[0]]
    segment.close()
    far.close()
    loop.close()
    assert not (tmp_path / "wire").exists()


def until(loop: Loop, done: object) -> None:
    """Run ``loop`` until ``done()``, five seconds at most."""
    rounds = iter(range(500))

    def look() -> None:
        if done() or next(rounds, None) is None:  # type: ignore[operator]
            loop.stop()

    loop.call_every(0.01, look)
    loop.run()


def test_ticks_reconnect(tmp_path: Path) -> None:
    loop = Loop()
    segment = Segment(loop)
    device = Ear(segment)
    far = SocketWire("far", str(tmp_path / "wire"))
    segment.plug(open_wire(f"socket:{tmp_path}/wire"))
    far.receive(1)
    far.close()
    wire = segment.wires[0]
    assert isinstance(wire, SocketWire)
    until(loop, lambda: not wire.connected and (tmp_path / "wire").exists())
    far = SocketWire("far", str(tmp_path / "wire"))
    far.send(FRAMES[0])
    until(loop, lambda: bool(device.heard))
    assert device.heard == FRAMES[:1]
    segment.close()
    far.close()
    loop.close()


def test_loopback_settles() -> None:
    """Without the loop: what has been sent is back."""
    segment = Segment(Loop())
    segment.plug(open_wire("loopback"))
    device = Ear(segment)
    for _ in range(100):
        device.port.send(FRAMES)
    assert device.heard == []
    segment.settle()
    assert device.heard == FRAMES * 100
    segment.close()


def test_two_ends_that_answer_each_other_settle_too() -> None:
    segment = Segment(Loop())
    segment.plug(open_wire("loopback"))
    echo = segment.attach(lambda frames: echo.send(frames))
    echo.send(FRAMES)
    segment.settle()
    assert segment.wires[0].received >= 64
    segment.close()


class Broken:
    """A wire that has failed when it is read."""

    def __init__(self, inner: SocketWire) -> None:
        self.inner = inner
        self.name, self.failed, self.asked = "broken", "", 0
        self.sent = self.received = self.dropped = 0

    def fileno(self) -> int | None:
        return self.inner.fileno()

    def receive(self, most: int) -> list[bytes]:
        self.asked += 1
        self.failed = "it fell off"
        return []

    def send(self, frame: bytes) -> None:
        self.dropped += 1

    def tick(self) -> None:
        pass

    def close(self) -> None:
        self.inner.close()


def test_a_wire_that_works_no_more_is_told_once_and_not_asked_again(tmp_path: Path) -> None:
    loop = Loop()
    told: list[str] = []
    segment = Segment(loop, told.append)
    broken = Broken(SocketWire("x", str(tmp_path / "wire")))
    segment.plug(broken)
    far = SocketWire("far", str(tmp_path / "wire"))
    until(loop, lambda: bool(told))
    rounds = []
    until(loop, lambda: rounds.append(1) or len(rounds) > 5)
    assert told == ["wire broken: it fell off"] and broken.asked == 1
    segment.close()
    far.close()
    loop.close()
