"""Drivers that are wrong about the control virtqueue (5.1.9.5), or about queues."""

from __future__ import annotations

from typing import Any, ClassVar

from virtionet_ipsec.conformance.driving.receiving import MULTICAST, UNICAST
from virtionet_ipsec.wire.enums import CtrlClass, Feature, HashType
from virtionet_ipsec.wire.profile import Profile

from ..controlling import HOW, PAIRS, Answers, Controlling
from ..meddling import accepting
from ..mutant import violates
from ..session import FRAME, ReferenceDriver


class Lacking(Controlling):
    """Does all of it, and has not accepted the features of ``less``."""

    less = 0

    def __init__(self, port: Any, profile: Profile) -> None:
        ReferenceDriver.__init__(self, Answers(accepting(less=self.less)(port)), profile, port.features)


@violates("filter.drv.unnegotiated", "mac.drv.unnegotiated", **HOW)
class WithoutCtrlRx(Lacking):
    """Sets modes and addresses without VIRTIO_NET_F_CTRL_RX and VIRTIO_NET_F_CTRL_MAC_ADDR."""

    less = 1 << Feature.CTRL_RX | 1 << Feature.CTRL_MAC_ADDR


@violates("filter.drv.extra-unnegotiated", **HOW)
class WithoutExtra(Lacking):
    """Suppresses broadcast without VIRTIO_NET_F_CTRL_RX_EXTRA."""

    less = 1 << Feature.CTRL_RX_EXTRA


@violates("rss.drv.unnegotiated", **HOW)
class WithoutRss(Lacking):
    """Sends RSS_CONFIG without VIRTIO_NET_F_RSS."""

    less = 1 << Feature.RSS | 1 << Feature.RSS_CONTEXT


@violates("innerhash.drv.negotiated", **HOW)
class WithoutHashTunnel(Lacking):
    """Sends HASH_TUNNEL_SET without VIRTIO_NET_F_HASH_TUNNEL."""

    less = 1 << Feature.HASH_TUNNEL


@violates("rssctx.drv.negotiated", **HOW)
class WithoutRssContext(Lacking):
    """Adds a context without VIRTIO_NET_F_RSS_CONTEXT."""

    less = 1 << Feature.RSS_CONTEXT


@violates("coalescing.drv.negotiated", **HOW)
class WithoutCoalescing(Lacking):
    """Sets coalescing parameters without VIRTIO_NET_F_NOTF_COAL."""

    less = 1 << Feature.NOTF_COAL


@violates("coalescing.drv.queue-negotiated", **HOW)
class WithoutQueueCoalescing(Lacking):
    """Sets those of a virtqueue without VIRTIO_NET_F_VQ_NOTF_COAL."""

    less = 1 << Feature.VQ_NOTF_COAL


@violates("offloads.drv.negotiated", **HOW)
class EnablesTso(Controlling):
    """Enables an offload whose feature is not even offered."""

    def offloads(self) -> None:
        self.order(CtrlClass.GUEST_OFFLOADS, 0, (1 << Feature.GUEST_TSO4).to_bytes(8, "little"))


@violates("offloads.drv.negotiated", **HOW)
class EnablesTunnels(Controlling):
    """Enables segmentation in UDP tunnels, bit 46, whose feature is bit 65."""

    def offloads(self) -> None:
        self.order(CtrlClass.GUEST_OFFLOADS, 0, (1 << 46).to_bytes(8, "little"))


@violates("mac.drv.table-layout", **HOW)
class TablesExchanged(Controlling):
    """Puts the groups into the first table."""

    def set_table(self, unicast: Any, multicast: Any) -> None:
        super().set_table((), ())
        data = b"".join(len(each).to_bytes(4, "little") + b"".join(each) for each in (multicast, unicast))
        self.order(CtrlClass.MAC, 0, data)


@violates("mac.drv.table-layout", **HOW)
class OneTable(Controlling):
    """Leaves out the second table."""

    def set_table(self, unicast: Any, multicast: Any) -> None:
        self.order(CtrlClass.MAC, 0, len(unicast).to_bytes(4, "little") + b"".join(unicast))


@violates("mac.drv.table-layout", **HOW)
class CountsBigEndian(Controlling):
    """Counts with the most significant octet first."""

    def set_table(self, unicast: Any, multicast: Any) -> None:
        data = b"".join(len(each).to_bytes(4, "big") + b"".join(each) for each in (UNICAST, MULTICAST))
        self.order(CtrlClass.MAC, 0, data)


class Announcing(Controlling):
    """A driver whose device asks for gratuitous packets."""

    def acknowledge(self) -> None:
        assert isinstance(self.port, Answers)
        self.port.device.announce()
        super().acknowledge()


Announcing.right = Announcing


@violates("announce.drv.acknowledges", **HOW)
class ReadsAndForgets(Announcing):
    """Reads status with ANNOUNCE and does not acknowledge."""

    def acknowledge(self) -> None:
        assert isinstance(self.port, Answers)
        self.port.device.announce()
        self.port.read_config(0, 8)


@violates("steering.drv.pairs-range", **HOW)
class NoPairs(Controlling):
    """Asks for no pair."""

    def steer(self) -> None:
        self.order(CtrlClass.MQ, 0, bytes(2))


@violates("steering.drv.pairs-range", **HOW)
class TooManyPairs(Controlling):
    """Asks for one pair more than there are."""

    def steer(self) -> None:
        self.order(CtrlClass.MQ, 0, (PAIRS + 1).to_bytes(2, "little"))


