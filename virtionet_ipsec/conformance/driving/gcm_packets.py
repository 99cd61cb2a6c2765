"""AES-GCM in ESP (RFC 4106) as octets: packets that the device sent, taken apart, and packets made by hand.

What a packet does otherwise than RFC 4106 is found out by trying, so that a
check can look at one thing of it.  The cipher is the library's; all around it
is put together here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ...ipsec import Direction, SaParams
from ..verdict import Failed
from . import frames
from .associations import sa, tunnel_frame
from .ip_header import ip_header
from .rig import Rig

FRAME = frames.udp4_frame()

SALT_IV, IV_SALT, REVERSED_SALT, IV_ALONE = "salt, IV", "IV, salt", "salt reversed, IV", "IV alone"
SPI_SEQ, SPI_HIGH_LOW, SPI_LOW_HIGH = "SPI, sequence number", "SPI, high half, low half", "SPI, low half, high half"
SPI_ALONE, NOTHING = "SPI", "nothing"

_TAG = 16
_IV_LENGTHS, _ICV_LENGTHS = (8, 12, 4, 16), (16, 12, 8, 4)


@dataclass(frozen=True, slots=True)
class Sealed:
    """How an ESP packet was sealed: octets of IV, what the nonce and the additional data are, octets of ICV."""

    iv: bytes
    nonce: str
    aad: str
    icv_length: int


def gcm_sa(rig: Rig, direction: Direction, **parameters: Any) -> SaParams:
    """As :func:`~.associations.sa`, with AES-GCM."""
    return sa(rig, direction, aead="aes-gcm", **parameters)


def esp_of(wire: bytes) -> bytes:
    """The ESP packet in a frame that the device sent in tunnel mode."""
    what = "a packet under AES-GCM"
    ip = ip_header(what, wire[14:])
    esp = wire[14 + ip.size :]
    if len(esp) < 8 + max(_IV_LENGTHS) + 4 + _TAG:
        raise Failed(what, "ESP with IV, the packet inside and ICV", f"{len(esp)} octets behind the IP header")
    return esp


def sealed(params: SaParams, wire: bytes) -> Sealed:
    """How the packet in ``wire``, one of the first 2**32, was sealed; fails the check when no way is found."""
    esp = esp_of(wire)
    gcm, head = AESGCM(params.cipher_key), esp[:8]
    for iv_length in _IV_LENGTHS:
        iv, text = esp[8 : 8 + iv_length], esp[8 + iv_length :]
        for nonce_name, nonce in _nonces(params.salt, iv):
            stream = gcm.encrypt(nonce, bytes(len(text)), b"")
            for icv_length in _ICV_LENGTHS:
                cut = len(text) - icv_length
                plain = bytes(a ^ b for a, b in zip(text[:cut], stream[:cut], strict=True))
                for aad_name, aad in _aads(head):
                    if gcm.encrypt(nonce, plain, aad)[-_TAG:][:icv_length] == text[cut:]:
                        return Sealed(iv, nonce_name, aad_name, icv_length)
    raise Failed("a packet under AES-GCM", "one that opens", "none of the ways that this check knows opens it")


def _nonces(salt: bytes, iv: bytes) -> Iterator[tuple[str, bytes]]:
    """The ways to make a nonce; GCM in ESP has 12 octets of it, the library takes any."""
    yield SALT_IV, salt + iv
    yield IV_SALT, iv + salt
    yield REVERSED_SALT, salt[::-1] + iv
    if len(iv) >= 8:
        yield IV_ALONE, iv


def _aads(head: bytes) -> Iterator[tuple[str, bytes]]:
    spi, low, high = head[:4], head[4:], bytes(4)
    yield SPI_SEQ, head
    yield SPI_HIGH_LOW, spi + high + low
    yield SPI_LOW_HIGH, spi + low + high
    yield SPI_ALONE, spi
    yield NOTHING, b""


def made(
    params: SaParams,
    seq: int,
    *,
    iv: bytes | None = None,
    nonce: bytes | None = None,
    aad: bytes | None = None,
    icv_length: int = _TAG,
    spi: int | None = None,
) -> bytes:
    """A frame from the far end of an inbound SA with :data:`FRAME`'s packet inside.

    The IV is the sequence number unless given; what else is given is done
    otherwise than RFC 4106 has it.
    """
    packet = FRAME[14:]
    pad = -(len(packet) + 2) % 4
    plain = packet + bytes(range(1, pad + 1)) + bytes((pad, 4))
    iv = seq.to_bytes(8, "big") if iv is None else iv
    nonce = params.salt + iv if nonce is None else nonce
    if aad is None:
        aad = params.spi.to_bytes(4, "big") + seq.to_bytes(8 if params.esn else 4, "big")
    text = AESGCM(params.cipher_key).encrypt(nonce, plain, aad)
    head = (params.spi if spi is None else spi).to_bytes(4, "big") + (seq & 0xFFFFFFFF).to_bytes(4, "big")
    return tunnel_frame(head + iv + text[: len(text) - _TAG + icv_length])
