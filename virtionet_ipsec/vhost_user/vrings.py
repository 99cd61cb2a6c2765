"""The virtqueues of one front end, and when each of them runs (vhost-user.rst, "Ring states").

A ring runs from the moment when its size, addresses and kick are known until
GET_VRING_BASE; memory that is mapped anew and addresses that change stop it
and start it again where it was.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from selectors import EVENT_READ
from typing import Any, Protocol

from ..device import Device
from ..virtqueue.memory import OutsideMemory
from ..virtqueue.net import NetQueues
from ..wire.enums import Status
from .regions import Regions
from .ring import NO_DESCRIPTOR, Ring

MOST_QUEUE_SIZE = 32768

_ONE = (1).to_bytes(8, "little")


class Loop(Protocol):
    """The event loop, as much of it as is needed here."""

    def register(self, fd: int, events: int, callback: Callable[[int], object]) -> None:
        """Call ``callback`` whenever ``fd`` is ready.  Raises OSError for what cannot be waited for."""

    def unregister(self, fd: int) -> None: ...

    def call_soon(self, call: Callable[[], object]) -> None:
        """Make ``call`` after what is ready now."""


class Vrings:
    """``features`` are the negotiated ones; ``begin_enabled`` says whether rings need no SET_VRING_ENABLE."""

    def __init__(self, device: Device, queues: NetQueues, loop: Loop, tell: Callable[[str], object]) -> None:
        self._device = device
        self._queues = queues
        self._loop = loop
        self._tell = tell
        self._rings = [Ring(index) for index in range(queues.admin_index + 1)]
        self._running: set[int] = set()
        self._pending: set[int] = set()
        self.features = 0
        self.begin_enabled = True
        self.regions = Regions()

    def __len__(self) -> int:
        return len(self._rings)

    def __getitem__(self, index: int) -> Ring:
        """Virtqueue ``index``.  Raises ValueError when there is none."""
        if index >= len(self._rings):
            raise ValueError(f"there is no virtqueue {index}, the last is {len(self._rings) - 1}")
        return self._rings[index]

    @property
    def running(self) -> list[int]:
        """The indexes of those that run."""
        return sorted(self._running)

    # -- what the front end says ---------------------------------------------------------------------------------

    def set_size(self, index: int, size: int) -> None:
        if not 0 < size <= MOST_QUEUE_SIZE:
            raise ValueError(f"a queue size of {size} is not in 1 to {MOST_QUEUE_SIZE}")
        self._stopped(index).size = size

    def set_base(self, index: int, base: int) -> None:
        ring = self._stopped(index)
        ring.base, ring.broken = base, False

    def set_addresses(self, index: int, addresses: Any) -> None:
        ring = self[index]
        self.stop(index)
        ring.addresses = addresses
        self._start(ring)

    def set_kick(self, index: int, kick: int) -> None:
        """``kick`` is the ring's from here on.  Raises ValueError, and then it is not, when it cannot be waited for."""
        ring = self[index]
        self._forget_kick(ring)
        try:
            self._loop.register(kick, EVENT_READ, lambda _: self._kicked(ring))
        except OSError as error:
            raise ValueError(f"a kick is no file that can be waited for ({error.strerror})") from None
        try:
            ring.replace("kick", kick)
        except OSError:
            self._loop.unregister(kick)
            raise
        self._start(ring)

    def set_enabled(self, index: int, enabled: bool) -> None:
        ring = self[index]
        ring.enabled = enabled
        self._queues.enable(index, enabled)
        self._start(ring)
        self._soon(ring)

    def get_base(self, index: int) -> int:
        """Stop the ring; gives where it is to go on."""
        ring = self[index]
        self.stop(index)
        self._forget_kick(ring)
        ring.replace("call", NO_DESCRIPTOR)
        return ring.base

    def remap(self, regions: Regions) -> None:
        """Rings go on where they are in memory that is mapped anew; one that is not there waits until it is."""
        self.stop_all()
        self.regions = regions
        for ring in self._rings:
            self._start(ring)

    def use_inflight(self, octets: memoryview, each: int) -> None:
        """``octets`` keep the state of buffers in flight, ``each`` of them for a virtqueue."""
        for ring, at in zip(self._rings, range(0, len(octets), each), strict=False):
            ring.inflight = octets[at : at + each]

    # -- running -------------------------------------------------------------------------------------------------

    def start_all(self) -> None:
        """The driver said DRIVER_OK, maybe after it kicked."""
        for ring in self._rings:
            self._start(ring)
            self._soon(ring)

    def settle(self) -> None:
        """Do what lies in the rings, kicked or not, but no more than a ring holds."""
        for index in self.running:
            for _ in range(self._rings[index].size):
                if not (self._live(index) and self._queues.service(index)):
                    break

    def stop(self, index: int) -> None:
        if index in self._running:
            self._running.discard(index)
            queue = self._queues.detach(index)
            if queue is not None:
                self._rings[index].base = queue.base

    def stop_all(self) -> None:
        for index in self.running:
            self.stop(index)

    def reset(self) -> None:
        """The device was reset: what the driver said of its rings is forgotten, for their memory may be others' now."""
        self.stop_all()
        for ring in self._rings:
            self._forget_kick(ring)
            ring.forget()

    def close(self) -> None:
        """The front end is gone."""
        self.reset()
        for ring in self._rings:
            ring.close()
        self._pending.clear()
        self.regions = Regions()

    def notify(self, index: int) -> None:
        """The driver wants to know that buffers were used."""
        _signal(self._rings[index].call)

    def broken(self, index: int, why: str) -> None:
        """The queue was detached: the front end is told, if it left us a way, and has to set it up again."""
        self._running.discard(index)
        self._forget_kick(self._rings[index])
        self._rings[index].broken = True
        self._tell(f"virtqueue {index} is broken: {why}")
        _signal(self._rings[index].err)

    def _stopped(self, index: int) -> Ring:
        ring = self[index]
        if index in self._running:
            raise ValueError(f"virtqueue {index} is running")
        return ring

    def _start(self, ring: Ring) -> None:
        if ring.index in self._running or not ring.ready or not self._device.status & Status.FEATURES_OK:
            return
        if ring.enabled is None and not self.begin_enabled:
            return  # what lies in a disabled ring is thrown away, and this one may be about to be enabled
        try:
            queue = ring.queue(self.regions, self.features)
        except (ValueError, OutsideMemory) as error:
            self._tell(f"virtqueue {ring.index} cannot start: {error}")
            return
        enabled = self.begin_enabled if ring.enabled is None else ring.enabled
        self._queues.enable(ring.index, enabled)
        self._queues.attach(ring.index, queue)
        self._running.add(ring.index)
        if enabled:  # else what lies there since before would be thrown away, and SET_VRING_ENABLE may be on its way
            self._soon(ring)

    def _forget_kick(self, ring: Ring) -> None:
        if ring.kick != NO_DESCRIPTOR:
            self._loop.unregister(ring.kick)
            ring.replace("kick", NO_DESCRIPTOR)

    def _kicked(self, ring: Ring) -> None:
        try:
            gone = not os.read(ring.kick, 8)
        except BlockingIOError:
            gone = False
        except OSError:
            gone = True
        if gone:
            self._tell(f"the kick of virtqueue {ring.index} is gone")
            self._forget_kick(ring)
        elif ring.index not in self._pending:
            self._serve(ring)

    def _soon(self, ring: Ring) -> None:
        if ring.index not in self._pending:
            self._pending.add(ring.index)
            self._loop.call_soon(lambda: self._serve(ring))

    def _serve(self, ring: Ring) -> None:
        self._pending.discard(ring.index)
        if self._live(ring.index) and self._queues.service(ring.index):
            self._soon(ring)

    def _live(self, index: int) -> bool:
        return index in self._running and bool(self._device.status & Status.DRIVER_OK)


def _signal(fd: int) -> None:
    """Add one to an event counter.  One that is full says what it has to say, one that is gone nobody waits for."""
    if fd != NO_DESCRIPTOR:
        with contextlib.suppress(OSError):
            os.write(fd, _ONE)
