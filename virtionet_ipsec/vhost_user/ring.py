"""One virtqueue as the front end describes it, message by message (vhost-user.rst, "Ring states").

    SET_VRING_NUM, _BASE, _ADDR, _CALL in any order -> SET_VRING_KICK starts it -> GET_VRING_BASE stops it

Whether it is enabled (SET_VRING_ENABLE) is another matter: a ring that runs and
is disabled gives no packets to the driver and throws the driver's away.
"""

from __future__ import annotations

import os
from typing import Any

from ..virtqueue.packed import PackedQueue
from ..virtqueue.queue import DeviceQueue
from ..virtqueue.split import SplitQueue
from ..wire.enums import Feature
from .channel import close_all
from .regions import Regions

NO_DESCRIPTOR = -1

# Octets of a ring's three parts, by size and whether it is split (virtio 1.4, 2.7 and 2.8): the rings end with an
# event index in any case, for it has its place also when nobody looks at it.
_EVENT_STRUCTURE = 4


SPLIT_ALIGNMENT, PACKED_ALIGNMENT = (16, 2, 4), (16, 4, 4)
"""What the addresses of the parts are multiples of (2.7, 2.8)."""


def split_sizes(size: int) -> tuple[int, int, int]:
    """Octets of descriptor table, available ring and used ring (virtio 1.4, 2.7)."""
    return 16 * size, 6 + 2 * size, 6 + 8 * size


def packed_sizes(size: int) -> tuple[int, int, int]:
    """Octets of descriptor ring, driver and device event suppression structure (virtio 1.4, 2.8)."""
    return 16 * size, _EVENT_STRUCTURE, _EVENT_STRUCTURE


class Ring:
    """Virtqueue ``index``."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.size = 0
        self.base = 0
        self.addresses: Any = None  # VringAddr
        self.enabled: bool | None = None  # None: nobody has said
        self.broken = False  # until it is set up anew
        self.kick = self.call = self.err = NO_DESCRIPTOR
        self.inflight: memoryview | None = None

    @property
    def ready(self) -> bool:
        """Whether everything has been said that is needed to run."""
        return bool(self.size) and self.addresses is not None and self.kick != NO_DESCRIPTOR and not self.broken

    def queue(self, regions: Regions, features: int) -> DeviceQueue:
        """The queue on its rings in memory.  Raises ValueError or :class:`~..virtqueue.memory.OutsideMemory`."""
        packed = bool(features >> Feature.RING_PACKED & 1)
        sizes = packed_sizes(self.size) if packed else split_sizes(self.size)
        addresses = (self.addresses.descriptor, self.addresses.available, self.addresses.used)
        for address, alignment in zip(addresses, PACKED_ALIGNMENT if packed else SPLIT_ALIGNMENT, strict=True):
            if address % alignment:
                raise ValueError(f"a part of the ring is at {address:#x}, which is no multiple of {alignment}")
        first, second, third = (regions.user_view(at, length) for at, length in zip(addresses, sizes, strict=True))
        make: type[PackedQueue | SplitQueue] = PackedQueue if packed else SplitQueue
        return make(
            regions.memory, self.size, (first, second, third), features, start=self.base, inflight=self.inflight
        )

    def replace(self, which: str, fd: int) -> None:
        """Take ``fd`` for ``kick``, ``call`` or ``err``, and close the one before.

        Raises OSError, and changes nothing then.
        """
        if fd != NO_DESCRIPTOR:
            os.set_blocking(fd, False)  # it is the front end's, who may let us wait forever
        before = getattr(self, which)
        setattr(self, which, fd)
        close_all([before])

    def forget(self) -> None:
        """What the driver said; the descriptors to signal by are the front end's, and stay."""
        self.size = self.base = 0
        self.addresses = self.enabled = self.inflight = None
        self.broken = False

    def close(self) -> None:
        """Close all three descriptors."""
        for which in ("kick", "call", "err"):
            self.replace(which, NO_DESCRIPTOR)
