"""Reading classic pcap files (draft-ietf-opsawg-pcap).

File header, 24 octets: magic, major, minor (2 each), time zone, accuracy,
snapshot length, link type.  Record header, 16 octets: seconds, fraction,
captured length, original length.  Byte order and fraction follow the magic.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from .captured import MAX_RECORD, Packet, Source
from .linktypes import Link, link

HEADER_LENGTH = 24

# Magic as it lies in the file: byte order, and nanoseconds in a unit of the fraction.
MAGICS: dict[bytes, tuple[str, int]] = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}


def open_pcap(source: Source, buffer: bytes) -> tuple[int, Iterator[Packet]]:
    """The link type and the packets of a pcap file whose first octets are ``buffer``.

    Raises CaptureError for a header that cannot be, and while iterating.
    """
    if len(buffer) < HEADER_LENGTH:
        raise source.error(
            f"the file ends inside its header, after {len(buffer)} of {HEADER_LENGTH} bytes", 0, "capture again"
        )
    order, unit = MAGICS[buffer[:4]]
    major, minor, _zone, _accuracy, _snaplen, network = struct.unpack_from(order + "HHIIII", buffer, 4)
    if major != 2:
        raise source.error(f"pcap version {major}.{minor} is unknown", 4, "versions 2.x can be read: convert the file")
    # The upper half holds the length of a frame check sequence, not the link type.
    known = link(network & 0xFFFF, f"{source.name}: byte 20")
    packets = _packets(source, buffer, order, unit, known)
    return known.linktype, packets if known.convert is None else _converted(packets, known)


def _packets(source: Source, buffer: bytes, order: str, unit: int, known: Link) -> Iterator[Packet]:
    unpack = struct.Struct(order + "IIII").unpack_from
    new = tuple.__new__  # NamedTuple's own constructor would parse the arguments once more
    linktype = known.linktype
    index = 0
    offset = 0  # of the buffer in the file
    at = HEADER_LENGTH
    while True:
        end = len(buffer)
        while (start := at + 16) <= end:
            seconds, fraction, length, orig_len = unpack(buffer, at)
            if length > MAX_RECORD:
                raise source.damaged(
                    f"record {index + 1} claims {length} bytes, more than any snapshot length ({MAX_RECORD})",
                    offset + at,
                )
            after = start + length
            if after > end:
                break
            index += 1
            time_ns = seconds * 1_000_000_000 + fraction * unit
            yield new(Packet, (index, time_ns, buffer[start:after], orig_len, linktype, 0))
            at = after
        more = source.read()
        offset += at
        buffer = buffer[at:] + more
        at = 0
        if not more:
            break
    if buffer:
        need = 16 + unpack(buffer, 0)[2] if len(buffer) >= 16 else None
        source.cut_short(f"record {index + 1}", offset, len(buffer), need)


def _converted(packets: Iterator[Packet], known: Link) -> Iterator[Packet]:
    assert known.convert is not None
    for packet in packets:
        data = known.convert(packet.data)
        orig_len = max(packet.orig_len + len(data) - len(packet.data), 0)
        yield packet._replace(data=data, orig_len=orig_len)
