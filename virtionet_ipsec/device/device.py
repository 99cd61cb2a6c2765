"""The network device (virtio 1.4, 5.1), put together from its parts.

Status and features are in :mod:`.negotiation`, administration commands in
:mod:`.admin` and what it dispatches to, those of the control virtqueue in
:mod:`.controls`, packets in :mod:`.transmit` and
:mod:`.receive`.  The device does no I/O: methods take bytes and return bytes,
and tell their steps to ``observer``.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from functools import partial

from ..ipsec import InboundSa, Observer, OutboundSa, Reason, Refused
from ..wire.enums import CtrlAck, Feature, NetStatus, Opcode, ResourceType, Status
from ..wire.net_hdr import HdrLayout
from ..wire.profile import Profile
from .admin import AdminCommands
from .capabilities import Capabilities, CapabilityCommands
from .config import ConfigSpace, net_config
from .controls import Controls
from .counters import Counters
from .digest import digest
from .ethernet import ip_offset
from .events import (
    AdminCompleted,
    AdminNotConsumed,
    ConfigChanged,
    ControlCompleted,
    ControlNotConsumed,
    DeviceReset,
    DriverFeaturesIgnored,
    FeaturesAccepted,
    FeaturesRefused,
    NeedsReset,
    StatusBitsIgnored,
    StatusChanged,
)
from .exchanges import (
    Arrived,
    BuffersSized,
    Commanded,
    ConfigRead,
    Controlled,
    FeaturesWritten,
    Listener,
    StatusWritten,
    Transmitted,
)
from .ff_objects import ClassifierObjects, GroupObjects, RuleObjects
from .flow_filter import FlowTable
from .limits import Limits
from .negotiation import Negotiation, check_offered, default_features
from .packet_events import Dropped
from .receive import Place, Received, Receiver
from .resources import ResourceObjects
from .sa_objects import InboundSaObjects, OutboundSaObjects
from .sa_params import ModelExtras
from .steering import Steering
from .transmit import Transmitter

DEFAULT_MAC = bytes.fromhex("525400000001")

_NOT_READY = Refused(Reason.NOT_READY, "DRIVER_OK is not set")


class Device:
    """A network device with inline IPsec.

    ``features`` is the mask of offered feature bits, None the model's own
    choice; ``mtu`` counts octets of an IP packet, and so does ``wire_mtu``, what
    a driver may send that did not negotiate VIRTIO_NET_F_MTU and so was not told
    ``mtu`` (None: the same); ``mac`` has 6 octets;
    ``queue_pairs`` is the number of receive and of transmit queues;
    ``randbytes(n)`` gives n random octets, for IVs.  Raises ValueError for a
    device that the specification does not allow.

    ``model_extras`` holds, by resource type and id, what no SA object can say;
    it is the model's user's, not the driver's, so reset leaves it alone.
    ``last_refusal`` says in words why the last status write or command was not
    carried out as asked; it is empty when it was.  ``on_exchange`` is told of
    all that passes between driver, device and wire; None costs nothing.
    ``on_config_change`` is called after each change of the configuration space
    that the driver is to be notified of (2.5, 4.1.5.4).
    """

    # What packets go through; a variant of the device has others.
    _outbound_class: type[OutboundSa] = OutboundSa
    _inbound_class: type[InboundSa] = InboundSa
    _transmitter_class: type[Transmitter] = Transmitter
    _receiver_class: type[Receiver] = Receiver

    def __init__(
        self,
        profile: Profile = Profile.VIRTIO_1_4,
        *,
        limits: Limits | None = None,
        features: int | None = None,
        mtu: int = 1500,
        wire_mtu: int | None = None,
        mac: bytes = DEFAULT_MAC,
        queue_pairs: int = 1,
        randbytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.profile = profile
        self.features = default_features(profile) if features is None else features
        check_offered(self.features, profile)
        self.mtu = mtu
        self._wire_mtu = mtu if wire_mtu is None else wire_mtu
        self._config = ConfigSpace(net_config(self.features, mac=mac, mtu=mtu, queue_pairs=queue_pairs))
        self.model_extras: dict[tuple[ResourceType, int], ModelExtras] = {}
        self.counters = Counters()
        self.last_refusal = ""
        self.on_exchange: Listener | None = None
        self._observer: Observer | None = None
        self.on_config_change: Callable[[], None] | None = None
        self._receive_buffer_size = 1 << 17
        self._place: Place | None = None
        self._negotiation = Negotiation(self.features)
        self._transmitter: Transmitter | None = None
        self._receiver: Receiver | None = None
        self._learner: Steering | None = None  # who is told of the flows that are transmitted
        self._header_size = 0
        self._controls = Controls(self._config, bytes(mac), queue_pairs, self._negotiation.has)

        ipsec = partial(self._negotiation.has, Feature.IPSEC)
        self._capabilities = Capabilities(limits if limits is not None else Limits(), profile, ipsec)
        self.flow_table = FlowTable()
        # One count for all SAs: an IPv4 identification is to be fresh among all packets between two addresses.
        make = partial(self._outbound_class, randbytes=randbytes, next_id=itertools.count().__next__, mtu=mtu)
        self._outbound = OutboundSaObjects(self._capabilities, self.model_extras, profile, make)
        self._inbound = InboundSaObjects(self._capabilities, self.model_extras, profile, self._inbound_class)
        self._objects = ResourceObjects(
            (
                GroupObjects(self._capabilities, self.flow_table),
                ClassifierObjects(self._capabilities, self.flow_table),
                RuleObjects(self._capabilities, self.flow_table, self._nameable_queues),
                self._outbound,
                self._inbound,
            )
        )
        commands = CapabilityCommands(self._capabilities, self._objects.count)
        self._admin = AdminCommands(
            {
                Opcode.CAP_ID_LIST_QUERY: commands.id_list_query,
                Opcode.DEVICE_CAP_GET: commands.device_get,
                Opcode.DRIVER_CAP_SET: commands.driver_set,
                Opcode.RESOURCE_OBJ_CREATE: self._objects.create,
                Opcode.RESOURCE_OBJ_MODIFY: self._objects.modify,
                Opcode.RESOURCE_OBJ_QUERY: self._objects.query,
                Opcode.RESOURCE_OBJ_DESTROY: self._objects.destroy,
            }
        )

    # -- status, features, configuration -------------------------------------------------------------------------

    @property
    def status(self) -> int:
        """The device status field (virtio 1.4, 2.1)."""
        return self._negotiation.status

    def set_status(self, value: int) -> None:
        """The driver writes the device status field, one octet; 0 resets the device.

        A bit that the device does not accept stays as it was, which the driver
        sees when it reads the field back.  Raises ValueError when ``value`` is
        no octet.
        """
        if not 0 <= value <= 0xFF:
            raise ValueError(f"device status {value} is not one octet")
        value = int(value)
        if value == 0:
            self.reset()
            return
        self._write_status(value)
        if self.on_exchange is not None:
            self.on_exchange(StatusWritten(value, self.status))

    def _write_status(self, value: int) -> None:
        write = self._negotiation.write_status(value)
        self.last_refusal = write.why
        added = write.new & ~write.old
        if added & Status.DRIVER_OK:
            self._go_live()
        observer = self._observer
        if observer is None:
            return
        if added & Status.FEATURES_OK:
            observer(FeaturesAccepted(self.negotiated))
        elif value & ~write.new & Status.FEATURES_OK:
            observer(FeaturesRefused(self._negotiation.driver_features, self._negotiation.features_refusal()))
        if write.ignored:
            observer(StatusBitsIgnored(value, write.ignored, write.why))
        if added:
            observer(StatusChanged(write.old, write.new))

    @property
    def negotiated(self) -> int:
        """The features in force; 0 until FEATURES_OK is set."""
        return self._negotiation.negotiated

    def set_driver_features(self, value: int) -> None:
        """The driver accepts features, a mask.  Nothing changes once FEATURES_OK is set.

        Raises ValueError for bits outside 0 to 127, which no transport carries.
        """
        if not 0 <= value < 1 << 128:
            raise ValueError("driver features are a mask of 128 bits")
        accepted = self._negotiation.write_driver_features(value)
        self.last_refusal = "" if accepted else "features cannot change after FEATURES_OK"
        if not accepted and self._observer is not None:
            self._observer(DriverFeaturesIgnored(value))
        if self.on_exchange is not None:
            self.on_exchange(FeaturesWritten(value))

    @property
    def config(self) -> bytes:
        """The configuration space as it is now, virtio_net_config (virtio 1.4, 5.1.4)."""
        return self._config.octets

    @config.setter
    def config(self, octets: bytes) -> None:
        self._config.octets = octets

    def set_link(self, up: bool) -> None:
        """The link comes up or goes down: LINK_UP of ``status``.  Frames are not held back (D128)."""
        if self.features >> Feature.STATUS & 1 and self._config.set_status(NetStatus.LINK_UP, up):
            self._config_changed()

    def announce(self) -> bool:
        """Ask the driver to send gratuitous packets: ANNOUNCE of ``status`` (5.1.9.5.4); the driver's ACK clears it.

        False when the driver cannot be asked: it is not there, or did not negotiate
        VIRTIO_NET_F_GUEST_ANNOUNCE and VIRTIO_NET_F_STATUS.
        """
        has = self._negotiation.has
        if not (self.status & Status.DRIVER_OK and has(Feature.GUEST_ANNOUNCE) and has(Feature.STATUS)):
            return False
        self._config.set_status(NetStatus.ANNOUNCE, True)
        self._config_changed()
        return True

    def _config_changed(self) -> None:
        if self._observer is not None:
            self._observer(ConfigChanged(self.config))
        if self.status & Status.DRIVER_OK and self.on_config_change is not None:
            self.on_config_change()

    def read_config(self, offset: int, length: int) -> bytes:
        """``length`` octets of the configuration space; fewer where it ends."""
        data = self.config[max(offset, 0) : max(offset, 0) + max(length, 0)]
        if self.on_exchange is not None:
            self.on_exchange(ConfigRead(offset, data))
        return data

    def needs_reset(self, why: str) -> None:
        """The device has met what it cannot go on from, ``why`` in words: DEVICE_NEEDS_RESET (virtio 1.4, 2.1.2)."""
        old = self.status
        self._negotiation.needs_reset()
        if self._observer is not None:
            self._observer(NeedsReset(why))
            if self.status != old:
                self._observer(StatusChanged(old, self.status))
        if old & Status.DRIVER_OK and self.on_config_change is not None:
            self.on_config_change()

    def reset(self) -> None:
        """Device reset: all that the driver set up is gone (virtio 1.4, 2.4, 2.12.1.2, 2.12.1.3)."""
        old = self.status
        self._negotiation.reset()
        self._admin.reset()
        self._objects.reset()
        self._capabilities.reset()
        self._controls.reset()
        self._transmitter = self._receiver = self._learner = None
        self.last_refusal = ""
        if self._observer is not None:
            self._observer(DeviceReset())
            if old:
                self._observer(StatusChanged(old, 0))
        if self.on_exchange is not None:
            self.on_exchange(StatusWritten(0, 0))

    # -- administration ------------------------------------------------------------------------------------------

    def admin(self, readable: bytes, writable_len: int = 65536) -> bytes:
        """One group administration command (virtio 1.4, 2.12.1, 2.13).

        ``readable`` is the device-readable part of the buffer, any octets;
        returns what the device writes into the ``writable_len`` octets of the
        device-writable part.  Before DRIVER_OK, and without an administration
        virtqueue, the buffer is not used, and nothing is returned.
        """
        readable = bytes(readable)
        written = self._execute(readable)[: max(writable_len, 0)]
        if self.on_exchange is not None:
            self.on_exchange(Commanded(readable, writable_len, written))
        return written

    def _execute(self, readable: bytes) -> bytes:
        if not self.status & Status.DRIVER_OK:
            return self._not_consumed("DRIVER_OK is not set")
        if not self._negotiation.has(Feature.ADMIN_VQ):
            return self._not_consumed("VIRTIO_F_ADMIN_VQ was not negotiated")
        done = self._admin.execute(readable)
        self.last_refusal = done.why
        if self._observer is not None:
            self._observer(AdminCompleted(done.opcode, done.status, done.qualifier, done.why))
        return done.written

    def _not_consumed(self, why: str) -> bytes:
        self.last_refusal = why
        if self._observer is not None:
            self._observer(AdminNotConsumed(why))
        return b""

    @property
    def outbound(self) -> dict[int, OutboundSa]:
        """The outbound SAs by resource id."""
        return self._outbound.sas

    @property
    def inbound(self) -> dict[int, InboundSa]:
        """The inbound SAs by resource id."""
        return self._inbound.sas

    @property
    def inbound_by_spi(self) -> dict[int, tuple[int, InboundSa]]:
        """Resource id and SA of the inbound SAs by SPI."""
        return self._inbound.by_spi

    def digest(self) -> bytes:
        """SHA-256 of all that commands and packets can change: equal before and after a command without effect."""
        negotiation, inbound = self._negotiation, self._inbound.sas
        parts: list[object] = [
            negotiation.status,
            negotiation.driver_features,
            self._admin.in_use,
            self._capabilities.driver_values(),
            self.config,
            self._controls.state(),
            [(resource_id, sa.state) for resource_id, sa in sorted(self._outbound.sas.items())],
            [(resource_id, sa.state) for resource_id, sa in sorted(inbound.items())],
            [(sa.window.top, sa.window.seen, sa.window.size) for _, sa in sorted(inbound.items())],
        ]
        return digest(parts, self._objects.stored())

    # -- control -------------------------------------------------------------------------------------------------

    def control(self, readable: bytes, writable_len: int = 1) -> bytes:
        """One command of the control virtqueue (virtio 1.4, 5.1.9.5).

        ``readable`` is the device-readable part of the buffer: class, command and
        data, any octets; returns what the device writes into the
        ``writable_len`` octets of the device-writable part: ``ack``.  Nothing is
        returned before DRIVER_OK and without VIRTIO_NET_F_CTRL_VQ, where the
        buffer is not used, and where there is no room for ``ack`` (D120).
        """
        readable = bytes(readable)
        written = self._control(readable, writable_len)
        if self.on_exchange is not None:
            self.on_exchange(Controlled(readable, writable_len, written))
        return written

    def _control(self, readable: bytes, writable_len: int) -> bytes:
        if not self.status & Status.DRIVER_OK:
            return self._control_not_consumed("DRIVER_OK is not set")
        if not self._negotiation.has(Feature.CTRL_VQ):
            return self._control_not_consumed("VIRTIO_NET_F_CTRL_VQ was not negotiated")
        if writable_len < 1:
            return self._control_not_consumed("there is no room for ack: the command is not carried out")
        done = self._controls.execute(readable)
        self.last_refusal = done.why
        if done.ack is CtrlAck.OK:
            self._apply_controls()
        if self._observer is not None:
            self._observer(ControlCompleted(done.name, done.ack, done.why))
        return bytes((done.ack,))

    def _control_not_consumed(self, why: str) -> bytes:
        self.last_refusal = why
        if self._observer is not None:
            self._observer(ControlNotConsumed(why))
        return b""

    def _apply_controls(self) -> None:
        """The driver's part of what happens to packets is as the control virtqueue's commands left it."""
        steering = self._controls.steering
        self._learner = steering if steering.learns() else None
        if self._receiver is not None:
            self._controls.apply(self._receiver)

    @property
    def virtqueue_pairs(self) -> int:
        """N of 5.1.2: receiveqN is virtqueue 2(N-1), and the control virtqueue is 2N.  Known from FEATURES_OK on."""
        return self._controls.virtqueue_pairs

    @property
    def pairs_in_use(self) -> int:
        """How many transmit queues, from transmitq1 on, the driver said it uses; 1 until it said so (5.1.9.5.6)."""
        return self._controls.steering.pairs

    def _nameable_queues(self) -> int:
        """How many receive queues a flow filter rule can name (D69): with virtqueues below, those that there are."""
        return self.virtqueue_pairs if self._place is not None else self._controls.receive_queues

    def set_queue_down(self, queue: int, down: bool) -> None:
        """Receive queue ``queue`` (receiveq1 is 0) is being reset or not enabled, or is back (2.6.1, 5.1.9.5.6.2)."""
        (self._controls.steering.down.add if down else self._controls.steering.down.discard)(queue)
        self._apply_controls()

    # -- packets -------------------------------------------------------------------------------------------------

    def _go_live(self) -> None:
        """DRIVER_OK: from here on the features are fixed, and packets flow."""
        layout = HdrLayout(self.profile, self.negotiated)
        self._header_size = layout.size
        told = self._negotiation.has(Feature.MTU)
        received_mtu = self.mtu if told else 0
        sent_mtu = self.mtu if told else self._wire_mtu
        self._transmitter = self._transmitter_class(
            layout, self.negotiated, self._outbound.sas, sent_mtu, self.counters
        )
        self._receiver = self._receiver_class(
            layout, self.negotiated, self.flow_table, self._inbound.by_spi, received_mtu, self.counters
        )
        self._receiver.buffer_size = self._receive_buffer_size
        self._receiver.place = self._place
        self._apply_controls()
        self._transmitter.observer = self._receiver.observer = self._observer

    def transmit(self, buffer: bytes, queue: int = 0) -> tuple[bytes, ...]:
        """The frames that a transmit buffer, virtio_net_hdr and Ethernet frame, puts on the wire (5.1.9.2)."""
        if self._transmitter is None:
            self.counters.tx_dropped[Reason.NOT_READY] += 1
            self._tell_not_ready()
            frames: tuple[bytes, ...] = ()
        else:
            if buffer.__class__ is not bytes:
                buffer = bytes(buffer)
            frames = self._transmitter.transmit(buffer, queue)
            if self._learner is not None and frames:
                frame = buffer[self._header_size :]
                self._learner.learn(frame, ip_offset(frame) or -1, queue)
        if self.on_exchange is not None:
            self.on_exchange(Transmitted(queue, bytes(buffer), frames))
        return frames

    def receive(self, frame: bytes) -> Received | None:
        """What the driver gets of a frame from the wire, or None (5.1.9.4)."""
        if self._receiver is None:
            self.counters.rx_dropped[Reason.NOT_READY] += 1
            self._tell_not_ready()
            received = None
        else:
            if frame.__class__ is not bytes:
                frame = bytes(frame)
            received = self._receiver.receive(frame)
        if self.on_exchange is not None:
            self.on_exchange(Arrived(bytes(frame), *(received or (0, ()))))
        return received

    @property
    def transmit_refused(self) -> Refused | None:
        """Why the last transmit buffer was dropped; None when it was sent."""
        return self._transmitter.refused if self._transmitter is not None else _NOT_READY

    @property
    def receive_refused(self) -> Refused | None:
        """Why the last frame was dropped, or went up with SECURITY_ERR; None when nothing was wrong."""
        return self._receiver.refused if self._receiver is not None else _NOT_READY

    def _tell_not_ready(self) -> None:
        if self._observer is not None:
            self._observer(Dropped(_NOT_READY.reason, _NOT_READY.detail))

    @property
    def receive_buffer_size(self) -> int:
        """The size of the driver's receive buffers, in octets."""
        return self._receive_buffer_size

    @receive_buffer_size.setter
    def receive_buffer_size(self, size: int) -> None:
        self._receive_buffer_size = size
        if self._receiver is not None:
            self._receiver.buffer_size = size
        if self.on_exchange is not None:
            self.on_exchange(BuffersSized(size))

    @property
    def place(self) -> Place | None:
        """Who puts received packets into buffers; None: of ``receive_buffer_size`` octets each.  Reset keeps it."""
        return self._place

    @place.setter
    def place(self, place: Place | None) -> None:
        self._place = place
        if self._receiver is not None:
            self._receiver.place = place

    @property
    def observer(self) -> Observer | None:
        """Who is told what the device does; None costs nothing."""
        return self._observer

    @observer.setter
    def observer(self, observer: Observer | None) -> None:
        self._observer = observer
        if self._transmitter is not None and self._receiver is not None:
            self._transmitter.observer = self._receiver.observer = observer
