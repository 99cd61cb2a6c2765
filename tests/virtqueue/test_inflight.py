"""The backend is killed before any of its stores, and another one goes on: every buffer is used once."""

from __future__ import annotations

import mmap
import os
import random
import signal
import struct
import time
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtionet_ipsec.virtqueue.descriptors import WORK
from virtionet_ipsec.virtqueue.driver_packed import PackedDriver
from virtionet_ipsec.virtqueue.driver_split import SplitDriver
from virtionet_ipsec.virtqueue.inflight import inflight_size
from virtionet_ipsec.virtqueue.memory import Memory
from virtionet_ipsec.virtqueue.packed import PackedQueue
from virtionet_ipsec.virtqueue.split import SplitQueue

from .models import IN_ORDER, INDIRECT_DESC, ModelPackedDriver, ModelSplitDriver, Ram
from .tracing import each_opcode

ROOM = 64
FORMATS = pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])


class Killed(BaseException):
    """The process is gone."""


def die() -> None:
    raise Killed


class Machine:
    """A driver that lives on, and backends that do not."""

    def __init__(self, packed: bool, size: int, features: int, model: bool, seed: int) -> None:
        self.packed, self.size, self.features = packed, size, features
        self.random = random.Random(seed)
        self.ram = Ram(size, packed)
        self.region = bytearray(inflight_size(size, packed))
        if model:
            self.driver: Any = (ModelPackedDriver if packed else ModelSplitDriver)(self.ram, features)
        else:
            kind = PackedDriver if packed else SplitDriver
            self.driver = kind(size, self.ram.rings, features, tables=(self.ram.tables, self.ram.tables_octets))
        self.queue: Any = None
        self.taken: list[Any] = []
        self.added = 0
        self.used: Counter[object] = Counter()

    def start(self) -> None:
        """A new backend, which knows nothing but what lies in shared memory."""
        self.taken = []
        kind = PackedQueue if self.packed else SplitQueue
        self.queue = kind(
            Memory(self.ram.regions), self.size, self.ram.rings, self.features, inflight=memoryview(self.region)
        )
        assert not self.queue.broken

    def drive(self, add: bool = True) -> None:
        """The driver takes back what was used, and adds what goes in."""
        self.used.update(token for token, _ in self.driver.used())
        assert not getattr(self.driver, "broken", "")
        while add and self.driver.free and self.random.random() < 0.8:
            indirect = bool(self.features & INDIRECT_DESC) and self.random.random() < 0.3
            count = min(self.random.randint(1, 3), self.size if indirect else self.driver.free)
            at = self.ram.buffers + ROOM * (self.added % self.size)
            self.ram.put(at, struct.pack("<I", self.added))
            elements = [(at, 4), *((at + 8 * index, 4) for index in range(1, count))]
            writing = self.random.randint(1, count)
            self.driver.add(elements[:writing], elements[writing:], self.added, indirect=indirect)
            self.added += 1
        self.driver.publish()

    def step(self) -> None:
        """Something that a backend does."""
        kind = self.random.random()
        if kind < 0.5 or not self.taken:
            self.taken += self.queue.take(self.random.randint(1, self.size))
        elif kind < 0.6:
            count = self.random.randint(1, len(self.taken))
            # In a ring where one of the taken buffers was used, those before it cannot go back.
            back = self.taken[len(self.taken) - count :]
            if self.can_untake(back):
                del self.taken[len(self.taken) - count :]
                self.queue.untake(back)
        else:
            done = self.random.sample(self.taken, self.random.randint(1, len(self.taken)))
            self.taken = [chain for chain in self.taken if chain not in done]
            self.queue.finish([(chain, self.random.choice((0, chain.writable_len))) for chain in done])
            self.last = max([self.last, *(self.number(chain) for chain in done)])

    last = -1

    def number(self, chain: Any) -> int:
        return int(struct.unpack_from("<I", chain.readable)[0])

    def can_untake(self, back: list[Any]) -> bool:
        return all(self.number(chain) > self.last for chain in back)

    def run(self, steps: int, kill_at: int) -> bool:
        """A backend's life, which ends before its store number ``kill_at`` or after some steps."""
        with each_opcode(kill_at, die, stores_only=True) as killed:
            try:
                self.start()
                for _ in range(steps):
                    self.step()
                    self.drive()
            except Killed:
                pass
        return killed()

    def end(self) -> None:
        """The last backend lives; what the driver gave is used, each once."""
        self.drive(add=False)
        self.start()
        while chains := self.queue.take(self.size):
            self.queue.finish([(chain, 0) for chain in chains])
            self.drive(add=False)
        assert not self.queue.broken
        assert self.used == Counter(range(self.added))
        assert self.driver.free == self.size


