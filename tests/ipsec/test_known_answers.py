"""What the RFCs print.  Every vector passes through `cryptography` or `hmac` first, so that a slip in copying shows.

RFC 4309 (AES-CCM) prints no ESP packets: its section 8 points to RFC 3610,
whose vectors have 13-octet nonces, which ESP never uses.  A whole packet with
CCM is among the witnesses' (:mod:`.test_witnesses`).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.cmac import CMAC

from virtionet_ipsec.ipsec import Direction, InboundSa, Mode, OutboundSa, Protocol, Reason, SaParams, Tunnel
from virtionet_ipsec.ipsec import ip as engine_ip
from virtionet_ipsec.ipsec.integrity import make_mac
from virtionet_ipsec.ipsec.transforms import Transform, make_transform

from .builders import (
    HOST_A,
    HOST_B,
    internet_checksum,
    ipv4,
    ipv6,
    octets,
    receive,
    refused,
    udp,
    with_fixed_checksum,
    with_payload,
)
from .rfc_vectors import (
    HMACS,
    MCGREW_GCM,
    MCGREW_GMAC,
    RFC3566,
    RFC3566_KEY,
    RFC3602_CIPHER,
    RFC3602_PACKET,
    RFC3686,
    RFC4494,
    RFC4494_KEY,
    RFC4494_MESSAGE,
    RFC7634,
    RFC7634_OUTER,
    Aead,
    Mac,
)

hx = bytes.fromhex
AUTH_KEY = octets(32, "auth")
HEAD = hx("0000432100000001")


def esp(direction: Direction, **given: Any) -> SaParams:
    given = {"mode": Mode.TRANSPORT, "spi": 0x4321, **given}
    return SaParams(direction, Protocol.ESP, **given)


def transform(**given: Any) -> Transform:
    return make_transform(esp(Direction.OUTBOUND, **given), bytes)


def seal(ours: Transform, head: bytes, plain: bytes, high: bytes = b"") -> bytes:
    """All that follows the ESP header."""
    return b"".join(ours.seal(head, plain, high))


def sha256_icv(covered: bytes) -> bytes:
    return hmac.digest(AUTH_KEY, covered, "sha256")[:16]


# --- AES-CBC: RFC 3602 section 4 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", RFC3602_CIPHER, ids=("case 1", "case 2", "case 3", "case 4"))
def test_rfc3602_cases_1_to_4(vector: Any) -> None:
    key, iv, plain, cipher = (hx(field) for field in vector)
    assert Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor().update(plain) == cipher
    ours = transform(cipher="aes-cbc", cipher_key=key, auth="hmac-sha256", auth_key=AUTH_KEY, iv=iv)
    sealed = iv + cipher + sha256_icv(HEAD + iv + cipher)
    assert seal(ours, HEAD, plain) == sealed
    assert ours.open(HEAD + sealed, 0, len(HEAD + sealed), b"") == plain


@pytest.mark.parametrize("case", RFC3602_PACKET)
def test_rfc3602_cases_5_to_8(case: int) -> None:
    """The RFC's packets have no integrity; the engine insists on it.  All but length, checksum and ICV is the RFC's."""
    vector = RFC3602_PACKET[case]
    plain, protected = hx(vector.plain), hx(vector.protected)
    assert internet_checksum(plain[:20]) == internet_checksum(protected[:20]) == 0
    algorithms_ = {"cipher": "aes-cbc", "cipher_key": hx(vector.key), "auth": "hmac-sha256", "auth_key": AUTH_KEY}
    given = {**algorithms_, "mode": Mode(vector.mode), "spi": int.from_bytes(protected[20:24], "big")}
    tunnel = Tunnel(protected[12:16], protected[16:20]) if vector.mode == "tunnel" else None
    ident = int.from_bytes(protected[4:6], "big")
    sender = OutboundSa(
        esp(Direction.OUTBOUND, **given, tunnel=tunnel, first_seq=vector.seq, iv=hx(vector.iv)), next_id=lambda: ident
    )
    ours = sender.protect(plain)
    assert ours[-16:] == sha256_icv(ours[20:-16])
    assert with_payload(ours, ours[20:-16]).hex() == vector.protected

    sealed = with_payload(protected, protected[20:] + sha256_icv(protected[20:]))
    assert receive(InboundSa(esp(Direction.INBOUND, **given)), sealed).hex() == vector.plain


# --- AES-CTR: RFC 3686 section 6 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", RFC3686, ids=[f"vector {n}" for n in range(1, 10)])
def test_rfc3686(vector: Any) -> None:
    key, nonce, iv, plain, cipher = (hx(field) for field in vector)
    assert Cipher(algorithms.AES(key), modes.CTR(nonce + iv + hx("00000001"))).encryptor().update(plain) == cipher
    ours = transform(cipher="aes-ctr", cipher_key=key, salt=nonce, auth="hmac-sha256", auth_key=AUTH_KEY, iv=iv)
    sealed = iv + cipher + sha256_icv(HEAD + iv + cipher)
    assert seal(ours, HEAD, plain) == sealed
    assert ours.open(HEAD + sealed, 0, len(HEAD + sealed), b"") == plain


# --- AES-GCM and AES-GMAC: draft-mcgrew-gcm-test-01 -------------------------------------------------------------------


def _split_head(vector: Aead) -> tuple[bytes, bytes]:
    """SPI and low half of the sequence number; the high half, or nothing."""
    head = hx(vector.head)
    return head[:4] + head[-4:], head[4:-4]


def _check_transform(vector: Aead, **algorithm: Any) -> None:
    head, high = _split_head(vector)
    ours = transform(**algorithm, salt=hx(vector.salt), iv=hx(vector.iv), esn=bool(high))
    sealed = hx(vector.iv + vector.sealed)
    assert seal(ours, head, hx(vector.plain), high) == sealed
    assert ours.open(head + sealed, 0, len(head + sealed), high) == hx(vector.plain)


@pytest.mark.parametrize("case", MCGREW_GCM)
def test_mcgrew_gcm(case: int) -> None:
    vector = MCGREW_GCM[case]
    nonce = hx(vector.salt + vector.iv)
    assert AESGCM(hx(vector.key)).encrypt(nonce, hx(vector.plain), hx(vector.head)) == hx(vector.sealed)
    _check_transform(vector, aead="aes-gcm", cipher_key=hx(vector.key))


@pytest.mark.parametrize("length", [8, 12])
@pytest.mark.parametrize("case", MCGREW_GCM)
def test_mcgrew_gcm_with_shorter_icv(case: int, length: int) -> None:
    """RFC 4106 6: ICVs of 8 and 12 octets are the leftmost octets of the full one."""
    vector = MCGREW_GCM[case]
    shorter = vector._replace(sealed=vector.sealed[: 2 * (length - 16)])
    _check_transform(shorter, aead="aes-gcm", cipher_key=hx(vector.key), icv_len=length)


def test_mcgrew_gmac() -> None:
    vector = MCGREW_GMAC
    tag = AESGCM(hx(vector.key)).encrypt(hx(vector.salt + vector.iv), b"", hx(vector.head + vector.iv + vector.plain))
    assert hx(vector.plain) + tag == hx(vector.sealed)
    _check_transform(vector, cipher="null", auth="aes-gmac", auth_key=hx(vector.key))


def _whole(vector: Aead, **algorithm: Any) -> None:
    """The vector as transport mode packets of the protocol that its next header says."""
    head, high = _split_head(vector)
    text = hx(vector.plain)
    plain = ipv4(text[: -2 - text[-2]], proto=text[-1])
    given = {**algorithm, "salt": hx(vector.salt), "spi": int.from_bytes(head[:4], "big"), "esn": bool(high)}
    seq = int.from_bytes(high + head[4:], "big")
    protected = with_payload(ipv4(proto=50), head + hx(vector.iv + vector.sealed))
    assert OutboundSa(esp(Direction.OUTBOUND, **given, first_seq=seq, iv=hx(vector.iv))).protect(plain) == protected
    receiver = InboundSa(esp(Direction.INBOUND, **given, first_seq=seq, replay_window=64))
    assert receive(receiver, protected) == plain
    with refused(Reason.REPLAYED):
        receive(receiver, protected)


@pytest.mark.parametrize("case", [case for case, vector in MCGREW_GCM.items() if hx(vector.head)[:4] != bytes(4)])
def test_mcgrew_gcm_packets(case: int) -> None:
    """All but case 4, whose SPI is 0: no SA can have it (RFC 4303 2.1)."""
    _whole(MCGREW_GCM[case], aead="aes-gcm", cipher_key=hx(MCGREW_GCM[case].key))


def test_mcgrew_gmac_packet() -> None:
    _whole(MCGREW_GMAC, cipher="null", auth="aes-gmac", auth_key=hx(MCGREW_GMAC.key))


# --- ChaCha20-Poly1305: RFC 7634 appendix A ---------------------------------------------------------------------------


def test_rfc7634_appendix_a() -> None:
    vector = RFC7634
    bare = ChaCha20Poly1305(hx(vector.key))
    assert bare.encrypt(hx(vector.salt + vector.iv), hx(vector.plain), hx(vector.head)) == hx(vector.sealed)
    protected = hx(RFC7634_OUTER + vector.head + vector.iv + vector.sealed)
    assert internet_checksum(protected[:20]) == 0 and len(protected) == int.from_bytes(protected[2:4], "big")
    plain = hx(vector.plain)[:-4]
    given = {"mode": Mode.TUNNEL, "spi": 0x01020304, "aead": "chacha20-poly1305", "cipher_key": hx(vector.key)}
    given["salt"] = hx(vector.salt)
    assert receive(InboundSa(esp(Direction.INBOUND, **given)), protected) == plain
    tunnel = Tunnel(protected[12:16], protected[16:20])
    sender = OutboundSa(
        esp(Direction.OUTBOUND, **given, tunnel=tunnel, first_seq=5, iv=hx(vector.iv)), next_id=lambda: 0x2345
    )
    assert sender.protect(plain) == protected


# --- AES-CCM: RFC 4309 sections 2 to 5 --------------------------------------------------------------------------------


@pytest.mark.parametrize("esn", [False, True])
@pytest.mark.parametrize("length", [8, 12, 16])
@pytest.mark.parametrize("key_length", [16, 24, 32])
def test_rfc4309_nonce_and_aad(key_length: int, length: int, esn: bool) -> None:
    """The nonce is salt and IV, the additional data SPI and sequence number: computed here with the bare AEAD."""
    key, salt, iv = octets(key_length), octets(3), octets(8)
    plain, high = octets(62) + b"\0\4", hx("00000007") if esn else b""
    sealed = AESCCM(key, tag_length=length).encrypt(salt + iv, plain, HEAD[:4] + high + HEAD[4:])
    ours = transform(aead="aes-ccm", cipher_key=key, salt=salt, iv=iv, icv_len=length, esn=esn)
    assert seal(ours, HEAD, plain, high) == iv + sealed
    assert ours.open(HEAD + iv + sealed, 0, 16 + len(sealed), high) == plain


# --- Integrity algorithms ---------------------------------------------------------------------------------------------


def _mac(auth: str, key: bytes) -> Any:
    return make_mac(SaParams(Direction.OUTBOUND, Protocol.AH, Mode.TRANSPORT, 1, auth=auth, auth_key=key))


_HASHES: dict[str, tuple[Callable[..., Any], int]] = {
    "hmac-md5": (hashlib.md5, 16),
    "hmac-sha1": (hashlib.sha1, 20),
    "hmac-sha256": (hashlib.sha256, 32),
    "hmac-sha384": (hashlib.sha384, 48),
    "hmac-sha512": (hashlib.sha512, 64),
}


@pytest.mark.parametrize("vector", HMACS, ids=[f"{v.auth} {v.section}" for v in HMACS])
def test_hmac(vector: Mac) -> None:
    """RFC 2202, 4231 and 4868, through the truncation of RFC 2403, 2404 and 4868 2.3.

    SAs take keys of one length.  HMAC makes no difference between a key and the
    same with zeros behind it, nor between a key longer than a block and its
    hash (RFC 2104 3), which has just the length that IPsec wants.  (Case 4 of
    RFC 2202, a key of 25 octets, fits neither way.)
    """
    digest, size = _HASHES[vector.auth]
    key = hx(vector.key)
    assert hmac.new(key, hx(vector.message), digest).hexdigest().startswith(vector.icv)
    fitted = digest(key).digest() if len(key) > digest().block_size else key.ljust(size, b"\0")
    mac = _mac(vector.auth, fitted)
    assert mac.compute(hx(vector.message)).hex() == vector.icv
    assert mac.verify(hx(vector.message), hx(vector.icv))
    assert not mac.verify(hx(vector.message) + b"\0", hx(vector.icv))
    assert not mac.verify(hx(vector.message), hx(vector.icv)[:-1])


def _xcbc_by_the_book(key: bytes, message: bytes) -> bytes:
    """RFC 3566 section 4, step by step, a block at a time."""

    def block(under: bytes, data: bytes) -> bytes:
        return Cipher(algorithms.AES(under), modes.ECB()).encryptor().update(data)

    def xor(a: bytes, b: bytes) -> bytes:
        return bytes(x ^ y for x, y in zip(a, b, strict=True))

    k1, k2, k3 = (block(key, bytes((n,)) * 16) for n in (1, 2, 3))
    blocks = [message[i : i + 16] for i in range(0, len(message), 16)] or [b""]
    state = bytes(16)
    for part in blocks[:-1]:
        state = block(k1, xor(state, part))
    last = blocks[-1]
    last = xor(last, k2) if len(last) == 16 else xor((last + b"\x80").ljust(16, b"\0"), k3)
    return block(k1, xor(state, last))[:12]


@pytest.mark.parametrize(("message", "icv"), RFC3566, ids=[f"case {n}" for n in range(1, 8)])
def test_rfc3566_section_4_6(message: str, icv: str) -> None:
    assert _xcbc_by_the_book(hx(RFC3566_KEY), hx(message)).hex() == icv
    mac = _mac("aes-xcbc", hx(RFC3566_KEY))
    assert mac.compute(hx(message)).hex() == icv and mac.verify(hx(message), hx(icv))


@pytest.mark.parametrize("length", range(70))
def test_xcbc_of_every_length(length: int) -> None:
    key, message = octets(16, "xcbc"), octets(length)
    assert _mac("aes-xcbc", key).compute(message) == _xcbc_by_the_book(key, message)


@pytest.mark.parametrize("length", RFC4494)
def test_rfc4494_section_4(length: int) -> None:
    message = hx(RFC4494_MESSAGE)[:length]
    bare = CMAC(algorithms.AES(hx(RFC4494_KEY)))
    bare.update(message)
    assert bare.finalize().hex().startswith(RFC4494[length])
    mac = _mac("aes-cmac", hx(RFC4494_KEY))
    assert mac.compute(message).hex() == RFC4494[length] and mac.verify(message, hx(RFC4494[length]))


# --- The Internet checksum --------------------------------------------------------------------------------------------


def test_rfc1071_section_3() -> None:
    assert engine_ip.ones_complement_sum(hx("0001f203f4f5f6f7")) == 0xDDF2
    assert engine_ip.checksum(hx("0001f203f4f5f6f7")) == 0x220D


def test_rfc1624_section_4() -> None:
    """The example that equation 1 of RFC 1141 gets wrong: the new checksum is 0x0000, not 0xffff."""
    assert engine_ip.adjust_checksum(0xDD2F, 0x5555, 0x3285) == 0x0000


@pytest.mark.parametrize("length", [*range(41), 1499, 1500, 65535])
def test_checksum_of_every_length(length: int) -> None:
    for data in (octets(length), bytes(length), b"\xff" * length):
        assert engine_ip.checksum(data) == internet_checksum(data)


def test_checksum_adjusted_is_checksum_computed() -> None:
    """Every word that tunnels change, over many headers, the sums that fold to zero among them."""
    for number in range(2000):
        noise = octets(8, str(number))
        packet = ipv4(b"", tos=noise[0], ttl=noise[1] or 1, ident=int.from_bytes(noise[2:4], "big"))
        for offset in (0, 6, 8):
            word = int.from_bytes(noise[4:6], "big") if offset else 0x4500 | noise[4]
            changed = engine_ip.with_ipv4_word(packet, offset, word)
            expected = packet[:offset] + word.to_bytes(2, "big") + packet[offset + 2 :]
            assert changed[:10] + changed[12:] == expected[:10] + expected[12:]
            assert changed == with_fixed_checksum(changed)


def test_checksum_adjusted_stays_wrong() -> None:
    packet = ipv4(b"")
    wrong = packet[:10] + b"\x12\x34" + packet[12:]
    assert engine_ip.checksum(engine_ip.with_ipv4_word(wrong, 8, 0x3F11)[:20]) == engine_ip.checksum(wrong[:20]) != 0


def test_pseudo_headers() -> None:
    """RFC 793 3.1 and RFC 8200 8.1."""
    datagram = udp(b"abc")
    assert engine_ip.pseudo_header(ipv4(datagram), 11, 17) == HOST_A + HOST_B + hx("0011000b")
    packet = ipv6(datagram)
    assert engine_ip.pseudo_header(packet, 11, 17) == packet[8:40] + hx("0000000b00000011")
