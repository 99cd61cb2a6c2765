"""Drivers that are wrong about device status (2.1)."""

from __future__ import annotations

from virtionet_ipsec.wire.enums import Status

from ..meddling import Meddling, Through
from ..mutant import violates
from ..session import ReferenceDriver


@violates("status.drv.init-steps", "init.drv.sequence")
class NeverAcknowledges(Through):
    """Begins with DRIVER."""

    class port_kind(Meddling):  # noqa: N801
        def set_status(self, value: int) -> None:
            if value != Status.ACKNOWLEDGE:
                self.device.set_status(value & ~Status.ACKNOWLEDGE)


@violates("status.drv.clears-no-bit")
class WritesOneBit(Through):
    """Writes the bit that it sets without those that are set."""

    class port_kind(Meddling):  # noqa: N801
        def set_status(self, value: int) -> None:
            self.device.set_status(value & ~self.device.status)


class GivesUpOnce(ReferenceDriver):
    """Gives up before it has read the features, and begins anew."""

    def session(self) -> None:
        for value in (0, Status.ACKNOWLEDGE, Status.ACKNOWLEDGE | Status.FAILED):
            self.port.set_status(value)
        super().session()


@violates("status.drv.reset-after-failed", "features.drv.ceases-without-feature")
class GoesOnAfterFailed(Through, GivesUpOnce):
    """Goes on after FAILED without a reset."""

    right = GivesUpOnce

    class port_kind(Meddling):  # noqa: N801
        def set_status(self, value: int) -> None:
            failed = self.device.status & Status.FAILED
            if value or not failed:
                self.device.set_status(value | failed)
