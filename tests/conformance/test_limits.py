"""A right device with little room fails nothing: what does not fit is not applicable."""

from __future__ import annotations

from typing import Any

import pytest

from virtionet_ipsec.conformance.judge_device import judge_device
from virtionet_ipsec.device import Device
from virtionet_ipsec.device.limits import ALL_SELECTORS, Limits
from virtionet_ipsec.wire.enums import Action, SelectorType
from virtionet_ipsec.wire.profile import Profile

SAS = ("inb_sa", "outb_sa")
FLOWS = ("groups", "classifiers", "rules", "rules_per_group")
EVERYTHING = (*SAS, *FLOWS, "last_rule_priority")
SMALL: list[dict[str, Any]] = [
    dict.fromkeys(EVERYTHING, 1),
    dict.fromkeys(EVERYTHING, 3),
    {"selectors_per_classifier": 1},
    dict.fromkeys(FLOWS, 6),  # what it takes to steer IPsec, and no more
    {"actions": frozenset({Action.IPSEC_RECIRCULATE})},
    {"selectors": tuple(each for each in ALL_SELECTORS if each.type in (SelectorType.ETH, SelectorType.IPV4))},
]
CASES = [*((Profile.VIRTIO_1_4, limits) for limits in SMALL), (Profile.RFC_V1, SMALL[1])]


def _named(value: Any) -> str:
    if isinstance(value, Profile):
        return value.value
    return "-".join(f"{name}-{each}" if isinstance(each, int) else name for name, each in value.items())


@pytest.mark.parametrize(("profile", "limits"), CASES, ids=_named)
def test_nothing_fails(profile: Profile, limits: dict[str, Any]) -> None:
    report = judge_device(lambda: Device(profile, limits=Limits(**limits)), profile, "a small device")
    assert [(result.entry.id, result.why) for result in report.failures] == []
