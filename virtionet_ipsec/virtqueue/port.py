"""A driver's port through real rings: what a :class:`~virtionet_ipsec.driver.Driver` and the conformance suite drive.

    Driver, or suite -- QueuePort -- rings and buffers in memory -- Transport -- device

Packets and commands go through virtqueues; the transport carries the rest:
status, features, configuration space, notifications, and what passes on the
wire.  One thing is done at a time: a call returns when the device is done with
it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..device import Received
from ..wire.enums import Feature, Status
from .driver_side import DriverSide, Receiver, Sender
from .transport import NotUsed, RingFailed, Transport, Unobservable

_TRANSMIT_ROOM = 1 << 18
_COMMAND_ROOM = 1 << 18
_RECEIVE_ROOM = 1 << 22
"""Octets of memory for the buffers of one queue of each kind."""

_CUT = 12
"""Octets of a transmit buffer's first element; the rest is another: a device must not count on framing (2.7.4)."""


@dataclass(frozen=True, slots=True)
class Rings:
    """What the driver wants of its rings.  It accepts those of the features that are offered; ``size`` is 2**n."""

    packed: bool = False
    indirect: bool = True
    event_idx: bool = True
    in_order: bool = False
    size: int = 256

    @property
    def features(self) -> int:
        wanted = (
            (self.packed, Feature.RING_PACKED),
            (self.indirect, Feature.INDIRECT_DESC),
            (self.event_idx, Feature.EVENT_IDX),
            (self.in_order, Feature.IN_ORDER),
            (True, Feature.RING_RESET),
        )
        return sum(1 << feature for want, feature in wanted if want)


