"""Where the captures are, how to read them without the package, and the manifest."""

from __future__ import annotations

import struct
import tomllib
from pathlib import Path
from typing import Any

PCAPS = Path(__file__).parents[2] / "pcaps"
ETH = 14  # octets of an Ethernet header without tags


def frames_of(path: Path) -> list[bytes]:
    """The frames of a little-endian pcap file."""
    data = path.read_bytes()
    assert data[:4] == b"\xd4\xc3\xb2\xa1", path
    frames = []
    at = 24
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at + 8)
        frames.append(data[at + 16 : at + 16 + length])
        at += 16 + length
    return frames


def link_type_of(path: Path) -> int:
    """What the file itself says: of a pcap file, or of a pcapng file's first interface."""
    data = path.read_bytes()
    if data[:4] == b"\x0a\x0d\x0d\x0a":
        (section,) = struct.unpack_from("<I", data, 4)
        block, _, linktype = struct.unpack_from("<IIH", data, section)
        assert block == 1
        return int(linktype)
    order = ">" if data[:2] == b"\xa1\xb2" else "<"
    return int(struct.unpack_from(order + "I", data, 20)[0])


def manifest() -> dict[str, list[dict[str, Any]]]:
    return tomllib.loads((PCAPS / "manifest.toml").read_text(encoding="utf-8"))


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def with_header_checksum(packet: bytes) -> bytes:
    """The IPv4 ``packet`` with its header checksum computed anew."""
    end = (packet[0] & 0xF) * 4
    value = checksum(packet[:10] + b"\0\0" + packet[12:end])
    return packet[:10] + value.to_bytes(2, "big") + packet[12:]


def forwarded(packet: bytes) -> bytes:
    """``packet`` after one router: TTL or hop limit one lower, the header checksum computed anew."""
    at = 8 if packet[0] >> 4 == 4 else 7
    lower = packet[:at] + bytes((packet[at] - 1,)) + packet[at + 1 :]
    return with_header_checksum(lower) if packet[0] >> 4 == 4 else lower


def addresses(packet: bytes) -> tuple[bytes, bytes]:
    """Source and destination, network order."""
    return (packet[12:16], packet[16:20]) if packet[0] >> 4 == 4 else (packet[8:24], packet[24:40])


def upper_layer(packet: bytes) -> tuple[int, bytes, bool]:
    """Protocol and payload of a packet, and whether it is a fragment; no IPv6 extension header but Fragment."""
    if packet[0] >> 4 == 4:
        return packet[9], packet[(packet[0] & 0xF) * 4 :], bool((packet[6] << 8 | packet[7]) & 0x3FFF)
    if packet[6] == 44:
        return packet[40], packet[48:], True
    return packet[6], packet[40:], False
