"""AES-GCM in ESP, RFC 4106."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...ipsec import SaParams
from ..check import check
from ..driving.associations import INBOUND, OUTBOUND, accepted, create, rejected, send, start
from ..driving.gcm_packets import FRAME, SALT_IV, SPI_HIGH_LOW, SPI_SEQ, Sealed, esp_of, gcm_sa, made, sealed
from ..driving.rig import Rig
from ..driving.tunnels import living


def _sent(rig: Rig, params: SaParams, number: int = 3) -> Iterator[Sealed]:
    """How the first packets of an outbound SA are sealed."""
    with living(rig, params) as resource_id:
        for _ in range(number):
            yield sealed(params, send(rig, resource_id, FRAME))


def _accepted(rig: Rig, wire: bytes, what: str) -> None:
    rig.equal(f"{what}: payload", FRAME[34:], accepted(rig, wire, what).frame[34:])


@check
def iv_length(rig: Rig) -> None:
    """What is sent has an IV of eight octets between the sequence number and the ciphertext."""
    start(rig)
    for each in _sent(rig, gcm_sa(rig, OUTBOUND)):
        rig.equal("octets of IV in front of the ciphertext", 8, len(each.iv))


@check
def iv_unique(rig: Rig) -> None:
    """No IV comes twice in 100 packets of an SA."""
    start(rig)
    seen: set[bytes] = set()
    resource_id = create(rig, gcm_sa(rig, OUTBOUND))
    for packet in range(100):
        iv = esp_of(send(rig, resource_id, FRAME))[8:16]
        rig.expect(iv not in seen, f"IV of packet {packet + 1}", "another than before", iv.hex())
        seen.add(iv)


@check
def iv_any(rig: Rig) -> None:
    """Packets are accepted with any IVs, rising, falling or neither."""
    start(rig)
    params = gcm_sa(rig, INBOUND)
    ivs = ("0000000000000001", "ffffffffffffffff", "0000000000000000", "0123456789abcdef", "0123456789abcdee")
    with living(rig, params):
        for seq, iv in enumerate(ivs, 1):
            _accepted(rig, made(params, seq, iv=bytes.fromhex(iv)), f"a packet with the IV {iv}")


@check
def nonce(rig: Rig) -> None:
    """The nonce is salt, then IV, in what is sent and in what is accepted."""
    start(rig)
    for each in _sent(rig, gcm_sa(rig, OUTBOUND)):
        rig.equal("the nonce of what is sent", SALT_IV, each.nonce)
    params = gcm_sa(rig, INBOUND)
    with living(rig, params):
        _accepted(rig, made(params, 1), "a packet whose nonce is salt, then IV")
        for seq, salt in ((2, params.salt[::-1]), (3, bytes(4))):
            wire = made(params, seq, nonce=salt + seq.to_bytes(8, "big"))
            rejected(rig, wire, f"a packet under the salt {salt.hex()} instead of {params.salt.hex()}")


@check
def aad(rig: Rig) -> None:
    """SPI and sequence number are the additional data: eight octets, and a packet with another of either is refused."""
    start(rig)
    for each in _sent(rig, gcm_sa(rig, OUTBOUND)):
        rig.equal("the additional data of what is sent", SPI_SEQ, each.aad)
    params = gcm_sa(rig, INBOUND)
    other = replace(params, spi=params.spi + 1)
    with living(rig, params), living(rig, other):
        _accepted(rig, made(params, 1), "a packet with SPI and sequence number as additional data")
        changed = made(params, 3, aad=params.spi.to_bytes(4, "big") + (2).to_bytes(4, "big"))
        rejected(rig, changed, "a packet with sequence number 2 changed to 3 on the way")
        changed = made(params, 4, spi=other.spi)
        rejected(rig, changed, "a packet with its SPI changed on the way to that of an SA with the same key")


@check
def aad_esn(rig: Rig) -> None:
    """With ESN the additional data are SPI and all 64 bits of the sequence number, the high half first: 12 octets."""
    start(rig)
    for each in _sent(rig, gcm_sa(rig, OUTBOUND, esn=True)):
        rig.equal("the additional data of what is sent", SPI_HIGH_LOW, each.aad)
    params = gcm_sa(rig, INBOUND, esn=True, replay_window=32)
    spi = params.spi.to_bytes(4, "big")
    with living(rig, params):
        for seq in (1, 0x80000000, 0xFFFFFFFF, 0x1_0000_0005):
            _accepted(rig, made(params, seq), f"a packet with the sequence number {seq:#x}")
        swapped = made(params, 0x1_0000_0006, aad=spi + bytes.fromhex("0000000600000001"))
        rejected(rig, swapped, "a packet with the low half in front of the high half")
        short = made(params, 0x1_0000_0007, aad=spi + bytes.fromhex("00000007"))
        rejected(rig, short, "a packet without the high half")


@check
def icv_full(rig: Rig) -> None:
    """The ICV is the whole tag, 16 octets, in what is sent and in what is accepted."""
    start(rig)
    for each in _sent(rig, gcm_sa(rig, OUTBOUND)):
        rig.equal("octets of ICV in what is sent", 16, each.icv_length)
    params = gcm_sa(rig, INBOUND)
    with living(rig, params):
        _accepted(rig, made(params, 1), "a packet with an ICV of 16 octets")


@check
def icv_others(rig: Rig) -> None:
    """What is sent has an ICV of 16, 12 or 8 octets, and what arrives with one of 4 octets, or none, is refused."""
    start(rig)
    for each in _sent(rig, gcm_sa(rig, OUTBOUND)):
        length = each.icv_length
        rig.expect(length in (16, 12, 8), "octets of ICV in what is sent", "16, 12 or 8", str(length))
    params = gcm_sa(rig, INBOUND)
    with living(rig, params):
        for seq, length in enumerate((4, 0), 1):
            wire = made(params, seq, icv_length=length)
            rejected(rig, wire, f"a packet with an ICV of {length} octets")
