"""Transparent IPsec as one of the gateways of the kernel's captures (pcaps/linux)."""

from __future__ import annotations

import struct
from dataclasses import replace
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH, ESP, SecurityAssociation
from scapy.layers.l2 import Ether

from virtionet_ipsec.ipsec import Direction, Protocol, SaParams
from virtionet_ipsec.ipsec.ip import with_ttl_decremented
from virtionet_ipsec.safile import SaEntry, load
from virtionet_ipsec.serve.transparent import Transparent

from .rig import PCAPS

LINUX = PCAPS / "linux"
NOT_FOR_THE_DEVICE = "cbc256-sha512-esn-tunnel-v4"  # D09
NAMES = sorted(path.name.removesuffix(".wire.pcap") for path in LINUX.glob("*tunnel*.wire.pcap"))
NAMES.remove(NOT_FOR_THE_DEVICE)
GA = frozenset(ip_address(address).packed for address in ("192.168.1.1", "fd01::1"))
HOST = frozenset(ip_address(address).packed for address in ("192.168.1.10", "fd01::10"))


def frames_of(path: Path) -> list[bytes]:
    data = path.read_bytes()
    at, frames = 24, []
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at + 8)
        frames.append(data[at + 16 : at + 16 + length])
        at += 16 + length
    return frames


def source(frame: bytes) -> bytes:
    return frame[26:30] if frame[14] >> 4 == 4 else frame[22:38]


@cache
def entries(name: str) -> tuple[SaEntry, ...]:
    """The SAs as `ga` has them: 0x1... leaves, 0x2... arrives."""
    path = LINUX / f"{name}.xfrm"
    local = next(e.ends[0] for e in load(path) if e.ends is not None and e.params.spi >> 12 == 1)
    found = load(path, "auto", local_addresses=[str(local)])
    assert {(e.params.direction, e.params.spi >> 12) for e in found} == {
        (Direction.OUTBOUND, 1),
        (Direction.INBOUND, 2),
    }
    return tuple(found)


def plain(name: str) -> list[bytes]:
    return frames_of(LINUX / f"{name}.plain.pcap")


def wire(name: str, way: int) -> list[bytes]:
    """The frames of one direction: 1 from `ga`, 2 to it."""
    return [frame for frame in frames_of(LINUX / f"{name}.wire.pcap") if source(frame)[-1] == way]


def forwarded(frame: bytes) -> bytes:
    return frame[:14] + with_ttl_decremented(frame[14:])


CRYPT = {"aes-gcm": "AES-GCM", "aes-cbc": "AES-CBC", "aes-ctr": "AES-CTR", "3des-cbc": "3DES", "null": "NULL"}
AUTH = {"hmac-sha256": "SHA2-256-128", "hmac-sha1": "HMAC-SHA1-96"}
NOT_FOR_SCAPY = {"chacha20", "gmac128", "ccm128"}  # it has other ideas of their nonces, or none


def scapys(params: SaParams) -> SecurityAssociation:
    assert params.tunnel is not None
    ends = [str(ip_address(each)) for each in (params.tunnel.src, params.tunnel.dst)]
    fields: dict[str, Any] = {
        "spi": params.spi,
        "tunnel_header": (IP if len(params.tunnel.src) == 4 else IPv6)(src=ends[0], dst=ends[1]),
        "esn_en": params.esn,
    }
    if params.protocol is Protocol.ESP:
        fields |= {"crypt_algo": CRYPT[params.aead or params.cipher or "null"]}
        fields |= {"crypt_key": params.cipher_key + params.salt or None}
    if params.auth is not None:
        fields |= {"auth_algo": AUTH[params.auth], "auth_key": params.auth_key}
    if params.udp is not None:
        fields["nat_t_header"] = UDP(sport=params.udp.sport, dport=params.udp.dport)
    return SecurityAssociation(ESP if params.protocol is Protocol.ESP else AH, **fields)


