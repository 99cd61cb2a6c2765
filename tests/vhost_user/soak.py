"""Many packets through a front end and a served back end, with faults: killed, paused, reset, memory mapped anew.

    python -m tests.vhost_user.soak [--packets N] [--rings split|packed]

The back end's wire is a loopback, so that every packet that is sent comes back.  Each has a number.  What has to hold:

- every buffer is used once: the driver's rings find out one that is used twice or was never made available;
- every packet comes back once, but for kills: what the back end had done with packets whose buffers were used, and
  that had not come back, cannot be known; and for each kill one may come back twice, which was just being sent;
- the back end's memory does not grow.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path

from virtionet_ipsec.driver import Driver
from virtionet_ipsec.vhost_user.asking import BackEndFailed
from virtionet_ipsec.vhost_user.front_end import FrontEnd
from virtionet_ipsec.vhost_user.shared import SharedMemory
from virtionet_ipsec.virtqueue.driver_side import DriverSide
from virtionet_ipsec.virtqueue.port import QueuePort, Rings

RECEIVE, TRANSMIT = 0, 1
SIZE = 256  # of a ring
UNDER_WAY = SIZE  # packets that were sent and have not come back: there is a receive buffer for each
SLOT = 256  # octets of a buffer
HEADER = bytes(12)
ETHERNET = bytes.fromhex("020000000001 020000000002 88b5")
PATIENCE = 20.0  # seconds without a packet
MEMORY_GROWTH = 2 << 20  # octets
WARM = 20_000  # packets after which a back end's memory is looked at first


class SoakFailed(AssertionError):
    """Something was lost, doubled or never came."""


@dataclass
class Tally:
    """What came of it."""

    sent: int = 0
    received: int = 0
    kills: int = 0
    pauses: int = 0
    resets: int = 0
    remaps: int = 0
    unknown: int = 0  # packets of which a kill left open whether they came through, and that did not
    doubled: int = 0
    growth: int = 0  # octets, the most that one back end's memory grew
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.sent:,} packets in {self.seconds:.0f} s ({self.sent / max(self.seconds, 1):,.0f}/s): "
            f"{self.kills} kills, {self.resets} resets, {self.pauses} pauses, {self.remaps} remaps; "
            f"{self.unknown} lost and {self.doubled} doubled by kills; memory grew by {self.growth >> 10} KiB"
        )


class Served:
    """``virtionet-ipsec serve`` in a process, again and again."""

    def __init__(self, folder: Path, wire: str = "loopback") -> None:
        self.socket = str(folder / "socket")
        self._wire_name = wire
        self._log = (folder / "log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = [sys.executable, "-m", "virtionet_ipsec", "serve", "--socket", self.socket, "--wire", self._wire_name]
        self._process = subprocess.Popen(words, stderr=self._log)

    def connected(self) -> FrontEnd:
        """A front end, as soon as there is a back end."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return FrontEnd(self.socket, in_flight=True)
            except BackEndFailed:
                if time.monotonic() > end:
                    self.end()
                    raise
                time.sleep(0.05)

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def end(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()
        self._log.close()

    @property
    def memory(self) -> int:
        """Octets that are the process's own: what it shares with the driver does not count."""
        assert self._process is not None
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon:"))


@dataclass(eq=False)
class Slots:
    """Buffers in a piece of memory; what is not free is at the device."""

    memory: SharedMemory
    free: list[int] = field(default_factory=lambda: list(range(SIZE)))

    def __post_init__(self) -> None:
        self.address = self.memory.arena.address
        self.octets = self.memory.arena.octets

    @property
    def idle(self) -> bool:
        return len(self.free) == SIZE


_Token = tuple[Slots, int, int]
"""Where a buffer is, and the packet's number; -1 for one that receives."""


class Soak:
    """The driver.  ``missing`` are the numbers of packets that were sent and have not come back."""

    def __init__(self, folder: Path, packed: bool) -> None:
        self.tally = Tally()
        self._packed = packed
        self._served = Served(folder)
        self._served.start()
        self._front_end = self._served.connected()
        self._port = QueuePort(self._front_end, Rings(packed=packed, size=SIZE))
        self._driver = Driver(self._port).start()
        self._header = self._driver.header()
        self._transmit = self._port.driver_side(TRANSMIT)
        self._receive = self._port.driver_side(RECEIVE)
        self._begin(self._receive)
        self._pools = {side.index: [self._pool()] for side in (self._transmit, self._receive)}
        self._at_device: dict[int, dict[_Token, None]] = {TRANSMIT: {}, RECEIVE: {}}
        self._missing: dict[int, None] = {}  # a set that keeps its order
        self._maybe_twice: set[int] = set()
        self._unknown: set[int] = set()
        self._when_quiet: Callable[[], None] | None = None  # to be done when nothing is under way
        self._warm_at = WARM
        self._warm = 0

    def _pool(self) -> Slots:
        return Slots(self._front_end.memory.add(SIZE * SLOT))

    def _begin(self, side: DriverSide) -> None:
        """Begin a queue anew: the buffers that the port gave are none of ours."""
        self._front_end.stop(side.index)
        side.start()

    # -- packets -------------------------------------------------------------------------------------------------

    def run(self, packets: int, faults: Callable[[int], Callable[[], None] | None]) -> Tally:
        """Send ``packets``; before each round, ``faults`` of the number sent may give one to inject."""
        started = heard = time.monotonic()
        while self.tally.sent < packets or self._missing:
            if self.tally.sent < packets and (fault := faults(self.tally.sent)) is not None:
                fault()
            self._offer()
            if self._when_quiet is None:
                self._send(packets)
            elif not self._missing:
                self._when_quiet()
                self._when_quiet = None
            if self._collect():
                heard = time.monotonic()
                self._watch_memory()
                continue
            if time.monotonic() - heard > PATIENCE:
                first = next(iter(self._missing), None)
                raise SoakFailed(f"{len(self._missing)} packets do not come, the first is {first}: {self.tally}")
            self._doze()
        self._watch_memory(last=True)
        self.tally.seconds = time.monotonic() - started
        self.tally.unknown = len(self._unknown)
        if self.tally.growth > MEMORY_GROWTH:
            raise SoakFailed(f"the back end's memory grows: {self.tally}")
        return self.tally

    def _doze(self) -> None:
        """Wait for used buffers: sometimes to be notified, and mostly, which is quicker, for a moment."""
        notified = self.tally.sent // 4096 % 8 == 0
        there = [side.ring.ask_for_interrupts(notified) for side in (self._transmit, self._receive)]
        if any(there):
            return
        if notified:
            self._front_end.sleep(PATIENCE)
        else:
            time.sleep(0.001)

    def _send(self, packets: int) -> None:
        pool, side, tally = self._pools[TRANSMIT][-1], self._transmit, self.tally
        count = min(len(pool.free), side.ring.free // 2, UNDER_WAY - len(self._missing), packets - tally.sent)
        for _ in range(count):
            self._put(tally.sent)
            self._missing[tally.sent] = None
            tally.sent += 1
        if count > 0:
            side.show(kick=True)

    def _put(self, number: int) -> None:
        """A transmit buffer with packet ``number``, the header an element of its own for some."""
        pool, side = self._pools[TRANSMIT][-1], self._transmit
        slot = pool.free.pop()
        data = self._header + ETHERNET + number.to_bytes(8, "little") + bytes(38 + number % 64)
        at, cut = slot * SLOT, len(self._header)
        pool.octets[at : at + len(data)] = data
        address = pool.address + at
        token = pool, slot, number
        self._at_device[TRANSMIT][token] = None
        if number % 8:
            side.ring.add(((address, len(data)),), (), token)
        else:
            elements = ((address, cut), (address + cut, len(data) - cut))
            side.ring.add(elements, (), token, indirect=side.indirect and number % 16 == 0)

    def _offer(self) -> None:
        pool, side = self._pools[RECEIVE][-1], self._receive
        count = min(len(pool.free), side.ring.free)
        for _ in range(count):
            slot = pool.free.pop()
            token = pool, slot, -1
            self._at_device[RECEIVE][token] = None
            side.ring.add((), ((pool.address + slot * SLOT, SLOT),), token)
        if count:
            side.show(kick=True)

    def _collect(self) -> bool:
        """Take what was used; whether there was anything."""
        sent, came = self._take(self._transmit), self._take(self._receive)
        for (pool, slot, _), written in came:
            at = slot * SLOT
            self._came(bytes(pool.octets[at + len(self._header) : at + written]))
        self._drop_idle()
        return bool(sent or came)

    def _take(self, side: DriverSide) -> list[tuple[_Token, int]]:
        """The buffers that were used; they are free, and nobody has written to them again yet."""
        used: list[tuple[_Token, int]] = side.used()  # type: ignore[assignment]
        for token, _ in used:
            del self._at_device[side.index][token]
            token[0].free.append(token[1])
        return used

    def _came(self, data: bytes) -> None:
        number = int.from_bytes(data[14:22], "little")
        if data[:14] != ETHERNET or len(data) != 60 + number % 64:
            raise SoakFailed(f"a packet came that was never sent: {data.hex()}")
        if number in self._missing:
            del self._missing[number]
        elif number in self._unknown:
            self._unknown.discard(number)
        elif number in self._maybe_twice:
            self._maybe_twice.discard(number)
            self.tally.doubled += 1
            if self.tally.doubled > self.tally.kills:
                raise SoakFailed(f"more packets came twice than back ends were killed: {self.tally}")
            return
        else:
            raise SoakFailed(f"packet {number} came twice, or was never sent")
        self.tally.received += 1

    def _watch_memory(self, last: bool = False) -> None:
        if self._warm and last:
            self.tally.growth = max(self.tally.growth, self._served.memory - self._warm)
        elif not self._warm and self.tally.sent >= self._warm_at:
            self._warm = self._served.memory

    # -- faults --------------------------------------------------------------------------------------------------

    def kill(self) -> None:
        """SIGKILL in the middle of its work, and another back end in its place."""
        self.tally.kills += 1
        self._watch_memory(last=True)
        self._send(self.tally.sent + SIZE)
        time.sleep(self.tally.kills % 5 * 0.0004)
        self._served.kill()
        self._collect()
        waiting = {number for _, _, number in self._at_device[TRANSMIT]}
        # Their buffers were used and they have not come back: they were in the back end's hands.
        lost = [number for number in self._missing if number not in waiting]
        self._unknown.update(lost)
        for number in lost:
            del self._missing[number]
        self._maybe_twice = waiting
        self._served.start()
        self._front_end.reconnect(self._bases(), PATIENCE)
        self._warm, self._warm_at = 0, self.tally.sent + WARM

    def _bases(self) -> dict[int, int]:
        """Where the rings go on; now and then what is wrong, for the region of what is in flight knows better."""
        if self.tally.kills % 2:
            return self._port.bases
        return {
            index: 1 << 15 | 1 << 31 if self._packed else base + 7 & 0xFFFF for index, base in self._port.bases.items()
        }

    def pause(self) -> None:
        """GET_VRING_BASE, and go on from there.

        A receive queue that does not run gets no packets: that one waits until none is under way.
        """
        self.tally.pauses += 1
        self._front_end.pause(TRANSMIT)
        self._when_quiet = partial(self._front_end.pause, RECEIVE)

    def reset(self) -> None:
        """The queues begin anew; what was not used is made available once more."""
        self.tally.resets += 1
        again = self._reset(self._transmit)
        self._drop_idle()
        for _, _, number in again:
            self._put(number)
        self._transmit.show(kick=True)
        self._when_quiet = partial(self._reset, self._receive)

    def _reset(self, side: DriverSide) -> list[_Token]:
        """Gives what had not been used; it is free."""
        self._front_end.stop(side.index)
        self._collect()
        tokens = list(self._at_device[side.index])
        self._at_device[side.index].clear()
        for pool, slot, _ in tokens:
            pool.free.append(slot)
        side.start()
        return tokens

    def map_again(self) -> None:
        """All memory is mapped anew while the rings run."""
        self.tally.remaps += 1
        self._front_end.memory.set_table()

    def move(self) -> None:
        """From here on buffers lie in other memory; what they lay in goes when the last one there is used."""
        self.tally.remaps += 1
        for pools in self._pools.values():
            if len(pools) < 3:
                pools.append(self._pool())

    def _drop_idle(self) -> None:
        for pools in self._pools.values():
            while len(pools) > 1 and pools[0].idle:
                self._front_end.memory.remove(pools.pop(0).memory)

    def end(self) -> None:
        self._front_end.close()
        self._served.end()


def soak(packets: int, packed: bool, every: int) -> Tally:
    """Send ``packets``, with a fault after each ``every`` of them."""
    with tempfile.TemporaryDirectory() as folder:
        run = Soak(Path(folder), packed)
        kinds = cycle((run.move, run.reset, run.kill, run.pause, run.map_again, run.move, run.kill))
        following = every

        def faults(sent: int) -> Callable[[], None] | None:
            nonlocal following
            if sent < following:
                return None
            following += every
            return next(kinds)

        try:
            return run.run(packets, faults)
        finally:
            run.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=5_000_000, help="half of them through each format of rings")
    parser.add_argument("--rings", choices=("split", "packed"), help="only this format")
    options = parser.parse_args()
    formats = [options.rings] if options.rings else ["split", "packed"]
    packets = options.packets // len(formats)
    for name in formats:
        # The last faults leave a back end time to show whether its memory grows.
        print(f"{name}: {soak(packets, name == 'packed', max(packets // 40, 1))}", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
