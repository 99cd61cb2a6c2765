"""The process that is measured: a served device whose wire takes all frames, and gives some when it is asked to.

    python -m virtionet_ipsec.bench.far_end SOCKET CONTROL DESCRIPTOR CASE FRAMES

Of the pipe DESCRIPTOR each octet that comes asks for :data:`BATCH` frames.  FRAMES of them are made before the device
is served; after the last it begins anew.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from itertools import cycle, islice

from ..driver.in_process import connect
from ..ipsec import Direction
from ..safile import SaEntry
from ..serve.server import Server, Settings, offered
from ..wire.profile import Profile
from .cases import ALGORITHMS, frame, ip_packet, sa_params
from .ring_cases import Case, case_named

BATCH = 32


class Spring:
    """A :class:`~virtionet_ipsec.serve.wires.Wire` that gives ``frames`` over and over, and forgets what it is sent."""

    name = "bench"
    failed = ""

    def __init__(self, asked: int, frames: list[bytes]) -> None:
        self.sent = self.received = self.dropped = 0
        self._asked = asked
        self._frames: Iterator[bytes] = cycle(frames)
        os.set_blocking(asked, False)

    def fileno(self) -> int | None:
        return self._asked

    def send(self, frame: bytes) -> None:
        self.sent += 1

    def receive(self, most: int) -> list[bytes]:
        try:
            batches = len(os.read(self._asked, most // BATCH))
        except BlockingIOError:
            return []
        return list(islice(self._frames, batches * BATCH))

    def tick(self) -> None:
        pass

    def close(self) -> None:
        os.close(self._asked)


class FarEnd(Server):
    """A server with a wire that no command line names."""

    def plug(self, wire: Spring) -> None:
        self._segment.plug(wire)


def arriving(case: Case, count: int) -> list[bytes]:
    """``count`` frames as they are on the wire."""
    plain = frame(ip_packet(case.size))
    if not case.protected:
        return [plain]
    far = connect(mtu=65535)
    buffer = far.header(far.create_sa(sa_params(ALGORITHMS[0], Direction.OUTBOUND))) + plain
    return [far.device.transmit(buffer)[0] for _ in range(count)]


def entries(case: Case) -> list[SaEntry]:
    """The SAs of the host."""
    return [SaEntry(1, sa_params(ALGORITHMS[0], direction)) for direction in Direction] if case.transparent else []


def main(socket: str, control: str, descriptor: str, name: str, frames: str) -> None:
    case = case_named(name)
    profile = Profile.VIRTIO_1_4
    settings = Settings(socket, (), entries(case), profile, offered("", profile), wire_mtu=65535, control=control)
    wire = Spring(int(descriptor), arriving(case, int(frames)))
    server = FarEnd(settings, lambda line: None, lambda device: None)
    server.plug(wire)
    try:
        server.run(signal.SIGTERM)
    finally:
        server.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
