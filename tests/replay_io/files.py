"""Capture files made by hand, octet by octet, for the tests of this folder."""

from __future__ import annotations

import struct


def pcap(packets, *, order="<", nanoseconds=False, linktype=1, snaplen=65535):
    """A pcap file; ``packets`` are (seconds, fraction, data)."""
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    out = struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, snaplen, linktype)
    for seconds, fraction, data in packets:
        out += struct.pack(order + "IIII", seconds, fraction, len(data), len(data)) + data
    return out


def block(kind, body, order="<"):
    body += bytes(-len(body) % 4)
    total = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + total + body + total


def option(code, value, order="<"):
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order="<"):
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(linktype=1, snaplen=0, options=b"", order="<"):
    return block(1, struct.pack(order + "HHI", linktype, 0, snaplen) + options, order)


def enhanced(data, stamp=0, number=0, order="<", captured=None, orig_len=None, options=b""):
    length = len(data)
    fixed = struct.pack(
        order + "5I",
        number,
        stamp >> 32,
        stamp & 0xFFFFFFFF,
        length if captured is None else captured,
        length if orig_len is None else orig_len,
    )
    return block(6, fixed + data + bytes(-length % 4) + options, order)


class Trickle:
    """A stream without seek, tell or read1 that hands over at most ``step`` bytes at a time."""

    def __init__(self, data, step):
        self._data, self._at, self._step = data, 0, step

    def read(self, size):
        step = min(size, self._step)
        piece = self._data[self._at : self._at + step]
        self._at += len(piece)
        return piece
