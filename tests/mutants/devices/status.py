"""Devices that are wrong about device status."""

from __future__ import annotations

from virtionet_ipsec.device import Device
from virtionet_ipsec.wire.enums import Status

from ..mutant import breaks


@breaks("status.dev.consumes-nothing-early")
class SendsFromFeaturesOk(Device):
    """The queues are used from FEATURES_OK on."""

    def _write_status(self, value: int) -> None:
        super()._write_status(value)
        if self.status & Status.FEATURES_OK and self._transmitter is None:
            self._go_live()


@breaks("status.dev.consumes-nothing-early")
class ReceivesFromFeaturesOk(SendsFromFeaturesOk):
    """Receive buffers are used from FEATURES_OK on."""

    def transmit(self, buffer: bytes, queue: int = 0) -> tuple[bytes, ...]:
        return super().transmit(buffer, queue) if self.status & Status.DRIVER_OK else ()


@breaks("status.dev.consumes-nothing-early")
class AnswersAtOnce(Device):
    """Commands are answered before DRIVER_OK."""

    def _execute(self, readable: bytes) -> bytes:
        return self._admin.execute(readable).written
