"""Exchanges in words, for reports: every field by its name, and never a key.

What a driver's commands carry may be an SA's keys, wherever a wrong driver puts
them: of other people's commands only the fields of the header are shown, and
of the answers those that a device makes up by itself.  The suite's own
commands are shown in octets, with ``**`` for keys and salts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..device.control import command_name
from ..device.exchanges import (
    Arrived,
    BuffersSized,
    Commanded,
    ConfigRead,
    Controlled,
    Exchange,
    FeaturesWritten,
    StatusWritten,
    Transmitted,
)
from ..device.negotiation import feature_names
from ..wire.admin import AdminCmdHdr, AdminCmdResult, ResourceObjCreateData, ResourceObjHdr
from ..wire.codec import parse
from ..wire.enums import AdminStatus, CapId, Opcode, Qualifier, ResourceType, Status
from ..wire.net_hdr import HdrLayout
from ..wire.profile import Profile
from ..wire.sa import ipsec_sa

_MOST = 4096
"""Octets of a frame or an answer that are shown; the rest is counted."""

_DATA = AdminCmdHdr.sizeof()
_SPECIFIC = _DATA + ResourceObjCreateData.sizeof()
_OBJECTS = frozenset(
    {Opcode.RESOURCE_OBJ_CREATE, Opcode.RESOURCE_OBJ_MODIFY, Opcode.RESOURCE_OBJ_QUERY, Opcode.RESOURCE_OBJ_DESTROY}
)
_TOLD_BY_THE_DEVICE = frozenset({Opcode.LIST_QUERY, Opcode.CAP_ID_LIST_QUERY, Opcode.DEVICE_CAP_GET})
_SECRET_FIELDS = frozenset({"salt", "cipher_key", "auth_key"})
_SA_TYPES = frozenset({ResourceType.IPSEC_OUTB_SA, ResourceType.IPSEC_INB_SA})


def decoded(
    exchanges: Sequence[Exchange], profile: Profile, features: int, *, last: int | None = None, own: bool = False
) -> tuple[str, ...]:
    """A few lines for each exchange, or for the ``last`` ones; ``own`` are the suite's, whose keys are known anyway.

    ``features`` are those in force before the first exchange: the layout of a header depends on them.
    """
    words = _Words(profile, features, own)
    lines = [tuple(words.lines(exchange)) for exchange in exchanges]
    return tuple(line for said in lines[-last if last is not None else 0 :] for line in said)


def status_name(status: int, qualifier: int | None = None) -> str:
    """``EINVAL, INVALID_FIELD``, with numbers for what has no name."""
    names = {int(each): each.name for each in AdminStatus}
    qualifiers = {int(each): each.name for each in Qualifier}
    said = names.get(status, f"status {status}")
    if qualifier is None or (not status and not qualifier):
        return said
    return f"{said}, {qualifiers.get(qualifier, f'qualifier {qualifier}')}"


class _Words:
    def __init__(self, profile: Profile, features: int, own: bool) -> None:
        self._profile = profile
        self._own = own
        self._layout = HdrLayout(profile, features)
        self._secret = _secret_octets(profile)

    def lines(self, exchange: Exchange) -> Iterator[str]:
        match exchange:
            case StatusWritten():
                yield f"status: write {_status(exchange.value)}; reads back {_status(exchange.status)}"
            case FeaturesWritten():
                self._layout = HdrLayout(self._profile, exchange.features)
                yield f"driver features: {', '.join(feature_names(exchange.features)) or 'none'}"
            case ConfigRead():
                yield f"configuration space at {exchange.offset}: {hexadecimal(exchange.data)}"
            case BuffersSized():
                yield f"receive buffers: {exchange.size} octets each"
            case Commanded():
                yield from self._command(exchange)
            case Controlled():
                yield from self._control(exchange)
            case Transmitted():
                yield f"transmit queue {exchange.queue}: {self._buffer(exchange.buffer)}"
                yield from (f"    on the wire: {hexadecimal(frame)}" for frame in exchange.frames)
                if not exchange.frames:
                    yield "    on the wire: nothing"
            case Arrived():
                yield f"from the wire: {hexadecimal(exchange.frame)}"
                if not exchange.buffers:
                    yield "    receive queues: nothing"
                for number, buffer in enumerate(exchange.buffers):
                    said = hexadecimal(buffer) if number else self._buffer(buffer)
                    yield f"    receive queue {exchange.queue}, buffer {number + 1}: {said}"

    def _command(self, exchange: Commanded) -> Iterator[str]:
        header = parse(AdminCmdHdr, exchange.readable)
        group = f"group_type {header.group_type}, group_member_id {header.group_member_id}"
        yield f"command {_name(Opcode, header.opcode)}: {group}{self._subject(header.opcode, exchange.readable)}"
        secret = self._secret if _has_sa(header.opcode, exchange.readable) else frozenset[int]()
        if self._own:
            yield f"    readable: {_masked(exchange.readable, secret, _SPECIFIC)}"
        else:
            yield f"    readable: {len(exchange.readable)} octets, not shown: they may hold keys"
        if not exchange.written:
            yield "    writable: the buffer was not used"
            return
        result = parse(AdminCmdResult, exchange.written)
        if self._own:
            yield f"    writable: {_masked(exchange.written, secret, AdminCmdResult.sizeof())}"
        elif header.opcode in _TOLD_BY_THE_DEVICE:
            yield f"    writable: {hexadecimal(exchange.written)}"
        yield f"    status {status_name(result.status, result.status_qualifier)}"

    def _control(self, exchange: Controlled) -> Iterator[str]:
        readable = exchange.readable
        yield f"control command {command_name(*readable[:2]) if len(readable) > 1 else '(cut short)'}"
        if self._own:
            yield f"    readable: {hexadecimal(readable)}"
        else:
            yield f"    readable: {len(readable)} octets, not shown: they may hold keys"
        yield f"    ack: {exchange.written[0]}" if exchange.written else "    no ack was written"

    def _subject(self, opcode: int, readable: bytes) -> str:
        data = readable[_DATA:]
        if opcode in _OBJECTS:
            header = parse(ResourceObjHdr, data)
            return f"; {_name(ResourceType, header.type)} id {header.id}"
        if opcode in (Opcode.DEVICE_CAP_GET, Opcode.DRIVER_CAP_SET):
            return f"; {_name(CapId, int.from_bytes(data[:2], 'little'))}"
        return ""

    def _buffer(self, buffer: bytes) -> str:
        layout = self._layout
        if len(buffer) < layout.size:
            return f"{hexadecimal(buffer)} (shorter than virtio_net_hdr, {layout.size} octets)"
        hdr = layout.parse(buffer)
        said = [f"flags={'|'.join(layout.flag_names(hdr.flags)) or 'none'}"]
        said += [f"{name}={getattr(hdr, name)}" for name in layout.fields if name != "flags" and getattr(hdr, name)]
        header, frame = hexadecimal(buffer[: layout.size]), hexadecimal(buffer[layout.size :])
        return f"virtio_net_hdr {header} ({' '.join(said)}), {frame}"


def hexadecimal(octets: bytes) -> str:
    """``octets`` in groups of four, as many as a report has room for."""
    more = f" and {len(octets) - _MOST} octets more" if len(octets) > _MOST else ""
    return octets[:_MOST].hex(" ", -4) + more if octets else "no octets"


def _name(kind: Any, number: int) -> str:
    known = {int(each): each.name for each in kind}
    return str(known.get(number, f"{number:#06x}"))


def _status(value: int) -> str:
    names = [str(flag.name) for flag in Status if value & flag]
    return "|".join(names) or "0"


def _has_sa(opcode: int, readable: bytes) -> bool:
    """Whether the command is about an SA object, and so may carry keys either way."""
    return opcode in _OBJECTS and parse(ResourceObjHdr, readable[_DATA:]).type in _SA_TYPES


def _secret_octets(profile: Profile) -> frozenset[int]:
    """Where salt and keys lie in an SA object, in octets from its beginning."""
    secret: set[int] = set()
    offset = 0
    for field in ipsec_sa(profile).subcons:
        if field.name in _SECRET_FIELDS:
            secret.update(range(offset, offset + field.sizeof()))
        offset += field.sizeof()
    return frozenset(secret)


def _masked(octets: bytes, secret: frozenset[int], start: int) -> str:
    """:func:`hexadecimal` with ``**`` for the ``secret`` octets of the object that begins at ``start``."""
    if not secret:
        return hexadecimal(octets)
    shown = ["**" if at - start in secret else f"{octet:02x}" for at, octet in enumerate(octets[:_MOST])]
    return " ".join("".join(shown[at : at + 4]) for at in range(0, len(shown), 4))
