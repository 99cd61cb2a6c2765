"""Ethernet framing around the IP packet (IEEE 802.3, 802.1Q)."""

from __future__ import annotations

ETHERTYPE = {4: b"\x08\x00", 6: b"\x86\xdd"}  # by IP version
IP_ETHERTYPES = frozenset(ETHERTYPE.values())
VLAN_ETHERTYPES = frozenset({b"\x81\x00", b"\x88\xa8"})
MAX_VLAN_TAGS = 2
MAX_HEADER = 14 + 4 * MAX_VLAN_TAGS


def payload_offset(frame: bytes) -> int:
    """Where the payload starts: 14 octets, and 4 more for each of up to two VLAN tags."""
    offset = 14
    for _ in range(MAX_VLAN_TAGS):
        if frame[offset - 2 : offset] not in VLAN_ETHERTYPES:
            break
        offset += 4
    return offset


def ip_offset(frame: bytes) -> int:
    """Where the IP packet of ``frame`` starts, or 0 when its EtherType is not IP's."""
    if frame[12:14] in IP_ETHERTYPES:
        return 14
    offset = payload_offset(frame)
    return offset if frame[offset - 2 : offset] in IP_ETHERTYPES else 0
