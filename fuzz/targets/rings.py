"""Any octets in the rings of a device: descriptors, indexes, indirect tables, event structures, the in-flight region.

The input is a list of what a driver does: write descriptors, make them
available, change its memory, kick; and of what else happens: frames arrive, a
queue is stopped and started, its backend is killed.  Then holds, each time:

- nothing is raised, and a call ends after work that the queue's size bounds;
- the device wrote to its own parts of the rings and to device-writable buffers, and nowhere else;
- a queue is in order, or it is broken, detached and DEVICE_NEEDS_RESET is set.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from virtionet_ipsec.device import Device
from virtionet_ipsec.virtqueue.inflight import inflight_size
from virtionet_ipsec.virtqueue.memory import Memory
from virtionet_ipsec.virtqueue.net import NetQueues
from virtionet_ipsec.virtqueue.packed import PackedQueue
from virtionet_ipsec.virtqueue.queue import Chain, DeviceQueue
from virtionet_ipsec.virtqueue.split import SplitQueue
from virtionet_ipsec.wire import Feature, Status

from ..octets import Octets

NEXT, WRITE, INDIRECT = 1, 2, 4
DESCRIPTOR = struct.Struct("<QIHH")

GUARD = 64
REGIONS = ((0x1000, 0x2000), (0x3000, 0x800), ((1 << 64) - 0x800, 0x800))
"""Guest address and length: two that adjoin, and one at the end of the address space."""

QUEUES = 4  # receiveq1, transmitq1, the control and the administration virtqueue
SIZES = (4, 1, 2, 8)
MOST = max(SIZES)
RING = 0x200  # octets of a queue's rings at the beginning of the memory
TABLES, TABLE = 0x800, 16 * MOST  # indirect tables, one for each of 8
BUFFERS = 0xC00

OPTIONAL = (Feature.INDIRECT_DESC, Feature.EVENT_IDX, Feature.IN_ORDER, Feature.MRG_RXBUF, Feature.CTRL_VQ)
ALWAYS = (Feature.VERSION_1, Feature.ADMIN_VQ, Feature.IPSEC, Feature.OUT_NET_HEADER)
OFFERED = sum(1 << each for each in (*OPTIONAL, *ALWAYS, Feature.RING_PACKED))

LENGTHS = (24, 0, 1, 12, 100, 64, 0x400, 0x800, 0x801, 0x1000, 0xFFFF, 0x10000, 1 << 20, 1 << 31, 0xFFFFFFFF, 16)
ADDRESSES = (
    *(0x1000 + at for at in (BUFFERS, 0, TABLES, TABLES + TABLE, 0x1FF0, 0x1FFF, 0x2000, 0x27FF, BUFFERS + 0x100)),
    *(0, 0xFFF, 0x3800, 1 << 63),
    *((1 << 64) - before for before in (0x800, 16, 1)),
)
MARKS = (0x0080, 0x8000, 0x8080, 0)

FRAME = bytes.fromhex("020000000001 020000000002 0800") + bytes(range(100))
COMMANDS = (
    struct.pack("<HH12xQ", 0, 1, 0),  # LIST_QUERY of the device itself
    b"\0\0\1",  # promiscuous
    b"\1\1" + bytes(6),  # a MAC address
    b"\4\0\1\0",  # one pair
)


class CountedMemory(Memory):
    """How often an address was looked up."""

    looked_up = 0

    def span(self, address: int) -> tuple[int, int, memoryview]:
        self.looked_up += 1
        return super().span(address)


def _whole(chains: list[Chain]) -> list[Chain]:
    """``chains``, each of which is refused, or has all the octets that it says it has."""
    for chain in chains:
        assert sum(map(len, chain.writable)) == chain.writable_len
        assert not chain.refused or not (chain.readable or chain.writable)
    return chains


class Split(SplitQueue):
    """Looks at what it takes."""

    def take(self, most: int) -> list[Chain]:
        return _whole(super().take(most))


class Packed(PackedQueue):
    """The same."""

    def take(self, most: int) -> list[Chain]:
        return _whole(super().take(most))


class World:
    """A device on its queues, the driver's memory, and what the device may write there."""

    def __init__(self, octets: Octets) -> None:
        self.packed = bool(octets.number() & 1)
        self.size = octets.pick(SIZES)
        chosen = octets.number()
        features = sum(1 << feature for bit, feature in enumerate(OPTIONAL) if chosen >> bit & 1)
        features |= sum(1 << feature for feature in ALWAYS) | self.packed << Feature.RING_PACKED

        total = GUARD + sum(length + GUARD for _, length in REGIONS)
        self.octets = bytearray(b"\xa5" * total)
        shared = memoryview(self.octets)
        regions, at = [], GUARD
        for address, length in REGIONS:
            self.octets[at : at + length] = bytes(length)
            regions.append((address, shared[at : at + length]))
            at += length + GUARD
        self.memory = CountedMemory(regions)
        self.rings = regions[0][1]
        self.allowed: list[tuple[int, int]] = []  # from, to, in self.octets

        self.notified: list[int] = []
        self.broken_queues: set[int] = set()
        self.device = Device(features=OFFERED)
        self.queues = NetQueues(self.device, self)
        self.device.set_status(Status.ACKNOWLEDGE | Status.DRIVER)
        self.device.set_driver_features(features)
        self.device.set_status(Status.ACKNOWLEDGE | Status.DRIVER | Status.FEATURES_OK)
        self.device.set_status(self.device.status | Status.DRIVER_OK)
        self.features = features
        each = inflight_size(self.size, packed=self.packed)
        self.inflight = bytearray(QUEUES * each) if chosen >> 5 & 1 else None
        self.inflight_each = each

        self.attached: dict[int, DeviceQueue] = {}
        self.offered = [0] * QUEUES
        self.meddled = False  # the driver wrote to what is the device's
        for index in range(QUEUES):
            self.attach(index, 0)

    # -- what NetQueues tells ------------------------------------------------------------------------------------

    def send(self, frames: object) -> None:
        """Nobody listens at the wire."""

    def notify(self, index: int) -> None:
        self.notified.append(index)

    def broken(self, index: int, why: str) -> None:
        assert why
        assert self.device.status & Status.DEVICE_NEEDS_RESET
        del self.attached[index]
        self.broken_queues.add(index)

    # -- queues --------------------------------------------------------------------------------------------------

    def parts(self, index: int) -> tuple[memoryview, memoryview, memoryview]:
        at = index * RING
        split = (16 * self.size, 6 + 2 * self.size, 6 + 8 * self.size)
        lengths = (16 * self.size, 4, 4) if self.packed else split
        starts = (at, at + 0x80, at + 0xC0)
        first, second, third = (self.rings[start:][:length] for start, length in zip(starts, lengths, strict=True))
        return first, second, third

    def attach(self, index: int, base: int) -> None:
        make: type[Packed | Split] = Packed if self.packed else Split
        inflight = None
        if self.inflight is not None:
            inflight = memoryview(self.inflight)[index * self.inflight_each :][: self.inflight_each]
        try:
            queue = make(self.memory, self.size, self.parts(index), self.features, start=base, inflight=inflight)
        except ValueError:  # a place to go on from that cannot be
            self.attached.pop(index, None)
            return
        self.queues.attach(index, queue)
        self.attached[index] = queue
        if queue.broken:  # by the in-flight region, which shows when the queue is served
            self.service(index)

    # -- what the device may do ----------------------------------------------------------------------------------

    def _place(self, address: int, length: int) -> Iterator[tuple[int, int]]:
        """Where in ``octets`` the part of a range is that is in the driver's memory."""
        at = GUARD
        for start, size in REGIONS:
            low, high = max(address, start), min(address + length, start + size)
            if low < high:
                yield at + low - start, at + high - start
            at += size + GUARD

    def _allow(self) -> None:
        """All that descriptors, as they are now, let the device write: those in tables, whoever points to them."""
        for index in range(QUEUES):
            for name in range(self.size):
                address, length, flags, last = DESCRIPTOR.unpack_from(self.rings, index * RING + 16 * name)
                flags = last if self.packed else flags
                if flags & WRITE:
                    self.allowed += self._place(address, length)
                if flags & INDIRECT and length <= TABLE:
                    for low, high in self._place(address, length):
                        self._allow_table(low, high)

    def _allow_table(self, low: int, high: int) -> None:
        for at in range(low, high - 15, 16):
            address, length, flags, last = DESCRIPTOR.unpack_from(self.octets, at)
            if (last if self.packed else flags) & WRITE:
                self.allowed += self._place(address, length)

    def _own(self) -> Iterator[tuple[int, int]]:
        """What is the device's to write at any time."""
        for index in range(QUEUES):
            at = GUARD + index * RING
            if self.packed:
                yield at, at + 16 * self.size
                yield at + 0xC0, at + 0xC4
            else:
                yield at + 0xC0, at + 0xC0 + 6 + 8 * self.size

    def check(self, before: bytes) -> None:
        """What is not allowed is as it was, and queues are in order or broken."""
        if self.octets != before:
            expected = bytearray(before)
            for low, high in (*self.allowed, *self._own()):
                expected[low:high] = self.octets[low:high]
            assert expected == self.octets, "the device wrote where it must not"
        for queue in self.attached.values():
            assert not queue.broken, "a broken queue is still attached"
        bound = self.size * (2 * self.size + 4) * len(REGIONS) * QUEUES
        assert self.memory.looked_up <= bound, f"{self.memory.looked_up} addresses in one call"

    def call(self, function: object, *arguments: object) -> object:
        self._allow()
        before = bytes(self.octets)
        self.memory.looked_up = 0
        done = function(*arguments)  # type: ignore[operator]
        self.check(before)
        return done

    # -- what the driver does ------------------------------------------------------------------------------------

    def descriptor(self, index: int, name: int, address: int, length: int, flags: int, last: int) -> None:
        if self.packed:
            flags, last = last, flags
        DESCRIPTOR.pack_into(self.rings, index * RING + 16 * name, address, length, flags, last)

    def offer(self, index: int, head: int) -> None:
        """Make a chain available; in a packed ring, mark the descriptor that is next."""
        turn = self.offered[index]
        self.offered[index] = turn + 1
        at = index * RING
        if self.packed:
            rounds, name = divmod(turn, self.size)
            (flags,) = struct.unpack_from("<H", self.rings, at + 16 * name + 14)
            flags = flags & 0x7F7F | (0x8000 if rounds % 2 else 0x0080)
            struct.pack_into("<H", self.rings, at + 16 * name + 14, flags)
        else:
            struct.pack_into("<H", self.rings, at + 0x84 + 2 * (turn % self.size), head)
            struct.pack_into("<H", self.rings, at + 0x82, turn + 1 & 0xFFFF)

    def service(self, index: int) -> None:
        for _ in range(3 * self.size + 4):
            if not self.call(self.queues.service, index):
                break
        else:
            raise AssertionError("a queue that nobody fills is never done")
        if not self.packed and not self.meddled and index and index in self.attached:
            used, available = (struct.unpack_from("<H", self.rings, index * RING + at)[0] for at in (0xC2, 0x82))
            assert used == available, "the queue rests, and buffers are not used"


