"""The largest packet that fits protected, held against the engine itself: it fits, and one octet more does not."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from virtionet_ipsec.ipsec import Direction, Mode, OutboundSa, Protocol, Reason, Refused, SaParams, Tunnel, UdpEncap
from virtionet_ipsec.ipsec.ip import with_ipv4_checksum
from virtionet_ipsec.serve.mtu import inner_mtu

ALGORITHMS: dict[str, dict[str, Any]] = {
    "gcm": {"aead": "aes-gcm", "cipher_key": bytes(16), "salt": bytes(4)},
    "gcm-8": {"aead": "aes-gcm", "cipher_key": bytes(16), "salt": bytes(4), "icv_len": 8},
    "chacha20": {"aead": "chacha20-poly1305", "cipher_key": bytes(32), "salt": bytes(4)},
    "cbc": {"cipher": "aes-cbc", "auth": "hmac-sha256", "cipher_key": bytes(16), "auth_key": bytes(32)},
    "3des": {"cipher": "3des-cbc", "auth": "hmac-sha1", "cipher_key": bytes(range(24)), "auth_key": bytes(20)},
    "null": {"cipher": "null", "auth": "hmac-sha1", "auth_key": bytes(20)},
    "ctr-esn": {
        "cipher": "aes-ctr",
        "auth": "aes-xcbc",
        "cipher_key": bytes(16),
        "salt": bytes(4),
        "auth_key": bytes(16),
        "esn": True,
    },
}
AH: dict[str, dict[str, Any]] = {
    "sha256": {"auth": "hmac-sha256", "auth_key": bytes(32)},
    "sha1": {"auth": "hmac-sha1", "auth_key": bytes(20)},
    "sha1-align8": {"auth": "hmac-sha1", "auth_key": bytes(20), "ah_align": 8},
    "gmac": {"auth": "aes-gmac", "auth_key": bytes(16), "salt": bytes(4)},
}
OUTER = {4: Tunnel(bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))), 6: Tunnel(bytes(15) + b"\1", bytes(15) + b"\2")}


def packet(version: int, length: int, options: int = 0) -> bytes:
    """An IP packet of this many octets; ``options`` of them are IPv4 options."""
    if version == 6:
        return b"\x60\0\0\0" + (length - 40).to_bytes(2, "big") + b"\x3b\x40" + bytes(32) + bytes(length - 40)
    words = 5 + options // 4
    head = bytes((0x40 | words, 0)) + length.to_bytes(2, "big") + b"\0\0\0\0\x40\xfd\0\0" + bytes(8) + b"\1" * options
    return with_ipv4_checksum(head) + bytes(length - len(head))


def fits(params: SaParams, mtu: int, plain: bytes) -> bool:
    try:
        return len(OutboundSa(params, mtu=mtu).protect(plain)) <= mtu
    except Refused as refused:
        if refused.reason is not Reason.TOO_BIG:
            raise
        return False


def sa(protocol: Protocol, mode: Mode, tunnel: Tunnel | None, fields: dict[str, Any]) -> SaParams:
    return SaParams(Direction.OUTBOUND, protocol, mode, 0x1000, tunnel=tunnel, **fields)


MTUS = (*range(1484, 1517), 9000)


@pytest.mark.parametrize("udp", [None, UdpEncap(4500, 4500)], ids=["esp", "udp"])
@pytest.mark.parametrize("outer", [4, 6])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_esp_tunnels(name: str, outer: int, udp: UdpEncap | None) -> None:
    params = sa(Protocol.ESP, Mode.TUNNEL, OUTER[outer], {**ALGORITHMS[name], "udp": udp})
    for mtu, inner in itertools.product(MTUS, (4, 6)):
        most = inner_mtu(mtu, [params])
        assert fits(params, mtu, packet(inner, most)) and not fits(params, mtu, packet(inner, most + 1))


@pytest.mark.parametrize("outer", [4, 6])
@pytest.mark.parametrize("name", AH)
def test_ah_tunnels(name: str, outer: int) -> None:
    params = sa(Protocol.AH, Mode.TUNNEL, OUTER[outer], AH[name])
    for mtu in MTUS:
        most = inner_mtu(mtu, [params])
        assert fits(params, mtu, packet(4, most)) and not fits(params, mtu, packet(4, most + 1))


@pytest.mark.parametrize(
    ("protocol", "name"), [*((Protocol.ESP, n) for n in ALGORITHMS), *((Protocol.AH, n) for n in AH)]
)
def test_transport_mode(protocol: Protocol, name: str) -> None:
    """What fits whatever its header is; no more than padding is given away."""
    params = sa(protocol, Mode.TRANSPORT, None, (ALGORITHMS if protocol is Protocol.ESP else AH)[name])
    for mtu in MTUS:
        most = inner_mtu(mtu, [params])
        headers = [(4, options) for options in range(0, 44, 4)] + [(6, 0)]
        assert all(fits(params, mtu, packet(version, most, options)) for version, options in headers)
        assert not all(fits(params, mtu, packet(version, most + 1, options)) for version, options in headers)


def test_the_least_of_all_outbound_ones() -> None:
    gcm = sa(Protocol.ESP, Mode.TUNNEL, OUTER[4], ALGORITHMS["gcm"])
    six = sa(Protocol.ESP, Mode.TUNNEL, OUTER[6], ALGORITHMS["gcm"])
    inbound = SaParams(Direction.INBOUND, Protocol.ESP, Mode.TUNNEL, 1, **ALGORITHMS["cbc"])
    assert inner_mtu(1500, [gcm, six, inbound]) == inner_mtu(1500, [six]) == 1426
    assert inner_mtu(1500, [gcm]) == 1446
    assert inner_mtu(1500, [inbound]) == inner_mtu(1500, []) == 1500