@FORMATS
@pytest.mark.parametrize("features", [0, IN_ORDER, INDIRECT_DESC])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_killed_before_each_store(packed: bool, features: int, size: int) -> None:
    """One session, again and again, each time killed one store later."""
    moment = 0
    killed = True
    while killed:
        machine = Machine(packed, size, features, model=False, seed=size)
        machine.drive()
        killed = machine.run(12, moment)
        machine.drive()
        machine.end()
        moment += 1
    assert moment > 15


@FORMATS
@settings(max_examples=150, deadline=None)
@given(
    size=st.sampled_from((1, 2, 4, 8)),
    features=st.sets(st.sampled_from((IN_ORDER, INDIRECT_DESC))).map(sum),
    model=st.booleans(),
    seed=st.integers(0, 1 << 32),
    lives=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 120), st.booleans()), max_size=8),
)
def test_killed_many_times(
    packed: bool, size: int, features: int, model: bool, seed: int, lives: list[tuple[int, int, bool]]
) -> None:
    """One backend after the other, also killed while it starts; the driver goes on in between, or does not."""
    machine = Machine(packed, size, features, model, seed)
    machine.drive()
    for steps, kill_at, drive in lives:
        machine.run(steps, kill_at)
        if drive:
            machine.drive()
    machine.end()


def test_killed_where_an_old_descriptor_looks_available() -> None:
    """The second one of a list stays as it was in the round before, and the used position comes to stand there.

    Of that position, offset and wrap counter have to be found as they were at one moment.
    """
    moment = 0
    killed = True
    while killed:
        machine = Machine(True, 4, 0, model=False, seed=0)
        one, two = [(machine.ram.buffers, 4)], [(machine.ram.buffers, 4)] * 2
        for token, elements in enumerate((two, two)):
            machine.driver.add(elements, [], token)
        machine.driver.publish()
        machine.start()
        first, second = machine.queue.take(9)
        machine.queue.finish([(first, 0)])
        machine.drive(add=False)
        machine.driver.add(one, [], 2)
        machine.driver.publish()
        (third,) = machine.queue.take(9)
        with each_opcode(moment, die, stores_only=True) as reached, suppress(Killed):
            machine.queue.finish([(second, 0), (third, 0)])
        killed = reached()
        machine.added = 4
        machine.start()
        machine.driver.add(one, [], 3)
        machine.end()
        moment += 1
    assert moment > 5


@FORMATS
def test_order_is_that_of_taking(packed: bool) -> None:
    """What is in flight comes again in the order in which it was taken, whatever was used meanwhile."""
    machine = Machine(packed, 8, 0, model=True, seed=0)
    for token in range(8):
        at = machine.ram.buffers + ROOM * token
        machine.ram.put(at, struct.pack("<I", token))
        machine.driver.add([(at, 4)], [], token)
    machine.driver.publish()
    machine.start()
    chains = machine.queue.take(6)
    machine.queue.finish([(chains[1], 0), (chains[4], 0)])
    for _ in range(2):
        machine.start()
        again = machine.queue.take(3)
        assert [machine.number(chain) for chain in again] == [0, 2, 3]
        machine.queue.untake(again[1:])
        assert [machine.number(chain) for chain in machine.queue.take(9)] == [2, 3, 5]
        (fresh,) = machine.queue.take(1)
        assert machine.number(fresh) == 6
        machine.queue.untake([fresh])


