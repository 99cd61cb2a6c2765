"""Devices that are wrong about ESP; what AH has too is in :mod:`.sequences` and :mod:`.admission`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.limits import ALL_SA_MODES, Limits
from virtionet_ipsec.device.receive import Receiver
from virtionet_ipsec.ipsec import InboundSa, Mode, OutboundSa, Protocol, Reason, Refused, SaParams
from virtionet_ipsec.ipsec.algorithms import CIPHERS
from virtionet_ipsec.ipsec.ip import with_ipv4_checksum
from virtionet_ipsec.ipsec.outbound import trailers
from virtionet_ipsec.wire.codec import build, parse
from virtionet_ipsec.wire.enums import CipherAlgo, IpsecOption, MacAlgo
from virtionet_ipsec.wire.profile import Profile
from virtionet_ipsec.wire.sa import ipsec_sa

from ..mutant import breaks
from ..other_sas import OtherSas, OtherTransform, Wrapped

# -- padding and trailer ---------------------------------------------------------------------------------------------


class _InFront(Wrapped):
    def seal(self, head: bytes, plaintext: bytes, high: bytes) -> tuple[bytes, bytes]:
        return super().seal(head, bytes(2) + plaintext if self.params.cipher == "null" else plaintext, high)


@breaks("esp.dev.payload-aligned")
class TwoOctetsInFront(OtherTransform):
    """With NULL encryption two octets lie between the ESP header and what is protected."""

    esp = _InFront


class _NeededPadding(Wrapped):
    def open(self, packet: bytes, start: int, end: int, high: bytes) -> bytes:
        plain = super().open(packet, start, end, high)
        if plain[-2] >= self.params.pad_to:
            raise Refused(Reason.BAD_PADDING)
        return plain


@breaks("esp.dev.pad-support")
class TakesNeededPaddingOnly(OtherTransform):
    """A packet with more padding than its cipher needs is refused."""

    esp = _NeededPadding


def _padded_to(align: Callable[[SaParams], int]) -> Callable[[Any, OutboundSa], OutboundSa]:
    """An ``outbound`` that makes ESP pad to another multiple."""

    def outbound(self: Any, sa: OutboundSa) -> OutboundSa:
        if sa.params.protocol is Protocol.ESP:
            sa._align = align(sa.params)
            sa._trailers = {4: trailers(sa._align, 4), 6: trailers(sa._align, 41)}
        return sa

    return outbound


@breaks("esp.dev.pad-support", "esp.dev.pad-block")
class PadsToFour(OtherSas):
    """Padding goes to a multiple of 4 octets with block ciphers as well, and what fills no block is lost."""

    outbound = _padded_to(lambda params: 4)


@breaks("esp.dev.pad-aligned")
class StreamsWithoutPadding(OtherSas):
    """With a stream cipher or NULL there is no padding."""

    outbound = _padded_to(lambda params: 1 if params.pad_to == 4 else params.pad_to)


class _Zeros(Wrapped):
    def seal(self, head: bytes, plaintext: bytes, high: bytes) -> tuple[bytes, bytes]:
        pad = plaintext[-2]
        return super().seal(head, plaintext[: len(plaintext) - 2 - pad] + bytes(pad) + plaintext[-2:], high)


@breaks("esp.dev.pad-values")
class PadsWithZeros(OtherTransform):
    """Padding is made of zeros."""

    esp = _Zeros


class _AnyPadding(Wrapped):
    def open(self, packet: bytes, start: int, end: int, high: bytes) -> bytes:
        plain = super().open(packet, start, end, high)
        cut = len(plain) - 2 - plain[-2]
        return plain[:cut] + bytes(range(1, plain[-2] + 1)) + plain[-2:]


@breaks("esp.dev.pad-inspected", "esp.dev.pad-inspected-before-removal")
class PaddingUnchecked(OtherTransform):
    """Padding is removed without a look at it."""

    esp = _AnyPadding


class _LastUnchecked(Wrapped):
    def open(self, packet: bytes, start: int, end: int, high: bytes) -> bytes:
        plain = super().open(packet, start, end, high)
        return plain[:-3] + plain[-2:-1] + plain[-2:] if plain[-2] else plain


@breaks("esp.dev.pad-inspected")
class LastOctetOfPaddingUnchecked(OtherTransform):
    """The last octet of the padding is not looked at."""

    esp = _LastUnchecked


class _Marked(Wrapped):
    def seal(self, head: bytes, plaintext: bytes, high: bytes) -> tuple[bytes, bytes]:
        return super().seal(head, plaintext[:-1] + (b"\x3b" if plaintext[-1] == 41 else plaintext[-1:]), high)


@breaks("esp.dev.dummy-number")
class Ipv6IsADummy(OtherTransform):
    """An IPv6 packet in a tunnel gets Next Header 59."""

    esp = _Marked


class _DummyAsPacket(Wrapped):
    def open(self, packet: bytes, start: int, end: int, high: bytes) -> bytes:
        plain = super().open(packet, start, end, high)
        other = b"\x04" if self.params.mode is Mode.TUNNEL else b"\x11"
        return plain[:-1] + other if plain[-1] == 59 else plain


@breaks("esp.dev.dummy-received")
class DeliversDummies(OtherTransform):
    """A dummy packet is delivered as if it were none."""

    esp = _DummyAsPacket


class _DummyAsError(InboundSa):
    def unprotect(self, *args: Any) -> bytes:
        try:
            return super().unprotect(*args)
        except Refused as refused:
            if refused.reason is Reason.DUMMY:
                raise Refused(Reason.INNER_MISMATCH) from None
            raise


@breaks("esp.dev.dummy-received")
class DummiesAreErrors(Device):
    """A dummy packet is handed up with SECURITY_ERR."""

    _inbound_class = _DummyAsError


class _Untrimmed(InboundSa):
    @staticmethod
    def _decapsulated(nh: int, payload: bytes) -> bytes:
        InboundSa._decapsulated(nh, payload)
        return payload


@breaks("esp.dev.tfc-removed")
class TfcPaddingStays(Device):
    """What follows the inner packet's own length is handed up with it."""

    _inbound_class = _Untrimmed


