"""What an observer of the device knows of a session: the driver's side, as the exchanges told it so far.

Rules read a :class:`View` as it was before the exchange that they judge; the
exchange itself has the device's answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ...device.exchanges import BuffersSized, Exchange, FeaturesWritten, StatusWritten, Transmitted
from ...wire.bitmap import bitmap_numbers
from ...wire.enums import Feature, Opcode, Status
from ...wire.net_hdr import HdrLayout
from ...wire.profile import Profile
from .command import Command
from .control_state import ControlState
from .history import History
from .object_index import ObjectIndex
from .sent_packet import SentPacket

_PAIRS_AT, _MTU_AT = 8, 10  # offsets in virtio_net_config
# Plain ints: rules ask for these with every packet, and an IntFlag makes each & several times as slow.
_FEATURES_OK, _DRIVER_OK = int(Status.FEATURES_OK), int(Status.DRIVER_OK)

_MOST_GROUPS = 16
"""Group types that are followed; the specification has two."""


@dataclass(slots=True)
class View:
    """The session so far.

    ``receive_buffer_size`` is None until the driver says it, and again after a
    reset.  ``reported`` and ``in_use`` are opcodes by group type: those that
    LIST_QUERY ever gave, which a device must not take back (2.12.1), and those
    of the last LIST_USE that succeeded.  ``cap_ids``,
    ``device_caps`` and ``driver_caps`` are what CAP_ID_LIST_QUERY,
    DEVICE_CAP_GET and a successful DRIVER_CAP_SET said; what the device told
    stays over a reset, for the driver may remember it.  ``objects`` are those
    that exist, their data by (type, id); ``destroyed`` those that did.
    ``index`` counts objects, and finds them by what is in them.  ``history`` is
    what the driver did, ``controls`` what it did through the control virtqueue.
    """

    profile: Profile
    offered: int
    config: bytes
    status: int = 0
    driver_features: int = 0
    layout: HdrLayout = field(init=False)
    receive_buffer_size: int | None = None
    reported: dict[int, set[int]] = field(default_factory=dict)
    in_use: dict[int, frozenset[int]] = field(default_factory=dict)
    cap_ids: frozenset[int] | None = None
    device_caps: dict[int, bytes] = field(default_factory=dict)
    driver_caps: dict[int, bytes] = field(default_factory=dict)
    objects: dict[tuple[int, int], bytes] = field(default_factory=dict, repr=False)  # they hold keys
    destroyed: set[tuple[int, int]] = field(default_factory=set)
    index: ObjectIndex = field(default_factory=ObjectIndex)
    history: History = field(default_factory=History)
    controls: ControlState = field(default_factory=ControlState)
    _sent: Transmitted | None = field(default=None, init=False, repr=False)
    _packet: SentPacket | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.layout = HdrLayout(self.profile, 0)

    @property
    def negotiated(self) -> int:
        """The features in force: 0 until FEATURES_OK is set."""
        return self.driver_features if self.status & _FEATURES_OK else 0

    @property
    def live(self) -> bool:
        """Whether DRIVER_OK is set."""
        return bool(self.status & _DRIVER_OK)

    def has(self, feature: Feature) -> bool:
        """Whether ``feature`` is negotiated."""
        return bool(self.negotiated >> feature & 1)

    @property
    def mtu(self) -> int:
        """``mtu`` of the configuration space, in octets."""
        return self.configured(_MTU_AT, 2)

    def configured(self, at: int, length: int) -> int:
        """A number of the configuration space as it was at first, little-endian; what is missing counts as zeros."""
        return int.from_bytes(self.config[at : at + length], "little")

    @property
    def queue_pairs(self) -> int:
        """N of 5.1.2: max_virtqueue_pairs if VIRTIO_NET_F_MQ or VIRTIO_NET_F_RSS is negotiated, else 1."""
        return self.configured(_PAIRS_AT, 2) if self.has(Feature.MQ) or self.has(Feature.RSS) else 1

    def packet(self, sent: Transmitted) -> SentPacket | None:
        """``sent`` taken apart, once for all rules; None before DRIVER_OK, and when it is too short for a header."""
        if sent is not self._sent:
            whole = self.live and len(sent.buffer) >= self.layout.size
            self._packet = SentPacket(self.layout, sent.buffer) if whole else None
            self._sent = sent
        return self._packet

    def update(self, exchange: Exchange, command: Command | None) -> None:
        """Take in what ``exchange`` changes; ``command`` is the same, taken apart."""
        self.history.update(exchange, command)
        self.controls.update(exchange)
        match exchange:
            case StatusWritten():
                self._status(exchange)
            case FeaturesWritten():
                if not self.status & _FEATURES_OK:
                    self.driver_features = exchange.features
            case BuffersSized():
                self.receive_buffer_size = exchange.size
        if command is not None and command.ok:
            self._command(command)

    def _status(self, exchange: StatusWritten) -> None:
        if exchange.value == 0:
            self.driver_features = 0
            self.receive_buffer_size = None
            for each in (self.in_use, self.driver_caps, self.objects, self.destroyed):
                each.clear()
            self.index.clear()
        self.status = exchange.status
        self.layout = HdrLayout(self.profile, self.negotiated)

    def _command(self, command: Command) -> None:
        group = command.group_type
        match command.opcode:
            case Opcode.LIST_QUERY:
                if len(self.reported) < _MOST_GROUPS or group in self.reported:
                    self.reported.setdefault(group, set()).update(bitmap_numbers(command.result))
            case Opcode.LIST_USE:
                if len(self.in_use) < _MOST_GROUPS or group in self.in_use:
                    self.in_use[group] = bitmap_numbers(command.data)
        if not command.for_self:
            return
        match command.opcode:
            case Opcode.CAP_ID_LIST_QUERY:
                self.cap_ids = bitmap_numbers(command.result)
            case Opcode.DEVICE_CAP_GET:
                self.device_caps[command.cap_id] = command.result
            case Opcode.DRIVER_CAP_SET:
                self.driver_caps[command.cap_id] = command.cap_data
            case Opcode.RESOURCE_OBJ_CREATE | Opcode.RESOURCE_OBJ_MODIFY:
                self._index(command.object, command.object_data)
                self.objects[command.object] = command.object_data
                self.destroyed.discard(command.object)
            case Opcode.RESOURCE_OBJ_DESTROY:
                self._index(command.object, None)
                self.objects.pop(command.object, None)
                self.destroyed.add(command.object)

    def _index(self, what: tuple[int, int], data: bytes | None) -> None:
        old = self.objects.get(what)
        if old is not None:
            self.index.remove(*what, old)
        if data is not None:
            self.index.add(*what, data)
