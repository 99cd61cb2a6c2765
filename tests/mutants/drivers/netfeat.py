"""Drivers that accept a feature without what it requires (5.1.3.1)."""

from __future__ import annotations

from virtionet_ipsec.wire.enums import Feature
from virtionet_ipsec.wire.features import FEATURE_REQUIREMENTS

from ..meddling import AlmostAll, accepting
from ..mutant import violates


def _mask(features: set[Feature] | tuple[Feature, ...]) -> int:
    return sum(1 << feature for feature in features)


def _with_requirements(feature: Feature) -> set[Feature]:
    """``feature``, and of all that it requires the first that is enough."""
    together = {feature}
    for any_of in FEATURE_REQUIREMENTS.get(feature, ()):
        together |= _with_requirements(any_of[0])
    return together


for _feature, _all_of in FEATURE_REQUIREMENTS.items():
    _offered = _with_requirements(_feature) | {Feature.VERSION_1, Feature.MRG_RXBUF}
    if Feature.HASH_REPORT in _offered:
        _offered.add(Feature.CTRL_VQ)
    _class = type(
        f"Accepts{_feature.name}Alone",
        (AlmostAll,),
        {
            "__doc__": f"Accepts {_feature.name} without {_all_of[-1][0].name}.",
            "port_kind": accepting(less=_mask(_all_of[-1])),
        },
    )
    violates(f"netfeat.drv.{_feature.name.lower().replace('_', '-')}", features=_mask(_offered))(_class)
