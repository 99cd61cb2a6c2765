"""What crosses the boundary between driver and device: every structure, once, and its numbers.

The numbers and :class:`Profile` are here; the structures are in their modules
(or all of them in :mod:`.structs`), because they need construct, which takes
its time to import.  :mod:`.net_hdr` is the packet header for the data path,
without construct.
"""

from __future__ import annotations

from .enums import (
    SELECTOR_LENGTH,
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
    Feature,
    GroupType,
    GsoType,
    HdrFlag,
    HdrFlagRfcV1,
    IpsecDir,
    IpsecMode,
    IpsecOption,
    MacAlgo,
    NetStatus,
    Opcode,
    Qualifier,
    ResourceType,
    SelectorFlag,
    SelectorType,
    Status,
    TunnelType,
)
from .profile import Profile

__all__ = [
    "SELECTOR_LENGTH",
    "Action",
    "AdminStatus",
    "AeadAlgo",
    "CapId",
    "CipherAlgo",
    "CryptoCapId",
    "CryptoOpcode",
    "CryptoResourceType",
    "CryptoService",
    "CryptoStatus",
    "Feature",
    "GroupType",
    "GsoType",
    "HdrFlag",
    "HdrFlagRfcV1",
    "IpsecDir",
    "IpsecMode",
    "IpsecOption",
    "MacAlgo",
    "NetStatus",
    "Opcode",
    "Profile",
    "Qualifier",
    "ResourceType",
    "SelectorFlag",
    "SelectorType",
    "Status",
    "TunnelType",
]
