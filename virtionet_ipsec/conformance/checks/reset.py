"""Device reset, virtio 1.4, 2.4."""

from __future__ import annotations

from ...virtqueue.port import Rings
from ...wire.enums import Status
from ..check import check
from ..driving import by_hand
from ..driving.associations import create, pair, protected, sender, start
from ..driving.by_hand import RECEIVEQ1, SIZE
from ..driving.frames import udp4_frame
from ..driving.idle import check_idle, stages
from ..driving.rig import Rig
from ..driving.split_ring import SplitRing
from ..verdict import NotApplicable

_INITIALIZATION = (Status.ACKNOWLEDGE, Status.DRIVER, Status.FEATURES_OK, Status.DRIVER_OK, Status.FAILED)


@check
def status_zero(rig: Rig) -> None:
    """A reset at any stage of initialization, after DRIVER_OK and after FAILED: device status reads 0."""
    rig.negotiate()
    features = rig.driver.negotiated
    for last in range(len(_INITIALIZATION) + 1):
        rig.reset()
        rig.port.set_driver_features(features)
        for flag in _INITIALIZATION[:last]:
            rig.set_status(flag)
        rig.reset()
        where = f"with {_INITIALIZATION[last - 1].name} set" if last else "of a device that was reset"
        rig.equal(f"device status after a reset {where}", 0, rig.port.status)


@check
def queues_untouched(rig: Rig) -> None:
    """A device with rules, SAs and traffic is reset: until DRIVER_OK nothing is sent, delivered or answered."""
    frame = udp4_frame()
    try:
        buffers, frames = _through_sas(rig, frame)
    except NotApplicable:
        rig.negotiate()
        buffers, frames = [], []
    buffers.append(rig.header() + frame)
    frames.append(frame)
    for buffer in buffers:
        rig.transmit(buffer)
    for arriving in frames:
        rig.receive(arriving)
    for stage in stages(rig, rig.driver.negotiated):
        check_idle(rig, stage, buffers, frames)


def _through_sas(rig: Rig, frame: bytes) -> tuple[list[bytes], list[bytes]]:
    """Bring the device up with an SA each way; gives a transmit buffer and a frame from the wire for them."""
    start(rig)
    outbound, inbound = pair(rig)
    buffer = rig.driver.header(create(rig, outbound)) + frame
    create(rig, inbound)
    return [buffer], [protected(sender(inbound), frame)]


@check
def notifies_nothing(rig: Rig) -> None:
    """A receive queue with buffers, a reset, a frame from the wire: no notification, and the buffers are as before."""
    ring = SplitRing(by_hand.start(rig, Rings(indirect=False, event_idx=False, size=SIZE)), RECEIVEQ1)
    rooms = [ring.room(4096) for _ in range(SIZE)]
    ring.give(*([room] for room in rooms))
    ring.arrive(udp4_frame())
    ring.use()
    ring.expect_notified("before the reset", True)
    before = [ring.octets(room) for room in rooms]
    rig.reset()
    ring.arrive(udp4_frame())
    ring.expect_notified("after the reset", False)
    rig.equal("receive buffers after the reset", before, [ring.octets(room) for room in rooms])
