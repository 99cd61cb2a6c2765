"""Driver and device in two processes, as they are in earnest: what one stores, the other sees while it goes on."""

from __future__ import annotations

import mmap
import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from virtionet_ipsec.virtqueue.driver_packed import PackedDriver
from virtionet_ipsec.virtqueue.driver_split import SplitDriver
from virtionet_ipsec.virtqueue.memory import Memory, items
from virtionet_ipsec.virtqueue.packed import PackedQueue
from virtionet_ipsec.virtqueue.split import SplitQueue

from .models import EVENT_IDX

FORMATS = pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
SIZE = 16
READS = 500_000


def shared(packed: bool) -> tuple[memoryview, Any]:
    octets = memoryview(mmap.mmap(-1, 1 << 16))
    lengths = (16 * SIZE, 4, 4) if packed else (16 * SIZE, 6 + 2 * SIZE, 6 + 8 * SIZE)
    return octets, tuple(octets[4096 * index :][:length] for index, length in enumerate(lengths))


@contextmanager
def child(work: Callable[[], None]) -> Iterator[None]:
    """``work`` in another process, for as long as the body lasts."""
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(1)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_used_index_is_stored_at_once() -> None:
    """It only ever grows: a store octet by octet, or through 0, would show for a moment."""
    octets, rings = shared(packed=False)
    available, used = items(rings[1], "H"), items(rings[2], "H")

    def device() -> None:
        queue = SplitQueue(Memory([(0, octets)]), SIZE, rings, 0)
        while True:
            available[1] = (available[1] + 1) & 0xFFFF
            queue.finish([(chain, 0) for chain in queue.take(1)])

    with child(device):
        last = changes = 0
        for _ in range(READS):
            index = used[1]
            assert (index - last) & 0xFFFF < 0x8000
            changes += index != last
            last = index
    assert changes > 10


def test_used_descriptor_is_stored_at_once() -> None:
    """Length, id and flags belong together whenever they are read."""
    octets, rings = shared(packed=True)
    words = items(rings[0], "Q")

    def device() -> None:
        queue = PackedQueue(Memory([(0, octets)]), SIZE, rings, 0)
        place = 0
        while True:
            name, marks = place * 77 & 0xFFFF, 0x80 if not place // SIZE % 2 else 0x8000
            words[2 * (place % SIZE) + 1] = name + 7 | name << 32 | (2 | marks) << 48
            (chain,) = queue.take(1)
            queue.finish([(chain, name + 7)])
            place += 1

    with child(device):
        last = changes = 0
        for _ in range(READS):
            word = words[1]
            assert not word or (word & 0xFFFF_FFFF) - (word >> 32 & 0xFFFF) == 7
            changes += word != last
            last = word
    assert changes > 10


@FORMATS
@pytest.mark.parametrize("features", [0, EVENT_IDX])
def test_both_sleep_and_none_oversleeps(packed: bool, features: int) -> None:
    """20,000 buffers, each side waiting for the other's notification whenever there is nothing to do."""
    octets, rings = shared(packed)
    kicks, calls = os.eventfd(0, os.EFD_NONBLOCK), os.eventfd(0, os.EFD_NONBLOCK)
    count = 20000

    def sleep(eventfd: int) -> None:
        assert select.select([eventfd], [], [], 20)[0], "nobody wakes me"
        os.eventfd_read(eventfd)

    def device() -> None:
        queue = (PackedQueue if packed else SplitQueue)(Memory([(0, octets)]), SIZE, rings, features)
        while True:
            chains = queue.take(3)
            if chains:
                queue.finish([(chain, 0) for chain in chains])
                if queue.interrupt_wanted():
                    os.eventfd_write(calls, 1)
            elif not queue.ask_for_kicks(True):
                sleep(kicks)
                queue.ask_for_kicks(False)

    driver = (PackedDriver if packed else SplitDriver)(SIZE, rings, features)
    with child(device):
        added, seen = 0, []
        while len(seen) < count:
            while driver.free and added < count:
                driver.add([(0x8000, 60)], [], added)
                added += 1
            driver.publish()
            if driver.kick_wanted():
                os.eventfd_write(kicks, 1)
            used = driver.used()
            seen += [token for token, _ in used]
            if not used and not driver.ask_for_interrupts(True):
                sleep(calls)
                driver.ask_for_interrupts(False)
    os.close(kicks)
    os.close(calls)
    assert seen == list(range(count))
