"""A ``select`` in the types of JSON, as the control socket and its client write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .model import Select
from .values import PROTOCOL_NAMES, PROTOCOLS, WITH_PORTS, network

FIELDS = ("src", "dst", "proto", "sport", "dport")


def select_as_dict(select: Select) -> dict[str, Any]:
    """What :func:`select_from` reads; without what matches anything."""
    proto = select.proto
    values = {
        "src": str(select.src) if select.src is not None else None,
        "dst": str(select.dst) if select.dst is not None else None,
        "proto": PROTOCOL_NAMES.get(proto, proto) if proto is not None else None,
        "sport": select.sport,
        "dport": select.dport,
    }
    return {name: value for name, value in values.items() if value is not None}


def select_from(values: Mapping[str, Any]) -> Select:
    """``src`` and ``dst`` are networks, ``proto`` a name or number, the ports numbers.

    None and what is missing match anything.  Raises ValueError, whose message is for people.
    """
    if strange := set(values) - set(FIELDS):
        raise ValueError(f"a select has no {', '.join(sorted(strange))}")
    src, dst = _network(values, "src"), _network(values, "dst")
    if src is not None and dst is not None and src.version != dst.version:
        raise ValueError("src and dst are of different IP versions")
    proto = _protocol(values.get("proto"))
    sport, dport = _port(values, "sport"), _port(values, "dport")
    if (sport is not None or dport is not None) and proto not in WITH_PORTS:
        raise ValueError("ports need a protocol that has ports")
    return Select(src, dst, proto, sport, dport)


def _network(values: Mapping[str, Any], name: str) -> Any:
    text = values.get(name)
    if text is None:
        return None
    if not isinstance(text, str):
        raise ValueError(f"{name} is no network")
    try:
        return network(text)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def _protocol(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, str):
        number = PROTOCOLS.get(value, int(value) if value.isdecimal() and len(value) <= 3 else -1)
    else:
        number = value if isinstance(value, int) and not isinstance(value, bool) else -1
    if not 0 <= number <= 255:
        raise ValueError(f"proto is not in 0 to 255, and none of: {', '.join(PROTOCOLS)}")
    return number


def _port(values: Mapping[str, Any], name: str) -> int | None:
    value = values.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 0xFFFF:
        raise ValueError(f"{name} is not in 0 to 65535")
    return value
