"""What comes of messages that cannot be carried out."""

from __future__ import annotations

import struct

import pytest

from .kinds import SIZE, opened
from .rig import (
    ADD_MEM_REG,
    F_ADMIN_VQ,
    F_PROTOCOL,
    F_STATUS,
    GET_CONFIG,
    GET_FEATURES,
    GET_INFLIGHT_FD,
    GET_MAX_MEM_SLOTS,
    GET_STATUS,
    GET_VRING_BASE,
    MQ,
    NEED_REPLY,
    PLAIN,
    REM_MEM_REG,
    REPLY_ACK,
    RESET_DEVICE,
    SET_BACKEND_REQ_FD,
    SET_CONFIG,
    SET_FEATURES,
    SET_INFLIGHT_FD,
    SET_MEM_TABLE,
    SET_PROTOCOL_FEATURES,
    SET_STATUS,
    SET_VRING_ADDR,
    SET_VRING_BASE,
    SET_VRING_CALL,
    SET_VRING_ENABLE,
    SET_VRING_ERR,
    SET_VRING_KICK,
    SET_VRING_NUM,
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

QUEUES = 6  # two pairs, control, administration
GUEST, USER = 0x1_0000_0000, 0x7F00_0000_0000  # where Rig.ready's memory is
OFFSET = 0x1000
FREE = GUEST + 0x100000, USER + 0x100000  # where nothing is
END = 1 << 64
INDEX_END = 1 << 32

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
