"""How large a guest's packets may be so that they fit the wire protected (RFC 4301 8)."""

from __future__ import annotations

from collections.abc import Iterable

from ..ipsec import Direction, Mode, Protocol, SaParams

_OUTER = {4: 20, 16: 40}  # an IP header, by the length of its addresses
_HEADERS = range(20, 64, 4)  # what an IP header can be long, as far as padding goes


def inner_mtu(mtu: int, sas: Iterable[SaParams]) -> int:
    """The largest IP packet, in octets, that each of the outbound ones of ``sas`` protects in ``mtu`` octets."""
    return min((_largest(params, mtu) for params in sas if params.direction is Direction.OUTBOUND), default=mtu)


def _largest(params: SaParams, mtu: int) -> int:
    tunnel = params.tunnel if params.mode is Mode.TUNNEL else None
    if params.protocol is Protocol.AH:
        header = 12 + params.iv_length + params.icv_length
        if tunnel is not None:
            return mtu - _OUTER[len(tunnel.src)] - _padded(header, params.ah_align or (4, 8)[len(tunnel.src) == 16])
        return mtu - _padded(header, params.ah_align or 8)
    added = 8 + params.iv_length + params.icv_length + (8 if params.udp is not None else 0)
    if tunnel is not None:
        return _payload(mtu - _OUTER[len(tunnel.src)] - added, params.pad_to)
    # In transport mode the padding begins to count behind the packet's own header.
    return min(header + _payload(mtu - header - added, params.pad_to) for header in _HEADERS)


def _padded(length: int, align: int) -> int:
    return -(-length // align) * align


def _payload(room: int, align: int) -> int:
    """What fits before an ESP trailer in ``room`` octets (RFC 4303 2.4)."""
    return room // align * align - 2
