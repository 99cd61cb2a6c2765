"""Devices that are wrong about which packets ESP and AH take, and where they go, in both protocols alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from virtionet_ipsec.device import Device, Received
from virtionet_ipsec.device.receive import Receiver
from virtionet_ipsec.ipsec import InboundSa, OutboundSa, Reason, Refused
from virtionet_ipsec.ipsec.ip import PROTO_AH, PROTO_ESP, with_ipv4_checksum
from virtionet_ipsec.ipsec.outbound import trailers
from virtionet_ipsec.ipsec.transport import reheaded
from virtionet_ipsec.wire.net_hdr import HdrLayout

from .sequences import breaks_both

_SPI = slice(8, 12)  # of the SA object


class _LowOctet(dict[int, tuple[int, InboundSa]]):
    def __init__(self, by_spi: Mapping[int, tuple[int, InboundSa]]) -> None:
        self.by_spi = by_spi

    def get(self, spi: int, default: Any = None) -> Any:
        return next((found for known, found in self.by_spi.items() if known & 0xFF == spi & 0xFF), default)


@breaks_both("spi-finds-sa")
class LooksAtOneOctetOfTheSpi(Device):
    """The SA of a received packet is found by the last octet of its SPI."""

    class _receiver_class(Receiver):  # noqa: N801
        def __init__(self, layout: Any, negotiated: int, flows: Any, by_spi: Any, mtu: int, counters: Any) -> None:
            super().__init__(layout, negotiated, flows, _LowOctet(by_spi), mtu, counters)


class _OneSource(InboundSa):
    source = b""

    def unprotect(self, packet: bytes, where: Any, observe: Any = None, start: int = 0) -> bytes:
        source = packet[start + 12 : start + 16]
        self.source = self.source or source
        if source != self.source:
            raise Refused(Reason.UNKNOWN_SPI, "another source")
        return super().unprotect(packet, where, observe, start)


@breaks_both("spi-finds-sa")
class LooksAtTheSource(Device):
    """An SA takes packets from the source address of its first packet only."""

    _inbound_class = _OneSource


@breaks_both("spi-zero")
class TakesSpiZero(Device):
    """An outbound SA with SPI zero can be created, and sends with it."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        right = self._outbound._params

        def params(resource_id: int, data: bytes) -> Any:
            if any(data[_SPI]):
                return right(resource_id, data)
            made = right(resource_id, data[: _SPI.start] + b"\1\0\0\0" + data[_SPI.stop :])
            object.__setattr__(made, "spi", 0)
            return made

        self._outbound._params = params


class _Unknown(Receiver):
    def _failed(self, frame: bytes, entry: Any, refused: Refused) -> tuple[bytes, bytes, bool]:
        return super()._failed(frame, entry, refused) if entry is not None else self.unknown(frame, refused)

    def unknown(self, frame: bytes, refused: Refused) -> tuple[bytes, bytes, bool]:
        raise NotImplementedError


class _Passes(_Unknown):
    def unknown(self, frame: bytes, refused: Refused) -> tuple[bytes, bytes, bool]:
        return self._plain_header, frame, False


@breaks_both("no-sa", "fragment-discarded")
class PassesWhatHasNoSa(Device):
    """A packet for which no SA was found or looked up is handed up as one that is not IPsec."""

    _receiver_class = _Passes


class _Names(_Unknown):
    def unknown(self, frame: bytes, refused: Refused) -> tuple[bytes, bytes, bool]:
        entry = next(iter(self._by_spi.values()), None)
        return super(_Unknown, self)._failed(frame, entry, refused)


@breaks_both("no-sa")
class NamesAnySa(Device):
    """With a packet for which there is no SA the resource_id of another SA is handed up."""

    _receiver_class = _Names


def _whole(frame: bytes, mask: int) -> bytes:
    """An IPv4 frame with these bits of flags and Fragment Offset cleared."""
    if frame[12:14] != b"\x08\x00":
        return frame
    field = int.from_bytes(frame[20:22], "big") & ~mask
    return frame[:14] + with_ipv4_checksum(frame[14:20] + field.to_bytes(2, "big") + frame[22:34]) + frame[34:]


