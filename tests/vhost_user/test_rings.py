"""When a ring runs, what its descriptors may be, and what a ring that makes no sense comes to."""

from __future__ import annotations

import ctypes
import fcntl
import gc
import os
import select
import socket
import struct
from collections.abc import Callable

import pytest

from .rig import (
    ACKNOWLEDGE,
    ADD_MEM_REG,
    BACKEND_REQ,
    CONFIG,
    DRIVER,
    DRIVER_OK,
    F_CTRL_VQ,
    F_EVENT_IDX,
    F_MQ,
    F_PROTOCOL,
    F_RING_PACKED,
    FEATURES_OK,
    FRAME,
    GET_FEATURES,
    GET_STATUS,
    GET_VRING_BASE,
    HEADER,
    MEM_SLOTS,
    NEED_REPLY,
    NEEDS_RESET,
    PLAIN,
    RECEIVED,
    REM_MEM_REG,
    REPLY_ACK,
    SET_BACKEND_REQ_FD,
    SET_MEM_TABLE,
    SET_STATUS,
    SET_VRING_ADDR,
    SET_VRING_CALL,
    SET_VRING_ENABLE,
    SET_VRING_ERR,
    SET_VRING_KICK,
    SET_VRING_NUM,
    STATUS,
    U64,
    WRITE,
    FrontEnd,
    PackedRing,
    Rig,
    SharedMemory,
    SplitRing,
    count,
    descriptors,
    mem_table,
    passes,
    single,
    state,
    vring_addr,
)

PACKED = pytest.mark.parametrize("packed", [0, F_RING_PACKED], ids=["split", "packed"])
LIVE = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK


def base(front: FrontEnd, ring: SplitRing) -> int:
    index, found = struct.unpack("<II", front.ask(GET_VRING_BASE, state(ring.index, 0)))
    assert index == ring.index
    return int(found)


# -- running, stopped, enabled -------------------------------------------------------------------------------------


@PACKED
@pytest.mark.parametrize("said", [None, 0, 1], ids=["nothing said", "disabled", "enabled"])
def test_what_lies_there_before_the_kick_is_taken(rig: Rig, packed: int, said: int | None) -> None:
    """A ring that starts is looked at, for its kick may have been before; and not thrown away before it is enabled."""
    front, memory = rig.connect(), rig.memory()
    front.negotiate(PLAIN | F_PROTOCOL | packed)
    front.share(memory)
    ring = (PackedRing if packed else SplitRing)(memory, 1)
    ring.send()
    if said is not None:
        front.say(SET_VRING_ENABLE, state(1, said))
    front.start(ring)
    assert rig.sent == [FRAME]
    assert ring.used() == [(0, 0)]


@PACKED
def test_a_stopped_ring_is_not_touched(rig: Rig, packed: int) -> None:
    front, memory, receive, transmit = rig.ready(PLAIN | F_PROTOCOL | packed)
    passes(rig, front, receive, transmit)
    receive.give()
    for ring in (receive, transmit):
        assert base(front, ring) & 0x7FFF == 1
    rig.sent.clear()
    transmit.send()
    before = bytes(memory.octets)
    for ring in (receive, transmit):
        os.eventfd_write(ring.kick, 1)
        front.say(SET_VRING_ENABLE, state(ring.index, 1))
    rig.arrive(FRAME)
    front.say(SET_MEM_TABLE, mem_table(memory.region), [memory.fd])
    assert rig.sent == []
    assert bytes(memory.octets) == before


@PACKED
@pytest.mark.parametrize("more", [0, F_EVENT_IDX], ids=["flags", "event index"])
def test_a_ring_goes_on_where_it_stopped(rig: Rig, packed: int, more: int) -> None:
    """Over many rounds of the ring, with buffers that were taken and not used at the time."""
    front, _, receive, transmit = rig.ready(PLAIN | F_PROTOCOL | packed | more, size=4)
    for turn in range(30):
        receive.give()
        receive.give()
        front.kick(receive)
        rig.arrive(FRAME)  # one of the two is used
        assert receive.received() == [RECEIVED + FRAME]
        transmit.send()
        front.kick(transmit)
        assert len(rig.sent) == 1 + 2 * turn
        for ring in (receive, transmit):
            found = base(front, ring)
            if not packed:
                assert found == ring.le16(ring.used_ring + 2)
            front.start(ring, base=found)
        rig.arrive(FRAME)
        assert receive.received() == [RECEIVED + FRAME]
        transmit.send()
        front.kick(transmit)
        assert [written for _, written in transmit.used()] == [0, 0]
    assert len(rig.sent) == 60


