"""The specification's numbers under the specification's names.

Each docstring gives the prefix that the names carry there and the section of
virtio 1.4 that defines them.
"""

from __future__ import annotations

import enum


class Feature(enum.IntEnum):
    """Feature bit numbers: VIRTIO_NET_F_* (5.1.3) for 0-23 and 50-127, VIRTIO_F_* (6) for 24-43.

    A set of features is an int, ``1 << Feature.X`` for each.
    """

    CSUM = 0
    GUEST_CSUM = 1
    CTRL_GUEST_OFFLOADS = 2
    MTU = 3
    MAC = 5
    GUEST_TSO4 = 7
    GUEST_TSO6 = 8
    GUEST_ECN = 9
    GUEST_UFO = 10
    HOST_TSO4 = 11
    HOST_TSO6 = 12
    HOST_ECN = 13
    HOST_UFO = 14
    MRG_RXBUF = 15
    STATUS = 16
    CTRL_VQ = 17
    CTRL_RX = 18
    CTRL_VLAN = 19
    CTRL_RX_EXTRA = 20
    GUEST_ANNOUNCE = 21
    MQ = 22
    CTRL_MAC_ADDR = 23
    INDIRECT_DESC = 28
    EVENT_IDX = 29
    VERSION_1 = 32
    ACCESS_PLATFORM = 33
    RING_PACKED = 34
    IN_ORDER = 35
    ORDER_PLATFORM = 36
    SR_IOV = 37
    NOTIFICATION_DATA = 38
    NOTIF_CONFIG_DATA = 39
    RING_RESET = 40
    ADMIN_VQ = 41
    SUSPEND = 43
    DEVICE_STATS = 50
    HASH_TUNNEL = 51
    VQ_NOTF_COAL = 52
    NOTF_COAL = 53
    GUEST_USO4 = 54
    GUEST_USO6 = 55
    HOST_USO = 56
    HASH_REPORT = 57
    GUEST_HDRLEN = 59
    RSS = 60
    RSC_EXT = 61
    STANDBY = 62
    SPEED_DUPLEX = 63
    RSS_CONTEXT = 64
    GUEST_UDP_TUNNEL_GSO = 65
    GUEST_UDP_TUNNEL_GSO_CSUM = 66
    HOST_UDP_TUNNEL_GSO = 67
    HOST_UDP_TUNNEL_GSO_CSUM = 68
    OUT_NET_HEADER = 69
    IPSEC = 70  # the slides of rfc-v1 name no number; decision D25


class Status(enum.IntFlag):
    """Bits of the device status field (2.1 Device Status Field)."""

    ACKNOWLEDGE = 1
    DRIVER = 2
    DRIVER_OK = 4
    FEATURES_OK = 8
    SUSPEND = 16
    DEVICE_NEEDS_RESET = 64
    FAILED = 128


class NetStatus(enum.IntFlag):
    """Bits of ``status`` in virtio_net_config: VIRTIO_NET_S_* (5.1.4 Device configuration layout)."""

    LINK_UP = 1
    ANNOUNCE = 2


class HdrFlag(enum.IntFlag):
    """``flags`` of virtio_net_hdr in virtio 1.4: VIRTIO_NET_HDR_F_* (5.1.9 Device Operation)."""

    NEEDS_CSUM = 1
    DATA_VALID = 2
    RSC_INFO = 4
    UDP_TUNNEL_CSUM = 8
    SECURITY = 16
    SECURITY_ERR = 32
    SECURITY_SA_SOFT_EXPIRY_WARN = 64


class HdrFlagRfcV1(enum.IntFlag):
    """``flags`` of virtio_net_hdr in the 2025 RFC: VIRTIO_NET_HDR_F_*.

    SECURITY has the value that virtio 1.4 gives to UDP_TUNNEL_CSUM, and
    SECURITY_ERR that of 1.4's SECURITY.
    """

    NEEDS_CSUM = 1
    DATA_VALID = 2
    RSC_INFO = 4
    SECURITY = 8
    SECURITY_ERR = 16


class GsoType(enum.IntEnum):
    """``gso_type`` of virtio_net_hdr: VIRTIO_NET_HDR_GSO_* (5.1.9 Device Operation).

    NONE to UDP_L4 are alternatives, so this is no flag type.  ECN and the two
    UDP_TUNNEL values are bits that are added to one of them.
    """

    NONE = 0
    TCPV4 = 1
    UDP = 3
    TCPV6 = 4
    UDP_L4 = 5
    UDP_TUNNEL_IPV4 = 0x20
    UDP_TUNNEL_IPV6 = 0x40
    ECN = 0x80


