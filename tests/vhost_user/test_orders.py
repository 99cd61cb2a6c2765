"""The orders in which front ends say things; the back end depends on none where the text leaves it open."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable

import pytest

from .rig import (
    ACKNOWLEDGE,
    BACKEND_REQ,
    CONFIG,
    DRIVER,
    DRIVER_OK,
    F_EVENT_IDX,
    F_IN_ORDER,
    F_INDIRECT,
    F_MQ,
    F_MRG_RXBUF,
    F_PROTOCOL,
    F_RING_PACKED,
    FEATURES_OK,
    GET_CONFIG,
    GET_FEATURES,
    GET_PROTOCOL_FEATURES,
    GET_QUEUE_NUM,
    GET_STATUS,
    GET_VRING_BASE,
    MQ,
    NEED_REPLY,
    PLAIN,
    REPLY_ACK,
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
    FrontEnd,
    PackedRing,
    Rig,
    SharedMemory,
    SplitRing,
    config,
    mem_table,
    passes,
    state,
)

PAIR = (0, 1)
FORMATS = {
    "split": 0,
    "packed": F_RING_PACKED,
    "split, all": F_EVENT_IDX | F_INDIRECT | F_IN_ORDER | F_MRG_RXBUF,
    "packed, all": F_RING_PACKED | F_EVENT_IDX | F_INDIRECT | F_IN_ORDER | F_MRG_RXBUF,
}


def rings(memory: SharedMemory, features: int, *indexes: int) -> list[SplitRing]:
    kind = PackedRing if features & F_RING_PACKED else SplitRing
    return [kind(memory, index) for index in indexes or PAIR]


# -- the front ends that are known ---------------------------------------------------------------------------------


@pytest.mark.parametrize("features", FORMATS.values(), ids=FORMATS)
def test_uml(rig: Rig, features: int) -> None:
    """User Mode Linux: NEED_REPLY on all that has no answer of its own; pipes for calls and for our requests."""
    front, memory = rig.connect(), rig.memory()
    features |= PLAIN | F_PROTOCOL
    front.say(SET_OWNER)
    offered = front.number(GET_FEATURES)
    assert features & ~offered == 0
    protocol = front.number(GET_PROTOCOL_FEATURES) & (REPLY_ACK | BACKEND_REQ | CONFIG)
    front.say(SET_PROTOCOL_FEATURES, U64(protocol))
    requests, writer = os.pipe()
    assert front.acked(SET_BACKEND_REQ_FD, fds=[writer]) == 0
    os.close(writer)
    assert front.acked(SET_FEATURES, U64(features)) == 0
    for size in (1, 2, 3, 4, 5, 6, 8):
        assert len(front.ask(GET_CONFIG, config(0, size))) == 12 + size
    table = mem_table(memory.region) + bytes(32)  # room for two regions, always
    assert front.acked(SET_MEM_TABLE, table, [memory.fd]) == 0
    pair = rings(memory, features)
    calls = {}
    for ring in pair:
        calls[ring.index], writer = os.pipe()
        assert front.acked(SET_VRING_CALL, U64(ring.index), [writer]) == 0
        os.close(writer)
        assert front.acked(SET_VRING_NUM, state(ring.index, ring.size)) == 0
        assert front.acked(SET_VRING_BASE, state(ring.index, 0)) == 0
        assert front.acked(SET_VRING_ADDR, ring.addresses) == 0
    for ring in pair:
        ring.kick = front.event()
        assert front.acked(SET_VRING_KICK, U64(ring.index), [ring.kick]) == 0
        assert front.acked(SET_VRING_ENABLE, state(ring.index, 1)) == 0

    receive, transmit = pair
    receive.give()
    front.kick(receive)
    transmit.send()
    front.kick(transmit)
    assert len(rig.sent) == 1
    assert os.read(calls[1], 100) == U64(1)
    rig.arrive(rig.sent[0])
    assert receive.received()[0][12:] == rig.sent[0]
    assert os.read(calls[0], 100) == U64(1)

    for ring in pair:
        assert front.acked(SET_VRING_ENABLE, state(ring.index, 0)) == 0
    assert front.number(GET_FEATURES) == offered
    front.close()
    for fd in (requests, *calls.values()):
        os.close(fd)


@pytest.mark.parametrize("features", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("status", [0, STATUS])
def test_qemu(rig: Rig, features: int, status: int) -> None:
    """QEMU: two pairs, each a front end of its own on one connection; enabled before features, and never after."""
    front = rig.connect()
    low = rig.memory(0x8000, guest=0, user=0x7F11_0000_0000)
    high = rig.memory(guest=0x1_0000_0000, user=0x7F22_0000_0000)
    features |= PLAIN | F_PROTOCOL | F_MQ  # its own control queue, and ours is not asked for
    protocol = MQ | REPLY_ACK | CONFIG | status
    for index in range(2):
        if not index:
            assert front.number(GET_FEATURES) & F_PROTOCOL
            assert front.number(GET_PROTOCOL_FEATURES) & protocol == protocol
            front.say(SET_PROTOCOL_FEATURES, U64(protocol))
            assert front.number(GET_QUEUE_NUM) == 2
            front.say(SET_OWNER)
        assert front.number(GET_FEATURES) & F_PROTOCOL
        for name in (2 * index, 2 * index + 1):
            front.say(SET_VRING_CALL, U64(name), [front.event()])
            front.say(SET_VRING_ERR, U64(name), [front.event()])
    front.say(SET_VRING_ENABLE, state(0, 1))
    front.say(SET_VRING_ENABLE, state(1, 1))

    def add_status(bits: int) -> None:
        if status:
            front.say(SET_STATUS, U64(front.number(GET_STATUS) | bits))

    for boot in range(3):  # the guest reboots
        bases = [0] * 4
        for stop in range(2):  # and is paused
            pairs = [rings(high, features, 2 * pair, 2 * pair + 1) for pair in range(2)]
            if stop:
                pairs[0][0].offered = pairs[0][0].seen = pairs[0][1].offered = pairs[0][1].seen = 1
            else:
                high.octets[:0x8000] = bytes(0x8000)
            for pair in pairs:
                for ring in pair:
                    front.say(SET_VRING_ENABLE, state(ring.index, 1))
                front.say(SET_FEATURES, U64(features))
                add_status(FEATURES_OK)
                assert front.acked(SET_MEM_TABLE, mem_table(low.region, high.region), [low.fd, high.fd]) == 0
                for ring in pair:
                    front.say(SET_VRING_NUM, state(ring.index, ring.size))
                    front.say(SET_VRING_BASE, state(ring.index, bases[ring.index]))
                    front.say(SET_VRING_ADDR, ring.addresses)
                    front.signal(SET_VRING_KICK, ring)
                    front.signal(SET_VRING_CALL, ring)
            add_status(ACKNOWLEDGE | DRIVER | DRIVER_OK)
            assert rig.device.status & DRIVER_OK
            passes(rig, front, *pairs[0])
            for pair in pairs:
                for ring in pair:
                    front.say(SET_VRING_ENABLE, state(ring.index, 0))
                    index, base = divmod(
                        int.from_bytes(front.ask(GET_VRING_BASE, state(ring.index, 0)), "little"), 1 << 32
                    )
                    assert base == ring.index
                    bases[ring.index] = index
        if status:
            front.say(SET_STATUS, U64(0))
            assert front.number(GET_STATUS) == 0
        assert rig.device.status == 0, boot
    assert not front.over


@pytest.mark.parametrize("features", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("status", [0, STATUS])
def test_dpdk(rig: Rig, features: int, status: int) -> None:
    """DPDK's virtio-user: one region at a time is added to the whole table while queues run; calls come first."""
    front, memory = rig.connect(), rig.memory()
    more = rig.memory(guest=memory.guest + memory.size, user=memory.user + memory.size)
    features |= PLAIN | F_PROTOCOL
    front.say(SET_OWNER)
    assert front.number(GET_FEATURES) & features == features
    assert front.number(GET_PROTOCOL_FEATURES) & (MQ | REPLY_ACK | status)
    front.say(SET_PROTOCOL_FEATURES, U64(MQ | REPLY_ACK | status))
    assert front.number(GET_QUEUE_NUM) == 2
    if status:
        for bits in (0, ACKNOWLEDGE, ACKNOWLEDGE | DRIVER):
            front.say(SET_STATUS, U64(bits), flags=NEED_REPLY)
            assert front.answer() is not None
    pair = rings(memory, features)
    for ring in pair:
        front.signal(SET_VRING_CALL, ring)
    assert front.acked(SET_FEATURES, U64(features)) == 0
    if status:
        front.say(SET_STATUS, U64(ACKNOWLEDGE | DRIVER | FEATURES_OK))
        assert front.number(GET_STATUS) & FEATURES_OK
    assert front.acked(SET_MEM_TABLE, mem_table(memory.region), [memory.fd]) == 0
    for ring in pair:
        front.say(SET_VRING_NUM, state(ring.index, ring.size))
        front.say(SET_VRING_BASE, state(ring.index, 1 << 15 | 1 << 31 if ring.packed else 0))
        front.say(SET_VRING_ADDR, ring.addresses)
        front.signal(SET_VRING_KICK, ring)
    for ring in pair:
        front.say(SET_VRING_ENABLE, state(ring.index, 1))
    if status:
        front.say(SET_STATUS, U64(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK))
    receive, transmit = pair
    for turn in range(20):
        passes(rig, front, receive, transmit)
        both = [memory, more][: 1 + turn % 2]
        front.say(SET_MEM_TABLE, mem_table(*(each.region for each in both)), [each.fd for each in both])
    for ring in pair:
        front.say(SET_VRING_ENABLE, state(ring.index, 0))
        assert front.ask(GET_VRING_BASE, state(ring.index, 0))[:4] == state(ring.index, 0)[:4]
    assert not front.over


