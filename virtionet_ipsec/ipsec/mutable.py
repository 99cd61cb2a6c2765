"""What AH's ICV covers of the headers in front of it (RFC 4302 3.3.3.1 and appendix A).

Immutable fields count as they are, mutable ones as zero, and mutable but
predictable ones as they will be at the receiver.
"""

from __future__ import annotations

from .ip import PROTO_DSTOPTS, PROTO_HOPOPTS, PROTO_ROUTING, Ipv6Chain, ipv6_chain
from .reasons import Reason, Refused

# RFC 4302 A1: the options that count.  All others count as zero.
_IPV4_IMMUTABLE_OPTIONS = frozenset({0, 1, 130, 133, 134, 148, 149})
_SOURCE_ROUTES = frozenset({131, 137})  # loose and strict

_IPV6_OPTION_MAY_CHANGE = 0x20  # RFC 8200 4.2: the third-highest bit of the type
_IPV6_PAD1 = 0


def immutable_part(header: bytes, outbound: bool) -> bytes:
    """``header`` (everything in front of AH) as the ICV covers it.

    ``outbound`` tells that routing has still to happen, so that the receiver's
    values have to be predicted.  Raises ``MALFORMED``.
    """
    if header[0] >> 4 == 4:
        return _ipv4(header, outbound)
    return _ipv6(header, outbound)


def _ipv4(header: bytes, outbound: bool) -> bytes:
    covered = bytearray(header)
    covered[1] = 0  # DSCP and ECN
    covered[6:9] = b"\0\0\0"  # flags, fragment offset, TTL
    covered[10:12] = b"\0\0"  # header checksum
    position = 20
    while position < len(header):
        kind = header[position]
        if kind == 0:  # end of options; what follows is padding, and immutable
            break
        if kind == 1:
            position += 1
            continue
        length = header[position + 1] if position + 1 < len(header) else 0
        if length < 2 or position + length > len(header):
            raise Refused(Reason.MALFORMED, f"IPv4 option {kind} of {length} octets does not fit")
        if kind in _SOURCE_ROUTES and outbound and length >= 7 and header[position + 2] <= length:
            # Not yet at the last hop: the destination will be the route's last address.
            covered[16:20] = header[position + length - 4 : position + length]
        if kind not in _IPV4_IMMUTABLE_OPTIONS:
            covered[position : position + length] = bytes(length)
        position += length
    return bytes(covered)


def _ipv6(header: bytes, outbound: bool) -> bytes:
    covered = bytearray(header)
    covered[0:4] = b"\x60\0\0\0"  # traffic class and flow label
    covered[7] = 0  # hop limit
    chain: Ipv6Chain = ipv6_chain(header, len(header))
    for protocol, offset, length in chain.headers:
        if protocol in (PROTO_HOPOPTS, PROTO_DSTOPTS):
            _clear_options(covered, offset + 2, offset + length)
        elif protocol == PROTO_ROUTING and outbound:
            _predict_routing(covered, offset, length)
    return bytes(covered)


def _clear_options(covered: bytearray, position: int, end: int) -> None:
    """Zero the data of each option that may change on the way (RFC 4302 3.3.3.1.2.2)."""
    while position < end:
        kind = covered[position]
        if kind == _IPV6_PAD1:
            position += 1
            continue
        length = covered[position + 1] if position + 1 < end else 0xFF
        if position + 2 + length > end:
            raise Refused(Reason.MALFORMED, f"IPv6 option {kind} of {length} octets does not fit")
        if kind & _IPV6_OPTION_MAY_CHANGE:
            covered[position + 2 : position + 2 + length] = bytes(length)
        position += 2 + length


def _predict_routing(covered: bytearray, offset: int, length: int) -> None:
    """Rearrange a type 0 routing header as its last hop will see it (RFC 4302 3.3.3.1.2.3).

    Each hop swaps the next address with the destination; after all of them the
    destination is the last address, and the list holds the others in order.
    """
    left, count = covered[offset + 3], (length - 8) // 16
    if covered[offset + 2] != 0 or left == 0:
        return
    if left > count or (length - 8) % 16:
        raise Refused(Reason.MALFORMED, f"routing header with {left} segments left and {count} addresses")
    start, end = offset + 8 + (count - left) * 16, offset + 8 + count * 16
    visited = covered[24:40] + covered[start : end - 16]
    covered[24:40] = covered[end - 16 : end]
    covered[start:end] = visited
    covered[offset + 3] = 0
