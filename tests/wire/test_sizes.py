"""Sizes and offsets, as literals out of the specification's structures."""

from __future__ import annotations

from typing import Any

import pytest

from virtionet_ipsec.wire import Profile
from virtionet_ipsec.wire import structs as s

V1_4, RFC = Profile.VIRTIO_1_4, Profile.RFC_V1


def offsets(structure: Any) -> dict[str, int]:
    """Offset of each field of a structure of fixed size."""
    at = 0
    found = {}
    for field in structure.subcons:
        found[field.name] = at
        at += field.sizeof()
    return found


@pytest.mark.parametrize(
    ("structure", "size"),
    [
        (s.AdminCmdHdr, 24),
        (s.AdminCmdResult, 8),
        (s.CapGetData, 8),
        (s.CapSetData, 8),
        (s.ResourceObjHdr, 8),
        (s.ResourceObjFlags, 8),
        (s.ResourceObjCreateData, 16),
        (s.ResourceModifyData, 16),
        (s.ResourceObjQueryData, 16),
        (s.FfResourceCap, 20),
        (s.FfGroup, 2),
        (s.IpsecResourceCap, 8),
        (s.ipsec_mode_cap(V1_4), 44),
        (s.ipsec_mode_cap(RFC), 40),
        (s.tunnel_ipv4(V1_4), 12),
        (s.tunnel_ipv4(RFC), 11),
        (s.tunnel_ipv6(V1_4), 40),
        (s.tunnel_ipv6(RFC), 38),
        (s.Lifetime, 32),
        (s.ipsec_sa(V1_4), 196),
        (s.ipsec_sa(RFC), 166),
        (s.NetConfig, 28),
        (s.IpsecResourceHdr, 6),
        (s.CryptoOpHeader, 24),
        (s.CryptoIpsecDataFlf, 8),
        (s.CryptoOpDataReq, 32),
        (s.CryptoInhdr, 1),
        (s.CtrlHdr, 2),
        (s.VlanId, 2),
        (s.MqPairsSet, 2),
    ],
)
def test_size(structure: Any, size: int) -> None:
    assert structure.sizeof() == size


@pytest.mark.parametrize(
    ("structure", "expected"),
    [
        (s.AdminCmdHdr, {"opcode": 0, "group_type": 2, "reserved1": 4, "group_member_id": 16}),
        (s.AdminCmdResult, {"status": 0, "status_qualifier": 2, "reserved2": 4}),
        (s.CapGetData, {"id": 0, "reserved": 2}),
        (s.CapSetData, {"id": 0, "reserved": 2}),
        (s.ResourceObjHdr, {"type": 0, "reserved": 2, "id": 4}),
        (s.ResourceObjCreateData, {"hdr": 0, "flags": 8}),
        (
            s.FfResourceCap,
            {
                "groups_limit": 0,
                "classifiers_limit": 4,
                "rules_limit": 8,
                "rules_per_group_limit": 12,
                "last_rule_priority": 16,
                "selectors_per_classifier_limit": 17,
                "reserved": 18,
            },
        ),
        (s.IpsecResourceCap, {"inb_sa_limit": 0, "outb_sa_limit": 4}),
        (
            s.ipsec_mode_cap(V1_4),
            {
                "mode": 0,
                "reserved": 1,
                "max_replay_win_sz": 4,
                "options": 8,
                "reserved1": 12,
                "cipher_algo": 16,
                "hmac_algo": 24,
                "aead_algo": 32,
                "max_cipher_key_len": 36,
                "max_auth_key_len": 40,
            },
        ),
        (
            s.ipsec_mode_cap(RFC),
            {
                "mode": 0,
                "reserved": 1,
                "max_replay_win_sz": 4,
                "options": 8,
                "cipher_algo": 12,
                "hmac_algo": 20,
                "aead_algo": 28,
                "max_cipher_key_len": 32,
                "max_auth_key_len": 36,
            },
        ),
        (s.tunnel_ipv4(V1_4), {"src_ip": 0, "dst_ip": 4, "dscp": 8, "df": 9, "ttl": 10, "reserved1": 11}),
        (s.tunnel_ipv4(RFC), {"src_ip": 0, "dst_ip": 4, "dscp": 8, "df": 9, "ttl": 10}),
        (
            s.tunnel_ipv6(V1_4),
            {"src_addr": 0, "dst_addr": 16, "flabel": 32, "hlimit": 36, "dscp": 37, "reserved2": 38},
        ),
        (s.tunnel_ipv6(RFC), {"src_addr": 0, "dst_addr": 16, "flabel": 32, "hlimit": 36, "dscp": 37}),
        (
            s.ipsec_sa(V1_4),
            {
                "mode": 0,
                "direction": 1,
                "reserved": 2,
                "obj_id": 4,
                "spi": 8,
                "salt": 12,
                "options": 16,
                "param": 24,
                "udp_sport": 68,
                "udp_dport": 70,
                "replay_win_sz": 72,
                "cipher_algo": 76,
                "cipher_key": 84,
                "auth_algo": 120,
                "auth_key": 128,
                "life": 164,
            },
        ),
        (
            s.ipsec_sa(RFC),
            {
                "mode": 0,
                "direction": 1,
                "reserved": 2,
                "obj_id": 4,
                "spi": 8,
                "salt": 12,
                "options": 16,
                "param": 24,
                "esn": 66,
                "udp_sport": 74,
                "udp_dport": 76,
                "replay_win_sz": 78,
                "cipher_algo": 82,
                "cipher_key": 90,
                "auth_algo": 124,
                "auth_key": 132,
            },
        ),
        (s.ipsec_sa(V1_4).param, {"type": 0, "reserved": 1, "header": 4}),
        (s.ipsec_sa(RFC).param, {"type": 0, "reserved": 1, "header": 4}),
        (s.ipsec_sa(V1_4).cipher_key, {"length": 0, "reserved1": 2, "data": 4}),
        (s.ipsec_sa(V1_4).auth_key, {"length": 0, "reserved2": 2, "data": 4}),
        (s.ipsec_sa(RFC).cipher_key, {"length": 0, "data": 2}),
        (s.ipsec_sa(RFC).auth_key, {"length": 0, "data": 2}),
        (
            s.NetConfig,
            {
                "mac": 0,
                "status": 6,
                "max_virtqueue_pairs": 8,
                "mtu": 10,
                "speed": 12,
                "duplex": 16,
                "rss_max_key_size": 17,
                "rss_max_indirection_table_length": 18,
                "supported_hash_types": 20,
                "supported_tunnel_types": 24,
            },
        ),
        (s.CryptoOpHeader, {"opcode": 0, "algo": 4, "session_id": 8, "flag": 16, "padding": 20}),
        (s.CryptoOpDataReq, {"header": 0, "op_flf": 24}),
        (s.CryptoIpsecDataFlf, {"src_data_len": 0, "dst_data_len": 4}),
    ],
)
def test_offsets(structure: Any, expected: dict[str, int]) -> None:
    if not hasattr(structure, "subcons"):  # a nested structure, under its name
        structure = structure.subcon
    assert offsets(structure) == expected
