"""What the host itself decides about packets, beside what its device does."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ..ipsec import Event


class PolicyReason(enum.Enum):
    """Why a packet was dropped that the device would have passed on.  The value is the name in counters."""

    CLEARTEXT = "cleartext"  # it arrived in the clear, and a policy says that such packets are protected
    SELECTORS = "selectors"  # it was decrypted, and is none of those that may come through its SA


@dataclass(frozen=True, slots=True)
class PolicyDropped(Event):
    """A packet that no policy allows (RFC 4301 5.1, 5.2); ``direction`` is the guest's."""

    direction: str
    reason: str
    detail: str
