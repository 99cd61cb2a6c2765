"""Which outbound SA a packet goes through: the driver's choice, since the device makes none (virtio 1.4, 5.1.9.7).

The first entry whose ``select`` matches, in file order; an entry without one
matches every packet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from ..ipsec import Direction, Reason, Refused
from ..ipsec.ip import EXTENSIONS, IPV4_MF, IPV4_OFFSET, ipv6_chain, trimmed
from ..safile import SaEntry, Select
from ..safile.values import WITH_PORTS

_FLOWS = 1 << 16  # whose choice is remembered

Flow = tuple[bytes, bytes, int, int | None, int | None]
"""Addresses in network order, protocol, and ports, which are None where there are none."""


def flow_of(packet: bytes) -> Flow | None:
    """What a ``select`` looks at in the IP ``packet``; None when that is no IP packet."""
    try:
        packet = _without_trailer(packet)
        if packet[0] >> 4 == 4:
            source, destination, protocol, offset = packet[12:16], packet[16:20], packet[9], (packet[0] & 0xF) * 4
            fragment = bool((packet[6] << 8 | packet[7]) & (IPV4_MF | IPV4_OFFSET))
        else:
            chain = ipv6_chain(packet, len(packet))
            source, destination, protocol, offset = packet[8:24], packet[24:40], chain.nh, chain.offset
            fragment = chain.fragment
    except Refused:
        return None
    # The fragments of one packet go one way: the first has ports, the others have not, so none is taken to.
    if protocol not in WITH_PORTS or fragment or len(packet) < offset + 4:
        return source, destination, protocol, None, None
    sport, dport = packet[offset] << 8 | packet[offset + 1], packet[offset + 2] << 8 | packet[offset + 3]
    return source, destination, protocol, sport, dport


def _without_trailer(packet: bytes) -> bytes:
    """``packet`` up to its own length, or what a short snapshot length left of it; its header is whole."""
    try:
        return trimmed(packet)
    except Refused as refused:
        if refused.reason is not Reason.TRUNCATED or len(packet) < (20 if packet[0] >> 4 == 4 else 40):
            raise
        return packet


def mirrored(flow: Flow) -> Flow:
    """The flow of the packets that go the other way."""
    source, destination, protocol, sport, dport = flow
    return destination, source, protocol, dport, sport


def matcher(select: Select, *, may: bool = False) -> Callable[[Flow], bool]:
    """Whether a flow is one that ``select`` names; with ``may``, whether it can be one.

    The flow of a fragment has no ports, and over IPv6 its protocol may be that
    of an extension header, behind which anything can come in the next fragment.
    """
    hidden: tuple[tuple[int | None, ...], ...] = ((*EXTENSIONS,), (None,), (None,)) if may else ((), (), ())
    networks = []
    for index, network in enumerate((select.src, select.dst)):
        if network is not None:
            mask, value = int(network.netmask), int(network.network_address)
            networks.append((index, network.max_prefixlen // 8, mask, value))
    fields = [
        (index, frozenset((wanted, *unknown)))
        for index, wanted, unknown in zip((2, 3, 4), (select.proto, select.sport, select.dport), hidden, strict=True)
        if wanted is not None
    ]

    def matches(flow: Flow) -> bool:
        for index, length, mask, value in networks:
            address = flow[index]
            if not isinstance(address, bytes) or len(address) != length:
                return False
            if int.from_bytes(address, "big") & mask != value:
                return False
        return all(flow[index] in wanted for index, wanted in fields)

    return matches


class Choice:
    """Chooses among ``entries``, the outbound ones, in their order."""

    def __init__(self, entries: Sequence[SaEntry]) -> None:
        self._rows = [(matcher(entry.select or Select()), entry.id) for entry in entries]
        self._of_flow = lru_cache(maxsize=_FLOWS)(self._search)

    def __call__(self, packet: bytes) -> int | None:
        """The resource_id for the IP ``packet``; None means that it is sent in the clear."""
        flow = flow_of(packet)
        if flow is None:
            return None
        return self._of_flow(flow)

    def _search(self, flow: Flow) -> int | None:
        for matches, resource_id in self._rows:
            if matches(flow):
                return resource_id
        return None


def never_chosen(entries: Sequence[SaEntry]) -> list[tuple[SaEntry, SaEntry]]:
    """(entry, other) for each outbound entry that is never chosen: the other selects the same packets before it."""
    first: dict[Select, SaEntry] = {}
    hidden = []
    for entry in entries:
        if entry.params.direction is Direction.OUTBOUND:
            other = first.setdefault(entry.select or Select(), entry)
            if other is not entry:
                hidden.append((entry, other))
    return hidden
