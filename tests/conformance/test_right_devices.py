"""Right devices that decide otherwise than the model fails: no entry but those that they earn."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

from virtionet_ipsec.conformance.catalogue import catalogue
from virtionet_ipsec.conformance.driving import traffic
from virtionet_ipsec.conformance.judge_device import judge_device
from virtionet_ipsec.device import Device, Received
from virtionet_ipsec.device.negotiation import default_features
from virtionet_ipsec.device.receive import Receiver
from virtionet_ipsec.device.refusal import invalid_field, no_space
from virtionet_ipsec.device.segment import GsoKind, Segments
from virtionet_ipsec.device.transmit import Transmitter
from virtionet_ipsec.ipsec import InboundSa, OutboundSa, Reason, Refused, SaParams
from virtionet_ipsec.ipsec.ip import adjust_checksum, with_ipv4_checksum
from virtionet_ipsec.ipsec.transforms import AeadTransform
from virtionet_ipsec.wire.admin import AdminCmdResult
from virtionet_ipsec.wire.codec import build
from virtionet_ipsec.wire.enums import AdminStatus, Feature, HdrFlag, Opcode, Qualifier
from virtionet_ipsec.wire.net_hdr import HdrLayout, NetHdr
from virtionet_ipsec.wire.profile import Profile

PROFILE = Profile.VIRTIO_1_4

_FIRST_WORDS = struct.Struct("<HH")
_TCP_CHECKSUM = 16


# -- what becomes of failed packets ----------------------------------------------------------------------------------


class _Discards(Receiver):
    def _failed(self, frame: bytes, entry: Any, refused: Refused) -> tuple[bytes, bytes, bool]:
        front, body, processed = super()._failed(frame, entry, refused)
        if self.refused is not None:
            raise refused
        return front, body, processed


class DropsFailed(Device):
    """A packet that fails IPsec processing is dropped: the RFCs' "discard"."""

    _receiver_class = _Discards


class _InPlace(Receiver):
    def _failed(self, frame: bytes, entry: Any, refused: Refused) -> tuple[bytes, bytes, bool]:
        front, body, processed = super()._failed(frame, entry, refused)
        return front, body[:-16] + bytes(16) if refused.reason is Reason.BAD_ICV else body, processed


class DecryptsInPlace(Device):
    """A packet with a wrong ICV is not what it was when it is handed up."""

    _receiver_class = _InPlace


class _UnknownIsPlain(Receiver):
    def _failed(self, frame: bytes, entry: Any, refused: Refused) -> tuple[bytes, bytes, bool]:
        front, body, processed = super()._failed(frame, entry, refused)
        return self._plain_header if refused.reason is Reason.UNKNOWN_SPI else front, body, processed


class UnknownSpiIsPlain(Device):
    """A packet with an unknown SPI is handed up without SECURITY and SECURITY_ERR: right by the RFCs' SHOULD alone."""

    _receiver_class = _UnknownIsPlain


# -- flags and checksums ---------------------------------------------------------------------------------------------


class _Warns(Receiver):
    def _ipsec(self, frame: bytes) -> tuple[bytes, bytes, bool]:
        front, body, processed = super()._ipsec(frame)
        warned = front[0] | self._warn if front[0] & self._security else front[0]
        return bytes((warned,)) + front[1:], body, processed


class AlwaysWarns(Device):
    """Every packet with SECURITY has the soft expiry warning."""

    _receiver_class = _Warns


class _HandsUp(Device):
    """A device with another header, or another frame of the same length, for the driver."""

    def receive(self, frame: bytes) -> Received | None:
        got = super().receive(frame)
        if got is None:
            return None
        layout, data = HdrLayout(self.profile, self.negotiated), b"".join(got.buffers)
        hdr, body = self.handed_up(layout.parse(data), data[layout.size :])
        data, buffers = layout.build(hdr) + body, []
        for buffer in got.buffers:
            buffers.append(data[: len(buffer)])
            data = data[len(buffer) :]
        return Received(got.queue, tuple(buffers))

    def handed_up(self, hdr: NetHdr, frame: bytes) -> tuple[NetHdr, bytes]:
        raise NotImplementedError


