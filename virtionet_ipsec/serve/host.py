"""What is served, as the control socket sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..device import Device
from .segment import Segment
from .transparent import Transparent


class Guest(Protocol):
    """The side of the front end."""

    @property
    def device(self) -> Device:
        """The device that the guest drives."""

    def accept_features(self, features: int) -> None:
        """The driver accepts these of the features that its connection does not carry.  Raises ValueError."""

    def settle(self) -> None:
        """Carry out what the driver has made available and nobody has looked at yet."""

    def counters(self) -> Mapping[str, Any]:
        """What the connection and its queues count, of JSON's types."""


@dataclass(frozen=True, slots=True)
class Host:
    """All of it."""

    guest: Guest
    transparent: Transparent
    segment: Segment
