"""Notifications coalescing, virtio 1.4, 5.1.9.5.10."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial

from ...virtqueue.port import Rings
from ...wire.enums import CtrlAck, CtrlClass, Feature
from ..check import add, check
from ..driving import by_hand, controls
from ..driving.by_hand import SIZE
from ..driving.rig import Rig
from ..driving.split_ring import SplitRing

_TX_SET, _RX_SET, _VQ_SET, _VQ_GET = range(4)
_RECEIVEQ1, _TRANSMITQ1 = 0, 1
_PARAMETERS = struct.Struct("<II")  # max_packets, max_usecs
_PAIRS_AT = 8  # offset in virtio_net_config


def _start(rig: Rig) -> None:
    controls.start(rig, Feature.VQ_NOTF_COAL)


def _queue(index: int, reserved: int = 0) -> bytes:
    return struct.pack("<HH", index, reserved)


def _set(rig: Rig, index: int, parameters: tuple[int, int]) -> bool:
    """Whether VQ_SET was answered with VIRTIO_NET_OK."""
    data = _queue(index) + _PARAMETERS.pack(*parameters)
    return controls.ask(rig, CtrlClass.NOTF_COAL, _VQ_SET, data) == bytes((CtrlAck.OK,))


def _set_all(rig: Rig, command: int, parameters: tuple[int, int]) -> bool:
    """Whether TX_SET or RX_SET was answered with VIRTIO_NET_OK."""
    data = _PARAMETERS.pack(*parameters)
    return controls.ask(rig, CtrlClass.NOTF_COAL, command, data) == bytes((CtrlAck.OK,))


def _get(rig: Rig, index: int, reserved: int = 0) -> tuple[int, int]:
    what = f"VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET of virtqueue {index}"
    result = controls.accepted(rig, what, CtrlClass.NOTF_COAL, _VQ_GET, _queue(index, reserved), _PARAMETERS.size)
    rig.equal(f"octets of virtio_net_ctrl_coal in the answer to {what}", _PARAMETERS.size, len(result))
    max_packets, max_usecs = _PARAMETERS.unpack(result)
    return max_packets, max_usecs


def _not_enabled(rig: Rig) -> Iterator[int]:
    """The control virtqueue, with and without further pairs of queues, and what there cannot be."""
    _start(rig)
    yield 2
    yield 0xFFFF
    if rig.offers(Feature.MQ):
        controls.start(rig, Feature.VQ_NOTF_COAL, Feature.MQ)
        yield 2 * int.from_bytes(rig.port.read_config(_PAIRS_AT, 2), "little")


@check
def reserved(rig: Rig) -> None:
    """VQ_SET and VQ_GET do the same whatever reserved holds."""
    _start(rig)
    for index in (_RECEIVEQ1, _TRANSMITQ1):
        for number, value in enumerate((0, 1, 0xFFFF)):
            wanted = (8 + number, 50 + number)
            data = _queue(index, value) + _PARAMETERS.pack(*wanted)
            controls.accepted(rig, f"VQ_SET with reserved {value:#x}", CtrlClass.NOTF_COAL, _VQ_SET, data)
            rig.equal(f"what VQ_GET gives with reserved {value:#x}", wanted, _get(rig, index, value))


@check
def queue_unable(rig: Rig) -> None:
    """What VQ_SET answers with VIRTIO_NET_OK, small or large, VQ_GET gives back; what it does not, is as before."""
    _start(rig)
    for index in (_RECEIVEQ1, _TRANSMITQ1):
        for wanted in ((8, 50), (0, 0), (1, 1), (1 << 16, 1 << 20), (0xFFFFFFFF, 0xFFFFFFFF)):
            before = _get(rig, index)
            now = wanted if _set(rig, index, wanted) else before
            rig.equal(f"parameters of virtqueue {index} after VQ_SET of {wanted}", now, _get(rig, index))


@check
def set_not_enabled(rig: Rig) -> None:
    """VQ_SET for the control virtqueue, and for one that there cannot be, gets VIRTIO_NET_ERR."""
    for index in _not_enabled(rig):
        data = _queue(index) + _PARAMETERS.pack(8, 50)
        controls.refused(rig, f"VQ_SET of virtqueue {index}", CtrlClass.NOTF_COAL, _VQ_SET, data)


@check
def get_not_enabled(rig: Rig) -> None:
    """VQ_GET for the control virtqueue, and for one that there cannot be, gets VIRTIO_NET_ERR."""
    for index in _not_enabled(rig):
        room = _PARAMETERS.size
        controls.refused(rig, f"VQ_GET of virtqueue {index}", CtrlClass.NOTF_COAL, _VQ_GET, _queue(index), room)


@check
def zero_on_reset(rig: Rig) -> None:
    """Parameters that were set before a reset are 0 after it."""
    _start(rig)
    for index in (_RECEIVEQ1, _TRANSMITQ1):
        _set(rig, index, (8, 50))
    _start(rig)
    for index in (_RECEIVEQ1, _TRANSMITQ1):
        rig.equal(f"parameters of virtqueue {index} after a reset", (0, 0), _get(rig, index))


@check
def unable(rig: Rig) -> None:
    """What TX_SET and RX_SET answer with VIRTIO_NET_OK, VQ_GET gives of a queue of that kind, and of no other."""
    controls.start(rig, Feature.NOTF_COAL, Feature.VQ_NOTF_COAL)
    known = {_RECEIVEQ1: _get(rig, _RECEIVEQ1), _TRANSMITQ1: _get(rig, _TRANSMITQ1)}
    for wanted in ((8, 50), (9, 60), (0, 0), (1 << 16, 1 << 20)):
        for command, index in ((_TX_SET, _TRANSMITQ1), (_RX_SET, _RECEIVEQ1)):
            if _set(rig, index, (3, 7)):
                known[index] = (3, 7)
            if _set_all(rig, command, wanted):
                known[index] = wanted
            for each, parameters in known.items():
                what = f"parameters of virtqueue {each} after command {command} with {wanted}"
                rig.equal(what, parameters, _get(rig, each))


def _enabled_again(command: int, index: int, rig: Rig) -> None:
    needed = (Feature.CTRL_VQ, Feature.NOTF_COAL, Feature.VQ_NOTF_COAL, Feature.RING_RESET)
    ring = SplitRing(by_hand.start(rig, Rings(indirect=False, event_idx=False, size=SIZE), *needed), index)
    for everywhere in (None, (8, 50), (9, 60)):
        due = everywhere or (0, 0)
        if everywhere is not None and not _set_all(rig, command, everywhere):
            continue
        _set(rig, index, (3, 7))
        ring.stop()
        ring.begin(SIZE)
        what = f"parameters of virtqueue {index}, which was reset, with {everywhere or 'none'} for all of its kind"
        rig.equal(what, due, _get(rig, index))


for _name, _command, _index in (("transmit", _TX_SET, _TRANSMITQ1), ("receive", _RX_SET, _RECEIVEQ1)):
    add(
        f"coalescing.{_name}-enabled-again",
        f"A {_name} virtqueue with parameters of its own is reset: it then has those set for all of its kind, first 0.",
        partial(_enabled_again, _command, _index),
    )
