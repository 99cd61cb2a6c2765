"""What the model is measured against: the bare primitive, and scapy's SecurityAssociation.

The bare calls encrypt or decrypt the same number of octets, with nothing of
ESP around them, the way `cryptography` is meant to be called: an AEAD or HMAC
object once per key, a CBC context for each message.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hmac import HMAC

from .cases import SPI, Algorithm, frame

Call = Callable[[], Any]
_AEADS: dict[str, type[AESGCM | ChaCha20Poly1305]] = {"aes-gcm": AESGCM, "chacha20-poly1305": ChaCha20Poly1305}


def bare_calls(algorithm: Algorithm, length: int) -> tuple[Call, Call]:
    """(encrypt, decrypt) of ``length`` octets of ESP plaintext, integrity included."""
    key = algorithm.parameters["cipher_key"]
    plaintext = bytes(length)
    if algorithm.name in _AEADS:
        aead = _AEADS[algorithm.name](key)
        nonce, associated = bytes(12), bytes(8)
        sealed = aead.encrypt(nonce, plaintext, associated)
        return (
            lambda: aead.encrypt(nonce, plaintext, associated),
            lambda: aead.decrypt(nonce, sealed, associated),
        )
    cipher = Cipher(algorithms.AES(key), modes.CBC(bytes(16)))
    mac = HMAC(algorithm.parameters["auth_key"], hashes.SHA256())
    covered = bytes(8 + 16 + length)

    def authenticate() -> bytes:
        context = mac.copy()
        context.update(covered)
        return context.finalize()

    def encrypt() -> None:
        cipher.encryptor().update(plaintext)
        authenticate()

    def decrypt() -> None:
        authenticate()
        cipher.decryptor().update(plaintext)

    return encrypt, decrypt


def scapy_calls(algorithm: Algorithm, packet: bytes) -> tuple[Call, Call]:
    """(encrypt, decrypt) of the IP ``packet`` with scapy: Ethernet frame in, Ethernet frame out, as the model works."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from scapy.layers.inet import IP
        from scapy.layers.ipsec import ESP, SecurityAssociation
        from scapy.layers.l2 import Ether
    parameters = algorithm.parameters
    names: dict[str, dict[str, Any]] = {
        "aes-gcm": {"crypt_algo": "AES-GCM", "crypt_key": parameters["cipher_key"] + parameters.get("salt", b"")},
        "chacha20-poly1305": {
            "crypt_algo": "CHACHA20-POLY1305",
            "crypt_key": parameters["cipher_key"] + parameters.get("salt", b""),
        },
        "aes-cbc+hmac-sha256": {
            "crypt_algo": "AES-CBC",
            "crypt_key": parameters["cipher_key"],
            "auth_algo": "SHA2-256-128",
            "auth_key": parameters.get("auth_key", b""),
        },
    }
    make: Any = SecurityAssociation  # scapy has no types here
    association = make(ESP, spi=SPI, tunnel_header=IP(src="10.0.0.1", dst="10.0.0.2"), **names[algorithm.name])

    def through(process: Callable[[Any], Any], octets: bytes) -> bytes:
        ethernet = Ether(octets)
        return bytes(Ether(dst=ethernet.dst, src=ethernet.src) / process(ethernet[IP]))

    plain = frame(packet)
    protected = through(association.encrypt, plain)
    return lambda: through(association.encrypt, plain), lambda: through(association.decrypt, protected)
