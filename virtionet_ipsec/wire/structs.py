"""All structures in one place; each is declared and described in its module."""

from __future__ import annotations

from .admin import (
    AdminCmdHdr,
    AdminCmdList,
    AdminCmdResult,
    CapGetData,
    CapSetData,
    QueryCapIdResult,
    ResourceModifyData,
    ResourceObjCreateData,
    ResourceObjFlags,
    ResourceObjHdr,
    ResourceObjQueryData,
)
from .capabilities import FfActionCap, FfResourceCap, FfSelectorCap, IpsecResourceCap, ipsec_mode_cap, ipsec_sa_cap
from .control import CtrlHdr, HashConfig, MacTable, MqPairsSet, RssConfig, VlanId
from .crypto import CRYPTO_FLAG_SESSION_MODE, CryptoInhdr, CryptoIpsecDataFlf, CryptoOpDataReq, CryptoOpHeader
from .flow_filter import FfClassifier, FfGroup, FfRule, FfSelector
from .net import IpsecResourceHdr, NetConfig, net_hdr
from .sa import KEY_SIZE, In6Addr, Lifetime, in_addr, ipsec_sa, tunnel_ipv4, tunnel_ipv6

__all__ = [
    "CRYPTO_FLAG_SESSION_MODE",
    "KEY_SIZE",
    "AdminCmdHdr",
    "AdminCmdList",
    "AdminCmdResult",
    "CapGetData",
    "CapSetData",
    "CryptoInhdr",
    "CryptoIpsecDataFlf",
    "CryptoOpDataReq",
    "CryptoOpHeader",
    "CtrlHdr",
    "FfActionCap",
    "FfClassifier",
    "FfGroup",
    "FfResourceCap",
    "FfRule",
    "FfSelector",
    "FfSelectorCap",
    "HashConfig",
    "In6Addr",
    "IpsecResourceCap",
    "IpsecResourceHdr",
    "Lifetime",
    "MacTable",
    "MqPairsSet",
    "NetConfig",
    "QueryCapIdResult",
    "ResourceModifyData",
    "ResourceObjCreateData",
    "ResourceObjFlags",
    "ResourceObjHdr",
    "ResourceObjQueryData",
    "RssConfig",
    "VlanId",
    "in_addr",
    "ipsec_mode_cap",
    "ipsec_sa",
    "ipsec_sa_cap",
    "net_hdr",
    "tunnel_ipv4",
    "tunnel_ipv6",
]
