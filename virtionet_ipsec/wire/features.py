"""Which features need which (virtio 1.4, 5.1.3.1 Feature bit requirements)."""

from __future__ import annotations

from .enums import Feature

F = Feature

FEATURE_REQUIREMENTS: dict[Feature, tuple[tuple[Feature, ...], ...]] = {
    F.GUEST_TSO4: ((F.GUEST_CSUM,),),
    F.GUEST_TSO6: ((F.GUEST_CSUM,),),
    F.GUEST_ECN: ((F.GUEST_TSO4, F.GUEST_TSO6),),
    F.GUEST_UFO: ((F.GUEST_CSUM,),),
    F.GUEST_USO4: ((F.GUEST_CSUM,),),
    F.GUEST_USO6: ((F.GUEST_CSUM,),),
    F.GUEST_UDP_TUNNEL_GSO: ((F.GUEST_TSO4,), (F.GUEST_TSO6,), (F.GUEST_USO4,), (F.GUEST_USO6,)),
    F.GUEST_UDP_TUNNEL_GSO_CSUM: ((F.GUEST_UDP_TUNNEL_GSO,),),
    F.HOST_TSO4: ((F.CSUM,),),
    F.HOST_TSO6: ((F.CSUM,),),
    F.HOST_ECN: ((F.HOST_TSO4, F.HOST_TSO6),),
    F.HOST_UFO: ((F.CSUM,),),
    F.HOST_USO: ((F.CSUM,),),
    F.HOST_UDP_TUNNEL_GSO: ((F.HOST_TSO4,), (F.HOST_TSO6,), (F.HOST_USO,)),
    F.HOST_UDP_TUNNEL_GSO_CSUM: ((F.HOST_UDP_TUNNEL_GSO,),),
    F.CTRL_RX: ((F.CTRL_VQ,),),
    F.CTRL_VLAN: ((F.CTRL_VQ,),),
    F.GUEST_ANNOUNCE: ((F.CTRL_VQ,),),
    F.MQ: ((F.CTRL_VQ,),),
    F.CTRL_MAC_ADDR: ((F.CTRL_VQ,),),
    F.NOTF_COAL: ((F.CTRL_VQ,),),
    F.RSC_EXT: ((F.HOST_TSO4, F.HOST_TSO6),),
    F.RSS: ((F.CTRL_VQ,),),
    F.VQ_NOTF_COAL: ((F.CTRL_VQ,),),
    F.HASH_TUNNEL: ((F.CTRL_VQ,), (F.RSS, F.HASH_REPORT)),
    F.RSS_CONTEXT: ((F.CTRL_VQ,), (F.RSS,)),
}
"""For each feature all that it requires; one of each inner tuple is enough.  In the order of the section."""

GUEST_SEGMENTATION = (F.GUEST_TSO4, F.GUEST_TSO6, F.GUEST_UFO, F.GUEST_USO4, F.GUEST_USO6)
"""With any of these the device may pass packets larger than a frame (5.1.9.3 Setting Up Receive Buffers)."""

HOST_SEGMENTATION = (F.HOST_TSO4, F.HOST_TSO6, F.HOST_USO, F.HOST_UFO)
"""With any of these the driver may have the device segment packets (5.1.9.2 Packet Transmission)."""

_DEVICE_INDEPENDENT = range(24, 44)  # virtio 1.4, 6 Reserved Feature Bits


def feature_name(feature: Feature) -> str:
    """The specification's whole name: VIRTIO_NET_F_CSUM, VIRTIO_F_VERSION_1."""
    return f"{'VIRTIO_F_' if feature in _DEVICE_INDEPENDENT else 'VIRTIO_NET_F_'}{feature.name}"


def unmet_requirements(features: int) -> list[tuple[Feature, tuple[Feature, ...]]]:
    """What is missing in ``features`` (a bit for each): a feature among them, and those of which it requires one."""
    return [
        (feature, any_of)
        for feature, all_of in FEATURE_REQUIREMENTS.items()
        if features >> feature & 1
        for any_of in all_of
        if not any(features >> each & 1 for each in any_of)
    ]


def requirement(feature: Feature, any_of: tuple[Feature, ...]) -> str:
    """In words: "VIRTIO_NET_F_GUEST_ECN requires VIRTIO_NET_F_GUEST_TSO4 or VIRTIO_NET_F_GUEST_TSO6"."""
    return f"{feature_name(feature)} requires {' or '.join(feature_name(each) for each in any_of)}"


def missing_requirements(features: int) -> list[str]:
    """What is missing in ``features``, a sentence each; empty when nothing is."""
    return [requirement(*unmet) for unmet in unmet_requirements(features)]