# -- any order -----------------------------------------------------------------------------------------------------

Say = Callable[[FrontEnd, SplitRing], None]
PARTS: dict[str, Say] = {
    "NUM": lambda front, ring: front.say(SET_VRING_NUM, state(ring.index, ring.size)),
    "BASE": lambda front, ring: front.say(SET_VRING_BASE, state(ring.index, 0)),
    "ADDR": lambda front, ring: front.say(SET_VRING_ADDR, ring.addresses),
    "CALL": lambda front, ring: front.signal(SET_VRING_CALL, ring),
    "ENABLE": lambda front, ring: front.say(SET_VRING_ENABLE, state(ring.index, 1)),
}


@pytest.mark.parametrize("packed", [0, F_RING_PACKED], ids=["split", "packed"])
def test_a_ring_in_every_order_before_its_kick(rig: Rig, packed: int) -> None:
    memory = rig.memory()
    for order in itertools.permutations(PARTS.values()):
        memory.octets[:] = bytes(memory.size)
        front = rig.connect()
        front.negotiate(PLAIN | F_PROTOCOL | packed)
        front.share(memory)
        pair = rings(memory, packed)
        for ring in pair:
            for say in order:
                say(front, ring)
            front.signal(SET_VRING_KICK, ring)
        passes(rig, front, *pair)
        front.close()


