"""Devices that ask for gratuitous packets."""

from __future__ import annotations

from virtionet_ipsec.device import Device
from virtionet_ipsec.wire.enums import CtrlAck, CtrlAnnounce, CtrlClass

from ..mutant import breaks
from ..wrapping import answering_control


class Announcing(Device):
    """The model, where the host asks as soon as the driver is there."""

    def _go_live(self) -> None:
        super()._go_live()
        self.announce()


Announcing.right = Announcing  # type: ignore[attr-defined]


@breaks("announce.dev.clears")
class AsksOn(Announcing):
    """ANNOUNCE_ACK is answered, and ANNOUNCE stays set."""

    _control = answering_control(CtrlClass.ANNOUNCE, CtrlAnnounce.ACK, CtrlAck.OK)
