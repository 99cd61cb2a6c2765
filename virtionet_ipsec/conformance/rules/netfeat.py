"""Feature bit requirements, virtio 1.4, 5.1.3.1: a rule for each of its lines."""

from __future__ import annotations

from functools import partial

from ...device.exchanges import StatusWritten
from ...wire.enums import Feature
from ...wire.features import FEATURE_REQUIREMENTS, feature_name, requirement, unmet_requirements
from ..watching.accepted import accepted, has
from ..watching.rule import Finding, add
from ..watching.view import View


def _with_all(feature: Feature, view: View, written: StatusWritten) -> Finding:
    features = accepted(view, written)
    if features is None or not has(features, feature):
        return None
    return [
        f"{requirement(feature, any_of)}, which the driver did not accept"
        for wanting, any_of in unmet_requirements(features)
        if wanting is feature
    ]


def _words(feature: Feature) -> str:
    return " and ".join(" or ".join(feature_name(each) for each in any_of) for any_of in FEATURE_REQUIREMENTS[feature])


for _feature in FEATURE_REQUIREMENTS:
    add(
        f"driver.netfeat.{_feature.name.lower().replace('_', '-')}",
        f"{feature_name(_feature)} is not accepted without {_words(_feature)}.",
        (StatusWritten,),
        partial(_with_all, _feature),
    )
