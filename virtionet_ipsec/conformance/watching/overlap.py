"""Whether two flow filter rules may match one and the same packet (virtio 1.4, 5.1.9.6)."""

from __future__ import annotations

from typing import Any


def may_overlap(selectors: list[Any], keys: bytes, other_selectors: list[Any], other_keys: bytes) -> bool:
    """Whether no bit that both compare has to be different: selectors of one place that look at the same header.

    Selectors of different headers in one place exclude each other.
    """
    at = other_at = 0
    for one, other in zip(selectors, other_selectors, strict=False):
        if one.type != other.type:
            return False
        own, their = keys[at : at + one.length], other_keys[other_at : other_at + other.length]
        both = min(map(len, (one.mask, other.mask, own, their)))
        mask, other_mask, key, other_key = (
            int.from_bytes(octets[:both], "big") for octets in (one.mask, other.mask, own, their)
        )
        if mask & other_mask & (key ^ other_key):
            return False
        at, other_at = at + one.length, other_at + other.length
    return True
