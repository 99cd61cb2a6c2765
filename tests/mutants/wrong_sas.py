"""SAs that are wrong in one way, for a device's ``_outbound_class`` and ``_inbound_class``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from virtionet_ipsec.ipsec import InboundSa, Mode, OutboundSa, SaParams
from virtionet_ipsec.ipsec.ip import with_ipv4_checksum


def mended(packet: bytes) -> bytes:
    """An IP packet, or its header alone, with its IPv4 header checksum right."""
    if packet[0] >> 4 == 6:
        return packet
    size = (packet[0] & 15) * 4
    return with_ipv4_checksum(packet[:size]) + packet[size:]


def with_word(packet: bytes, offset: int, octets: bytes) -> bytes:
    """``packet`` with ``octets`` at ``offset``."""
    return packet[:offset] + octets + packet[offset + len(octets) :]


def version(packet: bytes) -> int:
    return packet[0] >> 4


def ttl(packet: bytes) -> int:
    """TTL or Hop Limit."""
    return packet[8] if version(packet) == 4 else packet[7]


def with_ttl(packet: bytes, value: int) -> bytes:
    """``packet`` with another TTL or Hop Limit, its checksum right."""
    return mended(with_word(packet, 8 if version(packet) == 4 else 7, bytes((value & 0xFF,))))


def with_outer(alter: Callable[[bytes, bytes], bytes], *, mend: bool = True) -> type[OutboundSa]:
    """An outbound SA whose outer header is ``alter(right header, inner packet)``."""

    class Wrong(OutboundSa):
        def _configure(self, params: SaParams) -> None:
            super()._configure(params)
            if params.mode is Mode.TUNNEL:
                right = self._outer.build

                def build(inner: bytes, inner_class: int, length: int) -> bytes:
                    header = alter(right(inner, inner_class, length), inner)
                    return mended(header) if mend else header

                self._outer.build = build

    return Wrong


def putting_in(alter: Callable[[bytes, SaParams], bytes]) -> type[OutboundSa]:
    """An outbound SA that protects ``alter(packet, parameters)`` instead of the packet."""

    class Wrong(OutboundSa):
        def protect(self, packet: bytes, observe: Any = None) -> bytes:
            return super().protect(alter(packet, self.params), observe)

    return Wrong


def taking_out(alter: Callable[[bytes, bytes, SaParams], bytes]) -> type[InboundSa]:
    """An inbound SA that gives ``alter(plain packet, packet from the wire, parameters)`` for the plain packet."""

    class Wrong(InboundSa):
        def unprotect(self, packet: bytes, where: Any, observe: Any = None, start: int = 0) -> bytes:
            return alter(super().unprotect(packet, where, observe, start), packet[start:], self.params)

    return Wrong


def configured(kind: type[Any], change: Callable[[Any], None]) -> type[Any]:
    """An SA of this kind on which ``change`` is made whenever CREATE or MODIFY has set it up."""

    class Wrong(kind):  # type: ignore[misc]
        def _configure(self, params: SaParams) -> None:
            super()._configure(params)
            change(self)

    return Wrong
