"""The model passes what is said of rings, and of what lies above them, behind rings of both formats."""

from __future__ import annotations

import pytest

from virtionet_ipsec.conformance.catalogue import catalogue
from virtionet_ipsec.conformance.judge_device import judge_device
from virtionet_ipsec.conformance.target import find_target
from virtionet_ipsec.conformance.verdict import Verdict
from virtionet_ipsec.wire.profile import Profile

AREAS = ("split", "packed", "vqreset", "reserved", "status", "reset", "avq", "ff", "steering", "rss")
WITH_ALL = {"split.dev.flags-zero", "packed.dev.skips", "vqreset.dev.default-state", "rss.dev.queue-in-reset"}


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("target", ["model", "rings:split", "rings:packed"])
def test_passes(target: str, profile: Profile) -> None:
    names = {entry.id for entry in catalogue() if entry.role == "device" and entry.id.split(".")[0] in AREAS}
    report = judge_device(find_target(target, profile), profile, target, only=names)
    assert [(result.entry.id, result.why) for result in report.failures] == []
    assert {result.entry.id for result in report.results if result.verdict is Verdict.PASS} >= WITH_ALL
