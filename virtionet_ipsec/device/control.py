"""Commands of the control virtqueue (virtio 1.4, 5.1.9.5 Control Virtqueue).

A command is class, command and data, and is answered by one octet, ``ack``.
Each part of the device that the driver controls so (:mod:`.receive_filter`,
:mod:`.steering`, :mod:`.config`) has its commands in a table; here is what they
share: that a command exists, that its feature is negotiated, that its data is
long enough (D120).  A command that is refused has changed nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ..wire.enums import (
    CtrlAck,
    CtrlAnnounce,
    CtrlClass,
    CtrlMac,
    CtrlMq,
    CtrlRx,
    CtrlVlan,
    Feature,
)
from ..wire.features import feature_name

_HDR = 2  # class and command

_COMMANDS: dict[int, type[CtrlRx | CtrlMac | CtrlVlan | CtrlAnnounce | CtrlMq]] = {
    CtrlClass.RX: CtrlRx,
    CtrlClass.MAC: CtrlMac,
    CtrlClass.VLAN: CtrlVlan,
    CtrlClass.ANNOUNCE: CtrlAnnounce,
    CtrlClass.MQ: CtrlMq,
}


class ControlRefused(Exception):
    """A command that is answered with VIRTIO_NET_ERR; ``why`` is for people."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Command:
    """``carry_out(data)`` does it, or raises :class:`ControlRefused`.

    ``any_of`` are the features of which one has to be negotiated, ``least`` is
    the number of octets that the data has at least.
    """

    any_of: tuple[Feature, ...]
    least: int
    carry_out: Callable[[bytes], None]


Commands = Mapping[tuple[int, int], Command]
"""By class and command."""


class Controlled(Protocol):
    """A part of the device that has commands."""

    def commands(self) -> Commands: ...


@dataclass(frozen=True, slots=True)
class ControlDone:
    """What came of a command; ``why`` is empty when ``ack`` is OK."""

    name: str
    ack: CtrlAck
    why: str


class ControlCommands:
    """All commands.  ``has(feature)`` tells whether a feature is negotiated."""

    def __init__(self, has: Callable[[Feature], bool], *parts: Controlled) -> None:
        self._has = has
        self._commands = {key: command for part in parts for key, command in part.commands().items()}

    def execute(self, readable: bytes) -> ControlDone:
        """Carry out the command whose device-readable part is ``readable``, whatever that holds."""
        if len(readable) < _HDR:
            return ControlDone("", CtrlAck.ERR, f"{len(readable)} octets hold no class and command")
        name = command_name(readable[0], readable[1])
        try:
            self._carry_out((readable[0], readable[1]), readable[_HDR:])
        except ControlRefused as refused:
            return ControlDone(name, CtrlAck.ERR, refused.why)
        return ControlDone(name, CtrlAck.OK, "")

    def _carry_out(self, key: tuple[int, int], data: bytes) -> None:
        command = self._commands.get(key)
        if command is None:
            raise ControlRefused("no command of this device")
        if not any(map(self._has, command.any_of)):
            raise ControlRefused(f"{' or '.join(map(feature_name, command.any_of))} was not negotiated")
        if len(data) < command.least:
            raise ControlRefused(f"{len(data)} octets of data, and the command has {command.least} at least")
        command.carry_out(data)


def command_name(class_: int, command: int) -> str:
    """``RX PROMISC``; a number where there is no name."""
    known = {int(each): each.name for each in CtrlClass}
    commands = {int(each): each.name for each in _COMMANDS.get(class_, ())}
    return f"{known.get(class_, f'class {class_}')} {commands.get(command, f'command {command}')}"