@FORMATS
def test_work_of_resuming_is_bounded(packed: bool) -> None:
    """Sixteen buffers of 1 MiB in flight come a few at a time."""
    size, octets = 16, bytearray(1 << 20)
    machine = Machine(packed, size, 0, model=False, seed=0)
    for token in range(size):
        machine.driver.add([(0, len(octets))], [], token)
    machine.driver.publish()
    kind = PackedQueue if packed else SplitQueue
    memory, region = Memory([(0, memoryview(octets))]), memoryview(machine.region)
    before = kind(memory, size, machine.ram.rings, 0, inflight=region)
    while before.take(size):
        pass
    after = kind(memory, size, machine.ram.rings, 0, inflight=region)
    counts = []
    while chains := after.take(size):
        counts.append(len(chains))
    assert sum(counts) == size
    assert max(counts) <= WORK // len(octets) + 1


def entry(packed: bool, index: int) -> int:
    return 32 + 32 * index if packed else 16 + 16 * index


@FORMATS
def test_layout(packed: bool) -> None:
    """The fields as vhost-user.rst has them: two buffers taken, the second one used."""
    machine = Machine(packed, 4, 0, model=False, seed=0)
    for token in range(2):
        machine.driver.add([(0x10F00 + token, 4)], [(0x10F40, 8)], token)
    machine.driver.publish()
    machine.start()
    chains = machine.queue.take(9)
    region = machine.region
    machine.queue.finish([(chains[1], 0)])
    if not packed:
        # features, version, desc_num, last_batch_head, used_idx; inflight, next, counter of heads 0 and 2
        assert struct.unpack_from("<QHHHH", region) == (0, 1, 4, 2, 1)
        assert struct.unpack_from("<B5xHQ", region, entry(packed, 0)) == (1, 0, 0)
        assert struct.unpack_from("<B5xHQ", region, entry(packed, 2)) == (0, 0, 1)
    else:
        # features, version, desc_num, free_head, old_free_head, used_idx, old_used_idx, the wrap counters
        assert struct.unpack_from("<QHHHHHHBB", region) == (0, 1, 4, 2, 2, 2, 2, 1, 1)
        # inflight, next, last, num, counter, id, flags, len, addr
        assert struct.unpack_from("<BxHHHQHHIQ", region, entry(packed, 0)) == (1, 1, 1, 2, 0, 0, 0x81, 4, 0x10F00)
        assert struct.unpack_from("<BxHHHQHHIQ", region, entry(packed, 1))[1:3] == (2, 0)
        assert struct.unpack_from("<BxHHHQHHIQ", region, entry(packed, 1))[5:] == (0, 0x82, 8, 0x10F40)
        assert struct.unpack_from("<BxHHHQHHIQ", region, entry(packed, 2)) == (0, 3, 3, 2, 1, 1, 0x81, 4, 0x10F01)


