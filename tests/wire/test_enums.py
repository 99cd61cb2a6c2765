"""The numbers, as the specification prints them, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from virtionet_ipsec import wire
from virtionet_ipsec.wire import (
    Action,
    AdminStatus,
    AeadAlgo,
    CapId,
    CipherAlgo,
    CryptoCapId,
    CryptoOpcode,
    CryptoResourceType,
    CryptoService,
    CryptoStatus,
    CtrlAck,
    CtrlAnnounce,
    CtrlClass,
    CtrlMac,
    CtrlMq,
    CtrlRx,
    CtrlVlan,
    Feature,
    GroupType,
    GsoType,
    HashReport,
    HashType,
    HdrFlag,
    HdrFlagRfcV1,
    IpsecDir,
    IpsecMode,
    IpsecOption,
    MacAlgo,
    NetStatus,
    Opcode,
    Profile,
    Qualifier,
    ResourceType,
    SelectorFlag,
    SelectorType,
    Status,
    TunnelType,
)


def table(text: str) -> dict[str, int]:
    """``NAME number`` pairs, in the notation that the specification prints."""
    words = text.split()
    return {name: int(number, 0) for name, number in zip(words[::2], words[1::2], strict=True)}


NUMBERS: dict[Any, str] = {
    Feature: """
        CSUM 0 GUEST_CSUM 1 CTRL_GUEST_OFFLOADS 2 MTU 3 MAC 5 GUEST_TSO4 7 GUEST_TSO6 8 GUEST_ECN 9
        GUEST_UFO 10 HOST_TSO4 11 HOST_TSO6 12 HOST_ECN 13 HOST_UFO 14 MRG_RXBUF 15 STATUS 16 CTRL_VQ 17
        CTRL_RX 18 CTRL_VLAN 19 CTRL_RX_EXTRA 20 GUEST_ANNOUNCE 21 MQ 22 CTRL_MAC_ADDR 23 INDIRECT_DESC 28
        EVENT_IDX 29 VERSION_1 32 ACCESS_PLATFORM 33 RING_PACKED 34 IN_ORDER 35 ORDER_PLATFORM 36 SR_IOV 37
        NOTIFICATION_DATA 38 NOTIF_CONFIG_DATA 39 RING_RESET 40 ADMIN_VQ 41 SUSPEND 43 DEVICE_STATS 50
        HASH_TUNNEL 51 VQ_NOTF_COAL 52 NOTF_COAL 53 GUEST_USO4 54 GUEST_USO6 55 HOST_USO 56 HASH_REPORT 57
        GUEST_HDRLEN 59 RSS 60 RSC_EXT 61 STANDBY 62 SPEED_DUPLEX 63 RSS_CONTEXT 64 GUEST_UDP_TUNNEL_GSO 65
        GUEST_UDP_TUNNEL_GSO_CSUM 66 HOST_UDP_TUNNEL_GSO 67 HOST_UDP_TUNNEL_GSO_CSUM 68 OUT_NET_HEADER 69
        IPSEC 70
    """,
    Status: "ACKNOWLEDGE 1 DRIVER 2 DRIVER_OK 4 FEATURES_OK 8 SUSPEND 16 DEVICE_NEEDS_RESET 64 FAILED 128",
    HdrFlag: """
        NEEDS_CSUM 1 DATA_VALID 2 RSC_INFO 4 UDP_TUNNEL_CSUM 8 SECURITY 16 SECURITY_ERR 32
        SECURITY_SA_SOFT_EXPIRY_WARN 64
    """,
    HdrFlagRfcV1: "NEEDS_CSUM 1 DATA_VALID 2 RSC_INFO 4 SECURITY 8 SECURITY_ERR 16",
    GsoType: "NONE 0 TCPV4 1 UDP 3 TCPV6 4 UDP_L4 5 UDP_TUNNEL_IPV4 0x20 UDP_TUNNEL_IPV6 0x40 ECN 0x80",
    Opcode: """
        LIST_QUERY 0x0 LIST_USE 0x1 LEGACY_COMMON_CFG_WRITE 0x2 LEGACY_COMMON_CFG_READ 0x3
        LEGACY_DEV_CFG_WRITE 0x4 LEGACY_DEV_CFG_READ 0x5 LEGACY_NOTIFY_INFO 0x6 CAP_ID_LIST_QUERY 0x7
        DEVICE_CAP_GET 0x8 DRIVER_CAP_SET 0x9 RESOURCE_OBJ_CREATE 0xa RESOURCE_OBJ_MODIFY 0xb
        RESOURCE_OBJ_QUERY 0xc RESOURCE_OBJ_DESTROY 0xd DEV_PARTS_METADATA_GET 0xe DEV_PARTS_GET 0xf
        DEV_PARTS_SET 0x10 DEV_MODE_SET 0x11
    """,
    GroupType: "SELF 0 SRIOV 1",
    AdminStatus: "OK 0 ENXIO 6 EAGAIN 11 ENOMEM 12 EBUSY 16 EEXIST 17 EINVAL 22 ENOSPC 28",
    Qualifier: """
        OK 0 INVALID_COMMAND 1 INVALID_OPCODE 2 INVALID_FIELD 3 INVALID_GROUP 4 INVALID_MEMBER 5
        NORESOURCE 6 TRYAGAIN 7
    """,
    CapId: """
        FF_RESOURCE_CAP 0x800 FF_SELECTOR_CAP 0x801 FF_ACTION_CAP 0x802 IPSEC_RESOURCE_CAP 0x803
        IPSEC_SA_CAP 0x804
    """,
    ResourceType: "FF_GROUP 0x200 FF_CLASSIFIER 0x201 FF_RULE 0x202 IPSEC_OUTB_SA 0x203 IPSEC_INB_SA 0x204",
    SelectorType: "ETH 1 IPV4 2 IPV6 3 TCP 4 UDP 5 ESP 6",
    SelectorFlag: "PARTIAL_MASK 1",
    Action: "DROP 1 DIRECT_RX_VQ 2 IPSEC 3 IPSEC_RECIRCULATE 4",
    IpsecMode: "ESP_TUNNEL 1 ESP_TRANSPORT 2 AH_TUNNEL 3 AH_TRANSPORT 4",
    IpsecDir: "OUTBOUND 1 INBOUND 2",
    IpsecOption: "ESN 1 UDP_ENCAP 2 COPY_DSCP 4 DEC_TTL 8 COPY_DF 16 ECN 32 SA_LIFETIME 64",
    TunnelType: "IPV4 1 IPV6 2",
    CipherAlgo: """
        NO_CIPHER 0 ARC4 1 AES_ECB 2 AES_CBC 3 AES_CTR 4 DES_ECB 5 DES_CBC 6 TDES_ECB 7 TDES_CBC 8
        TDES_CTR 9 KASUMI_F8 10 SNOW3G_UEA2 11 AES_F8 12 AES_XTS 13 ZUC_EEA3 14
    """,
    MacAlgo: """
        NO_MAC 0 HMAC_MD5 1 HMAC_SHA1 2 HMAC_SHA_224 3 HMAC_SHA_256 4 HMAC_SHA_384 5 HMAC_SHA_512 6
        CMAC_TDES 25 CMAC_AES 26 KASUMI_F9 27 SNOW3G_UIA2 28 GMAC_AES 41 GMAC_TWOFISH 42 CBCMAC_AES 49
        CBCMAC_KASUMI_F9 50 XCBC_AES 53 ZUC_EIA3 54
    """,
    AeadAlgo: "NO_AEAD 0 GCM 1 CCM 2 CHACHA20_POLY1305 3",
    CryptoService: "CIPHER 0 HASH 1 MAC 2 AEAD 3 AKCIPHER 4 IPSEC 5",
    NetStatus: "LINK_UP 1 ANNOUNCE 2",
    CtrlClass: """
        RX 0 MAC 1 VLAN 2 ANNOUNCE 3 MQ 4 GUEST_OFFLOADS 5 NOTF_COAL 6 HASH_TUNNEL 7 STATS 8 RSS_CTX 9
    """,
    CtrlRx: "PROMISC 0 ALLMULTI 1 ALLUNI 2 NOMULTI 3 NOUNI 4 NOBCAST 5",
    CtrlMac: "TABLE_SET 0 ADDR_SET 1",
    CtrlVlan: "ADD 0 DEL 1",
    CtrlAnnounce: "ACK 0",
    CtrlMq: "VQ_PAIRS_SET 0 RSS_CONFIG 1 HASH_CONFIG 2",
    CtrlAck: "OK 0 ERR 1",
    HashType: "IPV4 1 TCPV4 2 UDPV4 4 IPV6 8 TCPV6 16 UDPV6 32 IP_EX 64 TCP_EX 128 UDP_EX 256",
    HashReport: "NONE 0 IPV4 1 TCPV4 2 UDPV4 3 IPV6 4 TCPV6 5 UDPV6 6 IPV6_EX 7 TCPV6_EX 8 UDPV6_EX 9",
    CryptoOpcode: "IPSEC_OUTBOUND 0x500 IPSEC_INBOUND 0x501",
    CryptoStatus: "OK 0 ERR 1 BADMSG 2 NOTSUPP 3 INVSESS 4 NOSPC 5 KEY_REJECTED 6 IPSEC_SA_SOFT_EXPIRY 7",
    CryptoCapId: "IPSEC_RESOURCE_CAP 0x800 IPSEC_SA_CAP 0x801",
    CryptoResourceType: "IPSEC_OUTBOUND_SA 0x200 IPSEC_INBOUND_SA 0x201",
}


@pytest.mark.parametrize("kind", NUMBERS, ids=lambda kind: kind.__name__)
def test_numbers(kind: Any) -> None:
    assert {name: int(value) for name, value in kind.__members__.items()} == table(NUMBERS[kind])


def test_selector_lengths() -> None:
    assert [wire.SELECTOR_LENGTH[kind] for kind in SelectorType] == [14, 20, 40, 20, 8, 8]


def test_profiles() -> None:
    assert [profile.value for profile in Profile] == ["virtio-1.4", "rfc-v1"]


def test_exports() -> None:
    assert all(hasattr(wire, name) for name in wire.__all__)


@pytest.mark.parametrize("module", ["", ".enums", ".profile", ".features", ".net_hdr"])
def test_numbers_and_data_path_need_no_construct(module: str) -> None:
    code = f"import virtionet_ipsec.wire{module}, sys; sys.exit('construct' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