# -- what happens --------------------------------------------------------------------------------------------------


def _descriptor(world: World, octets: Octets) -> None:
    index, name = octets.number() % QUEUES, octets.number() % world.size
    address, length = octets.pick(ADDRESSES) + octets.number(), octets.pick(LENGTHS)
    flags, following = octets.number(), octets.number()
    flags = flags & 7 | (octets.pick(MARKS) if world.packed else flags & 0xF0)
    world.descriptor(index, name, address & (1 << 64) - 1, length, flags, following % (world.size + 2))


def _table(world: World, octets: Octets) -> None:
    at = TABLES + octets.number() % 8 * TABLE + octets.number() % MOST * 16
    flags, last = octets.number() & 7, octets.number() % (MOST + 1)
    if world.packed:
        flags, last = last, flags
    address = octets.pick(ADDRESSES) + octets.number()
    DESCRIPTOR.pack_into(world.rings, at, address & (1 << 64) - 1, octets.pick(LENGTHS), flags, last)


def _offer(world: World, octets: Octets) -> None:
    world.offer(octets.number() % QUEUES, octets.number() % (world.size + 1))


def _poke(world: World, octets: Octets) -> None:
    """Any octets in the rings."""
    at = octets.number(2) % (QUEUES * RING)
    data = octets.take(1 + octets.number() % 8)
    world.rings[at : at + len(data)] = data
    world.meddled = True


