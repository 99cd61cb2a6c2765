"""Driver and device in one process, with rings in memory between them."""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Callable, Sequence

from ..device import Device
from ..wire.enums import Feature, Status
from .arena import Arena
from .memory import Memory
from .net import NetQueues
from .packed import PackedQueue
from .queue import DeviceQueue
from .split import SplitQueue
from .transport import ring_lengths

RING_FEATURES = sum(
    1 << feature
    for feature in (Feature.INDIRECT_DESC, Feature.EVENT_IDX, Feature.RING_PACKED, Feature.IN_ORDER, Feature.RING_RESET)
)
"""What rings here can do, for a device to offer."""

MEMORY = 32 << 20
"""Octets of driver memory; pages that nobody touches take no room."""
_ADDRESS = 1 << 36


class MemoryTransport:
    """A :class:`~.transport.Transport` to ``device``, which has ``queue_pairs`` pairs of queues."""

    early = True
    control_elsewhere = False

    # What the device's queues are; a variant of the device has others.
    split_class: type[SplitQueue] = SplitQueue
    packed_class: type[PackedQueue] = PackedQueue

    def __init__(self, device: Device, queue_pairs: int = 1, memory: int = MEMORY) -> None:
        self.device = device
        self.queue_pairs = queue_pairs
        self.arena = Arena(memoryview(mmap.mmap(-1, memory)), _ADDRESS)
        self.queues = NetQueues(device, self, queue_pairs)
        self.admin_index: int | None = self.queues.admin_index
        self.interrupts: Counter[int] = Counter()
        """How many used buffer notifications there were, by virtqueue index."""
        self._told: Counter[int] = Counter()  # of these, how many notified() knows of
        self._memory = Memory(((self.arena.address, self.arena.octets),))
        self._running: dict[int, DeviceQueue] = {}
        self._kicked: dict[int, None] = {}  # a set that keeps its order
        self._frames: list[bytes] = []

    # -- a Transport ---------------------------------------------------------------------------------------------

    @property
    def features(self) -> int:
        return self.device.features

    @property
    def status(self) -> int:
        return self.device.status

    @property
    def last_refusal(self) -> str:
        return self.device.last_refusal

    def set_status(self, value: int) -> None:
        if not value:
            for index in list(self._running):
                self.stop(index)
        before = self.device.status
        self.device.set_status(value)
        if self.device.status & ~before & Status.DRIVER_OK:
            self._kicked |= dict.fromkeys(self._running)  # a device looks at its queues then, kicked or not

    def set_driver_features(self, value: int) -> None:
        self.device.set_driver_features(value)

    def read_config(self, offset: int, length: int) -> bytes:
        return self.device.read_config(offset, length)

    def start(self, index: int, size: int, addresses: Sequence[int]) -> None:
        packed = bool(self.device.negotiated >> Feature.RING_PACKED & 1)
        make: type[PackedQueue | SplitQueue] = self.packed_class if packed else self.split_class
        first, second, third = map(self._memory.view, addresses, ring_lengths(size, packed))
        queue = make(self._memory, size, (first, second, third), self.device.negotiated)
        self._running[index] = queue
        self.queues.attach(index, queue)
        self.queues.enable(index, True)

    def stop(self, index: int) -> None:
        self.queues.detach(index)
        del self._running[index]
        self._kicked.pop(index, None)

    def kick(self, index: int) -> None:
        self._kicked[index] = None

    def wait(self, ready: Callable[[], bool], must: bool = True) -> bool:
        """The device is here: it does all that there is to do, and then it is ready or will never be."""
        while self._kicked and self.device.status & Status.DRIVER_OK:
            index = next(iter(self._kicked))
            del self._kicked[index]
            if self.queues.service(index):
                self._kicked[index] = None
        return ready()

    def notified(self, index: int) -> bool:
        before, self._told[index] = self._told[index], self.interrupts[index]
        return self.interrupts[index] > before

    def admin(self, readable: bytes, writable_len: int) -> bytes:
        raise NotImplementedError("commands go through the administration virtqueue")

    def arrive(self, frame: bytes) -> None:
        self.queues.arrive((frame,))

    def frames(self) -> tuple[bytes, ...]:
        frames = tuple(self._frames)
        self._frames.clear()
        return frames

    # -- who owns the device's queues ----------------------------------------------------------------------------

    def send(self, frames: Sequence[bytes]) -> None:
        self._frames += frames

    def notify(self, index: int) -> None:
        self.interrupts[index] += 1

    def broken(self, index: int, why: str) -> None:
        """The driver sees DEVICE_NEEDS_RESET."""
