"""Devices that are wrong about device reset."""

from __future__ import annotations

from virtionet_ipsec.device import Device
from virtionet_ipsec.wire.enums import Opcode, Status

from ..mutant import breaks


@breaks("reset.dev.status-zero")
class KeepsAcknowledge(Device):
    """ACKNOWLEDGE stays set over a reset."""

    def reset(self) -> None:
        kept = self.status & Status.ACKNOWLEDGE
        super().reset()
        self._negotiation.status = kept


@breaks("reset.dev.status-zero")
class KeepsFailed(Device):
    """FAILED stays set over a reset."""

    def reset(self) -> None:
        kept = self.status & Status.FAILED
        super().reset()
        self._negotiation.status = kept


@breaks("reset.dev.queues-untouched")
class GoesOnSending(Device):
    """Transmit buffers are sent after a reset as they were before."""

    def reset(self) -> None:
        transmitter = self._transmitter
        super().reset()
        self._transmitter = transmitter


@breaks("reset.dev.queues-untouched")
class GoesOnReceiving(Device):
    """Frames from the wire use receive buffers after a reset as they did before."""

    def reset(self) -> None:
        receiver = self._receiver
        super().reset()
        self._receiver = receiver


@breaks("reset.dev.queues-untouched")
class GoesOnAnswering(Device):
    """A device that had DRIVER_OK once answers commands after a reset."""

    _was_live = False

    def _go_live(self) -> None:
        super()._go_live()
        self._was_live = True

    def _execute(self, readable: bytes) -> bytes:
        if not self.status & Status.DRIVER_OK and self._was_live and readable[:2] == bytes((Opcode.LIST_QUERY, 0)):
            return self._admin.execute(readable).written
        return super()._execute(readable)
