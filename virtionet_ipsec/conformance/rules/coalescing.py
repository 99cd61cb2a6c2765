"""Notifications coalescing, virtio 1.4, 5.1.9.5.10."""

from __future__ import annotations

from ...wire.enums import CtrlClass, Feature
from ..watching.control_command import ControlCommand
from ..watching.control_rule import needs, on_control
from ..watching.rule import Finding
from ..watching.view import View

_TX_SET, _RX_SET, _VQ_SET, _VQ_GET = ((int(CtrlClass.NOTF_COAL), command) for command in range(4))


@on_control("coalescing", _VQ_SET, _VQ_GET)
def enabled_queue(view: View, command: ControlCommand) -> Finding:
    """vq_index is that of a transmit or receive virtqueue that the device has."""
    index, queues = command.number(0, 2), 2 * view.queue_pairs
    return [] if index < queues else [f"vq_index is {index}, and there are {queues} transmit and receive virtqueues"]


@on_control("coalescing", _TX_SET, _RX_SET)
def negotiated(view: View, command: ControlCommand) -> Finding:
    """TX_SET and RX_SET are sent with VIRTIO_NET_F_NOTF_COAL only."""
    return needs(Feature.NOTF_COAL)(view, command)


@on_control("coalescing", _VQ_SET, _VQ_GET)
def queue_negotiated(view: View, command: ControlCommand) -> Finding:
    """VQ_SET and VQ_GET are sent with VIRTIO_NET_F_VQ_NOTF_COAL only."""
    return needs(Feature.VQ_NOTF_COAL)(view, command)