def test_disabled_rings(rig: Rig) -> None:
    """A receive queue that is disabled gets nothing; what is in a transmit queue that is disabled is thrown away."""
    front, _, receive, transmit = rig.ready()
    for ring in (receive, transmit):
        front.say(SET_VRING_ENABLE, state(ring.index, 0))
    receive.give()
    front.kick(receive)
    rig.arrive(FRAME)
    assert receive.used() == []
    assert count(receive.call) == 0
    transmit.send()
    front.kick(transmit)
    assert rig.sent == []
    assert transmit.used() == [(0, 0)]
    for ring in (receive, transmit):
        front.say(SET_VRING_ENABLE, state(ring.index, 1))
    rig.arrive(FRAME)
    assert receive.received() == [RECEIVED + FRAME]
    passes(rig, front, receive, transmit)


def test_rings_begin_disabled_with_protocol_features(rig: Rig) -> None:
    front, memory = rig.connect(), rig.memory()
    front.negotiate()
    front.share(memory)
    receive, transmit = SplitRing(memory, 0), SplitRing(memory, 1)
    for ring in (receive, transmit):
        front.start(ring, enable=False)
    transmit.send()
    front.kick(transmit)
    assert rig.sent == []
    receive.give()
    front.kick(receive)
    rig.arrive(FRAME)
    assert receive.used() == []


@pytest.mark.parametrize("what", range(4))
def test_no_ring_runs_before_driver_ok(rig: Rig, what: int) -> None:
    front, memory = rig.connect(), rig.memory()
    front.negotiate(PLAIN | F_PROTOCOL, REPLY_ACK | STATUS)
    front.share(memory)
    for written in ((), (ACKNOWLEDGE,), (ACKNOWLEDGE | DRIVER,), (ACKNOWLEDGE | DRIVER | FEATURES_OK,))[what]:
        front.say(SET_STATUS, U64(written))
    receive, transmit = SplitRing(memory, 0), SplitRing(memory, 1)
    receive.give()
    transmit.send()
    before = bytes(memory.octets)
    for ring in (receive, transmit):
        front.start(ring)
        front.kick(ring)
    rig.arrive(FRAME)
    assert rig.sent == []
    assert bytes(memory.octets) == before
    front.say(SET_STATUS, U64(ACKNOWLEDGE | DRIVER | FEATURES_OK))
    front.say(SET_STATUS, U64(LIVE))
    assert rig.sent == [FRAME]
    rig.arrive(FRAME)
    assert receive.received() == [RECEIVED + FRAME]


def test_after_a_reset_the_old_rings_are_forgotten(rig: Rig) -> None:
    """Their memory may be anybody's now: nothing is written there until the driver names rings again."""
    front, memory, receive, transmit = rig.ready(protocol=REPLY_ACK | STATUS)
    front.say(SET_STATUS, U64(ACKNOWLEDGE | DRIVER | FEATURES_OK))
    front.say(SET_STATUS, U64(LIVE))
    passes(rig, front, receive, transmit)
    front.say(SET_STATUS, U64(0))
    rig.sent.clear()
    receive.give()
    transmit.send()
    before = bytes(memory.octets)
    front.say(SET_STATUS, U64(ACKNOWLEDGE | DRIVER))
    front.negotiate(PLAIN | F_PROTOCOL, REPLY_ACK | STATUS)
    front.say(SET_STATUS, U64(LIVE))
    assert front.number(GET_STATUS) == LIVE
    for ring in (receive, transmit):
        os.eventfd_write(ring.kick, 1)
        front.say(SET_VRING_ENABLE, state(ring.index, 1))
    front.share(memory)
    for ring in (receive, transmit):
        front.signal(SET_VRING_KICK, ring)  # which is not enough
    rig.arrive(FRAME)
    assert rig.sent == []
    assert bytes(memory.octets) == before
    memory.octets[:] = bytes(memory.size)
    for ring in (receive, transmit):
        ring.offered = ring.seen = 0
        front.start(ring)
    passes(rig, front, receive, transmit)


