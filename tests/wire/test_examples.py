"""One example of each structure, assembled by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from virtionet_ipsec.wire import Profile
from virtionet_ipsec.wire import structs as s
from virtionet_ipsec.wire.codec import build, parse

V1_4, RFC = Profile.VIRTIO_1_4, Profile.RFC_V1

KEY = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
V6_SRC = bytes.fromhex("20010db8000000000000000000000001")
V6_DST = bytes.fromhex("20010db8000000000000000000000002")

EXAMPLES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "AdminCmdHdr": (
        s.AdminCmdHdr,
        {"opcode": 0xA, "group_type": 1, "group_member_id": 0x0102030405060708},
        "0a00 0100 000000000000000000000000 0807060504030201",
    ),
    "AdminCmdResult": (s.AdminCmdResult, {"status": 22, "status_qualifier": 3}, "1600 0300 00000000"),
    "AdminCmdList": (
        s.AdminCmdList,
        {"device_admin_cmd_opcodes": [0x3, 0x1]},  # 2.12.1: "opcodes 0, 1 and 64 are supported"
        "0300000000000000 0100000000000000",
    ),
    "QueryCapIdResult": (s.QueryCapIdResult, {"supported_caps": [3]}, "0300000000000000"),
    "CapGetData": (s.CapGetData, {"id": 0x0803}, "0308 000000000000"),
    "CapSetData": (s.CapSetData, {"id": 0x0804}, "0408 000000000000"),
    "ResourceObjHdr": (s.ResourceObjHdr, {"type": 0x0203, "id": 7}, "0302 0000 07000000"),
    "ResourceObjFlags": (s.ResourceObjFlags, {"flags": 1}, "0100000000000000"),
    "ResourceObjCreateData": (
        s.ResourceObjCreateData,
        {"hdr": {"type": 0x0204, "id": 1}, "flags": 2},
        "0402 0000 01000000 0200000000000000",
    ),
    "CtrlHdr": (s.CtrlHdr, {"class": 4, "command": 1}, "04 01"),
    "MacTable": (s.MacTable, {"macs": [b"abcdef", b"ghijkl"]}, "02000000 616263646566 6768696a6b6c"),
    "VlanId": (s.VlanId, {"vlan_id": 0x0123}, "2301"),
    "MqPairsSet": (s.MqPairsSet, {"virtqueue_pairs": 0x0102}, "0201"),
    "HashConfig": (
        s.HashConfig,
        {"hash_types": 0x010203, "hash_key_data": b"key"},
        "03020100 0000000000000000 03 6b6579",
    ),
    "RssConfig": (
        s.RssConfig,
        {
            "hash_types": 7,
            "unclassified_queue": 1,
            "indirection_table": [0, 1, 2, 3],  # receiveq1 to receiveq4: "3 corresponds to virtqueue index 6"
            "max_tx_vq": 4,
            "hash_key_data": b"key",
        },
        "07000000 0300 0100 0000 0100 0200 0300 0400 03 6b6579",
    ),
    "FfResourceCap": (
        s.FfResourceCap,
        {
            "groups_limit": 1,
            "classifiers_limit": 2,
            "rules_limit": 3,
            "rules_per_group_limit": 4,
            "last_rule_priority": 5,
            "selectors_per_classifier_limit": 6,
        },
        "01000000 02000000 03000000 04000000 05 06 0000",
    ),
    "FfSelector": (
        s.FfSelector,
        {"type": 1, "flags": 1, "length": 14, "mask": bytes(12) + b"\xff\xff"},
        "01 01 0000 0e 000000 000000000000 000000000000 ffff",
    ),
    "FfSelectorCap": (
        s.FfSelectorCap,
        {"count": 2, "selectors": [{"type": 6, "length": 8}, {"type": 5, "length": 1, "mask": b"\x0f"}]},
        "02 00000000000000 06 00 0000 08 000000 0000000000000000 05 00 0000 01 000000 0f",
    ),
    "FfActionCap": (s.FfActionCap, {"count": 4, "actions": [1, 2, 3, 4]}, "04 00000000000000 01 02 03 04"),
    "FfGroup": (s.FfGroup, {"group_priority": 0x1234}, "3412"),
    "FfClassifier": (
        s.FfClassifier,
        {"count": 1, "selectors": [{"type": 5, "length": 2, "mask": b"\xff\x00"}]},
        "01 00000000000000 05 00 0000 02 000000 ff00",
    ),
    "FfRule": (
        s.FfRule,
        {
            "group_id": 1,
            "classifier_id": 2,
            "rule_priority": 3,
            "key_length": 4,
            "action": 2,
            "vq_index": 0x0506,
            "keys": b"\xde\xad\xbe\xef",
        },
        "01000000 02000000 03 04 02 00 0605 0000 deadbeef",
    ),
    "IpsecResourceCap": (s.IpsecResourceCap, {"inb_sa_limit": 1, "outb_sa_limit": 2}, "01000000 02000000"),
    "ipsec_sa_cap": (
        s.ipsec_sa_cap(V1_4),
        {
            "count": 1,
            "cap_mode": [
                {
                    "mode": 1,
                    "max_replay_win_sz": 4096,
                    "options": 0x7F,
                    "cipher_algo": 1 << 3,
                    "hmac_algo": 1 << 53,
                    "aead_algo": 1 << 1,
                    "max_cipher_key_len": 32,
                    "max_auth_key_len": 20,
                }
            ],
        },
        (
            "01 00000000000000"
            "01 000000 00100000 7f000000 00000000 0800000000000000 0000000000002000 02000000 20000000 14000000"
        ),
    ),
    "ipsec_sa_cap, rfc-v1": (
        s.ipsec_sa_cap(RFC),
        {"count": 1, "cap_mode": [{"mode": 4, "options": 1, "cipher_algo": 1, "max_auth_key_len": 32}]},
        "01 00000000000000 04 000000 00000000 01000000 0100000000000000 0000000000000000 00000000 00000000 20000000",
    ),
    "tunnel_ipv4": (
        s.tunnel_ipv4(V1_4),
        {"src_ip": {"s_addr": 0xC0000201}, "dst_ip": {"s_addr": 0xC0000202}, "dscp": 46, "df": 1, "ttl": 64},
        "010200c0 020200c0 2e 01 40 00",  # D06: le32 of 192.0.2.1
    ),
    "tunnel_ipv4, rfc-v1": (
        s.tunnel_ipv4(RFC),
        {"src_ip": {"s_addr": 0xC0000201}, "dst_ip": {"s_addr": 0xC0000202}, "dscp": 46, "df": 1, "ttl": 64},
        "c0000201 c0000202 2e 01 40",  # D06: octets in network order
    ),
    "tunnel_ipv6": (
        s.tunnel_ipv6(V1_4),
        {
            "src_addr": {"s6_u8": V6_SRC},
            "dst_addr": {"s6_u8": V6_DST},
            "flabel": 0xABCDE,
            "hlimit": 64,
            "dscp": 10,
        },
        f"{V6_SRC.hex()} {V6_DST.hex()} debc0a00 40 0a 0000",
    ),
    "tunnel_ipv6, rfc-v1": (
        s.tunnel_ipv6(RFC),
        {"src_addr": {"s6_u8": V6_SRC}, "dst_addr": {"s6_u8": V6_DST}, "flabel": 1, "hlimit": 2, "dscp": 3},
        f"{V6_SRC.hex()} {V6_DST.hex()} 01000000 02 03",
    ),
    "Lifetime": (
        s.Lifetime,
        {"packets_soft_limit": 1, "bytes_soft_limit": 2, "packets_hard_limit": 3, "bytes_hard_limit": 4},
        "0100000000000000 0200000000000000 0300000000000000 0400000000000000",
    ),
    "ipsec_sa": (
        s.ipsec_sa(V1_4),
        {
            "mode": 1,
            "direction": 2,
            "obj_id": 3,
            "spi": 0x11223344,
            "salt": 0xDDCCBBAA,
            "options": 0x41,
            "param": {"type": 1, "header": bytes(range(12))},
            "udp_sport": 4500,
            "udp_dport": 4501,
            "replay_win_sz": 64,
            "cipher_algo": 1,
            "cipher_key": {"length": 16, "data": KEY},
            "auth_algo": 4,
            "auth_key": {"length": 32, "data": KEY + KEY},
            "life": {"packets_soft_limit": 9, "bytes_hard_limit": 10},
        },
        "01 02 0000 03000000 44332211 aabbccdd 4100000000000000"
        "01 000000 000102030405060708090a0b" + "00" * 28 + "9411 9511 40000000"
        "0100000000000000 1000 0000 000102030405060708090a0b0c0d0e0f" + "00" * 16 + "0400000000000000 2000 0000"
        "000102030405060708090a0b0c0d0e0f 000102030405060708090a0b0c0d0e0f"
        "0900000000000000 0000000000000000 0000000000000000 0a00000000000000",
    ),
    "ipsec_sa, rfc-v1": (
        s.ipsec_sa(RFC),
        {
            "mode": 3,
            "direction": 1,
            "spi": 1,
            "param": {"type": 2, "header": bytes(range(38))},
            "esn": 0x0000000100000002,
            "udp_sport": 4500,
            "replay_win_sz": 1024,
            "auth_algo": 2,
            "auth_key": {"length": 20, "data": KEY + KEY[:4]},
        },
        "03 01 0000 00000000 01000000 00000000 0000000000000000 02 000000"
        "000102030405060708090a0b0c0d0e0f 101112131415161718191a1b1c1d1e1f 20212223 24 25"
        "0200000001000000 9411 0000 00040000"
        "0000000000000000 0000" + "00" * 32 + "0200000000000000 1400 000102030405060708090a0b0c0d0e0f 00010203"
        "000000000000000000000000",
    ),
    "NetConfig": (
        s.NetConfig,
        {
            "mac": bytes.fromhex("525400123456"),
            "status": 1,
            "max_virtqueue_pairs": 2,
            "mtu": 1500,
            "speed": 10000,
            "duplex": 1,
            "rss_max_key_size": 40,
            "rss_max_indirection_table_length": 128,
            "supported_hash_types": 3,
            "supported_tunnel_types": 4,
        },
        "525400123456 0100 0200 dc05 10270000 01 28 8000 03000000 04000000",
    ),
    "CryptoOpDataReq": (
        s.CryptoOpDataReq,
        {
            "header": {"opcode": 0x501, "session_id": 7, "flag": 1},
            "op_flf": {"src_data_len": 100, "dst_data_len": 160},
        },
        "01050000 00000000 0700000000000000 01000000 00000000 64000000 a0000000",
    ),
    "CryptoInhdr": (s.CryptoInhdr, {"status": 7}, "07"),
}


def holds(parsed: Any, given: Any) -> bool:
    """Whether ``parsed`` has what was given; an array of octets may have zeros after it."""
    if isinstance(given, Mapping):
        return all(holds(parsed[name], value) for name, value in given.items())
    if isinstance(given, list):
        return len(parsed) == len(given) and all(map(holds, parsed, given))
    if isinstance(given, bytes):
        return bool(parsed == given.ljust(len(parsed), b"\0"))
    return bool(parsed == given)


@pytest.mark.parametrize("name", EXAMPLES)
def test_build(name: str) -> None:
    structure, fields, octets = EXAMPLES[name]
    assert build(structure, **fields).hex() == octets.replace(" ", "")


@pytest.mark.parametrize("name", EXAMPLES)
def test_parse(name: str) -> None:
    structure, fields, octets = EXAMPLES[name]
    assert holds(parse(structure, bytes.fromhex(octets)), fields)
