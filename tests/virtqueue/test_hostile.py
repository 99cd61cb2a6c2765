"""Drivers that lie: each lie refuses the buffer or breaks the queue, and nothing worse."""

from __future__ import annotations

import mmap
import random
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtionet_ipsec.virtqueue import descriptors
from virtionet_ipsec.virtqueue.memory import Memory
from virtionet_ipsec.virtqueue.packed import PackedQueue
from virtionet_ipsec.virtqueue.split import SplitQueue

from .models import EVENT_IDX, IN_ORDER, INDIRECT_DESC, Ram
from .tracing import each_opcode

NEXT, WRITE, INDIRECT = 1, 2, 4
SIZE = 8
DATA = 0x12000
TABLE = 0x13000
END = 0x20000  # of the memory


def ram(packed: bool = False, size: int = SIZE) -> Ram:
    made = Ram(size, packed)
    made.put(DATA, bytes(range(200)))
    return made


def split(made: Ram, features: int = INDIRECT_DESC, two_regions: bool = False) -> SplitQueue:
    return SplitQueue(memory(made, two_regions), made.size, made.rings, features)


def packed(made: Ram, features: int = INDIRECT_DESC, two_regions: bool = False) -> PackedQueue:
    return PackedQueue(memory(made, two_regions), made.size, made.rings, features)


def memory(made: Ram, two_regions: bool) -> Memory:
    return Memory(made.regions if two_regions else [(made.base, memoryview(made.octets))])


def make_available(made: Ram, chain: list[tuple[int, int, int, int]], heads: list[int] | None = None) -> None:
    """``chain`` at the start of the descriptor table, and ``heads`` in the available ring."""
    for index, fields in enumerate(chain):
        made.set_descriptor(made.table + 16 * index, *fields)
    for index, head in enumerate(heads or [0]):
        made.set(made.driver_area + 4 + 2 * index, head)
    made.set(made.driver_area + 2, len(heads or [0]))


def table(made: Ram, at: int, chain: list[tuple[int, int, int, int]]) -> None:
    for index, fields in enumerate(chain):
        made.set_descriptor(at + 16 * index, *fields)


def write_list(made: Ram, chain: list[tuple[int, int, int, int]]) -> None:
    """A list in the first round of a packed ring: ``chain`` has address, length, id and flags but AVAIL."""
    for index, (address, length, name, flags) in enumerate(chain):
        made.set_descriptor(made.table + 16 * index, address, length, name, flags | 0x80)


# What is wrong with one buffer: the descriptors, and a word of what the refusal says.  (address, length, flags, next)
REFUSED_SPLIT: dict[str, tuple[list[tuple[int, int, int, int]], str]] = {
    "in no region": ([(0x5000, 4, 0, 0)], "outside"),
    "before the memory": ([(0xFFFF, 2, 0, 0)], "outside"),
    "over the end": ([(END - 2, 3, 0, 0)], "outside"),
    "behind the end": ([(END, 1, 0, 0)], "outside"),
    "over the end, writable": ([(END - 2, 3, WRITE, 0)], "outside"),
    "around the address space": ([(2**64 - 8, 0x10010, 0, 0)], "outside"),
    "around it, writable": ([(2**64 - 1, 0xFFFFFFFF, WRITE, 0)], "outside"),
    "around it from inside": ([(DATA, 0xFFFFFFFF, WRITE, 0)], "outside"),
    "before the memory, writable": ([(0xFFFF, 2, WRITE, 0)], "outside"),
    "before the memory, in a chain": ([(DATA, 4, NEXT, 1), (0xFFFF, 2, WRITE, 0)], "outside"),
    "the second element outside": ([(DATA, 4, NEXT, 1), (END, 4, WRITE, 0)], "outside"),
    "readable after writable": ([(DATA, 4, NEXT | WRITE, 1), (DATA, 4, 0, 0)], "after"),
    "readable after an empty writable": ([(DATA, 0, NEXT | WRITE, 1), (DATA, 4, 0, 0)], "after"),
    "next is itself": ([(DATA, 4, NEXT, 0)], "no end"),
    "a loop": ([(DATA, 4, NEXT, 1), (DATA, 4, NEXT, 2), (DATA, 4, NEXT, 1)], "no end"),
    "a loop of empty elements": ([(DATA, 0, NEXT, 1), (DATA, 0, NEXT, 0)], "no end"),
    "next outside the table": ([(DATA, 4, NEXT, SIZE)], "next"),
    "next far outside": ([(DATA, 4, NEXT, 0xFFFF)], "next"),
    "indirect and next": ([(TABLE, 16, INDIRECT | NEXT, 1), (DATA, 4, 0, 0)], "INDIRECT"),
    "an empty table": ([(TABLE, 0, INDIRECT, 0)], "indirect table"),
    "a table of 15 octets": ([(TABLE, 15, INDIRECT, 0)], "indirect table"),
    "a table of 17 octets": ([(TABLE, 17, INDIRECT, 0)], "indirect table"),
    "a table that is longer than the queue": ([(TABLE, 16 * (SIZE + 1), INDIRECT, 0)], "indirect table"),
    "a table of 4 GiB": ([(TABLE, 0xFFFFFFF0, INDIRECT, 0)], "indirect table"),
    "a table outside": ([(END, 16, INDIRECT, 0)], "outside"),
    "a table over the end": ([(END - 8, 16, INDIRECT, 0)], "outside"),
    "a table around the address space": ([(2**64 - 8, 16, INDIRECT, 0)], "outside"),
}


