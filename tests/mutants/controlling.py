"""A driver that uses the control virtqueue as it should: what wrong ones vary, a command at a time.

The model carries out the classes RX, MAC, VLAN, ANNOUNCE and MQ; of the others
it takes the features when it is told to, and :class:`Answers` stands in.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar

from virtionet_ipsec.conformance.driving.receiving import MULTICAST, UNICAST
from virtionet_ipsec.device import Device
from virtionet_ipsec.device.exchanges import Controlled
from virtionet_ipsec.device.negotiation import feature_mask
from virtionet_ipsec.driver.errors import DriverError
from virtionet_ipsec.wire.codec import build
from virtionet_ipsec.wire.control import RssConfig
from virtionet_ipsec.wire.enums import CtrlAck, CtrlClass, CtrlRx, Feature
from virtionet_ipsec.wire.features import HOST_SEGMENTATION
from virtionet_ipsec.wire.profile import Profile

from .meddling import Meddling
from .session import FRAME, ReferenceDriver

F = Feature
OFFERED = Device().features
EVERYTHING = OFFERED | feature_mask(
    F.CTRL_RX_EXTRA, F.CTRL_GUEST_OFFLOADS, F.NOTF_COAL, F.VQ_NOTF_COAL, F.DEVICE_STATS, F.HASH_TUNNEL, F.RSS_CONTEXT
)
KEY = bytes(range(40))
PAIRS = 4


class Answers(Meddling):
    """Answers the commands that the model does not have: VIRTIO_NET_OK, and what a device that has them says."""

    results: ClassVar[dict[tuple[int, ...], bytes]] = {
        (CtrlClass.STATS, 0): (0xF | 0xF << 16 | 1 << 32).to_bytes(8, "little"),
        (CtrlClass.RSS_CTX, 0): (4).to_bytes(2, "little"),
    }

    def control(self, readable: bytes, writable_len: int = 1) -> bytes:
        if readable[0] < CtrlClass.GUEST_OFFLOADS:
            written: bytes = self.device.control(readable, writable_len)
            return written
        result = self.results.get(tuple(readable[:2]), b"")
        written = (bytes((CtrlAck.OK,)) + result)[:writable_len]
        self.device.on_exchange(Controlled(readable, writable_len, written))
        return written


class Controlling(ReferenceDriver):
    """Accepts all that is offered but segmentation, and sends a command of each kind before it passes packets."""

    def __init__(self, port: Any, profile: Profile) -> None:
        super().__init__(Answers(port), profile, port.features & ~feature_mask(*HOST_SEGMENTATION, F.HOST_ECN))

    def session(self) -> None:
        with suppress(DriverError):
            super().session()

    def has(self, feature: Feature) -> bool:
        return bool(self.negotiated >> feature & 1)

    def order(self, class_: int, command: int, data: bytes = b"", room: int = 0) -> None:
        """A command, whatever comes of it."""
        self.port.control(bytes((class_, command)) + data, 1 + room)

    def set_receive_buffers(self) -> None:
        super().set_receive_buffers()
        self.filter()
        self.acknowledge()
        self.steer()
        self.hash()
        self.contexts()
        self.offloads()
        self.coalesce()
        self.statistics()

    def filter(self) -> None:
        for mode in (CtrlRx.ALLMULTI, CtrlRx.PROMISC):
            self.order(CtrlClass.RX, mode, b"\1")
        if self.has(F.CTRL_RX_EXTRA):
            for mode in (CtrlRx.ALLUNI, CtrlRx.NOMULTI, CtrlRx.NOUNI, CtrlRx.NOBCAST):
                self.order(CtrlClass.RX, mode, b"\0")
        self.set_table(UNICAST, MULTICAST)
        self.control.set_mac_address(UNICAST[0])

    def set_table(self, unicast: Sequence[bytes], multicast: Sequence[bytes]) -> None:
        self.control.set_mac_table(unicast, multicast)

    def acknowledge(self) -> None:
        if self.port.read_config(6, 1)[0] & 2:
            self.control.acknowledge_announcement()

    def steer(self) -> None:
        self.send(FRAME)
        self.order(CtrlClass.MQ, 0, (2).to_bytes(2, "little"))
        self.send(FRAME, queue=1)

    def hash(self) -> None:
        self.control.set_hash(KEY, self.supported_types())
        self.set_rss(
            hash_types=self.supported_types(), indirection_table=[0, 1, 2, 3], max_tx_vq=PAIRS, hash_key_data=KEY
        )
        self.send(FRAME, queue=3)

    def supported_types(self) -> int:
        return int.from_bytes(self.port.read_config(20, 4), "little")

    def set_rss(self, **fields: Any) -> None:
        self.order(CtrlClass.MQ, 1, build(RssConfig, **fields))

    def contexts(self) -> None:
        if self.has(F.RSS_CONTEXT):
            self.order(CtrlClass.RSS_CTX, 0, room=2)
            self.order(CtrlClass.RSS_CTX, 1, (1).to_bytes(2, "little"))
        if self.has(F.HASH_TUNNEL):
            self.order(CtrlClass.HASH_TUNNEL, 0, bytes(4))

    def offloads(self) -> None:
        if self.has(F.CTRL_GUEST_OFFLOADS):
            self.order(CtrlClass.GUEST_OFFLOADS, 0, (1 << F.GUEST_CSUM).to_bytes(8, "little"))

    def coalesce(self) -> None:
        if self.has(F.NOTF_COAL):
            self.order(CtrlClass.NOTF_COAL, 0, bytes(8))
        if self.has(F.VQ_NOTF_COAL):
            self.order(CtrlClass.NOTF_COAL, 2, (2 * PAIRS - 1).to_bytes(2, "little") + bytes(10))

    def statistics(self) -> None:
        if self.has(F.DEVICE_STATS):
            self.order(CtrlClass.STATS, 0, room=8)
            self.ask_statistics((0, 1), (1, 1 << 16), (2 * PAIRS, 1 << 32))

    def ask_statistics(self, *rows: tuple[int, int], room: int = 4096) -> None:
        data = b"".join(index.to_bytes(8, "little") + types.to_bytes(8, "little") for index, types in rows)
        self.order(CtrlClass.STATS, 1, data, room)


Controlling.right = Controlling
HOW = {"features": EVERYTHING, "queue_pairs": PAIRS}
