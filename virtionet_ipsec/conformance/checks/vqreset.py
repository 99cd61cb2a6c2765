"""Virtqueue reset, virtio 1.4, 2.6.1."""

from __future__ import annotations

from collections.abc import Iterator

from ...virtqueue.port import Rings
from ...wire.enums import Feature
from ..check import check
from ..driving.by_hand import SIZE, TRANSMITQ1, Ring, start
from ..driving.packed_ring import PackedRing
from ..driving.rig import Rig
from ..driving.ring_buffers import FRAME, outgoing
from ..driving.split_ring import SplitRing


def _rings(rig: Rig) -> Iterator[Ring]:
    """The transmit queue in each format that the device has, where it has virtqueue reset."""
    for kind in (SplitRing, PackedRing):
        if kind is SplitRing or rig.offers(Feature.RING_PACKED):
            wanted = Rings(packed=kind.packed, indirect=False, event_idx=False, size=SIZE)
            yield kind(start(rig, wanted, Feature.RING_RESET), TRANSMITQ1)


def _transmit(rig: Rig, ring: Ring, count: int = 1) -> None:
    ring.give(*([ring.holding(outgoing(rig))] for _ in range(count)))
    ring.use(count)
    rig.equal("frames on the wire", (FRAME,) * count, ring.frames())


@check
def executes_nothing(rig: Rig) -> None:
    """Packets that are in a transmit queue, and not kicked, when it is reset do not leave, nor do those added later."""
    for ring in _rings(rig):
        _transmit(rig, ring, 3)
        ring.give([ring.holding(outgoing(rig))], kick=False)
        ring.stop()
        ring.frames()  # the device may have looked before
        ring.give([ring.holding(outgoing(rig))], kick=False)
        ring.settle()
        rig.equal("frames of a queue that is reset", (), ring.frames())


@check
def notifies_nothing(rig: Rig) -> None:
    """A queue with packets in it is reset, whose driver wants notifications: there is none."""
    for ring in _rings(rig):
        _transmit(rig, ring, 3)
        ring.expect_notified("before the reset of the queue", True)
        ring.give([ring.holding(outgoing(rig))], kick=False)
        ring.stop()
        ring.expect_notified("after the reset of the queue", False)


@check
def default_state(rig: Rig) -> None:
    """A queue that was used, and has buffers, is reset and enabled: it begins at the beginning, with nothing in it."""
    for ring in _rings(rig):
        for used in (3, SIZE + 2, 1):
            for _ in range(used):
                _transmit(rig, ring)
            ring.give([ring.holding(outgoing(rig))], kick=False)
            ring.stop()
            ring.frames()  # the device may have looked before
            ring.begin(SIZE)
            ring.kick()
            ring.expect_untouched("of a queue that was reset and enabled again, with nothing available")
            _transmit(rig, ring, 2)


@check
def observes_configuration(rig: Rig) -> None:
    """A queue is enabled again with other sizes and other memory each time, and works over more than a lap."""
    for ring in _rings(rig):
        for size in (4, 16, 2):
            ring.stop()
            ring.begin(size)
            for _ in range(2 * size + 1):
                _transmit(rig, ring)