def test_control_and_administration_queues(rig: Rig) -> None:
    """They have rings here like the others; what no feature allows is answered with no octet."""
    front, memory = rig.connect(), rig.memory(0x20000)
    front.negotiate(PLAIN | F_PROTOCOL | F_CTRL_VQ | F_MQ)
    front.share(memory)
    for index, command, answer in ((4, b"\x04\0\1\0", [1]), (5, bytes(24), [0])):
        ring = SplitRing(memory, index)
        at = 0x10000 + index * 0x1000
        ring.put(at, command)
        ring.descriptor(0, memory.guest + at, len(command), 1, 1)
        ring.descriptor(1, memory.guest + at + 0x100, 64, WRITE)
        ring.offer(0)
        front.start(ring)
        assert [written for _, written in ring.used()] == answer
        assert count(ring.call) == 1


# -- memory that changes -------------------------------------------------------------------------------------------


@PACKED
def test_memory_is_mapped_anew_while_rings_run(rig: Rig, packed: int) -> None:
    """Also at other addresses, with receive buffers taken, and without a descriptor left of the mapping before."""
    front, memory, receive, transmit = rig.ready(PLAIN | F_PROTOCOL | packed)
    second = rig.memory()
    before = descriptors()
    for turn in range(20):
        passes(rig, front, receive, transmit)
        receive.give()
        rig.arrive(FRAME)
        receive.used()
        old, new = (memory, second) if turn % 2 == 0 else (second, memory)
        new.octets[:] = old.octets
        old.octets[:] = b"\xee" * old.size
        front.share(new)
        receive.memory = transmit.memory = new
    passes(rig, front, receive, transmit)
    assert descriptors() == before
    assert memory.intact()
    assert second.intact()


def test_a_memory_table_that_is_refused_changes_nothing(rig: Rig) -> None:
    front, memory, receive, transmit = rig.ready()
    good = memory.region
    bad = struct.pack("<QQQQ", 0, 0x1000, 0, 1 << 50)
    assert front.acked(SET_MEM_TABLE, mem_table(good, bad), [memory.fd, memory.fd]) != 0
    passes(rig, front, receive, transmit)


def test_rings_whose_memory_goes_and_comes(rig: Rig) -> None:
    """QEMU takes a region that grows away and adds it again."""
    front, memory, receive, transmit = rig.ready(protocol=REPLY_ACK | MEM_SLOTS)
    passes(rig, front, receive, transmit)
    before = descriptors()
    for _ in range(10):
        assert front.acked(REM_MEM_REG, single(memory.region)) == 0
        transmit.send()
        os.eventfd_write(transmit.kick, 1)
        rig.loop.run()
        assert transmit.used() == []
        rig.sent.clear()
        assert front.acked(ADD_MEM_REG, single(memory.region), [memory.fd]) == 0
        assert rig.sent == [FRAME]
        assert transmit.used() == [(transmit.offered - 1 & 7, 0)]
        passes(rig, front, receive, transmit)
    assert descriptors() == before


def test_rem_mem_reg_with_a_descriptor(rig: Rig) -> None:
    """Some front ends send one, which is closed."""
    front, memory, *_ = rig.ready(protocol=REPLY_ACK | MEM_SLOTS)
    before = descriptors()
    assert front.acked(REM_MEM_REG, single(memory.region), [memory.fd]) == 0
    assert descriptors() == before - 1  # that of the mapping


