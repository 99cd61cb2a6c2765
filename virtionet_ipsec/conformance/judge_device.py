"""Judging a device: run the checks of the catalogue's entries, each on a target of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from ..driver import AdminError, NegotiationError
from ..trace import MakeTarget, TargetFailed, said
from ..virtqueue.transport import Unobservable
from ..wire.enums import AdminStatus, Opcode
from ..wire.profile import Profile
from .catalogue import Entry, catalogue
from .check import checks
from .decode import decoded
from .driving.rig import Rig
from .verdict import Failed, NotApplicable, NotObservable, Outcome, Report, Verdict, result

BROKEN = "the check broke down"

_STEPS = 24
"""How many of the last exchanges a failure shows."""


def run_check(check_id: str, make: MakeTarget, profile: Profile) -> Outcome:
    """Run one check on a target that ``make`` gives; whatever the target does, there is an outcome."""
    run = checks()[check_id].run
    try:
        rig = Rig(make(), profile)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the target is anybody's
        return Outcome(check_id, Verdict.FAIL, "making the device", "a device", said(error))

    def failed(failure: Failed | TargetFailed | NegotiationError | AdminError) -> Outcome:
        what, expected, got = _told(failure)
        steps = decoded(rig.steps, profile, rig.port.features, last=_STEPS, own=True)
        return Outcome(check_id, Verdict.FAIL, what, expected, got, steps)

    try:
        run(rig)
    except NotApplicable as reason:
        return Outcome(check_id, Verdict.NOT_APPLICABLE, str(reason))
    except (NotObservable, Unobservable) as reason:
        return Outcome(check_id, Verdict.NOT_OBSERVABLE, str(reason))
    except AdminError as failure:
        if failure.opcode == Opcode.RESOURCE_OBJ_CREATE and failure.status == AdminStatus.ENOSPC:
            # It may be full below its limits (2.12.1.3), which is for the checks of that to judge.
            return Outcome(check_id, Verdict.NOT_OBSERVABLE, f"the device has no room for what this takes ({failure})")
        return failed(failure)
    except (Failed, TargetFailed, NegotiationError) as failure:
        return failed(failure)
    except Exception as error:  # no device is to blame for a mistake of ours
        return Outcome(check_id, Verdict.NOT_OBSERVABLE, f"{BROKEN}, please report it ({said(error)})")
    return Outcome(check_id, Verdict.PASS)


def _told(failure: Failed | TargetFailed | NegotiationError | AdminError) -> tuple[str, str, str]:
    """What was looked at, what was expected, what came."""
    match failure:
        case Failed():
            return failure.what, failure.expected, failure.got
        case TargetFailed():
            return "driving the device", "an answer", str(failure)
        case NegotiationError():
            return "bringing the device up", "features that are accepted", str(failure)
    return "a command that has to succeed", "OK", str(failure)


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
