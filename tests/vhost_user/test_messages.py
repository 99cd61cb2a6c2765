"""What each message does."""

from __future__ import annotations

import os
import socket
import struct

import pytest

from .kinds import opened
from .rig import (
    ACKNOWLEDGE,
    ADD_MEM_REG,
    BACKEND_REQ,
    CONFIG,
    DRIVER,
    DRIVER_OK,
    F_ADMIN_VQ,
    F_MAC,
    F_MQ,
    F_PROTOCOL,
    FEATURES_OK,
    GET_CONFIG,
    GET_FEATURES,
    GET_MAX_MEM_SLOTS,
    GET_PROTOCOL_FEATURES,
    GET_QUEUE_NUM,
    GET_STATUS,
    GET_VRING_BASE,
    INFLIGHT,
    MEM_SLOTS,
    MQ,
    NEED_REPLY,
    OFFERED,
    PLAIN,
    REPLY_ACK,
    RESET,
    RESET_DEVICE,
    RESET_OWNER,
    SET_BACKEND_REQ_FD,
    SET_FEATURES,
    SET_MEM_TABLE,
    SET_OWNER,
    SET_PROTOCOL_FEATURES,
    SET_STATUS,
    SET_VRING_ADDR,
    SET_VRING_BASE,
    SET_VRING_CALL,
    SET_VRING_ENABLE,
    SET_VRING_ERR,
    SET_VRING_KICK,
    SET_VRING_NUM,
    STATUS,
    U64,
    Rig,
    config,
    descriptors,
    mem_table,
    passes,
    region,
    single,
    state,
    vring_addr,
)

ALL = MQ | REPLY_ACK | BACKEND_REQ | CONFIG | INFLIGHT | RESET | MEM_SLOTS | STATUS
GUEST, USER = 0x1_0000_0000, 0x7F00_0000_0000  # where Rig.ready's memory is
INDEX_END = 1 << 32

# -- questions -----------------------------------------------------------------------------------------------------


def test_get_features_are_those_of_the_connection(rig: Rig) -> None:
    """Not those above 63, nor ADMIN_VQ, which has no queue here; and the protocol's own bit."""
    assert rig.connect().number(GET_FEATURES) == OFFERED & ~F_ADMIN_VQ | F_PROTOCOL


def test_get_features_leave_out_what_no_u64_carries() -> None:
    rig = Rig(features=OFFERED | 1 << 70 | 1 << 69)
    assert rig.connect().number(GET_FEATURES) == OFFERED & ~F_ADMIN_VQ | F_PROTOCOL
    rig.close()


def test_get_protocol_features(rig: Rig) -> None:
    """What is offered is what is there: nothing for logs, IOTLB, RARP, in-band notifications."""
    assert rig.connect().number(GET_PROTOCOL_FEATURES) == ALL


def test_get_queue_num_counts_pairs(rig: Rig) -> None:
    assert rig.connect().number(GET_QUEUE_NUM) == 2


def test_as_many_memory_slots_as_are_told(rig: Rig) -> None:
    front, memory = rig.connect(), rig.memory()
    front.negotiate(protocol=REPLY_ACK | MEM_SLOTS)
    most = front.number(GET_MAX_MEM_SLOTS)
    assert most >= 8
    for index in range(most + 1):
        where = region(index << 20, 0x1000, index << 20, 0)
        assert bool(front.acked(ADD_MEM_REG, single(where), [memory.fd])) == (index == most)


@pytest.mark.parametrize("offset", [0, 1, 6, 100, INDEX_END - 1])
def test_get_config_answers_as_many_octets_as_are_asked(rig: Rig, offset: int) -> None:
    front = rig.connect()
    for size in (0, 1, 2, 3, 4, 5, 6, 8, 60, 255, 256):
        expected = rig.device.config[offset : offset + size].ljust(size, b"\0")
        assert front.ask(GET_CONFIG, config(offset, size)) == struct.pack("<III", offset, size, 0) + expected


def test_get_config_of_too_many_octets_has_an_empty_answer(rig: Rig) -> None:
    assert rig.connect().ask(GET_CONFIG, config(0, 257)) == b""