@pytest.mark.parametrize("case", REFUSED_SPLIT)
def test_split_chain_is_refused(case: str) -> None:
    """It goes back with nothing written, and the queue works on."""
    made = ram()
    chain, why = REFUSED_SPLIT[case]
    make_available(made, chain)
    queue = split(made)
    (taken,) = queue.take(9)
    assert why in taken.refused
    assert (taken.id, taken.readable, taken.writable, taken.writable_len) == (0, b"", (), 0)
    queue.finish([(taken, 0)])
    assert made.get(made.device_area + 2, 10) == struct.pack("<HII", 1, 0, 0)

    made.set_descriptor(made.table, DATA, 4, 0, 0)
    made.set(made.driver_area + 6, 0)
    made.set(made.driver_area + 2, 2)
    assert [chain.readable for chain in queue.take(9)] == [bytes(range(4))]
    assert not queue.broken


# Indirect tables of a split ring, and what the refusal says.
REFUSED_TABLES: dict[str, tuple[list[tuple[int, int, int, int]], str]] = {
    "indirect inside": ([(TABLE, 16, INDIRECT, 0)], "indirect table"),
    "indirect inside, behind an element": ([(DATA, 4, NEXT, 1), (TABLE, 16, INDIRECT, 0)], "indirect table"),
    "next outside the table": ([(DATA, 4, NEXT, 2), (DATA, 4, 0, 0)], "next"),
    "a loop": ([(DATA, 4, NEXT, 1), (DATA, 4, NEXT, 0)], "no end"),
    "readable after writable": ([(DATA, 4, NEXT | WRITE, 1), (DATA, 4, 0, 0)], "after"),
    "outside": ([(END, 4, 0, 0)], "outside"),
}


@pytest.mark.parametrize("case", REFUSED_TABLES)
def test_split_indirect_table_is_refused(case: str) -> None:
    made = ram()
    inner, why = REFUSED_TABLES[case]
    table(made, TABLE, inner)
    make_available(made, [(TABLE, 16 * len(inner), INDIRECT, 0)])
    (taken,) = split(made).take(9)
    assert why in taken.refused


def test_chain_with_its_table_is_no_longer_than_the_queue() -> None:
    """Seven descriptors in the ring and two in the table."""
    made = ram()
    direct = [(DATA, 1, NEXT, index + 1) for index in range(SIZE - 1)]
    make_available(made, [*direct, (TABLE, 32, INDIRECT, 0)])
    table(made, TABLE, [(DATA, 1, NEXT, 1), (DATA, 1, 0, 0)])
    assert "longer than the queue size" in split(made).take(9)[0].refused
    table(made, TABLE, [(DATA, 1, 0, 0)])
    assert split(made).take(9)[0].readable == bytes(SIZE)


