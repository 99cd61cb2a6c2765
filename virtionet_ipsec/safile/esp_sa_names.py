"""Wireshark's names of algorithms (packet-ipsec.c)."""

from __future__ import annotations

GCM = "AES-GCM [RFC4106]"  # of old: the ICV's length is that of the authentication column
CHACHA20 = "ChaCha20 with Poly1305 [RFC7634]"

# The ICV's length, in octets, is part of an AEAD's name.
AEAD_NAMES: dict[str, tuple[str, int]] = {
    "AES-GCM with 8 octet ICV [RFC4106]": ("aes-gcm", 8),
    "AES-GCM with 12 octet ICV [RFC4106]": ("aes-gcm", 12),
    "AES-GCM with 16 octet ICV [RFC4106]": ("aes-gcm", 16),
    CHACHA20: ("chacha20-poly1305", 16),
}
CIPHER_NAMES: dict[str, str] = {
    "NULL": "null",
    "AES-CBC [RFC3602]": "aes-cbc",
    "AES-CTR [RFC3686]": "aes-ctr",
    "TripleDES-CBC [RFC2451]": "3des-cbc",
    "DES-CBC [RFC2405]": "des-cbc",
}
AUTH_NAMES: dict[str, str] = {
    "HMAC-MD5-96 [RFC2403]": "hmac-md5",
    "HMAC-SHA-1-96 [RFC2404]": "hmac-sha1",
    "HMAC-SHA-256-128 [RFC4868]": "hmac-sha256",
    "HMAC-SHA-384-192 [RFC4868]": "hmac-sha384",
    "HMAC-SHA-512-256 [RFC4868]": "hmac-sha512",
}
NO_AUTH = "NULL"

# No algorithm, but an ICV of so many octets.
UNCHECKED: dict[str, int] = {f"ANY {8 * n} bit authentication [no checking]": n for n in (8, 12, 16, 24, 32)}
