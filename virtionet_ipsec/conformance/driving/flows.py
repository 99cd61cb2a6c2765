"""Flows and the receive queues that their packets go to (virtio 1.4, 5.1.9.5.6 and 5.1.9.5.7)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from ...wire.codec import build
from ...wire.control import MqPairsSet, RssConfig
from ...wire.enums import CtrlClass, CtrlMq, Feature
from ..verdict import NotApplicable
from . import controls
from .frames import DST4, DST6, SRC4, SRC6, TCP, UDP, ethernet, ipv4, ipv6, tcp, udp
from .hashing import KEY
from .rig import Rig

_PAIRS_AT = 8  # offset in virtio_net_config


@dataclass(frozen=True, slots=True)
class Flow:
    """A conversation: what the driver sends, and what comes back."""

    what: str
    outgoing: bytes
    incoming: bytes


def flows(count: int) -> Iterator[Flow]:
    """So many, of TCP and UDP, of IPv4 and IPv6, each with ports of its own."""
    for number in range(count):
        here, there = 5000 + 7 * number, 6000 + 13 * number
        make, protocol, name = (tcp, TCP, "TCP") if number & 1 else (udp, UDP, "UDP")
        if number & 2:
            out = ipv6(make(b"there", here, there, addresses=SRC6 + DST6), protocol)
            back = ipv6(make(b"back", there, here, addresses=DST6 + SRC6), protocol, src=DST6, dst=SRC6)
        else:
            out = ipv4(make(b"there", here, there), protocol)
            back = ipv4(make(b"back", there, here, addresses=DST4 + SRC4), protocol, src=DST4, dst=SRC4)
        yield Flow(f"{name} from port {here} to {there}", ethernet(out), ethernet(back))


def pairs_limit(rig: Rig) -> int:
    """max_virtqueue_pairs; :class:`NotApplicable` when it is 1."""
    most = int.from_bytes(rig.port.read_config(_PAIRS_AT, 2), "little")
    if most < 2:
        raise NotApplicable("the device has one pair of queues")
    return most


def set_pairs(rig: Rig, pairs: int) -> None:
    """VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, which has to succeed."""
    what = f"VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET {pairs}"
    controls.accepted(rig, what, CtrlClass.MQ, CtrlMq.VQ_PAIRS_SET, build(MqPairsSet, virtqueue_pairs=pairs))


def transmit(rig: Rig, queue: int, known: Collection[Flow]) -> None:
    """Send a packet of each flow on a transmit queue, transmitq1 is 0."""
    for flow in known:
        rig.port.transmit(rig.header() + flow.outgoing, queue)


def arrivals(rig: Rig, known: Collection[Flow]) -> list[int]:
    """The receive queue of an incoming packet of each flow, receiveq1 is 0."""
    return [rig.delivered(flow.incoming).queue for flow in known]


def start_steering(rig: Rig) -> int:
    """Bring the device up with VIRTIO_NET_F_MQ, as for automatic receive steering; gives max_virtqueue_pairs."""
    controls.start(rig, Feature.MQ)
    return pairs_limit(rig)


def start_rss(rig: Rig, also: Collection[Feature] = ()) -> int:
    """Bring the device up with VIRTIO_NET_F_RSS; gives max_virtqueue_pairs."""
    controls.start(rig, Feature.RSS, also=also)
    return pairs_limit(rig)


def set_rss(rig: Rig, hash_types: int, table: Sequence[int], unclassified: int = 0, key: bytes = KEY) -> None:
    """VIRTIO_NET_CTRL_MQ_RSS_CONFIG, which has to succeed; queues as receiveq numbers from 0."""
    data = build(
        RssConfig,
        hash_types=hash_types,
        unclassified_queue=unclassified,
        indirection_table=list(table),
        max_tx_vq=max(*table, unclassified) + 1,
        hash_key_data=key,
    )
    what = f"VIRTIO_NET_CTRL_MQ_RSS_CONFIG with {len(table)} entries"
    controls.accepted(rig, what, CtrlClass.MQ, CtrlMq.RSS_CONFIG, data)
