"""How ESP protects a payload: one object per SA, its keys set up once.

``seal(head, plaintext, high)`` gives (IV, ciphertext and ICV), which follow the
ESP header; ``open(packet, start, end, high)`` verifies and decrypts the ESP
packet in ``packet[start:end]`` and gives the plaintext, padding and trailer
included.  ``head`` is SPI and sequence number (8 octets); ``high`` is the high
half of an extended sequence number (4 octets), or empty.

``open`` raises ``BAD_ICV``, or ``MALFORMED`` when there is no room for IV, ICV
and trailer or the trailer is not aligned (RFC 4303 2.4); verification comes
before decryption (RFC 4303 3.4.4).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

from .integrity import Gmac, Mac, make_mac
from .iv import IvSource, make_iv_source
from .reasons import Reason, Refused
from .sa import SaParams

RandBytes = Callable[[int], bytes]


class Transform(Protocol):
    def seal(self, head: bytes, plaintext: bytes, high: bytes) -> tuple[bytes, bytes]: ...

    def open(self, packet: bytes, start: int, end: int, high: bytes) -> bytes: ...


class _AeadCall(Protocol):
    """The AEAD interface of `cryptography`."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes: ...


class _GcmShortIcv:
    """AES-GCM with an ICV of 8 or 12 octets (RFC 4106 6), which AESGCM does not offer."""

    __slots__ = ("_gcm", "_key", "_length")

    def __init__(self, key: bytes, length: int) -> None:
        self._gcm = AESGCM(key)
        self._key = algorithms.AES(key)
        self._length = length

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes:
        return self._gcm.encrypt(nonce, data, associated_data)[: self._length - 16]

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes:
        tag = data[-self._length :]
        context = Cipher(self._key, modes.GCM(nonce, tag, min_tag_length=self._length)).decryptor()
        context.authenticate_additional_data(associated_data)
        return context.update(data[: -self._length]) + context.finalize()


class AeadTransform:
    """AES-GCM (RFC 4106), AES-CCM (RFC 4309), ChaCha20-Poly1305 (RFC 7634).

    The additional data are SPI and sequence number, with the high half of an
    ESN between them (RFC 4106 5).
    """

    __slots__ = ("_decrypt", "_encrypt", "_least", "_next_iv", "_salt")

    def __init__(self, params: SaParams, next_iv: IvSource) -> None:
        aead = _make_aead(params)
        self._encrypt, self._decrypt = aead.encrypt, aead.decrypt
        self._salt = params.salt
        self._next_iv = next_iv
        # ESP header, 8 octets of IV, the trailer's two fields rounded up to 4, ICV
        self._least = 8 + 8 + 4 + params.icv_length

    def seal(self, head: bytes, plaintext: bytes, high: bytes) -> tuple[bytes, bytes]:
        iv = self._next_iv()
        aad = head[:4] + high + head[4:] if high else head
        return iv, self._encrypt(self._salt + iv, plaintext, aad)

    def open(self, packet: bytes, start: int, end: int, high: bytes) -> bytes:
        more = end - start - self._least
        if more < 0 or more & 3:
            raise _bad_length(end - start, self._least, 4)
        body = start + 16
        aad = packet[start : start + 4] + high + packet[start + 4 : start + 8] if high else packet[start : start + 8]
        try:
            return self._decrypt(self._salt + packet[start + 8 : body], packet[body:end], aad)
        except InvalidTag:
            raise _bad_icv() from None


class CipherTransform:
    """A cipher and a separate integrity algorithm: encrypt, then MAC (RFC 4303 3.3.2.1).

    The ICV covers ESP header, IV and ciphertext, and the high half of an ESN
    behind them (RFC 4303 2.2.1).
    """

    __slots__ = ("_block", "_cipher", "_icv", "_iv", "_least", "_mac", "_next_iv")

    def __init__(self, params: SaParams, next_iv: IvSource) -> None:
        encryption = params.encryption
        assert encryption is not None
        self._cipher = _make_cipher(params)
        self._mac: Mac = make_mac(params)
        self._next_iv = next_iv
        self._iv, self._icv = params.iv_length, params.icv_length
        self._block = self._iv if params.cipher in _CBC else 4
        self._least = 8 + self._iv + self._block + self._icv

    def seal(self, head: bytes, plaintext: bytes, high: bytes) -> tuple[bytes, bytes]:
        iv = self._next_iv()
        ciphertext = self._cipher.encrypt(iv, plaintext)
        return iv, ciphertext + self._mac.compute(head + iv + ciphertext + high)

    def open(self, packet: bytes, start: int, end: int, high: bytes) -> bytes:
        more = end - start - self._least
        if more < 0 or more % self._block:
            raise _bad_length(end - start, self._least, self._block)
        cut = end - self._icv
        covered = packet[start:cut]
        if not self._mac.verify(covered + high if high else covered, packet[cut:end]):
            raise _bad_icv()
        return self._cipher.decrypt(covered[8 : 8 + self._iv], covered[8 + self._iv :])