class ErrorAlone(_HandsUp):
    """SECURITY_ERR stands alone, without SECURITY."""

    def handed_up(self, hdr: NetHdr, frame: bytes) -> tuple[NetHdr, bytes]:
        failed = hdr.flags & HdrFlag.SECURITY_ERR
        return replace(hdr, flags=hdr.flags & ~HdrFlag.SECURITY) if failed else hdr, frame


class _Checks(_HandsUp):
    """A device that tells the driver of right checksums of TCP and UDP, with GUEST_CSUM."""

    def handed_up(self, hdr: NetHdr, frame: bytes) -> tuple[NetHdr, bytes]:
        found = traffic.transport_of(frame)
        told = self.negotiated >> Feature.GUEST_CSUM & 1 and not hdr.flags & HdrFlag.SECURITY_ERR
        if found is None or not told or not any(frame[found.csum_at : found.csum_at + 2]):
            return hdr, frame
        return self.told(hdr, frame, found) if traffic.complete(frame) else (hdr, frame)

    def told(self, hdr: NetHdr, frame: bytes, found: traffic.Transport) -> tuple[NetHdr, bytes]:
        raise NotImplementedError


class LeavesChecksums(_Checks):
    """With GUEST_CSUM the checksum of what arrives is left to the driver, NEEDS_CSUM."""

    def told(self, hdr: NetHdr, frame: bytes, found: traffic.Transport) -> tuple[NetHdr, bytes]:
        at, flags = found.csum_at, hdr.flags | HdrFlag.NEEDS_CSUM
        total = traffic.pseudo_header(found).to_bytes(2, "big")
        hdr = replace(hdr, flags=flags, csum_start=found.at, csum_offset=at - found.at)
        return hdr, frame[:at] + total + frame[at + 2 :]


class Validates(_Checks):
    """With GUEST_CSUM a right checksum is told, DATA_VALID."""

    def told(self, hdr: NetHdr, frame: bytes, found: traffic.Transport) -> tuple[NetHdr, bytes]:
        return replace(hdr, flags=hdr.flags | HdrFlag.DATA_VALID), frame


# -- SAs -------------------------------------------------------------------------------------------------------------


class NoSpiTwice(Device):
    """No two SAs have one SPI, whichever way they go."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        tables = self._outbound, self._inbound
        for table in tables:
            table._add = partial(self._add, tables, table._add)  # type: ignore[method-assign]

    @staticmethod
    def _add(tables: Any, right: Any, resource_id: int, params: SaParams) -> None:
        if any(sa.params.spi == params.spi for table in tables for sa in table.sas.values()):
            raise invalid_field("an SA has this SPI")
        right(resource_id, params)


class SequenceIsIv(Device):
    """The IV of an AEAD is the sequence number, which begins anew with every SA."""

    class _Sa(OutboundSa):
        def __init__(self, params: SaParams, **how: Any) -> None:
            super().__init__(params, **how)
            if params.aead is not None:
                self._transform = AeadTransform(params, lambda: (self.state.seq + 1).to_bytes(8, "big"))

    _outbound_class = _Sa


class NoDfOverIpv6(Device):
    """With COPY_DF the outer DF around an inner IPv6 packet, which has none, is clear."""

    class _Sa(OutboundSa):
        _outer: Any

        def _configure(self, params: SaParams) -> None:
            super()._configure(params)
            if params.copy_df and params.tunnel is not None:
                right = self._outer.build

                def build(inner: bytes, inner_class: int, length: int) -> bytes:
                    header: bytes = right(inner, inner_class, length)
                    if (header[0] >> 4, inner[0] >> 4) != (4, 6):
                        return header
                    return with_ipv4_checksum(header[:6] + bytes((header[6] & ~0x40,)) + header[7:])

                self._outer.build = build

    _outbound_class = _Sa


class TakesEspInUdp(Device):
    """ESP in UDP is good for an SA without UDP_ENCAP, and the reverse."""

    class _Sa(InboundSa):
        def unprotect(self, packet: bytes, where: Any, observe: Any = None, start: int = 0) -> bytes:
            self._encapsulated = where[4]
            return super().unprotect(packet, where, observe, start)

    _inbound_class = _Sa


class ModifiesLifetimes(Device):
    """MODIFY of an SA takes another lifetime, and nothing else."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        for table in (self._outbound, self._inbound):
            table.modify = partial(self._modify, table, table.modify)  # type: ignore[method-assign]

    @staticmethod
    def _modify(table: Any, right: Any, resource_id: int, data: bytes) -> bytes:
        before, after = table.sas[resource_id].params, table._params(resource_id, data)
        if after != replace(before, lifetime=after.lifetime):
            raise invalid_field("the lifetime can change, and nothing else")
        octets: bytes = right(resource_id, data)
        return octets