@pytest.mark.parametrize("name", [each for each in NAMES if each.split("-")[0] not in NOT_FOR_SCAPY])
def test_what_the_host_sends_scapy_decrypts(name: str) -> None:
    transparent = Transparent(entries(name))
    (out,) = (e.params for e in entries(name) if e.params.direction is Direction.OUTBOUND)
    association = scapys(out)
    sent = [frame for frame in plain(name) if source(frame) in HOST]
    protected = 0
    for frame in sent:
        for leaving in transparent.outbound(frame):
            assert leaving[:12] == frame[:12]
            assert bytes(association.decrypt(Ether(leaving).payload)) == frame[14:]
            protected += 1
    # As many as the kernel sent: what did not fit there does not fit here.
    assert protected == transparent.tally.out_protected == len(wire(name, 1))
    assert transparent.tally.out_dropped == {"too_big": len(sent) - protected} and len(sent) - protected == 10


@pytest.mark.parametrize("name", NAMES)
def test_the_host_is_told_the_same_mtu_as_by_the_kernel(name: str) -> None:
    """About the same packets, in the same order."""
    transparent = Transparent(entries(name))
    told: list[bytes] = []
    transparent.to_guest = told.append
    for frame in plain(name):
        if source(frame) in HOST:
            transparent.outbound(frame)
    by_kernel = [frame for frame in plain(name) if source(frame) in GA]
    assert len(told) == len(by_kernel) == 10
    for ours, theirs in zip(told, by_kernel, strict=True):
        at = 34 if ours[14] >> 4 == 4 else 54
        assert ours[at : at + 2] == theirs[at : at + 2] and ours[at + 4 : at + 8] == theirs[at + 4 : at + 8]
        quoted = min(len(ours), len(theirs))
        mine, others = ours[at + 8 : quoted], theirs[at + 8 : quoted]
        assert mine == others or mine[:7] + mine[8:] == others[:7] + others[8:]  # of IPv6 the kernel quotes a hop less


@pytest.mark.parametrize("name", NAMES)
def test_what_the_peer_sends_the_host_gets(name: str) -> None:
    transparent = Transparent(entries(name))
    got = [transparent.inbound(frame) for frame in wire(name, 2)]
    assert None not in got and len(got) >= 43
    assert transparent.tally.in_decrypted == len(got) and not transparent.tally.in_dropped
    others = [frame for frame in plain(name) if source(frame) not in HOST | GA]
    assert [forwarded(frame)[14:] for frame in got if frame is not None] == [frame[14:] for frame in others]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_a_second_time_is_replayed(name: str) -> None:
    transparent = Transparent(entries(name))
    frames = wire(name, 2)
    assert all(transparent.inbound(frame) is not None for frame in frames)
    assert all(transparent.inbound(frame) is None for frame in frames)
    dropped = transparent.tally.in_dropped
    assert dropped["replayed"] + dropped["too_old"] == len(frames) and dropped["replayed"] > 30


@pytest.mark.parametrize("name", NAMES)
def test_the_plain_packets_do_not_arrive_as_they_are(name: str) -> None:
    transparent = Transparent(entries(name))
    frames = plain(name)
    assert [transparent.inbound(frame) for frame in frames] == [None] * len(frames)
    assert transparent.tally.in_dropped == {"cleartext": len(frames)}


@pytest.mark.parametrize("name", NAMES)
def test_with_another_key_nothing_arrives(name: str) -> None:
    """Of every packet the integrity check fails."""
    changed = []
    for entry in entries(name):
        params = entry.params
        auth = bytes(each ^ 1 for each in params.auth_key)
        cipher = params.cipher_key if auth else bytes(each ^ 2 for each in params.cipher_key)
        changed.append(replace(entry, params=replace(params, auth_key=auth, cipher_key=cipher)))
    transparent = Transparent(changed)
    frames = wire(name, 2)
    assert [transparent.inbound(frame) for frame in frames] == [None] * len(frames)
    assert transparent.tally.in_dropped == {"bad_icv": len(frames)}
