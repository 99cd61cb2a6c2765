"""Values that every format has: hex octets, protocol names, misspelt names.

What is said about a bad value never repeats it, for it may be a key in the
wrong place.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from ipaddress import ip_address, ip_network

from .model import Address, Network

# So many names are listed rather than the nearest one guessed.
_FEW = 4

_SEPARATORS = str.maketrans("", "", " \t:")

# Names in SA files for IP protocol numbers; the first name of a number is the one written.
PROTOCOLS: dict[str, int] = {
    "icmp": 1,
    "igmp": 2,
    "tcp": 6,
    "udp": 17,
    "gre": 47,
    "icmpv6": 58,
    "ipv6-icmp": 58,
    "dccp": 33,
    "sctp": 132,
    "udplite": 136,
}
PROTOCOL_NAMES: dict[int, str] = {number: name for name, number in reversed(PROTOCOLS.items())}

# Protocols whose first four octets are source and destination port.
WITH_PORTS = frozenset(PROTOCOLS[name] for name in ("tcp", "udp", "dccp", "sctp", "udplite"))


def octets(text: str) -> bytes:
    """Octets from hex digits, with or without 0x in front and spaces or colons between.

    Raises ValueError, whose message continues "the value ...".
    """
    digits = text.strip().translate(_SEPARATORS)
    if digits[:2] in ("0x", "0X"):
        digits = digits[2:]
    if not re.fullmatch("[0-9A-Fa-f]*", digits):
        raise ValueError("is not hexadecimal")
    if len(digits) % 2:
        raise ValueError(f"has an odd number of hex digits ({len(digits)})")
    return bytes.fromhex(digits)


def address(text: str) -> Address:
    """An IP address.  Raises ValueError, whose message continues "the value ..."."""
    try:
        return ip_address(text)
    except ValueError:
        raise ValueError("is not an IPv4 or IPv6 address") from None


def network(text: str) -> Network:
    """A network, or an address as one.  Raises ValueError, whose message continues "the value ..."."""
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        lenient = ip_network(text, strict=False)
    except ValueError:
        raise ValueError("is not an IPv4 or IPv6 network") from None
    raise ValueError(f"has bits set behind its prefix length (the network is {lenient})")


def shown(name: str) -> str:
    """``name`` for a message, if it looks like a name and not like a key."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", name) and not re.search(r"[0-9A-Fa-f]{8}", name):
        return name
    return "(not shown)"


def did_you_mean(name: str, known: Collection[str]) -> str:
    """How to mend a name that is not among ``known``."""
    if len(known) > _FEW and (close := difflib.get_close_matches(name[:64], known, 1)):
        return f"did you mean {close[0]}?"
    return f"one of: {', '.join(known)}"
