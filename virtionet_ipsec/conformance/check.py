"""Checks: small programs that drive a device and raise :class:`Failed` where it is wrong.

    @check
    def invalid_group(rig: Rig) -> None:
        \"""A command for a group type that does not exist gets EINVAL, INVALID_GROUP.\"""

in ``checks/admin/`` is the check ``admin.invalid-group``.  A check returns
when the device does what it should; it raises :class:`Failed`, or
:class:`NotApplicable` or :class:`NotObservable` with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .driving.rig import Rig

Run = Callable[[Rig], None]


@dataclass(frozen=True, slots=True)
class Check:
    """``id``, what it does in one sentence, and the program."""

    id: str
    sentence: str
    run: Run


REGISTRY: dict[str, Check] = {}


def check(run: Run) -> Run:
    """Enter a check under its area's and its own name; the area is the module of ``checks``, or the package there."""
    area = run.__module__.partition(".checks.")[2].partition(".")[0]
    add(f"{area}.{run.__name__.replace('_', '-')}", run.__doc__ or "", run)
    return run


def add(check_id: str, sentence: str, run: Run) -> None:
    """Enter a check that is one of a family."""
    if check_id in REGISTRY:
        raise ValueError(f"there are two checks {check_id}")
    REGISTRY[check_id] = Check(check_id, " ".join(sentence.split()), run)


def checks() -> dict[str, Check]:
    """All checks, by id."""
    from . import checks as every  # noqa: F401 (importing enters them)

    return REGISTRY