def test_buffers_in_several_regions(rig: Rig) -> None:
    """The ring in one, the frame over the border of two others that adjoin."""
    front, memory = rig.connect(), rig.memory()
    first = rig.memory(0x1000, guest=0x10000, user=0x10000)
    second = rig.memory(0x1000, guest=0x11000, user=0x20000)
    front.negotiate()
    front.share(second, memory, first)
    transmit = SplitRing(memory, 1)
    data = HEADER + FRAME
    first.octets[-20:] = data[:20]
    second.octets[: len(data) - 20] = data[20:]
    transmit.descriptor(0, 0x11000 - 20, len(data))
    transmit.offer(0)
    front.start(transmit)
    assert rig.sent == [FRAME]
    receive = SplitRing(memory, 0)
    receive.descriptor(0, 0x11000 - 20, 200, WRITE)
    receive.offer(0)
    front.start(receive)
    rig.arrive(FRAME)
    assert receive.used() == [(0, len(data))]
    assert bytes(first.octets[-20:]) + bytes(second.octets[: len(data) - 20]) == RECEIVED + FRAME
    assert first.intact()
    assert second.intact()


# -- rings that cannot run -----------------------------------------------------------------------------------------


Places = Callable[[SharedMemory], tuple[int, ...]]
"""User addresses of a ring's three parts."""


def places(*offsets: int) -> Places:
    """From the beginning of the memory."""
    return lambda memory: tuple(memory.user + at for at in offsets)


CANNOT_RUN: dict[str, tuple[Places, int]] = {
    "descriptor table outside": (places(0x10000, 0x400, 0x800), 8),
    "available ring outside": (places(0, 0x10000, 0x800), 8),
    "used ring outside": (places(0, 0x400, 0x10000), 8),
    "descriptor table over the end": (places(0x10000 - 112, 0x400, 0x800), 8),
    "available ring over the end": (places(0, 0x10000 - 20, 0x800), 8),
    "used ring over the end": (places(0, 0x400, 0x10000 - 64), 8),
    "before the beginning": (places(-0x1000, 0x400, 0x800), 8),
    "guest addresses": (lambda memory: tuple(memory.guest + at for at in (0, 0x400, 0x800)), 8),
    "at the end of the address space": (lambda _: ((1 << 64) - 16,) * 3, 8),
    "a descriptor table that is not aligned": (places(8, 0x400, 0x800), 8),
    "an available ring that is not aligned": (places(0, 0x401, 0x800), 8),
    "a used ring that is not aligned": (places(0, 0x400, 0x802), 8),
    "a size that is no power of two": (places(0, 0x400, 0x800), 6),
    "a size too large for the memory": (places(0, 0x400, 0x800), 32768),
}
CANNOT_RUN_PACKED: dict[str, tuple[Places, int]] = {
    "descriptor ring outside": (places(0x10000, 0x400, 0x800), 8),
    "driver area outside": (places(0, 0x10000 - 3, 0x800), 8),
    "device area outside": (places(0, 0x400, 0x10000), 8),
    "a descriptor ring that is not aligned": (places(4, 0x400, 0x800), 8),
    "a driver area that is not aligned": (places(0, 0x402, 0x800), 8),
    "a device area that is not aligned": (places(0, 0x400, 0x801), 8),
    "a size too large for the memory": (places(0, 0x400, 0x800), 32768),
}


@pytest.mark.parametrize(
    ("packed", "where", "size"),
    [(0, *each) for each in CANNOT_RUN.values()] + [(F_RING_PACKED, *each) for each in CANNOT_RUN_PACKED.values()],
    ids=[f"split, {name}" for name in CANNOT_RUN] + [f"packed, {name}" for name in CANNOT_RUN_PACKED],
)
def test_a_ring_that_cannot_run(rig: Rig, packed: int, where: Places, size: int) -> None:
    """It is told or refused, nothing is read or written, and the other rings run."""
    front, memory, receive, transmit = rig.ready(PLAIN | F_PROTOCOL | packed)
    third = type(transmit)(memory, 3)
    third.send()
    before = bytes(memory.octets)
    told = len(rig.told)
    table, avail, used = where(memory)
    mask = (1 << 64) - 1
    answers = [
        front.acked(SET_VRING_NUM, state(3, size)),
        front.acked(SET_VRING_ADDR, vring_addr(3, table & mask, avail & mask, used & mask)),
        front.acked(SET_VRING_ENABLE, state(3, 1)),
    ]
    front.signal(SET_VRING_KICK, third)
    os.eventfd_write(third.kick, 1)
    rig.loop.run()
    assert any(answers) or any("virtqueue 3" in line for line in rig.told[told:])
    assert rig.sent == []
    assert bytes(memory.octets) == before
    passes(rig, front, receive, transmit)
    assert memory.intact()


