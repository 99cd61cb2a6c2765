"""Devices that are wrong about segmentation, alone and with IPsec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from virtionet_ipsec.conformance.driving import frames
from virtionet_ipsec.device import Device
from virtionet_ipsec.device.ethernet import payload_offset
from virtionet_ipsec.device.segment import GsoKind, Segments
from virtionet_ipsec.device.transmit import Transmitter
from virtionet_ipsec.ipsec import Reason, Refused
from virtionet_ipsec.wire.profile import Profile

from ..mutant import breaks
from ..wrong_sas import mended, with_word

FIN, CWR = 0x01, 0x80


class Altering(Segments):
    """Segments that are altered one by one: :meth:`alter` gives what leaves, from the IP header on, or nothing."""

    def cut(self, front: bytes) -> Iterator[bytes]:
        for number, packet in enumerate(super().cut(b"")):
            left = self.alter(packet, number)
            if left:
                yield front + left

    def alter(self, packet: bytes, number: int) -> bytes:
        raise NotImplementedError

    def at(self, packet: bytes, offset: int) -> bytes:
        """Two octets of the transport header."""
        return packet[self.transport + offset : self.transport + offset + 2]

    def with_transport(self, packet: bytes, offset: int, octets: bytes) -> bytes:
        """``packet`` with other octets in its transport header, and its checksum right."""
        changed = with_word(packet, self.transport + offset, octets)
        changed = with_word(changed, self.transport + self.checksum_at, b"\0\0")
        addresses = packet[12:20] if packet[0] >> 4 == 4 else packet[8:40]
        segment = changed[self.transport :]
        pseudo = frames.pseudo_header_sum(addresses, self.protocol, len(segment))
        total = frames.checksum(pseudo.to_bytes(2, "big") + segment)
        return with_word(changed, self.transport + self.checksum_at, total.to_bytes(2, "big"))

    @property
    def protocol(self) -> int:
        return frames.TCP if self.checksum_at == 16 else frames.UDP


def cutting(kind: type[Segments]) -> type[Transmitter]:
    """A transmitter that cuts packets in this way."""

    class Wrong(Transmitter):
        _segments_class = kind

    return Wrong


# -- how packets are cut -----------------------------------------------------------------------------------------


@breaks("tx.dev.segments")
@breaks("tx.dev.segments", profile=Profile.RFC_V1)
class SendsItWhole(Device):
    """A packet that is to be segmented leaves in one frame, its checksum filled in."""

    class Wrong(Transmitter):
        def _segmented(self, buffer: bytes) -> tuple[bytes, ...]:
            return (self._with_checksum(buffer)[self._size :],)

    _transmitter_class = Wrong


@breaks("tx.dev.segments")
class DropsWhatItOffersToCut(Device):
    """A packet that is to be segmented is dropped."""

    class Wrong(Transmitter):
        def _segmented(self, buffer: bytes) -> tuple[bytes, ...]:
            raise Refused(Reason.GSO_NOT_NEGOTIATED)

    _transmitter_class = Wrong


@breaks("tx.dev.segments")
class CutsOneOctetLater(Device):
    """Segments have an octet more than gso_size."""

    class Wrong(Segments):
        def __init__(self, packet: bytes, kind: GsoKind, size: int) -> None:
            super().__init__(packet, kind, size + 1)

    _transmitter_class = cutting(Wrong)


@breaks("tx.dev.segments")
class LosesTheRest(Device):
    """What is left over behind the last whole segment is lost."""

    class Wrong(Altering):
        def alter(self, packet: bytes, number: int) -> bytes:
            return packet if number < self.count - 1 or len(packet) == self.largest else b""

    _transmitter_class = cutting(Wrong)


@breaks("tx.dev.segments")
class CutsNothingBehindTags(Device):
    """A tagged packet that is to be segmented is dropped."""

    class Wrong(Transmitter):
        def _segmented(self, buffer: bytes) -> tuple[bytes, ...]:
            if payload_offset(buffer[self._size :]) != 14:
                raise Refused(Reason.NOT_IP)
            return super()._segmented(buffer)

    _transmitter_class = Wrong


@breaks("tx.dev.segments")
class CutsNoUdpOverIpv6(Device):
    """UDP over IPv6 is not segmented: the packet is dropped."""

    class Wrong(Segments):
        def __init__(self, packet: bytes, kind: GsoKind, size: int) -> None:
            super().__init__(packet, GsoKind((4,), kind.protocol) if kind.protocol == frames.UDP else kind, size)

    _transmitter_class = cutting(Wrong)


@breaks("tx.dev.segments")
class CutsNothingBehindOptions(Device):
    """A packet with IPv4 options or IPv6 extension headers that is to be segmented is dropped."""

    class Wrong(Segments):
        def __init__(self, packet: bytes, kind: GsoKind, size: int) -> None:
            super().__init__(packet, kind, size)
            if self.transport not in (20, 40):
                raise Refused(Reason.MALFORMED)

    _transmitter_class = cutting(Wrong)


# -- what is in their headers ------------------------------------------------------------------------------------


@breaks("tx.dev.segments")
class SameIpLength(Device):
    """The IP header of the last segment says the length of the others."""

    class Wrong(Altering):
        def alter(self, packet: bytes, number: int) -> bytes:
            if packet[0] >> 4 == 4:
                return mended(with_word(packet, 2, self.largest.to_bytes(2, "big")))
            return with_word(packet, 4, (self.largest - 40).to_bytes(2, "big"))

    _transmitter_class = cutting(Wrong)


@breaks("tx.dev.segments")
class WrongIpChecksum(Device):
    """The IPv4 checksum of each segment is one that does not hold, that of the header with another length."""

    class Wrong(Altering):
        def alter(self, packet: bytes, number: int) -> bytes:
            if packet[0] >> 4 == 6:
                return packet
            return with_word(packet, 10, mended(with_word(packet, 2, b"\x04\xff"))[10:12])

    _transmitter_class = cutting(Wrong)


@breaks("tx.dev.segments")
class NoChecksums(Device):
    """The checksum of each segment is left undone: the sum of the pseudo header."""

    class Wrong(Altering):
        def alter(self, packet: bytes, number: int) -> bytes:
            addresses = packet[12:20] if packet[0] >> 4 == 4 else packet[8:40]
            total = frames.pseudo_header_sum(addresses, self.protocol, len(packet) - self.transport)
            return with_word(packet, self.transport + self.checksum_at, total.to_bytes(2, "big"))

    _transmitter_class = cutting(Wrong)


@breaks("tx.dev.segments")
class SameSequenceNumbers(Device):
    """TCP's sequence number is the same in each segment."""

    class Wrong(Altering):
        def alter(self, packet: bytes, number: int) -> bytes:
            if self.protocol == frames.UDP:
                return packet
            first = self._packet[self.transport + 4 : self.transport + 8]
            return self.with_transport(packet, 4, first)

    _transmitter_class = cutting(Wrong)


