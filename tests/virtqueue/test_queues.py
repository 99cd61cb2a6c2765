"""What single steps leave in the rings, octet by octet, and what the specification says in numbers."""

from __future__ import annotations

from typing import Any

import pytest

from virtionet_ipsec.virtqueue import driver_packed, driver_split
from virtionet_ipsec.virtqueue import packed as packed_module
from virtionet_ipsec.virtqueue import split as split_module
from virtionet_ipsec.virtqueue.driver_packed import PackedDriver
from virtionet_ipsec.virtqueue.driver_split import SplitDriver
from virtionet_ipsec.virtqueue.memory import Memory
from virtionet_ipsec.virtqueue.packed import PackedQueue
from virtionet_ipsec.virtqueue.queue import Chain, QueueFull
from virtionet_ipsec.virtqueue.split import SplitQueue

from .models import EVENT_IDX, IN_ORDER, INDIRECT_DESC, ModelPackedDriver, ModelSplitDriver, Ram

FORMATS = pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])


def pair(packed: bool, size: int, features: int = 0, model: bool = False) -> tuple[Ram, Any, Any]:
    """Memory, driver and device."""
    ram = Ram(size, packed)
    if model:
        driver: Any = (ModelPackedDriver if packed else ModelSplitDriver)(ram, features)
    else:
        tables = (ram.tables, ram.tables_octets)
        driver = (PackedDriver if packed else SplitDriver)(size, ram.rings, features, tables=tables)
    return ram, driver, (PackedQueue if packed else SplitQueue)(Memory(ram.regions), size, ram.rings, features)


def element(ram: Ram, length: int = 4) -> tuple[int, int]:
    return ram.buffers, length


@pytest.mark.parametrize("kind", [SplitQueue, SplitDriver])
@pytest.mark.parametrize("size", [0, -1, 3, 5, 100, 32769, 65536])
def test_split_size_is_a_power_of_2(kind: Any, size: int) -> None:
    rings = tuple(memoryview(bytearray(1 << 20)) for _ in range(3))
    with pytest.raises(ValueError, match="power of 2 up to 32768"):
        kind(*([Memory([])] if kind is SplitQueue else []), size, rings, 0)


@pytest.mark.parametrize("kind", [PackedQueue, PackedDriver])
@pytest.mark.parametrize("size", [0, -1, 32769])
def test_packed_size(kind: Any, size: int) -> None:
    rings = tuple(memoryview(bytearray(1 << 20)) for _ in range(3))
    with pytest.raises(ValueError, match="from 1 to 32768"):
        kind(*([Memory([])] if kind is PackedQueue else []), size, rings, 0)


@FORMATS
@pytest.mark.parametrize("part", [0, 1, 2])
def test_rings_have_the_sizes_of_the_specification(packed: bool, part: int) -> None:
    """2.7 and 2.8.14.1: exactly as long is enough, one octet less is not."""
    for size in (1, 4, 32768):
        lengths = [16 * size, 4, 4] if packed else [16 * size, 6 + 2 * size, 6 + 8 * size]
        for kind in (PackedQueue, PackedDriver) if packed else (SplitQueue, SplitDriver):
            args: list[Any] = [Memory([])] if kind in (PackedQueue, SplitQueue) else []
            assert kind(*args, size, tuple(memoryview(bytearray(each)) for each in lengths), EVENT_IDX).size == size
            short = [each - (index == part) for index, each in enumerate(lengths)]
            with pytest.raises(ValueError, match="are needed"):
                kind(*args, size, tuple(memoryview(bytearray(each)) for each in short), EVENT_IDX)


