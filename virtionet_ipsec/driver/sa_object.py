"""From SA parameters to the SA resource object (virtio 1.4, 5.9.9.9.2)."""

from __future__ import annotations

from typing import Any

from ..device.algorithm_ids import AEAD_NAMES, CIPHER_NAMES, MAC_NAMES
from ..ipsec import Direction, Mode, Protocol, SaParams, Tunnel
from ..wire.codec import build
from ..wire.enums import IpsecDir, IpsecMode, IpsecOption, TunnelType
from ..wire.profile import Profile
from ..wire.sa import KEY_SIZE, ipsec_sa, tunnel_ipv4, tunnel_ipv6
from .errors import CannotExpress

_MODE = {
    (Protocol.ESP, Mode.TUNNEL): IpsecMode.ESP_TUNNEL,
    (Protocol.ESP, Mode.TRANSPORT): IpsecMode.ESP_TRANSPORT,
    (Protocol.AH, Mode.TUNNEL): IpsecMode.AH_TUNNEL,
    (Protocol.AH, Mode.TRANSPORT): IpsecMode.AH_TRANSPORT,
}
_DIRECTION = {Direction.OUTBOUND: IpsecDir.OUTBOUND, Direction.INBOUND: IpsecDir.INBOUND}
_CIPHER_IDS = {name: number for number, name in CIPHER_NAMES.items()}
_MAC_IDS = {name: number for number, name in MAC_NAMES.items()}
_AEAD_IDS = {name: number for number, name in AEAD_NAMES.items()}
_ONLY_IN_1_4 = IpsecOption.ECN | IpsecOption.SA_LIFETIME


def options_of(params: SaParams) -> IpsecOption:
    """The options that the parameters stand for."""
    life = params.lifetime
    limited = life.packets_soft or life.bytes_soft or life.packets_hard or life.bytes_hard
    wanted = {
        IpsecOption.ESN: params.esn,
        IpsecOption.UDP_ENCAP: params.udp is not None,
        IpsecOption.COPY_DSCP: params.copy_dscp,
        IpsecOption.DEC_TTL: params.dec_ttl,
        IpsecOption.COPY_DF: params.copy_df,
        IpsecOption.ECN: params.ecn,
        IpsecOption.SA_LIFETIME: limited,
    }
    options = IpsecOption(0)
    for option, on in wanted.items():
        if on:
            options |= option
    return options


def sa_object(params: SaParams, resource_id: int, profile: Profile) -> bytes:
    """``resource_obj_specific_data`` of an SA object: 196 octets, 166 in rfc-v1.

    Raises :class:`CannotExpress` for what the object has no room for.  What the
    model takes beyond it (ICV length, IV, ...) is not in the object.
    """
    options = options_of(params)
    if profile is Profile.RFC_V1 and options & _ONLY_IN_1_4:
        missing = options & _ONLY_IN_1_4
        raise CannotExpress("options", f"the RFC's SA object has no {' and no '.join(str(o.name) for o in missing)}")
    fields: dict[str, Any] = {
        "mode": _MODE[params.protocol, params.mode],
        "direction": _DIRECTION[params.direction],
        "obj_id": resource_id,
        "spi": params.spi,
        # D07: the octets as they lie in the structure.
        "salt": int.from_bytes(params.salt, "little"),
        "options": options,
        "replay_win_sz": params.replay_window,
        **_algorithms(params),
        "cipher_key": {"length": len(params.cipher_key), "data": params.cipher_key},
        "auth_key": {"length": len(params.auth_key), "data": params.auth_key},
    }
    if params.mode is Mode.TUNNEL and params.tunnel is not None:
        fields["param"] = _tunnel(params.tunnel, profile)
    if params.udp is not None:
        fields |= {"udp_sport": params.udp.sport, "udp_dport": params.udp.dport}
    if profile is Profile.RFC_V1:
        fields["esn"] = params.first_seq - 1  # D11: the last number used
    else:
        life = params.lifetime
        fields["life"] = {
            "packets_soft_limit": life.packets_soft,
            "bytes_soft_limit": life.bytes_soft,
            "packets_hard_limit": life.packets_hard,
            "bytes_hard_limit": life.bytes_hard,
        }
    return build(ipsec_sa(profile), **fields)


def _algorithms(params: SaParams) -> dict[str, int]:
    if params.aead is not None:  # D01: an AEAD is a cipher_algo with no auth_algo
        return {"cipher_algo": _AEAD_IDS[params.aead], "auth_algo": 0}
    if params.auth not in _MAC_IDS:
        message = f"{len(params.auth_key)} octets, and the SA object holds {KEY_SIZE}: no {params.auth} (D09)"
        raise CannotExpress("auth_key", message)
    return {"cipher_algo": _CIPHER_IDS[params.cipher or "null"], "auth_algo": _MAC_IDS[params.auth]}


def _tunnel(tunnel: Tunnel, profile: Profile) -> dict[str, Any]:
    if len(tunnel.src) == 4:
        header = build(
            tunnel_ipv4(profile),
            src_ip={"s_addr": int.from_bytes(tunnel.src, "big")},
            dst_ip={"s_addr": int.from_bytes(tunnel.dst, "big")},
            dscp=tunnel.dscp,
            df=int(tunnel.df),
            ttl=tunnel.ttl,
        )
        return {"type": TunnelType.IPV4, "header": header}
    header = build(
        tunnel_ipv6(profile),
        src_addr={"s6_u8": tunnel.src},
        dst_addr={"s6_u8": tunnel.dst},
        flabel=tunnel.flow_label,
        hlimit=tunnel.ttl,
        dscp=tunnel.dscp,
    )
    return {"type": TunnelType.IPV6, "header": header}
