"""Another process writes descriptors, tables and indexes while the device reads them."""

from __future__ import annotations

import os
import random
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .rig import (
    F_EVENT_IDX,
    F_INDIRECT,
    F_MRG_RXBUF,
    F_PROTOCOL,
    F_RING_PACKED,
    FRAME,
    INFLIGHT,
    MQ,
    NEEDS_RESET,
    PLAIN,
    REPLY_ACK,
    FrontEnd,
    PackedRing,
    Rig,
    SharedMemory,
    SplitRing,
    passes,
)

TURNS = 1500
TABLES = 0xC000


def meddle(memory: SharedMemory, packed: int, seed: int) -> None:
    """Without end: anything, but most of it nearly right."""
    choose = random.Random(seed)
    rings = [(PackedRing if packed else SplitRing)(memory, index) for index in range(2)]
    addresses = [memory.guest + at for at in (0x8000, 0x9234, 0xB000, 0, 0x400, TABLES, 0xFFF0)] + [0]
    lengths = (100, 64, 16, 32, 0, 0x4000, 0x10000, 0xFFFFFFFF)
    while True:
        for ring in rings:
            for _ in range(4):
                name, flags, other = choose.randrange(8), choose.randrange(7), choose.randrange(9)
                address, length = choose.choice(addresses), choose.choice(lengths)
                if packed:
                    marked = flags | choose.choice((0x80, 0x8000, 0x8080, 0))
                    ring.put(ring.table + 16 * name, struct.pack("<QIHH", address, length, other, marked))
                else:
                    ring.descriptor(name, address, length, flags, other)
                    ring.put(ring.avail + 4 + 2 * choose.randrange(8), struct.pack("<H", choose.randrange(8)))
                    ring.publish(ring.le16(ring.used_ring + 2) + choose.randrange(9))
                pair = (other, flags) if packed else (flags, other)
                ring.put(TABLES + 16 * choose.randrange(64), struct.pack("<QIHH", address, length, *pair))


@contextmanager
def meddling(memory: SharedMemory, packed: int, seed: int) -> Iterator[None]:
    child = os.fork()
    if not child:
        try:
            meddle(memory, packed, seed)
        finally:
            os._exit(1)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL


def running(rig: Rig, memory: SharedMemory, features: int, protocol: int) -> tuple[FrontEnd, list[SplitRing]]:
    front = rig.connect()
    front.negotiate(features, protocol)
    front.share(memory)
    kind = PackedRing if features & F_RING_PACKED else SplitRing
    rings = [kind(memory, 0), kind(memory, 1)]
    for ring in rings:
        front.start(ring, base=0x80008000 if ring.packed else ring.le16(ring.used_ring + 2))
    return front, rings


@pytest.mark.parametrize("protocol", [MQ | REPLY_ACK, MQ | REPLY_ACK | INFLIGHT], ids=["plain", "in flight"])
@pytest.mark.parametrize("features", [0, F_EVENT_IDX | F_INDIRECT | F_MRG_RXBUF], ids=["bare", "all"])
@pytest.mark.parametrize("packed", [0, F_RING_PACKED], ids=["split", "packed"])
def test_memory_that_changes_while_it_is_read(rig: Rig, packed: int, features: int, protocol: int) -> None:
    """Buffers are refused and rings break; no exception, nothing written elsewhere, and then all is well again."""
    memory = rig.memory()
    features |= PLAIN | F_PROTOCOL | packed
    happened = turns = 0
    with meddling(memory, packed, 1):
        front, rings = running(rig, memory, features, protocol)
        while turns < TURNS or not happened:
            turns += 1
            assert turns < 1000 * TURNS, "nothing that the other process wrote was ever read"
            for ring in rings:
                os.eventfd_write(ring.kick, 1)
            rig.loop.turn()
            rig.loop.turn()
            rig.backend.arrive([FRAME, FRAME + bytes(500)])
            happened += rig.device.counters.buffers_refused
            if rig.device.status & NEEDS_RESET:
                happened += 1
                front.close()
                front, rings = running(rig, memory, features, protocol)
        assert not front.over
    front.close()
    assert memory.intact()
    memory.octets[:] = bytes(memory.size)
    front, _, receive, transmit = rig.ready(features, protocol, memory=memory)
    passes(rig, front, receive, transmit)
