"""Writing the project's own SA files.  Reading one again gives the same entries."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import tomlkit
from tomlkit.items import InlineTable, Integer, Table, Trivia

from ..ipsec.sa import Lifetime, SaParams, Tunnel
from .model import SaEntry
from .selects import select_as_dict
from .toml_reader import LIFETIME_KEYS

_MAX_TOML_INTEGER = (1 << 63) - 1


def dumps_toml(entries: Sequence[SaEntry]) -> tuple[str, list[str]]:
    """A TOML file with ``entries``, and warnings, of which there are none: it can say everything."""
    tables = tomlkit.aot()
    for entry in entries:
        tables.append(_table(entry))
    document = tomlkit.document()
    document.append("sa", tables)
    return tomlkit.dumps(document), []


def _table(entry: SaEntry) -> Table:
    params = entry.params
    values: dict[str, Any] = {
        "id": entry.id,
        "direction": params.direction.value,
        "mode": f"{params.protocol.name.lower()}-{params.mode.value}",
        "spi": Integer(params.spi, Trivia(), f"{params.spi:#010x}"),
        "aead": params.aead,
        "cipher": params.cipher,
        "auth": params.auth,
        "cipher_key": params.cipher_key.hex() or None,
        "auth_key": params.auth_key.hex() or None,
        "salt": params.salt.hex() or None,
        "esn": params.esn or None,
        "replay_window": params.replay_window or None,
        "udp": _inline({"sport": params.udp.sport, "dport": params.udp.dport}) if params.udp else None,
        "tunnel": _tunnel(params.tunnel, params.copy_df) if params.tunnel else None,
        "options": _options(params) or None,
        "lifetime": _lifetime(params.lifetime),
        "select": _inline(select_as_dict(entry.select)) if entry.select is not None else None,
    }
    table = tomlkit.table()
    for key, value in values.items():
        if value is not None:
            table.append(key, value)
    model = _model(params)
    if model:
        subtable = tomlkit.table()
        subtable.update(model)
        table.append("model", subtable)
    return table


def _options(params: SaParams) -> list[str]:
    """The options that no other key implies."""
    copied = params.copy_df and (params.tunnel is None or params.tunnel.df)
    flags = {"copy-dscp": params.copy_dscp, "dec-ttl": params.dec_ttl, "copy-df": copied, "ecn": params.ecn}
    return [name for name, on in flags.items() if on]


def _tunnel(tunnel: Tunnel, copy_df: bool) -> InlineTable:
    values: dict[str, Any] = {"src": str(ip_address(tunnel.src)), "dst": str(ip_address(tunnel.dst))}
    if tunnel.dscp:
        values["dscp"] = tunnel.dscp
    if tunnel.df or copy_df:
        values["df"] = "set" if tunnel.df else "copy"
    if tunnel.ttl != 64:
        values["ttl"] = tunnel.ttl
    if tunnel.flow_label:
        values["flow_label"] = tunnel.flow_label
    return _inline(values)


def _lifetime(lifetime: Lifetime) -> InlineTable | None:
    limits = {key: getattr(lifetime, key) for key in LIFETIME_KEYS if getattr(lifetime, key)}
    return _inline({key: _wide(limit) for key, limit in limits.items()}) if limits else None


def _model(params: SaParams) -> dict[str, Any]:
    values = {
        "icv_len": params.icv_len,
        "iv": params.iv.hex() if params.iv is not None else None,
        "first_seq": _wide(params.first_seq) if params.first_seq != 1 else None,
        "ah_align": params.ah_align,
    }
    return {key: value for key, value in values.items() if value is not None}


def _wide(value: int) -> int | str:
    """TOML's integers have 64 bits with a sign: what is beyond them is written as a string."""
    return value if value <= _MAX_TOML_INTEGER else f"{value:#x}"


def _inline(values: dict[str, Any]) -> InlineTable:
    table = tomlkit.inline_table()
    table.update(values)
    return table