@pytest.mark.parametrize("make", [split, packed])
def test_indirect_was_not_negotiated(make: Callable[..., Any]) -> None:
    made = ram(packed=make is packed)
    table(made, TABLE, [(DATA, 4, 0, 0)])
    if make is split:
        make_available(made, [(TABLE, 16, INDIRECT, 0)])
    else:
        write_list(made, [(TABLE, 16, 7, INDIRECT)])
    (taken,) = make(made, 0).take(9)
    assert "negotiated" in taken.refused


def test_available_index_jumps() -> None:
    made = ram()
    queue = split(made)
    made.set(made.driver_area + 2, SIZE + 1)
    assert queue.take(9) == []
    assert "available index is 9 ahead" in queue.broken
    made.set(made.driver_area + 2, 1)
    assert queue.take(9) == []
    assert queue.ask_for_kicks(True) is False


def test_available_index_goes_back() -> None:
    made = ram()
    make_available(made, [(DATA, 4, 0, 0)], [0, 0])
    queue = split(made)
    queue.finish([(chain, 0) for chain in queue.take(9)])
    made.set(made.driver_area + 2, 1)
    assert queue.take(9) == []
    assert queue.broken


def test_more_buffers_than_the_ring_has() -> None:
    """All are taken, none is used, and the driver makes one more available."""
    made = ram()
    make_available(made, [(DATA, 4, 0, 0)], [0] * SIZE)
    queue = split(made)
    chains = queue.take(99)
    assert len(chains) == SIZE
    made.set(made.driver_area + 2, SIZE + 1)
    assert queue.take(99) == []
    assert queue.broken
    queue.finish([(chain, 0) for chain in chains])
    assert made.number(made.device_area + 2) == SIZE


@pytest.mark.parametrize("head", [SIZE, 0xFFFF])
def test_head_outside_the_table(head: int) -> None:
    """What was available before it can still be used."""
    made = ram()
    make_available(made, [(DATA, 4, 0, 0)], [0, head, 0])
    queue = split(made)
    chains = queue.take(9)
    assert [chain.readable for chain in chains] == [bytes(range(4))]
    assert f"descriptor {head}" in queue.broken
    assert queue.take(9) == []
    queue.finish([(chains[0], 0)])
    assert made.number(made.device_area + 2) == 1


# A packed ring: (address, length, id, flags).
REFUSED_PACKED: dict[str, tuple[list[tuple[int, int, int, int]], str]] = {
    "in no region": ([(0x5000, 4, 7, 0)], "outside"),
    "over the end": ([(END - 2, 3, 7, 0)], "outside"),
    "around the address space": ([(2**64 - 8, 0x10010, 7, 0)], "outside"),
    "around it, writable": ([(2**64 - 1, 0xFFFFFFFF, 7, WRITE)], "outside"),
    "the second element outside": ([(DATA, 4, 9, NEXT), (END, 4, 7, WRITE)], "outside"),
    "readable after writable": ([(DATA, 4, 9, NEXT | WRITE), (DATA, 4, 7, 0)], "after"),
    "indirect and next": ([(TABLE, 16, 9, INDIRECT | NEXT), (DATA, 4, 7, 0)], "INDIRECT"),
    "indirect at the end of a list": ([(DATA, 4, 9, NEXT), (TABLE, 16, 7, INDIRECT)], "INDIRECT"),
    "an empty table": ([(TABLE, 0, 7, INDIRECT)], "indirect table"),
    "a table of 17 octets": ([(TABLE, 17, 7, INDIRECT)], "indirect table"),
    "a table that is longer than the queue": ([(TABLE, 16 * (SIZE + 1), 7, INDIRECT)], "indirect table"),
    "a table of 4 GiB": ([(TABLE, 0xFFFFFFF0, 7, INDIRECT)], "indirect table"),
    "a table outside": ([(END, 16, 7, INDIRECT)], "outside"),
}


