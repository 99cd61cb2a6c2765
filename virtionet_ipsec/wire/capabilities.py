"""Capabilities: what goes through DEVICE_CAP_GET and DRIVER_CAP_SET.

virtio 1.4, 5.1.9.6.2 (flow filter) and 5.9.9.9.1 (IPsec, also for the network
device), both "Device and driver capabilities".
"""

from __future__ import annotations

from typing import Any

from construct import Struct

from .fields import counted, le32, le64, length_of, octets, u8
from .flow_filter import FfSelector
from .profile import Profile

FfResourceCap = Struct(
    "groups_limit" / le32,
    "classifiers_limit" / le32,
    "rules_limit" / le32,
    "rules_per_group_limit" / le32,
    "last_rule_priority" / u8,
    "selectors_per_classifier_limit" / u8,
    "reserved" / octets(2),
)
"""struct virtio_net_ff_cap_data: limits of the flow filter, 20 octets."""

FfSelectorCap = Struct(
    "count" / length_of("selectors"),
    "reserved" / octets(7),
    "selectors" / counted("count", FfSelector),
)
"""struct virtio_net_ff_cap_mask_data: the selectors that can be used, ordered by type, and what of each header."""

FfActionCap = Struct(
    "count" / length_of("actions"),
    "reserved" / octets(7),
    "actions" / counted("count", u8),
)
"""struct virtio_net_ff_actions: the actions that a rule can have, in ascending order."""

IpsecResourceCap = Struct(
    "inb_sa_limit" / le32,
    "outb_sa_limit" / le32,
)
"""struct virtio_crypto_ipsec_resource_cap: how many SAs there can be; inbound comes first."""


def _mode_cap(profile: Profile) -> Any:
    added = ("reserved1" / le32,) if profile is Profile.VIRTIO_1_4 else ()
    return Struct(
        "mode" / u8,
        "reserved" / octets(3),
        "max_replay_win_sz" / le32,
        "options" / le32,
        *added,
        "cipher_algo" / le64,
        "hmac_algo" / le64,
        "aead_algo" / le32,
        "max_cipher_key_len" / le32,
        "max_auth_key_len" / le32,
    )


_MODE_CAP = {profile: _mode_cap(profile) for profile in Profile}
_SA_CAP = {
    profile: Struct(
        "count" / length_of("cap_mode"),
        "reserved" / octets(7),
        "cap_mode" / counted("count", _MODE_CAP[profile]),
    )
    for profile in Profile
}


def ipsec_mode_cap(profile: Profile) -> Any:
    """struct virtio_crypto_ipsec_mode_cap: what one IPsec mode can do, 44 octets (rfc-v1: 40).

    Bit n of the algorithm masks stands for the algorithm with the id n; key lengths are in octets.
    """
    return _MODE_CAP[profile]


def ipsec_sa_cap(profile: Profile) -> Any:
    """struct virtio_crypto_ipsec_sa_cap_data: an entry for each IPsec mode.

    rfc-v1 calls the array ``mode``; here it has virtio 1.4's name for both.
    """
    return _SA_CAP[profile]
