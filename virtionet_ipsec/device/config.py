"""The device configuration space (virtio 1.4, 5.1.4 Device configuration layout)."""

from __future__ import annotations

from ..wire.codec import build
from ..wire.enums import Feature, NetStatus
from ..wire.net import NetConfig

_UNKNOWN_SPEED, _UNKNOWN_DUPLEX = 0xFFFFFFFF, 0xFF
_LEAST_RSS_KEY, _LEAST_RSS_TABLE = 40, 128

_MTU = range(68, 65536)
_QUEUE_PAIRS = range(1, 0x8001)


def net_config(offered: int, *, mac: bytes, mtu: int, queue_pairs: int) -> bytes:
    """The 28 octets of virtio_net_config; a field that exists only with a feature is zero without it.

    Raises ValueError for what the device requirements (5.1.4.1) rule out.
    """
    if len(mac) != 6:
        raise ValueError(f"mac has 6 octets, not {len(mac)}")
    if mtu not in _MTU:
        raise ValueError(f"mtu {mtu} is not in {_MTU[0]} to {_MTU[-1]}")
    if queue_pairs not in _QUEUE_PAIRS:
        raise ValueError(f"queue_pairs {queue_pairs} is not in {_QUEUE_PAIRS[0]} to {_QUEUE_PAIRS[-1]}")

    def with_any(*features: Feature) -> bool:
        return any(offered >> feature & 1 for feature in features)

    return build(
        NetConfig,
        mac=mac,
        status=NetStatus.LINK_UP if with_any(Feature.STATUS) else 0,
        max_virtqueue_pairs=queue_pairs if with_any(Feature.MQ, Feature.RSS) else 0,
        mtu=mtu if with_any(Feature.MTU) else 0,
        speed=_UNKNOWN_SPEED if with_any(Feature.SPEED_DUPLEX) else 0,
        duplex=_UNKNOWN_DUPLEX if with_any(Feature.SPEED_DUPLEX) else 0,
        rss_max_key_size=_LEAST_RSS_KEY if with_any(Feature.RSS, Feature.HASH_REPORT) else 0,
        rss_max_indirection_table_length=_LEAST_RSS_TABLE if with_any(Feature.RSS) else 0,
    )
