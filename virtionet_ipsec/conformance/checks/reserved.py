"""Reserved feature bits, virtio 1.4, 6.2."""

from __future__ import annotations

from ...virtqueue.port import Rings
from ...wire.enums import Feature
from ..check import check
from ..driving.by_hand import RECEIVEQ1, SIZE, start
from ..driving.packed_ring import PackedRing
from ..driving.rig import Rig
from ..driving.ring_buffers import FRAME
from ..driving.split_ring import SplitRing


@check
def version_1(rig: Rig) -> None:
    """VIRTIO_F_VERSION_1 is among the offered features."""
    rig.expect(rig.offers(Feature.VERSION_1), "VIRTIO_F_VERSION_1", "offered", "not offered")


@check
def in_order(rig: Rig) -> None:
    """With several receive buffers available, each frame comes in the one that was made available first."""
    rig.needs(Feature.IN_ORDER)
    for kind in (SplitRing, PackedRing):
        if kind is PackedRing and not rig.offers(Feature.RING_PACKED):
            continue
        wanted = Rings(packed=kind.packed, indirect=False, event_idx=False, in_order=True, size=SIZE)
        ring = kind(start(rig, wanted), RECEIVEQ1)
        for lap in range(3):
            rooms = [ring.room(4096) for _ in range(SIZE)]
            ring.give(*([room] for room in rooms))
            for number, room in enumerate(rooms):
                ring.arrive(FRAME)
                ring.use()
                got = ring.octets(room)[rig.layout.size :][: len(FRAME)]
                rig.equal(f"receive buffer {number + 1} of lap {lap + 1} after as many frames", FRAME, got)
