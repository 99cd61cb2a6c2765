"""What a mutant is: an implementation that is right but for one fault, and the entries that the fault breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from virtionet_ipsec.device import Device
from virtionet_ipsec.driver import Driver
from virtionet_ipsec.wire.profile import Profile

from .session import ReferenceDriver

Kind = TypeVar("Kind", bound=type[Any])


@dataclass(frozen=True)
class Mutant:
    """``made`` with the keywords ``how`` is wrong in one way, which breaks ``entry``."""

    entry: str
    kind: type[Any]
    profile: Profile
    how: dict[str, Any] = field(default_factory=dict)

    @property
    def right(self) -> type[Any]:
        """What the mutant is held beside: the ``right`` of its kind, :class:`Device` where it says none."""
        right: type[Any] = getattr(self.kind, "right", Device)
        return right

    def __str__(self) -> str:
        return f"{self.entry}-{self.kind.__name__}"


DEVICES: list[Mutant] = []
DRIVERS: list[Mutant] = []


def breaks(*entries: str, profile: Profile = Profile.VIRTIO_1_4, **how: Any) -> Callable[[Kind], Kind]:
    """Mark a subclass of :class:`Device`, made as ``kind(profile, **how)``, as breaking these entries.

    The right device that it is held beside is made so, too: its ``right``,
    :class:`Device` unless it says otherwise.
    """

    def enter(kind: Kind) -> Kind:
        assert issubclass(kind, Device) and kind.__doc__, "a mutant is a Device whose docstring says the fault"
        DEVICES.extend(Mutant(entry, kind, profile, how) for entry in entries)
        return kind

    return enter


def violates(*entries: str, profile: Profile = Profile.VIRTIO_1_4, **how: Any) -> Callable[[Kind], Kind]:
    """Mark a subclass of :class:`ReferenceDriver` as violating these entries in its ``session``.

    ``how`` are keywords of the :class:`Device` that it drives.  The right
    driver that it is held beside is its ``right``, :class:`ReferenceDriver`
    unless it says otherwise.
    """

    def enter(kind: Kind) -> Kind:
        assert issubclass(kind, Driver) and kind.__doc__, "a mutant is a Driver whose docstring says the fault"
        assert issubclass(kind, ReferenceDriver)
        DRIVERS.extend(Mutant(entry, kind, profile, how) for entry in entries)
        return kind

    return enter
