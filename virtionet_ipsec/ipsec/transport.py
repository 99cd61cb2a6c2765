"""Where ESP and AH go in transport mode, and the IP header around them.

IPv4: after the header and its options.  IPv6: after the extension headers that
somebody on the way reads (hop-by-hop, routing, fragment) and the destination
options in front of a routing header; other destination options are protected
(RFC 4303 3.1.1, RFC 4302 3.1.1, RFC 8200 4.1).
"""

from __future__ import annotations

import struct

from .ip import (
    IPV4_MF,
    IPV4_OFFSET,
    PROTO_FRAGMENT,
    PROTO_HOPOPTS,
    PROTO_ROUTING,
    ipv6_chain,
    too_big,
    with_ipv4_checksum,
)
from .reasons import Reason, Refused

_READ_ON_THE_WAY = frozenset({PROTO_HOPOPTS, PROTO_ROUTING, PROTO_FRAGMENT})

_u16 = struct.Struct("!H").pack


def split(packet: bytes) -> tuple[int, int]:
    """Where the IPsec header goes in the IP ``packet``: (its offset, offset of the octet that will name it).

    ``packet`` has been through :func:`.ip.trimmed`.  Raises ``FRAGMENT``
    (RFC 4301 7: transport mode takes whole packets) and ``MALFORMED``.
    """
    if packet[0] >> 4 == 4:
        if (packet[6] << 8 | packet[7]) & (IPV4_MF | IPV4_OFFSET):
            raise Refused(Reason.FRAGMENT, "transport mode does not apply to a fragment")
        return (packet[0] & 0xF) * 4, 9
    chain = ipv6_chain(packet, len(packet))
    if chain.fragment:
        raise Refused(Reason.FRAGMENT, "transport mode does not apply to a fragment")
    offset, nh_offset = 40, 6
    for protocol, start, length in chain.headers:
        if protocol in _READ_ON_THE_WAY:
            offset, nh_offset = start + length, start
    return offset, nh_offset


def reheaded(header: bytes, nh_offset: int, protocol: int, payload_length: int, mtu: int = 0xFFFF + 40) -> bytes:
    """The IP ``header`` (extension headers included) for another protocol and payload length behind it.

    The IPv4 checksum is computed anew.  Raises ``TOO_BIG`` for a packet of more than ``mtu`` octets;
    without one, what arrived in protection is let out (IPv6 counts its payload alone, so that it may pass 65535).
    """
    changed = bytearray(header)
    changed[nh_offset] = protocol
    length = len(header) + payload_length
    if length > mtu:
        raise too_big(length, mtu)
    if header[0] >> 4 == 4:
        changed[2:4] = _u16(length)
        return with_ipv4_checksum(bytes(changed))
    changed[4:6] = _u16(length - 40)
    return bytes(changed)
