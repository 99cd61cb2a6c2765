"""What a back end does beside the messages: features of the control socket, settling, and descriptors that run out."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .rig import (
    DRIVER_OK,
    F_ADMIN_VQ,
    F_MQ,
    F_PROTOCOL,
    FRAME,
    GET_FEATURES,
    GET_INFLIGHT_FD,
    INFLIGHT,
    NEED_REPLY,
    OFFERED,
    PLAIN,
    RECEIVED,
    REPLY_ACK,
    SET_FEATURES,
    SET_MEM_TABLE,
    U64,
    Rig,
    inflight,
    mem_table,
    passes,
)

F_OUT_NET_HEADER, F_IPSEC = 1 << 69, 1 << 70
BESIDE = F_ADMIN_VQ | F_OUT_NET_HEADER | F_IPSEC


@pytest.fixture
def ipsec() -> Iterator[Rig]:
    rig = Rig(features=OFFERED | BESIDE)
    yield rig
    rig.close()


def test_features_beside_the_connection_count_from_the_next_set_features_on(ipsec: Rig) -> None:
    front = ipsec.connect()
    front.negotiate()
    assert ipsec.device.negotiated == PLAIN
    ipsec.backend.accept_features(BESIDE)
    assert ipsec.device.negotiated == PLAIN
    assert front.acked(SET_FEATURES, U64(PLAIN | F_PROTOCOL)) == 0
    assert ipsec.device.negotiated == PLAIN | BESIDE
    assert ipsec.device.status & DRIVER_OK
    front.close()
    front = ipsec.connect()
    front.negotiate()
    assert ipsec.device.negotiated == PLAIN  # the next driver says it again


@pytest.mark.parametrize("features", [F_MQ, 1 << 68, 1 << 127, 1 << 200])
def test_features_that_are_not_offered_beside_the_connection(ipsec: Rig, features: int) -> None:
    ipsec.connect()
    with pytest.raises(ValueError, match="not offered beside"):
        ipsec.backend.accept_features(BESIDE | features)


def test_no_features_without_a_front_end(ipsec: Rig) -> None:
    with pytest.raises(ValueError, match="no front end"):
        ipsec.backend.accept_features(0)


def test_features_beside_that_need_others(rig: Rig) -> None:
    """A set that no driver may accept is refused with the features of the connection."""
    front = rig.connect()
    rig.backend.accept_features(F_ADMIN_VQ)
    front.negotiate(PLAIN & ~(1 << 32) | F_PROTOCOL, REPLY_ACK)
    assert front.over


def test_settle_does_what_was_said_and_lies_there(rig: Rig) -> None:
    """Without a turn of the loop, and without kicks."""
    front, _, receive, transmit = rig.ready()
    transmit.send()
    receive.give()
    front.socket.send(GET_FEATURES.to_bytes(4, "little") + b"\1\0\0\0" + bytes(4))
    rig.backend.settle()
    assert rig.sent == [FRAME]
    assert front.answer() is not None
    rig.backend.arrive([FRAME])
    assert receive.received() == [RECEIVED + FRAME]


def test_settle_with_a_front_end_that_goes(rig: Rig) -> None:
    front, *_ = rig.ready()
    front.socket.close()
    rig.backend.settle()
    assert not rig.backend.connected
    rig.backend.settle()


def test_counters(rig: Rig) -> None:
    assert rig.backend.counters() == {"connected": False, "virtqueues_running": []}
    rig.ready()
    assert rig.backend.counters() == {"connected": True, "virtqueues_running": [0, 1]}


def test_frames_without_a_front_end(rig: Rig) -> None:
    rig.arrive(FRAME)
    assert rig.device.counters.rx_dropped.total() == 1


# -- descriptors that run out --------------------------------------------------------------------------------------


@contextmanager
def no_descriptors(free: int = 0) -> Iterator[None]:
    """In this process only ``free`` more can be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[int] = []
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 8, hard))
    try:
        while True:
            held.append(os.dup(0))
    except OSError:
        pass
    for _ in range(free):
        os.close(held.pop())
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in held:
            os.close(fd)


def served(rig: Rig) -> None:
    front, _, receive, transmit = rig.ready()
    passes(rig, front, receive, transmit)


def test_a_front_end_for_whom_no_descriptor_is_left(rig: Rig) -> None:
    """It is sent away, and the loop rests."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(rig.address)
    with no_descriptors():
        rig.loop.run()
    assert sock.recv(1) == b""
    sock.close()
    assert "sent away" in rig.told[-1]
    served(rig)


def test_messages_whose_descriptors_find_no_room(rig: Rig) -> None:
    memory = rig.memory()
    front = rig.connect()
    front.negotiate()
    with no_descriptors():
        front.say(SET_MEM_TABLE, mem_table(memory.region), [memory.fd], NEED_REPLY)
    assert front.over
    front.close()
    served(rig)


def test_memory_that_cannot_be_mapped(rig: Rig) -> None:
    """A mapping keeps a descriptor of its own."""
    memory = rig.memory()
    front = rig.connect()
    front.negotiate()
    with no_descriptors(1):
        assert front.acked(SET_MEM_TABLE, mem_table(memory.region), [memory.fd]) != 0
    assert front.acked(SET_MEM_TABLE, mem_table(memory.region), [memory.fd]) == 0


@pytest.mark.parametrize("free", [0, 1])
def test_an_in_flight_region_that_cannot_be_made(rig: Rig, free: int) -> None:
    front = rig.connect()
    front.negotiate(protocol=REPLY_ACK | INFLIGHT)
    with no_descriptors(free):
        front.say(GET_INFLIGHT_FD, inflight(2, 8))
    assert front.over
    front.close()
    served(rig)
