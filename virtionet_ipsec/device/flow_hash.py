"""The hash of a packet (virtio 1.4, 5.1.9.4.3 Hash calculation for incoming packets)."""

from __future__ import annotations

from ..wire.enums import HashReport, HashType
from .flow_fields import NO_FLOW, Flow
from .toeplitz import Toeplitz

SUPPORTED = sum(HashType)
"""``supported_hash_types`` of the model."""

# In the order of the text: the hash types that are tried for a packet of a kind.  A packet with extension headers
# for which no _EX type is enabled counts as one without.
_TRIED: dict[HashReport, tuple[HashReport, ...]] = {
    HashReport.IPV4: (HashReport.IPV4,),
    HashReport.TCPV4: (HashReport.TCPV4, HashReport.IPV4),
    HashReport.UDPV4: (HashReport.UDPV4, HashReport.IPV4),
    HashReport.IPV6: (HashReport.IPV6,),
    HashReport.TCPV6: (HashReport.TCPV6, HashReport.IPV6),
    HashReport.UDPV6: (HashReport.UDPV6, HashReport.IPV6),
    HashReport.IPV6_EX: (HashReport.IPV6_EX, HashReport.IPV6),
    HashReport.TCPV6_EX: (HashReport.TCPV6_EX, HashReport.IPV6_EX, HashReport.TCPV6, HashReport.IPV6),
    HashReport.UDPV6_EX: (HashReport.UDPV6_EX, HashReport.IPV6_EX, HashReport.UDPV6, HashReport.IPV6),
}

_MOST_REMEMBERED = 4096  # flows whose hash is known

_Plan = tuple[int, bool, int]  # hash_report, whether it is an _EX type, octets of fields


class FlowHash:
    """The hash with the enabled ``hash_types``, bits of :class:`HashType`, and ``key``."""

    __slots__ = ("_plans", "_seen", "_toeplitz", "config")

    def __init__(self, hash_types: int, key: bytes) -> None:
        self.config = (hash_types, key)
        self._toeplitz = Toeplitz(key)
        self._seen: dict[bytes, int] = {}
        self._plans: list[_Plan | None] = [None] * (1 + max(_TRIED))
        for kind, tried in _TRIED.items():
            enabled = [report for report in tried if hash_types >> report - 1 & 1]
            if enabled:
                self._plans[kind] = _plan(enabled[0])

    def __call__(self, flow: Flow) -> tuple[int, int]:
        """``hash_value`` and ``hash_report``; zeros when no hash is calculated."""
        plan = self._plans[flow[0]]
        if plan is None:
            return 0, NO_FLOW
        report, extended, length = plan
        fields = (flow[2] if extended else flow[1])[:length]
        value = self._seen.get(fields)
        if value is None:
            value = self._toeplitz(fields)
            if len(self._seen) >= _MOST_REMEMBERED:
                self._seen.clear()
            self._seen[fields] = value
        return value, report


def _plan(report: HashReport) -> _Plan:
    addresses = 8 if report <= HashReport.UDPV4 else 32
    ports = 0 if report in (HashReport.IPV4, HashReport.IPV6, HashReport.IPV6_EX) else 4
    return int(report), report >= HashReport.IPV6_EX, addresses + ports
