"""SAs as people and programs read them: what was configured, without keys, and what packets have changed."""

from __future__ import annotations

from dataclasses import asdict
from ipaddress import ip_address
from typing import Any

from ..ipsec import InboundSa, OutboundSa, SaParams


def sa_row(resource_id: int, sa: InboundSa | OutboundSa, **about: Any) -> dict[str, Any]:
    """What an SA is, what else is to be told ``about`` it, and its state, of JSON's types."""
    params, state = sa.params, sa.state
    row: dict[str, Any] = {
        "direction": params.direction.value,
        "resource_id": resource_id,
        "spi": f"0x{params.spi:08x}",
        "mode": f"{params.protocol.name.lower()}-{params.mode.value}",
        "algorithm": params.algorithm_name,
        **about,
        "packets": state.packets,
        "bytes": state.bytes,
        "failures": {reason.value: count for reason, count in state.failures.most_common()},
        "soft_expired": state.soft_expired,
    }
    if isinstance(sa, InboundSa):
        row |= {"highest_seq": sa.window.top, "dummies": state.dummies}
    else:
        row["last_seq"] = state.seq
    return row


def sa_parameters(params: SaParams) -> dict[str, Any]:
    """What was configured beside what :func:`sa_row` tells, of JSON's types; of keys their lengths in bits."""
    options = {"esn": params.esn, "copy-dscp": params.copy_dscp, "dec-ttl": params.dec_ttl}
    options |= {"copy-df": params.copy_df, "ecn": params.ecn}
    found: dict[str, Any] = {
        "key_bits": 8 * len(params.cipher_key or params.auth_key),
        "icv_len": params.icv_length,
        "replay_window": params.replay_window,
        "options": [name for name, on in options.items() if on],
        "lifetime": {name: limit for name, limit in asdict(params.lifetime).items() if limit},
    }
    if params.tunnel is not None:
        found["tunnel"] = {"src": str(ip_address(params.tunnel.src)), "dst": str(ip_address(params.tunnel.dst))}
    if params.udp is not None:
        found["udp"] = asdict(params.udp)
    return found
