"""Capabilities in words: fields by their names, and names for numbers."""

from __future__ import annotations

from typing import Any

from ..device.algorithm_ids import AEAD_NAMES, CIPHER_NAMES, MAC_NAMES
from ..wire.capabilities import FfActionCap, FfResourceCap, FfSelectorCap, IpsecResourceCap, ipsec_sa_cap
from ..wire.codec import parse
from ..wire.enums import Action, CapId, IpsecMode, IpsecOption, SelectorType
from ..wire.profile import Profile


def capability(cap: CapId, data: bytes, profile: Profile) -> Any:
    """A capability's fields, with names for numbers."""
    match cap:
        case CapId.FF_RESOURCE_CAP:
            return _numbers(parse(FfResourceCap, data))
        case CapId.IPSEC_RESOURCE_CAP:
            return _numbers(parse(IpsecResourceCap, data))
        case CapId.FF_ACTION_CAP:
            return {"actions": [_named(Action, number) for number in parse(FfActionCap, data).actions]}
        case CapId.FF_SELECTOR_CAP:
            rows = parse(FfSelectorCap, data).selectors
            return {_named(SelectorType, row.type): bytes(row.mask).hex() for row in rows}
        case CapId.IPSEC_SA_CAP:
            return [_mode(row) for row in parse(ipsec_sa_cap(profile), data).cap_mode]
    return {"octets": data.hex()}


def _numbers(fields: Any) -> dict[str, int]:
    return {name: value for name, value in fields.items() if isinstance(value, int)}


def _mode(row: Any) -> dict[str, Any]:
    return {
        "mode": _named(IpsecMode, row.mode),
        "max_replay_win_sz": row.max_replay_win_sz,
        "options": [str(option.name) for option in IpsecOption if row.options & option],
        "cipher_algo": [name for bit, name in CIPHER_NAMES.items() if row.cipher_algo >> bit & 1],
        "hmac_algo": [name for bit, name in MAC_NAMES.items() if row.hmac_algo >> bit & 1],
        "aead_algo": [name for bit, name in AEAD_NAMES.items() if row.aead_algo >> bit & 1],
        "max_cipher_key_len": row.max_cipher_key_len,
        "max_auth_key_len": row.max_auth_key_len,
    }


def _named(kind: Any, number: int) -> str:
    return str({int(each): each.name for each in kind}.get(number, number))
