"""Capture files: reading the kernel's, writing every kind that a replay has to read."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

ETHERNET, RAW_IP, LINUX_SLL2 = 1, 101, 276

_FILE = struct.Struct("<IHHiIII")
_RECORD = struct.Struct("<IIII")
_SNAPLEN = 262_144


class Frame(NamedTuple):
    """A captured packet: nanoseconds since 1970, and its octets from the link layer on.

    ``orig_len`` is what was on the link when ``data`` is only its beginning.
    """

    time_ns: int
    data: bytes
    orig_len: int | None = None


class Linux:
    """The captures of the kernel, by name: ``linux("gcm128-tunnel-v4.wire")``."""

    def __init__(self, pcaps: Path) -> None:
        self.pcaps = pcaps

    def __call__(self, name: str, count: int | None = None) -> list[Frame]:
        """The first ``count`` frames, all of them without it.  tcpdump's format: little-endian, microseconds."""
        data = (self.pcaps / "linux" / f"{name}.pcap").read_bytes()
        frames = []
        at = _FILE.size
        while at < len(data) and len(frames) != count:
            seconds, micros, length, _ = _RECORD.unpack_from(data, at)
            at += _RECORD.size
            frames.append(Frame(seconds * 1_000_000_000 + micros * 1000, data[at : at + length]))
            at += length
        return frames


def in_order(packets: Iterable[bytes], start_ns: int = 1_700_000_000_000_000_000) -> list[Frame]:
    """``packets`` a millisecond apart."""
    return [Frame(start_ns + number * 1_000_000, data) for number, data in enumerate(packets)]


def pcap(
    frames: Iterable[Frame],
    linktype: int = ETHERNET,
    *,
    order: str = "<",
    nanoseconds: bool = False,
    snaplen: int = _SNAPLEN,
) -> bytes:
    """A classic pcap file; ``order`` is ``<`` or ``>``."""
    magic, unit = (0xA1B23C4D, 1) if nanoseconds else (0xA1B2C3D4, 1000)
    parts = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, linktype)]
    for time_ns, data, orig_len in frames:
        seconds, nanos = divmod(time_ns, 1_000_000_000)
        length = len(data)
        parts += [struct.pack(order + "IIII", seconds, nanos // unit, length, orig_len or length), data]
    return b"".join(parts)


def pcapng(frames: Iterable[tuple[int, Frame]], linktypes: Sequence[int], *, comment: str = "") -> bytes:
    """A pcapng file; ``frames`` are (interface number, frame), ``linktypes`` those of the interfaces.

    Times are in nanoseconds (if_tsresol 9).  ``comment`` goes to the section.
    """
    section = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
    if comment:
        section += _option(1, comment.encode()) + _option(0, b"")
    blocks = [_block(0x0A0D0D0A, section)]
    for linktype in linktypes:
        blocks.append(_block(1, struct.pack("<HHI", linktype, 0, 0) + _option(9, b"\x09") + _option(0, b"")))
    for interface, (time_ns, data, orig_len) in frames:
        head = struct.pack("<5I", interface, time_ns >> 32, time_ns & 0xFFFFFFFF, len(data), orig_len or len(data))
        blocks.append(_block(6, head + _padded(data)))
    return b"".join(blocks)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _block(kind: int, body: bytes) -> bytes:
    total = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + total + body + total
