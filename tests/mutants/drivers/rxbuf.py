"""Drivers that are wrong about the sizes of receive buffers and of virtio_net_hdr (5.1.9.3)."""

from __future__ import annotations

from typing import ClassVar

from virtionet_ipsec.wire.enums import Feature

from ..mutant import violates
from ..segmenting import Segmenting


def _mask(*features: Feature) -> int:
    return sum(1 << feature for feature in (Feature.VERSION_1, *features))


_GSO = (Feature.GUEST_CSUM, Feature.GUEST_TSO4)
_HASH = (Feature.CTRL_VQ, Feature.HASH_REPORT)
_TUNNEL = (Feature.CSUM, Feature.HOST_TSO4, Feature.HOST_TSO6, Feature.HOST_USO, Feature.HOST_UDP_TUNNEL_GSO)


class Buffers(Segmenting):
    """Has receive buffers of ``size`` octets."""

    size: ClassVar[int]

    def set_receive_buffers(self) -> None:
        self.port.receive_buffer_size = self.size


@violates("rxbuf.drv.gso-hash-report", features=_mask(*_GSO, *_HASH))
class SmallForLargeHashed(Buffers):
    """Has receive buffers for large packets without their hash."""

    size = 65601


@violates("rxbuf.drv.gso-plain", features=_mask(*_GSO))
class SmallForLarge(Buffers):
    """Has receive buffers of 64 KiB, which is too little for large packets and their headers."""

    size = 1 << 16


@violates("rxbuf.drv.no-gso-hash-report", features=_mask(*_HASH))
class SmallForHashed(Buffers):
    """Has receive buffers for packets without their hash."""

    size = 1526


@violates("rxbuf.drv.no-gso-plain", features=_mask())
class Small(Buffers):
    """Has receive buffers for packets without virtio_net_hdr."""

    size = 1514


@violates("rxbuf.drv.mergeable")
class SmallForHeader(Buffers):
    """Has receive buffers of 20 octets, and virtio_net_hdr has 32."""

    size = 20


class Header(Segmenting):
    """Sends packets behind a virtio_net_hdr of ``size`` octets, all zero."""

    size: ClassVar[int]

    def send(self, frame: bytes, sa: int | None = None, csum: tuple[int, int] | None = None) -> tuple[bytes, ...]:
        return self.port.transmit(bytes(self.size) + frame)


@violates("rxbuf.drv.header-32")
class HeaderWithoutIpsec(Header):
    """Sends a virtio_net_hdr of 12 octets with VIRTIO_NET_F_IPSEC."""

    size = 12


@violates("rxbuf.drv.header-24", features=_mask(*_TUNNEL))
class HeaderWithoutTunnel(Header):
    """Sends a virtio_net_hdr of 20 octets with VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO."""

    size = 20


@violates("rxbuf.drv.header-20", features=_mask(*_HASH))
class HeaderWithoutHash(Header):
    """Sends a virtio_net_hdr of 12 octets with VIRTIO_NET_F_HASH_REPORT."""

    size = 12


@violates("rxbuf.drv.header-12", features=_mask())
class HeaderWithHash(Header):
    """Sends a virtio_net_hdr of 20 octets without a feature that asks for it."""

    size = 20
