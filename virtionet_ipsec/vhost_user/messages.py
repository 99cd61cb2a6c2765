"""The messages of the vhost-user protocol: numbers and payloads.

A message is a header of 12 octets (request, flags, size of the payload; u32
each, little-endian on every machine this runs on), the payload, and up to
:data:`MOST_FDS` file descriptors beside it.  Names are the protocol text's
(vhost-user.rst, "Front-end message types" and "Back-end message types").
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from construct import Array, Bytes, ConstructError, Container, Int16ul, Int32ul, Int64ul, Struct

MOST_FDS = 8
"""File descriptors in one message (VHOST_MEMORY_BASELINE_NREGIONS)."""

MOST_PAYLOAD = 4096
"""Octets of payload that are taken; the longest defined message has fewer than a tenth of it."""

HEADER = struct.Struct("<III")

VERSION = 1
_VERSION_MASK, REPLY, NEED_REPLY = 0x3, 0x4, 0x8

NO_FD = 1 << 8
"""In a vring's u64: no file descriptor comes with the message."""

INDEX_MASK = 0xFF
"""In a vring's u64: the index of the virtqueue."""

MOST_CONFIG = 256
"""Octets of device configuration space in one message (VHOST_USER_MAX_CONFIG_SIZE)."""

PROTOCOL_FEATURES_BIT = 1 << 30
"""VHOST_USER_F_PROTOCOL_FEATURES, in the virtio feature mask."""


class Request(enum.IntEnum):
    """VHOST_USER_*: from the front end."""

    GET_FEATURES = 1
    SET_FEATURES = 2
    SET_OWNER = 3
    RESET_OWNER = 4
    SET_MEM_TABLE = 5
    SET_VRING_NUM = 8
    SET_VRING_ADDR = 9
    SET_VRING_BASE = 10
    GET_VRING_BASE = 11
    SET_VRING_KICK = 12
    SET_VRING_CALL = 13
    SET_VRING_ERR = 14
    GET_PROTOCOL_FEATURES = 15
    SET_PROTOCOL_FEATURES = 16
    GET_QUEUE_NUM = 17
    SET_VRING_ENABLE = 18
    SET_BACKEND_REQ_FD = 21
    GET_CONFIG = 24
    SET_CONFIG = 25
    GET_INFLIGHT_FD = 31
    SET_INFLIGHT_FD = 32
    RESET_DEVICE = 34
    GET_MAX_MEM_SLOTS = 36
    ADD_MEM_REG = 37
    REM_MEM_REG = 38
    SET_STATUS = 39
    GET_STATUS = 40


class BackendRequest(enum.IntEnum):
    """VHOST_USER_BACKEND_*: from the back end, on the socket of SET_BACKEND_REQ_FD."""

    CONFIG_CHANGE_MSG = 2


class ProtocolFeature(enum.IntEnum):
    """VHOST_USER_PROTOCOL_F_*: bit numbers."""

    MQ = 0
    REPLY_ACK = 3
    BACKEND_REQ = 5
    CONFIG = 9
    INFLIGHT_SHMFD = 12
    RESET_DEVICE = 13
    CONFIGURE_MEM_SLOTS = 15
    STATUS = 16


U64 = Struct("u64" / Int64ul)

VringState = Struct("index" / Int32ul, "num" / Int32ul)

VringAddr = Struct(
    "index" / Int32ul,
    "flags" / Int32ul,
    "descriptor" / Int64ul,
    "used" / Int64ul,
    "available" / Int64ul,
    "log" / Int64ul,
)
"""Addresses are those of the front end's own address space.

A packed ring has its descriptor ring at ``descriptor``, the driver event
suppression structure at ``available`` and the device's at ``used``.
"""

MemRegion = Struct("guest_address" / Int64ul, "size" / Int64ul, "user_address" / Int64ul, "mmap_offset" / Int64ul)

MemTable = Struct(
    "num_regions" / Int32ul, "padding" / Int32ul, "regions" / Array(lambda this: this.num_regions, MemRegion)
)

SingleMemRegion = Struct("padding" / Int64ul, "region" / MemRegion)

Config = Struct("offset" / Int32ul, "size" / Int32ul, "flags" / Int32ul, "data" / Bytes(lambda this: this.size))

InflightDescription = Struct(
    "mmap_size" / Int64ul, "mmap_offset" / Int64ul, "num_queues" / Int16ul, "queue_size" / Int16ul
)


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it came.  ``fds`` belong to whoever takes the message and are to be closed by them."""

    request: int
    flags: int
    payload: bytes
    fds: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The request's name, or its number."""
        known = {int(request): request.name for request in Request}
        return known.get(self.request, f"request {self.request}")

    @property
    def need_reply(self) -> bool:
        """Whether the front end asks for an answer (REPLY_ACK)."""
        return bool(self.flags & NEED_REPLY)


def header(data: bytes) -> tuple[int, int, int]:
    """Request, flags and payload size of a message's first 12 octets.

    Raises ValueError for another version of the protocol, or a size beyond any message's.
    """
    request, flags, size = HEADER.unpack(data)
    if flags & _VERSION_MASK != VERSION:
        raise ValueError(f"version {flags & _VERSION_MASK} of the protocol, and there is only {VERSION}")
    if size > MOST_PAYLOAD:
        raise ValueError(f"a payload of {size} octets, and {MOST_PAYLOAD} is the most")
    return request, flags, size


def encode(request: int, payload: bytes, flags: int = 0) -> bytes:
    """The octets of a message; ``flags`` without the version."""
    return HEADER.pack(request, VERSION | flags, len(payload)) + payload


def reply(request: int, payload: bytes) -> bytes:
    """The octets of the answer to a request."""
    return encode(request, payload, REPLY)


def u64(value: int) -> bytes:
    """The payload that is one u64."""
    return struct.pack("<Q", value)


def decode(structure: Any, payload: bytes) -> Container:
    """The fields of a payload; octets behind them are let be, as front ends send whole unions.

    Raises ValueError when ``payload`` is too short.
    """
    try:
        fields: Container = structure.parse(payload)
    except ConstructError:
        raise ValueError(f"a payload of {len(payload)} octets is too short") from None
    return fields


def mask(features: Sequence[ProtocolFeature]) -> int:
    """The set of these protocol features, as an int."""
    return sum(1 << feature for feature in features)