# -- commands --------------------------------------------------------------------------------------------------------

_TOLD = frozenset({Qualifier.INVALID_OPCODE, Qualifier.INVALID_GROUP, Qualifier.INVALID_MEMBER})


class OtherQualifiers(Device):
    """Where the text names no qualifier it is zero."""

    def _execute(self, readable: bytes) -> bytes:
        written = super()._execute(readable)
        status, qualifier = _FIRST_WORDS.unpack_from(written.ljust(4, b"\0"))
        if status == AdminStatus.OK or (status == AdminStatus.EINVAL and qualifier in _TOLD):
            return written
        return written[:2] + bytes(2) + written[4:]


class PadsAnswers(Device):
    """What is written is a multiple of 64 bits."""

    def _execute(self, readable: bytes) -> bytes:
        written = super()._execute(readable)
        return written + bytes(-len(written) % 8)


class AsksAgain(Device):
    """Every fifth CREATE has to come again: EAGAIN."""

    creates = 0

    def _execute(self, readable: bytes) -> bytes:
        opcode, group = _FIRST_WORDS.unpack_from(readable.ljust(4, b"\0"))
        if (opcode, group) == (Opcode.RESOURCE_OBJ_CREATE, 0) and not any(readable[16:24]):
            self.creates += 1
            if self.creates % 5 == 3 and self._transmitter is not None:
                return build(AdminCmdResult, status=AdminStatus.EAGAIN)
        return super()._execute(readable)