@breaks("tx.dev.segments")
class SequenceNumbersOfSixteenBits(Device):
    """TCP's sequence number does not carry into its upper half."""

    class Wrong(Altering):
        def alter(self, packet: bytes, number: int) -> bytes:
            if self.protocol == frames.UDP:
                return packet
            return self.with_transport(packet, 4, self.at(self._packet, 4))

    _transmitter_class = cutting(Wrong)


def in_each(flag: int) -> type[Altering]:
    """Segments of which each has this flag of TCP's, if the packet has it."""

    class Wrong(Altering):
        def alter(self, packet: bytes, number: int) -> bytes:
            if self.protocol == frames.UDP:
                return packet
            offset, flags = self.at(packet, 12)
            return self.with_transport(packet, 12, bytes((offset, flags | self.at(self._packet, 12)[1] & flag)))

    return Wrong


@breaks("tx.dev.segments")
class FinInEach(Device):
    """FIN is in each segment, not in the last alone."""

    _transmitter_class = cutting(in_each(FIN))


@breaks("tx.dev.segments")
class CwrInEach(Device):
    """CWR is in each segment, not in the first alone."""

    _transmitter_class = cutting(in_each(CWR))


@breaks("tx.dev.segments")
class FinInNone(Device):
    """FIN is lost."""

    class Wrong(Altering):
        def alter(self, packet: bytes, number: int) -> bytes:
            if self.protocol == frames.UDP:
                return packet
            offset, flags = self.at(packet, 12)
            return self.with_transport(packet, 12, bytes((offset, flags & ~FIN)))

    _transmitter_class = cutting(Wrong)


