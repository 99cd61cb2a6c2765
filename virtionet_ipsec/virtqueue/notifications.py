"""When a notification is due: split rings with EVENT_IDX (2.7.7, 2.7.10), packed rings (2.8.14)."""

from __future__ import annotations

ENABLE = 0
DISABLE = 1
DESC = 2
"""RING_EVENT_FLAGS_*; 3 is reserved, and taken as ENABLE (D114)."""


def passed(event: int, index: int, count: int) -> bool:
    """Is ``event`` among the ``count`` 16-bit indexes that end before ``index``?"""
    return (index - event - 1) & 0xFFFF < count


def packed_due(word: int, event_idx: bool, size: int, offset: int, wrap: int, count: int) -> bool:
    """Is a notification due by an event suppression structure, ``word``, read as one le32?

    ``count`` ring entries were passed; the next one is ``offset`` with the wrap counter ``wrap``.
    """
    flags = word >> 16 & 3
    if flags == DISABLE:
        return False
    if flags != DESC or not event_idx:
        return True
    event = word & 0x7FFF
    if not word >> 15 & 1:
        event += size
    if not wrap:
        offset += size
    return (offset - event - 1) % (2 * size) < count


def packed_event(offset: int, wrap: int) -> int:
    """The structure, as le32, that asks for a notification when entry ``offset`` is reached with ``wrap``."""
    return offset | wrap << 15 | DESC << 16
