"""Packet receive filtering, virtio 1.4, 5.1.9.5.1: commands and their features."""

from __future__ import annotations

from ...wire.enums import CtrlClass, CtrlRx, Feature
from ..watching.control_command import ControlCommand
from ..watching.control_rule import needs, on_control
from ..watching.rule import Finding
from ..watching.view import View

_KEYS = [(int(CtrlClass.RX), int(mode)) for mode in CtrlRx]
_PLAIN, _EXTRA = _KEYS[:2], _KEYS[2:]


@on_control("filter", *_PLAIN)
def unnegotiated(view: View, command: ControlCommand) -> Finding:
    """PROMISC and ALLMULTI are sent with VIRTIO_NET_F_CTRL_RX only."""
    return needs(Feature.CTRL_RX)(view, command)


@on_control("filter", *_EXTRA)
def extra_unnegotiated(view: View, command: ControlCommand) -> Finding:
    """ALLUNI, NOMULTI, NOUNI and NOBCAST are sent with VIRTIO_NET_F_CTRL_RX_EXTRA only."""
    return needs(Feature.CTRL_RX_EXTRA)(view, command)
