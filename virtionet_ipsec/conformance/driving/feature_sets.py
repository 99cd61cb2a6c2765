"""Sets of features to negotiate: what works with all that is offered has to work with less."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress

from ...driver.errors import NegotiationError
from ...wire.enums import Feature
from ...wire.features import feature_name
from .rig import Rig

# Without these a device MAY fail to operate (virtio 1.4, 6).
_KEPT = frozenset({Feature.VERSION_1, Feature.ACCESS_PLATFORM, Feature.ORDER_PLATFORM})


def left_out(rig: Rig, *needed: Feature) -> Iterator[tuple[str, tuple[Feature, ...]]]:
    """What to leave out, in words and as features: nothing, all but ``needed``, each other one in turn.

    A set that the device does not accept is passed over: that it should is an entry of its own (2.2).
    """
    rig.negotiate()
    kept = _KEPT | set(needed)
    others = tuple(each for each in Feature if rig.driver.negotiated >> each & 1 and each not in kept)
    sets: list[tuple[str, Collection[Feature]]] = [("all features", ())]
    sets.append((f"none but {' and '.join(feature_name(each) for each in needed)}", others))
    sets += [(f"all but {feature_name(each)}", (each,)) for each in others]
    for said, features in sets:
        with suppress(NegotiationError):
            rig.negotiate(without=features)
            yield said, tuple(features)
