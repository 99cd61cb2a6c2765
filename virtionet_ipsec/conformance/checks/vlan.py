"""VLAN filtering, virtio 1.4, 5.1.9.5.3."""

from __future__ import annotations

from collections.abc import Collection

from ...wire.enums import CtrlVlan, Feature
from ..check import check
from ..driving import controls
from ..driving.receiving import frame, own_address, passes, set_vlan
from ..driving.rig import Rig

_IDS = (1, 5, 63, 64, 2047, 4094)
_PRIORITY = 0xE000  # the other bits of a tag


def _start(rig: Rig) -> None:
    """With VLAN filtering alone: promiscuous mode need not be off where there is none."""
    controls.start(rig, Feature.CTRL_VLAN, without=(Feature.CTRL_RX,))


def _expect(rig: Rig, when: str, ids: Collection[int], delivered: bool) -> None:
    own, said = own_address(rig), {True: "delivered", False: "dropped"}
    for vlan in ids:
        for tag in (vlan, vlan | _PRIORITY):
            rig.equal(f"a frame with VLAN {vlan}, {when}", said[delivered], said[passes(rig, own, tag)])


@check
def unnegotiated(rig: Rig) -> None:
    """Without VIRTIO_NET_F_CTRL_VLAN frames with any VLAN id are delivered."""
    rig.negotiate(without=(Feature.CTRL_VLAN,))
    for vlan in (0, *_IDS, 4095):
        rig.delivered(frame(own_address(rig), vlan))


@check
def accepts(rig: Rig) -> None:
    """Frames with a VLAN id are delivered once it was added, and while others are added and removed."""
    _start(rig)
    for vlan in _IDS:
        set_vlan(rig, CtrlVlan.ADD, vlan)
    _expect(rig, "which was added", _IDS, True)
    set_vlan(rig, CtrlVlan.DEL, _IDS[0])
    set_vlan(rig, CtrlVlan.ADD, 100)
    _expect(rig, "which was added", (*_IDS[1:], 100), True)


@check
def drops(rig: Rig) -> None:
    """Frames with a VLAN id are dropped before it was added, after it was removed, and after a reset."""
    _start(rig)
    _expect(rig, "the table is empty", _IDS, False)
    for vlan in _IDS[::2]:
        set_vlan(rig, CtrlVlan.ADD, vlan)
    _expect(rig, "which was not added", _IDS[1::2], False)
    set_vlan(rig, CtrlVlan.DEL, _IDS[0])
    _expect(rig, "which was removed", _IDS[:1], False)
    _start(rig)
    _expect(rig, "which was added before a reset", _IDS, False)
