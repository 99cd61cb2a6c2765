"""The device configuration space (virtio 1.4, 5.1.4 Device configuration layout)."""

from __future__ import annotations

from ..wire.codec import build
from ..wire.enums import CtrlAnnounce, CtrlClass, Feature, NetStatus
from ..wire.net import NetConfig
from .control import Command, Commands
from .flow_hash import SUPPORTED

_UNKNOWN_SPEED, _UNKNOWN_DUPLEX = 0xFFFFFFFF, 0xFF

MOST_KEY = 40
"""``rss_max_key_size``: octets."""

MOST_TABLE = 128
"""``rss_max_indirection_table_length``: entries."""

_MTU = range(68, 65536)
_QUEUE_PAIRS = range(1, 0x8001)
_STATUS = slice(6, 8)  # in virtio_net_config


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

    hashing = with_any(Feature.RSS, Feature.HASH_REPORT)
    return build(
        NetConfig,
        mac=mac,
        status=NetStatus.LINK_UP if with_any(Feature.STATUS) else 0,
        max_virtqueue_pairs=queue_pairs if with_any(Feature.MQ, Feature.RSS) else 0,
        mtu=mtu if with_any(Feature.MTU) else 0,
        speed=_UNKNOWN_SPEED if with_any(Feature.SPEED_DUPLEX) else 0,
        duplex=_UNKNOWN_DUPLEX if with_any(Feature.SPEED_DUPLEX) else 0,
        rss_max_key_size=MOST_KEY if hashing else 0,
        rss_max_indirection_table_length=MOST_TABLE if with_any(Feature.RSS) else 0,
        supported_hash_types=SUPPORTED if hashing else 0,
    )


class ConfigSpace:
    """``octets`` is virtio_net_config as the driver reads it now."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self._own_mac = b""  # while the driver's is there

    def reset(self) -> None:
        """Device reset: the device's own address is there again, and nothing to announce; the link is as it was."""
        if self._own_mac:
            self.octets, self._own_mac = self._own_mac + self.octets[6:], b""
        self.set_status(NetStatus.ANNOUNCE, False)

    def set_mac(self, mac: bytes) -> None:
        """The driver's address."""
        self._own_mac = self._own_mac or self.octets[:6]
        self.octets = mac + self.octets[6:]

    def set_status(self, bit: NetStatus, on: bool) -> bool:
        """Set or clear a bit of ``status``; whether that changed it."""
        before = int.from_bytes(self.octets[_STATUS], "little")
        after = before | int(bit) if on else before & ~int(bit)
        self.octets = self.octets[: _STATUS.start] + after.to_bytes(2, "little") + self.octets[_STATUS.stop :]
        return after != before

    def commands(self) -> Commands:
        """5.1.9.5.4: the driver has seen ANNOUNCE, which is cleared, whether it was set or not (D123)."""
        ack = Command((Feature.GUEST_ANNOUNCE,), 0, lambda _: self._acknowledged())
        return {(CtrlClass.ANNOUNCE, CtrlAnnounce.ACK): ack}

    def _acknowledged(self) -> None:
        self.set_status(NetStatus.ANNOUNCE, False)
