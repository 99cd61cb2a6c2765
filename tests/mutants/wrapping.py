"""Short ways to make a device wrong at its boundary; faults inside are overrides of its parts."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from virtionet_ipsec.device import Device, Received
from virtionet_ipsec.device.admin import AdminCommands
from virtionet_ipsec.wire.enums import Opcode
from virtionet_ipsec.wire.net_hdr import HdrLayout, NetHdr

_FIELDS = struct.Struct("<HH")


def altering_answers(alter: Callable[[int, int], tuple[int, int]]) -> Callable[[Any, bytes], bytes]:
    """A ``Device._execute`` with status and status_qualifier of every answer altered."""

    def execute(device: Any, readable: bytes) -> bytes:
        written = Device._execute(device, readable)
        if not written:
            return written
        return _FIELDS.pack(*alter(*_FIELDS.unpack_from(written))) + written[_FIELDS.size :]

    return execute


def altering_answers_to(opcode: int, alter: Callable[[int, int], tuple[int, int]]) -> Callable[[Any, bytes], bytes]:
    """:func:`altering_answers` for commands of one opcode alone."""
    altered = altering_answers(alter)

    def execute(device: Any, readable: bytes) -> bytes:
        if readable[:2] == opcode.to_bytes(2, "little"):
            return altered(device, readable)
        return Device._execute(device, readable)

    return execute


def altering_commands(alter: Callable[[bytes], bytes]) -> Callable[[Any, bytes], bytes]:
    """A ``Device._execute`` that sees the device-readable part of every command altered."""
    return lambda device, readable: Device._execute(device, alter(readable))


def altering_written(alter: Callable[[bytes], bytes]) -> Callable[[Any, bytes], bytes]:
    """A ``Device._execute`` with the device-writable part of every answer altered."""

    def execute(device: Any, readable: bytes) -> bytes:
        written = Device._execute(device, readable)
        return alter(written) if written else written

    return execute


def replace_handler(device: Any, opcode: int, wrong: Callable[[Callable[[bytes], bytes], bytes], bytes]) -> None:
    """Let ``wrong(right, data)`` handle the commands of an opcode, ``right`` being the device's own handler."""
    right = device._admin._handlers[opcode]
    device._admin._handlers[opcode] = lambda data: wrong(right, data)


def replace_admin(device: Any, kind: type[AdminCommands]) -> None:
    """Put another kind of :class:`AdminCommands` in the place of the device's, with the same handlers."""
    handlers = device._admin._handlers.items()
    device._admin = kind({Opcode(number): each for number, each in handlers if number > Opcode.LIST_USE})


def altering_received(alter: Callable[[Any, NetHdr, bytes], tuple[NetHdr, bytes]]) -> Callable[[Any, bytes], Any]:
    """A ``Device.receive`` where ``alter(device, header, frame)`` gives what the driver finds; lengths stay."""

    def receive(device: Any, frame: bytes) -> Received | None:
        got = Device.receive(device, frame)
        if got is None:
            return None
        layout = HdrLayout(device.profile, device.negotiated)
        data = b"".join(got.buffers)
        header, body = alter(device, layout.parse(data), data[layout.size :])
        left, buffers = layout.build(header) + body, []
        for buffer in got.buffers:
            buffers.append(left[: len(buffer)])
            left = left[len(buffer) :]
        return Received(got.queue, tuple(buffers))

    return receive


def altering_headers(alter: Callable[[Any, NetHdr, bytes], NetHdr]) -> Callable[[Any, bytes], Any]:
    """As :func:`altering_received`, where the frame stays as it is."""
    return altering_received(lambda device, header, frame: (alter(device, header, frame), frame))


def answering_control(class_: int, command: int, ack: int) -> Callable[[Any, bytes, int], bytes]:
    """A ``Device._control`` that answers one command of the control virtqueue with ``ack``, and does nothing."""

    def control(device: Any, readable: bytes, writable_len: int) -> bytes:
        if readable[:2] == bytes((class_, command)):
            return bytes((ack,))
        return Device._control(device, readable, writable_len)

    return control


def become(part: Any, kind: type[Any]) -> Any:
    """Make ``part`` of a device one of ``kind``, a subclass of what it is; gives it."""
    part.__class__ = kind
    return part


@contextmanager
def unfiltered(device: Device) -> Iterator[None]:
    """Every frame passes the device's receive filter meanwhile."""
    receive_filter: Any = device._controls.filter
    receive_filter.compiled = lambda: None
    device._apply_controls()
    try:
        yield
    finally:
        del receive_filter.compiled
        device._apply_controls()
