"""What each message does, and what comes of one that cannot be carried out."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

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
    F_STATUS,
    FEATURES_OK,
    GET_CONFIG,
    GET_FEATURES,
    GET_INFLIGHT_FD,
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
    REM_MEM_REG,
    REPLY_ACK,
    RESET,
    RESET_DEVICE,
    RESET_OWNER,
    SET_BACKEND_REQ_FD,
    SET_CONFIG,
    SET_FEATURES,
    SET_INFLIGHT_FD,
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
    inflight,
    mem_table,
    passes,
    region,
    single,
    state,
    vring_addr,
)

ALL = MQ | REPLY_ACK | BACKEND_REQ | CONFIG | INFLIGHT | RESET | MEM_SLOTS | STATUS
QUEUES = 6  # two pairs, control, administration

GUEST, USER = 0x1_0000_0000, 0x7F00_0000_0000  # where Rig.ready's memory is
SIZE, OFFSET = 0x10000, 0x1000
FREE = GUEST + 0x100000, USER + 0x100000  # where nothing is
END = 1 << 64
INDEX_END = 1 << 32

# -- descriptors of every kind -------------------------------------------------------------------------------------


@contextmanager
def opened(kinds: list[str]) -> Iterator[list[int]]:
    """Descriptors of these kinds."""
    makers: dict[str, Callable[[], tuple[int, ...]]] = {
        "memory": lambda: (_memfd(2 * SIZE),),
        "short": lambda: (_memfd(SIZE - 1),),
        "event": lambda: (os.eventfd(0),),
        "read-only": lambda: (_read_only(),),
        "file": lambda: (os.open(__file__, os.O_RDONLY),),
        "path": lambda: (os.open("/proc/self/exe", os.O_PATH),),
        "directory": lambda: (os.open("/", os.O_RDONLY),),
        "null": lambda: (os.open("/dev/null", os.O_RDWR),),
        "pipe": os.pipe,
        "socket": lambda: tuple(each.detach() for each in socket.socketpair()),
    }
    made = [makers[kind]() for kind in kinds]
    try:
        yield [fds[0] for fds in made]
    finally:
        for fds in made:
            for fd in fds:
                os.close(fd)


def _memfd(size: int) -> int:
    fd = os.memfd_create("test", os.MFD_CLOEXEC)
    os.ftruncate(fd, size)
    return fd


def _read_only() -> int:
    fd = _memfd(2 * SIZE)
    other = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    os.close(fd)
    return other


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


# -- refusals ------------------------------------------------------------------------------------------------------

HERE = region(GUEST, SIZE, USER, OFFSET)  # what the running front end has mapped
Refusal = tuple[int, bytes, list[str]]


def _regions(what: str, *fields: tuple[int, int, int, int], kinds: list[str] | None = None) -> dict[str, Refusal]:
    kinds = ["memory"] * len(fields) if kinds is None else kinds
    return {f"SET_MEM_TABLE {what}": (SET_MEM_TABLE, mem_table(*(region(*each) for each in fields)), kinds)}


def _not_mapped() -> dict[str, Refusal]:
    """Regions that cannot be, in the ways that SET_MEM_TABLE and ADD_MEM_REG have in common."""
    found: dict[str, Refusal] = {}
    one = {
        "of no octets": ((*FREE[:1], 0, FREE[1], 0), "memory"),
        "that wraps by guest address": ((END - SIZE + 1, SIZE, FREE[1], 0), "memory"),
        "that wraps by user address": ((FREE[0], SIZE, END - SIZE + 1, 0), "memory"),
        "that wraps by offset": ((FREE[0], SIZE, FREE[1], END - SIZE + 1), "memory"),
        "of 2^64 - 1 octets": ((0, END - 1, 0, 0), "memory"),
        "beyond the end of its file": ((FREE[0], SIZE, FREE[1], 0), "short"),
        "that begins beyond the end of its file": ((FREE[0], SIZE, FREE[1], 1 << 40), "memory"),
    }
    no_files = ("event", "read-only", "path", "directory", "null", "pipe", "socket")
    one |= {f"whose file is {kind}": ((FREE[0], SIZE, FREE[1], 0), kind) for kind in no_files}
    for what, (fields, kind) in one.items():
        found |= _regions(what, fields, kinds=[kind])
        found[f"ADD_MEM_REG {what}"] = (ADD_MEM_REG, single(region(*fields)), [kind])
    return found


NEXT = FREE[0], SIZE, FREE[1], 0
REFUSED: dict[str, Refusal] = {
    "SET_FEATURES not offered": (SET_FEATURES, U64(PLAIN | 1 << 50), []),
    "SET_FEATURES of the control socket": (SET_FEATURES, U64(PLAIN | F_ADMIN_VQ), []),
    "SET_FEATURES while virtqueues run": (SET_FEATURES, U64(PLAIN & ~F_STATUS | F_PROTOCOL), []),
    "SET_PROTOCOL_FEATURES not offered": (SET_PROTOCOL_FEATURES, U64(REPLY_ACK | 1 << 14), []),
    "SET_PROTOCOL_FEATURES above all": (SET_PROTOCOL_FEATURES, U64(1 << 63), []),
    **_not_mapped(),
    **_regions("with too few descriptors", NEXT, (*FREE[:1], 0x1000, *FREE[1:], 0), kinds=["memory"]),
    **_regions("without descriptors", NEXT, kinds=[]),
    **_regions("with nine regions", *((i << 20, SIZE, i << 20, 0) for i in range(9)), kinds=["memory"] * 8),
    **_regions("overlapping by guest address", (0, SIZE, 0, 0), (SIZE - 1, SIZE, SIZE, 0)),
    **_regions("overlapping by user address", (0, SIZE, 0, 0), (SIZE, SIZE, SIZE - 1, 0)),
    **_regions("overlapping wholly", (0, SIZE, 0, 0), (0, SIZE, 0, 0)),
    "SET_MEM_TABLE with fewer regions than it counts": (SET_MEM_TABLE, mem_table(HERE)[:-1], ["memory"]),
    "SET_MEM_TABLE with 2^32 - 1 regions": (SET_MEM_TABLE, struct.pack("<II", INDEX_END - 1, 0), ["memory"]),
    "ADD_MEM_REG without descriptor": (ADD_MEM_REG, single(region(*NEXT)), []),
    "ADD_MEM_REG with two descriptors": (ADD_MEM_REG, single(region(*NEXT)), ["memory", "memory"]),
    "ADD_MEM_REG that overlaps": (ADD_MEM_REG, single(region(GUEST + SIZE - 1, SIZE, FREE[1], 0)), ["memory"]),
    "ADD_MEM_REG that overlaps by user": (ADD_MEM_REG, single(region(FREE[0], SIZE, USER + SIZE - 1, 0)), ["memory"]),
    "REM_MEM_REG that is not there": (REM_MEM_REG, single(region(*NEXT)), []),
    "REM_MEM_REG of another size": (REM_MEM_REG, single(region(GUEST, SIZE - 1, USER, OFFSET)), []),
    "REM_MEM_REG of another user address": (REM_MEM_REG, single(region(GUEST, SIZE, USER + 1, OFFSET)), []),
    "SET_VRING_NUM 0": (SET_VRING_NUM, state(2, 0), []),
    "SET_VRING_NUM above 32768": (SET_VRING_NUM, state(2, 32769), []),
    "SET_VRING_NUM 2^32 - 1": (SET_VRING_NUM, state(2, INDEX_END - 1), []),
    "SET_VRING_NUM while it runs": (SET_VRING_NUM, state(0, 16), []),
    "SET_VRING_BASE while it runs": (SET_VRING_BASE, state(0, 0), []),
    "SET_VRING_KICK without descriptor": (SET_VRING_KICK, U64(2), []),
    "SET_VRING_KICK that wants polling": (SET_VRING_KICK, U64(2 | 1 << 8), []),
    "SET_VRING_KICK with two descriptors": (SET_VRING_KICK, U64(2), ["event", "event"]),
    "SET_VRING_CALL without descriptor": (SET_VRING_CALL, U64(0), []),
    "SET_VRING_CALL with two descriptors": (SET_VRING_CALL, U64(0), ["event", "event"]),
    "SET_VRING_ERR without descriptor": (SET_VRING_ERR, U64(0), []),
    "SET_VRING_ERR with two descriptors": (SET_VRING_ERR, U64(0), ["event", "event"]),
    "SET_VRING_CALL with a path": (SET_VRING_CALL, U64(0), ["path"]),
    "SET_VRING_ERR with a path": (SET_VRING_ERR, U64(0), ["path"]),
    "SET_BACKEND_REQ_FD with a path": (SET_BACKEND_REQ_FD, b"", ["path"]),
    "SET_BACKEND_REQ_FD without descriptor": (SET_BACKEND_REQ_FD, b"", []),
    "SET_BACKEND_REQ_FD with two descriptors": (SET_BACKEND_REQ_FD, b"", ["socket", "socket"]),
    "SET_CONFIG": (SET_CONFIG, config(0, 6), []),
    "SET_STATUS of more than an octet": (SET_STATUS, U64(0x100), []),
    "SET_INFLIGHT_FD of no queues": (SET_INFLIGHT_FD, inflight(0, 8, 4096), ["memory"]),
    "SET_INFLIGHT_FD of too many queues": (SET_INFLIGHT_FD, inflight(QUEUES + 1, 8, 1 << 20), ["memory"]),
    "SET_INFLIGHT_FD of size 0": (SET_INFLIGHT_FD, inflight(2, 0, 4096), ["memory"]),
    "SET_INFLIGHT_FD of a size above 32768": (SET_INFLIGHT_FD, inflight(1, 32769, 1 << 30), ["memory"]),
    "SET_INFLIGHT_FD that says too little": (SET_INFLIGHT_FD, inflight(2, 256, 4096), ["memory"]),
    "SET_INFLIGHT_FD of a short file": (SET_INFLIGHT_FD, inflight(2, 8, 4096, SIZE - 64), ["short"]),
    "SET_INFLIGHT_FD that wraps": (SET_INFLIGHT_FD, inflight(2, 8, 4096, END - 64), ["memory"]),
    "SET_INFLIGHT_FD without descriptor": (SET_INFLIGHT_FD, inflight(2, 8, 4096), []),
    "SET_INFLIGHT_FD with two descriptors": (SET_INFLIGHT_FD, inflight(2, 8, 4096), ["memory", "memory"]),
}
for _index in (QUEUES, INDEX_END - 1):
    for _name, _request, _payload in (
        ("SET_VRING_NUM", SET_VRING_NUM, state(_index, 8)),
        ("SET_VRING_BASE", SET_VRING_BASE, state(_index, 0)),
        ("SET_VRING_ENABLE", SET_VRING_ENABLE, state(_index, 1)),
        ("SET_VRING_ADDR", SET_VRING_ADDR, vring_addr(_index, USER, USER, USER)),
    ):
        REFUSED[f"{_name} of virtqueue {_index}"] = (_request, _payload, [])
for _request, _name in ((SET_VRING_KICK, "SET_VRING_KICK"), (SET_VRING_CALL, "SET_VRING_CALL")):
    REFUSED[f"{_name} of a virtqueue that is not there"] = (_request, U64(QUEUES), ["event"])
    REFUSED[f"{_name} of virtqueue 255"] = (_request, U64(255), ["event"])
for _kind in ("file", "path", "directory", "null", "memory"):
    REFUSED[f"SET_VRING_KICK that is {_kind}"] = (SET_VRING_KICK, U64(2), [_kind])
for _request, _name, _length in (
    (SET_FEATURES, "SET_FEATURES", 8),
    (SET_PROTOCOL_FEATURES, "SET_PROTOCOL_FEATURES", 8),
    (SET_MEM_TABLE, "SET_MEM_TABLE", 8),
    (SET_VRING_NUM, "SET_VRING_NUM", 8),
    (SET_VRING_ADDR, "SET_VRING_ADDR", 40),
    (SET_VRING_BASE, "SET_VRING_BASE", 8),
    (SET_VRING_KICK, "SET_VRING_KICK", 8),
    (SET_VRING_CALL, "SET_VRING_CALL", 8),
    (SET_VRING_ERR, "SET_VRING_ERR", 8),
    (SET_VRING_ENABLE, "SET_VRING_ENABLE", 8),
    (SET_CONFIG, "SET_CONFIG", 12),
    (SET_INFLIGHT_FD, "SET_INFLIGHT_FD", 20),
    (ADD_MEM_REG, "ADD_MEM_REG", 40),
    (REM_MEM_REG, "REM_MEM_REG", 40),
    (SET_STATUS, "SET_STATUS", 8),
):
    for _cut in (0, _length - 1):
        REFUSED[f"{_name} of {_cut} octets"] = (_request, bytes(_cut), ["event"])
KNOWN = {
    *range(GET_FEATURES, SET_MEM_TABLE + 1),
    *range(SET_VRING_NUM, SET_VRING_ENABLE + 1),
    *(SET_BACKEND_REQ_FD, GET_CONFIG, SET_CONFIG, GET_INFLIGHT_FD, SET_INFLIGHT_FD, RESET_DEVICE),
    *range(GET_MAX_MEM_SLOTS, GET_STATUS + 1),
}
for _request in {*range(50), INDEX_END - 1} - KNOWN:
    REFUSED[f"request {_request}"] = (_request, bytes(8), [])


@pytest.mark.parametrize(("request_", "payload", "kinds"), REFUSED.values(), ids=REFUSED)
def test_refused_with_reply_ack(rig: Rig, request_: int, payload: bytes, kinds: list[str]) -> None:
    """The answer says no, the connection stays, and what ran runs on."""
    front, memory, receive, transmit = rig.ready()
    with opened(kinds) as fds:
        before, told = descriptors(), len(rig.told)
        assert front.acked(request_, payload, fds) != 0
        assert descriptors() == before
    assert len(rig.told) == told + 1
    passes(rig, front, receive, transmit)
    assert memory.intact()


@pytest.mark.parametrize(("request_", "payload", "kinds"), REFUSED.values(), ids=REFUSED)
def test_refused_without_reply_ack(rig: Rig, request_: int, payload: bytes, kinds: list[str]) -> None:
    """The connection ends, nothing of it is left, and the next front end is served."""
    memory = rig.memory()
    with opened(kinds) as fds:
        before = descriptors()
        front, *_ = rig.ready(protocol=MQ, memory=memory)
        front.say(request_, payload, fds)
        assert front.over
        front.close()
        assert descriptors() == before
    assert rig.device.status == 0
    front, _, receive, transmit = rig.ready()
    passes(rig, front, receive, transmit)


@pytest.mark.parametrize(
    ("request_", "payload"),
    [
        (GET_VRING_BASE, state(QUEUES, 0)),
        (GET_VRING_BASE, b""),
        (GET_INFLIGHT_FD, inflight(0, 8)),
        (GET_INFLIGHT_FD, inflight(QUEUES + 1, 8)),
        (GET_INFLIGHT_FD, inflight(1, 0)),
        (GET_INFLIGHT_FD, inflight(1, 32769)),
        (GET_CONFIG, config(0, 8)[:-1]),
        (GET_CONFIG, b""),
        (GET_CONFIG, struct.pack("<III", 0, INDEX_END - 1, 0)),
    ],
)
def test_a_question_that_has_no_answer_ends_the_connection(rig: Rig, request_: int, payload: bytes) -> None:
    """Its answer has no place for a no, whatever was negotiated."""
    front, *_ = rig.ready()
    front.say(request_, payload, flags=NEED_REPLY)
    assert front.over
    assert rig.device.status == 0


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
