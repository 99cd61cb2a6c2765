"""One line for one packet: the JSON Lines record and the pcapng comment (documented in specs/replay-report.md)."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache

from ..wire.enums import ResourceType
from .captured import Packet
from .session import Outcome

_TYPE_NAMES = {int(ResourceType.IPSEC_INB_SA): "INB_SA", int(ResourceType.IPSEC_OUTB_SA): "OUTB_SA"}

FlagNames = Callable[[int], tuple[str, ...]]


def type_name(resource_type: int) -> str | None:
    """``resource_type`` as people read it; None for 0."""
    return _TYPE_NAMES.get(resource_type, hex(resource_type)) if resource_type else None


def jsonl(packet: Packet, outcome: Outcome, flag_names: FlagNames) -> str:
    """The record of one packet, with its line end."""
    refused = outcome.refused
    record = {
        "index": packet.index,
        "direction": outcome.direction,
        "verdict": outcome.verdict,
        "flags": list(flag_names(outcome.flags)),
        "resource_id": outcome.resource_id,
        "resource_type": type_name(outcome.resource_type),
        "reason": refused.reason.value if refused is not None else None,
        "detail": refused.detail if refused is not None else None,
        "length_in": len(packet.data),
        "length_out": len(outcome.data),
    }
    return json.dumps(record) + "\n"


class Comments:
    """The pcapng comments of a replay; one text for all packets that say the same."""

    def __init__(self, flag_names: FlagNames) -> None:
        self._flag_names = flag_names
        self._text = lru_cache(maxsize=4096)(self._make)

    def __call__(self, outcome: Outcome) -> str:
        refused = outcome.refused
        reason = refused.reason.value if refused is not None else None
        return self._text(outcome.flags, outcome.resource_id, outcome.resource_type, reason)

    def _make(self, flags: int, resource_id: int, resource_type: int, reason: str | None) -> str:
        text = f"virtio: flags={'|'.join(self._flag_names(flags)) or 'none'}"
        if resource_type:
            text += f" resource_id={resource_id} type={type_name(resource_type)}"
        return text + (f" reason={reason}" if reason else "")
