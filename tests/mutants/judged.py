"""What the suite and the monitor say of a mutant's entry, and of the right implementation beside it."""

from __future__ import annotations

import functools
from typing import Any

from virtionet_ipsec.conformance.judge_device import judge_device
from virtionet_ipsec.conformance.verdict import Result
from virtionet_ipsec.device import Device

from .mutant import Mutant
from .session import ReferenceDriver, watched_session


def of_device(mutant: Mutant, kind: type[Device]) -> Result:
    """The mutant's entry, judged on a device of this kind made as the mutant is."""
    make = functools.partial(kind, mutant.profile, **mutant.how)
    (result,) = judge_device(make, mutant.profile, "a mutant", only={mutant.entry}).results
    return result


def of_driver(mutant: Mutant, kind: type[ReferenceDriver]) -> tuple[Result, list[Any]]:
    """The mutant's entry, judged on a session of a driver of this kind; and all that this driver violated."""
    monitor = watched_session(kind, mutant.profile, **mutant.how)
    (result,) = monitor.report("a session", only={mutant.entry}).results
    return result, monitor.violations
