"""The fields of the headers that a flow filter selector covers.

Without VIRTIO_NET_FF_MASK_F_PARTIAL_MASK a mask takes each field whole or not
at all (virtio 1.4, 5.1.9.6 Flow filter, VIRTIO_NET_FF_SELECTOR_CAP), so the
model has to know where fields begin and end.
"""

from __future__ import annotations

from ..wire.enums import SelectorType

Fields = tuple[tuple[str, int], ...]

# (name, bits), from the first bit of the header to the last.
HEADER_FIELDS: dict[SelectorType, Fields] = {
    # IEEE 802.3 3.1.1
    SelectorType.ETH: (
        ("Destination Address", 48),
        ("Source Address", 48),
        ("EtherType", 16),
    ),
    # RFC 791 3.1: Type of Service is one field there, and virtio says that Flags is one.
    SelectorType.IPV4: (
        ("Version", 4),
        ("IHL", 4),
        ("Type of Service", 8),
        ("Total Length", 16),
        ("Identification", 16),
        ("Flags", 3),
        ("Fragment Offset", 13),
        ("Time to Live", 8),
        ("Protocol", 8),
        ("Header Checksum", 16),
        ("Source Address", 32),
        ("Destination Address", 32),
    ),
    # RFC 8200 3
    SelectorType.IPV6: (
        ("Version", 4),
        ("Traffic Class", 8),
        ("Flow Label", 20),
        ("Payload Length", 16),
        ("Next Header", 8),
        ("Hop Limit", 8),
        ("Source Address", 128),
        ("Destination Address", 128),
    ),
    # RFC 9293 3.1: virtio takes each control bit for a field of its own.
    SelectorType.TCP: (
        ("Source Port", 16),
        ("Destination Port", 16),
        ("Sequence Number", 32),
        ("Acknowledgment Number", 32),
        ("Data Offset", 4),
        ("Reserved", 4),
        *((bit, 1) for bit in ("CWR", "ECE", "URG", "ACK", "PSH", "RST", "SYN", "FIN")),
        ("Window", 16),
        ("Checksum", 16),
        ("Urgent Pointer", 16),
    ),
    # RFC 768
    SelectorType.UDP: (
        ("Source Port", 16),
        ("Destination Port", 16),
        ("Length", 16),
        ("Checksum", 16),
    ),
    # RFC 4303 2
    SelectorType.ESP: (
        ("Security Parameters Index", 32),
        ("Sequence Number", 32),
    ),
}

ETHERTYPE_OCTETS = slice(12, 14)
"""Where EtherType lies in an Ethernet header."""

NEXT_PROTOCOL: dict[SelectorType, int] = {SelectorType.IPV4: 9, SelectorType.IPV6: 6}
"""Where the octet lies that names what follows the IP header: Protocol or Next Header."""


def partly_masked(selector: SelectorType, mask: bytes) -> str:
    """The name of the first field that ``mask`` covers in part; empty when it takes all fields whole or not at all."""
    bits = int.from_bytes(mask, "big")
    shift = len(mask) * 8
    for name, width in HEADER_FIELDS[selector]:
        shift -= width
        whole = (1 << width) - 1
        if bits >> shift & whole not in (0, whole):
            return name
    return ""
