"""Devices that are wrong about lifetimes of SAs."""

from __future__ import annotations

from typing import Any

from virtionet_ipsec.device import Device
from virtionet_ipsec.ipsec import InboundSa, OutboundSa

from ..mutant import breaks
from ..wrong_sas import configured

_NEVER = 1 << 128


def _no_octets(sa: Any) -> None:
    sa._limits.bytes_hard = _NEVER


@breaks("arch.dev.byte-lifetime")
class NoOctetLimitOut(Device):
    """The hard limit of octets does not end an outbound SA."""

    _outbound_class = configured(OutboundSa, _no_octets)


@breaks("arch.dev.byte-lifetime")
class NoOctetLimitIn(Device):
    """The hard limit of octets does not end an inbound SA."""

    _inbound_class = configured(InboundSa, _no_octets)


@breaks("arch.dev.bytes-counted")
class CountsTheWire(Device):
    """The octets of an outbound SA are those of the packets on the wire."""

    class Wrong(OutboundSa):
        def protect(self, packet: bytes, observe: Any = None) -> bytes:
            done = super().protect(packet, observe)
            self.state.bytes += len(done) - len(packet)
            return done

    _outbound_class = Wrong


@breaks("arch.dev.bytes-counted")
class CountsThePayload(Device):
    """The octets of an inbound SA are those behind the inner IP header."""

    class Wrong(InboundSa):
        def unprotect(self, packet: bytes, where: Any, observe: Any = None, start: int = 0) -> bytes:
            plain = super().unprotect(packet, where, observe, start)
            self.state.bytes -= 20
            return plain

    _inbound_class = Wrong


@breaks("arch.dev.counts-out-of-step")
class AgesWithTheNumbers(Device):
    """An inbound SA counts as many packets as sequence numbers have gone by."""

    class Wrong(InboundSa):
        def unprotect(self, packet: bytes, where: Any, observe: Any = None, start: int = 0) -> bytes:
            plain = super().unprotect(packet, where, observe, start)
            self.state.packets = self.window.top
            return plain

    _inbound_class = Wrong


def _no_warning(sa: Any) -> None:
    sa._limits.packets_soft = sa._limits.bytes_soft = _NEVER


@breaks("arch.dev.soft-and-hard")
class NeverWarns(Device):
    """No packet of an inbound SA past its soft limit has SECURITY_SA_SOFT_EXPIRY_WARN."""

    _inbound_class = configured(InboundSa, _no_warning)


def _soft_is_hard(sa: Any) -> None:
    sa._limits.packets_hard = min(sa._limits.packets_hard, sa._limits.packets_soft)


@breaks("arch.dev.soft-and-hard")
class SoftEndsIt(Device):
    """The soft limit of packets ends an outbound SA."""

    _outbound_class = configured(OutboundSa, _soft_is_hard)


def _one_more(sa: Any) -> None:
    sa._limits.packets_hard += 1


@breaks("arch.dev.beyond-lifetime")
class OneMoreOut(Device):
    """An outbound SA sends one packet more than its hard limit."""

    _outbound_class = configured(OutboundSa, _one_more)


@breaks("arch.dev.beyond-lifetime")
class OneMoreIn(Device):
    """An inbound SA takes one packet more than its hard limit."""

    _inbound_class = configured(InboundSa, _one_more)
