"""Judging a driver: an observer that holds every exchange against the rules.

It costs a device nothing when none is attached: give :meth:`Monitor.observe`
to ``Device.on_exchange`` or to a :class:`~virtionet_ipsec.trace.Watched`
device, or feed it the exchanges of a trace.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import get_args

from ...device.exchanges import Commanded, Exchange
from ...trace import Session
from ..catalogue import Entry, catalogue
from ..decode import decoded
from ..verdict import Outcome, Report, Verdict, result
from .command import command_of
from .rule import Rule, rules
from .view import View

OBLIGATIONS = ("MUST", "MUST NOT")
"""The levels that leave a driver no choice."""

_MOST_KEPT = 20
"""Violations of one rule that are kept; the others are counted."""


@dataclass(frozen=True, slots=True)
class Violation:
    """``entries`` are the ids of the statements that the driver violated with exchange ``number``, the first is 1.

    ``levels`` are theirs, such as MUST NOT.
    """

    rule: str
    entries: tuple[str, ...]
    levels: tuple[str, ...]
    number: int
    sentence: str
    exchange: tuple[str, ...]

    def __str__(self) -> str:
        return f"{', '.join(self.entries)}: {self.sentence} (exchange {self.number})"


class Monitor:
    """Watches a driver from the beginning of ``session``; ``violations`` and :meth:`report` tell."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._view = View(session.profile, session.features, session.config)
        self._entries: dict[str, list[Entry]] = defaultdict(list)
        for entry in catalogue().entries("driver", session.profile):
            for rule_id in entry.checks:
                self._entries[rule_id].append(entry)
        self._by_kind: dict[type[Exchange], list[Rule]] = {
            kind: [known for known in rules().values() if known.id in self._entries and kind in known.kinds]
            for kind in get_args(Exchange)
        }
        self.exchanges = 0  # seen so far
        self._judged: Counter[str] = Counter()
        self._violated: Counter[str] = Counter()
        self.violations: list[Violation] = []

    def observe(self, exchange: Exchange) -> None:
        """Judge ``exchange``, and take it in."""
        self.exchanges += 1
        command = command_of(exchange) if isinstance(exchange, Commanded) else None
        for known in self._by_kind[type(exchange)]:
            if command is not None and known.opcodes is not None and command.opcode not in known.opcodes:
                continue
            found = known.judge(self._view, command if command is not None else exchange)
            if found is not None:
                self._judged[known.id] += 1
                self._keep(known, found, exchange)
        self._view.update(exchange, command)

    def _keep(self, known: Rule, found: Iterable[str], exchange: Exchange) -> None:
        for sentence in found:
            self._violated[known.id] += 1
            if self._violated[known.id] <= _MOST_KEPT:
                shown = decoded([exchange], self._session.profile, self._view.driver_features)
                entries = self._entries[known.id]
                ids, levels = tuple(entry.id for entry in entries), tuple(entry.level for entry in entries)
                self.violations.append(Violation(known.id, ids, levels, self.exchanges, sentence, shown))

    def report(self, subject: str, only: Collection[str] = ()) -> Report:
        """The verdict on every driver entry: not applicable when nothing in the session called for it."""
        entries = catalogue().entries("driver", self._session.profile)
        if only:
            entries = tuple(entry for entry in entries if entry.id in only or set(entry.checks) & set(only))
        results = [result(entry, [self._outcome(rule_id) for rule_id in entry.checks]) for entry in entries]
        return Report(subject, "driver", self._session.profile, tuple(results))

    def _outcome(self, rule_id: str) -> Outcome:
        if self._violated[rule_id]:
            first = next(each for each in self.violations if each.rule == rule_id)
            times = self._violated[rule_id]
            why = f"{first.sentence} (exchange {first.number}{f', and {times - 1} times more' if times > 1 else ''})"
            return Outcome(rule_id, Verdict.FAIL, why, rules()[rule_id].sentence, first.sentence, first.exchange)
        if self._judged[rule_id]:
            return Outcome(rule_id, Verdict.PASS)
        return Outcome(rule_id, Verdict.NOT_APPLICABLE, "nothing in the session called for it")


def judge_driver(
    session: Session, exchanges: Iterable[Exchange], subject: str, *, only: Collection[str] = ()
) -> Report:
    """The verdict on the driver of a recorded session."""
    monitor = Monitor(session)
    for exchange in exchanges:
        monitor.observe(exchange)
    return monitor.report(subject, only)