def test_packed_sizes_are_any(rig: Rig) -> None:
    """2.8: a packed virtqueue need not have a power of two."""
    front, memory = rig.connect(), rig.memory()
    front.negotiate(PLAIN | F_PROTOCOL | F_RING_PACKED)
    front.share(memory)
    pair = PackedRing(memory, 0, 7), PackedRing(memory, 1, 5)
    for ring in pair:
        front.start(ring)
    for _ in range(20):
        passes(rig, front, *pair)


# -- rings that break ----------------------------------------------------------------------------------------------


def jump(ring: SplitRing) -> None:
    ring.publish(ring.offered + ring.size + 1)


def no_descriptor(ring: SplitRing) -> None:
    ring.offer(ring.size)


def twice(ring: SplitRing) -> None:
    """More available than there are entries."""
    assert isinstance(ring, PackedRing)
    rounds = ring.offered // ring.size
    for index in range(ring.size):
        ring.descriptor_packed(index, ring.memory.guest, 64, 0, 1 | ring._marks(rounds))


BROKEN = [(0, jump), (0, no_descriptor), (F_RING_PACKED, twice)]


@pytest.mark.parametrize(("packed", "lie"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_ring(rig: Rig, packed: int, lie: Callable[[SplitRing], None]) -> None:
    """The error event, DEVICE_NEEDS_RESET, a change of configuration told; other queues go on; a reset mends it."""
    protocol = REPLY_ACK | STATUS | BACKEND_REQ | CONFIG
    features = PLAIN | F_PROTOCOL | packed
    front, memory, receive, transmit = rig.ready(features, protocol)
    front.say(SET_STATUS, U64(ACKNOWLEDGE | DRIVER | FEATURES_OK))
    front.say(SET_STATUS, U64(LIVE))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert front.acked(SET_BACKEND_REQ_FD, fds=[theirs.fileno()]) == 0
        front.signal(SET_VRING_ERR, transmit)
        lie(transmit)
        front.kick(transmit)
        assert count(transmit.err) == 1
        assert front.number(GET_STATUS) == LIVE | NEEDS_RESET
        assert ours.recv(100) == struct.pack("<III", 2, 1, 0)
    assert any("virtqueue 1" in line for line in rig.told)
    rig.sent.clear()

    receive.give()
    front.kick(receive)
    rig.arrive(FRAME)
    assert receive.received() == [RECEIVED + FRAME]

    # Nothing but setting it up again brings the ring back.
    before = bytes(memory.octets)
    front.kick(transmit)
    front.say(SET_VRING_ENABLE, state(1, 1))
    front.say(SET_STATUS, U64(LIVE | NEEDS_RESET))
    front.share(memory)
    assert bytes(memory.octets) == before
    assert rig.sent == []
    assert count(transmit.err) == 0

    front.say(SET_STATUS, U64(0))
    assert front.number(GET_STATUS) == 0
    memory.octets[:] = bytes(memory.size)
    front.negotiate(features, protocol)
    front.say(SET_STATUS, U64(ACKNOWLEDGE | DRIVER | FEATURES_OK))
    for ring in (receive, transmit):
        ring.offered = ring.seen = 0
        front.start(ring)
    front.say(SET_STATUS, U64(LIVE))
    passes(rig, front, receive, transmit)


@pytest.mark.parametrize("err", [None, "closed", "full"])
def test_a_broken_ring_without_anybody_to_tell(rig: Rig, err: str | None) -> None:
    front, _, receive, transmit = rig.ready()
    reader, writer = os.pipe()
    if err:
        if err == "full":
            fill(writer)
        assert front.acked(SET_VRING_ERR, U64(1), [writer]) == 0
    os.close(writer)
    if err == "closed":
        os.close(reader)
    jump(transmit)
    front.kick(transmit)
    assert rig.device.status & NEEDS_RESET
    receive.give()
    rig.arrive(FRAME)
    assert receive.received() == [RECEIVED + FRAME]
    if err != "closed":
        os.close(reader)


def test_a_buffer_that_makes_no_sense_breaks_nothing(rig: Rig) -> None:
    """It comes back unused, and the ring goes on."""
    front, memory, receive, transmit = rig.ready()
    transmit.descriptor(0, memory.guest + memory.size, 100)
    transmit.offer(0)
    receive.descriptor(0, memory.guest + memory.size - 10, 100, WRITE)
    receive.offer(0)
    front.kick(transmit)
    front.kick(receive)
    assert rig.sent == []
    assert transmit.used() == [(0, 0)]
    receive.give()
    rig.arrive(FRAME)
    assert receive.used() == [(0, 0), (1, len(RECEIVED + FRAME))]
    assert rig.device.counters.buffers_refused == 2
    passes(rig, front, receive, transmit)
    assert memory.intact()


@pytest.mark.parametrize("index", [0, 1])
def test_work_is_bounded(rig: Rig, index: int) -> None:
    """The largest ring, full of loops that are as long as the ring: others have their turn after some of them."""
    size = 32768
    front, memory = rig.connect(), rig.memory(0x200000)
    front.negotiate()
    front.share(memory)
    ring = SplitRing(memory, index)
    avail, used = 0x80000, 0xA0000
    memory.octets[: 16 * size] = b"".join(
        struct.pack("<QIHH", memory.guest, 16, 1 | (0 if index else WRITE), (name + 1) % size) for name in range(size)
    )
    memory.octets[avail : avail + 4 + 2 * size] = struct.pack(f"<HH{size}H", 0, size, *range(size))
    assert front.acked(SET_VRING_NUM, state(index, size)) == 0
    addresses = vring_addr(index, memory.user, memory.user + avail, memory.user + used)
    assert front.acked(SET_VRING_ADDR, addresses) == 0
    assert front.acked(SET_VRING_ENABLE, state(index, 1)) == 0
    ring.kick = front.event()
    os.eventfd_write(ring.kick, 1)
    socket.send_fds(front.socket, [struct.pack("<IIIQ", SET_VRING_KICK, 1, 8, index)], [ring.kick])
    if not index:
        rig.loop.turn()
    for _ in range(3):
        before = rig.device.counters.buffers_refused
        if index:
            rig.loop.turn()
        else:
            rig.backend.arrive([FRAME] * 64)
        refused = rig.device.counters.buffers_refused - before
        assert refused <= 64, f"{refused} loops of {size} descriptors were followed in one turn"
    assert rig.device.counters.buffers_refused > 0


# -- kicks ---------------------------------------------------------------------------------------------------------


def fill(writer: int) -> None:
    """Write to a pipe until it takes no more."""
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, bytes(4096))
    except BlockingIOError:
        os.set_blocking(writer, True)


def kick_with(front: FrontEnd, ring: SplitRing, fd: int) -> None:
    assert front.acked(SET_VRING_KICK, U64(ring.index), [fd]) == 0


def test_a_kick_that_is_a_pipe(rig: Rig) -> None:
    front, _, _, transmit = rig.ready()
    reader, writer = os.pipe()
    kick_with(front, transmit, reader)
    os.close(reader)
    for octets in (8, 1, 3, 100):
        transmit.send()
        os.write(writer, bytes(octets))
        rig.loop.run()
        assert transmit.used() != []
    assert len(rig.sent) == 4
    os.close(writer)
    rig.loop.run()
    assert "kick" in rig.told[-1]
    assert not front.over


def test_a_kick_that_is_a_socket(rig: Rig) -> None:
    front, _, _, transmit = rig.ready()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        kick_with(front, transmit, theirs.fileno())
        theirs.close()
        transmit.send()
        ours.send(U64(1))
        rig.loop.run()
        assert rig.sent == [FRAME]
    rig.loop.run()
    assert "kick" in rig.told[-1]


@pytest.mark.parametrize("kind", ["closed pipe", "wrong end of a pipe", "epoll", "process", "inotify"])
def test_kicks_that_can_be_waited_for_and_not_read(rig: Rig, kind: str) -> None:
    """The loop comes to rest, the ring has no kick any more, a new one works."""
    front, _, receive, transmit = rig.ready()
    if kind == "epoll":
        poll = select.epoll()
        event = os.eventfd(1)
        poll.register(event, select.EPOLLIN)
        fds = [poll.fileno(), event]
    elif kind == "process":
        fds = [os.pidfd_open(os.getpid())]
    elif kind == "inotify":
        fds = [ctypes.CDLL(None).inotify_init()]
        ctypes.CDLL(None).inotify_add_watch(fds[0], b"/proc/self", 0xFFF)
        os.listdir("/proc/self")
    else:
        fds = list(os.pipe())
        if kind == "wrong end of a pipe":
            fds.reverse()
    front.acked(SET_VRING_KICK, U64(1), fds[:1])
    if kind == "wrong end of a pipe":
        fill(fds[0])
    if kind != "epoll":
        for fd in fds[1:]:
            os.close(fd)
        del fds[1:]
    rig.loop.run()
    rig.loop.run()
    front.signal(SET_VRING_KICK, transmit)
    passes(rig, front, receive, transmit)
    for fd in fds[kind == "epoll" :]:
        os.close(fd)
    if kind == "epoll":
        poll.close()


def test_one_kick_for_two_rings(rig: Rig) -> None:
    front, _, receive, transmit = rig.ready()
    event = os.eventfd(0)
    kick_with(front, transmit, event)
    kick_with(front, receive, event)
    transmit.send()
    transmit.kick = event
    front.kick(transmit)
    transmit.send()
    front.kick(transmit)
    assert len(rig.sent) == 2
    os.close(event)


def test_a_kick_that_says_most(rig: Rig) -> None:
    """A counter that never gets empty costs a turn each, and no more."""
    front, _, _, transmit = rig.ready()
    event = os.eventfd(0, os.EFD_SEMAPHORE | os.EFD_NONBLOCK)
    kick_with(front, transmit, event)
    os.eventfd_write(event, 0xFFFFFFFFFFFFFFFE)
    transmit.send()
    for _ in range(100):
        assert rig.loop.turn()
    assert rig.sent == [FRAME]
    assert transmit.used() == [(0, 0)]
    os.close(event)


# -- calls ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["full pipe", "closed pipe", "full counter", "file", "wrong end", "null", "socket"])
def test_calls_that_take_nothing(rig: Rig, kind: str) -> None:
    """What the driver is told goes nowhere; frames pass."""
    front, _, receive, transmit = rig.ready()
    made: list[int] = []
    if kind == "full counter":
        made = [os.eventfd(0)]
        os.eventfd_write(made[0], 0xFFFFFFFFFFFFFFFE)
    elif kind == "file":
        made = [os.open(__file__, os.O_RDONLY)]
    elif kind == "null":
        made = [os.open("/dev/null", os.O_RDWR)]
    elif kind == "socket":
        made = [each.detach() for each in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)]
    else:
        reader, writer = os.pipe()
        made = [reader, writer] if kind == "wrong end" else [writer, reader]
        if kind == "full pipe":
            fill(writer)
    for ring in (receive, transmit):
        assert front.acked(SET_VRING_CALL, U64(ring.index), made[:1]) == 0
    if kind == "closed pipe":
        os.close(made.pop())
    for _ in range(5):
        transmit.send()
        front.kick(transmit)
        receive.give()
        rig.arrive(FRAME)
    assert len(rig.sent) == 5
    assert receive.received() == [RECEIVED + FRAME] * 5
    assert not front.over
    for fd in made:
        os.close(fd)


