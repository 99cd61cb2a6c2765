"""SA objects that VIRTIO_NET_IPSEC_SA_CAP does not allow: a right one, but for what the capability lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ...device.algorithm_ids import AEAD_NAMES, CIPHER_NAMES, MAC_NAMES
from ...ipsec import Direction, Mode, Protocol, SaParams
from ...ipsec.algorithms import AEADS, AUTHS, CIPHERS
from ...wire.enums import IpsecMode, IpsecOption, MacAlgo
from ...wire.sa import KEY_SIZE
from .associations import SPI, TUNNEL4, algorithms, sa
from .rig import Rig
from .sa_objects import MODES, mode_caps, sa_octets

Objects = Iterator[tuple[str, bytes]]
"""What is wrong, in words, and the object."""

_U32_MAX = 0xFFFFFFFF
_NOT_USED = {"length": 0, "data": b""}


def _modes(rig: Rig, direction: Direction) -> Iterator[tuple[Any, SaParams]]:
    """Every entry of the capability that an SA can be made of, and that SA."""
    for cap in mode_caps(rig):
        protocol, mode = MODES[cap.mode]
        for choice in algorithms(rig, protocol, mode)[:1]:
            yield cap, sa(rig, direction, protocol=protocol, mode=mode, **choice)


def _key(length: int) -> dict[str, Any]:
    return {"length": length, "data": bytes(min(length, KEY_SIZE))}


def _mode(rig: Rig, direction: Direction) -> Objects:
    offered = {cap.mode for cap in mode_caps(rig)}
    both: dict[str, Any] = {"direction": direction, "mode": Mode.TUNNEL, "spi": SPI, "tunnel": TUNNEL4}
    likely = (
        SaParams(protocol=Protocol.ESP, aead="aes-gcm", cipher_key=bytes(16), salt=bytes(4), **both),
        SaParams(protocol=Protocol.AH, auth="hmac-sha256", auth_key=bytes(32), **both),
    )
    for mode in (0, *IpsecMode, 5, 255):
        if mode not in offered:
            yield from ((f"mode {mode}", sa_octets(rig, params, mode=mode)) for params in likely)


def _option(rig: Rig, direction: Direction) -> Objects:
    for cap, params in _modes(rig, direction):
        # The capability has 32 bits of options, the SA object 64.
        for bit in (*range(len(IpsecOption) + 1), 31, 32, 63):
            if not cap.options >> bit & 1:
                # With ports, so that nothing else is wrong with UDP_ENCAP.
                ports = {"udp_sport": 4500, "udp_dport": 4500}
                yield f"option bit {bit} in mode {cap.mode}", sa_octets(rig, params, options=1 << bit, **ports)


def _cipher(rig: Rig, direction: Direction) -> Objects:
    for cap, params in _modes(rig, direction):
        if params.protocol is Protocol.AH:
            continue
        for number in (*range(1, 16), 31, 63, 64):
            if not cap.aead_algo >> number & 1:
                length = AEADS[AEAD_NAMES[number]].key_lengths[0] if number in AEAD_NAMES else 16
                fields: dict[str, Any] = {
                    "cipher_algo": number,
                    "cipher_key": _key(length),
                    "auth_algo": 0,
                    "auth_key": _NOT_USED,
                }
                yield f"AEAD {number} in mode {cap.mode}", sa_octets(rig, params, **fields)  # D01
        for mac, auth_key in _mac(cap):
            for number in (*range(16), 31, 63, 64):
                if not cap.cipher_algo >> number & 1:
                    length = CIPHERS[CIPHER_NAMES[number]].key_lengths[0] if number in CIPHER_NAMES else 16
                    fields = {"cipher_algo": number, "cipher_key": _key(length), "auth_algo": mac, "auth_key": auth_key}
                    yield f"cipher {number} in mode {cap.mode}", sa_octets(rig, params, **fields)


def _mac(cap: Any) -> list[tuple[int, dict[str, Any]]]:
    """The first MAC of the mode that goes with any cipher, and a key for it; nothing when there is none."""
    found = [number for number, name in MAC_NAMES.items() if cap.hmac_algo >> number & 1 and name != "aes-gmac"]
    return [(number, _key(AUTHS[MAC_NAMES[number]].key_lengths[0])) for number in found[:1]]


def _auth(rig: Rig, direction: Direction) -> Objects:
    for cap, params in _modes(rig, direction):
        is_esp = params.protocol is Protocol.ESP
        cipher = next((number for number in CIPHER_NAMES if is_esp and cap.cipher_algo >> number & 1), 0)
        encryption = {"cipher_algo": cipher, "cipher_key": _key(CIPHERS[CIPHER_NAMES[cipher]].key_lengths[0])}
        for number in (*MacAlgo, 7, 63, 64):
            # ESP with no MAC has an AEAD for its cipher (D01).
            if not cap.hmac_algo >> number & 1 and not (is_esp and number == MacAlgo.NO_MAC):
                length = AUTHS[MAC_NAMES[number]].key_lengths[0] if number in MAC_NAMES else KEY_SIZE
                fields: dict[str, Any] = {**encryption, "auth_algo": int(number), "auth_key": _key(length)}
                yield f"MAC {number:d} in mode {cap.mode}", sa_octets(rig, params, **fields)


def _key_length(rig: Rig, direction: Direction) -> Objects:
    for cap in mode_caps(rig):
        protocol, mode = MODES[cap.mode]
        for choice in algorithms(rig, protocol, mode):
            params = sa(rig, direction, protocol=protocol, mode=mode, **choice)
            for field, algorithm, most in (
                ("cipher_key", params.encryption, cap.max_cipher_key_len),
                ("auth_key", params.integrity, cap.max_auth_key_len),
            ):
                if algorithm is None or not any(algorithm.key_lengths):
                    continue
                for length in {most + 1, *(each for each in algorithm.key_lengths if each > most)}:
                    if length <= 0xFFFF:
                        changed: dict[str, Any] = {field: _key(length)}
                        what = f"{field}.length {length} for {algorithm.name} in mode {cap.mode}"
                        yield what, sa_octets(rig, params, **changed)


def _replay_window(rig: Rig, direction: Direction) -> Objects:
    for cap, params in _modes(rig, direction):
        for size in {min(cap.max_replay_win_sz + 1, _U32_MAX), _U32_MAX}:
            if size > cap.max_replay_win_sz:
                yield f"replay_win_sz {size} in mode {cap.mode}", sa_octets(rig, params, replay_win_sz=size)


UNSUPPORTED: dict[str, Callable[[Rig, Direction], Objects]] = {
    "mode": _mode,
    "options": _option,
    "cipher": _cipher,
    "auth": _auth,
    "key-length": _key_length,
    "replay-window": _replay_window,
}
"""By what is not supported."""
