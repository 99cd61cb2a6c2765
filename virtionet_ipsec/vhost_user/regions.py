"""The front end's memory, mapped (SET_MEM_TABLE, ADD_MEM_REG, REM_MEM_REG).

A region has two addresses: descriptors in a ring speak guest addresses, the
addresses of the rings themselves are the front end's user addresses.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from ..virtqueue.memory import Memory, OutsideMemory

MOST_REGIONS = 64
"""What GET_MAX_MEM_SLOTS gives."""

_U64_END = 1 << 64


@dataclass(frozen=True, slots=True)
class Region:
    """``size`` octets of shared memory; ``octets`` is the mapping, writable; ``told`` is how often it was added."""

    guest_address: int
    user_address: int
    size: int
    mmap_offset: int
    octets: memoryview
    told: int = 1


def map_region(fields: Any, fd: int) -> Region:
    """Map the region that ``fields`` (a MemRegion) and the descriptor of its file tell; ``fd`` stays the caller's.

    Raises ValueError for what cannot be mapped.
    """
    size, offset = fields.size, fields.mmap_offset
    if not size:
        raise ValueError("a memory region of 0 octets")
    if any(address + size > _U64_END for address in (fields.guest_address, fields.user_address, offset)):
        raise ValueError("a memory region wraps around the end of the address space")
    octets = map_file(fd, offset, size)
    return Region(fields.guest_address, fields.user_address, size, offset, octets)


def map_file(fd: int, offset: int, size: int) -> memoryview:
    """``size`` octets of a file from ``offset`` on, shared and writable.  Raises ValueError."""
    about = os.fstat(fd)
    if offset + size > about.st_size:
        raise ValueError(f"a memory region ends at octet {offset + size} of a file of {about.st_size}")
    # From the file's beginning: an offset need not be one that can be mapped.  In whole blocks: of a file of huge
    # pages nothing else can be unmapped again.
    block = max(about.st_blksize, mmap.PAGESIZE)
    length = min(-(-(offset + size) // block) * block, about.st_size)
    try:
        mapped = mmap.mmap(fd, length)
    except (OSError, ValueError, OverflowError) as error:
        raise ValueError(f"a memory region cannot be mapped: {error}") from None
    return memoryview(mapped)[offset : offset + size]


class Regions:
    """All regions of one front end."""

    def __init__(self, regions: tuple[Region, ...] = ()) -> None:
        if len(regions) > MOST_REGIONS:
            raise ValueError(f"{len(regions)} memory regions, and {MOST_REGIONS} is the most")
        for of in ("guest_address", "user_address"):
            spans = sorted((getattr(region, of), region.size) for region in regions)
            for (address, size), (following, _) in pairwise(spans):
                if address + size > following:
                    raise ValueError(f"memory regions overlap at {of} {following:#x}")
        self._regions = regions
        self.memory = Memory((region.guest_address, region.octets) for region in regions)

    def added(self, region: Region) -> Regions:
        """These and one more.  Raises ValueError when it overlaps one of these or is one too many.

        QEMU tells of each region, and takes it back, once for every pair of queues: the same one is counted.
        """
        same = self._at(region)
        if same is None:
            return Regions((*self._regions, region))
        return self._with(same, told=same.told + 1)

    def removed(self, fields: Any) -> Regions:
        """These without the one at ``fields``' addresses.  Raises ValueError when there is none."""
        there = self._at(fields)
        if there is None:
            raise ValueError(f"there is no memory region at guest address {fields.guest_address:#x}")
        if there.told > 1:
            return self._with(there, told=there.told - 1)
        return Regions(tuple(each for each in self._regions if each is not there))

    def _at(self, place: Any) -> Region | None:
        """The region with the addresses and the size of ``place``."""
        wanted = place.guest_address, place.user_address, place.size
        found = (each for each in self._regions if (each.guest_address, each.user_address, each.size) == wanted)
        return next(found, None)

    def _with(self, region: Region, told: int) -> Regions:
        return Regions(tuple(replace(each, told=told) if each is region else each for each in self._regions))

    def user_view(self, address: int, length: int) -> memoryview:
        """``length`` octets at a user address, in one region.  Raises :class:`OutsideMemory`."""
        for region in self._regions:
            at = address - region.user_address
            if at >= 0 and at + length <= region.size:
                return region.octets[at : at + length]
        raise OutsideMemory(f"{length} octets at user address {address:#x} are in no memory region")