def test_a_call_that_is_taken_away(rig: Rig) -> None:
    front, _, receive, transmit = rig.ready()
    assert front.acked(SET_VRING_CALL, U64(1 | 1 << 8)) == 0
    transmit.send()
    front.kick(transmit)
    assert rig.sent == [FRAME]
    assert count(transmit.call) == 0
    front.signal(SET_VRING_CALL, transmit)
    passes(rig, front, receive, transmit)


def test_dropped_packets_hold_no_memory(rig: Rig) -> None:
    """The memory is given back with the front end, and not when the garbage collector comes to it."""
    memory = rig.memory()
    before = descriptors()
    front, _, _, transmit = rig.ready(memory=memory)
    gc.disable()
    try:
        transmit.send(b"")
        front.kick(transmit)
        rig.arrive(FRAME)
        assert rig.device.transmit_refused is not None
        assert rig.device.receive_refused is not None
        front.close()
        assert descriptors() == before
    finally:
        gc.enable()


def test_the_end_with_work_to_do(rig: Rig) -> None:
    """The front end goes while kicks and calls to make soon are waiting."""
    front, _, receive, transmit = rig.ready()
    for _ in range(8):
        transmit.send()
        receive.give()
    os.eventfd_write(transmit.kick, 1)
    os.eventfd_write(receive.kick, 1)
    front.say(SET_VRING_ENABLE, state(1, 1))
    front.close()
    rig.arrive(FRAME)
    assert not rig.backend.connected
    assert rig.device.status == 0


