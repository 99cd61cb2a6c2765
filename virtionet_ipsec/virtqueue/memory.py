"""Driver memory as the device sees it, and how stores and loads there are ordered.

Addresses are guest-physical. The driver may change any octet at any time, so whoever reads twice may read two things.
"""

from __future__ import annotations

import bisect
import itertools
import platform
import sys
import threading
from collections.abc import Iterable
from typing import Literal

ADDRESS_END = 1 << 64


class OutsideMemory(Exception):
    """An address range that is not, or not wholly, in the memory that the driver shares."""


class Memory:
    """Regions of (guest address, octets, format "B" and writable), in any order.

    ValueError when two overlap, or one goes past the end of the 64-bit address space.
    """

    def __init__(self, regions: Iterable[tuple[int, memoryview]]) -> None:
        spans = sorted((address, address + len(octets), octets.cast("B")) for address, octets in regions if len(octets))
        for (_, end, _), (start, _, _) in itertools.pairwise(spans):
            if start < end:
                raise ValueError(f"memory regions overlap at address {start:#x}")
        if spans and (spans[0][0] < 0 or spans[-1][1] > ADDRESS_END):
            raise ValueError("a memory region is outside the 64-bit address space")
        self._spans = spans
        self._starts = [span[0] for span in spans]
        self.near = spans[0] if spans else (0, 0, memoryview(b""))
        """(address, address of the end, octets) of the region that was used last: most likely the next one, too."""

    def _span(self, address: int) -> tuple[int, int, memoryview]:
        """The region that holds ``address``, which is ``near`` from now on. OutsideMemory when there is none."""
        index = bisect.bisect_right(self._starts, address) - 1
        if index < 0 or address >= self._spans[index][1]:
            raise OutsideMemory(f"address {address:#x} is outside the memory")
        self.near = self._spans[index]
        return self.near

    def view(self, address: int, length: int) -> memoryview:
        """``length`` octets at ``address``, shared, in one region. OutsideMemory otherwise."""
        start, end, octets = self._span(address)
        if length < 0 or address + length > end:
            raise OutsideMemory(f"{length} octets at address {address:#x} are not in one region")
        return octets[address - start : address - start + length]

    def pieces(self, address: int, length: int) -> list[memoryview]:
        """``length`` octets at ``address``, shared, in order: more than one piece where regions adjoin.

        No piece for length 0, whatever the address. OutsideMemory otherwise.
        """
        start, end, octets = self.near
        if start <= address and address + length <= end and length:
            return [octets[address - start : address - start + length]]
        found = []
        while length > 0:
            start, end, octets = self._span(address)
            piece = octets[address - start : min(address + length, end) - start]
            found.append(piece)
            address += len(piece)
            length -= len(piece)
        return found

    def read(self, address: int, length: int) -> bytes:
        """A copy of ``length`` octets, also across adjoining regions. OutsideMemory otherwise."""
        return b"".join(self.pieces(address, length))

    def write(self, address: int, data: bytes) -> None:
        """Writes all of ``data``, also across adjoining regions, or nothing and raises OutsideMemory."""
        offset = 0
        for piece in self.pieces(address, len(data)):
            piece[:] = data[offset : offset + len(piece)]
            offset += len(piece)


# Fields of a ring are written with one store each: assigning to an item of a memoryview of format H, I or Q is one
# move of that width in CPython, which the processor does not split where the field is aligned. struct.pack_into would
# not do: it clears the octets first, and the other side could see the zero.
def items(octets: memoryview, width: Literal["H", "I", "Q"]) -> memoryview:
    """``octets`` as little-endian fields of 2 ("H"), 4 ("I") or 8 ("Q") octets; what is left over is left out."""
    if sys.byteorder != "little":
        raise NotImplementedError("rings are little-endian, and this machine is not")
    size = _SIZES[width]
    return octets[: len(octets) // size * size].cast(width)


_SIZES = {"H": 2, "I": 4, "Q": 8}

_lock = threading.Lock()
_acquire, _release = _lock.acquire, _lock.release


def _one_pair() -> None:
    _acquire()
    _release()


def _two_pairs() -> None:
    _acquire()
    _release()
    _acquire()
    _release()


# "Memory barrier" of the specification. x86 keeps loads in order and stores in order; a store and a later load of
# another place it may swap. Taking a lock is a locked instruction there, which both have to wait for. Elsewhere (arm64)
# taking is "acquire" and releasing is "release", so what is before the first release stays before the second taking,
# and what is behind that stays behind: two pairs order everything.
fence = _one_pair if platform.machine() in ("x86_64", "AMD64", "i386", "i686") else _two_pairs
