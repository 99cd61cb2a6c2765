"""What the tests of the engine share: packets made by hand, SAs of every algorithm, comparisons.

Nothing here uses the engine's own helpers for headers and checksums: the tests
hold those against this.
"""

from __future__ import annotations

import contextlib
import hmac
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from hypothesis import HealthCheck, settings

from virtionet_ipsec.ipsec import (
    Direction,
    InboundSa,
    Mode,
    OutboundSa,
    Protocol,
    Reason,
    Refused,
    SaParams,
    Tunnel,
    UdpEncap,
    locate,
)

T = TypeVar("T")

HOST_A, HOST_B = bytes((10, 1, 1, 1)), bytes((10, 2, 2, 2))
GATE_A, GATE_B = bytes((192, 0, 2, 1)), bytes((198, 51, 100, 2))
HOST6_A, HOST6_B = bytes.fromhex("20010db8000a" + "00" * 9 + "01"), bytes.fromhex("20010db8000b" + "00" * 9 + "02")
GATE6_A, GATE6_B = bytes.fromhex("20010db800f1" + "00" * 9 + "01"), bytes.fromhex("20010db800f2" + "00" * 9 + "02")

T4, T6 = Tunnel(GATE_A, GATE_B), Tunnel(GATE6_A, GATE6_B)
TUNNELS = {4: T4, 6: T6}
NATT = UdpEncap(4500, 4500)
SPI = 0x1234ABCD

FAMILIES = [(inner, outer) for inner in (4, 6) for outer in (4, 6)]


def examples(count: int) -> settings:
    """Hypothesis settings: the same examples on every run, no clock."""
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def octets(length: int, seed: str = "") -> bytes:
    """``length`` octets that look random and are the same on every run."""
    return random.Random(f"{length}/{seed}").randbytes(length)


# --- algorithms -------------------------------------------------------------------------------------------------------


def _aead(name: str, key: int, salt: int, icv: int | None = None) -> dict[str, Any]:
    return {"aead": name, "cipher_key": octets(key, name), "salt": octets(salt, name + "salt"), "icv_len": icv}


def _cipher(cipher: str, key: int, salt: int, auth: str, auth_key: int) -> dict[str, Any]:
    return {
        "cipher": cipher,
        "cipher_key": octets(key, cipher),
        "auth": auth,
        "auth_key": octets(auth_key, auth),
        "salt": octets(salt, cipher + "salt"),
    }


ESP: dict[str, dict[str, Any]] = {
    "gcm128": _aead("aes-gcm", 16, 4),
    "gcm192": _aead("aes-gcm", 24, 4),
    "gcm256": _aead("aes-gcm", 32, 4),
    "gcm128-icv8": _aead("aes-gcm", 16, 4, 8),
    "gcm256-icv12": _aead("aes-gcm", 32, 4, 12),
    "ccm128": _aead("aes-ccm", 16, 3),
    "ccm192-icv12": _aead("aes-ccm", 24, 3, 12),
    "ccm256-icv8": _aead("aes-ccm", 32, 3, 8),
    "chacha20": _aead("chacha20-poly1305", 32, 4),
    "null-sha256": _cipher("null", 0, 0, "hmac-sha256", 32),
    "null-md5": _cipher("null", 0, 0, "hmac-md5", 16),
    "cbc128-sha1": _cipher("aes-cbc", 16, 0, "hmac-sha1", 20),
    "cbc192-sha384": _cipher("aes-cbc", 24, 0, "hmac-sha384", 48),
    "cbc256-sha512": _cipher("aes-cbc", 32, 0, "hmac-sha512", 64),
    "cbc128-xcbc": _cipher("aes-cbc", 16, 0, "aes-xcbc", 16),
    "cbc128-cmac": _cipher("aes-cbc", 16, 0, "aes-cmac", 16),
    "ctr128-sha256": _cipher("aes-ctr", 16, 4, "hmac-sha256", 32),
    "ctr192-md5": _cipher("aes-ctr", 24, 4, "hmac-md5", 16),
    "ctr256-sha1": _cipher("aes-ctr", 32, 4, "hmac-sha1", 20),
    "3des-sha1": _cipher("3des-cbc", 24, 0, "hmac-sha1", 20),
    "des-md5": _cipher("des-cbc", 8, 0, "hmac-md5", 16),
    "gmac128": {**_cipher("null", 0, 0, "aes-gmac", 16), "salt": octets(4, "gmac")},
    "gmac256": {**_cipher("null", 0, 0, "aes-gmac", 32), "salt": octets(4, "gmac")},
}

