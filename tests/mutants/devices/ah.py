"""Devices that are wrong about AH; what ESP has too is in :mod:`.sequences` and :mod:`.admission`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.limits import ALL_SA_MODES, Limits
from virtionet_ipsec.ipsec import Reason, Refused
from virtionet_ipsec.ipsec.ah import AhTransform
from virtionet_ipsec.wire.enums import IpsecMode, IpsecOption

from ..mutant import breaks
from ..other_sas import OtherTransform


class Counting(AhTransform):
    """An AH whose ICV counts the headers in front as :meth:`count` says, sent and received."""

    def protect(self, header: bytes, nh: int, seq: int, payload: bytes, high: bytes) -> bytes:
        self.header, self.sending = header, True
        return super().protect(header, nh, seq, payload, high)

    def verify(self, packet: bytes, start: int, end: int, high: bytes) -> int:
        self.header, self.sending = packet[:start], False
        return super().verify(packet, start, end, high)

    def _compute(self, iv: bytes, covered: bytes) -> bytes:
        return super()._compute(iv, self._counted(covered))

    def _verify(self, iv: bytes, covered: bytes, icv: bytes) -> bool:
        return super()._verify(iv, self._counted(covered), icv)

    def _counted(self, covered: bytes) -> bytes:
        size = len(self.header)
        front = bytearray(covered[:size])
        self.count(front)
        return bytes(front) + covered[size:]

    def count(self, front: bytearray) -> None:
        """Change what the ICV counts of ``self.header``."""

    @property
    def version(self) -> int:
        return self.header[0] >> 4

    def as_it_is(self, front: bytearray, start: int, end: int | None = None) -> None:
        front[start:end] = self.header[start:end]


# -- format ----------------------------------------------------------------------------------------------------------


class _FourInside(AhTransform):
    def protect(self, header: bytes, nh: int, seq: int, payload: bytes, high: bytes) -> bytes:
        return super().protect(header, 4 if nh == 41 else nh, seq, payload, high)


@breaks("ah.dev.protocol")
class Ipv4Inside(OtherTransform):
    """AH names IPv4 in front of an inner IPv6 packet, too."""

    ah = _FourInside


class _LongWords(AhTransform):
    def protect(self, header: bytes, nh: int, seq: int, payload: bytes, high: bytes) -> bytes:
        made = super().protect(header, nh, seq, payload, high)
        return made if header[0] >> 4 == 4 else made[:1] + bytes((self.length(6) // 8 - 1,)) + made[2:]


@breaks("ah.dev.payload-length")
class CountsAsIpv6Does(OtherTransform):
    """Over IPv6 Payload Len counts units of 64 bits, as other extension headers do."""

    ah = _LongWords


class _ShortOnes(AhTransform):
    def length(self, ip_version: int) -> int:
        return super().length(4)


@breaks("ah.dev.ipv6-length", "ah.dev.icv-padding")
class NoPaddingOverIpv6(OtherTransform):
    """Over IPv6 AH is as long as over IPv4."""

    ah = _ShortOnes


class _NoPadding(AhTransform):
    def verify(self, packet: bytes, start: int, end: int, high: bytes) -> int:
        if (packet[start + 1] + 2) * 4 > 12 + self._iv + self._icv:
            raise Refused(Reason.MALFORMED)
        return super().verify(packet, start, end, high)


@breaks("ah.dev.icv-padding")
class TakesNoPadding(OtherTransform):
    """A received packet with padding in the ICV field is refused."""

    ah = _NoPadding


class _AlwaysEight(AhTransform):
    def length(self, ip_version: int) -> int:
        return super().length(6)


@breaks("ah.dev.icv-padding-least")
class PadsIpv4ToEight(OtherTransform):
    """AH is padded to 8 octets over IPv4, too."""

    ah = _AlwaysEight


class _PaddingAsZero(AhTransform):
    def verify(self, packet: bytes, start: int, end: int, high: bytes) -> int:
        cut, after = start + 12 + self._iv + self._icv, start + (packet[start + 1] + 2) * 4
        return super().verify(packet[:cut] + bytes(after - cut) + packet[after:], start, end, high)


@breaks("ah.dev.icv-padding-covered", "ah.dev.icv-padding")
class PaddingCountsAsZero(OtherTransform):
    """The ICV counts the padding of its field as zero, whatever the sender put there."""

    ah = _PaddingAsZero


class _Odd(AhTransform):
    def length(self, ip_version: int) -> int:
        return 12 + self._icv - 2

    def _compute(self, iv: bytes, covered: bytes) -> bytes:
        return super()._compute(iv, covered)[:-2]


@breaks("ah.dev.icv-multiple")
class IcvTwoOctetsShort(OtherTransform):
    """The ICV is sent two octets short, and its field is no multiple of 32 bits."""

    ah = _Odd


class _Reserved(AhTransform):
    def protect(self, header: bytes, nh: int, seq: int, payload: bytes, high: bytes) -> bytes:
        made = super().protect(header, nh, seq, payload, high)
        return made[:2] + b"\0\1" + made[4:]


@breaks("ah.dev.reserved-zero")
class SendsReserved(OtherTransform):
    """The Reserved field is sent as 1."""

    ah = _Reserved


class _ZeroReserved(AhTransform):
    def verify(self, packet: bytes, start: int, end: int, high: bytes) -> int:
        if packet[start + 2] or packet[start + 3]:
            raise Refused(Reason.MALFORMED)
        return super().verify(packet, start, end, high)


@breaks("ah.dev.reserved-ignored")
class RefusesReserved(OtherTransform):
    """A packet whose Reserved field is not zero is refused."""

    ah = _ZeroReserved


@breaks("ah.dev.esn-supported")
class NoEsnInTunnelMode(Device):
    """AH in tunnel mode does not have the option ESN."""

    def __init__(self, *args: Any, **how: Any) -> None:
        caps = [
            replace(cap, options=cap.options & ~IpsecOption.ESN) if cap.mode is IpsecMode.AH_TUNNEL else cap
            for cap in ALL_SA_MODES
        ]
        super().__init__(*args, limits=Limits(sa_modes=tuple(caps)), **how)


# -- the ICV ---------------------------------------------------------------------------------------------------------


class _Lax(AhTransform):
    def _verify(self, iv: bytes, covered: bytes, icv: bytes) -> bool:
        return self._compute(iv, covered)[:8] == icv[:8]


@breaks("ah.dev.icv-verified")
class IcvInPart(OtherTransform):
    """The first eight octets of the ICV are compared."""

    ah = _Lax


class _NoIpHeader(Counting):
    def _counted(self, covered: bytes) -> bytes:
        return covered[len(self.header) :] if self.sending else covered


@breaks("ah.dev.icv-covers")
class IcvWithoutIpHeader(OtherTransform):
    """The ICV that is sent does not cover what lies in front of AH."""

    ah = _NoIpHeader


class _NoPayload(Counting):
    def _counted(self, covered: bytes) -> bytes:
        return covered if self.sending else covered[: len(self.header) + 12 + self._icv + 40]


@breaks("ah.dev.icv-covers", "ah.dev.icv-verified", "ah.dev.tunnel-covers-inner")
class IcvOfTheBeginning(OtherTransform):
    """The ICV of a received packet is computed over the first 40 octets of the payload."""

    ah = _NoPayload


class _InnerTtl(Counting):
    def _counted(self, covered: bytes) -> bytes:
        at = len(self.header) + self.length(self.version) + 8
        return covered if self.sending else covered[:at] + b"\0" + covered[at + 1 :]


@breaks("ah.dev.tunnel-covers-inner")
class InnerTtlAsZero(OtherTransform):
    """The TTL of a received inner packet counts as zero, as if it were the outer one."""

    ah = _InnerTtl


class _NoHigh(AhTransform):
    def protect(self, header: bytes, nh: int, seq: int, payload: bytes, high: bytes) -> bytes:
        return super().protect(header, nh, seq, payload, b"")

    def verify(self, packet: bytes, start: int, end: int, high: bytes) -> int:
        return super().verify(packet, start, end, b"")


@breaks("ah.dev.icv-esn")
class EsnNotUnderTheIcv(OtherTransform):
    """With ESN the high half of the number is left out of the ICV, sent and received."""

    ah = _NoHigh


class _SendsHigh(AhTransform):
    def length(self, ip_version: int) -> int:
        return super().length(ip_version) + 4 * self.esn

    def __init__(self, params: Any, randbytes: Any) -> None:
        super().__init__(params, randbytes)
        self.esn = params.esn


@breaks("ah.dev.icv-esn")
class EsnTransmitted(OtherTransform):
    """With ESN four octets more are sent behind the ICV, room for the high half."""

    ah = _SendsHigh


# -- headers in front ------------------------------------------------------------------------------------------------


class _OtherCmac(AhTransform):
    def __init__(self, params: Any, randbytes: Any) -> None:
        super().__init__(params, randbytes)
        self.other = params.auth == "aes-cmac"

    def _compute(self, iv: bytes, covered: bytes) -> bytes:
        return super()._compute(iv, covered + b"\x80" if self.other else covered)

    def _verify(self, iv: bytes, covered: bytes, icv: bytes) -> bool:
        return super()._verify(iv, covered + b"\x80" if self.other else covered, icv)


@breaks("ah.dev.icv-covers")
class PadsBeforeCmac(OtherTransform):
    """AES-CMAC is computed over what the ICV covers and an octet of padding."""

    ah = _OtherCmac


class _Ttl(Counting):
    def count(self, front: bytearray) -> None:
        if self.version == 4:
            self.as_it_is(front, 8, 9)


@breaks("ah.dev.icv-ipv4-mutable")
class TtlCounts(OtherTransform):
    """The IPv4 TTL counts as it is."""

    ah = _Ttl


class _Dscp(Counting):
    def count(self, front: bytearray) -> None:
        if self.version == 4:
            front[1] = self.header[1] & 0xFC


@breaks("ah.dev.icv-ipv4-mutable")
class DscpCounts(OtherTransform):
    """The IPv4 DSCP counts as it is, and ECN alone as zero."""

    ah = _Dscp


class _NoIdentification(Counting):
    def count(self, front: bytearray) -> None:
        if self.version == 4:
            front[4:6] = bytes(2)


@breaks("ah.dev.icv-ipv4-immutable")
class IdentificationAsZero(OtherTransform):
    """The IPv4 Identification counts as zero."""

    ah = _NoIdentification


class _NoAddresses(Counting):
    def count(self, front: bytearray) -> None:
        if self.version == 4:
            front[12:20] = bytes(8)


@breaks("ah.dev.icv-ipv4-immutable")
class AddressesAsZero(OtherTransform):
    """The IPv4 addresses count as zero, as behind a NAT."""

    ah = _NoAddresses


class _Options(Counting):
    def count(self, front: bytearray) -> None:
        if self.version == 4:
            self.as_it_is(front, 20)


@breaks("ah.dev.icv-ipv4-options", "ah.dev.icv-ipv4-unknown-option")
class OptionsAsTheyAre(OtherTransform):
    """Every IPv4 option counts as it is."""

    ah = _Options


class _NoOptions(Counting):
    def count(self, front: bytearray) -> None:
        if self.version == 4:
            front[20:] = bytes(len(front) - 20)


@breaks("ah.dev.icv-ipv4-options")
class OptionsAsZero(OtherTransform):
    """Every IPv4 option counts as zero."""

    ah = _NoOptions


class _TypeStays(Counting):
    def count(self, front: bytearray) -> None:
        if self.version == 4 and len(front) > 20:
            self.as_it_is(front, 20, 22)


@breaks("ah.dev.icv-ipv4-options")
class OptionTypeCounts(OtherTransform):
    """Type and length of a mutable IPv4 option count as they are, as in IPv6."""

    ah = _TypeStays


class _SkipsTwo(Counting):
    def count(self, front: bytearray) -> None:
        if self.version == 4 and front[20:21] == b"\1":
            self.as_it_is(front, 20)


@breaks("ah.dev.icv-ipv4-options")
class NoOperationHidesOptions(OtherTransform):
    """What follows a No Operation in the IPv4 options counts as it is."""

    ah = _SkipsTwo


class _Unpredicted(Counting):
    def count(self, front: bytearray) -> None:
        if self.version == 4:
            self.as_it_is(front, 16, 20)


@breaks("ah.dev.icv-predicted")
class DestinationOfTheFirstHop(OtherTransform):
    """Under an IPv4 source route the destination counts as it is sent."""

    ah = _Unpredicted


class _RoutingAsSent(Counting):
    def count(self, front: bytearray) -> None:
        if self.version == 6 and self.header[6] == 43:
            self.as_it_is(front, 24)


@breaks("ah.dev.icv-predicted")
class RoutingHeaderAsSent(OtherTransform):
    """An IPv6 routing header, and the destination with it, counts as it is sent."""

    ah = _RoutingAsSent


class _FlowLabel(Counting):
    def count(self, front: bytearray) -> None:
        if self.version == 6:
            front[1] |= self.header[1] & 0xF
            self.as_it_is(front, 2, 4)


@breaks("ah.dev.icv-ipv6-base")
class FlowLabelCounts(OtherTransform):
    """The IPv6 flow label counts as it is."""

    ah = _FlowLabel


class _HopLimit(Counting):
    def count(self, front: bytearray) -> None:
        if self.version == 6:
            self.as_it_is(front, 7, 8)


@breaks("ah.dev.icv-ipv6-base")
class HopLimitCounts(OtherTransform):
    """The IPv6 Hop Limit counts as it is."""

    ah = _HopLimit


class _NoPayloadLength(Counting):
    def count(self, front: bytearray) -> None:
        if self.version == 6:
            front[4:6] = bytes(2)


@breaks("ah.dev.icv-ipv6-base")
class PayloadLengthAsZero(OtherTransform):
    """The IPv6 Payload Length counts as zero."""

    ah = _NoPayloadLength


class _Ipv6Options(Counting):
    def count(self, front: bytearray) -> None:
        if self.version == 6:
            self.as_it_is(front, 40)


@breaks("ah.dev.icv-ipv6-options")
class Ipv6OptionsAsTheyAre(OtherTransform):
    """IPv6 options count as they are."""

    ah = _Ipv6Options


class _NoIpv6Options(Counting):
    def count(self, front: bytearray) -> None:
        if self.version == 6 and len(front) > 44:
            front[44:] = bytes(len(front) - 44)


@breaks("ah.dev.icv-ipv6-options")
class Ipv6OptionDataAsZero(OtherTransform):
    """The data of every IPv6 option count as zero."""

    ah = _NoIpv6Options
