"""What a driver did in a session, as far as its state does not show it and rules ask for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...device.exchanges import ConfigRead, Exchange, StatusWritten, Transmitted
from ...wire.enums import AdminStatus, Opcode, Status
from .command import Command

_LINK_STATUS_AT = 6  # offset in virtio_net_config of the octet with VIRTIO_NET_S_LINK_UP
PATIENCE = 8
"""How many other commands a driver may send before it sends one again that was to be tried again."""


def covers_link_status(read: ConfigRead) -> bool:
    """Whether the lowest octet of ``status`` in virtio_net_config is among those that were read."""
    return read.offset <= _LINK_STATUS_AT < read.offset + len(read.data)


@dataclass(slots=True)
class History:
    """What the driver did since the last reset.

    ``failed``: it set FAILED.  ``transmitted``: it sent a packet.
    ``lists_used`` and ``caps_sent`` are the group types of LIST_USE and the
    capability ids of DRIVER_CAP_SET, whatever was answered; ``types_created``
    are the types of objects that were.  ``busy`` is the identity of a command
    that completed with EAGAIN and has not been sent again, ``commands_since``
    how many others were.  ``link_status_read`` lasts beyond a reset.
    """

    failed: bool = False
    transmitted: bool = False
    link_status_read: bool = False
    lists_used: set[int] = field(default_factory=set)
    caps_sent: set[int] = field(default_factory=set)
    types_created: set[int] = field(default_factory=set)
    busy: bytes | None = None
    commands_since: int = 0

    def update(self, exchange: Exchange, command: Command | None) -> None:
        """Take in ``exchange``; ``command`` is the same, taken apart."""
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
            self._retried(command)

    def _reset(self) -> None:
        self.failed = self.transmitted = False
        self.busy = None
        self.commands_since = 0
        for each in (self.lists_used, self.caps_sent, self.types_created):
            each.clear()

    def _command(self, command: Command) -> None:
        if command.opcode == Opcode.LIST_USE:
            self.lists_used.add(command.group_type)
        if not command.for_self:
            return
        if command.opcode == Opcode.DRIVER_CAP_SET:
            self.caps_sent.add(command.cap_id)
        if command.opcode == Opcode.RESOURCE_OBJ_CREATE and command.ok:
            self.types_created.add(command.object[0])

    def _retried(self, command: Command) -> None:
        if self.busy not in (None, command.identity) and self.commands_since < PATIENCE:
            self.commands_since += 1
            return
        self.busy = command.identity if command.status == AdminStatus.EAGAIN else None
        self.commands_since = 0
