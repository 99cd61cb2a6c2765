"""Packets a second through virtqueues: the driver in this process, a served device in another (vhost-user).

The driver is one that costs next to nothing (:mod:`.pump`).  With the time on the clock, that on the device's processor
is told: where the two differ, the device had to wait, or something else ran beside it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ..control import ControlClient, GuestSide
from ..control.messages import Kind
from ..driver import Driver, InProcess, connect
from ..ipsec import Direction
from ..serve.transparent import Transparent
from ..vhost_user.front_end import FrontEnd
from ..virtqueue.port import QueuePort, Rings
from .cases import ALGORITHMS, driver_for, frame, ip_packet, sa_params
from .far_end import BATCH, arriving, entries
from .pump import PackedPump, SplitPump
from .ring_cases import CASES, Case

PACKETS = 20_000
_RECEIVE, _TRANSMIT = 0, 1  # the virtqueues of the first pair
_SIZE = 1024
_RECEIVE_BUFFER = 2048
_PATIENCE = 30.0  # seconds in which all packets have to come
_FAR_END = f"{__package__}.far_end"


_Run = Callable[[], None]


@dataclass(frozen=True)
class RingMeasurement:
    """One case, ring format and direction; ``size`` is that of the IP packet in octets.

    ``processor_us`` is the processor time of the device's process for a packet, ``in_process_us`` what the same packet
    takes without rings.
    """

    case: str
    size: int
    direction: str
    ring: str
    packets_per_second: int
    processor_us: float
    in_process_us: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class _Served:
    """A far end for ``case`` in a process of its own, and a driver in DRIVER_OK on it."""

    def __init__(self, case: Case, packed: bool, frames: int) -> None:
        self.packed = packed
        self._folder = tempfile.TemporaryDirectory()
        socket, self._control = (str(Path(self._folder.name, name)) for name in ("socket", "control"))
        asks, self._asking = os.pipe()
        words = [sys.executable, "-m", _FAR_END, socket, self._control, str(asks), case.name, str(frames)]
        self._process = subprocess.Popen(words, pass_fds=[asks])
        os.close(asks)
        try:
            self._await(self._control)
            self.front_end = FrontEnd(socket, beside=GuestSide(self._control))
            self.port = QueuePort(self.front_end, Rings(packed=packed, size=_SIZE))
            self.driver = Driver(self.port).start()
        except BaseException:
            self._end()
            raise

    def _await(self, control: str) -> None:
        end = time.monotonic() + _PATIENCE
        while not os.path.exists(control):
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("the served device did not come up")
            time.sleep(0.02)

    def pump(self, index: int, length: int, readable: bool) -> SplitPump | PackedPump:
        """Virtqueue ``index``, begun anew."""
        queue = self.port.driver_side(index)
        queue.restart()
        return (PackedPump if self.packed else SplitPump)(queue, length, readable)

    def ask(self, frames: int) -> int:
        """Let frames arrive, no more than ``frames``; gives how many."""
        batches = frames // BATCH
        if batches:
            os.write(self._asking, bytes(batches))
        return batches * BATCH

    def doze(self, pump: SplitPump | PackedPump, most: int) -> None:
        """Wait until some of the ``most`` buffers are used that the device has to use."""
        if not pump.doze(min(most, _SIZE // 2)):
            self.front_end.sleep(_PATIENCE)

    @property
    def processor_time(self) -> float:
        """Seconds that the device's process has run."""
        return int(Path(f"/proc/{self._process.pid}/schedstat").read_text().split()[0]) / 1e9

    def check(self) -> None:
        """What was measured has to have worked."""
        with ControlClient(self._control) as client:
            counters = client.ask(Kind.COUNTERS)
        told = [counters["guest"]["device"], counters["host"]["device"], counters["host"]["packets"]]
        names = ("tx_dropped", "rx_dropped", "rx_security_err", "out_dropped", "in_dropped", "buffers_refused")
        if failed := [f"{name} {each[name]}" for each in told for name in names if each.get(name)]:
            raise RuntimeError(f"packets failed while they were measured: {', '.join(failed)}")

    def close(self) -> None:
        self.front_end.close()
        self._end()

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait()
        os.close(self._asking)
        self._folder.cleanup()


_Prepare = Callable[[_Served, Case], _Run]