class _Padding(OutboundSa):
    def _esp_tunnel(self, packet: bytes, seq: int) -> bytes:
        return super()._esp_tunnel(packet + bytes(-len(packet) % 64), seq)


@breaks("esp.dev.tfc-unnegotiated")
@breaks("esp.dev.tfc-unnegotiated", profile=Profile.RFC_V1)
class TfcPaddingUnasked(Device):
    """In tunnel mode TFC padding makes what is carried a multiple of 64 octets."""

    _outbound_class = _Padding


class _Longer(OutboundSa):
    def protect(self, packet: bytes, observe: Any = None) -> bytes:
        if packet[0] >> 4 == 4:
            length = int.from_bytes(packet[2:4], "big")
            size = (packet[0] & 0xF) * 4
            header = with_ipv4_checksum(packet[:2] + (length + 16).to_bytes(2, "big") + packet[4:size])
            packet = header + packet[size:length] + bytes(16)
        return super().protect(packet, observe)


@breaks("esp.dev.tfc-length")
class TfcPaddingInTheLength(Device):
    """The device adds TFC padding and counts it in the inner packet's Total Length."""

    _outbound_class = _Longer


# -- algorithms ------------------------------------------------------------------------------------------------------


@breaks("esp.dev.esn-supported")
class NoEsnInTransportMode(Device):
    """ESP in transport mode does not have the option ESN."""

    def __init__(self, *args: Any, **how: Any) -> None:
        caps = [
            replace(cap, options=cap.options & ~IpsecOption.ESN) if cap.mode.name == "ESP_TRANSPORT" else cap
            for cap in ALL_SA_MODES
        ]
        super().__init__(*args, limits=Limits(sa_modes=tuple(caps)), **how)


class TakesAnyAlgorithms(Device):
    """An SA without authentication is created: with a MAC of the device's own, so that this shows nowhere else."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        for objects in (self._inbound, self._outbound):
            objects._params = self._taking(objects._params)  # type: ignore[method-assign]

    def _taking(self, right: Callable[[int, bytes], SaParams]) -> Callable[[int, bytes], SaParams]:
        structure = ipsec_sa(self.profile)

        def params(resource_id: int, data: bytes) -> SaParams:
            fields = parse(structure, data)
            if fields.auth_algo == MacAlgo.NO_MAC and self.taken(fields.cipher_algo):
                key = {"length": 32, "data": bytes(32)}
                named = {name: fields[name] for name in fields if not name.startswith("_")}
                data = build(structure, **named | {"auth_algo": MacAlgo.HMAC_SHA_256, "auth_key": key})
            return right(resource_id, data)

        return params

    def taken(self, cipher: int) -> bool:
        raise NotImplementedError


@breaks("esp.dev.not-both-null")
class TakesBothNull(TakesAnyAlgorithms):
    """An SA with cipher and authentication both none is created."""

    def taken(self, cipher: int) -> bool:
        return cipher == CipherAlgo.NO_CIPHER


@breaks("esp.dev.replay-needs-integrity")
class ReplayWithoutIntegrity(TakesAnyAlgorithms):
    """An SA with a cipher, a window and no authentication is created."""

    def taken(self, cipher: int) -> bool:
        return cipher > CipherAlgo.AES_CBC


class _NoHeader(Wrapped):
    def seal(self, head: bytes, plaintext: bytes, high: bytes) -> tuple[bytes, bytes]:
        iv, sealed = super().seal(head, plaintext, high)
        if self.params.auth in (None, "aes-gmac"):
            return iv, sealed
        ciphertext = sealed[: -self.params.icv_length]
        return iv, ciphertext + self.right._mac.compute(iv + ciphertext + high)


@breaks("esp.dev.icv-covers")
class IcvWithoutHeader(OtherTransform):
    """The ICV that is sent does not cover the ESP header."""

    esp = _NoHeader


class _NoHigh(Wrapped):
    def seal(self, head: bytes, plaintext: bytes, high: bytes) -> tuple[bytes, bytes]:
        return super().seal(head, plaintext, b"")

    def open(self, packet: bytes, start: int, end: int, high: bytes) -> bytes:
        return super().open(packet, start, end, b"")


@breaks("esp.dev.icv-covers")
class EsnNotUnderTheIcv(OtherTransform):
    """With ESN the high half of the number is left out of the ICV, sent and received."""

    esp = _NoHigh


class _LaxMac:
    def __init__(self, right: Any, octets: int) -> None:
        self.right, self.octets = right, octets

    def compute(self, data: bytes) -> bytes:
        return self.right.compute(data)

    def verify(self, data: bytes, icv: bytes) -> bool:
        return self.compute(data)[: self.octets] == icv[: self.octets]


class _Lax(Wrapped):
    octets = 8

    def __init__(self, right: Any, params: SaParams) -> None:
        super().__init__(right, params)
        if params.auth not in (None, "aes-gmac"):
            right._mac = _LaxMac(right._mac, self.octets)


@breaks("esp.dev.icv-verified")
class IcvInPart(OtherTransform):
    """Of a MAC's ICV the first eight octets are compared."""

    esp = _Lax


