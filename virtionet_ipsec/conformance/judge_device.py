"""Judging a device: run the checks of the catalogue's entries, each on a target of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from ..driver import DriverError
from ..trace import Target
from ..wire.profile import Profile
from .catalogue import Entry, catalogue
from .check import checks
from .decode import decoded
from .driving.rig import Rig
from .verdict import Failed, NotApplicable, NotObservable, Outcome, Report, Verdict, result

MakeTarget = Callable[[], Target]

_STEPS = 24
"""How many of the last exchanges a failure shows."""


def run_check(check_id: str, make: MakeTarget, profile: Profile) -> Outcome:
    """Run one check on a target that ``make`` gives; whatever the target does, there is an outcome."""
    run = checks()[check_id].run
    try:
        rig = Rig(make(), profile)
    except Exception as error:
        return Outcome(check_id, Verdict.FAIL, f"the target could not be made: {_said(error)}")
    try:
        run(rig)
    except NotApplicable as reason:
        return Outcome(check_id, Verdict.NOT_APPLICABLE, str(reason))
    except NotObservable as reason:
        return Outcome(check_id, Verdict.NOT_OBSERVABLE, str(reason))
    except Failed as failed:
        steps = decoded(rig.steps[-_STEPS:], profile, rig.port.features)
        return Outcome(check_id, Verdict.FAIL, failed.what, failed.expected, failed.got, steps)
    except DriverError as error:
        steps = decoded(rig.steps[-_STEPS:], profile, rig.port.features)
        return Outcome(check_id, Verdict.FAIL, "bringing the device up", "a command that succeeds", str(error), steps)
    except Exception as error:  # the target is anybody's
        steps = decoded(rig.steps[-_STEPS:], profile, rig.port.features)
        return Outcome(check_id, Verdict.FAIL, "driving the device", "an answer", _said(error), steps)
    return Outcome(check_id, Verdict.PASS)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def judge_device(
    make: MakeTarget,
    profile: Profile,
    subject: str,
    *,
    only: Collection[str] = (),
    progress: Callable[[Entry], None] | None = None,
) -> Report:
    """The verdict on every device entry; ``only`` takes entries whose id, or one of whose checks, is in it."""
    chosen: Iterable[Entry] = catalogue().entries("device", profile)
    if only:
        chosen = [entry for entry in chosen if entry.id in only or set(entry.checks) & set(only)]
    outcomes: dict[str, Outcome] = {}
    results = []
    for entry in chosen:
        if progress is not None:
            progress(entry)
        for check_id in entry.checks:
            if check_id not in outcomes:
                outcomes[check_id] = run_check(check_id, make, profile)
        results.append(result(entry, [outcomes[check_id] for check_id in entry.checks]))
    return Report(subject, "device", profile, tuple(results))