def measure_rings(repeats: int) -> Iterator[RingMeasurement]:
    """Every case in both directions and ring formats."""
    for case in CASES:
        for direction, (alone, prepare) in _DIRECTIONS.items():
            us = alone(case, repeats)
            for packed in (False, True):
                rate, processor = _measure(case, prepare, packed, repeats)
                ring = "packed" if packed else "split"
                yield RingMeasurement(case.name, case.size, direction, ring, round(rate), processor, us)


def _measure(case: Case, prepare: _Prepare, packed: bool, repeats: int) -> tuple[float, float]:
    """Packets a second, and microseconds of processor time for each; the medians."""
    served = _Served(case, packed, PACKETS * repeats)
    try:
        run = prepare(served, case)
        served.front_end.beside.close()  # it is a port of the segment, and would get all frames too
        rates, processor = [], []
        for _ in range(repeats):
            before, started = served.processor_time, time.perf_counter()
            run()
            rates.append(PACKETS / (time.perf_counter() - started))
            processor.append((served.processor_time - before) / PACKETS * 1e6)
        served.check()
    finally:
        served.close()
    return median(rates), round(median(processor), 2)


def _transmitting(served: _Served, case: Case) -> _Run:
    driver = served.driver
    sa = driver.create_sa(sa_params(ALGORITHMS[0], Direction.OUTBOUND)) if case.aware else None
    buffer = driver.header(sa) + frame(ip_packet(case.size))
    pump = served.pump(_TRANSMIT, len(buffer), readable=True)
    served.port.driver_side(_TRANSMIT).octets[: len(buffer)] = buffer

    def run() -> None:
        offered = used = 0
        while used < PACKETS:
            more = min(_SIZE - (offered - used), PACKETS - offered)
            if more and pump.offer(more):
                served.front_end.kick(_TRANSMIT)
            offered += more
            found = pump.used()
            used += found
            if not found and not more:
                served.doze(pump, offered - used)

    return run


def _receiving(served: _Served, case: Case) -> _Run:
    if case.aware:
        served.driver.steer_ipsec()
        served.driver.create_sa(sa_params(ALGORITHMS[0], Direction.INBOUND))
    pump = served.pump(_RECEIVE, _RECEIVE_BUFFER, readable=False)
    if pump.offer(_SIZE):
        served.front_end.kick(_RECEIVE)

    def run() -> None:
        asked = used = 0
        while used < PACKETS:
            more = served.ask(min(_SIZE - (asked - used), PACKETS - asked))
            asked += more
            found = pump.used()
            if found and pump.offer(found):
                served.front_end.kick(_RECEIVE)
            used += found
            if not found and not more:
                served.doze(pump, asked - used)

    return run


# -- the same without rings --------------------------------------------------------------------------------------


def _per_packet(call: Callable[[bytes], Any], items: Sequence[bytes], repeats: int) -> float:
    """Microseconds of processor time for each of ``items``; the median of ``repeats`` parts of them."""
    took = []
    for part in range(repeats):
        mine = items[part::repeats]
        started = time.process_time()
        for item in mine:
            call(item)
        took.append((time.process_time() - started) / len(mine) * 1e6)
    return round(median(took), 2)


def _alone(case: Case) -> tuple[InProcess, int | None, Transparent]:
    if case.aware:
        driver, sa = driver_for(ALGORITHMS[0])
        return driver, sa, Transparent()
    return connect(mtu=65535), None, Transparent(entries(case), mtu=65535)


def _transmit_alone(case: Case, repeats: int) -> float:
    driver, sa, host = _alone(case)
    buffer = driver.header(sa) + frame(ip_packet(case.size))
    transmit = driver.device.transmit

    def through_host(buffer: bytes) -> None:
        for each in transmit(buffer):
            host.outbound(each)

    return _per_packet(through_host if case.transparent else transmit, [buffer] * PACKETS, repeats)


def _receive_alone(case: Case, repeats: int) -> float:
    driver, _, host = _alone(case)
    receive = driver.device.receive

    def through_host(wire: bytes) -> None:
        plain = host.inbound(wire)
        if plain is not None:
            receive(plain)

    # In the order of their sequence numbers, whatever part is taken.
    wire = arriving(case, PACKETS) * (1 if case.protected else PACKETS)
    return _per_packet(through_host if case.transparent else receive, wire, 1 if case.protected else repeats)


_DIRECTIONS: dict[str, tuple[Callable[[Case, int], float], _Prepare]] = {
    "transmit": (_transmit_alone, _transmitting),
    "receive": (_receive_alone, _receiving),
}
