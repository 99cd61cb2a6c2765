"""What kicks and calls may be: files of every kind, full, closed, and of no use."""

from __future__ import annotations

import ctypes
import os
import select
import socket

import pytest

from .rig import (
    FRAME,
    RECEIVED,
    SET_VRING_CALL,
    SET_VRING_KICK,
    U64,
    FrontEnd,
    Rig,
    SplitRing,
    count,
    fill,
    passes,
)

# -- kicks ---------------------------------------------------------------------------------------------------------


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
