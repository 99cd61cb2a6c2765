"""What a replay adds up to: totals, per SA, per reason, per flag (documented in specs/replay-report.md)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from ..ipsec import Direction, Reason
from ..policy import sa_row
from .captured import Packet
from .session import Outcome, Session

FORMAT = "virtionet-ipsec replay report"
VERSION = 1


@dataclass(slots=True)
class FirstSeen:
    """The first packet that failed for a reason, and what was said of it."""

    index: int
    detail: str


class Report:
    """Adds packets up; ``as_dict`` is the report file."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._fates: Counter[tuple[str, str, int]] = Counter()
        self._reasons: Counter[tuple[str, Reason]] = Counter()
        self.first: dict[Reason, FirstSeen] = {}
        self.packets = 0
        self.bytes_in = 0
        self.bytes_out = 0

    def add(self, packet: Packet, outcome: Outcome) -> None:
        """Count one packet."""
        self.packets += 1
        self.bytes_in += len(packet.data)
        self.bytes_out += len(outcome.data)
        self._fates[outcome.direction, outcome.verdict, outcome.flags] += 1
        refused = outcome.refused
        if refused is not None:
            self._reasons[outcome.direction, refused.reason] += 1
            if refused.reason not in self.first:
                self.first[refused.reason] = FirstSeen(packet.index, refused.detail)

    @property
    def failed(self) -> int:
        """Packets that failed: refused for any reason but a dummy packet's (RFC 4303 2.6)."""
        return sum(count for (_, reason), count in self._reasons.items() if reason is not Reason.DUMMY)

    def reasons(self) -> dict[str, int]:
        """Failures by reason, the most frequent first."""
        total: Counter[str] = Counter()
        for (_, reason), count in self._reasons.items():
            total[reason.value] += count
        return dict(total.most_common())

    def totals(self) -> dict[str, int]:
        verdicts: Counter[str] = Counter()
        for (_, verdict, _), count in self._fates.items():
            verdicts[verdict] += count
        return {
            "packets": self.packets,
            "delivered": verdicts["delivered"],
            "sent": verdicts["sent"],
            "dropped": verdicts["dropped"],
            "failed": self.failed,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
        }

    def flags(self) -> dict[str, int]:
        """How many packets crossed the boundary with each flag; ``none`` counts those with no flag at all."""
        names = self._session.driver.layout.flag_names
        counted: Counter[str] = Counter()
        for (_, verdict, flags), count in self._fates.items():
            if verdict != "dropped":
                for name in names(flags) or ("none",):
                    counted[name] += count
        return dict(sorted(counted.items()))

    def directions(self) -> dict[str, dict[str, int]]:
        by_direction: dict[str, dict[str, int]] = {}
        for (direction, verdict, _), count in sorted(self._fates.items()):
            row = by_direction.setdefault(direction, {})
            row[verdict] = row.get(verdict, 0) + count
        return by_direction

    def sas(self) -> list[dict[str, Any]]:
        device = self._session.driver.device
        rows = []
        for entry in self._session.entries:
            table = device.inbound if entry.params.direction is Direction.INBOUND else device.outbound
            rows.append(sa_row(entry.id, table[entry.id], origin=entry.origin))
        return rows

    def as_dict(self, *, capture: str, seconds: float, truncated: str | None, interrupted: bool) -> dict[str, Any]:
        """The report file; ``seconds`` is the wall time of the replay."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "capture": capture,
            "profile": self._session.options.profile.value,
            "direction": self._session.options.direction,
            "truncated": truncated,
            "interrupted": interrupted,
            "totals": self.totals(),
            "directions": self.directions(),
            "flags": self.flags(),
            "reasons": self.reasons(),
            "first_failures": {
                reason.value: {"packet": seen.index, "detail": seen.detail} for reason, seen in self.first.items()
            },
            "sas": self.sas(),
            "rate": {
                "seconds": round(seconds, 6),
                "packets_per_second": round(self.packets / seconds) if seconds > 0 else 0,
            },
        }
