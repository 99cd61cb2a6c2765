"""Devices that are wrong about ESP in UDP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from virtionet_ipsec.conformance.driving import frames
from virtionet_ipsec.device import Device
from virtionet_ipsec.device.receive import Receiver
from virtionet_ipsec.ipsec import InboundSa, Mode, OutboundSa, Reason, Refused, SaParams
from virtionet_ipsec.wire.codec import parse
from virtionet_ipsec.wire.sa import ipsec_sa

from ..mutant import breaks
from ..wrong_sas import mended, taking_out, version, with_word


def _in_udp(alter: Callable[[bytes, int], bytes]) -> type[OutboundSa]:
    """An outbound SA that gives ``alter(packet, offset of UDP)`` where it encapsulates in UDP."""

    class Wrong(OutboundSa):
        def _esp(self, header: bytes, plain: bytes, seq: int) -> bytes:
            done = super()._esp(header, plain, seq)
            return alter(done, len(header)) if self.params.udp else done

    return Wrong


def _udp_checksum_right(packet: bytes, at: int) -> bytes:
    addresses = packet[12:20] if version(packet) == 4 else packet[8:40]
    sport, dport = (int.from_bytes(packet[at + n : at + n + 2], "big") for n in (0, 2))
    return packet[:at] + frames.udp(packet[at + 8 :], sport, dport, addresses=addresses)


def _as_before(packet: bytes, at: int) -> bytes:
    """``packet`` with a right checksum where there was one."""
    return packet if packet[at + 6 : at + 8] == b"\0\0" else _udp_checksum_right(packet, at)


@breaks("natt.dev.ports")
class SwapsPorts(Device):
    """Source and destination port are the other way round."""

    _outbound_class = _in_udp(lambda packet, at: with_word(packet, at, packet[at + 2 : at + 4] + packet[at : at + 2]))


@breaks("natt.dev.ports")
class Always4500(Device):
    """The ports are 4500, whatever the SA says."""

    _outbound_class = _in_udp(lambda packet, at: _as_before(with_word(packet, at, b"\x11\x94" * 2), at))


@breaks("natt.dev.udp-header")
class SendsZeroOverIpv6(Device):
    """A UDP checksum over IPv6 that comes to 0 is sent as 0."""

    _outbound_class = _in_udp(
        lambda packet, at: with_word(packet, at + 6, b"\0\0") if packet[at + 6 : at + 8] == b"\xff\xff" else packet
    )


@breaks("natt.dev.checksum-zero")
class ChecksumOverIpv4(Device):
    """There is a UDP checksum over IPv4, and it is right."""

    _outbound_class = _in_udp(_udp_checksum_right)


@breaks("natt.dev.checksum-received")
class WantsZero(Device):
    """A packet with a UDP checksum over IPv4 is refused."""

    class Wrong(InboundSa):
        def unprotect(self, packet: bytes, where: Any, observe: Any = None, start: int = 0) -> bytes:
            esp, encapsulated = where[1], where[4]
            if encapsulated and version(packet[start:]) == 4 and packet[esp - 2 : esp] != b"\0\0":
                raise Refused(Reason.MALFORMED)
            return super().unprotect(packet, where, observe, start)

    _inbound_class = Wrong


@breaks("natt.dev.spi-zero")
class TakesSpiZero(Device):
    """An outbound SA may have the SPI zero."""

    class Wrong(OutboundSa):
        spi_zero = False

        def _esp(self, header: bytes, plain: bytes, seq: int) -> bytes:
            done = super()._esp(header, plain, seq)
            at = len(header) + (8 if self.params.udp else 0)
            return with_word(done, at, bytes(4)) if self.spi_zero else done

    _outbound_class = Wrong

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        right = self._outbound.create

        def create(resource_id: int, data: bytes) -> bytes:
            fields = parse(ipsec_sa(self.profile), data)
            if fields.spi:
                return right(resource_id, data)
            fields.spi = 1
            stored = right(resource_id, ipsec_sa(self.profile).build(fields))
            self.outbound[resource_id].spi_zero = True
            return stored

        self._outbound.create = create


@breaks("natt.dev.udp-header")
class LengthOfEsp(Device):
    """The UDP length does not count the UDP header."""

    _outbound_class = _in_udp(lambda packet, at: with_word(packet, at + 4, (len(packet) - at - 8).to_bytes(2, "big")))


@breaks("natt.dev.udp-header")
class NoChecksumOverIpv6(Device):
    """The UDP checksum is zero over IPv6 as well."""

    _outbound_class = _in_udp(lambda packet, at: with_word(packet, at + 6, b"\0\0"))


class _TakesForEsp(Receiver):
    """What a UDP datagram to port 4500 holds is ESP of an unknown SPI when ``mistaken`` says so."""

    @staticmethod
    def mistaken(payload: bytes) -> bool:
        raise NotImplementedError

    def _failed(self, frame: bytes, entry: Any, refused: Refused) -> tuple[bytes, bytes, bool]:
        payload = frame[14 + (20 if version(frame[14:]) == 4 else 40) + 8 :]
        if refused.reason is Reason.NOT_IPSEC and self.mistaken(payload):
            refused = Refused(Reason.UNKNOWN_SPI)
        return super()._failed(frame, entry, refused)


@breaks("natt.dev.non-esp-marker")
class MarkerIsAnSpi(Device):
    """The non-ESP marker is an unknown SPI."""

    class Wrong(_TakesForEsp):
        @staticmethod
        def mistaken(payload: bytes) -> bool:
            return payload[:4] == bytes(4)

    _receiver_class = Wrong


@breaks("natt.dev.keepalive")
class KeepaliveIsAnError(Device):
    """A NAT keep-alive is ESP that is too short."""

    class Wrong(_TakesForEsp):
        @staticmethod
        def mistaken(payload: bytes) -> bool:
            return payload[:1] == b"\xff"

    _receiver_class = Wrong


def _shorter_by_udp(packet: bytes) -> bytes:
    at = 2 if version(packet) == 4 else 4
    return mended(with_word(packet, at, (int.from_bytes(packet[at : at + 2], "big") - 8).to_bytes(2, "big")))


def _in_mode(mode: Mode) -> type[OutboundSa]:
    class Wrong(OutboundSa):
        def _esp(self, header: bytes, plain: bytes, seq: int) -> bytes:
            done = super()._esp(header, plain, seq)
            return _shorter_by_udp(done) if self.params.udp and self.params.mode is mode else done

    return Wrong


@breaks("natt.dev.encapsulation")
class ForgetsUdpInTransport(Device):
    """In transport mode the IP length does not count the UDP header."""

    _outbound_class = _in_mode(Mode.TRANSPORT)


@breaks("natt.dev.encapsulation")
class ForgetsUdpInTunnel(Device):
    """In tunnel mode the outer IP length does not count the UDP header."""

    _outbound_class = _in_mode(Mode.TUNNEL)


def _protocol_stays(plain: bytes, wire: bytes, params: SaParams) -> bytes:
    if params.udp is None or params.mode is Mode.TUNNEL:
        return plain
    return mended(with_word(plain, 9 if version(plain) == 4 else 6, bytes((frames.UDP,))))


@breaks("natt.dev.decapsulation")
class ProtocolStaysUdp(Device):
    """In transport mode the IP header still says UDP when UDP is off."""

    _inbound_class = taking_out(_protocol_stays)


@breaks("natt.dev.decapsulation")
class ComparesPorts(Device):
    """A packet from another port than the SA's is refused."""

    class Wrong(InboundSa):
        def unprotect(self, packet: bytes, where: Any, observe: Any = None, start: int = 0) -> bytes:
            udp, esp = self.params.udp, where[1]
            if udp is not None and where[4] and int.from_bytes(packet[esp - 8 : esp - 6], "big") != udp.sport:
                raise Refused(Reason.ENCAP_MISMATCH)
            return super().unprotect(packet, where, observe, start)

    _inbound_class = Wrong
