"""When a ring runs, where it goes on, and memory that changes under it."""

from __future__ import annotations

import os
import struct

import pytest

from .rig import (
    ACKNOWLEDGE,
    ADD_MEM_REG,
    DRIVER,
    DRIVER_OK,
    F_CTRL_VQ,
    F_EVENT_IDX,
    F_MQ,
    F_PROTOCOL,
    F_RING_PACKED,
    FEATURES_OK,
    FRAME,
    GET_STATUS,
    GET_VRING_BASE,
    HEADER,
    MEM_SLOTS,
    PLAIN,
    RECEIVED,
    REM_MEM_REG,
    REPLY_ACK,
    SET_MEM_TABLE,
    SET_STATUS,
    SET_VRING_ENABLE,
    SET_VRING_KICK,
    STATUS,
    U64,
    WRITE,
    FrontEnd,
    PackedRing,
    Rig,
    SplitRing,
    count,
    descriptors,
    mem_table,
    passes,
    single,
    state,
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