AH: dict[str, dict[str, Any]] = {
    "ah-md5": {"auth": "hmac-md5", "auth_key": octets(16)},
    "ah-sha1": {"auth": "hmac-sha1", "auth_key": octets(20)},
    "ah-sha256": {"auth": "hmac-sha256", "auth_key": octets(32)},
    "ah-sha384": {"auth": "hmac-sha384", "auth_key": octets(48)},
    "ah-sha512": {"auth": "hmac-sha512", "auth_key": octets(64)},
    "ah-xcbc": {"auth": "aes-xcbc", "auth_key": octets(16)},
    "ah-cmac": {"auth": "aes-cmac", "auth_key": octets(16)},
    "ah-gmac128": {"auth": "aes-gmac", "auth_key": octets(16), "salt": octets(4)},
    "ah-gmac192": {"auth": "aes-gmac", "auth_key": octets(24), "salt": octets(4)},
    "ah-gmac256": {"auth": "aes-gmac", "auth_key": octets(32), "salt": octets(4)},
}

ALL = {**ESP, **AH}

# What sits between a payload and the end of an ESP packet besides the trailer, by
# hand from the RFCs: (IV, ICV) in octets, and what payload and trailer are padded to.
SIZES: dict[str, tuple[int, int, int]] = {
    "gcm128": (8, 16, 4),
    "gcm192": (8, 16, 4),
    "gcm256": (8, 16, 4),
    "gcm128-icv8": (8, 8, 4),
    "gcm256-icv12": (8, 12, 4),
    "ccm128": (8, 16, 4),
    "ccm192-icv12": (8, 12, 4),
    "ccm256-icv8": (8, 8, 4),
    "chacha20": (8, 16, 4),
    "null-sha256": (0, 16, 4),
    "null-md5": (0, 12, 4),
    "cbc128-sha1": (16, 12, 16),
    "cbc192-sha384": (16, 24, 16),
    "cbc256-sha512": (16, 32, 16),
    "cbc128-xcbc": (16, 12, 16),
    "cbc128-cmac": (16, 12, 16),
    "ctr128-sha256": (8, 16, 4),
    "ctr192-md5": (8, 12, 4),
    "ctr256-sha1": (8, 12, 4),
    "3des-sha1": (8, 12, 8),
    "des-md5": (8, 12, 8),
    "gmac128": (8, 16, 4),
    "gmac256": (8, 16, 4),
}


# --- SAs --------------------------------------------------------------------------------------------------------------


def params(direction: Direction, name: str, mode: Mode = Mode.TUNNEL, outer: int = 4, **options: Any) -> SaParams:
    """Parameters with the algorithms called ``name`` above; ``options`` win over what they imply."""
    given: dict[str, Any] = {
        "protocol": Protocol.AH if name in AH else Protocol.ESP,
        "mode": mode,
        "spi": SPI,
        "tunnel": TUNNELS[outer] if mode is Mode.TUNNEL else None,
        **ALL[name],
        **options,
    }
    return SaParams(direction=direction, **given)


def outbound(
    name: str,
    mode: Mode = Mode.TUNNEL,
    outer: int = 4,
    *,
    mtu: int = 0xFFFF,
    ident: int | None = None,
    **options: Any,
) -> OutboundSa:
    """``ident``: the IPv4 identification of every outer header; without it, a counter."""
    return OutboundSa(
        params(Direction.OUTBOUND, name, mode, outer, **options),
        randbytes=random.Random(name).randbytes,
        next_id=None if ident is None else lambda: ident,
        mtu=mtu,
    )


