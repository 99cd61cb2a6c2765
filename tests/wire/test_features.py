"""Feature bit requirements, against the sentences of virtio 1.4, 5.1.3.1."""

from __future__ import annotations

import re

import pytest

from virtionet_ipsec.wire import Feature
from virtionet_ipsec.wire.features import (
    FEATURE_REQUIREMENTS,
    feature_name,
    missing_requirements,
    unmet_requirements,
)

SECTION = """
GUEST_TSO4 Requires GUEST_CSUM.
GUEST_TSO6 Requires GUEST_CSUM.
GUEST_ECN Requires GUEST_TSO4 or GUEST_TSO6.
GUEST_UFO Requires GUEST_CSUM.
GUEST_USO4 Requires GUEST_CSUM.
GUEST_USO6 Requires GUEST_CSUM.
GUEST_UDP_TUNNEL_GSO Requires GUEST_TSO4, GUEST_TSO6, GUEST_USO4 and GUEST_USO6.
GUEST_UDP_TUNNEL_GSO_CSUM Requires GUEST_UDP_TUNNEL_GSO
HOST_TSO4 Requires CSUM.
HOST_TSO6 Requires CSUM.
HOST_ECN Requires HOST_TSO4 or HOST_TSO6.
HOST_UFO Requires CSUM.
HOST_USO Requires CSUM.
HOST_UDP_TUNNEL_GSO Requires HOST_TSO4, HOST_TSO6 and HOST_USO.
HOST_UDP_TUNNEL_GSO_CSUM Requires HOST_UDP_TUNNEL_GSO
CTRL_RX Requires CTRL_VQ.
CTRL_VLAN Requires CTRL_VQ.
GUEST_ANNOUNCE Requires CTRL_VQ.
MQ Requires CTRL_VQ.
CTRL_MAC_ADDR Requires CTRL_VQ.
NOTF_COAL Requires CTRL_VQ.
RSC_EXT Requires HOST_TSO4 or HOST_TSO6.
RSS Requires CTRL_VQ.
VQ_NOTF_COAL Requires CTRL_VQ.
HASH_TUNNEL Requires CTRL_VQ along with RSS or HASH_REPORT.
RSS_CONTEXT Requires CTRL_VQ and RSS.
"""


def clauses(sentence: str) -> set[frozenset[str]]:
    all_of = re.split(r", | and | along with ", sentence.rstrip("."))
    return {frozenset(any_of.split(" or ")) for any_of in all_of}


def test_table_is_the_section() -> None:
    table = {
        feature.name: {frozenset(each.name for each in any_of) for any_of in all_of}
        for feature, all_of in FEATURE_REQUIREMENTS.items()
    }
    lines = [line.split(" Requires ") for line in SECTION.strip().splitlines()]
    assert table == {feature: clauses(sentence) for feature, sentence in lines}
    assert list(table) == [feature for feature, _ in lines]


def bits(*features: Feature) -> int:
    return sum(1 << feature for feature in features)


@pytest.mark.parametrize(
    ("features", "missing"),
    [
        ((), []),
        ((Feature.IPSEC, Feature.VERSION_1), []),
        ((Feature.HOST_TSO4,), ["VIRTIO_NET_F_HOST_TSO4 requires VIRTIO_NET_F_CSUM"]),
        ((Feature.HOST_TSO4, Feature.CSUM), []),
        ((Feature.HOST_TSO6, Feature.HOST_ECN, Feature.CSUM), []),
        ((Feature.HOST_ECN,), ["VIRTIO_NET_F_HOST_ECN requires VIRTIO_NET_F_HOST_TSO4 or VIRTIO_NET_F_HOST_TSO6"]),
        (
            (Feature.RSS_CONTEXT,),
            [
                "VIRTIO_NET_F_RSS_CONTEXT requires VIRTIO_NET_F_CTRL_VQ",
                "VIRTIO_NET_F_RSS_CONTEXT requires VIRTIO_NET_F_RSS",
            ],
        ),
        (
            (Feature.HASH_TUNNEL, Feature.CTRL_VQ),
            ["VIRTIO_NET_F_HASH_TUNNEL requires VIRTIO_NET_F_RSS or VIRTIO_NET_F_HASH_REPORT"],
        ),
        ((Feature.HASH_TUNNEL, Feature.CTRL_VQ, Feature.HASH_REPORT), []),
        (
            (Feature.HOST_UDP_TUNNEL_GSO, Feature.CSUM, Feature.HOST_TSO4, Feature.HOST_TSO6),
            ["VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO requires VIRTIO_NET_F_HOST_USO"],
        ),
    ],
)
def test_missing(features: tuple[Feature, ...], missing: list[str]) -> None:
    assert missing_requirements(bits(*features)) == missing


def test_what_is_missing_as_features() -> None:
    features = bits(Feature.HOST_ECN, Feature.HOST_TSO6)
    assert unmet_requirements(features) == [(Feature.HOST_TSO6, (Feature.CSUM,))]


def test_everything_together_is_fine() -> None:
    assert missing_requirements(bits(*Feature)) == []


def test_each_requirement_is_seen_when_it_alone_is_missing() -> None:
    everything = bits(*Feature)
    for feature, all_of in FEATURE_REQUIREMENTS.items():
        for any_of in all_of:
            sentences = missing_requirements(everything & ~bits(*any_of))
            assert any(each.startswith(f"{feature_name(feature)} requires ") for each in sentences)


def test_names() -> None:
    assert feature_name(Feature.IPSEC) == "VIRTIO_NET_F_IPSEC"
    assert feature_name(Feature.VERSION_1) == "VIRTIO_F_VERSION_1"
    assert feature_name(Feature.ADMIN_VQ) == "VIRTIO_F_ADMIN_VQ"
    assert feature_name(Feature.CTRL_MAC_ADDR) == "VIRTIO_NET_F_CTRL_MAC_ADDR"