class QueuePort:
    """Drives the device behind ``transport`` through ``rings``.  Raises :class:`RingFailed`, and what that raises.

    The features that rings are about are the port's matter: it accepts what it wants of them with what the driver
    accepts, as a bus of an operating system does; a driver may accept more of them.
    """

    def __init__(self, transport: Transport, rings: Rings | None = None) -> None:
        self.transport = transport
        self._rings = rings if rings is not None else Rings()
        self._receive_buffer_size = 1 << 17
        self._features = 0
        self._features_ok = self._live = False
        self.control_left_alone = False
        """Whether it has turned out that the control virtqueue is somebody else's to serve."""
        self._sides: dict[int, DriverSide] = {}
        self._senders: dict[int, Sender] = {}
        self._receivers: dict[int, Receiver] = {}  # by number: receiveq1 is 0

    def rings(self, wanted: Rings) -> QueuePort:
        """The same device, reset, behind rings of another kind."""
        self.set_status(0)
        return QueuePort(self.transport, wanted)

    # -- what the transport carries ------------------------------------------------------------------------------

    @property
    def features(self) -> int:
        return self.transport.features

    @property
    def last_refusal(self) -> str:
        return self.transport.last_refusal

    def read_config(self, offset: int, length: int) -> bytes:
        return self.transport.read_config(offset, length)

    def set_driver_features(self, value: int) -> None:
        value |= self._rings.features & self.transport.features
        self.transport.set_driver_features(value)
        if not self._features_ok:
            self._features = value

    @property
    def status(self) -> int:
        return self.transport.status

    def set_status(self, value: int) -> None:
        """Queues are set up when the device has taken the features, and live from DRIVER_OK to reset."""
        transport = self.transport
        if not value:
            transport.set_status(0)
            self._forget()
            return
        if value & Status.DRIVER_OK and not self._live:
            self._withdraw()
        transport.set_status(value)
        status = transport.status
        self._features_ok = bool(status & Status.FEATURES_OK)
        live = bool(status & Status.DRIVER_OK)
        if self._features_ok and (live or transport.early) and not self._senders:
            self._set_up()
        if live and not self._live:
            self._live = True
            for receiver in self._receivers.values():
                transport.kick(receiver.queue.index)

    def _forget(self) -> None:
        self._features_ok = self._live = False
        self._features = 0
        self._sides.clear()
        self._senders.clear()
        self._receivers.clear()
        self.transport.arena.taken = 0

    # -- queues --------------------------------------------------------------------------------------------------

    def _has(self, feature: Feature) -> bool:
        return bool(self._features >> feature & 1)

    def _set_up(self) -> None:
        """All queues of the negotiated features (5.1.2, 5.1.5)."""
        pairs = self.transport.queue_pairs if self._has(Feature.MQ) or self._has(Feature.RSS) else 1
        for number in range(pairs):
            receive = self._queue(2 * number, _RECEIVE_ROOM)
            self._receivers[number] = Receiver(receive, self._receive_buffer_size)
            self._senders[2 * number + 1] = Sender(self._queue(2 * number + 1, _TRANSMIT_ROOM))
        if self._has(Feature.CTRL_VQ):
            self._senders[self._control_index] = Sender(self._queue(self._control_index, _COMMAND_ROOM))
        if self.transport.admin_index is not None and self._has(Feature.ADMIN_VQ):
            index = self.transport.admin_index
            self._senders[index] = Sender(self._queue(index, _COMMAND_ROOM))

    def _queue(self, index: int, room: int) -> DriverSide:
        """Virtqueue ``index``, with ``room`` octets for its buffers."""
        side = self._sides[index] = DriverSide(index, self._rings.size, self._features, room, self.transport)
        return side

    def driver_side(self, index: int) -> DriverSide:
        """Virtqueue ``index``, for who wants to do more than one thing at a time with it.  KeyError without it."""
        return self._sides[index]

    @property
    def bases(self) -> dict[int, int]:
        """Where each virtqueue goes on with a device that takes this one's place."""
        return {index: side.ring.base for index, side in self._sides.items()}

    @property
    def _control_index(self) -> int:
        multiqueue = self._has(Feature.MQ) or self._has(Feature.RSS)
        return 2 * self.transport.queue_pairs if multiqueue else 2

    def _withdraw(self) -> None:
        """Take back what was made available before DRIVER_OK: it would be old when the device gets to it."""
        for sender in self._senders.values():
            if sender.pending:
                sender.queue.restart()
                sender.pending = False

    def _exchange(self, index: int, readable: bytes, room: int, cut: int) -> bytes | None:
        """Send one buffer through virtqueue ``index``; gives what was written, None when the device left it alone."""
        sender = self._senders.get(index)
        if sender is None or not len(readable) + room:
            return None
        if sender.pending:
            sender.queue.restart()
        sender.place(readable, room, cut)
        sender.queue.show(kick=self._live)
        used: list[tuple[object, int]] = []

        def ready() -> bool:
            used.extend(sender.queue.used())
            return bool(used)

        if not self.transport.wait(ready, must=self._live):
            if self._live and not self.transport.status & Status.DEVICE_NEEDS_RESET:
                raise NotUsed(f"virtqueue {index}: the device does not use a buffer that is available")
            return None
        sender.pending = False
        if not self._live:
            raise RingFailed(f"virtqueue {index}: the device used a buffer before DRIVER_OK")
        ((_, written),) = used
        if written > room:
            raise RingFailed(f"virtqueue {index}: {written} octets are written where there is room for {room}")
        return sender.answer(written, len(readable))

    def admin(self, readable: bytes, writable_len: int = 65536) -> bytes:
        if self.transport.admin_index is None:
            return self.transport.admin(readable, writable_len)
        return self._exchange(self.transport.admin_index, readable, writable_len, len(readable)) or b""

    def control(self, readable: bytes, writable_len: int = 1) -> bytes:
        """One command of the control virtqueue; the header, class and command, is an element of its own (5.1.9.5)."""
        if not self._has(Feature.CTRL_VQ):
            return b""
        if not self.control_left_alone:
            try:
                return self._exchange(self._control_index, readable, writable_len, 2) or b""
            except NotUsed:
                if not self.transport.control_elsewhere:
                    raise
                self.control_left_alone = True
        raise Unobservable("the device leaves the control virtqueue alone: another may have to serve it (D154)")

    # -- packets -------------------------------------------------------------------------------------------------

    def transmit(self, buffer: bytes, queue: int = 0) -> tuple[bytes, ...]:
        self.transport.frames()  # what left late, and nobody waited for
        self._exchange(2 * queue + 1, bytes(buffer), 0, _CUT)
        return self.transport.frames()

    def receive(self, frame: bytes) -> Received | None:
        receivers = self._receivers
        for receiver in receivers.values():
            receiver.resize(self._receive_buffer_size)
            receiver.take()  # what came late, and nobody waited for
        self.transport.arrive(frame)
        found: list[Received] = []

        def ready() -> bool:
            for number, receiver in receivers.items():
                if buffers := receiver.take():
                    found.append(Received(number, buffers))
            return bool(found)

        if not self.transport.wait(ready, must=False):
            return None
        if len(found) > 1:
            raise RingFailed(f"receive queues {', '.join(str(each.queue + 1) for each in found)} all got one frame")
        return found[0]

    @property
    def receive_buffer_size(self) -> int:
        return self._receive_buffer_size

    @receive_buffer_size.setter
    def receive_buffer_size(self, size: int) -> None:
        self._receive_buffer_size = size
