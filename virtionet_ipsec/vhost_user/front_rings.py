"""A front end's virtqueues: setting them up, notifications, and what is in flight."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence

from ..virtqueue.transport import Unobservable
from .asking import Asking
from .channel import close_all
from .in_flight import InFlight
from .messages import Request, VringAddr, VringState, u64
from .shared import FrontMemory

_ONE = (1).to_bytes(8, "little")


def _event() -> int:
    return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)


class _Ring:
    """A virtqueue that runs: its size, the guest addresses of its three parts, and its eventfds."""

    def __init__(self, size: int, addresses: Sequence[int]) -> None:
        self.size = size
        self.addresses = tuple(addresses)
        self.kick, self.call, self.err = _event(), _event(), _event()
        self.notified = False

    def close(self) -> None:
        close_all((self.kick, self.call, self.err))


class FrontRings:
    """The virtqueues that run.  Of ``tracked`` queues, from the first on, what is in flight is kept; 0 is none."""

    def __init__(self, memory: FrontMemory) -> None:
        self._memory = memory
        self._rings: dict[int, _Ring] = {}
        self._asleep: dict[int, int] = {}  # those that wait for another to begin, and where they go on
        self._in_flight: InFlight | None = None
        self._asking: Asking
        self._enabling = False
        self.tracked = 0

    def connect(self, asking: Asking, enabling: bool) -> None:
        """``enabling`` says whether rings want SET_VRING_ENABLE, as they do with protocol features."""
        self._asking, self._enabling = asking, enabling

    def start(self, index: int, size: int, addresses: Sequence[int], base: int) -> None:
        """Set up virtqueue ``index`` and start it."""
        if self.tracked and self._in_flight is None:
            self._in_flight = InFlight(self._asking, self.tracked, size)
        ring = self._rings[index] = _Ring(size, addresses)
        self._set_up(index, ring, base)
        for other in list(self._asleep):
            self._set_up(other, self._rings[other], self._asleep.pop(other))

    def _set_up(self, index: int, ring: _Ring, base: int) -> None:
        must = self._asking.must
        must(Request.SET_VRING_CALL, u64(index), (ring.call,))
        must(Request.SET_VRING_ERR, u64(index), (ring.err,))
        must(Request.SET_VRING_NUM, VringState.build({"index": index, "num": ring.size}))
        must(Request.SET_VRING_BASE, VringState.build({"index": index, "num": base}))
        descriptor, available, used = map(self._memory.user, ring.addresses)
        addresses = {"descriptor": descriptor, "used": used, "available": available}
        must(Request.SET_VRING_ADDR, VringAddr.build({"index": index, "flags": 0, "log": 0} | addresses))
        must(Request.SET_VRING_KICK, u64(index), (ring.kick,))
        if self._enabling:
            must(Request.SET_VRING_ENABLE, VringState.build({"index": index, "num": 1}))

    def start_again(self, bases: Mapping[int, int]) -> None:
        """Let a new back end go on with all rings, each from its base on, and with what is in flight."""
        if self._in_flight is not None:
            self._in_flight.give(self._asking)
        for index, ring in self._rings.items():
            self._set_up(index, ring, bases[index])

    def stop(self, index: int, alone: bool) -> None:
        """Stop virtqueue ``index``, which will begin at its beginning.

        Not ``alone``, the others stop as well until it has begun: a device may be unable to reset one queue of many.
        """
        self._stop(index)
        self._rings.pop(index).close()
        if self._in_flight is not None:
            self._in_flight.clear(index)
        if not alone:
            self._asleep.update({other: self._stop(other) for other in self._rings})

    def pause(self, index: int) -> None:
        """Stop virtqueue ``index``, and let it go on where it was."""
        self._set_up(index, self._rings[index], self._stop(index))

    def _stop(self, index: int) -> int:
        """Where the back end would go on."""
        request = VringState.build({"index": index, "num": 0})
        answer, fds = self._asking.fields(Request.GET_VRING_BASE, VringState, request)
        close_all(fds)
        return int(answer.num)

    def stop_all(self) -> None:
        for index in list(self._rings):
            self.stop(index, alone=True)

    def forget(self) -> None:
        """The device was reset, or the back end is gone."""
        for ring in self._rings.values():
            ring.close()
        self._rings.clear()
        self._asleep.clear()
        if self._in_flight is not None:
            self._in_flight.close()
            self._in_flight = None

    def kick(self, index: int) -> None:
        """The available buffer notification."""
        with contextlib.suppress(BlockingIOError):  # it is full, and says what it has to say
            os.write(self._rings[index].kick, _ONE)

    @property
    def calls(self) -> list[int]:
        """What becomes readable with used buffer notifications."""
        return [ring.call for ring in self._rings.values()]

    def hear(self, call: int) -> None:
        """Take in what became readable."""
        for ring in self._rings.values():
            if ring.call == call and heard(call):
                ring.notified = True

    def notified(self, index: int) -> bool:
        """Whether there was a used buffer notification of virtqueue ``index`` since this was asked last.

        Raises :class:`Unobservable` for a queue that does not run.
        """
        if index not in self._rings:
            raise Unobservable(f"virtqueue {index} is stopped, and has no notifications here")
        ring = self._rings[index]
        told = heard(ring.call) or ring.notified
        ring.notified = False
        return told

    @property
    def failed(self) -> bool:
        """Whether the back end said of a ring that it failed."""
        return any(heard(ring.err) for ring in self._rings.values())


def heard(fd: int) -> bool:
    """Whether an event counter was written to since it was looked at."""
    try:
        return bool(os.read(fd, 8))
    except BlockingIOError:
        return False
