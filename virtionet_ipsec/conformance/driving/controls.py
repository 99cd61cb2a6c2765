"""Commands of the control virtqueue, as checks send them (virtio 1.4, 5.1.9.5)."""

from __future__ import annotations

from collections.abc import Collection

from ...wire.enums import CtrlAck, Feature
from ..verdict import Failed, NotObservable
from .rig import Rig

_SAID = {CtrlAck.OK: "VIRTIO_NET_OK", CtrlAck.ERR: "VIRTIO_NET_ERR"}


def start(rig: Rig, *features: Feature, also: Collection[Feature] = (), without: Collection[Feature] = ()) -> None:
    """Bring the device up with a control virtqueue and ``features``, and with those of ``also`` that it offers."""
    rig.needs(Feature.CTRL_VQ, *features)
    if not rig.port.controllable:
        raise NotObservable("the adapter has no control")
    rig.negotiate(also=(Feature.CTRL_VQ, *features, *also), without=without)


def ask(rig: Rig, class_: int, command: int, data: bytes = b"", room: int = 0) -> bytes:
    """What the device writes: ``ack``, and up to ``room`` octets of command-specific-result."""
    return rig.port.control(bytes((class_, command)) + data, 1 + room)


def accepted(rig: Rig, what: str, class_: int, command: int, data: bytes = b"", room: int = 0) -> bytes:
    """The command-specific-result of a command that has to succeed."""
    return _answered(CtrlAck.OK, what, ask(rig, class_, command, data, room))


def refused(rig: Rig, what: str, class_: int, command: int, data: bytes = b"", room: int = 0) -> None:
    """Fail unless the device answers with VIRTIO_NET_ERR."""
    _answered(CtrlAck.ERR, what, ask(rig, class_, command, data, room))


def _answered(ack: CtrlAck, what: str, written: bytes) -> bytes:
    if not written:
        raise Failed(what, _SAID[ack], "no answer: the device did not use the buffer")
    if written[0] != ack:
        got = _SAID[CtrlAck(written[0])] if written[0] in tuple(CtrlAck) else f"ack {written[0]}"
        raise Failed(what, _SAID[ack], got)
    return written[1:]
