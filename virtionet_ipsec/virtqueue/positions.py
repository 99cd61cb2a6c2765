"""Positions in a packed ring: how vhost-user tells them, and how far one is ahead of the other (virtio 1.4, 2.8.1)."""

from __future__ import annotations

from .descriptors import MARKS, USED, available_marks

Position = tuple[int, int]
"""Offset in the descriptor ring, and the wrap counter there."""


def first_positions(start: int, size: int, first_flags: int) -> tuple[Position, Position]:
    """(offset, wrap counter) to take from and to use from, as ``start`` tells them.

    Bits 0-14 and 15 are the first, 16-30 and 31 the second.  Front ends that know no packed ring send 0 for a new one,
    and others leave the second half 0 always; the flags of the ring's first descriptor tell what is meant (D117).
    ValueError for what cannot be.
    """
    take = start & 0x7FFF, start >> 15 & 1
    use = start >> 16 & 0x7FFF, start >> 31 & 1
    if not start and not first_flags & USED:
        take = use = (0, 1)
    elif use == (0, 0) and (first_flags & MARKS != available_marks(0) or ahead(take, use, size) > size):
        use = take
    if take[0] >= size or use[0] >= size or ahead(take, use, size) > size:
        raise ValueError(f"a packed virtqueue of {size} cannot go on from {start:#010x}")
    return take, use


def ahead(position: Position, other: Position, size: int) -> int:
    """How many ring entries ``position`` is ahead of ``other``, modulo two rounds."""
    return (position[0] - other[0] + (size if position[1] != other[1] else 0)) % (2 * size)
