"""Devices that are wrong about the inner header hash."""

from __future__ import annotations

from virtionet_ipsec.conformance.driving.tunnelled import IPIP, VXLAN
from virtionet_ipsec.device.steering import Steering

from ..more_controls import FEATURES, OK, MoreControls, Tunnels
from ..mutant import breaks


@breaks("innerhash.dev.outer", features=FEATURES)
class EveryTunnel(MoreControls):
    """Any encapsulation that is enabled enables all."""

    class tunnels_kind(Tunnels):  # noqa: N801
        def inner(self, packet: bytes, at: int) -> int:
            right, self.enabled = self.enabled, VXLAN | IPIP if self.enabled else 0
            try:
                return super().inner(packet, at)
            finally:
                self.enabled = right


@breaks("innerhash.dev.unsupported", features=FEATURES)
class TakesAnyTunnel(MoreControls):
    """Bits that supported_tunnel_types lacks are taken and ignored."""

    def set_tunnels(self, data: bytes, room: int) -> bytes:
        return super().set_tunnels((int.from_bytes(data[:4], "little") & (VXLAN | IPIP)).to_bytes(4, "little"), room)


@breaks("innerhash.dev.disabled", features=FEATURES)
class NeverDisabled(MoreControls):
    """enabled_tunnel_types 0 changes nothing."""

    def set_tunnels(self, data: bytes, room: int) -> bytes:
        return super().set_tunnels(data, room) if any(data[:4]) else OK


@breaks("innerhash.dev.disabled-on-reset", features=FEATURES)
class TunnelsStay(MoreControls):
    """What was enabled survives a reset."""

    class tunnels_kind(Tunnels):  # noqa: N801
        def reset(self) -> None:
            Steering.reset(self)
