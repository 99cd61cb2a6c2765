"""The monitor reports every one-fault driver by the entry that it violates, and the right one beside it by none."""

from __future__ import annotations

import pytest

from virtionet_ipsec.conformance.verdict import Verdict
from virtionet_ipsec.wire.profile import Profile

from . import drivers  # noqa: F401 (enters them)
from .judged import of_driver
from .mutant import DRIVERS, Mutant
from .session import ReferenceDriver, watched_session


@pytest.mark.parametrize("mutant", DRIVERS, ids=str)
def test_caught(mutant: Mutant) -> None:
    right, violations = of_driver(mutant, mutant.right)
    wrong, _ = of_driver(mutant, mutant.kind)
    assert violations == []
    assert right.verdict is Verdict.PASS, right
    assert wrong.verdict is Verdict.FAIL, wrong


@pytest.mark.parametrize("profile", Profile)
def test_the_reference_driver_violates_nothing(profile: Profile) -> None:
    assert watched_session(ReferenceDriver, profile).violations == []
