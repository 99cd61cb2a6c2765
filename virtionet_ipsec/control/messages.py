"""The messages of the control socket (specs/control.md).

A header of 16 octets, little-endian, and a body:

    le32 magic    what the connection speaks, version included
    le16 kind     :class:`Kind`
    le16 status   :class:`Result`; 0 in what a client sends
    le32 request  the client's number for a request, which its answer repeats
    le32 length   of the body, in octets, at most :data:`MAX_BODY`
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

MAGIC = int.from_bytes(b"vic1", "little")
MAX_BODY = 1 << 17
MAX_WRITABLE = 1 << 16
"""The most octets that an administration command's device-writable part has here."""

_HEADER = struct.Struct("<IHHII")
HEADER_LENGTH = _HEADER.size

LE32 = struct.Struct("<I")


class Kind(IntEnum):
    """What a message is about; JSON unless said otherwise."""

    INFO = 1  # what is served
    COUNTERS = 2
    SAS = 3  # the host's SAs, a page of them
    RULES = 4  # the host's flow filter rules, a page of them
    POLICIES = 5  # a page of them
    POLICY_ADD = 6
    POLICY_REMOVE = 7
    EXTRAS = 8  # what no SA object carries, for an SA that is created next
    ADMIN = 9  # octets: a command to the host's own device
    EVENTS = 10  # begin or end
    EVENT = 11  # from the server alone

    GUEST_FEATURES = 16  # octets
    GUEST_ACCEPT = 17  # octets
    GUEST_ADMIN = 18  # octets: a command to the guest's device
    GUEST_REFUSAL = 19  # text

    PLUG = 32
    UNPLUG = 33
    FRAME = 34  # an Ethernet frame, both ways, without an answer
    SYNC = 35


class Result(IntEnum):
    """The status of an answer.  Of all but OK the body says in JSON ``what`` is wrong and how to ``mend`` it."""

    OK = 0
    UNKNOWN_KIND = 1
    BAD_REQUEST = 2  # the body is none of this kind's; also a bad header, after which the connection ends
    REFUSED = 3  # it cannot be done, or not now


class Message(NamedTuple):
    kind: int
    status: int
    request: int
    body: bytes


class BadHeader(Exception):
    """The octets are no message of this protocol: nothing behind them can be found."""


def pack(kind: int, request: int, body: bytes = b"", status: int = Result.OK) -> bytes:
    """A message.  Raises ValueError for a body that is too long."""
    if len(body) > MAX_BODY:
        raise ValueError(f"a body of {len(body)} octets, and {MAX_BODY} is the most")
    return _HEADER.pack(MAGIC, kind, status, request, len(body)) + body


class Inbox:
    """Finds messages in the octets of a stream; it holds no more than it was fed and has not given."""

    def __init__(self) -> None:
        self._octets = bytearray()

    def __len__(self) -> int:
        return len(self._octets)

    def feed(self, octets: bytes) -> None:
        """The next octets that came."""
        self._octets += octets

    def next(self) -> Message | None:
        """The next message, when it is there whole.  Raises :class:`BadHeader`, from then on always."""
        octets = self._octets
        if len(octets) < HEADER_LENGTH:
            return None
        magic, kind, status, request, length = _HEADER.unpack_from(octets)
        if magic != MAGIC:
            raise BadHeader("this is no message of the control socket, version 1")
        if length > MAX_BODY:
            raise BadHeader(f"a body of {length} octets, and {MAX_BODY} is the most")
        end = HEADER_LENGTH + length
        if len(octets) < end:
            return None
        body = bytes(octets[HEADER_LENGTH:end])
        del octets[:end]
        return Message(kind, status, request, body)


def pack_admin(readable: bytes, writable_len: int) -> bytes:
    """The body of ADMIN and GUEST_ADMIN: le32 length of the device-writable part, the device-readable octets."""
    return LE32.pack(min(writable_len, MAX_WRITABLE)) + readable


def pack_written(written: bytes, why: str) -> bytes:
    """The answer to :func:`pack_admin`: le32 length of what was written, that, and a refusal's reason in UTF-8."""
    return LE32.pack(len(written)) + written + why.encode()[:1024]


def unpack_written(body: bytes) -> tuple[bytes, str]:
    """What was written, and the reason.  Raises ValueError."""
    if len(body) < LE32.size:
        raise ValueError("the answer ends early")
    (length,) = LE32.unpack_from(body)
    end = LE32.size + length
    if len(body) < end:
        raise ValueError("the answer ends early")
    return body[LE32.size : end], body[end:].decode(errors="replace")
