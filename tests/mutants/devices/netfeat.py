"""Devices that offer a feature without one that it requires, or that should stand beside it."""

from __future__ import annotations

from typing import Any

from virtionet_ipsec.conformance.checks.netfeat import REQUIRED
from virtionet_ipsec.device import Device
from virtionet_ipsec.wire.enums import Feature

from ..mutant import breaks


def with_all_that_it_requires(feature: Feature) -> int:
    """``feature``, and the features that it requires, and those that they require."""
    mask = 1 << feature
    for one_of in REQUIRED.get(feature, ()):
        for each in one_of:
            mask |= with_all_that_it_requires(each)
    return mask


def offers_without(feature: Feature, missing: tuple[Feature, ...]) -> None:
    """Enter the device that offers ``feature`` and none of ``missing``, one of which it requires."""
    absent = sum(1 << each for each in missing)

    def init(self: Any, *args: Any, **how: Any) -> None:
        Device.__init__(self, *args, **how)
        self.features &= ~absent

    names = [each.name for each in missing]
    kind = type(
        f"Offers_{feature.name}_without_{'_and_'.join(names)}",
        (Device,),
        {"__init__": init, "__doc__": f"{feature.name} is offered without {' and '.join(names)}."},
    )
    entry = f"netfeat.dev.{feature.name.lower().replace('_', '-')}"
    breaks(entry, features=1 << Feature.VERSION_1 | with_all_that_it_requires(feature))(kind)


@breaks("netfeat.dev.ipsec-out-net-header")
class IpsecWithoutOffset(Device):
    """IPSEC is offered without OUT_NET_HEADER."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.features &= ~(1 << Feature.OUT_NET_HEADER)


for _feature, _all_of in REQUIRED.items():
    for _one_of in _all_of:
        offers_without(_feature, _one_of)
