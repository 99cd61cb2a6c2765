"""Events as JSON, for the control socket."""

from __future__ import annotations

import json
import time
from dataclasses import fields
from enum import Enum
from typing import Any, cast

from ..device import packet_events
from ..ipsec import Event
from ..ipsec import events as engine_events

_WHOLE_STORY = {
    kind
    for module in (packet_events, engine_events)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Event)
}

STEPS = frozenset(_WHOLE_STORY - {packet_events.Dropped, packet_events.IpsecFailed, engine_events.SoftLifetimeReached})
"""The events of packets to which nothing happens that anybody has to know."""


def as_json(device: str, event: Event) -> bytes:
    """``event`` of the ``device`` of that name.  Octets are hexadecimal; no event holds keys or what packets carry."""
    values: dict[str, Any] = {"time": round(time.time(), 6), "device": device, "event": type(event).__name__}
    for row in fields(cast(Any, event)):  # every event but their base is a dataclass
        values[row.name] = _plain(getattr(event, row.name))
    return json.dumps(values).encode()


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Enum):
        return value.value if isinstance(value.value, str) else value.name
    return value