def test_need_reply_changes_no_answer(rig: Rig) -> None:
    """A message with an answer of its own has no second one."""
    front = rig.connect()
    front.negotiate()
    assert front.ask(GET_FEATURES, flags=NEED_REPLY) == U64(OFFERED & ~F_ADMIN_VQ | F_PROTOCOL)
    assert not front.over


def test_no_answer_without_reply_ack(rig: Rig) -> None:
    front = rig.connect()
    front.negotiate(protocol=CONFIG)
    front.say(SET_OWNER, flags=NEED_REPLY)
    assert front.answer() is None


def test_reply_ack_from_the_message_that_negotiates_it(rig: Rig) -> None:
    front = rig.connect()
    assert front.acked(SET_PROTOCOL_FEATURES, U64(REPLY_ACK)) == 0
    assert front.acked(SET_OWNER) == 0


# -- status --------------------------------------------------------------------------------------------------------


def test_without_status_the_driver_is_there_with_its_features(rig: Rig) -> None:
    front = rig.connect()
    assert rig.device.status == 0
    front.negotiate(PLAIN | F_PROTOCOL)
    assert rig.device.status == ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK
    assert rig.device.negotiated == PLAIN


def test_with_status_the_front_end_writes_it(rig: Rig) -> None:
    front = rig.connect()
    front.negotiate(PLAIN | F_PROTOCOL, protocol=REPLY_ACK | STATUS)
    assert front.number(GET_STATUS) == 0
    for status in (ACKNOWLEDGE, ACKNOWLEDGE | DRIVER, ACKNOWLEDGE | DRIVER | FEATURES_OK):
        assert front.acked(SET_STATUS, U64(status)) == 0
        assert front.number(GET_STATUS) == rig.device.status == status
    assert rig.device.negotiated == PLAIN
    assert front.acked(SET_STATUS, U64(0)) == 0
    assert front.number(GET_STATUS) == 0


def test_features_that_make_no_sense_leave_features_ok_clear(rig: Rig) -> None:
    """MQ needs more than this device negotiates: with STATUS the driver sees it when it reads the status back."""
    front = rig.connect()
    front.negotiate(F_MAC | F_PROTOCOL, protocol=REPLY_ACK | STATUS)  # without VERSION_1
    assert front.acked(SET_STATUS, U64(ACKNOWLEDGE | DRIVER | FEATURES_OK)) == 0
    assert front.number(GET_STATUS) == ACKNOWLEDGE | DRIVER


def test_features_that_only_the_front_end_can_serve(rig: Rig) -> None:
    """QEMU keeps the control queue to itself, and negotiates MQ all the same."""
    front = rig.connect()
    front.negotiate(PLAIN | F_MQ | F_PROTOCOL)
    assert rig.device.negotiated == PLAIN
    assert not front.over


@pytest.mark.parametrize("request_", [RESET_DEVICE, SET_STATUS])
def test_reset(rig: Rig, request_: int) -> None:
    front, _, receive, transmit = rig.ready(protocol=REPLY_ACK | RESET | STATUS)
    front.say(SET_STATUS, U64(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK))
    passes(rig, front, receive, transmit)
    assert front.acked(request_, U64(0)) == 0
    assert front.number(GET_STATUS) == 0
    transmit.send()
    os.eventfd_write(transmit.kick, 1)
    rig.loop.run()
    assert transmit.used() == []


@pytest.mark.parametrize("request_", [SET_OWNER, RESET_OWNER])
def test_owners_change_nothing(rig: Rig, request_: int) -> None:
    front, _, receive, transmit = rig.ready()
    assert front.acked(request_) == 0
    passes(rig, front, receive, transmit)


