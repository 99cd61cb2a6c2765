"""D15 counts the octets of plain packets, RFC 4301 4.4.2.1 those that the algorithm is applied to: both conform."""

from __future__ import annotations

from typing import Any

from virtionet_ipsec.conformance.driving.lifetimes import applied
from virtionet_ipsec.conformance.judge_device import run_check
from virtionet_ipsec.conformance.verdict import Verdict
from virtionet_ipsec.device import Device
from virtionet_ipsec.ipsec import InboundSa, OutboundSa
from virtionet_ipsec.wire.profile import Profile


class CountsWhatIsProcessed(Device):
    """Octets age an SA as RFC 4301 has it."""

    class Outbound(OutboundSa):
        def protect(self, packet: bytes, observe: Any = None) -> bytes:
            done = super().protect(packet, observe)
            self.state.bytes += applied(self.params, bytes(14) + done) - len(packet)
            return done

    class Inbound(InboundSa):
        def unprotect(self, packet: bytes, where: Any, observe: Any = None, start: int = 0) -> bytes:
            plain = super().unprotect(packet, where, observe, start)
            self.state.bytes += applied(self.params, packet) - len(plain)
            return plain

    _outbound_class = Outbound
    _inbound_class = Inbound


def test_both_ways_to_count_conform() -> None:
    for kind in (Device, CountsWhatIsProcessed):
        outcome = run_check("lifetime.bytes-counted", lambda kind=kind: kind(Profile.VIRTIO_1_4), Profile.VIRTIO_1_4)
        assert outcome.verdict is Verdict.PASS, outcome


def test_no_other_check_of_lifetimes_minds() -> None:
    for check in ("bytes-hard", "gap", "soft", "hard"):
        outcome = run_check(f"lifetime.{check}", lambda: CountsWhatIsProcessed(Profile.VIRTIO_1_4), Profile.VIRTIO_1_4)
        assert outcome.verdict is Verdict.PASS, outcome
