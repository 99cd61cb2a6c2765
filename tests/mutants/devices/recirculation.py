"""Devices that are wrong about IPSEC_RECIRCULATE."""

from __future__ import annotations

from virtionet_ipsec.device import Device, Received
from virtionet_ipsec.device.receive import Receiver
from virtionet_ipsec.wire.enums import Action

from ..flow_filters import receiver
from ..mutant import breaks


@breaks("ipsec.dev.recirculates")
class DoesNotRecirculate(Device):
    """IPSEC_RECIRCULATE is IPSEC."""

    _receiver_class = receiver(_recirculate=lambda receiver, frame: 0)


@breaks("ipsec.dev.recirculated-once")
class RecirculatesTwice(Device):
    """What comes out of IPsec goes through it again when it is an IPsec packet of a rule once more."""

    def receive(self, frame: bytes) -> Received | None:
        got = super().receive(frame)
        if got is None or self._receiver is None:
            return got
        rule = self.flow_table.lookup(frame)
        data = b"".join(got.buffers)[self._receiver._size :]
        if rule is None or rule.action != Action.IPSEC_RECIRCULATE or data == frame:
            return got
        again = self.flow_table.lookup(data)
        return super().receive(data) if again is not None and again.action == Action.IPSEC_RECIRCULATE else got


def _no_ipsec(receiver: Receiver, frame: bytes) -> tuple[bytes, bytes, bool]:
    return receiver._plain_header, frame, False


@breaks("ipsec.dev.action-processed")
class IgnoresIpsecActions(Device):
    """A packet that an IPsec rule matches is delivered as it came."""

    _receiver_class = receiver(_ipsec=_no_ipsec)
