"""What the algorithms of ESP and AH need: tables of key, salt, IV and ICV sizes.

One row an algorithm, all lengths in octets.  The names are those of the SA
files.  How they are computed is in :mod:`.transforms`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Aead:
    """A combined-mode algorithm for ESP: encryption and ICV in one (RFC 4303 3.2.3)."""

    name: str
    key_lengths: tuple[int, ...]
    salt_length: int  # implicit part of the nonce, in front of the IV
    iv_length: int
    icv_lengths: tuple[int, ...]
    icv_default: int
    section: str


@dataclass(frozen=True, slots=True)
class Cipher:
    """An ESP encryption algorithm without integrity (RFC 4303 3.2.1)."""

    name: str
    key_lengths: tuple[int, ...]
    salt_length: int
    iv_length: int
    block: int  # what the plaintext, trailer included, has to be a multiple of
    section: str


@dataclass(frozen=True, slots=True)
class Integrity:
    """An integrity algorithm for ESP or AH (RFC 4303 3.2.2, RFC 4302 3.2)."""

    name: str
    key_lengths: tuple[int, ...]
    salt_length: int
    iv_length: int  # not 0 for GMAC alone, whose nonce travels with the packet
    icv_lengths: tuple[int, ...]
    icv_default: int
    section: str


AEADS: dict[str, Aead] = {
    row.name: row
    for row in (
        Aead("aes-gcm", (16, 24, 32), 4, 8, (8, 12, 16), 16, "RFC 4106"),
        Aead("aes-ccm", (16, 24, 32), 3, 8, (8, 12, 16), 16, "RFC 4309"),
        Aead("chacha20-poly1305", (32,), 4, 8, (16,), 16, "RFC 7634"),
    )
}

CIPHERS: dict[str, Cipher] = {
    row.name: row
    for row in (
        Cipher("null", (0,), 0, 0, 4, "RFC 2410"),
        Cipher("aes-cbc", (16, 24, 32), 0, 16, 16, "RFC 3602"),
        Cipher("aes-ctr", (16, 24, 32), 4, 8, 4, "RFC 3686"),
        Cipher("3des-cbc", (24,), 0, 8, 8, "RFC 2451"),
        Cipher("des-cbc", (8,), 0, 8, 8, "RFC 2405"),
    )
}

AUTHS: dict[str, Integrity] = {
    row.name: row
    for row in (
        Integrity("hmac-md5", (16,), 0, 0, (12,), 12, "RFC 2403"),
        Integrity("hmac-sha1", (20,), 0, 0, (12,), 12, "RFC 2404"),
        Integrity("hmac-sha256", (32,), 0, 0, (16,), 16, "RFC 4868"),
        Integrity("hmac-sha384", (48,), 0, 0, (24,), 24, "RFC 4868"),
        Integrity("hmac-sha512", (64,), 0, 0, (32,), 32, "RFC 4868"),
        Integrity("aes-xcbc", (16,), 0, 0, (12,), 12, "RFC 3566"),
        Integrity("aes-cmac", (16,), 0, 0, (12,), 12, "RFC 4494"),
        Integrity("aes-gmac", (16, 24, 32), 4, 8, (16,), 16, "RFC 4543"),
    )
}
