"""Automatic receive steering, virtio 1.4, 5.1.9.5.6: pairs of queues, and which of them a driver uses."""

from __future__ import annotations

from ...device.exchanges import Transmitted
from ...wire.enums import Feature
from ..watching.control_command import ControlCommand
from ..watching.control_rule import on_control
from ..watching.control_state import HASH_CONFIG, VQ_PAIRS_SET
from ..watching.rule import Finding, rule
from ..watching.view import View

_PAIRS = slice(8, 10)  # max_virtqueue_pairs in virtio_net_config
_RESERVED = slice(4, 12)  # in virtio_net_hash_config


@on_control("steering", VQ_PAIRS_SET)
def pairs_range(view: View, command: ControlCommand) -> Finding:
    """virtqueue_pairs is from 1 to max_virtqueue_pairs."""
    pairs, most = command.number(0, 2), int.from_bytes(view.config[_PAIRS], "little")
    if not pairs:
        return ["virtqueue_pairs is 0"]
    if len(view.config) < _PAIRS.stop:
        return None
    return [] if pairs <= most else [f"virtqueue_pairs is {pairs}, and max_virtqueue_pairs {most}"]


@rule(Transmitted)
def first_only(view: View, sent: Transmitted) -> Finding:
    """Before VQ_PAIRS_SET and RSS_CONFIG, packets are transmitted on transmitq1."""
    if view.controls.transmit_queues is not None or not (view.has(Feature.MQ) or view.has(Feature.RSS)):
        return None
    return [f"a packet on transmitq{sent.queue + 1} before VQ_PAIRS_SET"] if sent.queue else []


@rule(Transmitted)
def beyond_pairs(view: View, sent: Transmitted) -> Finding:
    """After VQ_PAIRS_SET or RSS_CONFIG, packets are transmitted on the queues that it says."""
    most = view.controls.transmit_queues
    if most is None:
        return None
    return [f"a packet on transmitq{sent.queue + 1}, with {most} in use"] if sent.queue >= most else []


@on_control("steering", HASH_CONFIG)
def reserved_zero(view: View, command: ControlCommand) -> Finding:
    """reserved of virtio_net_hash_config is zeros."""
    return ["reserved of virtio_net_hash_config is not zero"] if any(command.data[_RESERVED]) else []
