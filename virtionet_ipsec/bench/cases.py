"""What is measured: algorithms, sizes, and the packets and keys for them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from ..driver.in_process import InProcess, connect
from ..ipsec import Direction, Mode, Protocol, SaParams, Tunnel

SIZES = (64, 512, 1400)
SPI = 0x1000
WINDOW = 64
_OUTER = Tunnel(bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)))
_ETHERNET = bytes.fromhex("020000000001 020000000002 0800")

_octets = random.Random(0).randbytes


@dataclass(frozen=True)
class Algorithm:
    """One row: its name, and the algorithm parameters of its SA."""

    name: str
    parameters: dict[str, Any]


ALGORITHMS = (
    Algorithm("aes-gcm", {"aead": "aes-gcm", "cipher_key": _octets(16), "salt": _octets(4)}),
    Algorithm("chacha20-poly1305", {"aead": "chacha20-poly1305", "cipher_key": _octets(32), "salt": _octets(4)}),
    Algorithm(
        "aes-cbc+hmac-sha256",
        {"cipher": "aes-cbc", "auth": "hmac-sha256", "cipher_key": _octets(16), "auth_key": _octets(32)},
    ),
)


def ip_packet(size: int) -> bytes:
    """A UDP over IPv4 packet of ``size`` octets, without a UDP checksum."""
    from scapy.layers.inet import IP, UDP

    return bytes(IP(src="192.168.1.1", dst="192.168.2.2") / UDP(sport=1000, dport=2000, chksum=0) / _octets(size - 28))


def frame(packet: bytes) -> bytes:
    """``packet`` in an Ethernet frame."""
    return _ETHERNET + packet


def sa_params(algorithm: Algorithm, direction: Direction) -> SaParams:
    """An ESP tunnel mode SA over IPv4; inbound with a window of 64."""
    outbound = direction is Direction.OUTBOUND
    return SaParams(
        direction,
        Protocol.ESP,
        Mode.TUNNEL,
        SPI,
        tunnel=_OUTER if outbound else None,
        replay_window=0 if outbound else WINDOW,
        **algorithm.parameters,
    )


def driver_for(algorithm: Algorithm) -> tuple[InProcess, int]:
    """A device with one SA each way and the rules of a driver; and the outbound resource_id."""
    driver = connect(mtu=65535)
    driver.steer_ipsec()
    resource_id = driver.create_sa(sa_params(algorithm, Direction.OUTBOUND))
    driver.create_sa(sa_params(algorithm, Direction.INBOUND))
    return driver, resource_id
