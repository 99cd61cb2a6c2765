"""Commands of the control virtqueue from the driver's side (virtio 1.4, 5.1.9.5)."""

from __future__ import annotations

from collections.abc import Sequence

from ..wire.codec import build
from ..wire.control import CtrlHdr, HashConfig, MacTable, MqPairsSet, RssConfig, VlanId
from ..wire.enums import (
    CtrlAck,
    CtrlAnnounce,
    CtrlClass,
    CtrlMac,
    CtrlMq,
    CtrlRx,
    CtrlVlan,
    Feature,
)
from .errors import ControlError
from .port import DevicePort

CONTROLLED = frozenset(
    {
        Feature.CTRL_VQ,
        Feature.CTRL_RX,
        Feature.CTRL_RX_EXTRA,
        Feature.CTRL_VLAN,
        Feature.CTRL_MAC_ADDR,
        Feature.GUEST_ANNOUNCE,
        Feature.MQ,
        Feature.RSS,
        Feature.HASH_REPORT,
    }
)
"""The features that this client is for; the driver accepts them only when it is told to."""

_ACK_ROOM = 1


class ControlClient:
    """Sends commands; raises :class:`ControlError` for any answer but VIRTIO_NET_OK."""

    def __init__(self, port: DevicePort) -> None:
        self._port = port

    def command(self, class_: CtrlClass, command: int, data: bytes = b"", what: str = "") -> None:
        """One command, any data; ``what`` names it in an error."""
        readable = build(CtrlHdr, **{"class": class_, "command": command}) + data
        written = self._port.control(readable, _ACK_ROOM)
        name = what or f"{class_.name} {command}"
        if not written:
            raise ControlError(name, None, self._port.last_refusal or "the device did not use the buffer")
        if written[0] != CtrlAck.OK:
            raise ControlError(name, written[0], self._port.last_refusal)

    def receive_mode(self, mode: CtrlRx, on: bool) -> None:
        """Switch a mode of the receive filter (5.1.9.5.1)."""
        self.command(CtrlClass.RX, mode, bytes((on,)), f"RX {mode.name}")

    def set_mac_table(self, unicast: Sequence[bytes] = (), multicast: Sequence[bytes] = ()) -> None:
        """The addresses that pass besides the own one (5.1.9.5.2)."""
        data = build(MacTable, macs=list(unicast)) + build(MacTable, macs=list(multicast))
        self.command(CtrlClass.MAC, CtrlMac.TABLE_SET, data, "MAC TABLE_SET")

    def set_mac_address(self, mac: bytes) -> None:
        """The own address (5.1.9.5.2)."""
        self.command(CtrlClass.MAC, CtrlMac.ADDR_SET, mac, "MAC ADDR_SET")

    def add_vlan(self, vlan_id: int) -> None:
        """Let packets of a VLAN pass (5.1.9.5.3)."""
        self.command(CtrlClass.VLAN, CtrlVlan.ADD, build(VlanId, vlan_id=vlan_id), "VLAN ADD")

    def remove_vlan(self, vlan_id: int) -> None:
        """Let packets of a VLAN pass no more."""
        self.command(CtrlClass.VLAN, CtrlVlan.DEL, build(VlanId, vlan_id=vlan_id), "VLAN DEL")

    def acknowledge_announcement(self) -> None:
        """ANNOUNCE in the device's ``status`` has been seen (5.1.9.5.4)."""
        self.command(CtrlClass.ANNOUNCE, CtrlAnnounce.ACK, what="ANNOUNCE ACK")

    def set_queue_pairs(self, pairs: int) -> None:
        """Use so many receive and transmit queues, with automatic receive steering (5.1.9.5.6)."""
        data = build(MqPairsSet, virtqueue_pairs=pairs)
        self.command(CtrlClass.MQ, CtrlMq.VQ_PAIRS_SET, data, "MQ VQ_PAIRS_SET")

    def set_hash(self, key: bytes, hash_types: int) -> None:
        """The hash that is reported, bits of :class:`HashType` (5.1.9.5.6.4)."""
        data = build(HashConfig, hash_types=hash_types, hash_key_data=key)
        self.command(CtrlClass.MQ, CtrlMq.HASH_CONFIG, data, "MQ HASH_CONFIG")

    def set_rss(
        self, key: bytes, hash_types: int, table: Sequence[int], *, unclassified: int = 0, max_tx_vq: int | None = None
    ) -> None:
        """Receive-side scaling (5.1.9.5.7); ``table`` and ``unclassified`` are receive queues, receiveq1 is 0.

        ``max_tx_vq`` is the number of transmit queues, None as many as the
        highest receive queue there.
        """
        data = build(
            RssConfig,
            hash_types=hash_types,
            unclassified_queue=unclassified,
            indirection_table=list(table),
            max_tx_vq=max(*table, unclassified) + 1 if max_tx_vq is None else max_tx_vq,
            hash_key_data=key,
        )
        self.command(CtrlClass.MQ, CtrlMq.RSS_CONFIG, data, "MQ RSS_CONFIG")
