"""Octets and descriptors as they may come: in pieces, too many, too few, without sense."""

from __future__ import annotations

import os
import struct

import pytest

from .rig import (
    F_PROTOCOL,
    GET_FEATURES,
    NEED_REPLY,
    OFFERED,
    PLAIN,
    SET_MEM_TABLE,
    SET_OWNER,
    SET_VRING_CALL,
    U64,
    Rig,
    SharedMemory,
    SplitRing,
    descriptors,
    mem_table,
    passes,
)


def message(request: int, payload: bytes = b"", flags: int = 1, size: int | None = None) -> bytes:
    return struct.pack("<III", request, flags, len(payload) if size is None else size) + payload


def served(rig: Rig, memory: SharedMemory) -> None:
    """The next front end finds a back end that works."""
    front, _, receive, transmit = rig.ready(memory=memory)
    passes(rig, front, receive, transmit)
    front.close()


def test_messages_octet_by_octet(rig: Rig) -> None:
    """A whole conversation, and the descriptor with the first octet of its message."""
    front, memory = rig.connect(), rig.memory()
    front.negotiate()
    table = message(SET_MEM_TABLE, mem_table(memory.region), 1 | NEED_REPLY)
    for at in range(len(table)):
        assert front.answer() is None
        front.raw(table[at : at + 1], [memory.fd] if not at else [])
    assert front.answer() == (SET_MEM_TABLE, U64(0), [])
    receive, transmit = SplitRing(memory, 0), SplitRing(memory, 1)
    front.start(receive)
    front.start(transmit)
    passes(rig, front, receive, transmit)


@pytest.mark.parametrize("at", range(1, 52, 5))
def test_the_descriptor_may_come_with_any_octet(rig: Rig, at: int) -> None:
    front, memory = rig.connect(), rig.memory()
    front.negotiate()
    table = message(SET_MEM_TABLE, mem_table(memory.region), 1 | NEED_REPLY)
    front.raw(table[:at])
    front.raw(table[at:], [memory.fd])
    assert front.answer() == (SET_MEM_TABLE, U64(0), [])


def test_many_messages_at_once(rig: Rig) -> None:
    front = rig.connect()
    front.negotiate()
    front.raw(message(SET_OWNER, flags=1 | NEED_REPLY) * 100)
    for _ in range(100):
        assert front.answer() == (SET_OWNER, U64(0), [])
    assert front.answer() is None


def test_messages_without_end_leave_the_others_their_turn(rig: Rig) -> None:
    """A front end that writes and writes must not keep the loop for itself."""
    front = rig.connect()
    turns = 0
    while True:  # as much as the socket holds
        try:
            front.socket.send(message(SET_OWNER) * 1000)
        except BlockingIOError:
            break
    while rig.loop.turn():
        turns += 1
    assert turns > 10
    assert not front.over


@pytest.mark.parametrize("at", [0, 1, 11, 12, 13, 51])
def test_the_end_in_the_middle_of_a_message(rig: Rig, at: int) -> None:
    memory = rig.memory()
    before = descriptors()
    front = rig.connect()
    front.raw(message(SET_MEM_TABLE, mem_table(memory.region))[:at], [memory.fd] if at else [])
    front.close()
    assert descriptors() == before
    assert "front end is gone" in rig.told[-1]
    served(rig, memory)


@pytest.mark.parametrize(
    "data",
    [
        message(GET_FEATURES, flags=0),
        message(GET_FEATURES, flags=2),
        message(GET_FEATURES, flags=3),
        message(GET_FEATURES, size=4097),
        message(GET_FEATURES, size=0xFFFFFFFF),
        b"\xff" * 12,
    ],
)
def test_what_no_message_begins_with(rig: Rig, data: bytes) -> None:
    memory = rig.memory()
    before = descriptors()
    front = rig.connect()
    front.raw(data, [memory.fd])
    assert front.over
    front.close()
    assert descriptors() == before
    served(rig, memory)


def test_the_longest_payload(rig: Rig) -> None:
    front = rig.connect()
    assert len(front.ask(GET_FEATURES, bytes(4096))) == 8


@pytest.mark.parametrize("flags", [0, 4, 8, 0x10, 0xFFFFFFF0])
def test_flags_that_say_nothing_to_us(rig: Rig, flags: int) -> None:
    """Only version and need_reply count in what a front end sends."""
    front = rig.connect()
    assert front.ask(GET_FEATURES, flags=flags)
    assert not front.over


@pytest.mark.parametrize("pieces", [(9,), (8, 1), (1,) * 9])
def test_too_many_descriptors(rig: Rig, pieces: tuple[int, ...]) -> None:
    """In one message, however it is cut."""
    memory = rig.memory()
    before = descriptors()
    front = rig.connect()
    data = message(SET_OWNER, bytes(9))
    for at, number in enumerate(pieces):
        last = at == len(pieces) - 1
        front.raw(data[at:] if last else data[at : at + 1], [memory.fd] * number)
    assert front.over
    front.close()
    assert descriptors() == before
    served(rig, memory)


def test_a_front_end_that_reads_no_answers(rig: Rig) -> None:
    """Its answers fill the socket, and then the connection ends."""
    memory = rig.memory()
    before = descriptors()
    front = rig.connect()
    for _ in range(10_000):
        try:
            front.socket.send(message(GET_FEATURES))
        except (BrokenPipeError, ConnectionResetError):
            break
        rig.loop.run()
    else:
        pytest.fail("the connection lasts for ever")
    assert "does not read" in rig.told[-1] or "no answer" in rig.told[-1]
    front.close()
    assert descriptors() == before
    served(rig, memory)


def test_a_front_end_that_goes_before_its_answer(rig: Rig) -> None:
    memory = rig.memory()
    front = rig.connect()
    front.socket.send(message(GET_FEATURES) * 3)
    front.close()
    served(rig, memory)


def test_descriptors_are_not_for_our_children(rig: Rig) -> None:
    front, *_ = rig.ready()
    known = set(os.listdir("/proc/self/fd"))
    with_event = front.event()
    assert front.acked(SET_VRING_CALL, U64(1), [with_event]) == 0
    for name in os.listdir("/proc/self/fd"):
        if name not in known and os.path.exists(f"/proc/self/fd/{name}"):
            assert not os.get_inheritable(int(name))


def test_the_second_front_end_waits_for_the_first(rig: Rig) -> None:
    memory = rig.memory()
    first, _, receive, transmit = rig.ready(memory=memory)
    second = rig.connect()
    second.say(GET_FEATURES)
    assert second.answer() is None
    passes(rig, first, receive, transmit)
    first.close()
    answer = second.answer()
    assert answer is not None
    assert answer[0] == GET_FEATURES


def test_features_are_the_same_for_the_second(rig: Rig) -> None:
    first, *_ = rig.ready()
    asked = first.number(GET_FEATURES)
    first.close()
    assert rig.connect().number(GET_FEATURES) == asked == OFFERED & ~(1 << 41) | F_PROTOCOL
    assert PLAIN & asked == PLAIN
