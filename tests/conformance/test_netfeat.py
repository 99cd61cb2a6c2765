"""The suite's own table of feature requirements is the one that the model goes by."""

from __future__ import annotations

from virtionet_ipsec.conformance.checks.netfeat import REQUIRED
from virtionet_ipsec.wire.features import FEATURE_REQUIREMENTS


def test_the_two_tables_are_one() -> None:
    assert list(REQUIRED.items()) == list(FEATURE_REQUIREMENTS.items())
