"""Devices that are wrong about the reset of a virtqueue."""

from __future__ import annotations

from collections.abc import Sequence

from virtionet_ipsec.virtqueue.in_memory import MemoryTransport

from ..mutant import breaks
from ..ringed import Ringed


@breaks("vqreset.dev.executes-nothing", "vqreset.dev.notifies-nothing")
class GoesOn(Ringed):
    """A queue that is reset is served once more, with all that is in it."""

    class transport(MemoryTransport):  # noqa: N801
        def stop(self, index: int) -> None:
            self._kicked[index] = None


@breaks("vqreset.dev.notifies-nothing")
class SaysGoodbye(Ringed):
    """The reset of a queue is notified of."""

    class transport(MemoryTransport):  # noqa: N801
        def stop(self, index: int) -> None:
            super().stop(index)
            self.interrupts[index] += 1


@breaks("vqreset.dev.default-state")
class RemembersIndexes(Ringed):
    """A queue that is enabled again goes on where it was."""

    class transport(MemoryTransport):  # noqa: N801
        def stop(self, index: int) -> None:
            self.before = {**getattr(self, "before", {}), index: self._running[index]}
            super().stop(index)

        def start(self, index: int, size: int, addresses: Sequence[int]) -> None:
            super().start(index, size, addresses)
            queue, old = self._running[index], getattr(self, "before", {}).get(index)
            if type(queue) is type(old):
                queue._next = old._next % max(queue.size, 1)


@breaks("vqreset.dev.observes-configuration")
class RemembersSize(Ringed):
    """A queue that is enabled again has the size that it had at first."""

    class transport(MemoryTransport):  # noqa: N801
        def start(self, index: int, size: int, addresses: Sequence[int]) -> None:
            self.sizes = {index: size, **getattr(self, "sizes", {})}
            super().start(index, self.sizes[index], addresses)

        def set_status(self, value: int) -> None:
            if not value:
                self.sizes = {}
            super().set_status(value)
