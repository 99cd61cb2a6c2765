"""Devices that are wrong about AES-GCM in ESP."""

from __future__ import annotations

import os
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from virtionet_ipsec.device import Device
from virtionet_ipsec.ipsec import InboundSa, OutboundSa, Reason, Refused, SaParams
from virtionet_ipsec.ipsec.iv import CounterIv, IvSource, make_iv_source
from virtionet_ipsec.ipsec.transforms import AeadTransform

from ..mutant import breaks


def _sending(kind: type[AeadTransform], more: int = 0) -> type[OutboundSa]:
    """An outbound SA with this transform for AES-GCM, whose packets have ``more`` octets."""

    class Wrong(OutboundSa):
        def __init__(self, params: SaParams, **how: Any) -> None:
            super().__init__(params, **how)
            if params.aead == "aes-gcm":
                self._transform = kind(params, make_iv_source(params, os.urandom))
                self._overhead += more

    return Wrong


def _receiving(kind: type[AeadTransform]) -> type[InboundSa]:
    """An inbound SA with this transform for AES-GCM."""

    class Wrong(InboundSa):
        def __init__(self, params: SaParams) -> None:
            super().__init__(params)
            if params.aead == "aes-gcm":
                self._transform = kind(params, bytes)

    return Wrong


class _LongIv(AeadTransform):
    def seal(self, head: bytes, plaintext: bytes, high: bytes) -> tuple[bytes, bytes]:
        iv = bytes(4) + self._next_iv()
        return iv, self._encrypt(iv, plaintext, head)


@breaks("gcm.dev.iv-length")
class TwelveOctetsOfIv(Device):
    """The whole nonce is sent as the IV."""

    _outbound_class = _sending(_LongIv, 4)


class _SixBits(AeadTransform):
    def __init__(self, params: SaParams, next_iv: IvSource) -> None:
        count = CounterIv(next_iv())
        first = next_iv()
        super().__init__(params, lambda: first[:7] + bytes((count()[7] & 63,)))


@breaks("gcm.dev.iv-unique")
class ShortCounter(Device):
    """IVs come again after 64 packets."""

    _outbound_class = _sending(_SixBits)


class _Rising(AeadTransform):
    last = b""

    def open(self, packet: bytes, start: int, end: int, high: bytes) -> bytes:
        plain = super().open(packet, start, end, high)
        iv = packet[start + 8 : start + 16]
        if iv <= self.last:
            raise Refused(Reason.BAD_ICV)
        self.last = iv
        return plain


@breaks("gcm.dev.iv-any")
class WantsRisingIvs(Device):
    """A packet whose IV is not above the last one is refused."""

    _inbound_class = _receiving(_Rising)


class _SaltBehind(AeadTransform):
    def seal(self, head: bytes, plaintext: bytes, high: bytes) -> tuple[bytes, bytes]:
        iv = self._next_iv()
        return iv, self._encrypt(iv + self._salt, plaintext, head[:4] + high + head[4:])


@breaks("gcm.dev.nonce")
class SaltBehindIv(Device):
    """The nonce of what is sent is IV, then salt."""

    _outbound_class = _sending(_SaltBehind)


class _SaltReversed(AeadTransform):
    def __init__(self, params: SaParams, next_iv: IvSource) -> None:
        super().__init__(params, next_iv)
        self._salt = params.salt[::-1]


@breaks("gcm.dev.nonce")
class SaltReversed(Device):
    """The octets of the salt are the other way round, both ways."""

    _outbound_class = _sending(_SaltReversed)
    _inbound_class = _receiving(_SaltReversed)


class _OtherAad(AeadTransform):
    """Additional data of :meth:`aad`."""

    def aad(self, head: bytes, high: bytes) -> bytes:
        raise NotImplementedError

    def seal(self, head: bytes, plaintext: bytes, high: bytes) -> tuple[bytes, bytes]:
        iv = self._next_iv()
        return iv, self._encrypt(self._salt + iv, plaintext, self.aad(head, high))

    def open(self, packet: bytes, start: int, end: int, high: bytes) -> bytes:
        nonce = self._salt + packet[start + 8 : start + 16]
        try:
            return self._decrypt(nonce, packet[start + 16 : end], self.aad(packet[start : start + 8], high))
        except InvalidTag:
            raise Refused(Reason.BAD_ICV) from None


class _SpiAlone(_OtherAad):
    def aad(self, head: bytes, high: bytes) -> bytes:
        return head[:4]


@breaks("gcm.dev.aad")
class SequenceNotAuthenticated(Device):
    """The sequence number is not in the additional data, both ways."""

    _outbound_class = _sending(_SpiAlone)
    _inbound_class = _receiving(_SpiAlone)


class _HalvesSwapped(_OtherAad):
    def aad(self, head: bytes, high: bytes) -> bytes:
        return head + high


@breaks("gcm.dev.aad-esn")
class LowHalfFirst(Device):
    """With ESN the low half of the sequence number is in front of the high half, both ways."""

    _outbound_class = _sending(_HalvesSwapped)
    _inbound_class = _receiving(_HalvesSwapped)


class _LowHalf(_OtherAad):
    def aad(self, head: bytes, high: bytes) -> bytes:
        return head


@breaks("gcm.dev.aad-esn")
class HighHalfLeftOut(Device):
    """With ESN a received packet is verified without the high half of the sequence number."""

    _inbound_class = _receiving(_LowHalf)


class _ShortTag(AeadTransform):
    length = 12

    def seal(self, head: bytes, plaintext: bytes, high: bytes) -> tuple[bytes, bytes]:
        iv, sealed = super().seal(head, plaintext, high)
        return iv, sealed[: self.length - 16]


@breaks("gcm.dev.icv-full")
class TwelveOctetsOfIcv(Device):
    """The ICV of what is sent has 12 octets."""

    _outbound_class = _sending(_ShortTag, -4)


class _FourOctets(_ShortTag):
    length = 4


@breaks("gcm.dev.icv-full", "gcm.dev.icv-others")
class FourOctetsOfIcv(Device):
    """The ICV of what is sent has 4 octets."""

    _outbound_class = _sending(_FourOctets, -12)


class _TakesShortIcv(AeadTransform):
    def __init__(self, params: SaParams, next_iv: IvSource) -> None:
        super().__init__(params, next_iv)
        self._key = algorithms.AES(params.cipher_key)

    def open(self, packet: bytes, start: int, end: int, high: bytes) -> bytes:
        try:
            return super().open(packet, start, end, high)
        except Refused:
            tag = packet[end - 4 : end]
            gcm = modes.GCM(self._salt + packet[start + 8 : start + 16], tag, min_tag_length=4)
            context = Cipher(self._key, gcm).decryptor()
            context.authenticate_additional_data(packet[start : start + 4] + high + packet[start + 4 : start + 8])
            try:
                return context.update(packet[start + 16 : end - 4]) + context.finalize()
            except InvalidTag:
                raise Refused(Reason.BAD_ICV) from None


@breaks("gcm.dev.icv-others")
class TakesFourOctetsOfIcv(Device):
    """A packet with an ICV of 4 octets is taken as well."""

    _inbound_class = _receiving(_TakesShortIcv)
