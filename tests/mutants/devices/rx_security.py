"""Devices that are wrong about the flags of IPsec in received headers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.receive import Receiver
from virtionet_ipsec.ipsec import InboundSa, Reason, Refused
from virtionet_ipsec.wire.enums import Feature, HdrFlag, HdrFlagRfcV1
from virtionet_ipsec.wire.net_hdr import NetHdr
from virtionet_ipsec.wire.profile import Profile

from ..mutant import breaks
from ..wrapping import altering_headers

SECURITY, ERR, WARN = HdrFlag.SECURITY, HdrFlag.SECURITY_ERR, HdrFlag.SECURITY_SA_SOFT_EXPIRY_WARN


def flags(alter: Callable[[Any, int, bytes], int]) -> Any:
    """A ``Device.receive`` with flags as ``alter(device, flags, frame)`` says."""
    return altering_headers(lambda device, hdr, frame: replace(hdr, flags=alter(device, hdr.flags, frame)))


def negotiated(device: Any, feature: Feature) -> bool:
    return bool(device.negotiated >> feature & 1)


@breaks("rx.dev.security-set", "rx.dev.security-independent")
class ErrAlone(Device):
    """A packet that failed IPsec processing has SECURITY_ERR without SECURITY."""

    receive = flags(lambda device, value, frame: value & ~SECURITY if value & ERR else value)


@breaks("rx.dev.security-set")
class NothingWithoutCsum(Device):
    """Without VIRTIO_NET_F_GUEST_CSUM flags is zero altogether."""

    receive = flags(lambda device, value, frame: value if negotiated(device, Feature.GUEST_CSUM) else 0)


@breaks("rx.dev.security-set", profile=Profile.RFC_V1)
class BitOfVirtio14(Device):
    """SECURITY is at the bit that it has in virtio 1.4."""

    receive = flags(
        lambda device, value, frame: value & ~HdrFlagRfcV1.SECURITY | (16 if value & HdrFlagRfcV1.SECURITY else 0)
    )


class _FlagsEsp(Receiver):
    def _failed(self, frame: bytes, entry: Any, refused: Refused) -> tuple[bytes, bytes, bool]:
        front, body, processed = super()._failed(frame, entry, refused)
        return bytes((front[0] | self._security,)) + front[1:], body, processed


@breaks("rx.dev.security-clear")
@breaks("rx.dev.security-clear", profile=Profile.RFC_V1)
class FlagsWhatRulesFind(Device):
    """SECURITY is set in all that a rule took to IPsec processing, IKE and NAT keep-alives too."""

    _receiver_class = _FlagsEsp


@breaks("rx.dev.security-clear")
class FlagsAllEsp(Device):
    """SECURITY is set in an ESP packet that no rule matches."""

    receive = flags(
        lambda device, value, frame: (
            value | SECURITY if frame[23] == 50 and negotiated(device, Feature.IPSEC) else value
        )
    )


class Remembering(Device):
    """A device that knows the flags of the packet before."""

    before = 0

    def remembered(self, hdr: NetHdr) -> int:
        before, self.before = self.before, hdr.flags
        return before


@breaks("rx.dev.security-clear")
class KeepsSecurity(Remembering):
    """A plain packet has SECURITY when the packet before it had."""

    receive = altering_headers(
        lambda device, hdr, frame: replace(hdr, flags=hdr.flags | device.remembered(hdr) & SECURITY)
    )


@breaks("rx.dev.security-set")
class SecurityNeedsCsum(Device):
    """Without VIRTIO_NET_F_CSUM no packet has SECURITY."""

    receive = flags(lambda device, value, frame: value if negotiated(device, Feature.CSUM) else value & ~SECURITY)


@breaks("rx.dev.security-independent")
class WarnInsteadOfSecurity(Device):
    """The soft expiry warning takes the place of SECURITY."""

    receive = flags(lambda device, value, frame: value & ~SECURITY if value & WARN else value)


@breaks("rx.dev.security-independent", profile=Profile.RFC_V1)
class ErrAloneInRfc(Device):
    """A packet that failed IPsec processing has SECURITY_ERR without SECURITY, at the RFC's bits."""

    receive = flags(
        lambda device, value, frame: value & ~HdrFlagRfcV1.SECURITY if value & HdrFlagRfcV1.SECURITY_ERR else value
    )


class _FailsQuietly(Receiver):
    def _failed(self, frame: bytes, entry: Any, refused: Refused) -> tuple[bytes, bytes, bool]:
        front, body, processed = super()._failed(frame, entry, refused)
        quiet = refused.reason.value in self.quiet
        return bytes((front[0] & ~self._err if quiet else front[0],)) + front[1:], body, processed

    quiet: frozenset[str] = frozenset()


def quiet(*reasons: str) -> type[Receiver]:
    """A receiver that does not set SECURITY_ERR for these reasons."""
    return type("Quiet", (_FailsQuietly,), {"quiet": frozenset(reasons)})


@breaks("rx.dev.security-err-set")
@breaks("rx.dev.security-err-set", profile=Profile.RFC_V1)
class UnknownSpiIsFine(Device):
    """A packet whose SA was not offloaded has no SECURITY_ERR."""

    _receiver_class = quiet("unknown_spi")


@breaks("rx.dev.security-err-set")
class HardLimitIsFine(Device):
    """A packet after the hard limit of its SA has no SECURITY_ERR."""

    _receiver_class = quiet("hard_lifetime")


@breaks("rx.dev.security-err-set")
class FragmentsAreFine(Device):
    """A fragment of an ESP packet has no SECURITY_ERR."""

    _receiver_class = quiet("fragment")