@FORMATS
def test_another_backend_stopped_between_publishing_and_committing(packed: bool) -> None:
    """As vhost-user.rst tells it, with fields set by hand: used, but the region does not say so yet."""
    ram = Ram(4, packed)
    region = bytearray(inflight_size(4, packed))
    memory = Memory(ram.regions)
    if not packed:
        # Heads 3 and 1 were in the last batch, 3 first; 0 is in flight. The used index is 3, the region has 1.
        struct.pack_into("<QHHHH", region, 0, 0, 1, 4, 1, 1)
        for head, following, counter in ((0, 9, 7), (1, 3, 6), (3, 9, 5)):
            struct.pack_into("<B5xHQ", region, entry(packed, head), 1, following, counter)
            ram.set_descriptor(ram.table + 16 * head, ram.buffers, head + 1, 0, 0)
        ram.set(ram.driver_area + 2, 4)
        ram.set(ram.device_area + 2, 3)
        queue: Any = SplitQueue(memory, 4, ram.rings, 0, inflight=memoryview(region))
        assert [chain.id for chain in queue.take(9)] == [0]
        assert queue.base == 4
        assert struct.unpack_from("<H", region, 14) == (3,)
    else:
        # Buffer 9 of two descriptors, entries 0 and 1, is in the batch; buffer 5 with entry 2 is in flight.
        struct.pack_into("<QHHHHHHBB", region, 0, 0, 1, 4, 0, 3, 2, 0, 1, 1)
        struct.pack_into("<BxHHHQHHIQ", region, entry(packed, 0), 1, 1, 1, 2, 0, 9, 0x81, 4, ram.buffers)
        struct.pack_into("<BxHHHQHHIQ", region, entry(packed, 1), 0, 3, 0, 0, 0, 9, 0x80, 4, ram.buffers)
        struct.pack_into("<BxHHHQHHIQ", region, entry(packed, 2), 1, 3, 2, 1, 1, 5, 0x80, 3, ram.buffers)
        struct.pack_into("<BxHHHQHHIQ", region, entry(packed, 3), 0, 4, 0, 0, 0, 0, 0, 0, 0)
        ram.set_descriptor(ram.table, 0, 0, 9, 0x8080)
        queue = PackedQueue(memory, 4, ram.rings, 0, inflight=memoryview(region))
        (chain,) = queue.take(9)
        assert (chain.id, chain.readable) == (5, bytes(3))
        assert queue.base == 0x8003 | 0x8002 << 16
        assert struct.unpack_from("<HHHHBB", region, 12) == (0, 0, 2, 2, 1, 1)


# Regions that no backend has written: (offset, octets) over a good one, and a word of what the queue says.
NONSENSE: dict[str, tuple[bool, int, bytes, str]] = {
    "version": (False, 8, b"\2\0", "version"),
    "another size": (False, 10, b"\3\0", "descriptors"),
    "a batch larger than the queue": (False, 14, struct.pack("<H", 65531), "ahead"),
    "a batch that names no descriptor": (False, 12, struct.pack("<HH", 4, 65535), "last batch"),
    "packed: version": (True, 8, b"\2\0", "version"),
    "packed: used index": (True, 16, b"\4\0", "used index"),
    "packed: old used index": (True, 18, b"\xff\xff", "used index"),
    "packed: free list is elsewhere": (True, 14, b"\xff\xff", "no end"),
    "packed: free list lacks an entry": (True, 14, b"\3\0", "not every entry"),
    "packed: free list is a loop": (True, 32 + 32 * 3 + 2, b"\2\0", "no end"),
    "packed: free list leads to a buffer": (True, 32 + 32 * 3 + 2, b"\0\0", "no end"),
    "packed: two buffers in one": (True, 32 + 32, b"\1\0\1\0\1\0\1\0", "not every entry"),
    "packed: a buffer without descriptors": (True, 32 + 6, b"\0\0", "not every entry"),
    "packed: a buffer of too many": (True, 32 + 6, b"\xff\xff", "not every entry"),
    "packed: a buffer leads out": (True, 32 + 2, b"\4\0", "not every entry"),
    "packed: a buffer is a loop": (True, 32 + 2, b"\0\0", "not every entry"),
}


@pytest.mark.parametrize("case", NONSENSE)
def test_region_that_contradicts_itself(case: str) -> None:
    """The queue is broken from the start: going on would lose buffers or use them twice."""
    packed, offset, octets, why = NONSENSE[case]
    machine = Machine(packed, 4, 0, model=False, seed=0)
    machine.driver.add([(machine.ram.buffers, 4), (machine.ram.buffers, 4)], [], 0)
    machine.driver.publish()
    machine.start()
    machine.queue.take(1)
    machine.region[offset : offset + len(octets)] = octets
    kind = PackedQueue if packed else SplitQueue
    queue = kind(Memory(machine.ram.regions), 4, machine.ram.rings, 0, inflight=memoryview(machine.region))
    assert why in queue.broken
    assert queue.take(9) == []


