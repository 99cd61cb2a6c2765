"""Link types: what a captured packet begins with (the registry at tcpdump.org/linktypes.html).

A capture reader hands on two kinds of packets: Ethernet frames and bare IP
packets.  Linux's cooked captures become Ethernet frames, which hold all that is
known about the packet: its EtherType and, for six octets of it, the sender.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .captured import CaptureError

ETHERNET = 1
RAW = 101
IPV4 = 228
IPV6 = 229
LINUX_SLL = 113
LINUX_SLL2 = 276


class Link(NamedTuple):
    """How packets of one link type are handed on: as ``linktype``, after ``convert`` if there is one."""

    linktype: int
    convert: Callable[[bytes], bytes] | None = None


def _cooked_to_ethernet(data: bytes) -> bytes:
    """LINUX_SLL: packet type, ARPHRD, address length (2 each), address (8), protocol (2)."""
    return bytes(6) + data[6:12] + data[14:] if len(data) >= 16 else data


def _cooked2_to_ethernet(data: bytes) -> bytes:
    """LINUX_SLL2: protocol (2), reserved (2), interface (4), ARPHRD (2), type, address length (1 each), address (8)."""
    return bytes(6) + data[12:18] + data[0:2] + data[20:] if len(data) >= 20 else data


LINKS: dict[int, Link] = {
    ETHERNET: Link(ETHERNET),
    RAW: Link(RAW),
    12: Link(RAW),  # DLT_RAW of most systems, written into files by old tools
    14: Link(RAW),  # DLT_RAW of OpenBSD, likewise
    IPV4: Link(IPV4),
    IPV6: Link(IPV6),
    LINUX_SLL: Link(ETHERNET, _cooked_to_ethernet),
    LINUX_SLL2: Link(ETHERNET, _cooked2_to_ethernet),
}

# Those that people are likely to meet, for the message alone.
_OTHERS = {
    0: "NULL (BSD loopback)",
    6: "Token Ring",
    9: "PPP",
    50: "PPP over serial",
    51: "PPPoE",
    104: "Cisco HDLC",
    105: "IEEE 802.11",
    107: "Frame Relay",
    108: "LOOP (OpenBSD loopback)",
    117: "PFLOG",
    119: "802.11 with Prism header",
    127: "802.11 with radiotap header",
    147: "USER0",
    189: "USB",
    201: "Bluetooth HCI",
    220: "USB",
    249: "USBPcap",
    251: "Bluetooth LE",
    252: "Wireshark upper PDU",
    253: "netlink",
}


def link(linktype: int, where: str) -> Link:
    """How to hand on packets of ``linktype``.  Raises CaptureError, about ``where``, for one that is not supported."""
    known = LINKS.get(linktype)
    if known is None:
        name = _OTHERS.get(linktype)
        raise CaptureError(
            where,
            f"link type {linktype}{f' ({name})' if name else ''} is not supported",
            "capture on an Ethernet interface, or convert the file to raw IP (link type 101)",
        )
    return known
