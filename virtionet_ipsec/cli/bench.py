"""bench: measure, print."""

from __future__ import annotations

import json

import click
from rich.table import Table

from ..bench.end_to_end import compare
from ..bench.measure import Measurement, measure_all
from ..bench.rings import RingMeasurement, measure_rings
from .console import PlainConsole


def bench_command(as_json: bool, replays: bool, transport: str | None, repeats: int | None) -> int:
    if transport is not None:
        return _rings(as_json, repeats or 5)
    return _replay(as_json, repeats or 3) if replays else _device(as_json, repeats or 21)


def _device(as_json: bool, repeats: int) -> int:
    measured = list(measure_all(repeats))
    if as_json:
        print(json.dumps([each.as_dict() for each in measured], indent=2))
    else:
        PlainConsole().print(_table(measured))
    return 0


def _table(measured: list[Measurement]) -> Table:
    table = Table(title="microseconds per packet, whole device path", title_justify="left", box=None, pad_edge=False)
    table.add_column("algorithm", no_wrap=True)
    for name in ("size", "direction", "model", "bare", "scapy", "times bare", "times scapy"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in measured:
        table.add_row(
            each.algorithm,
            str(each.size),
            each.direction,
            f"{each.us_per_packet:.2f}",
            f"{each.bare_us:.2f}",
            f"{each.scapy_us:.0f}",
            f"{each.times_bare:.1f}",
            f"{each.times_scapy:.0f}",
        )
    return table


def _rings(as_json: bool, repeats: int) -> int:
    measured = list(measure_rings(repeats))
    if as_json:
        print(json.dumps([each.as_dict() for each in measured], indent=2))
    else:
        PlainConsole().print(_ring_table(measured))
    return 0


def _ring_table(measured: list[RingMeasurement]) -> Table:
    table = Table(title="through virtqueues, vhost-user", title_justify="left", box=None, pad_edge=False)
    for name in ("packets", "direction", "rings"):
        table.add_column(name, no_wrap=True)
    for name in ("size", "packets/s", "processor, µs", "in process, µs"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in measured:
        table.add_row(
            each.case,
            each.direction,
            each.ring,
            str(each.size),
            f"{each.packets_per_second:,}",
            f"{each.processor_us:.2f}",
            f"{each.in_process_us:.2f}",
        )
    return table


def _replay(as_json: bool, repeats: int) -> int:
    try:
        result = compare(repeats)
    except FileNotFoundError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        print(
            json.dumps(
                {
                    "packets": result.packets,
                    "replay_seconds": round(result.replay_seconds, 3),
                    "tshark_seconds": round(result.tshark_seconds, 3),
                    "ratio": round(result.ratio, 3),
                }
            )
        )
    else:
        print(
            f"{result.packets} ESP packets of 512 octets: replay {result.replay_seconds:.2f} s, "
            f"tshark {result.tshark_seconds:.2f} s, ratio {result.ratio:.2f}"
        )
    return 0
