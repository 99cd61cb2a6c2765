"""Devices that are wrong about how a received packet lies in its buffers."""

from __future__ import annotations

from virtionet_ipsec.device import Device, Received
from virtionet_ipsec.device.receive import Receiver
from virtionet_ipsec.wire.profile import Profile

from ..mutant import breaks


def with_num_buffers(received: Received, count: int) -> Received:
    """``received`` with another num_buffers, at offset 10 of the header."""
    first, *others = received.buffers
    return Received(received.queue, (first[:10] + count.to_bytes(2, "little") + first[12:], *others))


class _SaysOne(Receiver):
    def _buffers(self, queue: int, data: bytes) -> Received:
        return with_num_buffers(super()._buffers(queue, data), 1)


@breaks("rxbuf.dev.num-buffers")
@breaks("rxbuf.dev.num-buffers", profile=Profile.RFC_V1)
class SaysOne(Device):
    """num_buffers is 1 for every packet."""

    _receiver_class = _SaysOne


class _CountsFurther(Receiver):
    def _buffers(self, queue: int, data: bytes) -> Received:
        received = super()._buffers(queue, data)
        return with_num_buffers(received, len(data) // self.buffer_size + 1) if self._mergeable else received


@breaks("rxbuf.dev.num-buffers")
class CountsFurther(Device):
    """num_buffers is one too many for a packet that ends where its last buffer does."""

    _receiver_class = _CountsFurther


class _SaysOneOfProtected(Receiver):
    def _buffers(self, queue: int, data: bytes) -> Received:
        received = super()._buffers(queue, data)
        return with_num_buffers(received, 1) if data[0] & self._security else received


@breaks("rxbuf.dev.num-buffers")
class SaysOneOfProtected(Device):
    """num_buffers is 1 for every packet that went through IPsec processing."""

    _receiver_class = _SaysOneOfProtected


class _SaysNone(Receiver):
    def _buffers(self, queue: int, data: bytes) -> Received:
        received = super()._buffers(queue, data)
        return received if self._mergeable else with_num_buffers(received, 0)


@breaks("rxbuf.dev.single-buffer")
class SaysNone(Device):
    """num_buffers is 0 without VIRTIO_NET_F_MRG_RXBUF."""

    _receiver_class = _SaysNone


class _AlwaysMerges(Receiver):
    def _buffers(self, queue: int, data: bytes) -> Received:
        self._mergeable = True
        return super()._buffers(queue, data)


@breaks("rxbuf.dev.single-buffer")
@breaks("rxbuf.dev.single-buffer", profile=Profile.RFC_V1)
class AlwaysMerges(Device):
    """A packet that one buffer cannot hold lies in several without VIRTIO_NET_F_MRG_RXBUF, too."""

    _receiver_class = _AlwaysMerges
