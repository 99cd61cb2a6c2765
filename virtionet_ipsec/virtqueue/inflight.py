"""The in-flight region of vhost-user (vhost-user.rst, "Inflight I/O tracking"): it survives a backend that is killed.

A queue writes down there which buffers it has taken, and clears them when the driver has them back.  A kill may come
between any two stores: whatever is in the region then, ``resume`` finds what was in flight.

The front end shares the region and may write anything there.  So it is read by ``resume`` only, which holds it against
itself; a running backend remembers what it needs.
"""

from __future__ import annotations

VERSION = 1
ALIGNMENT = 64
"""Each queue's part of the region starts on a multiple of this, as other backends have it."""

SPLIT_HEADER, SPLIT_ENTRY = 16, 16
PACKED_HEADER, PACKED_ENTRY = 32, 32
"""Octets."""


class Contradiction(Exception):
    """A region that cannot be the work of a backend; why."""


def inflight_size(queue_size: int, packed: bool) -> int:
    """Octets of one queue's part of the region."""
    header, entry = (PACKED_HEADER, PACKED_ENTRY) if packed else (SPLIT_HEADER, SPLIT_ENTRY)
    return -(-(header + queue_size * entry) // ALIGNMENT) * ALIGNMENT


def check_length(octets: memoryview, queue_size: int, packed: bool) -> None:
    """ValueError when ``octets`` are too few."""
    if len(octets) < inflight_size(queue_size, packed):
        raise ValueError(f"the in-flight region has {len(octets)} octets for a queue size of {queue_size}")


def check_header(version: int, desc_num: int, queue_size: int) -> None:
    """Contradiction when a region is of another version or for another queue."""
    if (version, desc_num) != (VERSION, queue_size):
        raise Contradiction(
            f"the in-flight region has version {version} and {desc_num} descriptors, not {VERSION} and {queue_size}"
        )


def following(counter: int) -> int:
    """The next value of the u64 that tells the order in which buffers were taken."""
    return (counter + 1) & 0xFFFFFFFFFFFFFFFF
