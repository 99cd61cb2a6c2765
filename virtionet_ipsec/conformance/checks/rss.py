"""Receive-side scaling, virtio 1.4, 5.1.9.5.7."""

from __future__ import annotations

from ...virtqueue.port import Rings
from ...wire.enums import Feature, HashType
from ..check import check
from ..driving import by_hand, hashing
from ..driving.flows import pairs_limit, set_rss, start_rss
from ..driving.frames import TCP, UDP
from ..driving.hashing import KEY, NO_IP, OTHER_KEY, Packet, packets, toeplitz
from ..driving.rig import Rig
from ..verdict import NotApplicable

_TABLE = 128  # entries that every device has room for (5.1.4)
_WITH_PORTS = {4: HashType.TCPV4, 6: HashType.TCPV6}


def _hashed(rig: Rig) -> list[Packet]:
    """TCP packets for which a hash over addresses and ports is supported."""
    supported = hashing.supported_types(rig)
    found = [packet for version in (4, 6) if supported & _WITH_PORTS[version] for packet in packets(TCP, version)]
    if not found:
        raise NotApplicable("neither VIRTIO_NET_HASH_TYPE_TCPv4 nor _TCPv6 is supported")
    return found


def _queue(rig: Rig, packet: Packet) -> int:
    return rig.delivered(packet.frame).queue


@check
def hash(rig: Rig) -> None:
    """Seven tables, each of which tells one bit of the hash by the receive queue, tell the hash, with two keys."""
    start_rss(rig)
    types = hashing.supported_types(rig)
    for key in (KEY, OTHER_KEY):
        for bit in range(_TABLE.bit_length() - 1):
            set_rss(rig, types, [entry >> bit & 1 for entry in range(_TABLE)], key=key)
            for packet in _hashed(rig):
                value = toeplitz(key, packet.addresses + packet.ports)
                what = f"the queue for {packet.what}, which says bit {bit} of the hash"
                rig.equal(what, value >> bit & 1, _queue(rig, packet))


@check
def unclassified(rig: Rig) -> None:
    """ARP, and UDP when no type for it is enabled, go to unclassified_queue, whatever the table holds."""
    start_rss(rig)
    types = hashing.supported_types(rig) & HashType.TCPV4
    for queue in (1, 0, 1):
        set_rss(rig, types, [1 - queue] * 2, queue)
        rig.equal("the queue for ARP", queue, rig.delivered(NO_IP).queue)
        for packet in packets(UDP, 4):
            rig.equal(f"the queue for {packet.what}", queue, _queue(rig, packet))


@check
def table(rig: Rig) -> None:
    """With tables of 1, 2, 4 and 128 entries a packet goes to the queue in the entry that its masked hash names."""
    most = min(start_rss(rig, also=(Feature.HASH_REPORT,)), 4)
    types = hashing.supported_types(rig)
    for length in (1, 2, 4, _TABLE):
        for shift in (0, 1):
            queues = [(entry + entry // most + shift) % most for entry in range(length)]
            set_rss(rig, types, queues, unclassified=0)
            for packet in _hashed(rig):
                got = rig.delivered(packet.frame)
                # Where the device reports its hash it is that one which counts: what it should be is rss.hash's.
                value = got.hdr.hash_value if rig.offers(Feature.HASH_REPORT) else _value(packet)
                what = f"the queue for {packet.what}, hash {value:#010x}, {length} entries"
                rig.equal(what, queues[value & length - 1], got.queue)


def _value(packet: Packet) -> int:
    return toeplitz(KEY, packet.addresses + packet.ports)


@check
def queue_in_reset(rig: Rig) -> None:
    """Packets that the table sends to a queue which is reset are dropped, those to another one are delivered."""
    port = by_hand.start(rig, Rings(), Feature.RING_RESET, Feature.RSS, Feature.CTRL_VQ)
    pairs_limit(rig)
    types = hashing.supported_types(rig)
    for queue in (1, 0):
        set_rss(rig, types, [queue], 1 - queue)
        for packet in _hashed(rig):
            rig.equal(f"the queue for {packet.what}", queue, _queue(rig, packet))
    by_hand.stop(port, 0)
    for packet in _hashed(rig):
        what = f"{packet.what}, for receive queue 0, which is reset"
        rig.expect(rig.receive(packet.frame) is None, what, "dropped", "delivered")
    rig.equal("the queue for ARP", 1, rig.delivered(NO_IP).queue)
