"""What is measured through rings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """``size`` is that of the IP packet, in octets; protection is AES-GCM, in ESP tunnel mode.

    ``aware`` drivers ask for it in the header; for others the host does it (``transparent``).
    """

    name: str
    size: int
    aware: bool = False
    transparent: bool = False

    @property
    def protected(self) -> bool:
        return self.aware or self.transparent


CASES = (
    Case("plain", 50),
    Case("aes-gcm", 1400, aware=True),
    Case("aes-gcm, transparent", 1400, transparent=True),
)
"""A frame of 64 octets, as they are counted without FCS, holds an IP packet of 50."""


def case_named(name: str) -> Case:
    return next(case for case in CASES if case.name == name)
