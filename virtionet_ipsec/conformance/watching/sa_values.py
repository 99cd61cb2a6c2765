"""An SA object's fields where one binds another: what a relevant value is, and what IPsec adds to a packet.

No sentence holds key material: where an object is not laid out as it should
be, any field may hold octets of a key, so none is told by its value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...device.algorithm_ids import AEAD_NAMES, CIPHER_NAMES, MAC_NAMES
from ...ipsec.algorithms import AEADS, AUTHS, CIPHERS, Aead, Cipher, Integrity
from ...wire.codec import parse
from ...wire.enums import IpsecDir, IpsecMode, IpsecOption, ResourceType, TunnelType
from ...wire.profile import Profile
from ...wire.sa import KEY_SIZE, ipsec_sa, tunnel_ipv4, tunnel_ipv6

_AH = (IpsecMode.AH_TUNNEL, IpsecMode.AH_TRANSPORT)
_TUNNEL = (IpsecMode.ESP_TUNNEL, IpsecMode.AH_TUNNEL)
_DIRECTION = {ResourceType.IPSEC_OUTB_SA: IpsecDir.OUTBOUND, ResourceType.IPSEC_INB_SA: IpsecDir.INBOUND}

_Row = Aead | Cipher | Integrity


def irrelevant(kind: ResourceType, data: bytes, profile: Profile) -> list[str]:
    """A sentence for each field of an SA object of this type that cannot have its value.

    The tunnel parameters of an inbound SA may have any (D29).
    """
    fields = parse(ipsec_sa(profile), data)
    if fields.mode not in tuple(IpsecMode):
        return ["mode is none of the four"]
    found = [] if fields.direction == _DIRECTION[kind] else [f"direction is not that of an {kind.name}"]
    if fields.spi == 0:
        found.append("spi is 0")
    found += _algorithms(fields)
    if fields.options & IpsecOption.UDP_ENCAP:
        found += [f"{port} is 0 with UDP_ENCAP" for port in ("udp_sport", "udp_dport") if not fields[port]]
    if kind is ResourceType.IPSEC_OUTB_SA and fields.mode in _TUNNEL:
        found += _tunnel(fields.param, profile)
    return found


def _rows(fields: Any) -> tuple[_Row | None, _Row | None]:
    """The algorithms of cipher_key and auth_key, where they are known; ``cipher_algo`` as in D01."""
    cipher: _Row | None
    if fields.mode in _AH:
        cipher = None
    elif fields.auth_algo == 0:
        cipher = AEADS.get(AEAD_NAMES.get(fields.cipher_algo, ""))
    else:
        cipher = CIPHERS.get(CIPHER_NAMES.get(fields.cipher_algo, ""))
    return cipher, AUTHS.get(MAC_NAMES.get(fields.auth_algo, ""))


def _algorithms(fields: Any) -> Iterator[str]:
    if fields.mode in _AH:
        if fields.cipher_algo:
            yield "cipher_algo is not none with AH"
        if not fields.auth_algo:
            yield "auth_algo is none with AH"
    elif not fields.auth_algo and not fields.cipher_algo:
        yield "cipher_algo and auth_algo are both none with ESP"
    used = {"cipher_key": fields.cipher_algo, "auth_key": fields.auth_algo}
    for (name, algorithm), row in zip(used.items(), _rows(fields), strict=True):
        length = fields[name].length
        if algorithm == 0:
            wrong = length != 0
        elif row is not None:
            wrong = length not in row.key_lengths
        else:
            wrong = not 0 < length <= KEY_SIZE
        if wrong:
            yield f"{name}.length is none that {row.name if row is not None else 'its algorithm'} has"


def _tunnel(param: Any, profile: Profile) -> Iterator[str]:
    if param.type == TunnelType.IPV4:
        header = parse(tunnel_ipv4(profile), param.header)
        ends = {"src_ip": header.src_ip.s_addr, "dst_ip": header.dst_ip.s_addr}
        ranges = {"dscp": (0, 63), "df": (0, 1), "ttl": (1, 255)}
    elif param.type == TunnelType.IPV6:
        header = parse(tunnel_ipv6(profile), param.header)
        ends = {name: any(header[name].s6_u8) for name in ("src_addr", "dst_addr")}
        ranges = {"flabel": (0, 0xFFFFF), "hlimit": (1, 255), "dscp": (0, 63)}
    else:
        yield "param.type is neither IPv4 nor IPv6 in tunnel mode"
        return
    yield from (f"{name} of the tunnel is all zeros" for name, given in ends.items() if not given)
    for name, (least, most) in ranges.items():
        if not least <= header[name] <= most:
            yield f"{name} of the tunnel is not {least} to {most}"


def _offsets(profile: Profile) -> dict[str, int]:
    offsets, at = {}, 0
    for field in ipsec_sa(profile).subcons:
        offsets[field.name] = at
        at += field.sizeof()
    return offsets


_OFFSETS = {profile: _offsets(profile) for profile in Profile}
_OUTER = {TunnelType.IPV4: 20, TunnelType.IPV6: 40}


def least_added(data: bytes, profile: Profile) -> int:
    """How many octets an outbound SA adds to a packet at least: no padding, the shortest ICV."""
    at = _OFFSETS[profile]

    def number(name: str) -> int:
        return int.from_bytes(data[at[name] : at[name] + 8], "little")

    mode, tunnel_type = number("mode") & 0xFF, number("param") & 0xFF
    outer = _OUTER.get(TunnelType(tunnel_type), 0) if mode in _TUNNEL and tunnel_type in _OUTER else 0
    encrypts, protects = number("cipher_algo"), number("auth_algo")
    mac = AUTHS.get(MAC_NAMES.get(protects, ""))
    icv = min(mac.icv_lengths) + mac.iv_length if mac is not None else 0
    if mode in _AH:
        return outer + 12 + icv
    if protects:
        cipher = CIPHERS.get(CIPHER_NAMES.get(encrypts, ""))
        added = icv + (cipher.iv_length if cipher is not None else 0)
    else:
        aead = AEADS.get(AEAD_NAMES.get(encrypts, ""))
        added = aead.iv_length + min(aead.icv_lengths) if aead is not None else 0
    return outer + (8 if number("options") & IpsecOption.UDP_ENCAP else 0) + 8 + added + 2
