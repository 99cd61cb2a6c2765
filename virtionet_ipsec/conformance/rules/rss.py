"""Receive-side scaling, virtio 1.4, 5.1.9.5.7: what RSS_CONFIG may say."""

from __future__ import annotations

from ...wire.enums import Feature
from ..watching.control_command import ControlCommand
from ..watching.control_rule import needs, on_control
from ..watching.control_state import RSS_CONFIG, RSS_TABLE_AT
from ..watching.rule import Finding
from ..watching.view import View

_MOST_ENTRIES_AT, _SUPPORTED_AT = 18, 20  # in virtio_net_config
_MASK_AT = 4  # in virtio_net_rss_config


@on_control("rss", RSS_CONFIG)
def unnegotiated(view: View, command: ControlCommand) -> Finding:
    """RSS_CONFIG is sent with VIRTIO_NET_F_RSS only."""
    return needs(Feature.RSS)(view, command)


@on_control("rss", RSS_CONFIG)
def enabled_queues(view: View, command: ControlCommand) -> Finding:
    """Every entry of indirection_table is a receive queue that the device has."""
    end = min(RSS_TABLE_AT + 2 * (command.number(_MASK_AT, 2) + 1), len(command.data) - 1)
    highest = max((command.number(at, 2) for at in range(RSS_TABLE_AT, end, 2)), default=0)
    if highest < view.queue_pairs:
        return []
    return [f"indirection_table has {highest}, which is no receive queue: there are {view.queue_pairs}"]


@on_control("rss", RSS_CONFIG)
def power_of_two(view: View, command: ControlCommand) -> Finding:
    """indirection_table_mask + 1 is a power of two."""
    entries = command.number(_MASK_AT, 2) + 1
    return [f"indirection_table has {entries} entries"] if entries & entries - 1 else []


@on_control("rss", RSS_CONFIG)
def table_length(view: View, command: ControlCommand) -> Finding:
    """indirection_table_mask is below rss_max_indirection_table_length."""
    mask, most = command.number(_MASK_AT, 2), view.configured(_MOST_ENTRIES_AT, 2)
    if mask < most:
        return []
    return [f"indirection_table_mask is {mask}, and rss_max_indirection_table_length {most}"]


@on_control("rss", RSS_CONFIG)
def supported_types(view: View, command: ControlCommand) -> Finding:
    """hash_types has bits of supported_hash_types only."""
    beyond = command.number(0, 4) & ~view.configured(_SUPPORTED_AT, 4)
    return [f"hash_types has {beyond:#x}, which supported_hash_types lacks"] if beyond else []
