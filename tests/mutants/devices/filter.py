"""Devices that are wrong about receive modes."""

from __future__ import annotations

from typing import Any, ClassVar

from virtionet_ipsec.device import Device, Received
from virtionet_ipsec.device.negotiation import default_features
from virtionet_ipsec.device.receive_filter import BROADCAST, Admission, ReceiveFilter
from virtionet_ipsec.wire.enums import CtrlAck, CtrlClass, CtrlRx, Feature
from virtionet_ipsec.wire.profile import Profile

from ..mutant import breaks
from ..wrapping import answering_control, become

EXTRA = default_features(Profile.VIRTIO_1_4) | 1 << Feature.CTRL_RX_EXTRA

Modes = dict[CtrlRx, bool]


class Filtering(Device):
    """A device whose receive filter takes the modes for others than they are."""

    filter_kind: ClassVar[type[ReceiveFilter]]

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        become(self._controls.filter, self.filter_kind)


class Taking(ReceiveFilter):
    """A filter that compiles what :meth:`taken` makes of the modes."""

    def taken(self, modes: Modes) -> Modes:
        raise NotImplementedError

    def compiled(self) -> Admission | None:
        right, self._modes = self._modes, self.taken(self._modes)
        try:
            return super().compiled()
        finally:
            self._modes = right


class Losing(Device):
    """A device that loses frames which its receive filter lets through."""

    def loses(self, modes: Modes, destination: bytes) -> bool:
        raise NotImplementedError

    def receive(self, frame: bytes) -> Received | None:
        return None if self.loses(self._controls.filter._modes, frame[:6]) else super().receive(frame)


for _mode in CtrlRx:
    breaks(f"filter.dev.{_mode.name.lower()}-supported", features=EXTRA)(
        type(
            f"Refuses{_mode.name.title()}",
            (Device,),
            {
                "__doc__": f"{_mode.name} gets VIRTIO_NET_ERR.",
                "_control": answering_control(CtrlClass.RX, _mode, CtrlAck.ERR),
            },
        )
    )


@breaks("filter.dev.promisc")
class PromiscuousForStations(Losing):
    """Promiscuous mode is for stations alone, not for groups."""

    def loses(self, modes: Modes, destination: bytes) -> bool:
        return modes[CtrlRx.PROMISC] and bool(destination[0] & 1) and destination != BROADCAST


@breaks("filter.dev.promisc-first")
class AllMulticastEndsPromiscuous(Losing):
    """Promiscuous mode is without effect on stations while ALLMULTI is on."""

    def loses(self, modes: Modes, destination: bytes) -> bool:
        both = modes[CtrlRx.PROMISC] and modes[CtrlRx.ALLMULTI]
        return both and not destination[0] & 1 and destination != self.config[:6]


@breaks("filter.dev.promisc-first", features=EXTRA)
class SuppressionEndsPromiscuous(Losing):
    """NOBCAST drops broadcast frames in promiscuous mode."""

    def loses(self, modes: Modes, destination: bytes) -> bool:
        return modes[CtrlRx.PROMISC] and modes[CtrlRx.NOBCAST] and destination == BROADCAST


@breaks("filter.dev.allmulti")
class NotAllMulticast(Losing):
    """ALLMULTI is for IPv4's groups alone."""

    def loses(self, modes: Modes, destination: bytes) -> bool:
        return modes[CtrlRx.ALLMULTI] and not modes[CtrlRx.PROMISC] and destination[:2] == b"\x33\x33"


@breaks("filter.dev.alluni", features=EXTRA)
class NotAllUnicast(Losing):
    """ALLUNI is for globally administered addresses alone."""

    def loses(self, modes: Modes, destination: bytes) -> bool:
        local = destination[0] & 3 == 2 and destination != self.config[:6]
        return modes[CtrlRx.ALLUNI] and not modes[CtrlRx.PROMISC] and local


def _ignoring(mode: CtrlRx, beside: CtrlRx) -> type[ReceiveFilter]:
    """A filter that does not see ``mode`` while ``beside`` is on."""

    class Ignoring(Taking):
        def taken(self, modes: Modes) -> Modes:
            return {**modes, mode: modes[mode] and not modes[beside]}

    return Ignoring


@breaks("filter.dev.nomulti", "filter.dev.nomulti-first", features=EXTRA)
class IgnoresNoMulticast(Filtering):
    """NOMULTI is accepted, and has no effect."""

    filter_kind = _ignoring(CtrlRx.NOMULTI, CtrlRx.NOMULTI)


@breaks("filter.dev.nomulti-first", features=EXTRA)
class AllMulticastFirst(Filtering):
    """ALLMULTI wins over NOMULTI."""

    filter_kind = _ignoring(CtrlRx.NOMULTI, CtrlRx.ALLMULTI)


@breaks("filter.dev.nomulti-broadcast", features=EXTRA)
class BroadcastIsMulticast(Filtering):
    """NOMULTI drops broadcast frames as well."""

    class filter_kind(Taking):  # noqa: N801
        def taken(self, modes: Modes) -> Modes:
            return {**modes, CtrlRx.NOBCAST: modes[CtrlRx.NOBCAST] or modes[CtrlRx.NOMULTI]}


@breaks("filter.dev.nouni", "filter.dev.nouni-first", features=EXTRA)
class IgnoresNoUnicast(Filtering):
    """NOUNI is accepted, and has no effect."""

    filter_kind = _ignoring(CtrlRx.NOUNI, CtrlRx.NOUNI)


@breaks("filter.dev.nouni-first", features=EXTRA)
class AllUnicastFirst(Filtering):
    """ALLUNI wins over NOUNI."""

    filter_kind = _ignoring(CtrlRx.NOUNI, CtrlRx.ALLUNI)


@breaks("filter.dev.nobcast", "filter.dev.nobcast-first", features=EXTRA)
class IgnoresNoBroadcast(Filtering):
    """NOBCAST is accepted, and has no effect."""

    filter_kind = _ignoring(CtrlRx.NOBCAST, CtrlRx.NOBCAST)


@breaks("filter.dev.nobcast-first", features=EXTRA)
class AllMulticastBroadcasts(Filtering):
    """ALLMULTI wins over NOBCAST."""

    filter_kind = _ignoring(CtrlRx.NOBCAST, CtrlRx.ALLMULTI)
