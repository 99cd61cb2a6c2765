"""The model behind rings: what wrong ones vary, a queue's method at a time."""

from __future__ import annotations

from typing import Any, ClassVar

from virtionet_ipsec.conformance.model import Model
from virtionet_ipsec.virtqueue.in_memory import MemoryTransport
from virtionet_ipsec.virtqueue.packed import PackedQueue
from virtionet_ipsec.virtqueue.split import SplitQueue


class Ringed(Model):
    """A device whose queues are of other kinds; the others in its place are right."""

    right: ClassVar[type[Model]] = Model
    split: ClassVar[type[SplitQueue]] = SplitQueue
    packed: ClassVar[type[PackedQueue]] = PackedQueue
    transport: ClassVar[type[MemoryTransport]] = MemoryTransport

    def transport_class(self, *args: Any) -> MemoryTransport:  # type: ignore[override]
        made = self.transport(*args)
        made.split_class, made.packed_class = self.split, self.packed
        return made