@FORMATS
@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_region_of_any_octets(packed: bool, seed: int) -> None:
    """It is shared with the front end, who may write anything there."""
    choose = random.Random(seed)
    machine = Machine(packed, 4, 0, model=False, seed=seed)
    machine.drive()
    machine.start()
    machine.queue.finish([(chain, 0) for chain in machine.queue.take(2)])
    machine.queue.take(1)
    for _ in range(choose.randint(1, 4)):
        machine.region[choose.choice((*range(12, 22), *range(32, len(machine.region))))] = choose.choice(
            (0, 1, 2, 3, 4, 5, 0x80, 0xFF)
        )
    kind = PackedQueue if packed else SplitQueue
    queue = kind(Memory(machine.ram.regions), 4, machine.ram.rings, 0, inflight=memoryview(machine.region))
    chains = queue.take(9)
    assert len(chains) <= 4
    queue.finish([(chain, 0) for chain in chains])
    assert isinstance(queue.broken, str)


@FORMATS
def test_counter_at_its_end(packed: bool) -> None:
    """The u64 that tells the order starts again; a front end may have put it there."""
    machine = Machine(packed, 4, 0, model=False, seed=0)
    machine.driver.add([(machine.ram.buffers, 4)], [], 0)
    machine.driver.publish()
    machine.start()
    machine.queue.take(9)
    machine.region[entry(packed, 0) + 8 : entry(packed, 0) + 16] = b"\xff" * 8
    machine.driver.add([(machine.ram.buffers, 4)], [], 1)
    machine.driver.publish()
    machine.start()
    assert [len(machine.queue.take(1)) for _ in range(3)] == [1, 1, 0]


def test_sizes() -> None:
    """A region for each queue, on multiples of 64."""
    assert inflight_size(4, packed=False) == 128
    assert inflight_size(256, packed=False) == 4160
    assert inflight_size(3, packed=True) == 128
    for packed in (False, True):
        with pytest.raises(ValueError, match="in-flight region"):
            Machine(packed, 4, 0, model=False, seed=0).__class__.start(short(packed))


def short(packed: bool) -> Machine:
    machine = Machine(packed, 4, 0, model=False, seed=0)
    del machine.region[inflight_size(4, packed) - 1 :]
    return machine


@FORMATS
def test_processes_that_are_killed(packed: bool) -> None:
    """Real ones, by SIGKILL at any moment, while the driver goes on in this one."""
    size = 64
    octets = memoryview(mmap.mmap(-1, 1 << 17))
    lengths = (16 * size, 4, 4) if packed else (16 * size, 6 + 2 * size, 6 + 8 * size)
    rings: Any = tuple(octets[4096 * index :][:length] for index, length in enumerate(lengths))
    region = octets[1 << 14 :][: inflight_size(size, packed)]
    driver = (PackedDriver if packed else SplitDriver)(size, rings, 0)
    queue_kind = PackedQueue if packed else SplitQueue

    def backend() -> None:
        queue = queue_kind(Memory([(0, octets)]), size, rings, 0, inflight=region)
        choose = random.Random(os.getpid())
        taken: list[Any] = []
        while True:
            taken += queue.take(choose.randint(1, size))
            choose.shuffle(taken)
            count = choose.randint(0, len(taken))
            queue.finish([(chain, 0) for chain in taken[:count]])
            taken = taken[count:]

    used: Counter[object] = Counter()
    added = 0
    choose = random.Random(1)
    for life in range(12):
        child = os.fork()
        if not child:
            backend()
        end = time.monotonic() + 0.05 + choose.random() / 50
        while time.monotonic() < end:
            used.update(token for token, _ in driver.used())
            while driver.free > 1:
                driver.add([(0x10000, 60), (0x10100, 4)][: 1 + added % 2], [], added)
                added += 1
            driver.publish()
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL, f"backend {life} died by itself"
    queue = queue_kind(Memory([(0, octets)]), size, rings, 0, inflight=region)
    while chains := queue.take(size):
        queue.finish([(chain, 0) for chain in chains])
    used.update(token for token, _ in driver.used())
    assert (driver.broken, queue.broken) == ("", "")
    assert added > 1000
    assert used == Counter(range(added))
