"""A device and its driver in one process: what tests, replay and bench start from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..device import Device, ModelExtras
from ..device.exchanges import Listener
from ..ipsec import Direction, SaParams
from ..wire.enums import ResourceType
from ..wire.profile import Profile
from .driver import Driver
from .errors import DriverError


class InProcess(Driver):
    """A :class:`Driver` on a :class:`Device` of its own.

    Beside what a driver does, it hands the model what an SA object cannot carry
    (ICV length, IV, first sequence number, AH alignment) before it creates the SA.
    ``profile`` may be its name; ValueError for a name that none has.  ``watch``
    is given the device before anything is done to it, and gives who is told of
    every exchange.
    """

    def __init__(
        self,
        profile: Profile | str = Profile.VIRTIO_1_4,
        features: int | None = None,
        *,
        watch: Callable[[Device], Listener] | None = None,
        **device: Any,
    ) -> None:
        profile = profile_named(profile)
        self.device = Device(profile, **device)
        if watch is not None:
            self.device.on_exchange = watch(self.device)
        super().__init__(self.device, profile, features)

    def create_sa(self, params: SaParams, resource_id: int | None = None) -> int:
        kind = ResourceType.IPSEC_OUTB_SA if params.direction is Direction.OUTBOUND else ResourceType.IPSEC_INB_SA
        number = self._next_id(kind) if resource_id is None else resource_id
        extras, key = self.device.model_extras, (kind, number)
        before = extras.get(key, ModelExtras())
        extras[key] = ModelExtras(params.icv_len, params.iv, params.first_seq, params.ah_align)
        try:
            return super().create_sa(params, number)
        except DriverError:
            extras[key] = before  # an SA with this id may be there, and keeps its own
            raise


def connect(profile: Profile | str = Profile.VIRTIO_1_4, **device: Any) -> InProcess:
    """A negotiated device and driver; ``device`` are :class:`Device`'s parameters.

    ``profile`` may be its name, such as ``"rfc-v1"``.
    """
    driver = InProcess(profile, **device)
    driver.start()
    return driver


def profile_named(profile: Profile | str) -> Profile:
    """The profile, or the one of that name.  Raises ValueError for a name that none has."""
    known = {each.value: each for each in Profile}
    if isinstance(profile, Profile):
        return profile
    if not isinstance(profile, str) or profile not in known:
        raise ValueError(f"profile {profile!r} is not one of: {', '.join(known)}")
    return known[profile]
