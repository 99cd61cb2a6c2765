"""A frame's flow as something short, for caches."""

from __future__ import annotations

import struct

from ..ipsec.ip import EXTENSIONS
from ..safile.values import WITH_PORTS

ICMP, ICMPV6 = 1, 58
ICMP_ERRORS = frozenset({3, 4, 5, 11, 12})
"""Types of ICMP messages that are about a packet (RFC 792); in ICMPv6 these are the types below 128 (RFC 4443)."""

# Ethernet and IP header up to the ports: EtherType, version and header length, length, fragment, protocol,
# addresses and ports; EtherType, version, length, next header, hop limit, addresses and ports.
_IPV4 = struct.Struct("!12xHBxHxxHxB2x12s").unpack_from
_IPV6 = struct.Struct("!12xHB3xHBB36s").unpack_from

FlowKey = tuple[int, bytes]


def flow_key(frame: bytes) -> FlowKey | None:
    """The same for all frames about which a policy decides the same, and different otherwise.

    None for frames that have to be looked at one by one: those with VLAN tags,
    IPv4 options, IPv6 extension headers or padding, fragments, ICMP errors (they
    go the way of the packet that they are about), and what is no IP packet.
    """
    size = len(frame)
    if size < 38:
        return None
    ethertype, version, length, fragment, protocol, ends = _IPV4(frame)
    if ethertype == 0x0800:
        if version != 0x45 or length != size - 14 or fragment & 0x3FFF:
            return None
        if protocol in WITH_PORTS:
            return protocol, ends
        if protocol == ICMP:
            return None if ends[8] in ICMP_ERRORS else (protocol, ends[:9])
        return protocol, ends[:8]
    if ethertype != 0x86DD or size < 58:
        return None
    _, version, length, protocol, hops, ends = _IPV6(frame)
    if version >> 4 != 6 or length != size - 54 or protocol in EXTENSIONS:
        return None
    if protocol in WITH_PORTS:
        return protocol, ends
    if protocol == ICMPV6:
        # Neighbour Discovery is told by its type and the hop limit of 255.
        return None if ends[32] < 128 else (hops << 8 | protocol, ends[:33])
    return protocol, ends[:32]
