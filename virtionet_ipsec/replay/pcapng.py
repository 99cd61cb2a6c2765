"""Reading pcapng files (draft-ietf-opsawg-pcapng).

A block is: type, total length (4 octets each), body, total length again.  A
Section Header Block sets the byte order and starts the interfaces anew; an
Interface Description Block gives a link type and the unit of time; packets come
in Enhanced, Simple and (of old) Packet Blocks.  All other blocks are skipped.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .captured import MAX_RECORD, Packet, Source
from .linktypes import LINKS, link

SECTION_HEADER = 0x0A0D0D0A  # the same in both byte orders
INTERFACE_DESCRIPTION = 1
OLD_PACKET = 2
SIMPLE_PACKET = 3
ENHANCED_PACKET = 6
BYTE_ORDER_MAGIC = 0x1A2B3C4D

OPT_ENDOFOPT = 0
OPT_COMMENT = 1
IF_NAME = 2
IF_TSRESOL = 9
IF_TSOFFSET = 14

MAGIC = SECTION_HEADER.to_bytes(4, "big")
MAX_BLOCK = 1 << 24

_NS = 1_000_000_000
_ORDERS = {BYTE_ORDER_MAGIC.to_bytes(4, "little"): "<", BYTE_ORDER_MAGIC.to_bytes(4, "big"): ">"}


class _Interface(NamedTuple):
    """An Interface Description Block, with what its packets need at hand.

    A time in nanoseconds is ``timestamp * numerator // denominator + offset_ns``.
    """

    linktype: int
    convert: Callable[[bytes], bytes] | None
    numerator: int
    denominator: int
    offset_ns: int
    number: int  # over all sections
    snaplen: int


def open_pcapng(source: Source, buffer: bytes) -> Iterator[Packet]:
    """The packets of a pcapng file whose first octets are ``buffer``.  Raises CaptureError while iterating."""
    new = tuple.__new__
    blocks = _Blocks(source)
    enhanced, word, interfaces = blocks.at_hand
    offset = 0  # of the buffer in the file
    at = 0
    index = 0
    while True:
        end = len(buffer)
        while at + 12 <= end:
            # The way of nearly every block: an Enhanced Packet Block with nothing wrong about it.
            if at + 32 <= end:
                kind, length, number, high, low, captured, orig_len = enhanced(buffer, at)
                start = at + 28
                after = at + length
                if (
                    kind == ENHANCED_PACKET
                    and start + captured + 4 <= after <= end
                    and captured <= MAX_RECORD
                    and number in interfaces
                    and not length & 3
                    and word(buffer, after - 4)[0] == length
                ):
                    linktype, convert, numerator, denominator, offset_ns, number, _ = interfaces[number]
                    data = buffer[start : start + captured]
                    if convert is not None:
                        data = convert(data)
                        orig_len = max(orig_len + len(data) - captured, 0)
                    index += 1
                    time_ns = (high << 32 | low) * numerator // denominator + offset_ns
                    yield new(Packet, (index, time_ns, data, orig_len, linktype, number))
                    at = after
                    continue
            length = blocks.length(buffer, at, offset + at)
            if at + length > end:
                break
            packet = blocks.take(buffer[at : at + length], offset + at, index + 1)
            enhanced, word, interfaces = blocks.at_hand
            at += length
            if packet is not None:
                index += 1
                yield packet
        more = source.read()
        offset += at
        buffer = buffer[at:] + more
        at = 0
        if not more:
            break
    if buffer:
        need = blocks.length(buffer, 0, offset) if len(buffer) >= 12 else None
        source.cut_short(f"the block after packet {index}", offset, len(buffer), need)


class _Blocks:
    """What earlier blocks say about later ones, and the blocks off the usual way."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._described = 0
        self._section("<")

    def _section(self, order: str) -> None:
        self._order = order
        self._word = struct.Struct(order + "I").unpack_from
        self._interfaces: dict[int, _Interface] = {}
        # For the usual way: how to unpack a packet block and a word, and the interfaces; they change with the section.
        self.at_hand = struct.Struct(order + "7I").unpack_from, self._word, self._interfaces
        self._unsupported: dict[int, tuple[int, int]] = {}  # link type and place of those that packets may not name

    def length(self, buffer: bytes, at: int, offset: int) -> int:
        """The total length of the block at ``at``, of which 12 octets are there."""
        if buffer[at : at + 4] == MAGIC:
            order = _ORDERS.get(buffer[at + 8 : at + 12])
            if order is None:
                raise self._source.damaged("a section header has no byte order magic", offset)
            length: int = struct.unpack_from(order + "I", buffer, at + 4)[0]
        else:
            length = self._word(buffer, at + 4)[0]
        if length < 12 or length & 3 or length > MAX_BLOCK:
            raise self._source.damaged(f"a block claims a total length of {length} bytes", offset)
        return length

    def take(self, block: bytes, offset: int, index: int) -> Packet | None:
        """Take in one whole block; returns packet ``index`` if that is what it holds."""
        if block[:4] == MAGIC:
            self._section(_ORDERS[block[8:12]])
        kind, body = self._word(block, 0)[0], block[8:-4]
        if self._word(block, len(block) - 4)[0] != len(block):
            raise self._source.damaged("a block's two total lengths differ", offset)
        if kind == INTERFACE_DESCRIPTION:
            self._describe(body, offset)
        if kind not in (ENHANCED_PACKET, SIMPLE_PACKET, OLD_PACKET):
            return None
        if len(body) < (4 if kind == SIMPLE_PACKET else 20):
            raise self._source.damaged(f"a packet block of {len(block)} bytes cannot hold its own header", offset)
        if kind == SIMPLE_PACKET:
            return self._simple(body, offset, index)
        if kind == ENHANCED_PACKET:
            number, high, low, captured, orig_len = struct.unpack_from(self._order + "5I", body)
        else:
            number, _drops, high, low, captured, orig_len = struct.unpack_from(self._order + "HH4I", body)
        interface = self._interface(number, offset, index)
        time_ns = (high << 32 | low) * interface.numerator // interface.denominator + interface.offset_ns
        return self._packet(index, time_ns, body[20:], captured, orig_len, interface, offset)

    def _simple(self, body: bytes, offset: int, index: int) -> Packet:
        """Interface 0, no time, and no captured length: the interface's snapshot length decides."""
        interface = self._interface(0, offset, index)
        orig_len = self._word(body, 0)[0]
        captured = min(orig_len, interface.snaplen or orig_len)
        return self._packet(index, 0, body[4:], captured, orig_len, interface, offset)

    def _packet(
        self, index: int, time_ns: int, data: bytes, captured: int, orig_len: int, interface: _Interface, offset: int
    ) -> Packet:
        if captured > min(len(data), MAX_RECORD):
            raise self._source.damaged(f"packet {index} claims {captured} bytes where {len(data)} are", offset)
        data = data[:captured]
        if interface.convert is not None:
            data = interface.convert(data)
            orig_len = max(orig_len + len(data) - captured, 0)
        return Packet(index, time_ns, data, orig_len, interface.linktype, interface.number)

    def _interface(self, number: int, offset: int, index: int) -> _Interface:
        if number in self._unsupported:
            linktype, described = self._unsupported[number]
            # This raises, now that a packet needs the link type.
            link(linktype, f"{self._source.name}: packet {index}, interface {number} described at byte {described}")
        if number not in self._interfaces:
            raise self._source.damaged(f"packet {index} names interface {number}, which is not described", offset)
        return self._interfaces[number]

    def _describe(self, body: bytes, offset: int) -> None:
        if len(body) < 8:
            raise self._source.damaged("an interface description is shorter than its fixed part", offset)
        linktype, _reserved, snaplen = struct.unpack_from(self._order + "HHI", body)
        units, seconds = 1_000_000, 0  # microseconds when nothing is said
        for code, value in self._options(body[8:], offset):
            if code == IF_TSRESOL and value:
                # The top bit chooses between negative powers of 2 and of 10.
                units = 1 << (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
            elif code == IF_TSOFFSET and len(value) == 8:
                seconds = struct.unpack(self._order + "q", value)[0]
        numerator, denominator = (_NS // units, 1) if _NS % units == 0 else (_NS, units)
        number = len(self._interfaces) + len(self._unsupported)
        known = LINKS.get(linktype)
        if known is None:
            self._unsupported[number] = (linktype, offset)
        else:
            self._interfaces[number] = _Interface(
                known.linktype, known.convert, numerator, denominator, seconds * _NS, self._described, snaplen
            )
        self._described += 1

    def _options(self, data: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
        """Code and value of each option; the list ends with ``opt_endofopt`` or with the block."""
        at = 0
        while at + 4 <= len(data):
            code, length = struct.unpack_from(self._order + "HH", data, at)
            if code == OPT_ENDOFOPT:
                return
            at += 4
            if at + length > len(data):
                raise self._source.damaged(
                    f"option {code} of an interface description is longer than the block", offset
                )
            yield code, data[at : at + length]
            at += (length + 3) & ~3