def _fill(world: World, octets: Octets) -> None:
    """Any octets in buffers and tables, or some that make sense there."""
    at = TABLES + octets.number(2) % (0x2000 - TABLES)
    data = octets.pick((bytes(24) + FRAME, *COMMANDS, octets.take(octets.number() % 64)))
    room = world.rings[at : at + len(data)]
    room[:] = data[: len(room)]


def _good(world: World, octets: Octets) -> None:
    """A buffer as a good driver gives it, at the turn of its queue."""
    index, kind = octets.number() % QUEUES, octets.number()
    name = world.offered[index] % world.size
    at = BUFFERS + index * 0x400 + name * 0x80
    address = 0x1000 + at
    readable = bytes(24) + FRAME[:kind] if index == 1 else COMMANDS[kind % len(COMMANDS)]
    if index == 0:
        world.descriptor(index, name, address, 0x80, WRITE | kind & NEXT, 0)
    elif index == 1 or world.size == 1:
        world.rings[at : at + len(readable)] = readable
        world.descriptor(index, name, address, len(readable), 0, 0)
    else:  # readable, then writable, in an indirect table
        table = TABLES + name * TABLE
        world.rings[at : at + len(readable)] = readable
        elements = ((address, len(readable), NEXT, 1), (address + 0x40, 0x40, WRITE, 0))
        for place, (where, length, flags, last) in enumerate(elements):
            pair = (last, flags) if world.packed else (flags, last)
            DESCRIPTOR.pack_into(world.rings, table + 16 * place, where, length, *pair)
        world.descriptor(index, name, 0x1000 + table, 32, INDIRECT, 0)
    world.offer(index, name)


