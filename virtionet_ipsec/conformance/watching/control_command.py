"""A command of the control virtqueue and its answer, taken apart (virtio 1.4, 5.1.9.5)."""

from __future__ import annotations

from typing import NamedTuple

from ...device.exchanges import Controlled
from ...wire.enums import CtrlAck


class ControlCommand(NamedTuple):
    """``key`` is class and command; ``data`` and ``result`` are command-specific, ``room`` is there for the latter.

    ``ok`` says whether the command was carried out.
    """

    key: tuple[int, int]
    data: bytes
    ok: bool
    result: bytes
    room: int

    def number(self, at: int, length: int) -> int:
        """A number of the data, little-endian; what is missing counts as zeros."""
        return int.from_bytes(self.data[at : at + length], "little")


def control_command(exchange: Controlled) -> ControlCommand | None:
    """The exchange taken apart; None when it is too short for class and command."""
    readable, written = exchange.readable, exchange.written
    if len(readable) < 2:
        return None
    ok = written[:1] == bytes((CtrlAck.OK,))
    return ControlCommand((readable[0], readable[1]), readable[2:], ok, written[1:], max(exchange.writable_len - 1, 0))
