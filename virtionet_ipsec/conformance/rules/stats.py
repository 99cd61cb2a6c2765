"""Device statistics, virtio 1.4, 5.1.9.5.11: what a driver asks for."""

from __future__ import annotations

from collections.abc import Iterator

from ..watching.control_command import ControlCommand
from ..watching.control_rule import on_control
from ..watching.control_state import STATS_GET
from ..watching.rule import Finding
from ..watching.view import View

_ROW, _HEADER = 16, 8  # octets of a row of virtio_net_ctrl_queue_stats, and of virtio_net_stats_reply_hdr
_RECEIVE, _TRANSMIT, _CONTROL = 0xF, 0xF << 16, 1 << 32
"""The types of each kind of virtqueue."""


def _rows(command: ControlCommand) -> Iterator[tuple[int, int]]:
    """vq_index and types_bitmap of each row that is there as a whole."""
    for at in range(0, len(command.data) - _ROW + 1, _ROW):
        yield command.number(at, 2), command.number(at + 8, 8)


@on_control("stats", STATS_GET)
def types_queried(view: View, command: ControlCommand) -> Finding:
    """STATS_GET asks for types that STATS_QUERY gave."""
    known = view.controls.stats_types
    if known is None:
        return ["STATS_GET before STATS_QUERY"]
    wrong = sorted({types & ~known for _, types in _rows(command)} - {0})
    return [f"types_bitmap has {beyond:#x}, which STATS_QUERY did not give" for beyond in wrong]


@on_control("stats", STATS_GET)
def types_of_queue(view: View, command: ControlCommand) -> Finding:
    """STATS_GET asks for types that are valid for the virtqueue."""
    found = []
    for index, types in _rows(command):
        valid = _CONTROL if index == 2 * view.queue_pairs else _TRANSMIT if index & 1 else _RECEIVE
        if beyond := types & ~valid:
            found.append(f"types_bitmap has {beyond:#x}, which is not for virtqueue {index}")
    return found


@on_control("stats", STATS_GET)
def capacity(view: View, command: ControlCommand) -> Finding:
    """STATS_GET has room for the headers of all replies that it asks for."""
    needed = _HEADER * sum(types.bit_count() for _, types in _rows(command))
    return [] if command.room >= needed else [f"there is room for {command.room} octets, and {needed} of headers"]
