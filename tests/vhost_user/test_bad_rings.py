"""Rings that cannot run, and rings that break."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable

import pytest

from .rig import (
    ACKNOWLEDGE,
    BACKEND_REQ,
    CONFIG,
    DRIVER,
    DRIVER_OK,
    F_PROTOCOL,
    F_RING_PACKED,
    FEATURES_OK,
    FRAME,
    GET_STATUS,
    NEEDS_RESET,
    PLAIN,
    RECEIVED,
    REPLY_ACK,
    SET_BACKEND_REQ_FD,
    SET_STATUS,
    SET_VRING_ADDR,
    SET_VRING_ENABLE,
    SET_VRING_ERR,
    SET_VRING_KICK,
    SET_VRING_NUM,
    STATUS,
    U64,
    WRITE,
    PackedRing,
    Rig,
    SharedMemory,
    SplitRing,
    count,
    fill,
    passes,
    state,
    vring_addr,
)

LIVE = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK


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