@pytest.mark.parametrize("case", REFUSED_PACKED)
def test_packed_list_is_refused(case: str) -> None:
    """It goes back with nothing written and the id of its last descriptor, and the queue works on."""
    made = ram(packed=True)
    chain, why = REFUSED_PACKED[case]
    write_list(made, [*chain, (DATA, 4, 3, 0)])
    queue = packed(made)
    taken, after = queue.take(9)
    assert why in taken.refused
    assert (taken.id, taken.readable, taken.writable, taken.writable_len) == (7, b"", (), 0)
    assert (after.id, after.readable) == (3, bytes(range(4)))
    queue.finish([(taken, 0)])
    assert made.get(made.table + 8, 8) == struct.pack("<IHH", 0, 7, 0x8080)
    assert not queue.broken


def test_flags_that_packed_tables_do_not_have() -> None:
    """NEXT, INDIRECT and the marks are ignored there, and so is the id (2.8.7)."""
    made = ram(packed=True)
    table(made, TABLE, [(DATA, 4, 5, NEXT | INDIRECT | 0x8080), (DATA + 9, 2, 6, WRITE | INDIRECT | NEXT)])
    write_list(made, [(TABLE, 32, 7, INDIRECT | WRITE)])
    (taken,) = packed(made).take(9)
    assert (taken.id, taken.refused, taken.readable, taken.writable_len) == (7, "", bytes(range(4)), 2)


def test_packed_list_has_no_end() -> None:
    made = ram(packed=True)
    write_list(made, [(DATA, 4, 7, NEXT)] * SIZE)
    queue = packed(made)
    assert queue.take(9) == []
    assert "does not end" in queue.broken


def test_packed_list_is_not_all_available() -> None:
    made = ram(packed=True)
    write_list(made, [(DATA, 4, 3, 0), (DATA, 4, 7, NEXT)])
    queue = packed(made)
    assert [chain.id for chain in queue.take(9)] == [3]
    assert "not available" in queue.broken


def test_packed_list_runs_into_what_is_not_used() -> None:
    """Eight entries are at the device, and the first of them becomes available again."""
    made = ram(packed=True)
    write_list(made, [(DATA, 4, index, 0) for index in range(SIZE)])
    queue = packed(made)
    chains = queue.take(9)
    made.set_descriptor(made.table, DATA, 4, 0, 0x8000)
    assert queue.take(9) == []
    assert "again" in queue.broken
    queue.finish([(chain, 0) for chain in chains])
    assert made.get(made.table + 8, 8) == struct.pack("<IHH", 0, 0, 0x8080)


@pytest.mark.parametrize("make", [split, packed])
def test_more_than_2_to_the_32(make: Callable[..., Any]) -> None:
    """Eight elements of 2^29 octets are a buffer, one octet more is none (2.7.5.2)."""
    shared = Memory([(0, memoryview(mmap.mmap(-1, 1 << 29)))])  # nothing touches it
    for surplus, refused in ((0, ""), (1, "it is longer than 2^32 octets")):
        made = ram(packed=make is packed, size=16)
        chain = [(0, 1 << 29, WRITE)] * 8 + [(0, 1, WRITE)] * surplus
        if make is split:
            last = len(chain) - 1
            make_available(made, [(a, n, f | (NEXT if i < last else 0), i + 1) for i, (a, n, f) in enumerate(chain)])
            queue: Any = SplitQueue(shared, 16, made.rings, 0)
        else:
            last = len(chain) - 1
            write_list(made, [(a, n, 7, f | (NEXT if i < last else 0)) for i, (a, n, f) in enumerate(chain)])
            queue = PackedQueue(shared, 16, made.rings, 0)
        (taken,) = queue.take(9)
        assert (taken.refused, taken.writable_len) == (refused, 0 if refused else 1 << 32)


