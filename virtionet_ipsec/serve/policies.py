"""The policies of transparent IPsec: which packets are protected, and which may arrive (RFC 4301 4.4.1, 5).

An outbound policy sends packets through an SA, the first that matches.  It is
a policy for the answers as well: they have to come protected.  An inbound
policy says of an SA what may come through it; an SA without one gives what the
outbound policies let out through its counterpart (D135).

A fragment does not show its ports.  It never leaves, and never arrives, in the
clear where a policy may be about it (D137).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from ..ipsec import Direction, Reason, Refused
from ..ipsec.ip import ipv6_chain
from ..policy import Flow, flow_of, matcher, mirrored
from ..safile import Select
from .flow_key import ICMP, ICMP_ERRORS, ICMPV6

_DISCOVERY = range(133, 138)  # router and neighbour solicitation and advertisement, redirect (RFC 4861)


@dataclass(frozen=True, slots=True)
class Policy:
    """Packets that ``select`` names leave, or may arrive, through the SA with resource id ``sa``."""

    id: int
    direction: Direction
    sa: int
    select: Select


@dataclass(frozen=True, slots=True)
class _Row:
    policy: Policy
    exact: Callable[[Flow], bool]
    may: Callable[[Flow], bool]


class Policies:
    """All policies, in their order.  ``paired(outbound id, inbound id)``: whether two SAs can belong together."""

    def __init__(self, paired: Callable[[int, int], bool]) -> None:
        self._paired = paired
        self._ids = count(1)
        self._rows: list[_Row] = []
        self._outbound: list[_Row] = []
        self._inbound: dict[int, list[_Row]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Policy]:
        return (row.policy for row in self._rows)

    def add(self, direction: Direction, sa: int, select: Select, *, first: bool = False) -> Policy:
        """A new policy behind the others, or before them."""
        policy = Policy(next(self._ids), direction, sa, select)
        row = _Row(policy, matcher(select), matcher(select, may=True))
        self._rows.insert(0 if first else len(self._rows), row)
        self._sort()
        return policy

    def remove(self, policy_id: int) -> bool:
        """Whether there was a policy of this id."""
        before = len(self._rows)
        self._rows = [row for row in self._rows if row.policy.id != policy_id]
        self._sort()
        return len(self._rows) < before

    def _sort(self) -> None:
        self._outbound = [row for row in self._rows if row.policy.direction is Direction.OUTBOUND]
        self._inbound = {}
        for row in self._rows:
            if row.policy.direction is Direction.INBOUND:
                self._inbound.setdefault(row.policy.sa, []).append(row)

    def outbound(self, packet: bytes) -> int | None:
        """The SA for an IP packet that leaves; None when it leaves in the clear.

        An ICMP error that no policy is about goes as the packets do that it
        answers, for it holds a part of one (RFC 4301 6.2, D138).  Raises
        :class:`Refused` where it cannot be told.
        """
        if not self._outbound or _is_discovery(packet):
            return None
        flow = flow_of(packet)
        if flow is None:
            raise Refused(Reason.MALFORMED, "the IP header makes no sense, and there are policies")
        row = self._find(flow)
        if row is None and (about := _subject(packet)) is not None:
            row = self._find(mirrored(about))
        return None if row is None else row.policy.sa

    def _find(self, flow: Flow) -> _Row | None:
        for row in self._outbound:
            if row.may(flow):
                if row.exact(flow):
                    return row
                raise Refused(Reason.FRAGMENT, f"a fragment, and policy {row.policy.id} asks for ports")
        return None

    def clear(self, packet: bytes) -> bool:
        """Whether an IP packet may arrive in the clear: no policy is about it (RFC 4301 5.2, 3b)."""
        if not self._rows or _is_discovery(packet):
            return True
        flow = flow_of(packet)
        if flow is None:
            return False
        flows = [flow]
        if (about := _subject(packet)) is not None:
            flows.append(mirrored(about))
        return not any(self._protected(each) for each in flows)

    def _protected(self, flow: Flow) -> bool:
        """Whether a policy may be about ``flow``, which arrives."""
        back = mirrored(flow)
        if any(row.may(back) for row in self._outbound):
            return True
        return any(row.may(flow) for rows in self._inbound.values() for row in rows)

    def through(self, sa: int, packet: bytes) -> bool:
        """Whether the IP packet may come out of inbound SA ``sa`` (RFC 4301 5.2, 4)."""
        rows = self._inbound.get(sa)
        if rows is None and not self._outbound:
            return True
        flow = flow_of(packet)
        if flow is None:
            return False
        if self._may_come(sa, rows, flow):
            return True
        about = _subject(packet)
        return about is not None and self._may_come(sa, rows, mirrored(about))

    def _may_come(self, sa: int, rows: list[_Row] | None, flow: Flow) -> bool:
        if rows is not None:
            return any(row.may(flow) for row in rows)
        back = mirrored(flow)
        for row in self._outbound:
            if row.may(back):
                if self._paired(row.policy.sa, sa):
                    return True
                if row.exact(back):
                    return False
        return False


def _is_discovery(packet: bytes) -> bool:
    """Neighbour Discovery, which nobody but a neighbour can have sent (RFC 4861): what ARP is to IPv4 (D136)."""
    return (
        len(packet) > 40
        and packet[0] >> 4 == 6
        and packet[6] == ICMPV6
        and packet[7] == 255
        and packet[40] in _DISCOVERY
    )


def _subject(packet: bytes) -> Flow | None:
    """The flow of the packet that an ICMP error is about, as far as it is told."""
    if packet[0] >> 4 == 4:
        offset = (packet[0] & 0xF) * 4
        if packet[9] != ICMP or packet[6:8] not in (b"\0\0", b"\x40\0") or len(packet) <= offset + 8:
            return None
        return flow_of(packet[offset + 8 :]) if packet[offset] in ICMP_ERRORS else None
    try:
        chain = ipv6_chain(packet, len(packet))
    except Refused:
        return None
    offset = chain.offset
    if chain.nh != ICMPV6 or chain.fragment or len(packet) <= offset + 8 or packet[offset] >= 128:
        return None
    return flow_of(packet[offset + 8 :])
