"""What a driver did through the control virtqueue, as far as rules ask for it (virtio 1.4, 5.1.9.5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ...device.exchanges import ConfigRead, Controlled, Exchange, StatusWritten
from ...wire.enums import CtrlAnnounce, CtrlClass, CtrlMq, NetStatus
from .control_command import ControlCommand, control_command

VQ_PAIRS_SET = (int(CtrlClass.MQ), int(CtrlMq.VQ_PAIRS_SET))
RSS_CONFIG = (int(CtrlClass.MQ), int(CtrlMq.RSS_CONFIG))
HASH_CONFIG = (int(CtrlClass.MQ), int(CtrlMq.HASH_CONFIG))
ANNOUNCE_ACK = (int(CtrlClass.ANNOUNCE), int(CtrlAnnounce.ACK))
RSS_CTX_CAP_GET, RSS_CTX_ADD, RSS_CTX_MOD, RSS_CTX_DEL = ((int(CtrlClass.RSS_CTX), command) for command in range(4))
STATS_QUERY, STATS_GET = ((int(CtrlClass.STATS), command) for command in range(2))

RSS_TABLE_AT = 8  # of indirection_table in virtio_net_rss_config
_STATUS_AT = 6  # of status in virtio_net_config


@dataclass(slots=True)
class ControlState:
    """Since the last reset.

    ``transmit_queues`` is how many the driver may use by its last command, None
    before the first.  ``announcing``: it has seen VIRTIO_NET_S_ANNOUNCE and not
    acknowledged it.  ``contexts`` are the ids of the RSS contexts that exist,
    ``most_contexts`` is max_rss_contexts, ``stats_types`` is
    supported_stats_types; both None until the driver asked.
    """

    transmit_queues: int | None = None
    announcing: bool = False
    contexts: set[int] = field(default_factory=set)
    most_contexts: int | None = None
    stats_types: int | None = None

    def update(self, exchange: Exchange) -> None:
        """Take in ``exchange``."""
        match exchange:
            case StatusWritten(value=0):
                self.transmit_queues = self.most_contexts = self.stats_types = None
                self.announcing = False
                self.contexts.clear()
            case ConfigRead():
                self._configuration(exchange)
            case Controlled():
                command = control_command(exchange)
                if command is not None and command.ok:
                    self._command(command)

    def _configuration(self, read: ConfigRead) -> None:
        if read.offset <= _STATUS_AT < read.offset + len(read.data):
            self.announcing = self.announcing or bool(read.data[_STATUS_AT - read.offset] & NetStatus.ANNOUNCE)

    def _command(self, command: ControlCommand) -> None:
        if command.key in _EFFECTS:
            _EFFECTS[command.key](self, command)


def _pairs(state: ControlState, command: ControlCommand) -> None:
    state.transmit_queues = command.number(0, 2)


def _rss(state: ControlState, command: ControlCommand) -> None:
    entries = command.number(4, 2) + 1
    state.transmit_queues = command.number(RSS_TABLE_AT + 2 * entries, 2)  # max_tx_vq


def _acknowledged(state: ControlState, command: ControlCommand) -> None:
    state.announcing = False


def _context_cap(state: ControlState, command: ControlCommand) -> None:
    state.most_contexts = int.from_bytes(command.result[:2], "little")


def _context_added(state: ControlState, command: ControlCommand) -> None:
    state.contexts.add(command.number(0, 2))


def _context_deleted(state: ControlState, command: ControlCommand) -> None:
    state.contexts.discard(command.number(0, 2))


def _stats_types(state: ControlState, command: ControlCommand) -> None:
    state.stats_types = int.from_bytes(command.result[:8], "little")


_EFFECTS: dict[tuple[int, int], Callable[[ControlState, ControlCommand], None]] = {
    VQ_PAIRS_SET: _pairs,
    RSS_CONFIG: _rss,
    ANNOUNCE_ACK: _acknowledged,
    RSS_CTX_CAP_GET: _context_cap,
    RSS_CTX_ADD: _context_added,
    RSS_CTX_DEL: _context_deleted,
    STATS_QUERY: _stats_types,
}