def test_most_that_is_copied() -> None:
    octets = bytearray(descriptors.MAX_READABLE + 1)
    shared = Memory([(0, memoryview(octets))])
    made = ram()
    make_available(made, [(0, len(octets) - 1, 0, 0), (0, len(octets), 0, 0)], [0, 1])
    first, second = SplitQueue(shared, SIZE, made.rings, 0).take(9)
    assert len(first.readable) == descriptors.MAX_READABLE
    assert "device-readable" in second.refused


@pytest.mark.parametrize("make", [split, packed])
def test_work_of_one_call_is_bounded(make: Callable[..., Any]) -> None:
    """Large buffers come a few at a time, and all of them in the end."""
    size = 64
    octets = bytearray(descriptors.MAX_READABLE)
    shared = Memory([(0, memoryview(octets))])
    made = ram(packed=make is packed, size=size)
    chain = [(0, len(octets), 0)] * size
    if make is split:
        make_available(made, [(*each, 0) for each in chain], list(range(size)))
        queue: Any = SplitQueue(shared, size, made.rings, 0)
    else:
        write_list(made, [(address, length, 7, 0) for address, length, _ in chain])
        queue = PackedQueue(shared, size, made.rings, 0)
    counts = []
    while chains := queue.take(size):
        counts.append(len(chains))
        queue.finish([(chain, 0) for chain in chains])
    assert sum(counts) == size
    assert max(counts) <= descriptors.WORK // len(octets) + 1


def test_zero_length() -> None:
    """An empty element adds nothing, wherever it points (D112)."""
    made = ram()
    make_available(
        made,
        [(2**64 - 1, 0, NEXT, 1), (DATA, 3, NEXT, 2), (5, 0, WRITE | NEXT, 3), (DATA, 2, WRITE, 0), (1, 0, 0, 0),
         (1, 0, WRITE, 0)],
        [0, 4, 5],
    )  # fmt: skip
    first, second, third = split(made).take(9)
    assert (first.readable, first.writable_len, len(first.writable)) == (bytes(range(3)), 2, 1)
    for empty in (second, third):
        assert (empty.readable, empty.writable, empty.writable_len, empty.refused) == (b"", (), 0, "")


@pytest.mark.parametrize("make", [split, packed])
def test_rings_at_odd_addresses(make: Callable[..., Any]) -> None:
    """Nothing can be said of what the driver sees then, but the device is unharmed."""
    made = ram(packed=make is packed)
    buffer = bytearray(3 * 4096)
    made.rings = tuple(memoryview(buffer)[4096 * index + 1 :][: len(part)] for index, part in enumerate(made.rings))
    if make is split:
        made.rings[0][:16] = struct.pack("<QIHH", DATA, 4, 0, 0)
        made.rings[1][:6] = struct.pack("<HHH", 0, 1, 0)
    else:
        made.rings[0][:16] = struct.pack("<QIHH", DATA, 4, 7, 0x80)
    queue = make(made)
    (chain,) = queue.take(9)
    assert chain.readable == bytes(range(4))
    queue.finish([(chain, 0)])
    assert bytes(made.rings[2][2:12] if make is split else made.rings[0][8:16]) == (
        struct.pack("<HII", 1, 0, 0) if make is split else struct.pack("<IHH", 0, 7, 0x8080)
    )


@pytest.mark.parametrize("features", [0, EVENT_IDX])
@pytest.mark.parametrize("make", [split, packed])
def test_any_notification_fields(make: Callable[..., Any], features: int) -> None:
    """Whatever the driver asks for, the answer is yes or no."""
    made = ram(packed=make is packed)
    queue = make(made, features)
    area = made.driver_area
    for value in (0, 1, 2, 3, 0x7FFF, 0x8000, 0xFFFF, 0x12345678, 0xFFFFFFFF):
        if make is split:
            made.set(area, value & 0xFFFF)
            made.set(area + 4 + 2 * SIZE, value >> 16)
            made.set(area + 2, (queue.base + 1) & 0xFFFF)
            made.set_descriptor(made.table, DATA, 4, 0, 0)
        else:
            made.set(area, value, 4)
            position = queue.base & 0x7FFF
            made.set_descriptor(made.table + 16 * position, DATA, 4, 7, 0x80 if queue.base & 0x8000 else 0x8000)
        queue.finish([(chain, 0) for chain in queue.take(1)])
        assert queue.interrupt_wanted() in (True, False)
        assert queue.interrupt_wanted() is False


