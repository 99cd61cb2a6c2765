"""Frames whose TCP or UDP checksum is left to the device (virtio 1.4, 5.1.9.2, NEEDS_CSUM)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ...wire.enums import HdrFlag
from . import frames

_V4, _V6 = frames.SRC4 + frames.DST4, frames.SRC6 + frames.DST6
_LENGTHS = (0, 1, 2, 31, 32, 101)
_ROUTER_ALERT = bytes.fromhex("94040000")
_TAG = b"\x81\x00\x00\x05"


class Partial(NamedTuple):
    """A frame as the driver gives it, the fields of its header, and as it is with its checksum."""

    what: str
    frame: bytes
    fields: dict[str, int]
    whole: bytes
    at: int

    @property
    def tagged(self) -> Partial:
        """The same behind a VLAN tag."""
        frame, whole = (each[:12] + _TAG + each[12:] for each in (self.frame, self.whole))
        fields = self.fields | {"csum_start": self.fields["csum_start"] + len(_TAG)}
        return Partial(f"{self.what} behind a VLAN tag", frame, fields, whole, self.at + len(_TAG))


def _summing_to_zero(payload: bytes, addresses: bytes) -> bytes:
    """``payload``, its last octets such that the UDP checksum over it comes to 0."""
    datagram = frames.udp(payload + b"\0\0", addresses=addresses)
    return payload + datagram[6:8]


def _partial(what: str, packet: bytes, transport: bytes, protocol: int, addresses: bytes) -> Partial:
    """``packet`` ends with ``transport``, whose checksum is right."""
    offset = 6 if protocol == frames.UDP else 16
    start = 14 + len(packet) - len(transport)
    whole, at = frames.ethernet(packet), start + offset
    total = frames.pseudo_header_sum(addresses, protocol, len(transport)).to_bytes(2, "big")
    fields = {"flags": int(HdrFlag.NEEDS_CSUM), "csum_start": start, "csum_offset": offset}
    return Partial(what, whole[:at] + total + whole[at + 2 :], fields, whole, at)


def partials() -> Iterator[Partial]:
    """UDP and TCP over IPv4, with options too, and IPv6: even and odd lengths; UDP whose sum comes to 0."""
    for version, addresses in ((4, _V4), (6, _V6)):
        payloads = [bytes(range(100, 100 + length)) for length in _LENGTHS]
        zero = _summing_to_zero(b"\x12\x34" * 9, addresses)
        for payload in (*payloads, zero):
            udp, tcp = frames.udp(payload, addresses=addresses), frames.tcp(payload, addresses=addresses)
            for name, transport, protocol in (("UDP", udp, frames.UDP), ("TCP", tcp, frames.TCP)):
                packet = frames.ipv4(transport, protocol) if version == 4 else frames.ipv6(transport, protocol)
                sum_zero = ", whose sum is 0" if payload is zero and protocol == frames.UDP else ""
                what = f"{name} over IPv{version} with {len(payload)} octets{sum_zero}"
                yield _partial(what, packet, transport, protocol, addresses)
    udp = frames.udp()
    yield _partial("UDP behind IPv4 options", frames.ipv4(udp, options=_ROUTER_ALERT), udp, frames.UDP, _V4)
