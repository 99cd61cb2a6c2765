"""Verdicts, and what stands behind them."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..wire.profile import Profile
from .catalogue import Entry


class Verdict(enum.Enum):
    """What a check or an entry came to (specs/README.md, Verdicts)."""

    PASS = "pass"
    FAIL = "fail"
    NOT_APPLICABLE = "not applicable"
    NOT_OBSERVABLE = "not observable"


class Failed(Exception):
    """The implementation does what the statement rules out: ``what`` was looked at, ``expected`` and ``got``."""

    def __init__(self, what: str, expected: str, got: str) -> None:
        super().__init__(what, expected, got)
        self.what = what
        self.expected = expected
        self.got = got

    def __str__(self) -> str:
        return f"{self.what}: expected {self.expected}, got {self.got}"


class NotApplicable(Exception):
    """The statement is about something that this implementation does not have."""


class NotObservable(Exception):
    """Nobody can tell with this target."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one check, or one rule, came to.  ``why`` says so in words, unless it passed; ``steps`` led there."""

    check: str
    verdict: Verdict
    why: str = ""
    expected: str = ""
    got: str = ""
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """An entry, its verdict, and the outcomes that it follows from."""

    entry: Entry
    verdict: Verdict
    outcomes: tuple[Outcome, ...]

    @property
    def why(self) -> str:
        """Why the verdict is no pass, in words."""
        for outcome in self.outcomes:
            if outcome.verdict is self.verdict and outcome.why:
                return outcome.why
        if self.entry.about:
            return f"it is about {self.entry.about}"
        return self.entry.unobservable if self.verdict is Verdict.NOT_OBSERVABLE else ""


@dataclass(frozen=True, slots=True)
class Report:
    """All results for one implementation: ``subject`` names it, ``role`` is "device" or "driver"."""

    subject: str
    role: str
    profile: Profile
    results: tuple[Result, ...]

    @property
    def summary(self) -> dict[str, int]:
        """How many entries have each verdict."""
        counted = Counter(result.verdict for result in self.results)
        return {verdict.value: counted[verdict] for verdict in Verdict}

    @property
    def failures(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.verdict is Verdict.FAIL)


# The first of these that any check came to is the entry's: one failure fails it, and one pass is enough beside
# checks that do not apply.
_ORDER = (Verdict.FAIL, Verdict.PASS, Verdict.NOT_APPLICABLE, Verdict.NOT_OBSERVABLE)


def result(entry: Entry, outcomes: Sequence[Outcome]) -> Result:
    """The entry's result: without any check it is not observable; what is about another device does not apply."""
    if entry.about:
        return Result(entry, Verdict.NOT_APPLICABLE, ())
    came_to = {outcome.verdict for outcome in outcomes}
    verdict = next((each for each in _ORDER if each in came_to), Verdict.NOT_OBSERVABLE)
    return Result(entry, verdict, tuple(outcomes))
