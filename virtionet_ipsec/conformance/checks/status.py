"""Device status, virtio 1.4, 2.1."""

from __future__ import annotations

from ...driver.driver import UNDERSTOOD
from ...virtqueue.port import Rings
from ...wire.enums import Status
from ...wire.net_hdr import HdrLayout, NetHdr
from ..check import check
from ..driving import by_hand
from ..driving.by_hand import SIZE, TRANSMITQ1
from ..driving.frames import udp4_frame
from ..driving.idle import check_idle, stages
from ..driving.rig import Rig, mask
from ..driving.ring_buffers import outgoing
from ..driving.split_ring import SplitRing
from ..verdict import NotObservable


@check
def consumes_nothing_early(rig: Rig) -> None:
    """Before DRIVER_OK a transmit buffer, a frame from the wire and a command at every stage leave no trace."""
    features = mask(UNDERSTOOD) & rig.port.features
    frame = udp4_frame()
    buffer = HdrLayout(rig.profile, features).build(NetHdr()) + frame
    check_idle(rig, "before the first reset", [buffer], [frame])
    for stage in stages(rig, features):
        check_idle(rig, stage, [buffer], [frame])


@check
def notifies_nothing_early(rig: Rig) -> None:
    """A transmit queue with buffers, kicked before DRIVER_OK: none is used, and there is no notification until then."""
    port = by_hand.start(rig, Rings(indirect=False, event_idx=False, size=SIZE))
    if not port.transport.early:
        raise NotObservable("queues are set up with DRIVER_OK here")
    features = rig.driver.negotiated
    rig.reset()
    rig.set_status(Status.ACKNOWLEDGE, Status.DRIVER)
    rig.port.set_driver_features(features)
    rig.set_status(Status.FEATURES_OK)
    ring = SplitRing(port, TRANSMITQ1)
    ring.give([ring.holding(outgoing(rig))])
    ring.expect_untouched("a transmit queue before DRIVER_OK")
    ring.expect_notified("before DRIVER_OK", False)
