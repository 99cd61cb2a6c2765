"""Devices behind rings that are wrong about what lies above them: status, commands, steering, the flow filter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from virtionet_ipsec.device import Device, Received
from virtionet_ipsec.device.steering import Steering
from virtionet_ipsec.virtqueue.in_memory import MemoryTransport
from virtionet_ipsec.virtqueue.queue import Chain
from virtionet_ipsec.virtqueue.split import SplitQueue
from virtionet_ipsec.wire.enums import Status

from ..mutant import breaks
from ..ringed import Ringed
from ..wrapping import become, unfiltered

Done = Sequence[tuple[Chain, int]]


@breaks("status.dev.notifies-nothing-early")
class NotifiesEarly(Ringed):
    """A notification before DRIVER_OK is answered with one."""

    class transport(MemoryTransport):  # noqa: N801
        def kick(self, index: int) -> None:
            super().kick(index)
            if not self.device.status & Status.DRIVER_OK:
                self.interrupts[index] += 1


@breaks("reset.dev.notifies-nothing")
class NotifiesAfterReset(Ringed):
    """A frame that arrives after a reset is notified of."""

    class transport(MemoryTransport):  # noqa: N801
        def arrive(self, frame: bytes) -> None:
            super().arrive(frame)
            if not self.device.status:
                self.interrupts[0] += 1


@breaks("avq.dev.used-length")
class UsesTheRoom(Ringed):
    """The used length is all the room that there was."""

    class split(SplitQueue):  # noqa: N801
        def finish(self, done: Done) -> None:
            super().finish([(chain, chain.writable_len) for chain, _ in done])


@breaks("avq.dev.used-length")
class CountsTheResult(Ringed):
    """The used length leaves out status and status_qualifier."""

    class split(SplitQueue):  # noqa: N801
        def finish(self, done: Done) -> None:
            super().finish([(chain, max(written - 8, 0)) for chain, written in done])


@breaks("avq.dev.in-order")
class LastCommandFirst(Ringed):
    """Of several commands the last one is carried out first."""

    class split(SplitQueue):  # noqa: N801
        def take(self, most: int) -> list[Chain]:
            return super().take(most)[::-1]


@breaks("reserved.dev.in-order")
class LastBufferFirst(Ringed):
    """Of the receive buffers the last one is used first."""

    class split(SplitQueue):  # noqa: N801
        def take(self, most: int) -> list[Chain]:
            self._in_order = None
            return super().take(most)[::-1]


# -- queues that are reset -----------------------------------------------------------------------------------------


@breaks("steering.dev.queue-in-reset")
class NoOtherQueue(Ringed):
    """Packets for a queue that is reset are dropped."""

    def set_queue_down(self, queue: int, down: bool) -> None:
        """Nobody is told."""


@breaks("steering.dev.all-in-reset")
class KeepsReceiving(Ringed):
    """A receive queue that is reset gets packets."""

    class transport(MemoryTransport):  # noqa: N801
        def stop(self, index: int) -> None:
            if index % 2:
                super().stop(index)


class _AnyOther(Steering):
    """Takes another queue whoever chose the first."""

    def _another(self, queue: int, steered: bool) -> int:
        right, self._rss = self._rss, None
        try:
            return super()._another(queue, True)
        finally:
            self._rss = right


@breaks("rss.dev.queue-in-reset", "ff.dev.reset-queue-drop")
class AlwaysAnotherQueue(Ringed):
    """A packet for a queue that is reset goes to another one, whoever chose the queue."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        become(self._controls.steering, _AnyOther)


# -- the flow filter beside the control virtqueue --------------------------------------------------------------------


@breaks("ff.dev.order-ctrl-first")
class RulesFirst(Device):
    """What a rule matches is delivered, whatever address it is for."""

    def receive(self, frame: bytes) -> Received | None:
        if self.flow_table.lookup(frame) is None:
            return super().receive(frame)
        with unfiltered(self):
            return super().receive(frame)


@breaks("ff.dev.ctrl-drop-skips-rules")
class ProcessesTheUnwanted(Device):
    """A packet for another address is processed like any other, and dropped at the end."""

    def receive(self, frame: bytes) -> Received | None:
        wanted = self._controls.filter.compiled()
        if wanted is None or not wanted.refuses(frame):
            return super().receive(frame)
        with unfiltered(self):
            super().receive(frame)
        return None
