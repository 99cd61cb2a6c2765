"""Gratuitous packet sending, virtio 1.4, 5.1.9.5.4."""

from __future__ import annotations

from ...wire.enums import CtrlAnnounce, CtrlClass, Feature, NetStatus
from ..check import check
from ..driving import controls
from ..driving.rig import Rig
from ..verdict import NotObservable

_STATUS_AT = 6  # offset in virtio_net_config


def _status(rig: Rig) -> int:
    return int.from_bytes(rig.port.read_config(_STATUS_AT, 2), "little")


@check
def clears(rig: Rig) -> None:
    """VIRTIO_NET_S_ANNOUNCE, which a device has set, is clear once ANNOUNCE_ACK was used; LINK_UP is as it was."""
    controls.start(rig, Feature.GUEST_ANNOUNCE, Feature.STATUS)
    before = _status(rig)
    if not before & NetStatus.ANNOUNCE:
        raise NotObservable("the device does not ask for gratuitous packets on its own")
    controls.ask(rig, CtrlClass.ANNOUNCE, CtrlAnnounce.ACK)
    rig.equal("status after VIRTIO_NET_CTRL_ANNOUNCE_ACK", before & ~NetStatus.ANNOUNCE, _status(rig))