class _NoMac(_Lax):
    octets = 0


@breaks("esp.dev.icv-verified", "esp.dev.icv-before-release")
class IcvUnchecked(OtherTransform):
    """A MAC's ICV is not compared."""

    esp = _NoMac


class _Releases(Receiver):
    def _failed(self, frame: bytes, entry: Any, refused: Refused) -> tuple[bytes, bytes, bool]:
        front, body, processed = super()._failed(frame, entry, refused)
        if refused.reason is Reason.BAD_ICV and entry is not None and entry[1].params.cipher == "aes-cbc":
            cut = len(frame) - entry[1].params.icv_length
            at = 14 + 20 + 8
            body = frame[:14] + entry[1]._transform._cipher.decrypt(frame[at : at + 16], frame[at + 16 : cut])
        return front, body, processed


@breaks("esp.dev.icv-before-release")
class ReleasesWhatFailed(Device):
    """With AES-CBC a packet with a wrong ICV is handed up decrypted, with SECURITY_ERR."""

    _receiver_class = _Releases


class _NoTag(Wrapped):
    def open(self, packet: bytes, start: int, end: int, high: bytes) -> bytes:
        params = self.params
        if params.aead != "aes-gcm":
            return super().open(packet, start, end, high)
        first = params.salt + packet[start + 8 : start + 16] + b"\0\0\0\2"  # the counter block of GCM's first block
        context = Cipher(algorithms.AES(params.cipher_key), modes.CTR(first)).decryptor()
        return context.update(packet[start + 16 : end - params.icv_length])


@breaks("esp.dev.combined-verified")
class TagUnchecked(OtherTransform):
    """AES-GCM decrypts without a look at the tag."""

    esp = _NoTag


# -- what the driver gets --------------------------------------------------------------------------------------------


class _OldLength(InboundSa):
    def unprotect(self, packet: bytes, where: Any, observe: Any = None, start: int = 0) -> bytes:
        plain = super().unprotect(packet, where, observe, start)
        if self.params.mode is Mode.TUNNEL or plain[0] >> 4 == 6:
            return plain
        size = (plain[0] & 0xF) * 4
        return with_ipv4_checksum(plain[:2] + packet[start + 2 : start + 4] + plain[4:size]) + plain[size:]


@breaks("esp.dev.transport-rebuilt")
class LengthOfTheWire(Device):
    """In transport mode the IPv4 Total Length stays that of the protected packet."""

    _inbound_class = _OldLength


class _TwoBlocks(Wrapped):
    def open(self, packet: bytes, start: int, end: int, high: bytes) -> bytes:
        params = self.params
        encrypted = end - start - 8 - params.iv_length - params.icv_length
        if params.cipher and CIPHERS[params.cipher].block > 4 and encrypted == CIPHERS[params.cipher].block:
            raise Refused(Reason.MALFORMED)
        return super().open(packet, start, end, high)


@breaks("esp.dev.transport-rebuilt")
class TwoBlocksAtLeast(OtherTransform):
    """A received packet of one block of a block cipher is refused."""

    esp = _TwoBlocks


class _OldChecksum(InboundSa):
    def unprotect(self, packet: bytes, where: Any, observe: Any = None, start: int = 0) -> bytes:
        plain = super().unprotect(packet, where, observe, start)
        if self.params.mode is Mode.TUNNEL or plain[0] >> 4 == 6:
            return plain
        return plain[:10] + packet[start + 10 : start + 12] + plain[12:]


@breaks("esp.dev.transport-rebuilt")
class ChecksumOfTheWire(Device):
    """In transport mode the IPv4 header checksum stays that of the protected packet."""

    _inbound_class = _OldChecksum
