"""Descriptors (virtio 1.4, 2.7.5 and 2.8.13): their layout, and how a list of elements becomes a buffer."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from .memory import Memory, OutsideMemory

NEXT = 1
WRITE = 2
INDIRECT = 4

SLOW = NEXT | INDIRECT
"""Descriptors with one of these are not a whole buffer."""

AVAIL = 1 << 7
USED = 1 << 15
MARKS = AVAIL | USED


def available_marks(wrap: int) -> int:
    """The MARKS of an available descriptor, by the ring wrap counter (2.8.1)."""
    return AVAIL if wrap else USED


def used_marks(wrap: int) -> int:
    """The MARKS of a used one."""
    return MARKS if wrap else 0


DESCRIPTOR = struct.Struct("<QIHH")
"""Split: addr, len, flags, next. Packed: addr, len, id, flags."""

MAX_SIZE = 1 << 15
"""Queue Size ends there in both formats (2.7, 2.8)."""

MAX_CHAIN = 1 << 32
"""Octets of one buffer (2.7.5.2)."""

MAX_READABLE = 1 << 20
"""More than this is not copied for one buffer (D111)."""

FAST_LENGTH = 1 << 16
"""Elements up to this length are taken without counting the work."""

WORK = 1 << 22
"""One call of take stops behind the buffer with which it has done more work than this, in octets copied."""

DESCRIPTOR_WORK = 1 << 6
"""Octets that could be copied while one descriptor is looked at."""


class Malformed(Exception):
    """Why a buffer cannot be used; the message is the ``refused`` of its Chain."""


def gather(memory: Memory, elements: Iterable[tuple[int, int, int]]) -> tuple[bytes, tuple[memoryview, ...], int]:
    """The readable octets, the writable views and their length, of elements (address, length, flags).

    Only WRITE counts among the flags. An element of length 0 adds nothing, wherever it points (D112). Raises Malformed.
    """
    readable: list[memoryview] = []
    writable: list[memoryview] = []
    readable_len = writable_len = 0
    writing = False
    start, end, octets = memory.near
    try:
        for address, length, flags in elements:
            if flags & WRITE:
                writing = True
                writable_len += length
                if start <= address and address + length <= end and length:
                    writable.append(octets[address - start : address - start + length])
                else:
                    writable += memory.pieces(address, length)
                    start, end, octets = memory.near
            elif writing:
                raise Malformed("a device-readable element comes after a device-writable one")
            else:
                readable_len += length
                if readable_len > MAX_READABLE:
                    raise Malformed(f"it has more than {MAX_READABLE} device-readable octets")
                readable += memory.pieces(address, length)
    except OutsideMemory as error:
        raise Malformed(str(error)) from None
    if readable_len + writable_len > MAX_CHAIN:
        raise Malformed("it is longer than 2^32 octets")
    return b"".join(readable), tuple(writable), writable_len


def indirect_table(memory: Memory, address: int, length: int, size: int) -> bytes:
    """A copy of the table that an INDIRECT descriptor points to; ``size`` is that of the queue. Raises Malformed."""
    if not length or length % DESCRIPTOR.size:
        raise Malformed(f"its indirect table has {length} octets, not a multiple of {DESCRIPTOR.size}")
    if length // DESCRIPTOR.size > size:
        raise Malformed(f"its indirect table has {length // DESCRIPTOR.size} descriptors in a queue of {size}")
    try:
        return memory.read(address, length)
    except OutsideMemory as error:
        raise Malformed(str(error)) from None


RESUMED = -1
"""The ``place`` of a buffer that was taken before the backend was killed."""
