"""The SA resource object (virtio 1.4, 5.9.9.9.2 Resource objects).

The network device's IPSEC_OUTB_SA and IPSEC_INB_SA are this same structure.
"""

from __future__ import annotations

from typing import Any

from construct import Default, Int32ub, Struct

from .fields import SecretBytes, le16, le32, le64, octets, room, secret_le32, u8
from .profile import Profile

KEY_SIZE = 32
"""Octets of room for a key (the "256b" of the structure's name), used or not."""

Lifetime = Struct(
    "packets_soft_limit" / le64,
    "bytes_soft_limit" / le64,
    "packets_hard_limit" / le64,
    "bytes_hard_limit" / le64,
)
"""struct virtio_crypto_ipsec_lifetime, virtio 1.4 only."""

In6Addr = Struct("s6_u8" / octets(16))
"""struct in6_addr: the address in network byte order."""


def in_addr(profile: Profile) -> Any:
    """struct in_addr; ``s_addr`` is the address as a number, 0x7f000001 for 127.0.0.1.

    It is written as the le32 that the text says; rfc-v1 has the four octets in
    network byte order (decision D06).
    """
    return Struct("s_addr" / (le32 if profile is Profile.VIRTIO_1_4 else Default(Int32ub, 0)))


def _tunnel_ipv4(profile: Profile) -> Any:
    added = ("reserved1" / u8,) if profile is Profile.VIRTIO_1_4 else ()
    return Struct(
        "src_ip" / in_addr(profile),
        "dst_ip" / in_addr(profile),
        "dscp" / u8,
        "df" / u8,
        "ttl" / u8,
        *added,
    )


def _tunnel_ipv6(profile: Profile) -> Any:
    added = ("reserved2" / octets(2),) if profile is Profile.VIRTIO_1_4 else ()
    return Struct(
        "src_addr" / In6Addr,
        "dst_addr" / In6Addr,
        "flabel" / le32,
        "hlimit" / u8,
        "dscp" / u8,
        *added,
    )


_TUNNEL_IPV4 = {profile: _tunnel_ipv4(profile) for profile in Profile}
_TUNNEL_IPV6 = {profile: _tunnel_ipv6(profile) for profile in Profile}


def tunnel_ipv4(profile: Profile) -> Any:
    """``ipv4`` of the union in virtio_crypto_ipsec_tunnel_param, 12 octets (rfc-v1: 11)."""
    return _TUNNEL_IPV4[profile]


def tunnel_ipv6(profile: Profile) -> Any:
    """``ipv6`` of the union in virtio_crypto_ipsec_tunnel_param, 40 octets (rfc-v1: 38)."""
    return _TUNNEL_IPV6[profile]


def _tunnel_param(profile: Profile) -> Any:
    # ``type`` decides which member of the union holds, and may be anything: the union stays octets here.
    return Struct(
        "type" / u8,
        "reserved" / octets(3),
        "header" / room(_TUNNEL_IPV6[profile].sizeof()),
    )


def _key(reserved: str, profile: Profile) -> Any:
    added = (reserved / le16,) if profile is Profile.VIRTIO_1_4 else ()
    return Struct(
        "length" / le16,
        *added,
        "data" / room(KEY_SIZE, SecretBytes),
    )


def _ipsec_sa(profile: Profile) -> Any:
    v1_4 = profile is Profile.VIRTIO_1_4
    esn = () if v1_4 else ("esn" / le64,)
    life = ("life" / Lifetime,) if v1_4 else ()
    return Struct(
        "mode" / u8,
        "direction" / u8,
        "reserved" / octets(2),
        "obj_id" / le32,
        "spi" / le32,
        "salt" / secret_le32,
        "options" / le64,
        "param" / _tunnel_param(profile),
        *esn,
        "udp_sport" / le16,
        "udp_dport" / le16,
        "replay_win_sz" / le32,
        "cipher_algo" / le64,
        "cipher_key" / _key("reserved1", profile),
        "auth_algo" / le64,
        "auth_key" / _key("reserved2", profile),
        *life,
    )


_IPSEC_SA = {profile: _ipsec_sa(profile) for profile in Profile}


def ipsec_sa(profile: Profile) -> Any:
    """struct virtio_crypto_resource_obj_ipsec_sa_256b_key, 196 octets (rfc-v1: 166).

    ``param.header`` is the union, for :func:`tunnel_ipv4` or
    :func:`tunnel_ipv6` to read.  ``data`` of a key always has 32 octets, of
    which the first ``length`` are the key; ``length`` may be anything.  To build,
    ``header`` and ``data`` may be given shorter.  ``salt`` is read as the le32
    that the text says; its octets as they lie in the structure go in front of
    the IV (decision D07).
    """
    return _IPSEC_SA[profile]
