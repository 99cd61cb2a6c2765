"""A network device on its virtqueues (virtio 1.4, 5.1.2 Virtqueues, 2.13 Administration Virtqueues).

:class:`NetQueues` moves octets between the buffers of the rings and the calls
of :class:`~virtionet_ipsec.device.Device`.  It does no I/O: whoever owns it
says when the driver kicked a queue and when frames arrived, and is told whom
to notify.

    transmitq  take chains -> Device.transmit -> frames to ``send`` -> used
    receiveq   frame -> Device.receive -> (queue, header + frame) -> chains -> used
    controlq   take a chain -> Device.control -> used; the administration virtqueue likewise with Device.admin
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from ..device import Device, Reason, Received, Refused
from ..device.events import BufferRefused
from ..wire.enums import Feature
from .queue import Chain, DeviceQueue

_BATCH = 64
"""Buffers that one call of :meth:`NetQueues.service` handles at the most: no queue starves the others."""

_COMMANDS = 8
"""The same for queues of commands, each of which may take as long as hundreds of packets."""

_PATIENCE = 2
"""How often receive buffers of no use are taken while frames arrive: a driver can make each time last as long as it
takes to look at some ten thousand descriptors."""

_NUM_BUFFERS = 10  # offset in virtio_net_hdr
_MOST_BUFFERS = 0xFFFF  # what num_buffers can say

# A NamedTuple's own __new__ takes its arguments apart and costs three times as much.
_received = tuple.__new__


class QueuesOwner(Protocol):
    """Who owns the queues: where frames go, and who is to be notified."""

    def send(self, frames: Sequence[bytes]) -> object:
        """Frames leave for the wire, in this order."""

    def notify(self, index: int) -> None:
        """The driver wants to know that buffers of virtqueue ``index`` were used."""

    def broken(self, index: int, why: str) -> None:
        """Virtqueue ``index`` is beyond use; the device has set DEVICE_NEEDS_RESET."""


class _ReceiveQueue:
    """A receive queue: ``stock`` are chains that were taken and not used yet, the next one last.

    ``patience`` is how often it may still give chains of no use, which may be long, before others have their turn.
    """

    __slots__ = ("done", "index", "patience", "queue", "stock")

    def __init__(self, index: int, queue: DeviceQueue) -> None:
        self.index = index
        self.queue = queue
        self.stock: list[Chain] = []
        self.done: list[tuple[Chain, int]] = []
        self.patience = _PATIENCE


class NetQueues:
    """The virtqueues of ``device``, which has ``queue_pairs`` pairs of them, by virtqueue index.

    Only one may be made for a device: it is what ``device.place`` calls.
    """

    def __init__(self, device: Device, owner: QueuesOwner, queue_pairs: int = 1) -> None:
        self.device = device
        self.queue_pairs = queue_pairs
        self._owner = owner
        self._queues: dict[int, DeviceQueue] = {}
        self._receive: dict[int, _ReceiveQueue] = {}  # by number of the receive queue, from 0
        self._disabled: set[int] = set()
        self._service: dict[int, Callable[[int, DeviceQueue], bool]] = {}
        self._mergeable = False
        device.place = self._place

    @property
    def control_index(self) -> int:
        """The index of the control virtqueue: behind all pairs with MQ or RSS, else behind the first (5.1.2)."""
        multiqueue = self.device.negotiated & (1 << Feature.MQ | 1 << Feature.RSS)
        return 2 * self.queue_pairs if multiqueue else 2

    @property
    def admin_index(self) -> int:
        """The index of the administration virtqueue, which is for the transport to tell (2.13)."""
        return 2 * self.queue_pairs + 1

    def attach(self, index: int, queue: DeviceQueue) -> None:
        """Virtqueue ``index`` is set up; to be called when features are negotiated."""
        self.detach(index)
        self._queues[index] = queue
        self._mergeable = bool(self.device.negotiated >> Feature.MRG_RXBUF & 1)
        if index == self.control_index:
            self._service[index] = self._control
        elif index == self.admin_index:
            self._service[index] = self._admin
        elif index % 2:
            self._service[index] = self._transmit
        else:
            self._receive[index // 2] = _ReceiveQueue(index, queue)
            self._service[index] = self._refilled
            self.device.set_queue_down(index // 2, index in self._disabled)
        if queue.interrupt_wanted():  # whoever had the rings before us may not have come to it
            self._owner.notify(index)

    def detach(self, index: int) -> DeviceQueue | None:
        """Virtqueue ``index`` is gone; gives what it was, with nothing taken and not used, or None."""
        queue = self._queues.pop(index, None)
        self._service.pop(index, None)
        receive = self._receive.pop(index // 2, None) if not index % 2 else None
        if receive is not None:
            self._flush(receive)
            if receive.stock:
                receive.queue.untake(receive.stock[::-1])
            self.device.set_queue_down(index // 2, True)
        return queue

    def enable(self, index: int, enabled: bool) -> None:
        """A disabled receive queue gets no packets; what lies in a disabled transmit queue is thrown away."""
        if enabled:
            self._disabled.discard(index)
        else:
            self._disabled.add(index)
        if not index % 2 and index // 2 in self._receive:
            self.device.set_queue_down(index // 2, not enabled)

    def service(self, index: int) -> bool:
        """The driver kicked virtqueue ``index``.  True when more is to be done: call again, others first."""
        queue = self._queues.get(index)
        if queue is None:
            return False
        more = self._service[index](index, queue)
        if queue.broken:
            self._break(index, queue)
            return False
        return more

    def arrive(self, frames: Iterable[bytes]) -> None:
        """Frames from the wire; the driver is notified once for all of them."""
        receive = self.device.receive
        for frame in frames:
            receive(frame)
        for queue in list(self._receive.values()):
            queue.patience = _PATIENCE
            if queue.done:
                self._flush(queue)
            if queue.queue.broken:
                self._break(queue.index, queue.queue)

    def _break(self, index: int, queue: DeviceQueue) -> None:
        self.detach(index)
        self.device.needs_reset(f"virtqueue {index}: {queue.broken}")
        self._owner.broken(index, queue.broken)

    # -- transmit ------------------------------------------------------------------------------------------------

    def _transmit(self, index: int, queue: DeviceQueue) -> bool:
        chains = queue.take(_BATCH)
        if chains:
            # A backend that is killed has to know afterwards what it had sent: then each buffer is finished by itself.
            for part in [[chain] for chain in chains] if queue.inflight is not None else [chains]:
                if index not in self._disabled:
                    self._send(index, part)
                queue.finish([(chain, 0) for chain in part])
            if queue.interrupt_wanted():
                self._owner.notify(index)
        return len(chains) == _BATCH or queue.ask_for_kicks(True)

    def _send(self, index: int, chains: Sequence[Chain]) -> None:
        transmit, pair = self.device.transmit, index // 2
        frames: list[bytes] = []
        for chain in chains:
            if chain.refused:
                self._refuse(index, chain)
            else:
                frames += transmit(chain.readable, pair)
        if frames:
            self._owner.send(frames)

    # -- receive -------------------------------------------------------------------------------------------------

    def _refilled(self, _: int, queue: DeviceQueue) -> bool:
        """More receive buffers: they are looked at when a frame comes, and until then no more kicks are wanted."""
        queue.ask_for_kicks(False)
        return False

    def _place(self, number: int, data: bytes) -> Received:
        """``Device.place``: header and frame, ``data``, in buffers of receive queue ``number``."""
        receive = self._receive.get(number)
        if receive is None or receive.index in self._disabled:
            raise Refused(Reason.NO_BUFFER, f"receiveq{number + 1} is not enabled")
        stock, length = receive.stock, len(data)
        chain = stock.pop() if stock else self._next(receive)
        if chain is not None and not chain.refused and length <= chain.writable_len:
            first = chain.writable[0]
            if length <= len(first):
                first[:length] = data
            else:
                _scatter(chain, data)
            receive.done.append((chain, length))
            return _received(Received, (number, (data,)))
        return self._place_slowly(number, receive, chain, data)

    def _next(self, receive: _ReceiveQueue) -> Chain | None:
        """The next chain that the driver made available, if there is one."""
        if not receive.stock and receive.patience:
            receive.stock = receive.queue.take(_BATCH)[::-1]
            if not all(map(_usable, receive.stock)):
                receive.patience -= 1
            if self.device.on_exchange is not None and receive.stock:
                self._tell_sizes(receive.stock)
        return receive.stock.pop() if receive.stock else None

    def _tell_sizes(self, chains: list[Chain]) -> None:
        """Who watches the exchanges hears how large the driver's receive buffers are, when that changes."""
        sizes = [chain.writable_len for chain in chains if not chain.refused]
        if sizes and min(sizes) != self.device.receive_buffer_size:
            self.device.receive_buffer_size = min(sizes)

    def _place_slowly(self, number: int, receive: _ReceiveQueue, chain: Chain | None, data: bytes) -> Received:
        """The same when the first chain does not do: it is missing, malformed or too small."""
        gathered: list[Chain] = []
        room, length, refused = 0, len(data), 0
        while chain is not None:
            if not _usable(chain):
                refused += 1
                if gathered:  # those before it may have to go back, and then it has to go with them
                    gathered.append(chain)
                else:
                    self._give_back(receive, chain)
                if refused == _BATCH:
                    break
            else:
                gathered.append(chain)
                room += chain.writable_len
                if room >= length or not self._mergeable or len(gathered) == _MOST_BUFFERS:
                    break
            chain = self._next(receive)
        if room < length:
            receive.stock += gathered[::-1]
            held = f"{room} octets" if gathered else "none"
            raise Refused(
                Reason.NO_BUFFER, f"header and frame are {length} octets, receiveq{number + 1} has room for {held}"
            )
        count = sum(1 for chain in gathered if _usable(chain))
        data = data[:_NUM_BUFFERS] + count.to_bytes(2, "little") + data[_NUM_BUFFERS + 2 :]
        parts = []
        for chain in gathered:
            if not _usable(chain):
                self._give_back(receive, chain)
                continue
            part, data = data[: chain.writable_len], data[chain.writable_len :]
            _scatter(chain, part)
            receive.done.append((chain, len(part)))
            parts.append(part)
        return Received(number, tuple(parts))

    def _give_back(self, receive: _ReceiveQueue, chain: Chain) -> None:
        self._refuse(receive.index, chain)
        receive.done.append((chain, 0))

    def _flush(self, receive: _ReceiveQueue) -> None:
        if receive.done:
            receive.queue.finish(receive.done)
            receive.done = []
            if receive.queue.interrupt_wanted():
                self._owner.notify(receive.index)

    # -- commands ------------------------------------------------------------------------------------------------

    def _control(self, index: int, queue: DeviceQueue) -> bool:
        return self._commands(index, queue, self.device.control)

    def _admin(self, index: int, queue: DeviceQueue) -> bool:
        return self._commands(index, queue, self.device.admin)

    def _commands(self, index: int, queue: DeviceQueue, execute: Callable[[bytes, int], bytes]) -> bool:
        chains = queue.take(_COMMANDS)
        for chain in chains:
            written = b""
            if chain.refused:
                self._refuse(index, chain)
            else:
                written = execute(chain.readable, chain.writable_len)
                _scatter(chain, written)
            queue.finish([(chain, len(written))])
        if chains and queue.interrupt_wanted():
            self._owner.notify(index)
        return len(chains) == _COMMANDS or queue.ask_for_kicks(True)

    def _refuse(self, index: int, chain: Chain) -> None:
        """The chain goes back to the driver unused; why is counted and told."""
        why = chain.refused or "no room for the device to write"
        self.device.counters.buffers_refused += 1
        if self.device.observer is not None:
            self.device.observer(BufferRefused(index, why))


def _usable(chain: Chain) -> bool:
    """Whether a packet, or a part of one, can be put there."""
    return not chain.refused and chain.writable_len > 0


def _scatter(chain: Chain, data: bytes) -> None:
    """``data`` over the device-writable parts of ``chain``, in their order; it fits."""
    for part in chain.writable:
        if not data:
            return
        piece, data = data[: len(part)], data[len(part) :]
        part[: len(piece)] = piece
