"""The suite fails every one-fault device on the entry that the fault breaks, and passes the right one beside it."""

from __future__ import annotations

import pytest

from virtionet_ipsec.conformance.verdict import Verdict

from . import devices  # noqa: F401 (enters them)
from .judged import of_device
from .mutant import DEVICES, Mutant


@pytest.mark.parametrize("mutant", DEVICES, ids=str)
def test_caught(mutant: Mutant) -> None:
    right, wrong = of_device(mutant, mutant.right), of_device(mutant, mutant.kind)
    assert right.verdict is Verdict.PASS, right
    assert wrong.verdict is Verdict.FAIL, wrong
    (failed, *_) = [outcome for outcome in wrong.outcomes if outcome.verdict is Verdict.FAIL]
    assert failed.expected and failed.got and failed.why not in ("driving the device", "the target could not be made")
