"""What the two ring formats have in common: the buffers, and what a queue does for the device and for the driver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Chain:
    """One buffer that the driver made available: a descriptor chain (2.7), or list (2.8).

    The readable octets were copied when it was taken, so that the driver cannot change them any more.
    """

    __slots__ = ("id", "place", "readable", "refused", "span", "writable", "writable_len")

    def __init__(
        self,
        id: int,
        readable: bytes,
        writable: tuple[memoryview, ...],
        writable_len: int,
        place: int,
        span: int = 1,
        refused: str = "",
    ) -> None:
        self.id = id
        """Split: the index of the head descriptor. Packed: the buffer id."""
        self.readable = readable
        """The device-readable octets, of all elements."""
        self.writable = writable
        """The device-writable elements, in order; none is empty."""
        self.writable_len = writable_len
        """Their octets together."""
        self.place = place
        """Where it was taken: the available index, or the offset in the ring; -1 when it comes from the in-flight
        region."""
        self.span = span
        """How many entries it takes of the ring that ``place`` counts."""
        self.refused = refused
        """Why it is malformed, or "". Such a buffer has no octets of either kind; it is finished with 0 written."""

    @property
    def head(self) -> int:
        """The name of ``id`` in split rings."""
        return self.id

    def __repr__(self) -> str:
        state = f"refused: {self.refused}" if self.refused else f"{len(self.readable)} in, {self.writable_len} out"
        return f"Chain({self.id}, {state})"


class DeviceQueue(Protocol):
    """The device's side of one virtqueue.

    A reset queue (2.6.1) is a new object: there is no state to keep, and sizes and addresses may be others.
    """

    size: int
    broken: str
    """Why the ring makes no sense, or "" while it does. A broken queue takes nothing any more: the device sets
    DEVICE_NEEDS_RESET. What was taken before can still be finished."""

    @property
    def inflight(self) -> object | None:
        """Where taken buffers are written down for the case that the backend is killed (inflight.py), or None."""

    @property
    def base(self) -> int:
        """Where another object goes on with this ring (``start``): the answer to vhost-user's GET_VRING_BASE."""

    def take(self, most: int) -> list[Chain]:
        """Up to ``most`` buffers that the driver made available, in order; [] when there is none.

        Fewer than are there, but never none, when they are so large that one call would work for long.
        """

    def untake(self, chains: Sequence[Chain]) -> None:
        """The last ones taken go back, unused, and will be taken again. ValueError when they are not the last ones."""

    def finish(self, done: Sequence[tuple[Chain, int]]) -> None:
        """Gives buffers back as used, each with the number of octets written to it, from the first writable one on.

        The driver sees all of them at once. With IN_ORDER, a buffer is held back until those before it are finished.
        """

    def interrupt_wanted(self) -> bool:
        """Does the driver want a used buffer notification for what it was given since the last call?"""

    def ask_for_kicks(self, wanted: bool) -> bool:
        """Asks the driver for available buffer notifications, or to leave them out.

        True when they are asked for and buffers are there already: take them, the driver may send no notification.
        """


class DriverQueue(Protocol):
    """The driver's side of one virtqueue. Addresses are guest-physical."""

    size: int
    broken: str
    """Why the device's answers make no sense, or "". Nothing is used any more then."""

    @property
    def free(self) -> int:
        """How many descriptors are not in use."""

    @property
    def base(self) -> int:
        """Where a device goes on that takes another's place (vhost-user's SET_VRING_BASE), by what ``used`` gave."""

    def add(
        self,
        readable: Sequence[tuple[int, int]],
        writable: Sequence[tuple[int, int]],
        token: object,
        indirect: bool = False,
    ) -> None:
        """Places a buffer of (address, length) elements; the device sees it after ``publish``.

        ``indirect`` puts them into a table of their own, which takes one descriptor. QueueFull when too few are free;
        ValueError for a buffer without elements, or one that the queue can never hold.
        """

    def publish(self) -> None:
        """Makes what was added available."""

    def kick_wanted(self) -> bool:
        """Does the device want an available buffer notification for what was published since the last call?"""

    def used(self) -> list[tuple[object, int]]:
        """(token, octets written) of each buffer that the device has used since the last call."""

    def ask_for_interrupts(self, wanted: bool) -> bool:
        """Asks the device for used buffer notifications, or to leave them out.

        True when they are asked for and used buffers are there already.
        """


class QueueFull(Exception):
    """Fewer descriptors are free than a buffer needs."""
