"""The sender's end of the SAs in peer/peer.toml: ESP and AH by `cryptography` and hmac alone."""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .packets import ipv4, ipv6, udp, udp_over_ipv6

IPIP, IPV6_IN_IP, UDP, ESP, AH, NONE = 4, 41, 17, 50, 51, 59

HERE, THERE = "10.1.0.1", "10.1.0.2"
HERE6, THERE6 = "fd10::1", "fd10::2"
HOST, FAR_HOST = "192.0.2.1", "198.51.100.1"
HOST6, FAR_HOST6 = "2001:db8:1::1", "2001:db8:2::1"


def noise(length: int, label: str) -> bytes:
    """Octets that look random and are always the same."""
    return hashlib.shake_128(label.encode()).digest(length)


def trailer(length: int, nh: int, align: int, extra: int = 0) -> bytes:
    """An ESP trailer behind ``length`` octets: RFC 4303 2.4's padding, ``extra`` times ``align`` longer than needed."""
    pad = -(length + 2) % align + extra * align
    return bytes(range(1, pad + 1)) + bytes((pad, nh))


class Sa:
    """An SA of peer.toml, the sender's end: numbers its packets from the first one expected."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.spi: int = table["spi"]
        self.seq: int = table.get("model", {}).get("first_seq", 1) - 1
        self.esn: bool = table.get("esn", False)
        self._gcm = table.get("aead") == "aes-gcm"
        self._key, self._auth_key, self._salt = (
            bytes.fromhex(table.get(k, "")) for k in ("cipher_key", "auth_key", "salt")
        )
        self.align = 4 if self._gcm else 16

    def esp(self, text: bytes, seq: int | None = None, high: int | None = None) -> bytes:
        """An ESP packet; ``text`` is all that is encrypted, trailer included, and may be anything of the right length.

        Without ``seq`` it has the next number; ``high`` is the high half that the ICV covers, when it lies.
        """
        if seq is None:
            self.seq = seq = self.seq + 1
        head = struct.pack("!II", self.spi, seq & 0xFFFFFFFF)
        upper = struct.pack("!I", seq >> 32 if high is None else high) if self.esn else b""
        if self._gcm:
            iv = noise(8, f"{self.spi} {seq}")
            return head + iv + AESGCM(self._key).encrypt(self._salt + iv, text, head[:4] + upper + head[4:])
        iv = noise(16, f"{self.spi} {seq}")
        sealed = head + iv + Cipher(algorithms.AES(self._key), modes.CBC(iv)).encryptor().update(text)
        return sealed + hmac.digest(self._auth_key, sealed + upper, "sha256")[:16]

    def ah_icv(self, covered: bytes) -> bytes:
        """The ICV of AH over ``covered``: HMAC-SHA-256-128."""
        return hmac.digest(self._auth_key, covered, "sha256")[:16]

    def tunnel(self, inner: bytes, *, extra: int = 0, tfc: bytes = b"", tos: int = 0, seq: int | None = None) -> bytes:
        """An honest tunnel packet; ``tfc`` follows the inner one, ``tos`` is that of the outer header."""
        nh = IPIP if inner[0] >> 4 == 4 else IPV6_IN_IP
        content = inner + tfc
        return outer(self.esp(content + trailer(len(content), nh, self.align, extra), seq), tos)


def outer(esp: bytes, tos: int = 0) -> bytes:
    """The IPv4 packet in which ESP arrives."""
    return ipv4(esp, ESP, THERE, HERE, tos=tos)


def outer6(esp: bytes, tos: int = 0) -> bytes:
    """The IPv6 packet in which ESP arrives."""
    return ipv6(esp, ESP, THERE6, HERE6, tos=tos)


def inner4(size: int = 30, tos: int = 0) -> bytes:
    """A packet to go into a tunnel: UDP with ``size`` octets of payload."""
    datagram = udp(noise(size, f"payload {size}"), 7000, 7001)
    return ipv4(datagram, UDP, FAR_HOST, HOST, tos=tos, ttl=60, ident=size)


def inner6(size: int = 30, tos: int = 0) -> bytes:
    """The same over IPv6."""
    datagram = udp_over_ipv6(noise(size, f"payload {size}"), 7000, 7001, FAR_HOST6, HOST6)
    return ipv6(datagram, UDP, FAR_HOST6, HOST6, tos=tos, hop_limit=60)
