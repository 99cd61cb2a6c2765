"""Captures and SAs for the tests of this folder, and a reader of pcapng that is not the package's."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, NamedTuple

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6

from virtionet_ipsec.driver.in_process import connect
from virtionet_ipsec.ipsec import Direction, Mode, Protocol, SaParams, Tunnel
from virtionet_ipsec.replay.session import Options, Session
from virtionet_ipsec.safile import SaEntry, Select

ROOT = Path(__file__).parents[2]
PCAPS = ROOT / "pcaps"

KEY, SALT = bytes(range(0x61, 0x71)), b"salt"
TUNNELS = {
    4: Tunnel(bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))),
    6: Tunnel(bytes.fromhex("20010db8" + "00" * 11 + "01"), bytes.fromhex("20010db8" + "00" * 11 + "02")),
}
ETHERNET = bytes.fromhex("020000000001020000000002")


def sa(direction: str, number: int = 1, select: Select | None = None, **fields: Any) -> SaEntry:
    """AES-GCM in an ESP tunnel, with SPI 0x1000 + number unless ``fields`` say otherwise."""
    way = Direction(direction)
    values: dict[str, Any] = {
        "protocol": Protocol.ESP,
        "mode": Mode.TUNNEL,
        "spi": 0x1000 + number,
        "aead": "aes-gcm",
        "cipher_key": KEY,
        "salt": SALT,
        "tunnel": TUNNELS[4] if way is Direction.OUTBOUND else None,
        "replay_window": 64 if way is Direction.INBOUND else 0,
    }
    return SaEntry(number, SaParams(direction=way, **(values | fields)), select, f"test.toml:{number}")


def session(*entries: SaEntry, **options: Any) -> Session:
    return Session(entries, Options(**options))


def packet(version: int = 4, payload: bytes = b"hello", dst: str | None = None, **ports: int) -> bytes:
    """A UDP datagram to port 53 in an IP packet; ``tcp=True`` for TCP."""
    layer = TCP if ports.pop("tcp", False) else UDP
    ports = {"sport": 5000, "dport": 53} | ports
    header = (
        IP(src="198.51.100.1", dst=dst or "203.0.113.1")
        if version == 4
        else IPv6(src="2001:db8:1::1", dst=dst or "2001:db8:2::1")
    )
    return bytes(header / layer(**ports) / payload)


def framed(octets: bytes, tags: bytes = b"") -> bytes:
    return ETHERNET + tags + {4: b"\x08\x00", 6: b"\x86\xdd"}[octets[0] >> 4] + octets


def protected(*packets: bytes, **fields: Any) -> list[bytes]:
    """``packets`` as IP packets on the wire, through SA 1 of :func:`sa`."""
    driver = connect(mtu=65535)
    number = driver.create_sa(sa("outbound", 1, **fields).params)
    return [driver.send(framed(each), number)[0][14:] for each in packets]


# -- capture files --------------------------------------------------------------------------------------------------


def pcap(packets: list[bytes], linktype: int = 1, *, nanoseconds: bool = False, start: int = 1_700_000_000) -> bytes:
    """A pcap file; packet n is n seconds and n fractions later than the first."""
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    out = struct.pack("<IHHIIII", magic, 2, 4, 0, 0, 262144, linktype)
    for number, data in enumerate(packets):
        out += struct.pack("<IIII", start + number, number, len(data), len(data)) + data
    return out


class Written(NamedTuple):
    """A packet of a pcapng file."""

    linktype: int
    time_ns: int
    data: bytes
    comment: str
    direction: int  # bits 0 and 1 of the flags option
    orig_len: int


def read_pcapng(data: bytes) -> list[Written]:
    """The packets of a little-endian pcapng file, whose every block has to be whole and aligned."""
    packets: list[Written] = []
    interfaces: list[int] = []
    at = 0
    while at < len(data):
        kind, total = struct.unpack_from("<II", data, at)
        assert total % 4 == 0 and struct.unpack_from("<I", data, at + total - 4) == (total,)
        body = data[at + 8 : at + total - 4]
        at += total
        if kind == 0x0A0D0D0A:
            assert body[:4] == struct.pack("<I", 0x1A2B3C4D)
        elif kind == 1:
            interfaces.append(struct.unpack_from("<H", body)[0])
            assert dict(options(body[8:]))[9] == b"\x09"  # nanoseconds
        else:
            assert kind == 6
            number, high, low, captured, orig_len = struct.unpack_from("<5I", body)
            found = dict(options(body[20 + captured + -captured % 4 :]))
            (flags,) = struct.unpack("<I", found[2])
            payload = body[20 : 20 + captured]
            packets.append(
                Written(interfaces[number], high << 32 | low, payload, found[1].decode(), flags & 3, orig_len)
            )
    return packets


def options(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    at = 0
    while at < len(data):
        code, length = struct.unpack_from("<HH", data, at)
        if code == 0:
            break
        found.append((code, data[at + 4 : at + 4 + length]))
        at += 4 + length + -length % 4
    return found
