"""How long a frame may be."""

from __future__ import annotations

MAX_FRAME = 65535 + 14 + 8
"""The largest IP packet in an Ethernet frame with two VLAN tags, in octets."""
