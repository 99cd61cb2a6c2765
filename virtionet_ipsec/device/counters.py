"""What the device counts besides its SAs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ..ipsec import Reason


@dataclass(slots=True)
class Counters:
    """Packets by fate; ``*_dropped`` and ``rx_security_err`` by reason."""

    tx_sent: int = 0
    tx_dropped: Counter[Reason] = field(default_factory=Counter)
    rx_delivered: int = 0
    rx_dropped: Counter[Reason] = field(default_factory=Counter)
    rx_security_err: Counter[Reason] = field(default_factory=Counter)
    buffers_refused: int = 0  # malformed ones, given back to the driver
