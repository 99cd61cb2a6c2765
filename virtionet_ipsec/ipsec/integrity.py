"""Integrity algorithms: one object per SA that computes and verifies ICVs.

``compute(data)`` gives the ICV, truncated to the SA's length; ``verify(data,
icv)`` compares in constant time.  All primitives are `cryptography`'s; what it
does not offer (AES-XCBC) is put together from its AES.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import cmac, constant_time, hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .sa import SaParams


class Mac(Protocol):
    """What an ICV comes from, its key set."""

    def compute(self, data: bytes) -> bytes: ...

    def verify(self, data: bytes, icv: bytes) -> bool: ...


class _Truncated:
    """A keyed `cryptography` context, copied for each packet: the key schedule is done once."""

    __slots__ = ("_copy", "_length")

    def __init__(self, context: hmac.HMAC | cmac.CMAC, length: int) -> None:
        self._copy = context.copy
        self._length = length

    def compute(self, data: bytes) -> bytes:
        context = self._copy()
        context.update(data)
        return context.finalize()[: self._length]

    def verify(self, data: bytes, icv: bytes) -> bool:
        return constant_time.bytes_eq(self.compute(data), icv)


class _Xcbc:
    """AES-XCBC-MAC-96 (RFC 3566)."""

    __slots__ = ("_k1", "_k2", "_k3", "_length")

    def __init__(self, key: bytes, length: int) -> None:
        # RFC 3566 4: K1, K2, K3 are AES of three constants under the key.
        ecb = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
        self._k1, k2, k3 = (ecb.update(bytes((n,)) * 16) for n in (1, 2, 3))
        self._k2, self._k3 = int.from_bytes(k2, "big"), int.from_bytes(k3, "big")
        self._length = length

    def compute(self, data: bytes) -> bytes:
        cut = max(len(data) - 1, 0) // 16 * 16
        last = data[cut:]
        mask = self._k2
        if len(last) < 16:
            last, mask = (last + b"\x80").ljust(16, b"\0"), self._k3
        final = (int.from_bytes(last, "big") ^ mask).to_bytes(16, "big")
        cbc = Cipher(algorithms.AES(self._k1), modes.CBC(bytes(16))).encryptor()
        return cbc.update(data[:cut] + final)[-16:][: self._length]

    def verify(self, data: bytes, icv: bytes) -> bool:
        return constant_time.bytes_eq(self.compute(data), icv)


class Gmac:
    """AES-GMAC (RFC 4543): a GCM tag over data that stays in the clear.

    Not a :class:`Mac`: it takes a nonce besides the data.
    """

    __slots__ = ("_gcm", "_salt")

    def __init__(self, key: bytes, salt: bytes) -> None:
        self._gcm = AESGCM(key)
        self._salt = salt

    def compute(self, iv: bytes, data: bytes) -> bytes:
        return self._gcm.encrypt(self._salt + iv, b"", data)

    def verify(self, iv: bytes, data: bytes, icv: bytes) -> bool:
        try:
            self._gcm.decrypt(self._salt + iv, icv, data)
        except InvalidTag:
            return False
        return True


_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "hmac-md5": hashes.MD5,
    "hmac-sha1": hashes.SHA1,
    "hmac-sha256": hashes.SHA256,
    "hmac-sha384": hashes.SHA384,
    "hmac-sha512": hashes.SHA512,
}


def make_mac(params: SaParams) -> Mac:
    """The MAC of an SA whose ``auth`` is anything but ``aes-gmac``."""
    assert params.auth is not None
    if params.auth == "aes-xcbc":
        return _Xcbc(params.auth_key, params.icv_length)
    if params.auth == "aes-cmac":
        return _Truncated(cmac.CMAC(algorithms.AES(params.auth_key)), params.icv_length)
    return _Truncated(hmac.HMAC(params.auth_key, _HASHES[params.auth]()), params.icv_length)
