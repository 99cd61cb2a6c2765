"""Drivers that are wrong about the features that they accept (2.2)."""

from __future__ import annotations

from virtionet_ipsec.wire.enums import Feature

from ..meddling import AlmostAll, Through, accepting
from ..mutant import violates


@violates("features.drv.only-offered")
class AcceptsMore(Through):
    """Accepts VIRTIO_F_RING_PACKED, which is not offered."""

    port_kind = accepting(more=1 << Feature.RING_PACKED)


@violates("features.drv.requirements", features=1 << Feature.VERSION_1 | 1 << Feature.CSUM | 1 << Feature.HOST_TSO4)
class SegmentsWithoutChecksum(AlmostAll):
    """Accepts VIRTIO_NET_F_HOST_TSO4 without VIRTIO_NET_F_CSUM."""

    port_kind = accepting(less=1 << Feature.CSUM)


@violates("features.drv.refuses-undescribed")
class AcceptsUndescribed(Through):
    """Accepts bit 26."""

    port_kind = accepting(more=1 << 26)


@violates("features.drv.refuses-reserved")
class AcceptsReserved(Through):
    """Accepts bit 44."""

    port_kind = accepting(more=1 << 44)


@violates("features.drv.refuses-other-device-type")
class AcceptsAnothers(Through):
    """Accepts bit 71."""

    port_kind = accepting(more=1 << 71)