@FORMATS
def test_index_wraps(packed: bool) -> None:
    """70,000 buffers through a ring of 4; the token tells that none is lost or doubled."""
    ram, driver, device = pair(packed, 4, EVENT_IDX)
    seen = []
    for first in range(0, 70000, 4):
        for token in range(first, first + 4):
            driver.add([element(ram)], [], token)
        driver.publish()
        assert driver.kick_wanted() == (packed or first % 65536 == 0)
        device.finish([(chain, 0) for chain in device.take(4)])
        device.interrupt_wanted()
        seen += [token for token, _ in driver.used()]
    assert seen == list(range(70000))
    assert device.base == ((70000 % 65536) if not packed else 0x8000_8000 ^ (0x8000_8000 * (70000 // 4 % 2)))


@FORMATS
def test_driver_sees_a_batch_at_once(packed: bool) -> None:
    """Each store of finish is looked at: the driver has nothing before the last one, and all after it."""
    from .tracing import each_opcode

    moment, counts = 0, []
    while True:
        ram, driver, device = pair(packed, 8)
        for token in range(5):
            driver.add([element(ram)], [], token)
        driver.publish()
        chains = device.take(9)
        with each_opcode(moment, lambda driver=driver: counts.append(len(driver.used())), stores_only=True) as reached:
            device.finish([(chain, 0) for chain in chains])
        if not reached():
            break
        moment += 1
    assert len(counts) > 1
    assert set(counts) == {0}
    assert len(driver.used()) == 5


@FORMATS
def test_device_sees_a_batch_at_once(packed: bool) -> None:
    ram, driver, device = pair(packed, 8)
    for token in range(5):
        driver.add([element(ram)], [element(ram)][: token % 2], token)
        assert device.take(9) == []
    driver.publish()
    assert len(device.take(9)) == 5


@FORMATS
def test_untake(packed: bool) -> None:
    """Only the last ones, in order, and not those behind which one was used."""
    ram, driver, device = pair(packed, 8)
    for token in range(6):
        driver.add([element(ram)], [], token)
    driver.publish()
    chains = device.take(6)
    for wrong in (chains[:1], chains[3:5], chains[::-1], [chains[3], chains[5]]):
        with pytest.raises(ValueError, match="not the last"):
            device.untake(wrong)
    device.untake(chains[4:])
    device.untake([])
    assert device.ask_for_kicks(True)
    assert [chain.id for chain in device.take(9)] == [chain.id for chain in chains[4:]]


def test_untake_where_the_index_wraps() -> None:
    ram = Ram(4, packed=False)
    driver = ModelSplitDriver(ram, EVENT_IDX, start=65535)
    queue = SplitQueue(Memory(ram.regions), 4, ram.rings, EVENT_IDX, start=65535)
    for token in range(3):
        driver.add([element(ram)], [], token)
    driver.publish()
    chains = queue.take(9)
    assert (queue.base, len(chains)) == (2, 3)
    queue.untake(chains[1:])
    assert queue.base == 0
    queue.untake(chains[:1])
    assert queue.base == 65535
    assert queue.ask_for_kicks(True)
    assert ram.number(ram.device_area + 4 + 8 * 4) == 65535


# IN_ORDER: (octets to write, octets written) of four buffers, and the places whose used entry is written.
COMPLETE, HALF, NONE = (8, 8), (8, 4), (0, 0)
BATCHES = [
    ([NONE, NONE, NONE, NONE], [0]),
    ([COMPLETE, COMPLETE, NONE, COMPLETE], [0]),
    ([COMPLETE, COMPLETE, COMPLETE, HALF], [0]),
    ([HALF, COMPLETE, COMPLETE, COMPLETE], [0, 1]),
    ([NONE, HALF, NONE, HALF], [0, 2]),
    ([HALF, HALF, HALF, HALF], [0, 1, 2, 3]),
]


@FORMATS
@pytest.mark.parametrize(("buffers", "written"), BATCHES)
def test_in_order_skips_what_is_used_completely(
    packed: bool, buffers: list[tuple[int, int]], written: list[int]
) -> None:
    """2.7.9, 2.8.12: a used entry stands where the first buffer of its batch was, and names the last one."""
    ram, driver, device = pair(packed, 4, IN_ORDER, model=True)
    for token, (room, _) in enumerate(buffers):
        driver.add([element(ram)] if not room else [], [element(ram, room)] if room else [], token)
    driver.publish()
    before = [ram.descriptor(ram.table + 16 * index) for index in range(4)]
    chains = device.take(9)
    device.finish([(chain, done) for chain, (_, done) in zip(chains, buffers, strict=True)])
    last = [*(index - 1 for index in written[1:]), 3]
    if packed:
        for index in range(4):
            now = ram.descriptor(ram.table + 16 * index)
            if index in written:
                end = last[written.index(index)]
                assert now[1:3] == (buffers[end][1], chains[end].id)
                assert now[3] == 0x8080 | (2 if buffers[end][1] else 0)
            else:
                assert now == before[index]
    else:
        assert ram.number(ram.device_area + 2) == 4
        for index, end in zip(written, last, strict=True):
            assert ram.number(ram.device_area + 4 + 8 * index, 4) == chains[end].id
            assert ram.number(ram.device_area + 8 + 8 * index, 4) == buffers[end][1]
    assert driver.used() == [(token, done) for token, (_, done) in enumerate(buffers)]


@FORMATS
def test_in_order_holds_back(packed: bool) -> None:
    ram, driver, device = pair(packed, 4, IN_ORDER)
    for token in range(4):
        driver.add([element(ram)], [], token)
    driver.publish()
    first, second, third, fourth = device.take(4)
    device.finish([(third, 0), (second, 0)])
    assert driver.used() == []
    assert not device.interrupt_wanted()
    device.finish([(first, 0)])
    assert driver.used() == [(0, 0), (1, 0), (2, 0)]
    assert device.interrupt_wanted()
    device.untake([fourth])
    (again,) = device.take(9)
    device.finish([(again, 0)])
    assert driver.used() == [(3, 0)]


@FORMATS
def test_refused_buffer_is_never_skipped(packed: bool) -> None:
    """IN_ORDER would have the driver believe that it was written."""
    ram, driver, device = pair(packed, 4, IN_ORDER)
    driver.add([], [(1, 5)], "outside")
    driver.add([element(ram)], [], "good")
    driver.publish()
    chains = device.take(9)
    assert chains[0].refused
    device.finish([(chain, 0) for chain in chains])
    assert driver.used() == [("outside", 0), ("good", 0)]


@pytest.mark.parametrize(
    ("start", "first_flags", "take", "use"),
    [
        (0, 0, 0x8000, 0x8000),  # a new ring, for front ends that know no packed ones
        (0, 0x80, 0x8000, 0x8000),  # the driver was faster
        (0, 0x8080, 0, 0),  # the second round
        (0, 0x8000, 0, 0),
        (0x8000, 0, 0x8000, 0x8000),  # the second half is left out
        (0x8000, 0x80, 0x8000, 0x8000),
        (0x8003, 0x8080, 0x8003, 0x8003),
        (0x0003, 0x0000, 0x0003, 0x0003),
        (0x0003, 0x8000, 0x0003, 0),  # three are in flight: the first is available and not used
        (0x8003_8003, 0, 0x8003, 0x8003),
        (0x8003_0001, 0, 0x0001, 0x8003),
        (0x0001_8001, 0, 0x8001, 0x0001),  # all five
    ],
)
def test_packed_start(start: int, first_flags: int, take: int, use: int) -> None:
    ram = Ram(5, packed=True)
    ram.set(ram.table + 14, first_flags)
    queue = PackedQueue(Memory(ram.regions), 5, ram.rings, 0, start=start)
    assert queue.base == take | use << 16


@pytest.mark.parametrize("start", [0x8005_8000, 0x8000_8005, 0x8001_8000, 0x0002_8003, 0x7FFF_7FFF])
def test_packed_start_that_cannot_be(start: int) -> None:
    ram = Ram(5, packed=True)
    with pytest.raises(ValueError, match="cannot go on"):
        PackedQueue(Memory(ram.regions), 5, ram.rings, 0, start=start)


@pytest.mark.parametrize(
    ("start", "used", "base"),
    [(0, 0, 0), (7, 7, 7), (11, 7, 11), (12, 7, 7), (6, 7, 7), (1, 65535, 1), (0, 9999, 9999)],
)
def test_split_start(start: int, used: int, base: int) -> None:
    """It counts unless it is impossible: then the used index does (D116)."""
    ram = Ram(4, packed=False)
    ram.set(ram.device_area + 2, used)
    assert SplitQueue(Memory(ram.regions), 4, ram.rings, 0, start=start).base == base


@FORMATS
@pytest.mark.parametrize("features", [0, EVENT_IDX])
def test_device_that_goes_on_tells_the_driver(packed: bool, features: int) -> None:
    """The one before may have been killed between using buffers and saying so."""
    ram, driver, device = pair(packed, 4, features)
    driver.ask_for_interrupts(True)
    for token in range(2):
        driver.add([element(ram)], [], token)
    driver.publish()
    device.finish([(chain, 0) for chain in device.take(9)])
    kind = PackedQueue if packed else SplitQueue
    after = kind(Memory(ram.regions), 4, ram.rings, features, start=device.base)
    assert after.interrupt_wanted()
    assert not after.interrupt_wanted()


@FORMATS
def test_device_that_goes_on_keeps_quiet_when_asked_to(packed: bool) -> None:
    ram, driver, device = pair(packed, 4)
    driver.add([element(ram)], [], 0)
    driver.publish()
    driver.ask_for_interrupts(False)
    device.finish([(chain, 0) for chain in device.take(9)])
    kind = PackedQueue if packed else SplitQueue
    assert not kind(Memory(ram.regions), 4, ram.rings, 0, start=device.base).interrupt_wanted()


def test_suppression_fields_split() -> None:
    """2.7.7, 2.7.10: flags without EVENT_IDX; with it, indexes, and flags stay 0."""
    ram, driver, device = pair(False, 4)
    device.ask_for_kicks(False)
    driver.ask_for_interrupts(False)
    assert (ram.number(ram.device_area), ram.number(ram.driver_area)) == (1, 1)
    ram, driver, device = pair(False, 4, EVENT_IDX)
    device.ask_for_kicks(False)
    driver.ask_for_interrupts(False)
    assert (ram.number(ram.device_area), ram.number(ram.driver_area)) == (0, 0)
    assert ram.number(ram.device_area + 4 + 8 * 4) == ram.number(ram.driver_area + 4 + 2 * 4) == 0xFFFF
    device.ask_for_kicks(True)
    driver.ask_for_interrupts(True)
    assert ram.number(ram.device_area + 4 + 8 * 4) == ram.number(ram.driver_area + 4 + 2 * 4) == 0


def test_suppression_fields_packed() -> None:
    """2.8.14."""
    for features, enabled in ((0, 0), (EVENT_IDX, 0x8000 | 2 << 16)):
        ram, driver, device = pair(True, 4, features)
        device.ask_for_kicks(False)
        driver.ask_for_interrupts(False)
        assert ram.number(ram.device_area, 4) == ram.number(ram.driver_area, 4) == 1 << 16
        device.ask_for_kicks(True)
        driver.ask_for_interrupts(True)
        assert ram.number(ram.device_area, 4) == ram.number(ram.driver_area, 4) == enabled


@FORMATS
@pytest.mark.parametrize("features", [0, EVENT_IDX])
def test_no_notification_is_lost(packed: bool, features: int) -> None:
    """Who asked and saw nothing is told of what comes next, at every place of the ring."""
    ram, driver, device = pair(packed, 4, features)
    driver.ask_for_interrupts(True)
    for token in range(50):
        assert not device.ask_for_kicks(True)
        driver.add([element(ram)], [element(ram)][: token % 3 == 0], token)
        driver.publish()
        assert driver.kick_wanted()
        assert device.ask_for_kicks(True)
        device.finish([(chain, 0) for chain in device.take(1)])
        assert device.interrupt_wanted()
        assert driver.ask_for_interrupts(True)
        assert driver.used() == [(token, 0)]
        assert not driver.ask_for_interrupts(True)


@FORMATS
@pytest.mark.parametrize("features", [0, EVENT_IDX])
def test_fences_are_between_storing_and_looking(packed: bool, features: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other side acts at the very moment of the fence: it finds what was stored, and what it does is seen."""
    modules = [driver_packed, packed_module] if packed else [driver_split, split_module]
    at_the_fence: list[Any] = []
    seen: list[bool] = []

    def fence() -> None:
        if at_the_fence:
            at_the_fence.pop()()

    for module in modules:
        monkeypatch.setattr(module, "fence", fence)
    ram, driver, device = pair(packed, 4, features)

    def publish() -> None:
        driver.publish()
        seen.append(driver.kick_wanted())

    def finish() -> None:
        device.finish([(chain, 0) for chain in device.take(9)])
        seen.append(device.interrupt_wanted())

    for token in range(5):
        seen.clear()
        device.ask_for_kicks(False)
        driver.ask_for_interrupts(False)
        driver.add([element(ram)], [], token)
        at_the_fence.append(publish)
        assert device.ask_for_kicks(True)
        at_the_fence.append(finish)
        assert driver.ask_for_interrupts(True)
        assert seen == [True, True]
        assert driver.used() == [(token, 0)]

        # The other way round: the one who asks is quicker than the one who looks whether it is asked for.
        device.ask_for_kicks(False)
        driver.ask_for_interrupts(False)
        driver.add([element(ram)], [], token)
        driver.publish()
        at_the_fence.append(lambda: seen.append(device.ask_for_kicks(True)))
        assert driver.kick_wanted()
        assert not at_the_fence
        device.finish([(chain, 0) for chain in device.take(9)])
        at_the_fence.append(lambda: seen.append(driver.ask_for_interrupts(True)))
        assert device.interrupt_wanted()
        assert seen == [True, True, True, True]
        assert driver.used() == [(token, 0)]


# -- the driver's side -----------------------------------------------------------------------------------------------


@FORMATS
def test_driver_queue_is_full(packed: bool) -> None:
    ram, driver, _ = pair(packed, 4)
    driver.add([element(ram)] * 3, [], 0)
    assert driver.free == 1
    with pytest.raises(QueueFull, match="2 descriptors are needed, 1 are free"):
        driver.add([element(ram)], [element(ram)], 1)
    driver.add([element(ram)], [], 1)
    assert driver.free == 0


@FORMATS
def test_buffers_that_can_never_be(packed: bool) -> None:
    ram, driver, _ = pair(packed, 4, INDIRECT_DESC)
    for readable, indirect, why in (
        ([], False, "0 elements"),
        ([element(ram)] * 5, False, "5 elements"),
        ([element(ram)] * 5, True, "does not fit"),
    ):
        with pytest.raises(ValueError, match=why):
            driver.add(readable, [], 0, indirect=indirect)
    assert driver.free == 4
    _, driver, _ = pair(packed, 4)
    with pytest.raises(ValueError, match="not negotiated"):
        driver.add([element(ram)], [], 0, indirect=True)


@pytest.mark.parametrize(
    ("used_index", "head", "why"),
    [(3, 0, "the used index is 3 ahead, with 2 buffers"), (65535, 0, "65535 ahead"), (1, 1, "descriptor 1"),
     (1, 4, "descriptor 4"), (1, 0xFFFFFFFF, "descriptor 4294967295"), (2, 0, "descriptor 0")],
)  # fmt: skip
def test_split_device_lies(used_index: int, head: int, why: str) -> None:
    """Two buffers are at the device, 0 of two descriptors and 2; another one was not published."""
    ram, driver, _ = pair(False, 4)
    driver.add([element(ram)] * 2, [], "a")
    driver.add([element(ram)], [], "b")
    driver.publish()
    driver.add([element(ram)], [], "c")
    for index in range(2):
        ram.set(ram.device_area + 4 + 8 * index, head, 4)
    ram.set(ram.device_area + 2, used_index)
    assert driver.used() == ([("a", 0)] if used_index == 2 else [])
    assert why in driver.broken
    assert driver.used() == []
    assert not driver.ask_for_interrupts(True)


@pytest.mark.parametrize("name", [1, 5, 0xFFFF])
def test_packed_device_lies(name: int) -> None:
    ram, driver, _ = pair(True, 4)
    driver.add([element(ram)] * 2, [], "a")
    driver.publish()
    ram.set_descriptor(ram.table, 0, 0, name, 0x8080)
    assert driver.used() == []
    assert f"id {name}" in driver.broken
    assert not driver.ask_for_interrupts(True)


def test_packed_length_without_write_is_ignored() -> None:
    """2.8.4: it is reserved then."""
    ram, driver, _ = pair(True, 4)
    driver.add([element(ram)], [], "a")
    driver.publish()
    ram.set_descriptor(ram.table, 0, 99, 0, 0x8080)
    assert driver.used() == [("a", 0)]


def test_repr_has_no_data() -> None:
    chain = Chain(3, b"secret", (), 0, 0)
    assert repr(chain) == "Chain(3, 6 in, 0 out)"
    assert (chain.head, repr(Chain(4, b"", (), 0, 0, refused="why"))) == (3, "Chain(4, refused: why)")