def inbound(name: str, mode: Mode = Mode.TUNNEL, outer: int = 4, replay_window: int = 64, **options: Any) -> InboundSa:
    return InboundSa(params(Direction.INBOUND, name, mode, outer, replay_window=replay_window, **options))


def pair(name: str, mode: Mode = Mode.TUNNEL, outer: int = 4, **options: Any) -> tuple[OutboundSa, InboundSa]:
    return outbound(name, mode, outer, **options), inbound(name, mode, outer, **options)


def receive(sa: InboundSa, packet: bytes) -> bytes:
    """Locate and unprotect."""
    return sa.unprotect(packet, locate(packet))


@contextlib.contextmanager
def refused(reason: Reason) -> Iterator[None]:
    with pytest.raises(Refused) as caught:
        yield
    assert caught.value.reason is reason, f"{caught.value}, and {reason} was expected"


def outcome(call: Callable[..., T], *arguments: Any) -> T | Reason:
    """What ``call`` gives, or the reason of its refusal."""
    try:
        return call(*arguments)
    except Refused as caught:
        return caught.reason


def snapshot(sa: InboundSa | OutboundSa) -> tuple[Any, ...]:
    """All that packets can change, except the counts of failures and dummies."""
    state = sa.state
    rows: tuple[Any, ...] = (state.packets, state.bytes, state.seq, state.soft_expired, sa.params)
    if isinstance(sa, InboundSa):
        rows += (sa.window.top, sa.window.seen, sa.window.size)
    return rows


# --- packets ----------------------------------------------------------------------------------------------------------


def internet_checksum(data: bytes) -> int:
    """RFC 1071 as its section 4.1 writes it: add up words, fold, complement."""
    total = 0
    for index in range(0, len(data), 2):
        total += int.from_bytes(data[index : index + 2].ljust(2, b"\0"), "big")
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(
    payload: bytes = b"",
    *,
    proto: int = 17,
    src: bytes = HOST_A,
    dst: bytes = HOST_B,
    tos: int = 0,
    ttl: int = 64,
    flags: int = 0,
    offset: int = 0,
    ident: int = 0x3039,
    options: bytes = b"",
) -> bytes:
    """An IPv4 packet; ``flags`` are the three bits (DF is 2), ``options`` a multiple of 4 octets."""
    first, total = 0x45 + len(options) // 4, 20 + len(options) + len(payload)
    head = struct.pack("!BBHHHBBH", first, tos, total, ident, flags << 13 | offset, ttl, proto, 0) + src + dst + options
    return head[:10] + struct.pack("!H", internet_checksum(head)) + head[12:] + payload


def ipv6(
    payload: bytes = b"",
    *,
    nh: int = 17,
    src: bytes = HOST6_A,
    dst: bytes = HOST6_B,
    tc: int = 0,
    flow: int = 0,
    hlim: int = 64,
) -> bytes:
    """An IPv6 packet; extension headers belong to ``payload``."""
    return struct.pack("!IHBB", 6 << 28 | tc << 20 | flow, len(payload), nh, hlim) + src + dst + payload


def udp(payload: bytes = b"", sport: int = 5000, dport: int = 6000) -> bytes:
    """A UDP datagram without a checksum."""
    return struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload


def ip(version: int, payload: bytes = b"", tos: int = 0, ttl: int = 64) -> bytes:
    """A packet of either version with a traffic class and a TTL."""
    if version == 4:
        return ipv4(payload, tos=tos, ttl=ttl)
    return ipv6(payload, tc=tos, hlim=ttl, flow=0x5A5A5)


def tos_of(packet: bytes) -> int:
    return packet[1] if packet[0] >> 4 == 4 else int.from_bytes(packet[:2], "big") >> 4 & 0xFF