STAGES: dict[str, Callable[[FrontEnd, SharedMemory, list[SplitRing]], object]] = {
    "features": lambda front, memory, pair: front.say(SET_FEATURES, U64(PLAIN | F_PROTOCOL)),
    "memory": lambda front, memory, pair: front.share(memory),
    "rings": lambda front, memory, pair: [say(front, ring) for ring in pair for say in PARTS.values()],
    "kicks": lambda front, memory, pair: [front.signal(SET_VRING_KICK, ring) for ring in pair],
    "enable": lambda front, memory, pair: [PARTS["ENABLE"](front, ring) for ring in pair],
}


@pytest.mark.parametrize("order", list(itertools.permutations(STAGES)), ids=", ".join)
@pytest.mark.parametrize("status", [0, STATUS])
def test_stages_in_every_order(rig: Rig, order: tuple[str, ...], status: int) -> None:
    """Features, memory, rings, kicks: whichever comes last, from then on frames pass."""
    front, memory = rig.connect(), rig.memory()
    front.say(SET_PROTOCOL_FEATURES, U64(REPLY_ACK | status))
    pair = rings(memory, 0)
    for stage in order:
        STAGES[stage](front, memory, pair)
        if status and stage == "features":
            front.say(SET_STATUS, U64(ACKNOWLEDGE | DRIVER | FEATURES_OK))
    if status:
        front.say(SET_STATUS, U64(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK))
    passes(rig, front, *pair)
    assert not front.over


def test_a_front_end_without_protocol_features(rig: Rig) -> None:
    """The oldest kind: rings are enabled as soon as they run, and nothing is ever answered."""
    front, memory = rig.connect(), rig.memory()
    front.say(SET_OWNER)
    front.negotiate(PLAIN)
    front.share(memory)
    pair = rings(memory, 0)
    for ring in pair:
        front.start(ring, enable=False)
    passes(rig, front, *pair)
    assert front.answer() is None
