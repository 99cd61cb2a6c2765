"""Buffers in flight: the region is asked for, kept by the front end, and given to the next back end."""

from __future__ import annotations

import mmap
import os
import struct

import pytest

from .rig import (
    F_PROTOCOL,
    F_RING_PACKED,
    FRAME,
    GET_INFLIGHT_FD,
    INFLIGHT,
    MQ,
    PLAIN,
    RECEIVED,
    REPLY_ACK,
    SET_INFLIGHT_FD,
    SET_VRING_BASE,
    FrontEnd,
    PackedRing,
    Rig,
    SharedMemory,
    SplitRing,
    descriptors,
    inflight,
    passes,
    state,
)

PACKED = pytest.mark.parametrize("packed", [0, F_RING_PACKED], ids=["split", "packed"])
PROTOCOL = MQ | REPLY_ACK | INFLIGHT
ROOM = {0: 16 + 16 * 8, F_RING_PACKED: 32 + 32 * 8}  # QueueRegionSplit and QueueRegionPacked for 8 descriptors


def region_of(front: FrontEnd, queues: int = 2, size: int = 8) -> tuple[int, int]:
    """Ask for a region; gives its descriptor and its octets."""
    front.say(GET_INFLIGHT_FD, inflight(queues, size))
    answer = front.answer()
    assert answer is not None
    request, payload, fds = answer
    assert request == GET_INFLIGHT_FD
    assert len(fds) == 1
    mmap_size, offset, *same = struct.unpack("<QQHH", payload)
    assert (offset, same) == (0, [queues, size])
    return fds[0], mmap_size


def running(rig: Rig, memory: SharedMemory, packed: int, given: tuple[int, int] | None, *rings: SplitRing) -> FrontEnd:
    """A front end whose rings run, with a region of its own or the one that is given; its calls are not told of."""
    front = rig.connect()
    front.negotiate(PLAIN | F_PROTOCOL | packed, PROTOCOL)
    if given is not None:
        fd, size = given
        assert front.acked(SET_INFLIGHT_FD, inflight(2, 8, size), [fd]) == 0
    front.share(memory)
    for ring in rings:
        used = ring.seen & 0xFFFF
        if packed:
            rounds, at = divmod(ring.seen, ring.size)
            used = (at | (0 if rounds % 2 else 0x8000)) * 0x10001
        front.start(ring, base=used)
    return front


@PACKED
def test_the_region(rig: Rig, packed: int) -> None:
    """It begins as zeros, has room for what the protocol describes, and cannot be made shorter."""
    front = rig.connect()
    front.negotiate(PLAIN | F_PROTOCOL | packed, PROTOCOL)
    fd, size = region_of(front)
    assert size >= 2 * ROOM[packed]
    assert os.fstat(fd).st_size >= size
    with mmap.mmap(fd, size) as octets:
        assert octets[:] == bytes(size)
    with pytest.raises(OSError, match="not permitted"):
        os.ftruncate(fd, size // 2)


@PACKED
def test_asked_for_many_times(rig: Rig, packed: int) -> None:
    front = rig.connect()
    front.negotiate(PLAIN | F_PROTOCOL | packed, PROTOCOL)
    region_of(front, 6, 8)
    before = descriptors()
    for _ in range(20):
        region_of(front, 6, 8)
        os.close(front.opened.pop())
    assert descriptors() == before


@PACKED
def test_what_a_killed_back_end_had_taken_is_neither_lost_nor_doubled(rig: Rig, packed: int) -> None:
    """Receive buffers that the first took and did not use, the second uses; transmit buffers are not sent twice."""
    kind = PackedRing if packed else SplitRing
    memory = rig.memory()
    receive, transmit = kind(memory, 0), kind(memory, 1)
    front = rig.connect()
    front.negotiate(PLAIN | F_PROTOCOL | packed, PROTOCOL)
    given = region_of(front)
    front.share(memory)
    for ring in (receive, transmit):
        front.start(ring)
    killed = []
    for life in range(12):
        for _ in range(4):
            receive.give()
        rig.arrive(FRAME, FRAME)
        assert receive.received() == [RECEIVED + FRAME] * 2  # the other two are taken
        transmit.send()
        front.kick(transmit)
        assert rig.sent == [FRAME]
        # The first one does nothing any more, not even at the end.
        killed.append((rig, front))
        rig = Rig()
        transmit.used()
        transmit.send(FRAME + bytes((life,)))
        front = running(rig, memory, packed, given, receive, transmit)
        assert rig.sent == [FRAME + bytes((life,))]
        assert len(transmit.used()) == 1
        rig.arrive(FRAME, FRAME)
        assert receive.received() == [RECEIVED + FRAME] * 2
        assert rig.device.counters.rx_delivered == 2
        rig.sent.clear()
    passes(rig, front, receive, transmit)
    assert memory.intact()
    for each, connected in [*killed[1:], (rig, front)]:
        each.backend.send = lambda _: None
        connected.close()
        each.close()


@PACKED
@pytest.mark.parametrize("value", [0x00, 0x01, 0x07, 0x7F, 0x80, 0xFF])
def test_a_region_that_no_back_end_wrote(rig: Rig, packed: int, value: int) -> None:
    """The rings it is for break or run; nothing else happens, and without it they run."""
    fd = os.memfd_create("strange", os.MFD_CLOEXEC)
    os.write(fd, bytes((value,)) * 8192)
    memory = rig.memory()
    kind = PackedRing if packed else SplitRing
    receive, transmit = kind(memory, 0), kind(memory, 1)
    front = running(rig, memory, packed, (fd, 4096), receive, transmit)
    for _ in range(4):
        transmit.send()
        front.kick(transmit)
        receive.give()
        rig.arrive(FRAME)
    assert not front.over
    assert memory.intact()
    assert rig.device.status & 64 or rig.sent == [FRAME] * 4
    front.close()
    os.close(fd)
    memory.octets[:] = bytes(memory.size)
    front, _, receive, transmit = rig.ready(PLAIN | F_PROTOCOL | packed, memory=memory)
    passes(rig, front, receive, transmit)


@PACKED
@pytest.mark.parametrize("at", range(0, 64, 2))
def test_a_region_that_changes_under_way(rig: Rig, packed: int, at: int) -> None:
    """It is shared with the front end, who may write anything there while rings run."""
    front, memory = rig.connect(), rig.memory()
    front.negotiate(PLAIN | F_PROTOCOL | packed, PROTOCOL)
    fd, size = region_of(front)
    front.share(memory)
    kind = PackedRing if packed else SplitRing
    receive, transmit = kind(memory, 0), kind(memory, 1)
    for ring in (receive, transmit):
        front.start(ring)
    with mmap.mmap(fd, size) as octets:
        for value in (b"\xff\xff", b"\x08\0", b"\0\0", b"\0\x80"):
            for half in (0, size // 2):
                octets[half + at : half + at + 2] = value
            receive.give()
            receive.give()
            rig.arrive(FRAME)
            transmit.send()
            front.kick(transmit)
            receive.used()
    assert not front.over
    assert memory.intact()


def test_a_region_for_smaller_queues(rig: Rig) -> None:
    """A ring that is larger than its part of the region does not run."""
    front, memory = rig.connect(), rig.memory()
    front.negotiate(PLAIN | F_PROTOCOL, PROTOCOL)
    region_of(front, 2, 4)
    front.share(memory)
    ring = SplitRing(memory, 1)
    ring.send()
    front.start(ring)
    assert rig.sent == []
    assert "virtqueue 1" in rig.told[-1]
    assert front.acked(SET_VRING_BASE, state(1, 0)) == 0
