"""Devices that are wrong about VLANs."""

from __future__ import annotations

from collections.abc import Callable

from virtionet_ipsec.device import Device, Received
from virtionet_ipsec.device.receive_filter import ReceiveFilter
from virtionet_ipsec.wire.enums import CtrlAck, CtrlClass, CtrlVlan, Feature

from ..mutant import breaks
from ..wrapping import answering_control
from .filter import Filtering


def losing(loses: Callable[[Device, int], bool]) -> Callable[[Device, bytes], Received | None]:
    """A ``Device.receive`` that loses frames with a VLAN tag, its 16 bits, for which ``loses`` says so."""

    def receive(device: Device, frame: bytes) -> Received | None:
        if frame[12:14] == b"\x81\x00" and loses(device, int.from_bytes(frame[14:16], "big")):
            return None
        return Device.receive(device, frame)

    return receive


@breaks("vlan.dev.unnegotiated")
class NoTagsWithoutFilter(Device):
    """Without VIRTIO_NET_F_CTRL_VLAN frames with a VLAN tag are dropped."""

    receive = losing(lambda device, tag: not device.negotiated >> Feature.CTRL_VLAN & 1)


@breaks("vlan.dev.accepts")
class PriorityIsPartOfTheId(Device):
    """A tag with a priority is in no table."""

    receive = losing(lambda device, tag: bool(tag >> 12))


@breaks("vlan.dev.accepts")
class RemovesAll(Filtering):
    """VLAN_DEL empties the table."""

    class filter_kind(ReceiveFilter):  # noqa: N801
        def reset(self) -> None:
            super().reset()
            self._vlans = Clearing()


class Clearing(set[int]):
    """A set that is empty once anything is discarded."""

    def discard(self, element: int) -> None:
        self.clear()


@breaks("vlan.dev.accepts")
class SmallTable(Device):
    """The table ends at 63."""

    receive = losing(lambda device, tag: tag & 0xFFF > 63)


@breaks("vlan.dev.drops")
class NothingRemoved(Device):
    """VLAN_DEL is answered and not carried out."""

    _control = answering_control(CtrlClass.VLAN, CtrlVlan.DEL, CtrlAck.OK)


@breaks("vlan.dev.drops")
class KeepsTheVlans(Filtering):
    """The VLAN table survives a reset."""

    class filter_kind(ReceiveFilter):  # noqa: N801
        def reset(self) -> None:
            vlans = self._vlans
            super().reset()
            self._vlans = vlans


@breaks("vlan.dev.drops")
class AllWhileEmpty(Filtering):
    """An empty VLAN table filters nothing."""

    class filter_kind(ReceiveFilter):  # noqa: N801
        def compiled(self) -> object:
            right = super().compiled()
            if right is not None and not self._vlans:
                right._vlans = None
            return right
