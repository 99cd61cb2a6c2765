"""What carries a driver's virtqueues to a device, and everything beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from .arena import Arena


class Unobservable(Exception):
    """What was asked for cannot be seen or done with this transport; why, in words."""


class RingFailed(Exception):
    """The device does not do with a ring what a device has to do; in words."""


class NotUsed(RingFailed):
    """The device does not use a buffer that is available."""


class Transport(Protocol):
    arena: Arena
    """Driver memory that the device shares; the port has it for itself."""

    @property
    def queue_pairs(self) -> int:
        """How many pairs of receive and transmit queues the device has (max_virtqueue_pairs)."""

    @property
    def early(self) -> bool:
        """Whether queues may be set up before DRIVER_OK."""

    @property
    def admin_index(self) -> int | None:
        """The administration virtqueue (2.13); None when commands go another way, through :meth:`admin`."""

    @property
    def control_elsewhere(self) -> bool:
        """Whether a device may offer CTRL_VQ and leave the control virtqueue to somebody else (D154)."""

    @property
    def features(self) -> int: ...

    @property
    def status(self) -> int: ...

    def set_status(self, value: int) -> None:
        """0 resets the device, and stops all queues."""

    def set_driver_features(self, value: int) -> None: ...

    def read_config(self, offset: int, length: int) -> bytes: ...

    @property
    def last_refusal(self) -> str: ...

    def start(self, index: int, size: int, addresses: Sequence[int]) -> None:
        """Virtqueue ``index`` begins, with rings that are all zero.

        ``addresses`` are guest addresses: descriptor table, available ring, used ring; or descriptor ring, driver and
        device event suppression structure.
        """

    def stop(self, index: int) -> None:
        """Virtqueue ``index`` is reset: the device is done with its memory (2.6.1)."""

    def kick(self, index: int) -> None:
        """The available buffer notification."""

    def wait(self, ready: Callable[[], bool], must: bool = True) -> bool:
        """Let the device work until ``ready()``; gives whether it is.

        Without ``must``, that need not come: it is waited for until the device is done with what there was to do.
        """

    def notified(self, index: int) -> bool:
        """Whether there was a used buffer notification of virtqueue ``index`` since this was asked last."""

    def admin(self, readable: bytes, writable_len: int) -> bytes: ...

    def arrive(self, frame: bytes) -> None:
        """A frame from the wire.  Raises :class:`Unobservable`."""

    def frames(self) -> tuple[bytes, ...]:
        """The frames that left for the wire since the last call.  Raises :class:`Unobservable`."""


def ring_lengths(size: int, packed: bool) -> tuple[int, int, int]:
    """Octets of a ring's three parts (2.7, 2.8), always with the event index, which has its place at any rate."""
    return (16 * size, 4, 4) if packed else (16 * size, 6 + 2 * size, 6 + 8 * size)
