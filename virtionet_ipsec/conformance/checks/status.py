"""Device status, virtio 1.4, 2.1."""

from __future__ import annotations

from ...driver.driver import UNDERSTOOD
from ...wire.net_hdr import HdrLayout, NetHdr
from ..check import check
from ..driving.frames import udp4_frame
from ..driving.idle import check_idle, stages
from ..driving.rig import Rig, mask


@check
def consumes_nothing_early(rig: Rig) -> None:
    """Before DRIVER_OK a transmit buffer, a frame from the wire and a command at every stage leave no trace."""
    features = mask(UNDERSTOOD) & rig.port.features
    frame = udp4_frame()
    buffer = HdrLayout(rig.profile, features).build(NetHdr()) + frame
    check_idle(rig, "before the first reset", [buffer], [frame])
    for stage in stages(rig, features):
        check_idle(rig, stage, [buffer], [frame])
