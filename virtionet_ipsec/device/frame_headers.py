"""The headers of a frame as flow filter selectors see them.

A classifier compares a key that is Ethernet, IP and transport header one
after the other, without what may lie between them: VLAN tags, IPv4 options,
IPv6 extension headers.  :func:`frame_headers` brings a frame into that form
(virtio 1.4, 5.1.9.6 Flow filter, VIRTIO_NET_FF_SELECTOR_CAP).
"""

from __future__ import annotations

from .ethernet import ETHERTYPE, payload_offset

MOST_EXTENSION_HEADERS = 16  # more than any honest packet has; bounds the work for one that is not
LONGEST_TRANSPORT = 20  # what a TCP selector covers

_IPV4, _IPV6 = 20, 40

_FRAGMENT = 44
EXTENSION_HEADERS = frozenset((0, 43, _FRAGMENT, 60, 135, 139, 140))
"""IANA's IPv6 extension headers without ESP and AH.

Those two are what rules are to find, so they count as what the last extension
header names, not as extension headers themselves.
"""


def frame_headers(frame: bytes) -> tuple[int, bytes]:
    """The IP version of a frame (0: no IP header to see) and its headers in a row.

    The headers are 14 octets of Ethernet with the EtherType after any VLAN
    tags, 20 or 40 of IP, and up to 20 of what follows; of the latter none in
    fragments but the first.  In an IPv6 header the Next Header is that of the
    last extension header that is whole.
    """
    start = payload_offset(frame)
    ethertype = frame[start - 2 : start]
    ethernet = frame[:12] + ethertype
    if ethertype == ETHERTYPE[4] and len(frame) >= start + _IPV4 and frame[start] >> 4 == 4:
        return 4, ethernet + _ipv4(frame, start)
    if ethertype == ETHERTYPE[6] and len(frame) >= start + _IPV6 and frame[start] >> 4 == 6:
        return 6, ethernet + _ipv6(frame, start)
    return 0, ethernet


def _ipv4(frame: bytes, start: int) -> bytes:
    header = frame[start : start + _IPV4]
    length = (header[0] & 0xF) * 4
    fragment_offset = (header[6] & 0x1F) << 8 | header[7]
    if length < _IPV4 or fragment_offset:
        return header
    transport = start + length
    return header + frame[transport : transport + LONGEST_TRANSPORT]


def _ipv6(frame: bytes, start: int) -> bytes:
    header = frame[start : start + _IPV6]
    offset = start + _IPV6
    next_header = header[6]
    for _ in range(MOST_EXTENSION_HEADERS):
        if next_header not in EXTENSION_HEADERS:
            break
        if len(frame) < offset + 8:
            break
        kind, next_header_after = next_header, frame[offset]
        length = 8 if kind == _FRAGMENT else (frame[offset + 1] + 1) * 8
        if len(frame) < offset + length:
            break
        next_header = next_header_after
        offset += length
        if kind == _FRAGMENT and (frame[offset - 6] << 8 | frame[offset - 5]) & 0xFFF8:
            return header[:6] + bytes((next_header,)) + header[7:]
    # Where the chain could not be walked to its end, the Next Header still names an extension header, which no
    # selector beyond IP stands for.
    header = header[:6] + bytes((next_header,)) + header[7:]
    return header + frame[offset : offset + LONGEST_TRANSPORT]
