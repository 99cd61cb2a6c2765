"""Microseconds per packet for the whole device path.

Outbound is TX buffer to wire frame, inbound wire frame to RX buffer.  Model and
references take turns, so that a slow moment of the machine meets them all; the
median of the repeats is reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from .cases import ALGORITHMS, SIZES, Algorithm, driver_for, frame, ip_packet
from .references import Call, bare_calls, scapy_calls

PACKETS = 500
SCAPY_PACKETS = 15


@dataclass(frozen=True)
class Measurement:
    """One algorithm, packet size (octets of plain IP packet) and direction; ``times_`` are ratios."""

    algorithm: str
    size: int
    direction: str
    us_per_packet: float
    bare_us: float
    scapy_us: float
    times_bare: float
    times_scapy: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _per_call(call: Call, count: int) -> float:
    """Microseconds per call, the loop around it included."""
    started = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - started) / count * 1e6


def _per_item(call: Callable[[bytes], Any], items: Sequence[bytes]) -> float:
    """Microseconds per call, one for each of ``items``."""
    started = time.perf_counter()
    for item in items:
        call(item)
    return (time.perf_counter() - started) / len(items) * 1e6


def measure(algorithm: Algorithm, size: int, repeats: int) -> tuple[Measurement, Measurement]:
    """Outbound and inbound for one algorithm and size."""
    packet = ip_packet(size)
    driver, resource_id = driver_for(algorithm)
    transmit, receive = driver.device.transmit, driver.device.receive
    buffers = [driver.header(resource_id) + frame(packet)] * PACKETS
    bare_encrypt, bare_decrypt = bare_calls(algorithm, _plaintext_length(algorithm, size))
    scapy_encrypt, scapy_decrypt = scapy_calls(algorithm, packet)
    times: dict[str, list[float]] = {}
    for _ in range(repeats):
        wire = [transmit(buffer)[0] for buffer in buffers]
        for name, value in (
            ("outbound", _per_item(transmit, buffers)),
            ("bare_encrypt", _per_call(bare_encrypt, PACKETS)),
            ("inbound", _per_item(receive, wire)),
            ("bare_decrypt", _per_call(bare_decrypt, PACKETS)),
            ("scapy_encrypt", _per_call(scapy_encrypt, SCAPY_PACKETS)),
            ("scapy_decrypt", _per_call(scapy_decrypt, SCAPY_PACKETS)),
        ):
            times.setdefault(name, []).append(value)
    _check(driver, packet)
    took = {name: median(values) for name, values in times.items()}
    return (
        _measurement(algorithm, size, "outbound", took["outbound"], took["bare_encrypt"], took["scapy_encrypt"]),
        _measurement(algorithm, size, "inbound", took["inbound"], took["bare_decrypt"], took["scapy_decrypt"]),
    )


def _plaintext_length(algorithm: Algorithm, size: int) -> int:
    """The packet with its ESP trailer: what the cipher sees."""
    align = 16 if algorithm.name.startswith("aes-cbc") else 4
    return -(-(size + 2) // align) * align


def _check(driver: Any, packet: bytes) -> None:
    """What was measured has to have worked."""
    counters = driver.device.counters
    if counters.tx_dropped or counters.rx_dropped or counters.rx_security_err:
        raise RuntimeError(f"packets of {len(packet)} octets failed while they were measured")


def _measurement(algorithm: Algorithm, size: int, direction: str, us: float, bare: float, scapy: float) -> Measurement:
    return Measurement(
        algorithm.name,
        size,
        direction,
        round(us, 3),
        round(bare, 3),
        round(scapy, 1),
        round(us / bare, 2),
        round(scapy / us, 1),
    )


def measure_all(repeats: int) -> Iterator[Measurement]:
    """Every algorithm at every size, both directions."""
    for algorithm in ALGORITHMS:
        for size in SIZES:
            yield from measure(algorithm, size, repeats)
