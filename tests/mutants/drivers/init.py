"""Drivers that are wrong about initialization (3.1), or leave features out that they should accept (6.1)."""

from __future__ import annotations

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.negotiation import feature_mask
from virtionet_ipsec.driver.errors import NegotiationError
from virtionet_ipsec.wire.enums import Feature, Status

from ..controlling import PAIRS, Controlling
from ..meddling import AlmostAll, Meddling, Through, accepting
from ..mutant import violates
from ..session import FRAME, ReferenceDriver

_MORE = (Feature.ACCESS_PLATFORM, Feature.ORDER_PLATFORM, Feature.RING_PACKED, Feature.NOTIF_CONFIG_DATA)
_OFFERED = Device().features | feature_mask(*_MORE)


@violates("init.drv.features-settled")
class AddsAFeature(ReferenceDriver):
    """Accepts one more feature when FEATURES_OK is set."""

    def set_receive_buffers(self) -> None:
        self.port.set_driver_features(self.negotiated | 1 << Feature.RSS)
        super().set_receive_buffers()


class WithoutVersion(Meddling):
    """Sees to it that VIRTIO_F_VERSION_1 is not accepted, and FEATURES_OK not looked at."""

    def set_driver_features(self, value: int) -> None:
        self.device.set_driver_features(value & ~(1 << Feature.VERSION_1))


@violates("init.drv.stops")
class GoesOn(Through):
    """Sets DRIVER_OK although FEATURES_OK did not read back."""

    port_kind = WithoutVersion

    def negotiate(self) -> None:
        try:
            super().negotiate()
        except NegotiationError:
            self.port.set_status(self.port.status | Status.DRIVER_OK)
            raise


@violates("init.drv.no-notifications-early")
class SendsAtOnce(ReferenceDriver):
    """Transmits before DRIVER_OK."""

    def read_link_up(self) -> bool:
        self.send(FRAME)
        return super().read_link_up()


@violates("reserved.drv.version-1")
class WithoutVersion1(Through):
    """Does not accept VIRTIO_F_VERSION_1."""

    port_kind = accepting(less=1 << Feature.VERSION_1)


for _feature in _MORE:
    _name = _feature.name.lower().replace("_", "-")
    violates(f"reserved.drv.{_name}", features=_OFFERED, queue_pairs=PAIRS)(
        type(
            f"Leaves{_feature.name.title().replace('_', '')}",
            (AlmostAll,),
            {
                "__doc__": f"Does not accept VIRTIO_F_{_feature.name}.",
                "port_kind": accepting(less=1 << _feature),
                "right": Controlling,
            },
        )
    )