class Opcode(enum.IntEnum):
    """``opcode`` of a group administration command: VIRTIO_ADMIN_CMD_* (2.12.1 Group administration commands)."""

    LIST_QUERY = 0x0
    LIST_USE = 0x1
    LEGACY_COMMON_CFG_WRITE = 0x2
    LEGACY_COMMON_CFG_READ = 0x3
    LEGACY_DEV_CFG_WRITE = 0x4
    LEGACY_DEV_CFG_READ = 0x5
    LEGACY_NOTIFY_INFO = 0x6
    CAP_ID_LIST_QUERY = 0x7
    DEVICE_CAP_GET = 0x8
    DRIVER_CAP_SET = 0x9
    RESOURCE_OBJ_CREATE = 0xA
    RESOURCE_OBJ_MODIFY = 0xB  # 0xc in the table of opcodes, 0xb in the command's own paragraph; decision D02
    RESOURCE_OBJ_QUERY = 0xC  # the reverse
    RESOURCE_OBJ_DESTROY = 0xD
    DEV_PARTS_METADATA_GET = 0xE
    DEV_PARTS_GET = 0xF
    DEV_PARTS_SET = 0x10
    DEV_MODE_SET = 0x11


class GroupType(enum.IntEnum):
    """``group_type`` of a group administration command (2.12 Device groups)."""

    SELF = 0
    SRIOV = 1


class AdminStatus(enum.IntEnum):
    """``status`` of a group administration command: VIRTIO_ADMIN_STATUS_* (2.12.1)."""

    OK = 0
    ENXIO = 6
    EAGAIN = 11
    ENOMEM = 12
    EBUSY = 16
    EEXIST = 17  # used by the text, missing from its table; the number is Linux's, decision D04
    EINVAL = 22
    ENOSPC = 28


class Qualifier(enum.IntEnum):
    """``status_qualifier`` of a group administration command: VIRTIO_ADMIN_STATUS_Q_* (2.12.1)."""

    OK = 0
    INVALID_COMMAND = 1
    INVALID_OPCODE = 2
    INVALID_FIELD = 3
    INVALID_GROUP = 4
    INVALID_MEMBER = 5
    NORESOURCE = 6
    TRYAGAIN = 7


class CapId(enum.IntEnum):
    """Capabilities of the network device: VIRTIO_NET_* (5.1.6)."""

    FF_RESOURCE_CAP = 0x0800
    FF_SELECTOR_CAP = 0x0801
    FF_ACTION_CAP = 0x0802
    IPSEC_RESOURCE_CAP = 0x0803
    IPSEC_SA_CAP = 0x0804


class ResourceType(enum.IntEnum):
    """Resource objects of the network device: VIRTIO_NET_RESOURCE_OBJ_* (5.1.7)."""

    FF_GROUP = 0x0200
    FF_CLASSIFIER = 0x0201
    FF_RULE = 0x0202
    IPSEC_OUTB_SA = 0x0203
    IPSEC_INB_SA = 0x0204


class SelectorType(enum.IntEnum):
    """``type`` of a flow filter selector: VIRTIO_NET_FF_MASK_TYPE_* (5.1.9.6.2.2)."""

    ETH = 1
    IPV4 = 2
    IPV6 = 3
    TCP = 4
    UDP = 5
    ESP = 6


class SelectorFlag(enum.IntFlag):
    """``flags`` of a flow filter selector: VIRTIO_NET_FF_MASK_F_* (5.1.9.6.2.2)."""

    PARTIAL_MASK = 1 << 0


class Action(enum.IntEnum):
    """``action`` of a flow filter rule: VIRTIO_NET_FF_ACTION_* (5.1.9.6.2.3)."""

    DROP = 1
    DIRECT_RX_VQ = 2
    IPSEC = 3
    IPSEC_RECIRCULATE = 4


class IpsecMode(enum.IntEnum):
    """``mode`` of an SA: VIRTIO_CRYPTO_IPSEC_MODE_* (5.9.9.9.1.2)."""

    ESP_TUNNEL = 1
    ESP_TRANSPORT = 2
    AH_TUNNEL = 3
    AH_TRANSPORT = 4


class IpsecDir(enum.IntEnum):
    """``direction`` of an SA: VIRTIO_CRYPTO_IPSEC_DIR_* (5.9.9.9.2.1)."""

    OUTBOUND = 1
    INBOUND = 2


