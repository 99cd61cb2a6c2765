"""The end of a connection: nothing of the first front end is left for the second."""

from __future__ import annotations

import fcntl
import gc
import os
import socket
import struct

from .rig import (
    BACKEND_REQ,
    CONFIG,
    F_CTRL_VQ,
    F_MQ,
    F_PROTOCOL,
    F_RING_PACKED,
    FRAME,
    GET_FEATURES,
    GET_STATUS,
    NEED_REPLY,
    PLAIN,
    REPLY_ACK,
    SET_BACKEND_REQ_FD,
    SET_MEM_TABLE,
    SET_VRING_ADDR,
    SET_VRING_ENABLE,
    Rig,
    SplitRing,
    descriptors,
    mem_table,
    passes,
    state,
    vring_addr,
)


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
