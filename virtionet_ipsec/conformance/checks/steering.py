"""Automatic receive steering, virtio 1.4, 5.1.9.5.6."""

from __future__ import annotations

from ...virtqueue.port import Rings
from ...wire.enums import Feature
from ..check import check
from ..driving import by_hand, controls, hashing
from ..driving.flows import arrivals, flows, pairs_limit, set_pairs, start_steering, transmit
from ..driving.frames import TCP
from ..driving.rig import Rig
from ..verdict import NotObservable

_MANY = 4  # pairs of queues that checks use, where the device has as many


def _spread(rig: Rig, pairs: int) -> list[tuple[int, list[int]]]:
    """Transmit four flows on each of ``pairs`` queues; gives queue and where incoming packets of its flows go."""
    known = list(flows(4 * pairs))
    groups = [known[queue::pairs] for queue in range(pairs)]
    for queue, group in enumerate(groups):
        transmit(rig, queue, group)
    return [(queue, arrivals(rig, group)) for queue, group in enumerate(groups)]


@check
def by_flow(rig: Rig) -> None:
    """Incoming packets of flows that were transmitted on different queues do not all go to one."""
    pairs = min(start_steering(rig), _MANY)
    set_pairs(rig, pairs)
    used = {queue for _, queues in _spread(rig, pairs) for queue in queues}
    rig.expect(len(used) > 1, f"receive queues of flows sent on {pairs} queues", "more than one", "one")


@check
def same_queue(rig: Rig) -> None:
    """Incoming packets of a flow go to the receive queue of the pair that the flow was transmitted on."""
    most = start_steering(rig)
    for pairs in sorted({2, min(most, _MANY)}):
        set_pairs(rig, pairs)
        for queue, queues in _spread(rig, pairs):
            rig.equal(f"receive queues of flows sent on transmitq{queue + 1}", [queue] * len(queues), queues)


@check
def first_only(rig: Rig) -> None:
    """Before any command, and after a reset that follows one, all packets go to receiveq1."""
    pairs = min(start_steering(rig), _MANY)
    known = list(flows(16))
    for when in ("after initialization", "after a reset"):
        rig.equal(f"receive queues {when}", {0}, set(arrivals(rig, known)))
        transmit(rig, 0, known)
        rig.equal(f"receive queues {when}, of flows sent on transmitq1", {0}, set(arrivals(rig, known)))
        set_pairs(rig, pairs)
        _spread(rig, pairs)
        start_steering(rig)


@check
def beyond_pairs(rig: Rig) -> None:
    """Once fewer pairs are set, no packet goes to a queue beyond them, whatever queue its flow was sent on."""
    most = min(start_steering(rig), _MANY)
    known = list(flows(4 * most))
    for pairs in range(most, 0, -1):
        set_pairs(rig, pairs)
        beyond = [queue for queue in arrivals(rig, known) if queue >= pairs]
        rig.equal(f"receive queues beyond the {pairs} of virtqueue_pairs", [], beyond)
        for queue in range(pairs):
            transmit(rig, queue, known[queue::pairs])


@check
def hash_command(rig: Rig) -> None:
    """With VIRTIO_NET_F_HASH_REPORT and automatic receive steering, HASH_CONFIG gets VIRTIO_NET_OK."""
    controls.start(rig, Feature.HASH_REPORT, Feature.MQ, without=(Feature.RSS,))
    set_pairs(rig, 1)
    hashing.hash_config(rig, hashing.supported_types(rig))


@check
def hash_disabled(rig: Rig) -> None:
    """With automatic receive steering no hash is reported before HASH_CONFIG, nor after a reset that follows one."""
    for when in ("before any command", "after a reset"):
        controls.start(rig, Feature.HASH_REPORT, Feature.MQ, without=(Feature.RSS,))
        for packet in hashing.packets(TCP, 4):
            hashing.expect_none(rig, f"{packet.what}, {when}", packet.frame)
        hashing.hash_config(rig, hashing.supported_types(rig))


@check
def queue_in_reset(rig: Rig) -> None:
    """Packets of a flow whose receive queue is reset arrive at another one."""
    port = by_hand.start(rig, Rings(), Feature.RING_RESET, Feature.MQ, Feature.CTRL_VQ)
    set_pairs(rig, min(pairs_limit(rig), _MANY))
    known = list(flows(4))
    transmit(rig, 1, known)
    if set(arrivals(rig, known)) != {1}:
        raise NotObservable("the flows do not come on the queue of their pair")
    by_hand.stop(port, 2)
    rig.expect(1 not in arrivals(rig, known), "receive queue of a flow whose own is reset", "another", "1")


@check
def all_in_reset(rig: Rig) -> None:
    """While all receive queues are reset, packets are dropped."""
    port = by_hand.start(rig, Rings(), Feature.RING_RESET, Feature.MQ, Feature.CTRL_VQ)
    pairs = min(pairs_limit(rig), _MANY)
    set_pairs(rig, pairs)
    known = list(flows(4))
    arrivals(rig, known)
    for number in range(pairs):
        by_hand.stop(port, 2 * number)
    for flow in known:
        rig.expect(rig.receive(flow.incoming) is None, f"{flow.what}, all queues reset", "dropped", "delivered")