class IpsecOption(enum.IntFlag):
    """``options`` of an SA and of its capability: VIRTIO_CRYPTO_IPSEC_* (5.9.9.9.1.2).

    The specification gives bit numbers; these are the masks.  ECN and
    SA_LIFETIME came with virtio 1.4.
    """

    ESN = 1 << 0
    UDP_ENCAP = 1 << 1
    COPY_DSCP = 1 << 2
    DEC_TTL = 1 << 3
    COPY_DF = 1 << 4
    ECN = 1 << 5
    SA_LIFETIME = 1 << 6


class TunnelType(enum.IntEnum):
    """``type`` of virtio_crypto_ipsec_tunnel_param (5.9.9.9.2.1); the text gives no values: decision D05."""

    IPV4 = 1
    IPV6 = 2


class CipherAlgo(enum.IntEnum):
    """Ciphers: VIRTIO_CRYPTO_CIPHER_* (5.9.4.1 CIPHER services).

    NO_CIPHER is VIRTIO_CRYPTO_NO_CIPHER.  Names cannot begin with a digit:
    TDES is the specification's 3DES.  In a capability, bit n stands for id n.
    """

    NO_CIPHER = 0
    ARC4 = 1
    AES_ECB = 2
    AES_CBC = 3
    AES_CTR = 4
    DES_ECB = 5
    DES_CBC = 6
    TDES_ECB = 7
    TDES_CBC = 8
    TDES_CTR = 9
    KASUMI_F8 = 10
    SNOW3G_UEA2 = 11
    AES_F8 = 12
    AES_XTS = 13
    ZUC_EEA3 = 14


class MacAlgo(enum.IntEnum):
    """Message authentication codes: VIRTIO_CRYPTO_MAC_* (5.9.4.3 MAC services).

    NO_MAC is VIRTIO_CRYPTO_NO_MAC; CMAC_TDES is CMAC_3DES.
    """

    NO_MAC = 0
    HMAC_MD5 = 1
    HMAC_SHA1 = 2
    HMAC_SHA_224 = 3
    HMAC_SHA_256 = 4
    HMAC_SHA_384 = 5
    HMAC_SHA_512 = 6
    CMAC_TDES = 25
    CMAC_AES = 26
    KASUMI_F9 = 27
    SNOW3G_UIA2 = 28
    GMAC_AES = 41
    GMAC_TWOFISH = 42
    CBCMAC_AES = 49
    CBCMAC_KASUMI_F9 = 50
    XCBC_AES = 53
    ZUC_EIA3 = 54


class AeadAlgo(enum.IntEnum):
    """AEAD algorithms: VIRTIO_CRYPTO_AEAD_* (5.9.4.4 AEAD services); NO_AEAD is VIRTIO_CRYPTO_NO_AEAD."""

    NO_AEAD = 0
    GCM = 1
    CCM = 2
    CHACHA20_POLY1305 = 3


class CryptoService(enum.IntEnum):
    """Services of the crypto device: VIRTIO_CRYPTO_SERVICE_* (5.9.4)."""

    CIPHER = 0
    HASH = 1
    MAC = 2
    AEAD = 3
    AKCIPHER = 4
    IPSEC = 5


class CryptoOpcode(enum.IntEnum):
    """``opcode`` of a crypto data request for the IPsec service: VIRTIO_CRYPTO_* (5.9.9.3).

    VIRTIO_CRYPTO_OPCODE(service, op) is ``service << 8 | op``.
    """

    IPSEC_OUTBOUND = CryptoService.IPSEC << 8 | 0
    IPSEC_INBOUND = CryptoService.IPSEC << 8 | 1


class CryptoStatus(enum.IntEnum):
    """``status`` of a crypto request: enum VIRTIO_CRYPTO_STATUS (5.9.9.1 Operation Status)."""

    OK = 0
    ERR = 1
    BADMSG = 2
    NOTSUPP = 3
    INVSESS = 4
    NOSPC = 5
    KEY_REJECTED = 6
    IPSEC_SA_SOFT_EXPIRY = 7


class CryptoCapId(enum.IntEnum):
    """Capabilities of the crypto device: VIRTIO_CRYPTO_* (5.9.7)."""

    IPSEC_RESOURCE_CAP = 0x0800
    IPSEC_SA_CAP = 0x0801


class CryptoResourceType(enum.IntEnum):
    """Resource objects of the crypto device: VIRTIO_CRYPTO_RESOURCE_OBJ_* (5.9.8)."""

    IPSEC_OUTBOUND_SA = 0x0200
    IPSEC_INBOUND_SA = 0x0201


