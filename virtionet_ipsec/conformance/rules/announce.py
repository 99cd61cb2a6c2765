"""Gratuitous packet sending, virtio 1.4, 5.1.9.5.4."""

from __future__ import annotations

from ...device.exchanges import Controlled, StatusWritten
from ...wire.enums import Feature
from ..watching.control_command import control_command
from ..watching.control_state import ANNOUNCE_ACK
from ..watching.rule import Finding, rule
from ..watching.view import View


@rule(StatusWritten, Controlled)
def acknowledges(view: View, exchange: StatusWritten | Controlled) -> Finding:
    """A driver that has read status with VIRTIO_NET_S_ANNOUNCE sends ANNOUNCE_ACK before it resets the device."""
    if not view.controls.announcing or not view.has(Feature.GUEST_ANNOUNCE):
        return None
    if isinstance(exchange, StatusWritten):
        return None if exchange.value else ["VIRTIO_NET_S_ANNOUNCE was read, and never acknowledged"]
    command = control_command(exchange)
    return [] if command is not None and command.key == ANNOUNCE_ACK else None