def _service(world: World, octets: Octets) -> None:
    world.service(octets.number() % QUEUES)


def _arrive(world: World, octets: Octets) -> None:
    lengths = (60, 14, 13, 0, 200, 1514, 4000, 100)
    frames = [(FRAME + bytes(4000))[: octets.pick(lengths)] for _ in range(1 + octets.number() % 4)]
    world.call(world.queues.arrive, frames)


def _restart(world: World, octets: Octets) -> None:
    """Stopped, and started where it stopped, or from anywhere."""
    index = octets.number() % QUEUES
    queue = world.call(world.queues.detach, index)
    world.attached.pop(index, None)
    if octets.number() % 4:
        if queue is not None:
            world.attach(index, queue.base)  # type: ignore[attr-defined]
    else:
        world.meddled = True
        world.attach(index, octets.number(4))


def _kill(world: World, octets: Octets) -> None:
    """Another backend takes the queue over; the one before says and writes nothing any more."""
    index = octets.number() % QUEUES
    if world.inflight is None or index not in world.attached:
        return
    queue = world.attached.pop(index)
    scratch = bytes(world.octets), bytes(world.inflight)
    base = queue.base
    world.queues.detach(index)
    world.octets[:], world.inflight[:] = scratch
    world.attach(index, base)


def _meddle(world: World, octets: Octets) -> None:
    """A field of the in-flight region, mostly one of an entry that will be used soon, gets any value."""
    if world.inflight is None:
        return
    header, each = (32, 32) if world.packed else (16, 16)
    field = octets.number() % 16 * 2
    entry = octets.number() % (world.size + 1)
    at = octets.number() % QUEUES * world.inflight_each + (
        field if entry == world.size else header + each * entry + field
    )
    value = octets.pick((0, 1, world.size, 0xFFFF, 0x8000, 0x100, world.size - 1, octets.number(2)))
    struct.pack_into("<H", world.inflight, min(at, len(world.inflight) - 2), value)
    world.meddled = True


