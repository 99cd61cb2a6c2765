"""A served device without rings: a loop in a thread, a guest that is a driver in this process."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from virtionet_ipsec.device import Device
from virtionet_ipsec.driver import InProcess
from virtionet_ipsec.ipsec import Direction, Mode, Protocol, SaParams, Tunnel
from virtionet_ipsec.safile import SaEntry, Select
from virtionet_ipsec.serve.control_server import ControlServer
from virtionet_ipsec.serve.host import Host
from virtionet_ipsec.serve.loop import READ, Loop
from virtionet_ipsec.serve.segment import Segment
from virtionet_ipsec.serve.transparent import Transparent

T = TypeVar("T")

PCAPS = Path(__file__).parents[2] / "pcaps"

KEY, SALT = bytes(range(0x61, 0x71)), b"salt"
HERE, THERE = bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))
MACS = bytes.fromhex("020000000002 020000000001")
GUEST, PEER = "10.1.0.1", "10.2.0.1"
OUT = Select(src=ip_network("10.1.0.0/16"), dst=ip_network("10.2.0.0/16"))


def sa(direction: str, number: int = 1, select: Select | None = None, origin: str = "", **fields: Any) -> SaEntry:
    """AES-GCM in an ESP tunnel between HERE and THERE, with SPI 0x1000 + number unless ``fields`` say otherwise."""
    way = Direction(direction)
    values: dict[str, Any] = {
        "protocol": Protocol.ESP,
        "mode": Mode.TUNNEL,
        "spi": 0x1000 + number,
        "aead": "aes-gcm",
        "cipher_key": KEY,
        "salt": SALT,
        "tunnel": Tunnel(HERE, THERE) if way is Direction.OUTBOUND else None,
        "replay_window": 64 if way is Direction.INBOUND else 0,
    }
    return SaEntry(number, SaParams(direction=way, **(values | fields)), select, origin or f"test.toml:{number}")


def frame(packet: Any) -> bytes:
    """An IP packet of scapy's, from the guest to its neighbour."""
    return bytes(Ether(dst=MACS[6:], src=MACS[:6]) / packet)


def udp(src: str = GUEST, dst: str = PEER, sport: int = 5000, dport: int = 7, size: int = 5, **fields: Any) -> bytes:
    return frame(IP(src=src, dst=dst, **fields) / UDP(sport=sport, dport=dport) / (b"x" * size))


class PlainGuest:
    """A guest whose driver calls its device: what it sends goes out, what comes in is kept."""

    def __init__(self, transparent: Transparent, segment: Segment) -> None:
        self.driver = InProcess(mtu=1500)
        self.driver.start()
        self.transparent = transparent
        self.accepted: int | None = None
        self.got: list[bytes] = []
        self.waiting: list[bytes] = []  # what the driver made available, and nobody has looked at
        self.settled = 0
        self._port = segment.attach(self.arrive)

    @property
    def device(self) -> Device:
        return self.driver.device

    def accept_features(self, features: int) -> None:
        if features & ~self.device.features:
            raise ValueError("not offered")
        self.accepted = features

    def settle(self) -> None:
        self.settled += 1
        for each in self.waiting:
            self.send(each)
        self.waiting.clear()

    def counters(self) -> Mapping[str, Any]:
        return {"settled": self.settled}

    def send(self, octets: bytes) -> None:
        for each in self.driver.send(octets):
            leaving = self.transparent.outbound(each)
            if leaving:
                self._port.send(leaving)

    def arrive(self, frames: Sequence[bytes]) -> None:
        for each in frames:
            plain = self.transparent.inbound(each)
            if plain is not None and (packet := self.driver.receive(plain)) is not None:
                self.got.append(packet.frame)


class Served:
    """Everything that a control socket needs.  While the loop runs in a thread, only :meth:`do` may touch it."""

    def __init__(self, path: Path, entries: Sequence[SaEntry] = (), **transparent: Any) -> None:
        self.path = str(path)
        self.loop = Loop()
        self.segment = Segment(self.loop)
        self.transparent = Transparent(entries, **transparent)
        self.guest = PlainGuest(self.transparent, self.segment)
        self.server = ControlServer(self.loop, self.path, Host(self.guest, self.transparent, self.segment))
        self._wanted: queue.SimpleQueue[Callable[[], Any]] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._bell = os.eventfd(0)
        self.loop.register(self._bell, READ, self._called)

    def do(self, call: Callable[..., T], *arguments: Any) -> T:
        """What ``call`` gives, made by the loop."""
        self._wanted.put(partial(call, *arguments))
        os.eventfd_write(self._bell, 1)
        result = self._done.get(timeout=20)
        if isinstance(result, BaseException):
            raise result
        return result

    def send(self, *frames: bytes) -> None:
        """The guest sends."""
        for each in frames:
            self.do(self.guest.send, each)

    def arrive(self, *frames: bytes) -> None:
        """Frames come for the guest."""
        self.do(self.guest.arrive, frames)

    def _called(self, _: int) -> None:
        for _ in range(os.eventfd_read(self._bell)):
            try:
                self._done.put(self._wanted.get()())
            except Exception as error:
                self._done.put(error)

    def close(self) -> None:
        self.server.close()
        self.segment.close()
        self.loop.close()
        os.close(self._bell)


@contextmanager
def served(path: Path, entries: Sequence[SaEntry] = (), **transparent: Any) -> Iterator[Served]:
    """A served device whose loop runs in a thread."""
    made = Served(path, entries, **transparent)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            made.loop.run()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield made
    finally:
        if thread.is_alive():
            made.do(made.loop.stop)
        thread.join(10)
        made.close()
        if failures:
            raise failures[0]
