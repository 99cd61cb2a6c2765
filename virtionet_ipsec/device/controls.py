"""All that the driver controls through the control virtqueue, in one place (virtio 1.4, 5.1.9.5)."""

from __future__ import annotations

from collections.abc import Callable

from ..wire.enums import Feature
from .config import ConfigSpace
from .control import ControlCommands, ControlDone
from .receive import Receiver
from .receive_filter import ReceiveFilter
from .steering import Steering


class Controls:
    """``has(feature)`` tells whether a feature is negotiated; ``mac`` is the device's own address."""

    def __init__(self, config: ConfigSpace, mac: bytes, queue_pairs: int, has: Callable[[Feature], bool]) -> None:
        self._config = config
        self._queue_pairs = queue_pairs
        self._has = has
        self.filter = ReceiveFilter(mac, has, self._show_mac)
        self.steering = Steering(queue_pairs, has)
        self._commands = ControlCommands(has, self.filter, self.steering, config)

    @property
    def virtqueue_pairs(self) -> int:
        """N of 5.1.2: how many receive and how many transmit virtqueues there are."""
        return self._queue_pairs if self._multiqueue else 1

    @property
    def receive_queues(self) -> int:
        """How many receive queues a flow filter rule can name (D69)."""
        return self.virtqueue_pairs if self._has(Feature.CTRL_VQ) else self._queue_pairs

    def execute(self, readable: bytes) -> ControlDone:
        """Carry out a command, whatever its device-readable part holds."""
        return self._commands.execute(readable)

    def reset(self) -> None:
        """Device reset: what the driver set is gone, its MAC address too (D121)."""
        self.filter.reset()
        self.steering.reset()
        self._config.reset()

    def apply(self, receiver: Receiver) -> None:
        """Let ``receiver`` do as the driver said."""
        steering = self.steering
        receiver.admission = self.filter.compiled()
        receiver.steering = steering if steering.active() else None
        receiver.queues = steering.receive_queues if self._multiqueue else self.receive_queues

    def state(self) -> tuple[object, ...]:
        """All that commands and packets can change."""
        return self.filter.state(), self.steering.state()

    @property
    def _multiqueue(self) -> bool:
        return self._has(Feature.MQ) or self._has(Feature.RSS)

    def _show_mac(self, mac: bytes) -> None:
        if self._has(Feature.MAC):
            self._config.set_mac(mac)
