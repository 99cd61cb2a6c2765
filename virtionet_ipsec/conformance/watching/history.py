"""What rules on commands and status need to remember of a session beyond its state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...device.exchanges import ConfigRead, Exchange, StatusWritten, Transmitted
from ...wire.enums import AdminStatus, GroupType, Opcode, Status

if TYPE_CHECKING:
    from .view import Command

_LINK_STATUS_AT = 6  # offset in virtio_net_config of the octet with VIRTIO_NET_S_LINK_UP
_IDENTITY = 28  # octets of a command up to a capability's id or an object's type
PATIENCE = 8
"""How many other commands a driver may send before it sends one again that was to be tried again."""

_CHANGES = frozenset({Opcode.RESOURCE_OBJ_CREATE, Opcode.RESOURCE_OBJ_MODIFY, Opcode.RESOURCE_OBJ_DESTROY})


def covers_link_status(read: ConfigRead) -> bool:
    """Whether the lowest octet of ``status`` in virtio_net_config is among those that were read."""
    return read.offset <= _LINK_STATUS_AT < read.offset + len(read.data)


def identity(command: Command) -> bytes:
    """What a command has in common with the same one sent again; an object may get another id then."""
    return command.readable[:_IDENTITY]


@dataclass(slots=True)
class History:
    """What the driver did since the last reset.

    ``failed``: it set FAILED.  ``transmitted``: it sent a packet.
    ``lists_used`` and ``caps_sent`` are the group types of LIST_USE and the
    capability ids of DRIVER_CAP_SET, whatever was answered.  ``counts`` is how
    many objects of each type exist.  ``busy`` is the :func:`identity` of a
    command that completed with EAGAIN and has not been sent again,
    ``commands_since`` how many others were.  ``link_status_read`` lasts beyond
    a reset.
    """

    failed: bool = False
    transmitted: bool = False
    link_status_read: bool = False
    lists_used: set[int] = field(default_factory=set)
    caps_sent: set[int] = field(default_factory=set)
    counts: Counter[int] = field(default_factory=Counter)
    busy: bytes | None = None
    commands_since: int = 0

    def update(self, exchange: Exchange, command: Command | None, objects: Collection[tuple[int, int]]) -> None:
        """Take in ``exchange``; ``objects`` are those that existed before it."""
        match exchange:
            case Transmitted():
                self.transmitted = True
            case StatusWritten(value=0):
                self._reset()
            case StatusWritten():
                self.failed = self.failed or bool(exchange.value & Status.FAILED)
            case ConfigRead():
                self.link_status_read = self.link_status_read or covers_link_status(exchange)
        if command is not None:
            self._command(command)
            if command.ok and command.group_type == GroupType.SELF and command.opcode in _CHANGES:
                self._object(command, objects)

    def _reset(self) -> None:
        self.failed = self.transmitted = False
        self.busy = None
        self.commands_since = 0
        for each in (self.lists_used, self.caps_sent, self.counts):
            each.clear()

    def _command(self, command: Command) -> None:
        if command.opcode == Opcode.LIST_USE:
            self.lists_used.add(command.group_type)
        if command.opcode == Opcode.DRIVER_CAP_SET and command.group_type == GroupType.SELF:
            self.caps_sent.add(command.cap_id)
        if self.busy is None:
            self.commands_since = 0
            self.busy = identity(command) if command.status == AdminStatus.EAGAIN else None
        elif identity(command) == self.busy or self.commands_since == PATIENCE:
            self.busy = None
        else:
            self.commands_since += 1

    def _object(self, command: Command, objects: Collection[tuple[int, int]]) -> None:
        what = command.object
        self.counts[what[0]] += (command.opcode != Opcode.RESOURCE_OBJ_DESTROY) - (what in objects)
