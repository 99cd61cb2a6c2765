"""A connection to a back end: what it offers, its configuration space, and what both sides agree on."""

from __future__ import annotations

import socket

from ..wire.enums import Feature
from ..wire.features import unmet_requirements
from .asking import Asking
from .beside import Beside, Nothing
from .channel import close_all
from .front_rings import FrontRings
from .messages import (
    HEADER,
    MOST_CONFIG,
    PROTOCOL_FEATURES_BIT,
    BackendRequest,
    Config,
    ProtocolFeature,
    Request,
    mask,
    u64,
)
from .shared import FrontMemory

ALL_PROTOCOL_FEATURES = mask(tuple(ProtocolFeature))

MEMORY = 64 << 20
"""Octets of shared memory; pages that nobody touches take no room."""

_U64 = (1 << 64) - 1
BESIDE = 1 << Feature.ADMIN_VQ | ((1 << 128) - 1) ^ _U64
"""Features that the connection does not carry."""

_NOT_DONE_HERE = (
    1 << 26
    | PROTOCOL_FEATURES_BIT
    | sum(1 << each for each in (Feature.ACCESS_PLATFORM, Feature.NOTIFICATION_DATA, Feature.NOTIF_CONFIG_DATA))
)
"""Offered features that are vhost's and not the device's (26 is VHOST_F_LOG_ALL), or that eventfds cannot do."""

_IN_CONFIG = sum(
    1 << each
    for each in (
        Feature.MAC,
        Feature.MTU,
        Feature.STATUS,
        Feature.MQ,
        Feature.RSS,
        Feature.SPEED_DUPLEX,
        Feature.HASH_REPORT,
        Feature.GUEST_ANNOUNCE,
        Feature.STANDBY,
    )
)
"""Features that are of no use to a driver that cannot read the configuration space (5.1.4)."""

_MAX_PAIRS_AT = 8  # offset in virtio_net_config


class FrontConnection:
    """To the back end at ``path``; raises :class:`~.asking.BackEndFailed`, as all methods do.

    ``protocol_features`` are those to accept where they are offered; ``beside`` is what reaches the device beside the
    rings: the wire, and what vhost-user does not carry.  Every answer has to come within ``timeout`` seconds.  With
    ``in_flight`` the back end writes down what it has taken, so that another can go on where it was killed.
    """

    def __init__(
        self,
        path: str,
        *,
        beside: Beside | None = None,
        protocol_features: int = ALL_PROTOCOL_FEATURES,
        memory: int = MEMORY,
        timeout: float = 5.0,
        in_flight: bool = False,
    ) -> None:
        self.path = path
        self.beside = beside if beside is not None else Nothing()
        self.timeout = timeout
        self._wanted = protocol_features if in_flight else protocol_features & ~mask((ProtocolFeature.INFLIGHT_SHMFD,))
        self.memory = FrontMemory(memory)
        self.arena = self.memory.first.arena
        self._rings = FrontRings(self.memory)
        self._asking: Asking
        self._requests: socket.socket | None = None
        self._config_changes = 0
        try:
            self._connect(0.0)
        except BaseException:
            self._close_rest()
            raise

    def _connect(self, patience: float) -> None:
        self._asking = Asking(self.path, self.timeout, patience)
        try:
            self._begin(self._asking)
        except BaseException:
            self._asking.close()
            raise

    def _begin(self, asking: Asking) -> None:
        asking.must(Request.SET_OWNER)
        self._offered = asking.ask_number(Request.GET_FEATURES)
        self.protocol_features = 0
        if self._offered & PROTOCOL_FEATURES_BIT:
            self.protocol_features = asking.ask_number(Request.GET_PROTOCOL_FEATURES) & self._wanted
            asking.must(Request.SET_PROTOCOL_FEATURES, u64(self.protocol_features))
            asking.acknowledged = self._has(ProtocolFeature.REPLY_ACK)
        if self._has(ProtocolFeature.BACKEND_REQ):
            self._take_requests(asking)
        self.memory.share(asking, self._has(ProtocolFeature.CONFIGURE_MEM_SLOTS))
        self._rings.connect(asking, bool(self._offered & PROTOCOL_FEATURES_BIT))
        self._upper = self.beside.features()
        self.queue_pairs = self._find_queue_pairs()
        self._rings.tracked = 2 * self.queue_pairs if self._has(ProtocolFeature.INFLIGHT_SHMFD) else 0

    def _take_requests(self, asking: Asking) -> None:
        """A socket for what the back end has to say; nobody here asks it to say anything that wants an answer."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        if self._requests is not None:
            self._requests.close()
        self._requests = ours
        with theirs:
            asking.must(Request.SET_BACKEND_REQ_FD, fds=(theirs.fileno(),))

    def _has(self, feature: ProtocolFeature) -> bool:
        return bool(self.protocol_features >> feature & 1)

    def _find_queue_pairs(self) -> int:
        """How many pairs of queues the device has: max_virtqueue_pairs where there is that field, else 1 (5.1.2)."""
        if not self.features & (1 << Feature.MQ | 1 << Feature.RSS):
            return 1
        told = int.from_bytes(self.read_config(_MAX_PAIRS_AT, 2), "little")
        if self._has(ProtocolFeature.MQ):
            told = min(told, self._asking.ask_number(Request.GET_QUEUE_NUM))
        return max(told, 1)

    def close(self) -> None:
        """End the connection; the back end resets the device."""
        self._asking.close()
        self._close_rest()

    def _close_rest(self) -> None:
        self.beside.close()
        self._rings.forget()
        self.memory.close()
        if self._requests is not None:
            self._requests.close()

    # -- what there is ------------------------------------------------------------------------------------------

    @property
    def early(self) -> bool:
        """Whether queues may be set up before DRIVER_OK: without STATUS, a ring that starts is DRIVER_OK."""
        return self._has(ProtocolFeature.STATUS)

    @property
    def features(self) -> int:
        """The features offered: the connection's, and those beside it."""
        shown = self._offered & ~(_NOT_DONE_HERE | BESIDE)
        if not self._has(ProtocolFeature.CONFIG):
            shown &= ~_IN_CONFIG
        shown |= self._upper
        while unmet := unmet_requirements(shown):  # without those that have nothing left to stand on
            for feature, _ in unmet:
                shown &= ~(1 << feature)
        return shown

    def read_config(self, offset: int, length: int) -> bytes:
        """Octets of the configuration space; zeros behind its end, where the back end gives them."""
        length = min(length, MOST_CONFIG - offset)
        if length <= 0 or not self._has(ProtocolFeature.CONFIG):
            return b""
        request = Config.build({"offset": offset, "size": length, "flags": 0, "data": bytes(length)})
        payload, fds = self._asking.ask(Request.GET_CONFIG, request)
        close_all(fds)
        return payload[len(request) - length :][:length]

    @property
    def config_changes(self) -> int:
        """How often the back end said that the configuration space changed (BACKEND_REQ)."""
        message = b"x"
        while self._requests is not None and message:
            try:
                message = self._requests.recv(HEADER.size)
            except BlockingIOError:
                break
            if message[:4] == BackendRequest.CONFIG_CHANGE_MSG.to_bytes(4, "little"):
                self._config_changes += 1
        return self._config_changes
