"""The network device's configuration space and packet header, declared.

The data path reads and writes the header with :mod:`.net_hdr`.
"""

from __future__ import annotations

from typing import Any

from construct import Struct

from .enums import Feature
from .fields import le16, le32, octets, u8
from .profile import Profile

NetConfig = Struct(
    "mac" / octets(6),
    "status" / le16,
    "max_virtqueue_pairs" / le16,
    "mtu" / le16,
    "speed" / le32,
    "duplex" / u8,
    "rss_max_key_size" / u8,
    "rss_max_indirection_table_length" / le16,
    "supported_hash_types" / le32,
    "supported_tunnel_types" / le32,
)
"""struct virtio_net_config, 28 octets (virtio 1.4, 5.1.4 Device configuration layout).

A field without its feature is not valid, but keeps its place.  ``mac`` is in
transmission order, ``mtu`` in octets, ``speed`` in Mbit/s.
"""

IpsecResourceHdr = Struct(
    "resource_id" / le32,
    "resource_type" / le16,
)
"""struct ipsec_resource_hdr, 6 octets (virtio 1.4, 5.1.9 Device Operation)."""


def net_hdr(profile: Profile, features: int) -> Any:
    """struct virtio_net_hdr as it is with these negotiated features (virtio 1.4, 5.1.9 Device Operation).

    In virtio 1.4 the header ends after the last field that a negotiated feature
    asks for, and every field up to there is present (5.1.9.3.1 Driver
    Requirements: Setting Up Receive Buffers): 12, 20, 24 or 32 octets.  In
    rfc-v1 an absent field takes no room (decision D21): 12, 18, 20 or 26.
    """

    def negotiated(*any_of: Feature) -> bool:
        return any(features >> feature & 1 for feature in any_of)

    ipsec = negotiated(Feature.IPSEC)
    hash_report = negotiated(Feature.HASH_REPORT)
    if profile is Profile.VIRTIO_1_4:
        union = ipsec or negotiated(Feature.OUT_NET_HEADER)
        tunnel = union or negotiated(Feature.HOST_UDP_TUNNEL_GSO, Feature.GUEST_UDP_TUNNEL_GSO)
        hash_report = hash_report or tunnel
    else:
        union = ipsec
        tunnel = False

    fields = [
        "flags" / u8,
        "gso_type" / u8,
        "hdr_len" / le16,
        "gso_size" / le16,
        "csum_start" / le16,
        "csum_offset" / le16,
        "num_buffers" / le16,
    ]
    if hash_report:
        fields += ["hash_value" / le32, "hash_report" / le16, "padding_reserved" / le16]
    if tunnel:
        fields += ["outer_th_offset" / le16, "inner_nh_offset" / le16]
    if union and profile is Profile.VIRTIO_1_4:
        fields += ["outer_nh_offset" / le16]
    if union:
        fields += ["ipsec_resource_hdr" / IpsecResourceHdr] if ipsec else ["padding_reserved_2" / octets(6)]
    return Struct(*fields)
