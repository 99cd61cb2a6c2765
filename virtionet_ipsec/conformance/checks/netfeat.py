"""Feature bit requirements, virtio 1.4: a check for each line of 5.1.3.1, and one for the SHOULD of 5.1.3.

The table is written down here once more, so that what a device offers is not
held against the table that the model goes by; a test holds the two against
each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from ...wire.enums import Feature
from ...wire.features import feature_name
from ...wire.profile import Profile
from ..check import add, check
from ..driving.rig import Rig
from ..verdict import NotApplicable

_TSO = (Feature.HOST_TSO4, Feature.HOST_TSO6)
_CTRL_VQ = (Feature.CTRL_VQ,)
_CSUM = (Feature.CSUM,)
_GUEST_CSUM = (Feature.GUEST_CSUM,)

REQUIRED: dict[Feature, tuple[tuple[Feature, ...], ...]] = {
    Feature.GUEST_TSO4: (_GUEST_CSUM,),
    Feature.GUEST_TSO6: (_GUEST_CSUM,),
    Feature.GUEST_ECN: ((Feature.GUEST_TSO4, Feature.GUEST_TSO6),),
    Feature.GUEST_UFO: (_GUEST_CSUM,),
    Feature.GUEST_USO4: (_GUEST_CSUM,),
    Feature.GUEST_USO6: (_GUEST_CSUM,),
    Feature.GUEST_UDP_TUNNEL_GSO: (
        (Feature.GUEST_TSO4,),
        (Feature.GUEST_TSO6,),
        (Feature.GUEST_USO4,),
        (Feature.GUEST_USO6,),
    ),
    Feature.GUEST_UDP_TUNNEL_GSO_CSUM: ((Feature.GUEST_UDP_TUNNEL_GSO,),),
    Feature.HOST_TSO4: (_CSUM,),
    Feature.HOST_TSO6: (_CSUM,),
    Feature.HOST_ECN: (_TSO,),
    Feature.HOST_UFO: (_CSUM,),
    Feature.HOST_USO: (_CSUM,),
    Feature.HOST_UDP_TUNNEL_GSO: ((Feature.HOST_TSO4,), (Feature.HOST_TSO6,), (Feature.HOST_USO,)),
    Feature.HOST_UDP_TUNNEL_GSO_CSUM: ((Feature.HOST_UDP_TUNNEL_GSO,),),
    Feature.CTRL_RX: (_CTRL_VQ,),
    Feature.CTRL_VLAN: (_CTRL_VQ,),
    Feature.GUEST_ANNOUNCE: (_CTRL_VQ,),
    Feature.MQ: (_CTRL_VQ,),
    Feature.CTRL_MAC_ADDR: (_CTRL_VQ,),
    Feature.NOTF_COAL: (_CTRL_VQ,),
    Feature.RSC_EXT: (_TSO,),
    Feature.RSS: (_CTRL_VQ,),
    Feature.VQ_NOTF_COAL: (_CTRL_VQ,),
    Feature.HASH_TUNNEL: (_CTRL_VQ, (Feature.RSS, Feature.HASH_REPORT)),
    Feature.RSS_CONTEXT: (_CTRL_VQ, (Feature.RSS,)),
}
"""For each feature all that the section requires beside it; one of each inner tuple is enough."""


def _names(features: Iterable[Feature], word: str) -> str:
    return f" {word} ".join(feature_name(feature) for feature in features)


def _offered_with_all(feature: Feature, rig: Rig) -> None:
    rig.needs(feature)
    for one_of in REQUIRED[feature]:
        rig.expect(
            any(rig.offers(each) for each in one_of),
            f"what is offered beside {feature_name(feature)}",
            _names(one_of, "or"),
            "none of them" if len(one_of) > 1 else "not offered",
        )


def _enter(feature: Feature, all_of: tuple[tuple[Feature, ...], ...]) -> None:
    required = " and ".join(_names(one_of, "or") for one_of in all_of)
    slug = feature.name.lower().replace("_", "-")
    add(
        f"netfeat.{slug}",
        f"{feature_name(feature)} is not offered without {required}.",
        partial(_offered_with_all, feature),
    )


for _feature, _all_of in REQUIRED.items():
    _enter(_feature, _all_of)


@check
def ipsec_out_net_header(rig: Rig) -> None:
    """VIRTIO_NET_F_IPSEC is offered together with VIRTIO_NET_F_OUT_NET_HEADER."""
    if rig.profile is Profile.RFC_V1:
        raise NotApplicable("the RFC has no VIRTIO_NET_F_OUT_NET_HEADER")
    rig.needs(Feature.IPSEC)
    beside = rig.offers(Feature.OUT_NET_HEADER)
    rig.expect(beside, "what is offered beside VIRTIO_NET_F_IPSEC", "VIRTIO_NET_F_OUT_NET_HEADER", "not offered")