@breaks("tx.dev.segments")
class SameUdpLength(Device):
    """UDP's length is the whole packet's in each segment."""

    class Wrong(Altering):
        def alter(self, packet: bytes, number: int) -> bytes:
            whole = (len(self._packet) - self.transport).to_bytes(2, "big")
            return self.with_transport(packet, 4, whole) if self.protocol == frames.UDP else packet

    _transmitter_class = cutting(Wrong)


# -- segments and IPsec ------------------------------------------------------------------------------------------


@breaks("tx.dev.segments-protected")
@breaks("tx.dev.segments-protected", profile=Profile.RFC_V1)
class ProtectsItWhole(Device):
    """A packet that is to be segmented is protected in one piece."""

    class Wrong(Transmitter):
        def _segmented(self, buffer: bytes) -> tuple[bytes, ...]:
            if buffer[0] & self._security:
                return (self._protected(self._with_checksum(buffer)),)
            return super()._segmented(buffer)

    _transmitter_class = Wrong


@breaks("tx.dev.segments-protected")
class ProtectsTheFirstAlone(Device):
    """Of the segments of a packet with SECURITY all but the first leave in the clear."""

    class Wrong(Transmitter):
        def _segmented(self, buffer: bytes) -> tuple[bytes, ...]:
            frames = super()._segmented(buffer)
            if not buffer[0] & self._security:
                return frames
            return frames[:1] + super()._segmented(bytes((buffer[0] & ~self._security,)) + buffer[1:])[1:]

    _transmitter_class = Wrong


@breaks("tx.dev.segments-protected")
class SendsSegmentsInTheClear(Device):
    """SECURITY is not looked at in a packet that is to be segmented."""

    class Wrong(Transmitter):
        def _segmented(self, buffer: bytes) -> tuple[bytes, ...]:
            return super()._segmented(bytes((buffer[0] & ~self._security,)) + buffer[1:])

    _transmitter_class = Wrong


class OneForAll(Transmitter):
    """For segments an SA is put back, by :meth:`again`, to where it was before the first of them."""

    def _segmented(self, buffer: bytes) -> tuple[bytes, ...]:
        protect, self.first = self._protected, True

        def protected(segment: bytes) -> bytes:
            if not self.first:
                for sa in self._outbound.values():
                    self.again(sa)
            self.first = False
            return protect(segment)

        self.__dict__["_protected"] = protected
        try:
            return super()._segmented(buffer)
        finally:
            del self.__dict__["_protected"]

    def again(self, sa: Any) -> None:
        raise NotImplementedError


@breaks("esp.dev.seq-increments", "ah.dev.seq-increments")
class OneNumberForAllSegments(Device):
    """All segments of a packet have one sequence number."""

    class Wrong(OneForAll):
        def again(self, sa: Any) -> None:
            sa.state.seq -= 1

    _transmitter_class = Wrong


@breaks("gcm.dev.iv-unique")
class OneIvForAllSegments(Device):
    """All segments of a packet have one IV."""

    class Wrong(OneForAll):
        def again(self, sa: Any) -> None:
            if sa.params.aead is not None:
                sa._transform._next_iv._next -= 1

    _transmitter_class = Wrong


@breaks("arch.dev.beyond-lifetime")
class CountsSegmentsAsOne(Device):
    """The segments of a packet are one packet to the hard limit."""

    class Wrong(OneForAll):
        def _segmented(self, buffer: bytes) -> tuple[bytes, ...]:
            for sa in self._outbound.values():
                sa._limits.packets_hard += 100
            try:
                return super()._segmented(buffer)
            finally:
                for sa in self._outbound.values():
                    sa._limits.packets_hard -= 100

        def again(self, sa: Any) -> None:
            sa.state.packets -= 1

    _transmitter_class = Wrong
