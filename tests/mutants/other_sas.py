"""Devices whose SAs have another part in the place of the right one."""

from __future__ import annotations

from typing import Any

from virtionet_ipsec.device import Device
from virtionet_ipsec.ipsec import InboundSa, OutboundSa, Protocol, SaParams
from virtionet_ipsec.ipsec.ah import AhTransform
from virtionet_ipsec.ipsec.transforms import Transform
from virtionet_ipsec.ipsec.window import ReplayWindow


class OtherSas(Device):
    """:meth:`inbound` and :meth:`outbound` may change each SA when it is made."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        make_inbound, make_outbound = self._inbound._make, self._outbound._make
        self._inbound._make = lambda params: self.inbound(make_inbound(params))
        self._outbound._make = lambda params: self.outbound(make_outbound(params))

    def inbound(self, sa: InboundSa) -> InboundSa:
        return sa

    def outbound(self, sa: OutboundSa) -> OutboundSa:
        return sa


class OtherWindow(OtherSas):
    """The window of each inbound SA is of another class."""

    window_class: type[ReplayWindow]

    def inbound(self, sa: InboundSa) -> InboundSa:
        params = sa.params
        sa.window = self.window_class(params.replay_window, params.esn, params.first_seq)
        return sa


class Wrapped:
    """The transform of an ESP SA; subclasses alter what goes in and comes out."""

    def __init__(self, right: Transform, params: SaParams) -> None:
        self.right: Any = right
        self.params = params

    def seal(self, head: bytes, plaintext: bytes, high: bytes) -> tuple[bytes, bytes]:
        return self.right.seal(head, plaintext, high)

    def open(self, packet: bytes, start: int, end: int, high: bytes) -> bytes:
        return self.right.open(packet, start, end, high)


class OtherTransform(OtherSas):
    """The transforms of ESP SAs are wrapped, those of AH SAs of another class."""

    esp: type[Wrapped] = Wrapped
    ah: type[AhTransform] = AhTransform

    def inbound(self, sa: InboundSa) -> InboundSa:
        return self._with(sa)

    def outbound(self, sa: OutboundSa) -> OutboundSa:
        return self._with(sa)

    def _with(self, sa: Any) -> Any:
        if sa.params.protocol is Protocol.ESP:
            sa._transform = self.esp(sa._transform, sa.params)
        else:
            sa._ah = self.ah(sa.params, bytes)
        return sa