@breaks_both("fragment-discarded")
class TakesFirstFragments(Device):
    """MF is not looked at: a first fragment is processed as if it were the packet."""

    def receive(self, frame: bytes) -> Received | None:
        return super().receive(_whole(frame, 0x2000) if not frame[20] & 0x1F and not frame[21] else frame)


@breaks_both("fragment-discarded")
class TakesLastFragments(Device):
    """The Fragment Offset is not looked at: a last fragment is processed as if it were the packet."""

    def receive(self, frame: bytes) -> Received | None:
        return super().receive(_whole(frame, 0x1FFF) if not frame[20] & 0x20 else frame)


@breaks_both("fragment-discarded")
class LooksAtOneOctetOfTheOffset(Device):
    """Of the Fragment Offset the low octet is looked at: a last fragment at 0x100 is processed as if it were whole."""

    def receive(self, frame: bytes) -> Received | None:
        return super().receive(_whole(frame, 0x1F00) if not frame[21] and not frame[20] & 0x20 else frame)


class _OneOctet(OutboundSa):
    def protect(self, packet: bytes, observe: Any = None) -> bytes:
        if packet[0] >> 4 == 4 and self.params.tunnel is None and not packet[7] and packet[6] & 0x1F:
            packet = with_ipv4_checksum(packet[:6] + b"\0\0" + packet[8:20]) + packet[20:]
        return super().protect(packet, observe)


@breaks_both("whole-packets")
class LooksAtOneOctetOfTheOffsetOut(Device):
    """Of the Fragment Offset of an IPv4 packet to send, in transport mode, the low octet is looked at."""

    _outbound_class = _OneOctet


@breaks_both("whole-packets")
class SendsFragmentsPlain(Device):
    """A fragment for an SA in transport mode leaves without protection."""

    def transmit(self, buffer: bytes, queue: int = 0) -> tuple[bytes, ...]:
        sent = super().transmit(buffer, queue)
        refused = self.transmit_refused
        if refused is not None and refused.reason is Reason.FRAGMENT:
            return (buffer[HdrLayout(self.profile, self.negotiated).size :],)
        return sent


class _NoFragments(OutboundSa):
    def protect(self, packet: bytes, observe: Any = None) -> bytes:
        if packet[0] >> 4 == 4 and (packet[6] & 0x3F or packet[7]):
            raise Refused(Reason.FRAGMENT)
        return super().protect(packet, observe)


@breaks_both("whole-packets")
class TunnelsNoFragments(Device):
    """A fragment for an SA in tunnel mode is dropped as well."""

    _outbound_class = _NoFragments


class _OptionsBehind(OutboundSa):
    def protect(self, packet: bytes, observe: Any = None) -> bytes:
        if packet[0] >> 4 == 4 and packet[0] & 0xF > 5 and self.params.tunnel is None:
            packet = with_ipv4_checksum(b"\x45" + packet[1:20]) + packet[20:]
        return super().protect(packet, observe)


@breaks_both("placement-ipv4")
class OptionsBehindTheHeader(Device):
    """In transport mode IPv4 options end up behind the IPsec header."""

    _outbound_class = _OptionsBehind


class _AtOnce(OutboundSa):
    def _esp_transport(self, packet: bytes, seq: int) -> bytes:
        if packet[0] >> 4 == 4:
            return super()._esp_transport(packet, seq)
        plain = packet[40:] + trailers(self._align, packet[6])[(len(packet) - 40) % self._align]
        header = reheaded(packet[:40], 6, PROTO_ESP, len(plain) + self._overhead, self._mtu)
        return self._esp(header, plain, seq)

    def _ah_transport(self, packet: bytes, seq: int) -> bytes:
        if packet[0] >> 4 == 4:
            return super()._ah_transport(packet, seq)
        header = reheaded(packet[:40], 6, PROTO_AH, self._ah.length(6) + len(packet) - 40, self._mtu)
        return header + self._ah.protect(header, packet[6], seq, packet[40:], self._high(seq))


@breaks_both("placement-ipv6")
class ExtensionHeadersBehindTheHeader(Device):
    """In transport mode over IPv6 the IPsec header follows the IPv6 header at once."""

    _outbound_class = _AtOnce
