"""Devices that are wrong about congestion notification through tunnels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from virtionet_ipsec.device import Device
from virtionet_ipsec.ipsec import InboundSa, Mode, OutboundSa, Reason, Refused
from virtionet_ipsec.ipsec.ip import traffic_class, with_traffic_class

from ..mutant import breaks
from ..wrong_sas import putting_in, taking_out, version, with_outer, with_word

NOT_ECT, ECT_1, ECT_0, CE = range(4)


def _with_ecn(packet: bytes, codepoint: int) -> bytes:
    return with_traffic_class(packet, traffic_class(packet) & 0xFC | codepoint)


def _ecn(packet: bytes) -> int:
    return traffic_class(packet) & 3


@breaks("ecn.dev.ingress")
class FullFunctionality(Device):
    """CE inside becomes ECT(0) outside, as RFC 3168 has it."""

    _outbound_class = with_outer(lambda header, inner: _with_ecn(header, ECT_0) if _ecn(header) == CE else header)


@breaks("ecn.dev.ingress")
class NeverCopiesEcn(Device):
    """The option ECN does nothing on encapsulation."""

    _outbound_class = with_outer(lambda header, inner: _with_ecn(header, NOT_ECT))


@breaks("ecn.dev.ingress-compatibility")
class AlwaysCopiesEcn(Device):
    """The inner codepoint is copied without the option as well."""

    _outbound_class = with_outer(lambda header, inner: _with_ecn(header, _ecn(inner)))


class _WholeOctet(OutboundSa):
    def _configure(self, params: Any) -> None:
        super()._configure(replace(params, ecn=params.ecn or params.copy_dscp))


@breaks("ecn.dev.ingress-compatibility")
class CopiesEcnWithDscp(Device):
    """COPY_DSCP copies the whole octet, the codepoint too."""

    _outbound_class = _WholeOctet


@breaks("ecn.dev.inner-kept")
class ClearsInside(Device):
    """Without the option the inner codepoint goes into the tunnel as Not-ECT."""

    _outbound_class = putting_in(lambda packet, params: packet if params.ecn else _with_ecn(packet, NOT_ECT))


def _instead(cell: tuple[int, int], result: int) -> type[InboundSa]:
    """An inbound SA that gives ``result`` for one pair (inner, outer) of codepoints, and is right about all others."""

    class Wrong(InboundSa):
        def unprotect(self, packet: bytes, where: Any, observe: Any = None, start: int = 0) -> bytes:
            params, outer = self.params, packet[start:]
            self.params = replace(params, ecn=False)
            try:
                plain = super().unprotect(packet, where, observe, start)
            finally:
                self.params = params
            if not params.ecn or params.mode is Mode.TRANSPORT:
                return plain
            inside, outside = _ecn(plain), _ecn(outer)
            if (inside, outside) == cell:
                return _with_ecn(plain, result)
            if (inside, outside) == (NOT_ECT, CE):
                raise Refused(Reason.ECN_INVALID)
            return _with_ecn(plain, _FIGURE_4[inside][outside])

    return Wrong


_FIGURE_4 = ((NOT_ECT,) * 4, (ECT_1, ECT_1, ECT_1, CE), (ECT_0, ECT_1, ECT_0, CE), (CE,) * 4)


@breaks("ecn.dev.egress")
class LosesCongestion(Device):
    """CE outside is lost when ECT(1) is inside."""

    _inbound_class = _instead((ECT_1, CE), ECT_1)


@breaks("ecn.dev.egress")
class Rfc4301(Device):
    """ECT(1) outside does not change ECT(0) inside, as before RFC 6040."""

    _inbound_class = _instead((ECT_0, ECT_1), ECT_0)


def _misplaced(plain: bytes, wire: bytes, params: Any) -> bytes:
    if not params.ecn or version(plain) == 4:
        return plain
    # The last two bits of the first octet, which are the first two of DSCP, where those of the codepoint were meant.
    return plain[:1] + bytes((plain[1] & 0xCF | (plain[1] | plain[0] << 4) & 0x30,)) + plain[2:]


@breaks("ecn.dev.egress")
class MisplacesTheCodepoint(Device):
    """The last bits of DSCP get into the codepoint of an inner IPv6 packet."""

    _inbound_class = taking_out(_misplaced)


@breaks("ecn.dev.egress-drop")
class HandsUpUnmarked(Device):
    """A packet with CE outside and Not-ECT inside is handed up as Not-ECT."""

    _inbound_class = _instead((NOT_ECT, CE), NOT_ECT)


@breaks("ecn.dev.egress-not-ect")
class MakesItCapable(Device):
    """ECT(0) outside makes Not-ECT inside ECT(0)."""

    _inbound_class = _instead((NOT_ECT, ECT_0), ECT_0)


@breaks("ecn.dev.egress-checksum")
class StaleChecksum(Device):
    """The inner IPv4 checksum stays that of the codepoint before."""

    class Wrong(InboundSa):
        def unprotect(self, packet: bytes, where: Any, observe: Any = None, start: int = 0) -> bytes:
            plain = super().unprotect(packet, where, observe, start)
            if plain[0] >> 4 == 6 or not self.params.ecn:
                return plain
            # What of ECT(0) and ECT(1) it was does not matter: the checksum is wrong for CE.
            return with_word(plain, 10, _with_ecn(plain, ECT_0)[10:12])

    _inbound_class = Wrong