class GmacTransform:
    """AES-GMAC in ESP (RFC 4543 3): the payload in the clear, IV and ICV as in GCM.

    The ICV covers SPI, sequence number (the high half of an ESN between them),
    IV and payload.
    """

    __slots__ = ("_gmac", "_least", "_next_iv")

    def __init__(self, params: SaParams, next_iv: IvSource) -> None:
        self._gmac = Gmac(params.auth_key, params.salt)
        self._next_iv = next_iv
        self._least = 8 + 8 + 4 + 16

    def seal(self, head: bytes, plaintext: bytes, high: bytes) -> tuple[bytes, bytes]:
        iv = self._next_iv()
        return iv, plaintext + self._gmac.compute(iv, head[:4] + high + head[4:] + iv + plaintext)

    def open(self, packet: bytes, start: int, end: int, high: bytes) -> bytes:
        more = end - start - self._least
        if more < 0 or more & 3:
            raise _bad_length(end - start, self._least, 4)
        head, cut = packet[start : start + 8], end - 16
        iv = packet[start + 8 : start + 16]
        if not self._gmac.verify(iv, head[:4] + high + head[4:] + packet[start + 8 : cut], packet[cut:end]):
            raise _bad_icv()
        return packet[start + 16 : cut]


class _Null:
    def encrypt(self, iv: bytes, data: bytes) -> bytes:
        return data

    decrypt = encrypt


class _Cbc:
    """CBC on contexts that live as long as the SA: making one costs several times what a packet does.

    A CBC context chains: it encrypts P as E(P xor the last ciphertext block).
    So the IV of a new packet is put in by xor-ing IV and last block into its
    first block.  Decrypting needs no such care: feeding the IV in front of the
    ciphertext sets the chain, and the first block that comes out is dropped.
    """

    __slots__ = ("_block", "_decrypt", "_encrypt", "_last")

    def __init__(self, key: algorithms.AES | TripleDES) -> None:
        self._block = key.block_size // 8
        cipher = Cipher(key, modes.CBC(bytes(self._block)))
        self._encrypt = cipher.encryptor().update
        self._decrypt = cipher.decryptor().update
        self._last = 0

    def encrypt(self, iv: bytes, data: bytes) -> bytes:
        block = self._block
        first = int.from_bytes(data[:block], "big") ^ int.from_bytes(iv, "big") ^ self._last
        out = self._encrypt(first.to_bytes(block, "big") + data[block:])
        self._last = int.from_bytes(out[-block:], "big")
        return out

    def decrypt(self, iv: bytes, data: bytes) -> bytes:
        return self._decrypt(iv + data)[self._block :]


class _Ctr:
    """AES-CTR (RFC 3686 4): the counter block is nonce, IV and a counter from 1."""

    __slots__ = ("_context", "_nonce")

    def __init__(self, key: bytes, nonce: bytes) -> None:
        self._context = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
        self._nonce = nonce

    def encrypt(self, iv: bytes, data: bytes) -> bytes:
        self._context.reset_nonce(self._nonce + iv + b"\0\0\0\1")
        return self._context.update(data)

    decrypt = encrypt


_CBC = frozenset({"aes-cbc", "3des-cbc", "des-cbc"})


def _make_cipher(params: SaParams) -> _Null | _Cbc | _Ctr:
    key = params.cipher_key
    match params.cipher:
        case "aes-cbc":
            return _Cbc(algorithms.AES(key))
        case "3des-cbc":
            return _Cbc(TripleDES(key))
        case "des-cbc":
            # DES is triple DES with one key thrice: encrypt, decrypt, encrypt.
            return _Cbc(TripleDES(key * 3))
        case "aes-ctr":
            return _Ctr(key, params.salt)
        case _:
            return _Null()


def _make_aead(params: SaParams) -> _AeadCall:
    key, icv = params.cipher_key, params.icv_length
    match params.aead:
        case "aes-gcm":
            return AESGCM(key) if icv == 16 else _GcmShortIcv(key, icv)
        case "aes-ccm":
            return AESCCM(key, tag_length=icv)
        case _:
            return ChaCha20Poly1305(key)


def _bad_icv() -> Refused:
    return Refused(Reason.BAD_ICV, "the integrity check value is wrong")


def _bad_length(length: int, least: int, block: int) -> Refused:
    return Refused(Reason.MALFORMED, f"ESP packet of {length} octets, not {least} and a multiple of {block} more")


def make_transform(params: SaParams, randbytes: RandBytes) -> Transform:
    """The transform of an ESP SA; ``randbytes`` seeds the IV source of an outbound one."""
    next_iv = make_iv_source(params, randbytes)
    if params.aead is not None:
        return AeadTransform(params, next_iv)
    if params.auth == "aes-gmac":
        return GmacTransform(params, next_iv)
    return CipherTransform(params, next_iv)