@pytest.mark.parametrize("make", [split, packed])
def test_descriptor_that_changes_while_it_is_read(make: Callable[..., Any]) -> None:
    """At whatever moment: the buffer is the old one or the new one, never half of each."""
    old, new = (DATA, 4, 0), (DATA + 100, 0xFFFFFF, WRITE)

    def put(made: Ram, element: tuple[int, int, int]) -> None:
        address, length, flags = element
        if make is split:
            made.set_descriptor(made.table, address, length, flags, 0)
        else:
            made.set_descriptor(made.table, address, length, 7, flags | 0x80)

    seen = set()
    moment = 0
    while True:
        made = ram(packed=make is packed)
        make_available(made, [(*old, 0)]) if make is split else put(made, old)
        queue = make(made)
        with each_opcode(moment, lambda made=made: put(made, new)) as reached:
            (chain,) = queue.take(9)
        kind = (chain.readable, chain.writable_len, bool(chain.refused))
        assert kind in ((bytes(range(4)), 0, False), (b"", 0, True))
        seen.add(kind)
        if not reached():
            break
        moment += 1
    assert len(seen) == 2
    assert moment > 20


@pytest.mark.parametrize("make", [split, packed])
@pytest.mark.parametrize("features", [INDIRECT_DESC, INDIRECT_DESC | IN_ORDER | EVENT_IDX])
@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_any_octets(make: Callable[..., Any], features: int, seed: int) -> None:
    """Rings and tables full of anything: take ends, takes no more than there can be, and raises nothing."""
    choose = random.Random(seed)
    made = ram(packed=make is packed)
    queue = make(made, features, two_regions=choose.random() < 0.5)
    addresses = (0, DATA, DATA, TABLE, END - 1, END, 2**64 - 1, made.table, made.driver_area, made.buffers)
    lengths = (0, 1, 16, 32, 48, 128, 0x8000, 0x10000, 0xFFFFFFF0, 0xFFFFFFFF)
    marks = (0x80, 0x80, 0x8000, 0, 0x8080)
    outstanding: list[Any] = []
    for _ in range(choose.randint(1, 8)):
        for at in [*range(made.table, made.table + 16 * SIZE, 16), *range(TABLE, TABLE + 16 * SIZE, 16)]:
            third, fourth = choose.choice((0, 0, 1, 2, 3, 4, 5, 6, 7)), choose.randint(0, SIZE)
            if make is packed:
                third, fourth = choose.randint(0, 0xFFFF), third | choose.choice(marks)
            made.set_descriptor(at, choose.choice(addresses), choose.choice(lengths), third, fourth)
        if make is split:
            for index in range(SIZE):
                made.set(made.driver_area + 4 + 2 * index, choose.randrange(SIZE if choose.random() < 0.9 else 1 << 16))
            made.set(made.driver_area + 2, queue.base + choose.choice((0, 1, 2, 3, SIZE)) & 0xFFFF)
        chains = queue.take(choose.randint(1, 99))
        outstanding += chains
        assert len(outstanding) <= SIZE
        for chain in chains:
            assert not chain.refused or (chain.readable, chain.writable) == (b"", ())
            assert chain.writable_len == sum(len(part) for part in chain.writable)
        if choose.random() < 0.3 and chains:
            queue.untake(chains)
            del outstanding[len(outstanding) - len(chains) :]
        elif choose.random() < 0.7:
            choose.shuffle(outstanding)
            queue.finish([(chain, chain.writable_len & 0xFFFF) for chain in outstanding])
            outstanding = []
        assert queue.interrupt_wanted() in (True, False)
        assert queue.ask_for_kicks(choose.random() < 0.5) in (True, False)