@violates("steering.drv.first-only", **HOW)
class AllAtOnce(Controlling):
    """Transmits on transmitq2 before it has said anything."""

    def steer(self) -> None:
        self.send(FRAME, queue=1)


@violates("steering.drv.beyond-pairs", **HOW)
class BeyondThePairs(Controlling):
    """Transmits on transmitq3 with two pairs in use."""

    def steer(self) -> None:
        super().steer()
        self.send(FRAME, queue=2)


@violates("steering.drv.beyond-pairs", **HOW)
class BeyondMaxTxVq(Controlling):
    """Transmits on transmitq2 when max_tx_vq is 1."""

    def hash(self) -> None:
        self.set_rss(hash_types=1, indirection_table=[0, 1], max_tx_vq=1, hash_key_data=bytes(40))
        self.send(FRAME, queue=1)


@violates("steering.drv.reserved-zero", **HOW)
class ReservedSet(Controlling):
    """reserved of virtio_net_hash_config is not zero."""

    def hash(self) -> None:
        self.order(CtrlClass.MQ, 2, bytes(4) + b"\0\0\0\0\0\0\1\0" + b"\0")


class Rss(Controlling):
    """A driver whose RSS_CONFIG is wrong."""

    wrong: ClassVar[dict[str, Any]]

    def hash(self) -> None:
        fields = {"hash_types": 1, "indirection_table": [0, 1], "max_tx_vq": PAIRS, "hash_key_data": bytes(40)}
        self.set_rss(**{**fields, **self.wrong})


@violates("rss.drv.enabled-queues", **HOW)
class NoSuchQueue(Rss):
    """An entry of the table is receiveq5, of four."""

    wrong: ClassVar[dict[str, Any]] = {"indirection_table": [0, 1, 2, 4]}


@violates("rss.drv.power-of-two", **HOW)
class ThreeEntries(Rss):
    """The table has three entries."""

    wrong: ClassVar[dict[str, Any]] = {"indirection_table": [0, 1, 2]}


@violates("rss.drv.table-length", **HOW)
class LongTable(Rss):
    """The table has 256 entries, and 128 is the most."""

    wrong: ClassVar[dict[str, Any]] = {"indirection_table": [0] * 256}


@violates("rss.drv.supported-types", **HOW)
class UnknownType(Rss):
    """A bit of hash_types is not supported."""

    wrong: ClassVar[dict[str, Any]] = {"hash_types": 1 << 9 | HashType.IPV4}


@violates("rssctx.drv.id-range", **HOW)
class ContextZero(Controlling):
    """Adds the context 0."""

    def contexts(self) -> None:
        self.order(CtrlClass.RSS_CTX, 1, bytes(2))


@violates("rssctx.drv.id-range", **HOW)
class ContextBeyond(Controlling):
    """Deletes the context 5, and max_rss_contexts is 4."""

    def contexts(self) -> None:
        super().contexts()
        self.order(CtrlClass.RSS_CTX, 3, (5).to_bytes(2, "little"))


@violates("rssctx.drv.no-pairs", **HOW)
class PairsWithContexts(Controlling):
    """Sends VQ_PAIRS_SET when it has added a context."""

    def contexts(self) -> None:
        super().contexts()
        self.order(CtrlClass.MQ, 0, (2).to_bytes(2, "little"))


@violates("innerhash.drv.supported", **HOW)
class UnsupportedTunnel(Controlling):
    """Enables VXLAN, which supported_tunnel_types lacks."""

    def contexts(self) -> None:
        self.order(CtrlClass.HASH_TUNNEL, 0, (1 << 4).to_bytes(4, "little"))


@violates("innerhash.drv.ignores-unknown", **HOW)
class UnknownTunnel(Controlling):
    """Enables an encapsulation that has no name."""

    def contexts(self) -> None:
        self.order(CtrlClass.HASH_TUNNEL, 0, (1 << 9).to_bytes(4, "little"))


@violates("coalescing.drv.enabled-queue", **HOW)
class CoalescesControl(Controlling):
    """Sets coalescing parameters of the control virtqueue."""

    def coalesce(self) -> None:
        self.order(CtrlClass.NOTF_COAL, 2, (2 * PAIRS).to_bytes(2, "little") + bytes(10))


@violates("stats.drv.types-queried", **HOW)
class NeverQueries(Controlling):
    """Asks for statistics and has not asked which there are."""

    def statistics(self) -> None:
        self.ask_statistics((0, 1))


@violates("stats.drv.types-queried", **HOW)
class OtherTypes(Controlling):
    """Asks for a type that STATS_QUERY did not give."""

    def statistics(self) -> None:
        super().statistics()
        self.ask_statistics((0, 1 << 4))


@violates("stats.drv.types-of-queue", **HOW)
class TransmitOfReceive(Controlling):
    """Asks a receive queue for a type of transmit queues."""

    def statistics(self) -> None:
        super().statistics()
        self.ask_statistics((0, 1 << 16))


@violates("stats.drv.types-of-queue", **HOW)
class ControlOfReceive(Controlling):
    """Asks a receive queue for the control virtqueue's type."""

    def statistics(self) -> None:
        super().statistics()
        self.ask_statistics((2, 1 << 32))


@violates("stats.drv.capacity", **HOW)
class NoRoom(Controlling):
    """Has room for one header and asks for two replies."""

    def statistics(self) -> None:
        super().statistics()
        self.ask_statistics((0, 3), room=8)