@pytest.mark.parametrize(
    ("request_", "payload"),
    [
        (GET_FEATURES, b""),
        (SET_FEATURES, U64(PLAIN | F_PROTOCOL)),
        (SET_OWNER, b""),
        (RESET_OWNER, b""),
        (SET_VRING_NUM, state(2, 8)),
        (SET_VRING_ADDR, vring_addr(2, USER + 0x2000, USER + 0x2400, USER + 0x2800)),
        (SET_VRING_BASE, state(2, 0)),
        (GET_VRING_BASE, state(2, 0)),
        (SET_VRING_KICK, U64(2 | 1 << 8)),
        (SET_VRING_CALL, U64(2 | 1 << 8)),
        (SET_VRING_ERR, U64(2 | 1 << 8)),
        (GET_PROTOCOL_FEATURES, b""),
        (SET_PROTOCOL_FEATURES, U64(REPLY_ACK)),
        (GET_QUEUE_NUM, b""),
        (SET_VRING_ENABLE, state(2, 1)),
        (GET_CONFIG, config(0, 6)),
        (GET_MAX_MEM_SLOTS, b""),
        (SET_STATUS, U64(15)),
        (GET_STATUS, b""),
        (99, b""),
    ],
)
def test_descriptors_that_nobody_asked_for_are_closed(rig: Rig, request_: int, payload: bytes) -> None:
    front, _, receive, transmit = rig.ready()
    with opened(["event", "pipe", "socket", "memory", "file", "path", "null", "directory"]) as fds:
        before = descriptors()
        front.ask(request_, payload, fds, NEED_REPLY)
        assert descriptors() == before
    passes(rig, front, receive, transmit)


def test_more_descriptors_than_regions(rig: Rig) -> None:
    """The regions take theirs, the rest is closed."""
    front, memory, receive, transmit = rig.ready()
    with opened(["event"] * 7) as fds:
        before = descriptors()
        assert front.acked(SET_MEM_TABLE, mem_table(memory.region), [memory.fd, *fds]) == 0
        assert descriptors() == before
    passes(rig, front, receive, transmit)


def test_octets_behind_the_payload_are_let_be(rig: Rig) -> None:
    """UML sends the structure for two regions, whatever their number; others whole unions."""
    front, memory = rig.connect(), rig.memory()
    front.negotiate()
    assert front.acked(SET_MEM_TABLE, mem_table(memory.region) + bytes(32), [memory.fd]) == 0
    assert front.acked(SET_VRING_NUM, state(0, 8) + bytes(200)) == 0
    assert front.number(GET_FEATURES, bytes(300)) == OFFERED & ~F_ADMIN_VQ | F_PROTOCOL


@pytest.mark.parametrize("request_", [SET_VRING_CALL, SET_VRING_ERR, SET_VRING_KICK])
def test_a_descriptor_takes_the_place_of_the_one_before(rig: Rig, request_: int) -> None:
    front, _, receive, transmit = rig.ready()
    front.signal(request_, transmit)
    before = descriptors()
    for _ in range(20):
        with opened(["event"]) as fds:
            assert front.acked(request_, U64(1), fds) == 0
    assert descriptors() == before
    front.signal(request_, transmit)
    passes(rig, front, receive, transmit)


def test_requests_go_to_the_descriptor_that_came_last(rig: Rig) -> None:
    front, *_ = rig.ready(protocol=REPLY_ACK | BACKEND_REQ | CONFIG)
    ours, theirs = socket.socketpair()
    reader, writer = os.pipe()
    with ours, theirs:
        assert front.acked(SET_BACKEND_REQ_FD, fds=[theirs.fileno()]) == 0
        before = descriptors()
        assert front.acked(SET_BACKEND_REQ_FD, fds=[writer]) == 0
        assert descriptors() == before
        os.close(writer)
        rig.device.set_link(False)
        # CONFIG_CHANGE_MSG: no payload, and no answer is asked for.
        assert os.read(reader, 100) == struct.pack("<III", 2, 1, 0)
        theirs.close()
        assert ours.recv(100) == b""
    os.close(reader)


def test_a_front_end_that_reads_no_requests(rig: Rig) -> None:
    """Neither a full pipe nor one that nobody reads keeps the back end from its work."""
    front, _, receive, transmit = rig.ready(protocol=REPLY_ACK | BACKEND_REQ | CONFIG)
    reader, writer = os.pipe()
    assert front.acked(SET_BACKEND_REQ_FD, fds=[writer]) == 0
    os.close(writer)
    for turn in range(10_000):
        rig.device.set_link(bool(turn % 2))
    passes(rig, front, receive, transmit)
    os.close(reader)
    rig.device.set_link(False)
    passes(rig, front, receive, transmit)
