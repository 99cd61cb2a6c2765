"""Checksums that a driver left undone: zero, or the sum of the pseudo header alone.

Any other value that is wrong may be the sender's, which a driver passes on.
"""

from __future__ import annotations

from ...ipsec.ip import checksum
from .sent_packet import CHECKSUM_AT, TCP, IpPacket, checksum_holds, pseudo_sums, word

_NAMES = {protocol: "TCP" if protocol == TCP else "UDP" for protocol in CHECKSUM_AT}


def undone(frame: bytes, ip: IpPacket) -> list[str] | None:
    """A sentence for each checksum of the IP packet that is undone; None when nothing can be said of any."""
    judged: list[list[str]] = []
    if ip.version == 4 and (said := _header(frame, ip)) is not None:
        judged.append(said)
    if ip.plain and ip.protocol in CHECKSUM_AT and (said := _transport(frame, ip)) is not None:
        judged.append(said)
    return [sentence for said in judged for sentence in said] if judged else None


def _header(frame: bytes, ip: IpPacket) -> list[str] | None:
    if not checksum(frame[ip.start : ip.transport]):
        return []
    return None if word(frame, ip.start + 10) else ["the IPv4 header checksum is 0"]


def _transport(frame: bytes, ip: IpPacket) -> list[str] | None:
    at = ip.transport + CHECKSUM_AT[ip.protocol]
    if at + 2 > ip.end:
        return None
    name, value = _NAMES[ip.protocol], word(frame, at)
    if value == 0:  # in UDP: there is none
        return ["the TCP checksum is 0"] if ip.protocol == TCP and not checksum_holds(frame, ip) else []
    if checksum_holds(frame, ip):
        return []
    partial = value % 0xFFFF in pseudo_sums(ip, (ip.transport_length,))
    return [f"the {name} checksum is {value:#06x}, the sum of the pseudo header alone"] if partial else None
