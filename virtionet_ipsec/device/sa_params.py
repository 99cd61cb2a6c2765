"""From the SA object to the engine's parameters (virtio 1.4, 5.9.9.9 IPSEC Service Operation).

Every refusal names the field and says what is wrong with it.  No refusal holds
key material.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..ipsec import Direction, Lifetime, Mode, ParameterError, Protocol, SaParams, Tunnel, UdpEncap
from ..ipsec.algorithms import AEADS, AUTHS, CIPHERS, Aead, Cipher, Integrity
from ..wire.codec import parse
from ..wire.enums import AeadAlgo, CipherAlgo, IpsecDir, IpsecMode, IpsecOption, MacAlgo, ResourceType, TunnelType
from ..wire.profile import Profile
from ..wire.sa import KEY_SIZE, tunnel_ipv4, tunnel_ipv6
from .algorithm_ids import AEAD_NAMES, CIPHER_NAMES, MAC_NAMES
from .limits import SaModeCap
from .refusal import invalid_field

DIRECTIONS: dict[ResourceType, tuple[IpsecDir, Direction]] = {
    ResourceType.IPSEC_OUTB_SA: (IpsecDir.OUTBOUND, Direction.OUTBOUND),
    ResourceType.IPSEC_INB_SA: (IpsecDir.INBOUND, Direction.INBOUND),
}

_MODES: dict[IpsecMode, tuple[Protocol, Mode]] = {
    IpsecMode.ESP_TUNNEL: (Protocol.ESP, Mode.TUNNEL),
    IpsecMode.ESP_TRANSPORT: (Protocol.ESP, Mode.TRANSPORT),
    IpsecMode.AH_TUNNEL: (Protocol.AH, Mode.TUNNEL),
    IpsecMode.AH_TRANSPORT: (Protocol.AH, Mode.TRANSPORT),
}

# The engine's names of parameters, where the structure has another.
_FIELDS = {
    "auth": "auth_algo",
    "udp.sport": "udp_sport",
    "udp.dport": "udp_dport",
    "tunnel.dscp": "param.dscp",
    "tunnel.ttl": "param.ttl or param.hlimit",
    "tunnel.flow_label": "param.flabel",
}


@dataclass(frozen=True, slots=True)
class ModelExtras:
    """What the engine can do and the virtio object cannot say; None is what the engine does by itself.

    ``icv_len`` in octets, ``iv`` the first IV of an outbound SA, ``first_seq``
    the first sequence number sent or expected, ``ah_align`` 4 or 8 octets.
    """

    icv_len: int | None = None
    iv: bytes | None = None
    first_seq: int | None = None
    ah_align: int | None = None


NO_EXTRAS = ModelExtras()


@dataclass(frozen=True, slots=True, repr=False)  # it holds keys
class _Algorithms:
    """The algorithm parameters of :class:`SaParams`."""

    aead: str | None
    cipher: str | None
    auth: str | None
    cipher_key: bytes
    auth_key: bytes
    salt: bytes


def sa_params(
    kind: ResourceType, fields: Any, modes: Mapping[IpsecMode, SaModeCap], extras: ModelExtras, profile: Profile
) -> SaParams:
    """The parameters in ``fields``, a parsed SA object, if the driver's IPSEC_SA_CAP (``modes``) allows them.

    Raises :class:`CommandRefused` (EINVAL, INVALID_FIELD).
    """
    wire_direction, direction = DIRECTIONS[kind]
    if fields.direction != wire_direction:
        right = f"{wire_direction.name} ({wire_direction:d})"
        raise invalid_field(f"direction {fields.direction} is not {right}, which {kind.name} has")
    cap = modes.get(fields.mode)
    if cap is None:
        raise invalid_field(f"mode {_name(IpsecMode, fields.mode)} is not in the driver's IPSEC_SA_CAP")
    protocol, mode = _MODES[cap.mode]
    options = _options(fields.options, cap)
    algorithms = _ah_algorithms(fields, cap) if protocol is Protocol.AH else _esp_algorithms(fields, cap)
    try:
        return SaParams(
            direction=direction,
            protocol=protocol,
            mode=mode,
            spi=fields.spi,
            aead=algorithms.aead,
            cipher=algorithms.cipher,
            auth=algorithms.auth,
            cipher_key=algorithms.cipher_key,
            auth_key=algorithms.auth_key,
            salt=algorithms.salt,
            esn=IpsecOption.ESN in options,
            replay_window=_replay_window(fields.replay_win_sz, cap) if direction is Direction.INBOUND else 0,
            # An inbound SA's need not be set (5.1.9.7.5, driver requirements): whatever is there is not looked at.
            tunnel=_tunnel(fields.param, profile) if mode is Mode.TUNNEL and direction is Direction.OUTBOUND else None,
            udp=UdpEncap(fields.udp_sport, fields.udp_dport) if IpsecOption.UDP_ENCAP in options else None,
            copy_dscp=IpsecOption.COPY_DSCP in options,
            dec_ttl=IpsecOption.DEC_TTL in options,
            copy_df=IpsecOption.COPY_DF in options,
            ecn=IpsecOption.ECN in options,
            lifetime=_lifetime(fields.life) if IpsecOption.SA_LIFETIME in options else Lifetime(),
            icv_len=extras.icv_len,
            iv=extras.iv,
            first_seq=_first_seq(fields, extras, profile),
            ah_align=extras.ah_align,
        )
    except ParameterError as error:
        raise invalid_field(f"{_FIELDS.get(error.field, error.field)}: {error.message}") from None


def _name(names: type[IpsecMode | CipherAlgo | MacAlgo | AeadAlgo], value: int) -> str:
    try:
        return names(value).name
    except ValueError:
        return str(value)


def _options(bits: int, cap: SaModeCap) -> IpsecOption:
    for bit in range(bits.bit_length()):
        if bits >> bit & 1 and not cap.options >> bit & 1:
            known = 1 << bit in IpsecOption.__members__.values()
            name = IpsecOption(1 << bit).name if known else f"bit {bit}"
            raise invalid_field(f"option {name} is not in the capability of {cap.mode.name}")
    return IpsecOption(bits)


def _in_mask(algorithm: int, mask: int) -> bool:
    return algorithm < 64 and bool(mask >> algorithm & 1)


def _esp_algorithms(fields: Any, cap: SaModeCap) -> _Algorithms:
    """D01: without an ``auth_algo``, ``cipher_algo`` is the id of an AEAD."""
    encrypts, protects = fields.cipher_algo, fields.auth_algo
    if protects == MacAlgo.NO_MAC:
        name = _name(AeadAlgo, encrypts)
        if encrypts == AeadAlgo.NO_AEAD:
            raise invalid_field("cipher_algo and auth_algo are both none: ESP needs an AEAD, or a cipher and a MAC")
        if not _in_mask(encrypts, cap.aead_algo):
            raise invalid_field(
                f"cipher_algo {name} is not in aead_algo of the capability of {cap.mode.name}"
                " (as auth_algo is none, it is an AEAD: D01)"
            )
        aead = AEADS[AEAD_NAMES[encrypts]]
        key = _key(fields, "cipher_key", name, aead.key_lengths, cap.max_cipher_key_len)
        _no_key(fields, "auth_key", "auth_algo")
        return _Algorithms(aead.name, None, None, key, b"", _salt(fields.salt, aead))
    cipher_name = _name(CipherAlgo, encrypts)
    if not _in_mask(encrypts, cap.cipher_algo):
        raise invalid_field(f"cipher_algo {cipher_name} is not in the capability of {cap.mode.name}")
    cipher = CIPHERS[CIPHER_NAMES[encrypts]]
    cipher_key = _key(fields, "cipher_key", cipher_name, cipher.key_lengths, cap.max_cipher_key_len)
    auth, auth_key = _mac(fields, cap)
    salted = auth if auth.salt_length else cipher
    return _Algorithms(None, cipher.name, auth.name, cipher_key, auth_key, _salt(fields.salt, salted))


def _ah_algorithms(fields: Any, cap: SaModeCap) -> _Algorithms:
    if fields.cipher_algo != CipherAlgo.NO_CIPHER:
        raise invalid_field(f"cipher_algo {fields.cipher_algo} in mode {cap.mode.name}: AH does not encrypt")
    if fields.auth_algo == MacAlgo.NO_MAC:
        raise invalid_field(f"auth_algo is none in mode {cap.mode.name}: AH needs a MAC")
    _no_key(fields, "cipher_key", "cipher_algo")
    auth, auth_key = _mac(fields, cap)
    return _Algorithms(None, None, auth.name, b"", auth_key, _salt(fields.salt, auth))


def _mac(fields: Any, cap: SaModeCap) -> tuple[Integrity, bytes]:
    name = _name(MacAlgo, fields.auth_algo)
    if not _in_mask(fields.auth_algo, cap.hmac_algo):
        raise invalid_field(f"auth_algo {name} is not in hmac_algo of the capability of {cap.mode.name}")
    auth = AUTHS[MAC_NAMES[fields.auth_algo]]
    return auth, _key(fields, "auth_key", name, auth.key_lengths, cap.max_auth_key_len)


def _key(fields: Any, field: str, algorithm: str, lengths: tuple[int, ...], most: int) -> bytes:
    length = fields[field].length
    if length > KEY_SIZE:
        raise invalid_field(f"{field}.length {length} is more than the {KEY_SIZE} octets of the field")
    if length not in lengths:
        *others, last = (str(each) for each in lengths)
        sizes = f"{', '.join(others)} or {last}" if others else last
        raise invalid_field(f"{field}.length {length} is not {sizes} for {algorithm}")
    if length > most:
        raise invalid_field(f"{field}.length {length} is more than max_{field}_len {most} of the capability")
    return bytes(fields[field].data[:length])


def _no_key(fields: Any, field: str, algorithm: str) -> None:
    if fields[field].length:
        raise invalid_field(f"{field}.length {fields[field].length} is not 0, though {algorithm} takes no key from it")


def _salt(salt: int, algorithm: Aead | Cipher | Integrity) -> bytes:
    """D07: the octets as they lie in the structure, as many as the algorithm takes."""
    return salt.to_bytes(4, "little")[: algorithm.salt_length]


def _replay_window(size: int, cap: SaModeCap) -> int:
    if size > cap.max_replay_win_sz:
        most = cap.max_replay_win_sz
        raise invalid_field(f"replay_win_sz {size} is more than max_replay_win_sz {most} of {cap.mode.name}")
    return size


def _tunnel(param: Any, profile: Profile) -> Tunnel:
    """The outer header of an outbound SA."""
    if param.type == TunnelType.IPV4:
        ipv4 = parse(tunnel_ipv4(profile), param.header)
        if ipv4.df > 1:
            raise invalid_field(f"param.df {ipv4.df} is neither 0 (clear) nor 1 (set)")
        src, dst = (address.s_addr.to_bytes(4, "big") for address in (ipv4.src_ip, ipv4.dst_ip))  # D06
        return Tunnel(src, dst, dscp=ipv4.dscp, df=bool(ipv4.df), ttl=ipv4.ttl)
    if param.type == TunnelType.IPV6:
        ipv6 = parse(tunnel_ipv6(profile), param.header)
        addresses = ipv6.src_addr.s6_u8, ipv6.dst_addr.s6_u8
        return Tunnel(*addresses, dscp=ipv6.dscp, ttl=ipv6.hlimit, flow_label=ipv6.flabel)
    raise invalid_field(f"param.type {param.type} is neither IPV4 (1) nor IPV6 (2)")  # D05


def _lifetime(life: Any) -> Lifetime:
    return Lifetime(life.packets_soft_limit, life.bytes_soft_limit, life.packets_hard_limit, life.bytes_hard_limit)


def _first_seq(fields: Any, extras: ModelExtras, profile: Profile) -> int:
    if extras.first_seq is not None:
        return extras.first_seq
    return int(fields.esn) + 1 if profile is Profile.RFC_V1 else 1  # D11
