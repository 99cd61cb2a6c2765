"""virtio_net_hdr for the data path (virtio 1.4, 5.1.9 Device Operation).

The same header as :func:`.net.net_hdr` declares, over a precompiled
:class:`struct.Struct` and without construct; a test holds one against the other.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from .enums import Feature, HdrFlag, HdrFlagRfcV1
from .profile import Profile


@dataclass(frozen=True, slots=True)
class NetHdr:
    """The fields of a header, host order; those that a layout lacks are 0.

    Lengths and offsets are in octets, offsets from the beginning of the packet
    (but ``csum_offset`` from ``csum_start``).
    """

    flags: int = 0
    gso_type: int = 0
    hdr_len: int = 0
    gso_size: int = 0
    csum_start: int = 0
    csum_offset: int = 0
    num_buffers: int = 0
    hash_value: int = 0
    hash_report: int = 0
    outer_th_offset: int = 0
    inner_nh_offset: int = 0
    outer_nh_offset: int = 0
    resource_id: int = 0
    resource_type: int = 0


_Part = tuple[str, tuple[str, ...]]

# Consecutive parts of the header: their struct codes and the fields that these stand for.
# "x" is an octet of padding, written as zero and not looked at.
_BASE: _Part = ("BBHHHHH", ("flags", "gso_type", "hdr_len", "gso_size", "csum_start", "csum_offset", "num_buffers"))
_HASH: _Part = ("IH2x", ("hash_value", "hash_report"))
_TUNNEL: _Part = ("HH", ("outer_th_offset", "inner_nh_offset"))
_OUTER: _Part = ("H", ("outer_nh_offset",))
_IPSEC: _Part = ("IH", ("resource_id", "resource_type"))
_NO_IPSEC: _Part = ("6x", ())


def _mask(*features: Feature) -> int:
    return sum(1 << feature for feature in features)


# What makes virtio 1.4's header reach to its three lengths above 12 octets.
_UP_TO_UNION = _mask(Feature.IPSEC, Feature.OUT_NET_HEADER)
_UP_TO_TUNNEL = _mask(Feature.HOST_UDP_TUNNEL_GSO, Feature.GUEST_UDP_TUNNEL_GSO)
_UP_TO_HASH = _mask(Feature.HASH_REPORT)


def _parts(profile: Profile, features: int) -> list[_Part]:
    ipsec = features & _mask(Feature.IPSEC)
    if profile is Profile.RFC_V1:  # an absent field takes no room: decision D21
        parts = [_BASE]
        if features & _UP_TO_HASH:
            parts.append(_HASH)
        if ipsec:
            parts.append(_IPSEC)
        return parts
    if features & _UP_TO_UNION:
        return [_BASE, _HASH, _TUNNEL, _OUTER, _IPSEC if ipsec else _NO_IPSEC]
    if features & _UP_TO_TUNNEL:
        return [_BASE, _HASH, _TUNNEL]
    if features & _UP_TO_HASH:
        return [_BASE, _HASH]
    return [_BASE]


class HdrLayout:
    """The header's layout for a profile and a set of negotiated features.

    ``size`` is its length in octets.  ``struct`` packs and unpacks ``fields``
    in that order.  ``flags`` is the profile's flag type, and ``security``,
    ``security_err`` and ``soft_expiry_warn`` are the values of the flags of
    that name, 0 where the profile has none.  ``resource_offset`` is where
    ``resource_id`` lies (``resource_type`` follows it), None without IPSEC.
    """

    __slots__ = (
        "_names",
        "_unavailable",
        "_values",
        "features",
        "fields",
        "flags",
        "profile",
        "resource_offset",
        "security",
        "security_err",
        "size",
        "soft_expiry_warn",
        "struct",
    )

    def __init__(self, profile: Profile, features: int) -> None:
        parts = _parts(profile, features)
        self.profile = profile
        self.features = features
        self.fields: tuple[str, ...] = tuple(name for _, names in parts for name in names)
        self.struct = struct.Struct("<" + "".join(code for code, _ in parts))
        self.size = self.struct.size
        self.resource_offset = self.size - 6 if parts[-1] is _IPSEC else None
        self.flags: type[HdrFlag | HdrFlagRfcV1]
        if profile is Profile.VIRTIO_1_4:
            self.flags = HdrFlag
            self.soft_expiry_warn = int(HdrFlag.SECURITY_SA_SOFT_EXPIRY_WARN)
        else:
            self.flags = HdrFlagRfcV1
            self.soft_expiry_warn = 0
        self.security = int(self.flags.SECURITY)
        self.security_err = int(self.flags.SECURITY_ERR)
        self._names = {int(flag): flag.name for flag in self.flags}
        self._values: Any = attrgetter(*self.fields)
        self._unavailable = tuple(name for name in NetHdr.__slots__ if name not in self.fields)

    def parse(self, data: bytes | bytearray | memoryview) -> NetHdr:
        """The header at the beginning of ``data``.  Raises ValueError when ``data`` is shorter than it."""
        if len(data) < self.size:
            raise ValueError(f"virtio_net_hdr is {self.size} octets with these features, and there are {len(data)}")
        return NetHdr(**dict(zip(self.fields, self.struct.unpack_from(data), strict=True)))

    def build(self, hdr: NetHdr) -> bytes:
        """The octets of ``hdr``.

        Raises ValueError for a value that does not fit its field, or that is
        not zero though the layout lacks the field.
        """
        for name in self._unavailable:
            if getattr(hdr, name):
                raise ValueError(f"virtio_net_hdr has no {name} with these features")
        try:
            return self.struct.pack(*self._values(hdr))
        except struct.error as error:
            raise ValueError(f"virtio_net_hdr: {error}") from None

    def flag_names(self, flags: int) -> tuple[str, ...]:
        """The names of the bits that are set in ``flags``, lowest first; a bit without a name is given in hex."""
        bits = (1 << bit for bit in range(flags.bit_length()) if flags >> bit & 1)
        return tuple(self._names.get(bit) or hex(bit) for bit in bits)