def _enable(world: World, octets: Octets) -> None:
    world.queues.enable(octets.number() % QUEUES, bool(octets.number() & 1))


def _reset(world: World, octets: Octets) -> None:
    """A queue is set up from new."""
    index = octets.number() % QUEUES
    world.call(world.queues.detach, index)
    world.attached.pop(index, None)
    world.rings[index * RING : (index + 1) * RING] = bytes(RING)
    if world.inflight is not None:
        each = world.inflight_each
        world.inflight[index * each : (index + 1) * each] = bytes(each)
    world.offered[index] = 0
    world.broken_queues.discard(index)
    world.attach(index, 0)


ACTS = (
    _good,
    _service,
    _arrive,
    _descriptor,
    _table,
    _offer,
    _poke,
    _fill,
    _restart,
    _kill,
    _meddle,
    _enable,
    _reset,
)
MOST_ACTS = 100


def run(data: bytes) -> None:
    """Raises what is wrong."""
    octets = Octets(data)
    world = World(octets)
    for _ in range(MOST_ACTS):
        if not octets:
            break
        octets.pick(ACTS)(world, octets)
    for index in range(QUEUES):
        world.service(index)
        world.call(world.queues.detach, index)


def _hostile(packed: int, chosen: int) -> Iterator[bytes]:
    """Descriptors of every kind at every kind of address, loops and tables in tables among them, two at a time."""
    for flags in range(8):
        for address in range(0, len(ADDRESSES), 2):
            acts = b""
            for turn in range(2):
                for index in (0, 1, 3):
                    length = (address + 3 * turn + index) % len(LENGTHS)
                    kind = flags if not turn else (flags | WRITE) & ~packed  # a list ends there in a packed ring
                    one = bytes((3, index, turn, address + turn, 0, length, kind, 1 - turn))
                    acts += one + bytes((0,)) * packed + bytes((5, index, turn))
            table = bytes((4, 0, 0, flags, 1, address, 0, 0)) + bytes((4, 0, 1, 5, 0, address, 0, 0))
            yield bytes((packed, 0, chosen)) + table + acts + bytes((1, 1, 1, 3, 2, 0, 1, 2, 4, 1, 1, 0))


def seeds() -> list[bytes]:
    """Good traffic on all queues, in both formats, with all features and without; and what no driver should do."""
    found = []
    buffers = bytes((0, 0, 0)) * 3 + b"".join(bytes((0, index, 90, 1, index)) for index in range(1, QUEUES))
    frames = b"".join(bytes((2, length, 1)) for length in (0, 4, 5))
    again = b"".join(bytes((8, index, 1)) for index in range(QUEUES))
    for packed in (0, 1):
        for size in range(len(SIZES)):
            for chosen in (0, 0x1F):
                found.append(bytes((packed, size, chosen)) + (buffers + frames) * 3 + again + buffers + frames)
        for field in range(16):  # of the in-flight region, which is changed under way
            change = b"".join(bytes((10, field, entry, index, 3)) for entry in range(5) for index in (0, 1))
            kill = bytes((9, 0, 9, 1))
            found.append(bytes((packed, 0, 0x21)) + buffers + change + buffers + frames + buffers + kill + frames)
        found += _hostile(packed, 0x19)
    return found
