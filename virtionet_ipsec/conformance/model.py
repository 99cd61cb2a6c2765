"""The model as a target: driven by calls, and through rings by the checks that look at rings."""

from __future__ import annotations

from typing import Any, ClassVar

from ..device import Device
from ..device.negotiation import default_features
from ..virtqueue.in_memory import RING_FEATURES, MemoryTransport
from ..virtqueue.port import QueuePort, Rings
from ..wire.profile import Profile

PAIRS = 4
"""Pairs of queues of the model that is judged: with one there is nothing to steer."""


class Model(Device):
    """A :class:`Device` that offers what its rings can do; ``how`` are Device's keywords."""

    transport_class: ClassVar[type[MemoryTransport]] = MemoryTransport

    def __init__(self, profile: Profile = Profile.VIRTIO_1_4, **how: Any) -> None:
        super().__init__(
            profile, **{"features": default_features(profile) | RING_FEATURES, "queue_pairs": PAIRS, **how}
        )
        self._pairs: int = how.get("queue_pairs", PAIRS)

    def rings(self, wanted: Rings) -> QueuePort:
        """The device, reset, behind rings of this kind; from then on it is driven through them."""
        self.set_status(0)
        return QueuePort(self.transport_class(self, self._pairs), wanted)
