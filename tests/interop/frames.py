"""Frames by hand, and what a frame is."""

from __future__ import annotations

PROTOCOL = 0x88B5  # IEEE Std 802 local experimental EtherType 1: no stack answers it
SOURCE = "52:54:00:77:77:77"
IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806
UDP, ESP, AH, ICMPV6 = 17, 50, 51, 58
NAT_T = (4500).to_bytes(2, "big")
DISCOVERY = range(130, 138)  # and multicast listeners
HOP_BY_HOP = 0


def ethernet(destination: str, *, vlan: int | None = None, payload: bytes) -> bytes:
    """A frame of 60 octets or more of a protocol that nobody speaks."""
    addresses = bytes.fromhex((destination + SOURCE).replace(":", ""))
    tag = b"" if vlan is None else b"\x81\x00" + vlan.to_bytes(2, "big")
    return (addresses + tag + PROTOCOL.to_bytes(2, "big") + payload).ljust(60, b"\0")


def ether_type(frame: bytes) -> int:
    return int.from_bytes(frame[12:14], "big")


def protocol(frame: bytes) -> int | None:
    """IP protocol or next header; None for a frame that is no IP packet."""
    return {IPV4: frame[23], IPV6: frame[20]}.get(ether_type(frame))


def payload(frame: bytes) -> bytes:
    """Behind the IP header; there are no extension headers where this is used."""
    return frame[14 + (frame[14] & 0xF) * 4 :] if ether_type(frame) == IPV4 else frame[54:]


def ipsec(frame: bytes) -> bytes | None:
    """From the SPI on for ESP, from the header on for AH; None for another packet."""
    kind = protocol(frame)
    if kind in (ESP, AH):
        return payload(frame)
    if kind == UDP and payload(frame)[:4] == NAT_T + NAT_T:
        return payload(frame)[8:]
    return None


def spi(frame: bytes) -> int | None:
    found = ipsec(frame)
    if found is None:
        return None
    at = 4 if protocol(frame) == AH else 0
    return int.from_bytes(found[at : at + 4], "big")


def sequence_number(frame: bytes) -> int:
    found = ipsec(frame)
    assert found is not None
    at = 8 if protocol(frame) == AH else 4
    return int.from_bytes(found[at : at + 4], "big")


def is_discovery(frame: bytes) -> bool:
    """ARP, Neighbour Discovery, multicast listener reports: what goes in the clear."""
    if ether_type(frame) == ARP:
        return True
    kind = protocol(frame)
    return ether_type(frame) == IPV6 and (kind == HOP_BY_HOP or (kind == ICMPV6 and payload(frame)[0] in DISCOVERY))