def test_nothing_of_the_first_front_end_is_the_second_ones(rig: Rig) -> None:
    """Neither memory, rings, enabled queues, features, requests, nor frames that waited."""
    memory = rig.memory()
    requests = socket.socketpair()
    first, _, receive, transmit = rig.ready(
        PLAIN | F_PROTOCOL | F_RING_PACKED | F_MQ | F_CTRL_VQ, REPLY_ACK | BACKEND_REQ | CONFIG, memory=memory
    )
    first.say(SET_BACKEND_REQ_FD, fds=[requests[1].fileno()])
    passes(rig, first, receive, transmit)
    receive.give()
    first.kick(receive)
    first.close()
    rig.sent.clear()
    transmit.send()
    before = bytes(memory.octets)

    second = rig.connect()
    assert second.number(GET_STATUS) == 0
    second.say(GET_FEATURES, flags=NEED_REPLY)
    assert second.answer() is not None
    assert second.answer() is None  # REPLY_ACK is to be negotiated again
    rig.device.set_link(False)
    requests[0].setblocking(False)
    for each in requests[1:]:
        each.close()
    assert requests[0].recv(100) == b""
    rig.arrive(FRAME)
    second.negotiate()
    second.say(SET_VRING_ENABLE, state(1, 1))
    rig.arrive(FRAME)
    assert rig.sent == []
    assert bytes(memory.octets) == before

    other = rig.memory()
    second.share(other)
    rings = SplitRing(other, 0), SplitRing(other, 1)
    assert second.acked(SET_VRING_ADDR, vring_addr(1, memory.user, memory.user + 0x400, memory.user + 0x800)) == 0
    for ring in rings:
        second.start(ring, enable=False)
    rings[0].give()
    rig.arrive(FRAME)
    assert rings[0].used() == []  # enabled by the first, not by the second
    for ring in rings:
        second.say(SET_VRING_ENABLE, state(ring.index, 1))
    rings[0].used()
    passes(rig, second, *rings)
    requests[0].close()


def test_what_the_front_end_may_seal(rig: Rig) -> None:
    """A file that its owner sealed against everything that a mapping allows is mapped all the same."""
    front = rig.connect()
    front.negotiate()
    fd = os.memfd_create("sealed", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, 0x10000)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    assert front.acked(SET_MEM_TABLE, mem_table(struct.pack("<QQQQ", 0, 0x10000, 0, 0)), [fd]) == 0
    os.close(fd)