class FullBelowItsLimits(Device):
    """There is room for eight objects of a type, whatever its limit is."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        for kind, table in self._objects._tables.items():
            table.create = partial(self._create, kind, table.create)  # type: ignore[method-assign]

    def _create(self, kind: Any, right: Any, resource_id: int, data: bytes) -> bytes:
        if self._objects.count(kind) >= 8:
            raise no_space("no more room")
        octets: bytes = right(resource_id, data)
        return octets


class InsistsOnPlatform(Device):
    """FEATURES_OK needs VIRTIO_F_ACCESS_PLATFORM."""

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile, features=default_features(profile) | 1 << Feature.ACCESS_PLATFORM)
        right = self._negotiation.features_refusal

        def refusal() -> str:
            accepted = self._negotiation.driver_features >> Feature.ACCESS_PLATFORM & 1
            return right() or ("" if accepted else "without VIRTIO_F_ACCESS_PLATFORM")

        self._negotiation.features_refusal = refusal  # type: ignore[method-assign]


# -- segmentation ----------------------------------------------------------------------------------------------------


class _OwnWay(Segments):
    def __init__(self, packet: bytes, kind: GsoKind, size: int) -> None:
        super().__init__(packet, kind, max(size * 3 // 4, 1))

    def cut(self, front: bytes) -> Iterator[bytes]:
        flags = self.transport + 12
        for packet in super().cut(b""):
            if self.checksum_at == _TCP_CHECKSUM:
                word = packet[flags : flags + 2]
                without_push = bytes((word[0], word[1] & ~0x08))
                at = self.transport + _TCP_CHECKSUM
                numbers = (int.from_bytes(each, "big") for each in (packet[at : at + 2], word, without_push))
                checksum = adjust_checksum(*numbers).to_bytes(2, "big")
                packet = packet[:flags] + without_push + packet[flags + 2 : at] + checksum + packet[at + 2 :]
            if packet[0] >> 4 == 4:
                header = packet[:4] + b"\0\0" + packet[6 : self.transport]
                packet = with_ipv4_checksum(header) + packet[self.transport :]
            yield front + packet


class _CutsOwnWay(Transmitter):
    _segments_class = _OwnWay


class CutsItsOwnWay(Device):
    """Segments are shorter than gso_size allows, have no PSH, and identification 0 (RFC 6864 4.1)."""

    _transmitter_class = _CutsOwnWay


class _NoForesight(OutboundSa):
    def check_room(self, packets: int, octets: int) -> None:
        pass


class _AsFarAsItGoes(Transmitter):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.made: list[bytes] = []

    def _segmented(self, buffer: bytes) -> tuple[bytes, ...]:
        self.made = []
        try:
            return super()._segmented(buffer)
        except Refused:
            if not self.made:
                raise
            return tuple(self.made)

    def _protected(self, buffer: bytes) -> bytes:
        self.made.append(super()._protected(buffer))
        return self.made[-1]


class SendsWhatTheLimitLeaves(Device):
    """The segments that a hard limit has room for leave, and the others of the packet do not."""

    _outbound_class = _NoForesight
    _transmitter_class = _AsFarAsItGoes


@dataclass(frozen=True)
class Right:
    """A right device, the areas of entries that it could touch most, and the entries that it earns."""

    kind: type[Device]
    areas: tuple[str, ...]
    earns: frozenset[str] = frozenset()
    how: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "-".join((self.kind.__name__, *map(str, self.how.values())))


DEVICES = (
    Right(DropsFailed, ("ah", "arch", "ecn", "esp", "ff", "gcm", "ipsec", "natt", "rx")),
    Right(DecryptsInPlace, ("ah", "esp", "gcm", "rx")),
    Right(
        UnknownSpiIsPlain,
        ("ah", "arch", "esp", "rx"),
        frozenset({"ah.dev.no-sa", "arch.dev.no-sa", "esp.dev.no-sa", "rx.dev.security-err-set"}),
    ),
    Right(AlwaysWarns, ("arch", "esp", "ff", "rx"), frozenset({"arch.dev.soft-and-hard"})),
    Right(ErrorAlone, ("ah", "ff", "natt", "rx"), frozenset({"rx.dev.security-independent", "rx.dev.security-set"})),
    Right(LeavesChecksums, ("esp", "ff", "natt", "rx")),
    Right(Validates, ("ff", "natt", "rx")),
    Right(NoSpiTwice, ("admin", "arch", "ipsec", "objects", "reset", "tx")),
    Right(SequenceIsIv, ("esp", "gcm")),
    Right(CutsItsOwnWay, ("ah", "arch", "esp", "gcm", "tx")),
    Right(SendsWhatTheLimitLeaves, ("ah", "arch", "esp", "gcm", "tx")),
    Right(NoDfOverIpv6, ("arch",)),
    Right(TakesEspInUdp, ("natt", "rx")),
    Right(ModifiesLifetimes, ("crypto", "ipsec", "objects")),
    Right(OtherQualifiers, ("admin", "caps", "ff", "ipsec", "objects")),
    Right(PadsAnswers, ("admin", "avq", "caps", "objects")),
    Right(AsksAgain, ("admin", "ff", "ipsec", "objects")),
    Right(FullBelowItsLimits, ("ff", "ipsec", "objects")),
    Right(InsistsOnPlatform, ("config", "features", "netfeat", "reset", "rx", "status", "tx")),
    Right(Device, ("arch", "config", "esp", "tx"), frozenset({"config.dev.mtu-ipv6"}), {"mtu": 576}),
)


@pytest.mark.parametrize("right", DEVICES, ids=str)
def test_fails_what_it_earns(right: Right) -> None:
    only = {entry.id for entry in catalogue().entries("device", PROFILE) if entry.id.partition(".")[0] in right.areas}
    report = judge_device(lambda: right.kind(PROFILE, **right.how), PROFILE, "a right device", only=only)
    failed = {result.entry.id: result.why for result in report.failures}
    assert {name: why for name, why in failed.items() if name not in right.earns} == {}
    assert failed.keys() == right.earns
