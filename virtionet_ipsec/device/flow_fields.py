"""What of a packet says to which flow it belongs (virtio 1.4, 5.1.9.4.3 Hash calculation for incoming packets).

:func:`flow_fields` gives the most that a hash type can ask for; what is enabled
decides how much of it counts (:mod:`.flow_hash`).
"""

from __future__ import annotations

from typing import Final

from ..wire.enums import HashReport
from .frame_headers import EXTENSION_HEADERS, MOST_EXTENSION_HEADERS

# Plain ints: an enum member makes each packet wait.
NO_FLOW: Final = int(HashReport.NONE)
_IPV4: Final = int(HashReport.IPV4)
_IPV6: Final = int(HashReport.IPV6)
_IPV6_EX: Final = int(HashReport.IPV6_EX)

# What a TCP or UDP header adds to the kind.
_PORTS = {6: HashReport.TCPV4 - HashReport.IPV4, 17: HashReport.UDPV4 - HashReport.IPV4}

_NO_OPTIONS: Final = 0x45  # the first octet of an IPv4 header of 20 octets
_FRAGMENTED: Final = 0x3F  # MF, and the high bits of Fragment Offset

_ROUTING, _FRAGMENT, _DESTINATION_OPTIONS = 43, 44, 60
_HOME_ADDRESS = 0xC9  # RFC 6275 6.3
_TYPE_2_LENGTH = 24  # RFC 6275 6.4: the routing header of type 2, with its one address

_NOTHING = (NO_FLOW, b"", b"")

Flow = tuple[int, bytes, bytes]


def flow_fields(packet: bytes, at: int) -> Flow:
    """Kind, plain fields, fields of the IP_EX kind, of the IP packet at ``at`` of ``packet``; below 0 there is none.

    The kind is the ``hash_report`` of the most specific hash type that applies.
    The fields are source address, destination address, source port, destination
    port as they stand in the packet, ports only where the kind has them.  With
    extension headers the addresses of the latter are the home address and that
    of a routing header of type 2, where there are such.
    """
    if at < 0 or len(packet) < at + 20:
        return _NOTHING
    first = packet[at]
    if first == _NO_OPTIONS:
        more = _PORTS.get(packet[at + 9], 0)
        fields = packet[at + 12 : at + 24]
        # A fragment's addresses alone count, the first one's too: so all of a packet come to one place (D125).
        if more and len(fields) == 12 and not (packet[at + 6] & _FRAGMENTED or packet[at + 7]):
            return _IPV4 + more, fields, fields
        return _IPV4, fields[:8], fields[:8]
    version = first >> 4
    if version == 4:
        return _ipv4_with_options(packet, at)
    if version == 6 and len(packet) >= at + 40:
        return _ipv6(packet, at)
    return _NOTHING


def _ipv4_with_options(packet: bytes, at: int) -> Flow:
    addresses = packet[at + 12 : at + 20]
    more = _PORTS.get(packet[at + 9], 0)
    if more and not (packet[at + 6] & _FRAGMENTED or packet[at + 7]):
        length = (packet[at] & 15) * 4
        ports = packet[at + length : at + length + 4]
        if length >= 20 and len(ports) == 4:
            fields = addresses + ports
            return _IPV4 + more, fields, fields
    return _IPV4, addresses, addresses


def _ipv6(packet: bytes, at: int) -> Flow:
    next_header = packet[at + 6]
    if next_header not in EXTENSION_HEADERS:
        more = _PORTS.get(next_header, 0)
        fields = packet[at + 8 : at + 44] if more else packet[at + 8 : at + 40]
        if more and len(fields) == 36:
            return _IPV6 + more, fields, fields
        return _IPV6, fields[:32], fields[:32]
    return _ipv6_extended(packet, at, next_header)


def _ipv6_extended(packet: bytes, at: int, next_header: int) -> Flow:
    source, destination = home, way = packet[at + 8 : at + 24], packet[at + 24 : at + 40]
    offset = at + 40
    for _ in range(MOST_EXTENSION_HEADERS):
        if next_header not in EXTENSION_HEADERS:
            break
        length = 8 if next_header == _FRAGMENT else (int.from_bytes(packet[offset + 1 : offset + 2]) + 1) * 8
        header = packet[offset : offset + length]
        if len(header) < length:
            break
        if next_header == _DESTINATION_OPTIONS:
            home = _home_address(header) or home
        elif next_header == _ROUTING and header[2] == 2 and length == _TYPE_2_LENGTH:
            way = header[8:24]
        elif next_header == _FRAGMENT and (header[2] or header[3] & 0xF9):
            next_header = _FRAGMENT  # of a fragment no ports are told
            break
        next_header = header[0]
        offset += length
    more = _PORTS.get(next_header, 0)
    ports = packet[offset : offset + 4] if more else b""
    if more and len(ports) == 4:
        return _IPV6_EX + more, source + destination + ports, home + way + ports
    return _IPV6_EX, source + destination, home + way


def _home_address(header: bytes) -> bytes:
    """The address of the home address option in a destination options header; empty when there is none."""
    at = 2
    while at + 1 < len(header):
        kind, length = header[at], header[at + 1]
        if kind == 0:  # Pad1 has no length
            at += 1
            continue
        if kind == _HOME_ADDRESS and length == 16 and at + 18 <= len(header):
            return header[at + 2 : at + 18]
        at += 2 + length
    return b""
