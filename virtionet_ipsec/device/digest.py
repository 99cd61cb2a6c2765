"""A fingerprint of the control plane, for tests that something changed nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def digest(parts: Iterable[object], objects: Iterable[tuple[int, int, bytes]]) -> bytes:
    """SHA-256 over ``parts``, by their repr, and the bytes of ``objects`` (type, id, data), in order.

    ``objects`` hold keys; a hash does not give them back.
    """
    state = hashlib.sha256()
    for part in parts:
        state.update(repr(part).encode() + b"\n")
    for kind, resource_id, data in objects:
        state.update(f"{kind} {resource_id} {len(data)} ".encode() + data)
    return state.digest()
