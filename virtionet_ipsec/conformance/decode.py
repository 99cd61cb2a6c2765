"""Exchanges in words, for reports: every field by its name, and never a key.

Octets of an SA object's keys and salt are shown as ``**``, in the hexadecimal
as well as in the fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..device.exchanges import (
    Arrived,
    BuffersSized,
    Commanded,
    ConfigRead,
    Exchange,
    FeaturesWritten,
    StatusWritten,
    Transmitted,
)
from ..device.negotiation import feature_names
from ..wire.admin import AdminCmdHdr, AdminCmdResult, ResourceObjCreateData, ResourceObjHdr
from ..wire.codec import parse
from ..wire.enums import CapId, Opcode, ResourceType, Status
from ..wire.net_hdr import HdrLayout
from ..wire.profile import Profile
from ..wire.sa import ipsec_sa
from .driving.rig import status_name

_MOST = 160
"""Octets of a frame or a command that are shown; the rest is counted."""

_DATA = AdminCmdHdr.sizeof()
_SPECIFIC = _DATA + ResourceObjCreateData.sizeof()
_OBJECTS = frozenset(
    {Opcode.RESOURCE_OBJ_CREATE, Opcode.RESOURCE_OBJ_MODIFY, Opcode.RESOURCE_OBJ_QUERY, Opcode.RESOURCE_OBJ_DESTROY}
)
_SECRET_FIELDS = frozenset({"salt", "cipher_key", "auth_key"})
_SA_TYPES = frozenset({ResourceType.IPSEC_OUTB_SA, ResourceType.IPSEC_INB_SA})


def decoded(exchanges: Iterable[Exchange], profile: Profile, offered: int) -> tuple[str, ...]:
    """A few lines for each exchange.  ``offered`` stands in for the negotiated features until they are seen."""
    words = _Words(profile, offered)
    return tuple(line for exchange in exchanges for line in words.lines(exchange))


class _Words:
    def __init__(self, profile: Profile, offered: int) -> None:
        self._profile = profile
        self._layout = HdrLayout(profile, offered)
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
        yield f"    readable: {_masked(exchange.readable, secret, _SPECIFIC)}"
        if not exchange.written:
            yield "    writable: the buffer was not used"
            return
        result = parse(AdminCmdResult, exchange.written)
        yield f"    writable: {_masked(exchange.written, secret, AdminCmdResult.sizeof())}"
        yield f"    status {status_name(result.status, result.status_qualifier)}"

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
    """``octets`` in groups of four, and how many more there are."""
    more = f" and {len(octets) - _MOST} octets more" if len(octets) > _MOST else ""
    return (octets[:_MOST].hex(" ", -4) if octets else "no octets") + more


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
    shown = ["**" if at - start in secret else f"{octet:02x}" for at, octet in enumerate(octets)]
    return " ".join("".join(shown[at : at + 4]) for at in range(0, len(shown), 4))