class CtrlClass(enum.IntEnum):
    """``class`` of a command of the control virtqueue (5.1.9.5): VIRTIO_NET_CTRL_*; RSS_CTX is VIRTNET_RSS_CTX_CTRL."""

    RX = 0
    MAC = 1
    VLAN = 2
    ANNOUNCE = 3
    MQ = 4
    GUEST_OFFLOADS = 5
    NOTF_COAL = 6
    HASH_TUNNEL = 7
    STATS = 8
    RSS_CTX = 9


class CtrlRx(enum.IntEnum):
    """``command`` of class RX: VIRTIO_NET_CTRL_RX_* (5.1.9.5.1 Packet Receive Filtering)."""

    PROMISC = 0
    ALLMULTI = 1
    ALLUNI = 2
    NOMULTI = 3
    NOUNI = 4
    NOBCAST = 5


class CtrlMac(enum.IntEnum):
    """``command`` of class MAC: VIRTIO_NET_CTRL_MAC_* (5.1.9.5.2 Setting MAC Address Filtering)."""

    TABLE_SET = 0
    ADDR_SET = 1


class CtrlVlan(enum.IntEnum):
    """``command`` of class VLAN: VIRTIO_NET_CTRL_VLAN_* (5.1.9.5.3 VLAN Filtering)."""

    ADD = 0
    DEL = 1


class CtrlAnnounce(enum.IntEnum):
    """``command`` of class ANNOUNCE: VIRTIO_NET_CTRL_ANNOUNCE_* (5.1.9.5.4 Gratuitous Packet Sending)."""

    ACK = 0


class CtrlMq(enum.IntEnum):
    """``command`` of class MQ: VIRTIO_NET_CTRL_MQ_* (5.1.9.5.5 Device operation in multiqueue mode)."""

    VQ_PAIRS_SET = 0
    RSS_CONFIG = 1
    HASH_CONFIG = 2


class CtrlAck(enum.IntEnum):
    """``ack`` of a command of the control virtqueue: VIRTIO_NET_* (5.1.9.5)."""

    OK = 0
    ERR = 1


class HashType(enum.IntFlag):
    """``hash_types`` and ``supported_hash_types``: VIRTIO_NET_HASH_TYPE_* (5.1.9.4.3.1)."""

    IPV4 = 1 << 0
    TCPV4 = 1 << 1
    UDPV4 = 1 << 2
    IPV6 = 1 << 3
    TCPV6 = 1 << 4
    UDPV6 = 1 << 5
    IP_EX = 1 << 6
    TCP_EX = 1 << 7
    UDP_EX = 1 << 8


class HashReport(enum.IntEnum):
    """``hash_report`` of virtio_net_hdr: VIRTIO_NET_HASH_REPORT_* (5.1.9.4.5).

    Hash type n, but NONE, is bit n - 1 of :class:`HashType`.
    """

    NONE = 0
    IPV4 = 1
    TCPV4 = 2
    UDPV4 = 3
    IPV6 = 4
    TCPV6 = 5
    UDPV6 = 6
    IPV6_EX = 7
    TCPV6_EX = 8
    UDPV6_EX = 9


SELECTOR_LENGTH: dict[SelectorType, int] = {
    SelectorType.ETH: 14,
    SelectorType.IPV4: 20,
    SelectorType.IPV6: 40,
    SelectorType.TCP: 20,
    SelectorType.UDP: 8,
    SelectorType.ESP: 8,
}
"""Octets of header that a selector's mask and a rule's key cover, by selector type (5.1.9.6.2.2)."""

TUNNEL_BITS = GsoType.UDP_TUNNEL_IPV4 | GsoType.UDP_TUNNEL_IPV6
"""The bits of ``gso_type`` for segmentation in a UDP tunnel (5.1.9.2 Packet Transmission)."""

FF_CAPS = (CapId.FF_RESOURCE_CAP, CapId.FF_SELECTOR_CAP, CapId.FF_ACTION_CAP)
"""The capabilities of the flow filter (5.1.9.6 Flow filter)."""

FF_TYPES = (ResourceType.FF_GROUP, ResourceType.FF_CLASSIFIER, ResourceType.FF_RULE)
"""The resource objects of the flow filter."""

IPSEC_CAPS = (CapId.IPSEC_RESOURCE_CAP, CapId.IPSEC_SA_CAP)
"""The capabilities of IPsec operation (5.1.9.7 IPsec Operation)."""

SA_TYPES = (ResourceType.IPSEC_OUTB_SA, ResourceType.IPSEC_INB_SA)
"""The resource objects of IPsec operation."""
