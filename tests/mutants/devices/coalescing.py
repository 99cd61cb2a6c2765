"""Devices that are wrong about the coalescing of notifications."""

from __future__ import annotations

from ..more_controls import ERR, FEATURES, OK, MoreControls
from ..mutant import breaks


@breaks("coalescing.dev.reserved", features=FEATURES)
class ReservedCounts(MoreControls):
    """VQ_SET with reserved not zero is refused."""

    def set_coalescing(self, data: bytes, room: int) -> bytes:
        return ERR if any(data[2:4]) else super().set_coalescing(data, room)


@breaks("coalescing.dev.reserved", features=FEATURES)
class WideIndex(MoreControls):
    """VQ_GET takes reserved for a part of vq_index."""

    def get_coalescing(self, data: bytes, room: int) -> bytes:
        return ERR if any(data[2:4]) else super().get_coalescing(data, room)


@breaks("coalescing.dev.queue-unable", features=FEATURES)
class Clamps(MoreControls):
    """max_packets above 255 becomes 255, and VQ_SET says VIRTIO_NET_OK."""

    def set_coalescing(self, data: bytes, room: int) -> bytes:
        packets = min(int.from_bytes(data[4:8], "little"), 255)
        return super().set_coalescing(data[:4] + packets.to_bytes(4, "little") + data[8:], room)


@breaks("coalescing.dev.set-not-enabled", features=FEATURES)
class SetsAny(MoreControls):
    """VQ_SET takes any vq_index."""

    def set_coalescing(self, data: bytes, room: int) -> bytes:
        super().set_coalescing(data, room)
        return OK


@breaks("coalescing.dev.get-not-enabled", features=FEATURES)
class GetsAny(MoreControls):
    """VQ_GET answers for the control virtqueue, too."""

    def get_coalescing(self, data: bytes, room: int) -> bytes:
        if int.from_bytes(data[:2], "little") == self.control_queue:
            return OK + bytes(8)
        return super().get_coalescing(data, room)


@breaks("coalescing.dev.zero-on-reset", features=FEATURES)
class ParametersStay(MoreControls):
    """Parameters survive a reset."""

    def forget(self) -> None:
        self.contexts.clear()


@breaks("coalescing.dev.unable", features=FEATURES)
class SetsNone(MoreControls):
    """RX_SET says VIRTIO_NET_OK and changes nothing."""

    def coalesce_all(self, kind: int, data: bytes) -> bytes:
        return super().coalesce_all(kind, data) if kind else OK


@breaks("coalescing.dev.unable", features=FEATURES)
class KeepsQueues(MoreControls):
    """A queue that had parameters of its own keeps them when all are set."""

    def coalesce_all(self, kind: int, data: bytes) -> bytes:
        own = dict(self.coalesced)
        answer = super().coalesce_all(kind, data)
        self.coalesced = own
        return answer


@breaks("coalescing.dev.transmit-enabled-again", "coalescing.dev.receive-enabled-again", features=FEATURES)
class QueuesRemember(MoreControls):
    """A queue that is reset keeps its parameters."""

    def queue_enabled(self, index: int) -> None:
        """Nothing is forgotten."""


@breaks("coalescing.dev.transmit-enabled-again", features=FEATURES)
class ZeroAfterReset(MoreControls):
    """A transmit queue that is reset has 0."""

    def queue_enabled(self, index: int) -> None:
        super().queue_enabled(index)
        if index & 1:
            self.coalesced[index] = bytes(8)
