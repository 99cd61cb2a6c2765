"""Devices that are wrong about feature bits."""

from __future__ import annotations

from typing import Any

from virtionet_ipsec.device import Device
from virtionet_ipsec.wire.enums import Feature, Status

from ..mutant import breaks


@breaks("features.dev.requirements")
class OffersWithoutRequirement(Device):
    """HOST_TSO4 is offered without CSUM."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.features = self.features & ~(1 << Feature.CSUM) | 1 << Feature.HOST_TSO4


@breaks("features.dev.accepts-valid-subset")
class InsistsOnChecksums(Device):
    """FEATURES_OK is refused without VIRTIO_NET_F_CSUM, which the driver need not accept."""

    def _write_status(self, value: int) -> None:
        if not self._negotiation.driver_features >> Feature.CSUM & 1:
            value &= ~Status.FEATURES_OK
        super()._write_status(value)


@breaks("features.dev.refuses-features-ok")
class DropsWhatItDoesNotKnow(Device):
    """Features that were not offered are dropped, and FEATURES_OK is set."""

    def set_driver_features(self, value: int) -> None:
        super().set_driver_features(value & self.features)


@breaks("features.dev.refuses-features-ok")
class AcceptsOneMore(Device):
    """One feature that was not offered, HOST_UFO, is accepted."""

    def set_driver_features(self, value: int) -> None:
        super().set_driver_features(value & ~(1 << Feature.HOST_UFO))


def offering(bit: int, entry: str, what: str) -> None:
    """Enter the device that offers ``bit``, which is ``what``."""

    def init(self: Any, *args: Any, **how: Any) -> None:
        Device.__init__(self, *args, **how)
        self.features |= 1 << bit

    breaks(entry)(type(f"OffersBit{bit}", (Device,), {"__init__": init, "__doc__": f"Offers bit {bit}, {what}."}))


for _bit in (25, 26, 31):
    offering(_bit, "features.dev.offers-no-undescribed", "which virtio 1.4 does not describe")
for _bit in (44, 49, 128, 200):
    offering(_bit, "features.dev.offers-no-reserved", "which is reserved")
for _bit in (4, 58, 71, 127):
    offering(_bit, "features.dev.offers-none-of-other-types", "which the network device does not have")


@breaks("features.dev.renegotiates")
class NegotiatesOnce(Device):
    """FEATURES_OK is refused once the device had DRIVER_OK."""

    _was_live = False

    def _write_status(self, value: int) -> None:
        if self._was_live:
            value &= ~Status.FEATURES_OK
        super()._write_status(value)

    def _go_live(self) -> None:
        super()._go_live()
        self._was_live = True
