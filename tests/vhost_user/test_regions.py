"""The front end's memory as it comes and goes."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from virtionet_ipsec.vhost_user.regions import Region, Regions, map_region
from virtionet_ipsec.virtqueue.memory import OutsideMemory

SIZE = 1 << 16


def region(guest_address: int) -> Region:
    fd = os.memfd_create("region")
    try:
        os.ftruncate(fd, SIZE)
        place = {"guest_address": guest_address, "user_address": guest_address + SIZE * 100, "size": SIZE}
        return map_region(SimpleNamespace(**place, mmap_offset=0), fd)
    finally:
        os.close(fd)


def test_a_region_told_of_twice_stays_until_it_was_taken_back_twice() -> None:
    """QEMU does so with two pairs of queues: its vhost devices do not know of each other's regions."""
    first, again, other = region(0), region(0), region(SIZE)
    regions = Regions().added(first).added(other).added(again)
    regions.memory.write(8, b"here")
    assert bytes(first.octets[8:12]) == b"here" and bytes(again.octets[8:12]) == bytes(4)
    regions = regions.removed(first)
    assert regions.memory.read(8, 4) == b"here"
    regions = regions.removed(first)
    with pytest.raises(OutsideMemory):
        regions.memory.read(8, 4)
    assert regions.memory.read(SIZE, 4) == bytes(4)
    with pytest.raises(ValueError, match="there is no memory region at guest address 0x0"):
        regions.removed(first)


def test_another_region_at_the_same_place_is_refused() -> None:
    larger = Region(0, SIZE * 100, SIZE * 2, 0, memoryview(bytearray(SIZE * 2)))
    with pytest.raises(ValueError, match="overlap"):
        Regions().added(region(0)).added(larger)
