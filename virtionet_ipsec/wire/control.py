"""Commands of the control virtqueue (virtio 1.4, 5.1.9.5 Control Virtqueue).

A command is :data:`CtrlHdr` and its data, device-readable, and ``ack``, one
device-writable octet.  The data of the RX class is one octet, 0 or 1, that of
MAC_ADDR_SET the address, that of MAC_TABLE_SET two :data:`MacTable`, unicast
and multicast.

The counts here are no u8: whoever parses has to see first that the data is as
long as they say.
"""

from __future__ import annotations

from construct import Default, Int16ul, Int32ul, Struct

from .fields import counted, counted_octets, le16, le32, length_of, octets, u8

CtrlHdr = Struct(
    "class" / u8,
    "command" / u8,
)
"""struct virtio_net_ctrl, up to ``command-specific-data``: 2 octets."""

MacTable = Struct(
    "entries" / Default(Int32ul, lambda context: len(context.get("macs") or ())),
    "macs" / counted("entries", octets(6)),
)
"""struct virtio_net_ctrl_mac (5.1.9.5.2)."""

VlanId = Struct(
    "vlan_id" / le16,
)
"""The data of VLAN_ADD and VLAN_DEL (5.1.9.5.3), which has no name."""

MqPairsSet = Struct(
    "virtqueue_pairs" / le16,
)
"""struct virtio_net_ctrl_mq_pairs_set (5.1.9.5.6)."""

HashConfig = Struct(
    "hash_types" / le32,
    "reserved" / octets(8),
    "hash_key_length" / length_of("hash_key_data"),
    "hash_key_data" / counted_octets("hash_key_length"),
)
"""struct virtio_net_hash_config (5.1.9.5.6.4): 13 octets and the key."""

HASH_CONFIG_FIXED = 13
"""Octets of :data:`HashConfig` without the key."""

RssConfig = Struct(
    "hash_types" / le32,
    "indirection_table_mask"
    / Default(Int16ul, lambda context: max(len(context.get("indirection_table") or ()), 1) - 1),
    "unclassified_queue" / le16,
    "indirection_table" / counted(lambda context: context.indirection_table_mask + 1, le16),
    "max_tx_vq" / le16,
    "hash_key_length" / length_of("hash_key_data"),
    "hash_key_data" / counted_octets("hash_key_length"),
)
"""struct virtio_net_rss_config (5.1.9.5.7.1): 11 octets, 2 for each entry of the table, and the key.

The queues, struct rss_rq_id, are virtqueue indexes without their lowest bit,
which is 0: receiveqN is N - 1.  The highest bit is reserved.
"""

RSS_CONFIG_FIXED = 11
"""Octets of :data:`RssConfig` without table and key."""
