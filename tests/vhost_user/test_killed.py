"""A back end that is killed while it sends: its successor sends what had not been sent, and maybe one frame again.

The wire is a socket of this process: what was sent before the kill is there afterwards.
"""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from virtionet_ipsec.driver import Driver
from virtionet_ipsec.virtqueue.port import QueuePort, Rings

from .soak import ETHERNET, Served

PACKETS = 200
ROUNDS = 8
SLOT = 128


class Wired(Served):
    """With a wire to this process, one connection after the other."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, f"socket:{folder / 'wire'}")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(folder / "wire"))
        self._listener.listen()
        self._listener.settimeout(30)
        self._wire: socket.socket | None = None

    def start(self) -> None:
        super().start()
        self._wire, _ = self._listener.accept()

    def frames(self) -> Iterator[bytes]:
        """What has been sent by now."""
        assert self._wire is not None
        self._wire.setblocking(False)
        try:
            while frame := self._wire.recv(4096):
                yield frame
        except BlockingIOError:
            return

    def end(self) -> None:
        super().end()
        self._listener.close()


@pytest.mark.parametrize("packed", [False, True])
def test_each_frame_is_sent_once_or_just_then(tmp_path: Path, packed: bool) -> None:
    served = Wired(tmp_path)
    served.start()
    front_end = served.connected()
    try:
        port = QueuePort(front_end, Rings(packed=packed))
        header = Driver(port).start().header()
        side = port.driver_side(1)
        for turn in range(ROUNDS):
            numbers = range(turn * PACKETS, (turn + 1) * PACKETS)
            for slot, number in enumerate(numbers):
                data = header + ETHERNET + number.to_bytes(4, "little") + bytes(50)
                side.octets[slot * SLOT : slot * SLOT + len(data)] = data
                side.ring.add(((side.address + slot * SLOT, len(data)),), (), number)
            side.show(kick=True)
            time.sleep(turn % 4 * 0.0005)
            served.kill()
            sent = Counter(served.frames())
            used = side.used()
            served.start()
            front_end.reconnect(port.bases, 30)
            while len(used) < PACKETS:
                assert front_end.wait(lambda: used.extend(more := side.used()) or bool(more))  # type: ignore[func-returns-value] # noqa: B023
            assert sorted(number for number, _ in used) == list(numbers)  # type: ignore[type-var]
            sent.update(served.frames())
            seen = Counter({int.from_bytes(frame[14:18], "little"): count for frame, count in sent.items()})
            assert sorted(seen) == list(numbers)
            assert seen.total() <= PACKETS + 1
    finally:
        front_end.close()
        served.end()
