"""One capability: what the device reports, and what the driver set.

virtio 1.4, 2.12.1.2 Device and driver capabilities.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, replace
from typing import Any, Generic, TypeVar

from ..wire.codec import build, parse
from ..wire.enums import CapId
from .limits import LimitNumbers
from .refusal import invalid_field

T = TypeVar("T")
L = TypeVar("L", bound=LimitNumbers)


class Capability(ABC, Generic[T]):
    """A capability.  ``driver`` is what the driver set; ``disabled`` when it set nothing, or nothing left to use."""

    def __init__(self, cap_id: CapId, unset: T) -> None:
        self.id = cap_id
        self.driver = unset
        self._unset = unset

    def reset(self) -> None:
        """Forget what the driver set."""
        self.driver = self._unset

    @property
    def disabled(self) -> bool:
        """Whether the driver's value is that of a driver that set none: no entries, or all limits zero."""
        return self.driver == self._unset

    @abstractmethod
    def device_data(self) -> bytes:
        """``cap_specific_data`` of DEVICE_CAP_GET."""

    @abstractmethod
    def check(self, data: bytes) -> T:
        """What ``cap_specific_data`` of DRIVER_CAP_SET says.

        Raises :class:`CommandRefused` for more than the device has.
        """


class LimitsCapability(Capability[L]):
    """A capability of limit numbers only; the driver's may be as large as the device's, or smaller."""

    def __init__(self, cap_id: CapId, structure: Any, device: L) -> None:
        super().__init__(cap_id, replace(device, **dict.fromkeys(asdict(device), 0)))
        self._structure = structure
        self._device = device

    def device_data(self) -> bytes:
        return build(self._structure, **asdict(self._device))

    def check(self, data: bytes) -> L:
        wanted = parse(self._structure, data)
        for name, most in asdict(self._device).items():
            if wanted[name] > most:
                raise invalid_field(f"{self.id.name}: {name} {wanted[name]} is more than the device's {most}")
        return replace(self._device, **{name: wanted[name] for name in asdict(self._device)})
