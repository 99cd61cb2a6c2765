"""One front end's connection: what its messages do (vhost-user.rst, "Front-end message types").

A message has a row in :data:`_HANDLING`: its payload, what is done, and whether
it has an answer of its own.  What cannot be done is answered as the protocol
asks where the front end wants an answer (REPLY_ACK); where it does not, the
connection ends, for the front end would go on as if it had been done.

A front end that negotiated STATUS writes the device status itself.  For the
others the session does what their driver did: FEATURES_OK with SET_FEATURES,
DRIVER_OK when the first ring starts.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from typing import Any

from ..device import Device
from ..virtqueue.inflight import inflight_size
from ..virtqueue.memory import OutsideMemory
from ..virtqueue.net import NetQueues
from ..wire.enums import Feature, Status
from ..wire.features import unmet_requirements
from .channel import Channel, Closed, close_all
from .messages import (
    INDEX_MASK,
    MOST_CONFIG,
    NO_FD,
    PROTOCOL_FEATURES_BIT,
    U64,
    BackendRequest,
    Config,
    InflightDescription,
    MemTable,
    Message,
    ProtocolFeature,
    Request,
    SingleMemRegion,
    VringAddr,
    VringState,
    decode,
    encode,
    mask,
    reply,
    u64,
)
from .regions import MOST_REGIONS, Regions, map_file, map_region
from .ring import NO_DESCRIPTOR
from .vrings import MOST_QUEUE_SIZE, Loop, Vrings

OFFERED = mask(tuple(ProtocolFeature))
"""The protocol features offered: all that are named here."""

_MESSAGES = 32  # that are carried out before others have their turn

# Features that the connection cannot carry, or has no queue for: they are accepted beside it.
_BESIDE = ((1 << 64) - 1) << 64 | 1 << Feature.ADMIN_VQ
_DRIVER_THERE = Status.ACKNOWLEDGE | Status.DRIVER

_Answer = tuple[bytes, tuple[int, ...]] | None  # payload and descriptors, which are closed when they are sent


class Session:
    """``channel`` is its own from here on; ``tell`` is given lines for the person who runs the back end."""

    def __init__(
        self, channel: Channel, loop: Loop, device: Device, queues: NetQueues, tell: Callable[[str], object]
    ) -> None:
        self._channel = channel
        self._device = device
        self._queue_pairs = queues.queue_pairs
        self._tell = tell
        self._protocol_features = 0
        self._requests = NO_DESCRIPTOR  # where CONFIG_CHANGE_MSG goes
        self.vrings = Vrings(device, queues, loop, tell)
        self._upper_features = 0

    def accept_upper(self, features: int) -> None:
        """What the driver accepts beside the connection.  Raises ValueError for what is not to be accepted there."""
        if strange := features & ~(self._device.features & _BESIDE):
            raise ValueError(f"features {strange:#x} are not offered beside the connection")
        self._upper_features = features

    def readable(self) -> None:
        """Carry out what the front end sent, so much of it that others have their turn.  Raises :class:`Closed`."""
        for _ in range(_MESSAGES):
            message = self._channel.receive()
            if message is None:
                return
            fds = list(message.fds)
            try:
                self._carry_out(message, fds)
            finally:
                close_all(fds)  # those that the handler did not take

    def _carry_out(self, message: Message, fds: list[int]) -> None:
        row = _HANDLING.get(message.request)
        try:
            if row is None:
                raise ValueError("nothing that was offered asks for it")
            structure, handler = row
            answer = handler(self, decode(structure, message.payload) if structure is not None else None, fds)
        except (ValueError, OSError, OutsideMemory) as error:
            self._tell(f"{message.name} refused: {error}")
            if message.request in _ANSWERED or not self._wants_ack(message):
                raise Closed(f"{message.name}: {error}") from None
            answer = u64(1), ()
        else:
            if answer is None and self._wants_ack(message):
                answer = u64(0), ()
        if answer is not None:
            payload, sent = answer
            try:
                self._channel.send(reply(message.request, payload), sent)
            finally:
                close_all(sent)

    def _wants_ack(self, message: Message) -> bool:
        """Asked when the message has been carried out: the one that negotiates REPLY_ACK may ask for an answer."""
        return message.need_reply and self._has(ProtocolFeature.REPLY_ACK)

    def _has(self, feature: ProtocolFeature) -> bool:
        return bool(self._protocol_features >> feature & 1)

    def close(self) -> None:
        """The front end is gone: the device is reset, and nothing of the front end's is kept."""
        self.vrings.close()
        self._device.set_status(0)
        close_all([self._requests])
        self._channel.close()

    # -- features, status, configuration -------------------------------------------------------------------------

    @property
    def _offered(self) -> int:
        return self._device.features & ~_BESIDE | PROTOCOL_FEATURES_BIT

    def _get_features(self, _: Any, __: list[int]) -> _Answer:
        return u64(self._offered), ()

    def _set_features(self, fields: Any, _: list[int]) -> None:
        if strange := fields.u64 & ~self._offered:
            raise ValueError(f"features {strange:#x} were not offered")
        vrings, device = self.vrings, self._device
        accepted = fields.u64 & ~PROTOCOL_FEATURES_BIT | self._upper_features
        if accepted == vrings.features and device.status & Status.FEATURES_OK:
            return  # some say it once for every pair of queues
        if device.status & Status.FEATURES_OK and vrings.running:
            raise ValueError("features cannot change while virtqueues run")
        vrings.features = accepted
        vrings.begin_enabled = not fields.u64 & PROTOCOL_FEATURES_BIT
        if self._has(ProtocolFeature.STATUS):
            if device.status & Status.FEATURES_OK:  # the driver began anew, and nobody wrote 0 to the status
                device.set_status(0)
                device.set_status(_DRIVER_THERE)
            device.set_driver_features(_for_the_device(accepted))
            return
        vrings.stop_all()
        device.set_status(0)
        device.set_status(_DRIVER_THERE)
        device.set_driver_features(_for_the_device(accepted))
        device.set_status(_DRIVER_THERE | Status.FEATURES_OK)
        if not device.status & Status.FEATURES_OK:
            raise ValueError(device.last_refusal)
        device.set_status(device.status | Status.DRIVER_OK)
        vrings.start_all()

    def _get_protocol_features(self, _: Any, __: list[int]) -> _Answer:
        return u64(OFFERED), ()

    def _set_protocol_features(self, fields: Any, _: list[int]) -> None:
        if strange := fields.u64 & ~OFFERED:
            raise ValueError(f"protocol features {strange:#x} were not offered")
        self._protocol_features = fields.u64

    def _get_status(self, _: Any, __: list[int]) -> _Answer:
        return u64(self._device.status), ()

    def _set_status(self, fields: Any, _: list[int]) -> None:
        if fields.u64 > 0xFF:
            raise ValueError(f"device status {fields.u64:#x} is not one octet")
        if not fields.u64:
            self._reset_device(None, [])
            return
        before = self._device.status
        self._device.set_status(fields.u64)
        if self._device.status & ~before & Status.DRIVER_OK:
            self.vrings.start_all()

    def _reset_device(self, _: Any, __: list[int]) -> None:
        self.vrings.reset()
        self._device.set_status(0)

    def _nothing(self, _: Any, __: list[int]) -> None:
        """SET_OWNER and RESET_OWNER ask for nothing."""

    def _get_config(self, fields: Any, _: list[int]) -> _Answer:
        size = fields.size
        if size > MOST_CONFIG:
            return b"", ()  # how the protocol says no
        # Of one length with the request: what lies behind our structure reads as zeros.
        data = self._device.read_config(fields.offset, size).ljust(size, b"\0")
        return Config.build({"offset": fields.offset, "size": size, "flags": fields.flags, "data": data}), ()

    def _set_config(self, _: Any, __: list[int]) -> None:
        raise ValueError("a network device's configuration has no field that a driver may write (5.1.4)")

    def _set_backend_req_fd(self, _: Any, fds: list[int]) -> None:
        fd = _only(fds)
        os.set_blocking(fd, False)
        close_all([self._requests])
        self._requests = fds.pop()

    def config_changed(self) -> None:
        """Tell the front end that the configuration space changed, if it left us a way."""
        if self._requests == NO_DESCRIPTOR:
            return
        try:  # a socket, or a pipe: no answer is asked for, so that either will do
            os.write(self._requests, encode(BackendRequest.CONFIG_CHANGE_MSG, b""))
        except OSError as error:
            self._tell(f"the front end was not told of a change of configuration ({error.strerror})")

    # -- memory --------------------------------------------------------------------------------------------------

    def _set_mem_table(self, fields: Any, fds: list[int]) -> None:
        if len(fds) < fields.num_regions:
            raise ValueError(f"{fields.num_regions} memory regions, and {len(fds)} file descriptors")
        regions = (map_region(region, fd) for region, fd in zip(fields.regions, fds, strict=False))
        self.vrings.remap(Regions(tuple(regions)))

    def _get_max_mem_slots(self, _: Any, __: list[int]) -> _Answer:
        return u64(MOST_REGIONS), ()

    def _add_mem_reg(self, fields: Any, fds: list[int]) -> None:
        self.vrings.remap(self.vrings.regions.added(map_region(fields.region, _only(fds))))

    def _rem_mem_reg(self, fields: Any, _: list[int]) -> None:
        self.vrings.remap(self.vrings.regions.removed(fields.region))

    # -- rings ---------------------------------------------------------------------------------------------------

    def _get_queue_num(self, _: Any, __: list[int]) -> _Answer:
        return u64(self._queue_pairs), ()

    def _set_vring_num(self, fields: Any, _: list[int]) -> None:
        self.vrings.set_size(fields.index, fields.num)

    def _set_vring_addr(self, fields: Any, _: list[int]) -> None:
        self.vrings.set_addresses(fields.index, fields)

    def _set_vring_base(self, fields: Any, _: list[int]) -> None:
        self.vrings.set_base(fields.index, fields.num)

    def _get_vring_base(self, fields: Any, _: list[int]) -> _Answer:
        base = self.vrings.get_base(fields.index)
        # Without STATUS, a driver that lets go of its device says no more than this.
        if not self._has(ProtocolFeature.STATUS) and not self.vrings.running:
            self._device.set_status(0)
        return VringState.build({"index": fields.index, "num": base}), ()

    def _set_vring_kick(self, fields: Any, fds: list[int]) -> None:
        if fields.u64 & NO_FD:
            raise ValueError("a ring without a kick would have to be polled, which is not done here")
        self.vrings.set_kick(fields.u64 & INDEX_MASK, _only(fds))
        fds.clear()  # it is the ring's now

    def _set_vring_call(self, fields: Any, fds: list[int]) -> None:
        self._set_signal("call", fields.u64, fds)

    def _set_vring_err(self, fields: Any, fds: list[int]) -> None:
        self._set_signal("err", fields.u64, fds)

    def _set_signal(self, which: str, value: int, fds: list[int]) -> None:
        ring = self.vrings[value & INDEX_MASK]
        if value & NO_FD:
            ring.replace(which, NO_DESCRIPTOR)
            return
        ring.replace(which, _only(fds))
        fds.clear()
        if which == "call" and ring.index in self.vrings.running:
            self.vrings.notify(ring.index)  # what was used before had nobody to be told; once too often does no harm

    def _set_vring_enable(self, fields: Any, _: list[int]) -> None:
        self.vrings.set_enabled(fields.index, bool(fields.num))

    # -- in flight -----------------------------------------------------------------------------------------------

    def _get_inflight_fd(self, fields: Any, _: list[int]) -> _Answer:
        """A region for the state of buffers in flight: it is the front end's to keep, and to give back."""
        each = self._inflight_size(fields)
        size = each * fields.num_queues
        fd = os.memfd_create("virtionet-ipsec-inflight", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.truncate(fd, size)
            # The front end gets it: what it cut off would be missing under our feet.
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
            self.vrings.use_inflight(map_file(fd, 0, size), each)
        except (OSError, ValueError):
            os.close(fd)
            raise
        given = {"mmap_size": size, "mmap_offset": 0, "num_queues": fields.num_queues, "queue_size": fields.queue_size}
        return InflightDescription.build(given), (fd,)

    def _set_inflight_fd(self, fields: Any, fds: list[int]) -> None:
        each = self._inflight_size(fields)
        size = each * fields.num_queues
        if fields.mmap_size < size:
            raise ValueError(f"{fields.mmap_size} octets in flight, and {fields.num_queues} queues need {size}")
        self.vrings.use_inflight(map_file(_only(fds), fields.mmap_offset, size), each)

    def _inflight_size(self, fields: Any) -> int:
        if not 0 < fields.num_queues <= len(self.vrings):
            raise ValueError(f"{fields.num_queues} queues in flight, and there are {len(self.vrings)}")
        if not 0 < fields.queue_size <= MOST_QUEUE_SIZE:
            raise ValueError(f"a queue size of {fields.queue_size} is not in 1 to {MOST_QUEUE_SIZE}")
        return inflight_size(fields.queue_size, packed=bool(self.vrings.features >> Feature.RING_PACKED & 1))


def _for_the_device(features: int) -> int:
    """Without those that the front end sees to itself: it keeps the control queue, and what that controls."""
    for feature, any_of in unmet_requirements(features):
        if Feature.CTRL_VQ in any_of:
            features &= ~(1 << feature)
    return features


def _only(fds: list[int]) -> int:
    if len(fds) != 1:
        raise ValueError(f"{len(fds)} file descriptors, where there is to be one")
    return fds[0]


_HANDLING: dict[int, tuple[Any, Callable[[Session, Any, list[int]], _Answer]]] = {
    Request.GET_FEATURES: (None, Session._get_features),
    Request.SET_FEATURES: (U64, Session._set_features),
    Request.SET_OWNER: (None, Session._nothing),
    Request.RESET_OWNER: (None, Session._nothing),
    Request.SET_MEM_TABLE: (MemTable, Session._set_mem_table),
    Request.SET_VRING_NUM: (VringState, Session._set_vring_num),
    Request.SET_VRING_ADDR: (VringAddr, Session._set_vring_addr),
    Request.SET_VRING_BASE: (VringState, Session._set_vring_base),
    Request.GET_VRING_BASE: (VringState, Session._get_vring_base),
    Request.SET_VRING_KICK: (U64, Session._set_vring_kick),
    Request.SET_VRING_CALL: (U64, Session._set_vring_call),
    Request.SET_VRING_ERR: (U64, Session._set_vring_err),
    Request.GET_PROTOCOL_FEATURES: (None, Session._get_protocol_features),
    Request.SET_PROTOCOL_FEATURES: (U64, Session._set_protocol_features),
    Request.GET_QUEUE_NUM: (None, Session._get_queue_num),
    Request.SET_VRING_ENABLE: (VringState, Session._set_vring_enable),
    Request.SET_BACKEND_REQ_FD: (None, Session._set_backend_req_fd),
    Request.GET_CONFIG: (Config, Session._get_config),
    Request.SET_CONFIG: (Config, Session._set_config),
    Request.GET_INFLIGHT_FD: (InflightDescription, Session._get_inflight_fd),
    Request.SET_INFLIGHT_FD: (InflightDescription, Session._set_inflight_fd),
    Request.RESET_DEVICE: (None, Session._reset_device),
    Request.GET_MAX_MEM_SLOTS: (None, Session._get_max_mem_slots),
    Request.ADD_MEM_REG: (SingleMemRegion, Session._add_mem_reg),
    Request.REM_MEM_REG: (SingleMemRegion, Session._rem_mem_reg),
    Request.SET_STATUS: (U64, Session._set_status),
    Request.GET_STATUS: (None, Session._get_status),
}
"""Payload and what is done; the handler takes descriptors out of the list it is given, or leaves them to be closed."""

_ANSWERED = frozenset(request for request in Request if request.name.startswith("GET_"))
"""The messages that have an answer of their own."""