def ttl_of(packet: bytes) -> int:
    return packet[8] if packet[0] >> 4 == 4 else packet[7]


def header_length(packet: bytes) -> int:
    """Length of the IP header, IPv6 extension headers not counted."""
    return (packet[0] & 15) * 4 if packet[0] >> 4 == 4 else 40


def with_octet(packet: bytes, offset: int, value: int) -> bytes:
    return packet[:offset] + bytes((value,)) + packet[offset + 1 :]


def with_fixed_checksum(packet: bytes) -> bytes:
    """The IPv4 ``packet`` with its header checksum made right."""
    header = packet[: header_length(packet)]
    blank = header[:10] + b"\0\0" + header[12:]
    return blank[:10] + struct.pack("!H", internet_checksum(blank)) + blank[12:] + packet[len(header) :]


def with_payload(packet: bytes, payload: bytes) -> bytes:
    """``packet`` with what follows its IP header replaced, its length and checksum made right."""
    size = header_length(packet)
    if packet[0] >> 4 == 4:
        return with_fixed_checksum(packet[:2] + struct.pack("!H", size + len(payload)) + packet[4:size] + payload)
    return packet[:4] + struct.pack("!H", len(payload)) + packet[6:size] + payload


# --- a peer with the key, but without manners -------------------------------------------------------------------------


def sealed(name: str, head: bytes, text: bytes, *, iv: bytes | None = None, high: bytes = b"") -> bytes:
    """What follows the ESP header ``head``: IV, encrypted ``text`` and ICV, by `cryptography` and `hmac` alone.

    ``text`` is all that is encrypted, trailer included, and need not be well
    formed; ``high`` is the high half of an extended sequence number.
    """
    given = ALL[name]
    iv_length, icv_length, _ = SIZES[name]
    iv = octets(iv_length, f"{head.hex()}") if iv is None else iv
    aad, key, nonce = head[:4] + high + head[4:], given.get("cipher_key", b""), given["salt"] + iv
    match given.get("aead") or given["cipher"]:
        case "aes-gcm":
            full = AESGCM(key).encrypt(nonce, text, aad)
            return iv + full[: len(text) + icv_length]
        case "aes-ccm":
            return iv + AESCCM(key, tag_length=icv_length).encrypt(nonce, text, aad)
        case "chacha20-poly1305":
            return iv + ChaCha20Poly1305(key).encrypt(nonce, text, aad)
        case "aes-cbc":
            text = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor().update(text)
        case "aes-ctr":
            text = Cipher(algorithms.AES(key), modes.CTR(nonce + b"\0\0\0\1")).encryptor().update(text)
        case "3des-cbc":
            text = Cipher(TripleDES(key), modes.CBC(iv)).encryptor().update(text)
        case "des-cbc":
            text = Cipher(TripleDES(key * 3), modes.CBC(iv)).encryptor().update(text)
    auth, auth_key = given["auth"], given["auth_key"]
    if auth == "aes-gmac":
        return iv + text + AESGCM(auth_key).encrypt(nonce, b"", aad + iv + text)
    return iv + text + hmac.digest(auth_key, head + iv + text + high, auth.removeprefix("hmac-"))[:icv_length]


def sent_by_peer(name: str, text: bytes, *, seq: int = 1, outer: int = 4) -> bytes:
    """A packet for the inbound SA called ``name``, not UDP-encapsulated, with ``text`` inside."""
    head = struct.pack("!II", SPI, seq)
    esp = head + sealed(name, head, text)
    return ipv4(esp, proto=50, src=GATE_A, dst=GATE_B) if outer == 4 else ipv6(esp, nh=50, src=GATE6_A, dst=GATE6_B)


def trailer(payload_length: int, nh: int, align: int, extra: int = 0) -> bytes:
    """An ESP trailer by RFC 4303 2.4, ``extra`` blocks of padding longer than needed."""
    pad = -(payload_length + 2) % align + extra * align
    return bytes(n % 256 for n in range(1, pad + 1)) + bytes((pad, nh))