@breaks("rx.dev.security-err-set")
class ReplaysAreFine(Device):
    """A packet that came before has no SECURITY_ERR."""

    _receiver_class = quiet("replayed")


@breaks("rx.dev.security-err-set")
class OtherProtocolsAreFine(Device):
    """A packet of the other protocol than its SA's has no SECURITY_ERR."""

    _receiver_class = quiet("protocol_mismatch")


@breaks("rx.dev.security-err-set")
@breaks("rx.dev.security-err-set", profile=Profile.RFC_V1)
class CutPacketsAreFine(Device):
    """A packet whose IP header says more octets than there are has no SECURITY_ERR."""

    _receiver_class = quiet("truncated")


@breaks("rx.dev.security-err-set")
class WrongLengthsAreFine(Device):
    """A packet whose headers contradict each other has no SECURITY_ERR."""

    _receiver_class = quiet("malformed")


class _Stops(Receiver):
    stopped = False

    def _failed(self, frame: bytes, entry: Any, refused: Refused) -> tuple[bytes, bytes, bool]:
        self.stopped = self.stopped or refused.reason is Reason.MALFORMED
        return super()._failed(frame, entry, refused)

    def _ipsec(self, frame: bytes) -> tuple[bytes, bytes, bool]:
        front, body, processed = super()._ipsec(frame)
        if self.stopped and processed:
            front = bytes((front[0] | self._err,)) + front[1:]
        return front, body, processed


@breaks("rx.dev.security-err-set")
class StopsAtMalformedPackets(Device):
    """After a packet whose headers contradict each other every packet counts as wrong."""

    _receiver_class = _Stops


@breaks("rx.dev.security-err-clear")
@breaks("rx.dev.security-err-clear", profile=Profile.RFC_V1)
class ErrForIke(Device):
    """What a rule took to IPsec processing and is no IPsec packet has SECURITY_ERR."""

    receive = altering_headers(
        lambda device, hdr, frame: (
            replace(hdr, flags=hdr.flags | (16 if device.profile is Profile.RFC_V1 else ERR))
            if frame[34:38] == b"\x11\x94\x11\x94"
            else hdr
        )
    )


@breaks("rx.dev.security-err-clear")
class KeepsErr(Remembering):
    """SECURITY_ERR stays set in the packet after the one that failed."""

    receive = altering_headers(lambda device, hdr, frame: replace(hdr, flags=hdr.flags | device.remembered(hdr) & ERR))


@breaks("rx.dev.security-err-independent")
class WarnIsErr(Device):
    """SECURITY_ERR is set in every packet with a soft expiry warning."""

    receive = flags(lambda device, value, frame: value | ERR if value & WARN else value)


@breaks("rx.dev.security-err-independent")
class WarnInsteadOfErr(Device):
    """The soft expiry warning takes the place of SECURITY_ERR."""

    receive = flags(lambda device, value, frame: value & ~ERR if value & WARN else value)


@breaks("rx.dev.soft-expiry-warn")
class WarnsOfPacketsOnly(Device):
    """Soft limits in bytes never give a warning."""

    class _inbound_class(InboundSa):  # noqa: N801
        def _configure(self, params: Any) -> None:
            super()._configure(replace(params, lifetime=replace(params.lifetime, bytes_soft=0)))


@breaks("rx.dev.soft-expiry-warn")
class WarnsOnce(Remembering):
    """The warning is given once, with the packet that reaches the limit."""

    receive = altering_headers(
        lambda device, hdr, frame: replace(hdr, flags=hdr.flags & ~(device.remembered(hdr) & WARN))
    )


@breaks("rx.dev.soft-expiry-warn")
class WarnsNoFailures(Device):
    """A packet with SECURITY_ERR has no warning."""

    receive = flags(lambda device, value, frame: value & ~WARN if value & ERR else value)


@breaks("rx.dev.soft-expiry-warn")
class WarnsOneLate(Remembering):
    """The warning is given from the packet after the one that reaches the limit."""

    receive = altering_headers(
        lambda device, hdr, frame: replace(hdr, flags=hdr.flags & (device.remembered(hdr) | ~WARN & 0xFF))
    )


@breaks("rx.dev.soft-expiry-warn")
class WarnsAfterTheNextPacket(Device):
    """A soft limit that MODIFY lowers counts when the next packet was processed, not for one that fails before."""

    class _inbound_class(InboundSa):  # noqa: N801
        def modify(self, params: Any) -> None:
            before = self.state.soft_expired
            super().modify(params)
            self.state.soft_expired = before


@breaks("rx.dev.security-resource")
@breaks("rx.dev.security-resource", profile=Profile.RFC_V1)
class NoResourceType(Device):
    """resource_type is always zero."""

    receive = altering_headers(lambda device, hdr, frame: replace(hdr, resource_type=0))


@breaks("rx.dev.security-resource")
class OutboundResourceType(Device):
    """resource_type is that of outbound SAs."""

    receive = altering_headers(
        lambda device, hdr, frame: replace(hdr, resource_type=hdr.resource_type and int(device._outbound.type))
    )


class RememberingResource(Device):
    """A device that knows resource_id and resource_type of the packet before."""

    resource = 0, 0

    def kept(self, hdr: NetHdr) -> NetHdr:
        if not hdr.resource_type:
            return replace(hdr, resource_id=self.resource[0], resource_type=self.resource[1])
        self.resource = hdr.resource_id, hdr.resource_type
        return hdr


@breaks("rx.dev.security-resource")
@breaks("rx.dev.security-resource", profile=Profile.RFC_V1)
class KeepsResource(RememberingResource):
    """resource_id and resource_type of a plain packet are those of the packet before it."""

    receive = altering_headers(lambda device, hdr, frame: device.kept(hdr))
