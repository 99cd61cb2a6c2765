"""Lifetimes as packets meet them (RFC 4301 4.4.2.1, decision D15)."""

from __future__ import annotations

from .sa import Lifetime

_NONE = 1 << 128  # more than any count: "no limit" without a special case per packet


class Limits:
    """The four limits of an SA; 0 in :class:`Lifetime` has become a number that is never reached."""

    __slots__ = ("bytes_hard", "bytes_soft", "packets_hard", "packets_soft")

    def __init__(self, lifetime: Lifetime) -> None:
        self.packets_soft = lifetime.packets_soft or _NONE
        self.bytes_soft = lifetime.bytes_soft or _NONE
        self.packets_hard = lifetime.packets_hard or _NONE
        self.bytes_hard = lifetime.bytes_hard or _NONE

    def soft_reached(self, packets: int, octets: int) -> bool:
        return packets >= self.packets_soft or octets >= self.bytes_soft
