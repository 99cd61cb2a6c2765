"""Device statistics, virtio 1.4, 5.1.9.5.11."""

from __future__ import annotations

from collections.abc import Iterator

from ...wire.enums import CtrlClass
from ..check import check
from ..driving import controls, statistics
from ..driving.rig import Rig
from ..driving.statistics import (
    COUNTERS,
    CVQ,
    GET,
    NEEDS,
    RECEIVEQ1,
    RX_BASIC,
    TRANSMITQ1,
    TX_BASIC,
    Reply,
    available,
    queue_of,
    replies,
    rows,
    size,
    start,
)
from ..verdict import NotApplicable

_ROOM = 4096


def _get(rig: Rig, *wanted: tuple[int, int], room: int = _ROOM) -> bytes:
    return controls.accepted(rig, f"STATS_GET of {_said(wanted)}", CtrlClass.STATS, GET, rows(*wanted), room)


def _refused(rig: Rig, *wanted: tuple[int, int]) -> None:
    controls.refused(rig, f"STATS_GET of {_said(wanted)}", CtrlClass.STATS, GET, rows(*wanted), _ROOM)


def _said(wanted: tuple[tuple[int, int], ...]) -> str:
    return ", ".join(f"types {types:#x} of virtqueue {index}" for index, types in wanted)


def _singly(rig: Rig) -> Iterator[tuple[int, int, Reply]]:
    """Each type that can be had, the virtqueue that it was asked of, and the one reply."""
    start(rig)
    for kind in available(rig):
        index = queue_of(rig, kind)
        found = replies(_get(rig, (index, 1 << kind)))
        rig.equal(f"replies to STATS_GET of type {kind}", 1, len(found))
        yield kind, index, found[0]


@check
def query(rig: Rig) -> None:
    """STATS_QUERY gets VIRTIO_NET_OK and the eight octets of virtio_net_stats_capabilities."""
    start(rig)
    statistics.listed(rig)


@check
def types_listed(rig: Rig) -> None:
    """A type that STATS_QUERY does not list gets VIRTIO_NET_ERR."""
    start(rig)
    types = statistics.listed(rig)
    missing = [kind for kind in COUNTERS if not types >> kind & 1]
    if not missing:
        raise NotApplicable("every type is supported")
    for kind in missing:
        _refused(rig, (queue_of(rig, kind), 1 << kind))


@check
def queue_range(rig: Rig) -> None:
    """STATS_GET of a virtqueue that there cannot be gets VIRTIO_NET_ERR, even and odd."""
    start(rig)
    for index, kind in ((0xFFFE, RX_BASIC), (0xFFFF, TX_BASIC)):
        _refused(rig, (index, 1 << kind))


@check
def unknown_type(rig: Rig) -> None:
    """STATS_GET of a type that nothing describes gets VIRTIO_NET_ERR, alone and beside a good one."""
    start(rig)
    good = next((kind for kind in available(rig) if kind < TX_BASIC), None)
    for bit in (4, 15, 20, 31, 33, 63):
        for index in (RECEIVEQ1, TRANSMITQ1):
            _refused(rig, (index, 1 << bit))
        if good is not None:
            _refused(rig, (RECEIVEQ1, 1 << bit | 1 << good))


@check
def other_queues_type(rig: Rig) -> None:
    """STATS_GET of a type of receive queues from a transmit queue, and so on, gets VIRTIO_NET_ERR."""
    start(rig)
    for kind in available(rig):
        right = queue_of(rig, kind)
        for index in {RECEIVEQ1, TRANSMITQ1, statistics.control_queue(rig)} - {right}:
            _refused(rig, (index, 1 << kind))


@check
def unnegotiated_type(rig: Rig) -> None:
    """STATS_GET of a type whose feature was left out gets VIRTIO_NET_ERR."""
    start(rig)
    judged = [kind for kind in available(rig) if kind in NEEDS]
    if not judged:
        raise NotApplicable("no supported type asks for a feature")
    for kind in judged:
        start(rig, without=NEEDS[kind])
        _refused(rig, (queue_of(rig, kind), 1 << kind))


@check
def whole_command(rig: Rig) -> None:
    """STATS_GET with one row that is wrong, before or behind right ones, gets VIRTIO_NET_ERR."""
    start(rig)
    good = [(queue_of(rig, kind), 1 << kind) for kind in available(rig)]
    for bad in ((0xFFFF, 1 << TX_BASIC), (RECEIVEQ1, 1 << 63), (TRANSMITQ1, 1 << RX_BASIC)):
        _refused(rig, bad, *good)
        _refused(rig, *good, bad)


@check
def reply_size(rig: Rig) -> None:
    """size of a reply is that of its structure, and as many octets are there."""
    for kind, _, reply in _singly(rig):
        rig.equal(f"size of the reply of type {kind}", size(kind), reply.size)
        rig.equal(f"octets of the reply of type {kind}", size(kind), reply.octets)


@check
def reply_type(rig: Rig) -> None:
    """type of a reply is the one that was asked for, of each when there are several."""
    for kind, _, reply in _singly(rig):
        rig.equal("type of the reply", kind, reply.type)
    for kinds in (range(TX_BASIC), range(TX_BASIC, CVQ)):
        known = [kind for kind in available(rig) if kind in kinds]
        if known:
            found = replies(_get(rig, (queue_of(rig, known[0]), sum(1 << kind for kind in known))))
            rig.equal("types of the replies", known, sorted(reply.type for reply in found))


@check
def reply_vq_index(rig: Rig) -> None:
    """vq_index of a reply is that of the virtqueue that was asked for, of each when there are several."""
    for kind, index, reply in _singly(rig):
        rig.equal(f"vq_index of the reply of type {kind}", index, reply.vq_index)
    wanted = [(queue_of(rig, kind), kind) for kind in available(rig)]
    found = replies(_get(rig, *((index, 1 << kind) for index, kind in wanted)))
    got = sorted((reply.vq_index, reply.type) for reply in found)
    rig.equal("vq_index and type of the replies", sorted(wanted), got)


@check
def valid_octets(rig: Rig) -> None:
    """The device writes as many octets as the replies have, with more room and with less no more than there is."""
    start(rig)
    kind = available(rig)[0]
    index, needed = queue_of(rig, kind), size(kind)
    for room in (needed, needed + 8, _ROOM):
        rig.equal(f"octets written with room for {room}", needed, len(_get(rig, (index, 1 << kind), room=room)))
    for room in (0, 7, 8, needed - 1):
        written = controls.ask(rig, CtrlClass.STATS, GET, rows((index, 1 << kind)), room)
        rig.expect(len(written) <= 1 + room, f"octets written with room for {room}", "no more", str(len(written) - 1))
