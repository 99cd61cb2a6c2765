"""The hash of a packet as a check works it out, bit by bit (virtio 1.4, 5.1.9.4.3), and packets to hash.

Key, addresses and ports are those of Microsoft's "Verifying the RSS hash
calculation", whose results are in tests/conformance/test_hashing.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from ...wire.codec import build
from ...wire.control import HashConfig, RssConfig
from ...wire.enums import CtrlClass, CtrlMq, Feature, HashReport, HashType
from ..verdict import NotApplicable
from . import controls
from .frames import MACS, TCP, UDP, ethernet, ipv4, ipv6, tcp, udp
from .rig import Rig

KEY = bytes.fromhex("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa")
OTHER_KEY = bytes(range(0x51, 0x51 + 40))

ENDS = (
    ("66.9.149.187", 2794, "161.142.100.80", 1766),
    ("199.92.111.2", 14230, "65.69.140.83", 4739),
    ("24.19.198.95", 12898, "12.22.207.184", 38024),
    ("38.27.205.30", 48228, "209.142.163.6", 2217),
    ("153.39.163.191", 44251, "202.188.127.2", 1303),
    ("3ffe:2501:200:1fff::7", 2794, "3ffe:2501:200:3::1", 1766),
    ("3ffe:501:8::260:97ff:fe40:efab", 14230, "ff02::1", 4739),
    ("3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251, "fe80::200:f8ff:fe21:67cf", 38024),
)
"""Source address and port, destination address and port."""

HOME, CARE_OF = ip_address("2001:db8:3::a").packed, ip_address("2001:db8:4::b").packed

ICMP = {4: 1, 6: 58}
NO_IP = MACS + b"\x08\x06" + bytes(28)

_NAMES = {TCP: "TCP", UDP: "UDP"}
_SUPPORTED_AT = 20  # offset of supported_hash_types in virtio_net_config
_ROUTING, _DESTINATION_OPTIONS, _HOP_BY_HOP = 43, 60, 0


def toeplitz(key: bytes, data: bytes) -> int:
    """For each bit of ``data`` that is set, the 32 bits of ``key`` from the same place on are added, modulo 2."""
    bits, value = int.from_bytes(key, "big"), 0
    for place in range(8 * len(data)):
        if data[place // 8] >> 7 - place % 8 & 1:
            value ^= bits >> 8 * len(key) - 32 - place & 0xFFFFFFFF
    return value


@dataclass(frozen=True, slots=True)
class Packet:
    """``frame``, and of it what a hash can be over: the addresses that count, and the ports (empty: it has none)."""

    what: str
    frame: bytes
    version: int
    protocol: int
    addresses: bytes
    ports: bytes


def packets(protocol: int, version: int) -> Iterator[Packet]:
    """Packets without extension headers between the published ends."""
    for source, sport, destination, dport in ENDS:
        addresses = ip_address(source).packed + ip_address(destination).packed
        if ip_address(source).version == version:
            yield _packet(f"from {source} port {sport}", addresses, protocol, sport, dport)


def _packet(what: str, addresses: bytes, protocol: int, sport: int, dport: int) -> Packet:
    half = len(addresses) // 2
    version, ip = (4, ipv4) if half == 4 else (6, ipv6)
    payload = _transport(protocol, sport, dport, addresses)
    packet = ip(payload, protocol, src=addresses[:half], dst=addresses[half:])
    ports = payload[:4] if protocol in (TCP, UDP) else b""
    return Packet(f"{_NAMES.get(protocol, 'ICMP')} {what}", ethernet(packet), version, protocol, addresses, ports)


def _transport(protocol: int, sport: int, dport: int, addresses: bytes) -> bytes:
    if protocol == TCP:
        return tcp(b"hashed", sport, dport, addresses=addresses)
    if protocol == UDP:
        return udp(b"hashed", sport, dport, addresses=addresses)
    return bytes((8 if len(addresses) == 8 else 128, 0)) + bytes(6)  # an echo request; nobody looks at its checksum


def extended(protocol: int) -> Iterator[tuple[Packet, bytes]]:
    """IPv6 packets with extension headers; beside each the addresses that the _EX types take, which may be others."""
    home = bytes((protocol, 2, 1, 2, 0, 0, 0xC9, 16)) + HOME  # PadN, then the home address option (RFC 6275, 6.3)
    routing = bytes((protocol, 2, 2, 1)) + bytes(4) + CARE_OF  # type 2 (RFC 6275, 6.4)
    hop = bytes((protocol, 0, 1, 4, 0, 0, 0, 0))
    for source, sport, destination, dport in ENDS[5:]:
        src, dst = ip_address(source).packed, ip_address(destination).packed
        payload = _transport(protocol, sport, dport, src + dst)
        kinds = (
            ("with a home address", _DESTINATION_OPTIONS, home, HOME + dst),
            ("with a routing header of type 2", _ROUTING, routing, src + CARE_OF),
            ("with both", _ROUTING, bytes((_DESTINATION_OPTIONS,)) + routing[1:] + home, HOME + CARE_OF),
            ("with hop-by-hop options", _HOP_BY_HOP, hop, src + dst),
        )
        ports = payload[:4] if protocol in (TCP, UDP) else b""
        for what, first, headers, counted in kinds:
            frame = ethernet(ipv6(headers + payload, first, src=src, dst=dst))
            name = f"{_NAMES.get(protocol, 'ICMP')} from {source} port {sport} {what}"
            yield Packet(name, frame, 6, protocol, src + dst, ports), counted


# -- what a device is told, and reports --------------------------------------------------------------------------


def start(rig: Rig, *types: HashType) -> None:
    """Bring the device up with VIRTIO_NET_F_HASH_REPORT, and with RSS where it is offered; it supports ``types``."""
    controls.start(rig, Feature.HASH_REPORT, also=(Feature.RSS,))
    supported = supported_types(rig)
    for each in types:
        if not supported & each:
            raise NotApplicable(f"VIRTIO_NET_HASH_TYPE_{each.name} is not supported")


def supported_types(rig: Rig) -> int:
    """supported_hash_types, of those that the specification describes."""
    return int.from_bytes(rig.port.read_config(_SUPPORTED_AT, 4), "little") & sum(HashType)


def enable(rig: Rig, types: int, key: bytes = KEY) -> None:
    """Enable these hash types: with RSS_CONFIG where RSS is offered, else with HASH_CONFIG (5.1.9.4.3)."""
    if rig.offers(Feature.RSS):
        rss_config(rig, types, key)
    else:
        hash_config(rig, types, key)


def rss_config(rig: Rig, types: int, key: bytes = KEY) -> None:
    """VIRTIO_NET_CTRL_MQ_RSS_CONFIG with a table of receiveq1 alone, which has to succeed."""
    data = build(RssConfig, hash_types=types, indirection_table=[0], max_tx_vq=1, hash_key_data=key)
    controls.accepted(rig, "VIRTIO_NET_CTRL_MQ_RSS_CONFIG", CtrlClass.MQ, CtrlMq.RSS_CONFIG, data)


def hash_config(rig: Rig, types: int, key: bytes = KEY) -> None:
    """VIRTIO_NET_CTRL_MQ_HASH_CONFIG, which has to succeed."""
    data = build(HashConfig, hash_types=types, hash_key_data=key)
    controls.accepted(rig, "VIRTIO_NET_CTRL_MQ_HASH_CONFIG", CtrlClass.MQ, CtrlMq.HASH_CONFIG, data)


def expect_hash(rig: Rig, packet: Packet, when: str, data: bytes, key: bytes = KEY) -> None:
    """The packet arrives with the hash over ``data``, whatever type it says it is of."""
    got = rig.delivered(packet.frame).hdr
    what = f"{packet.what}, {when}"
    rig.expect(got.hash_report != HashReport.NONE, f"hash_report of {what}", "a hash", "VIRTIO_NET_HASH_REPORT_NONE")
    rig.equal(f"hash_value of {what}", f"{toeplitz(key, data):#010x}", f"{got.hash_value:#010x}")


def expect_none(rig: Rig, what: str, frame: bytes) -> None:
    """The packet arrives without a hash."""
    rig.equal(f"hash_report of {what}", int(HashReport.NONE), rig.delivered(frame).hdr.hash_report)
