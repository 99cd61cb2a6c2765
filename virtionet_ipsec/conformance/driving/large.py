"""Packets for the device to cut into segments, and what each segment has to be, wherever a device cuts.

``gso_size`` is the most that a segment carries (virtio 1.4, 5.1.9.2): less is a
device's to choose, and so are IPv4's identification and TCP's PSH.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ...wire.enums import Feature, GsoType, HdrFlag
from ..verdict import NotApplicable
from . import frames
from .rig import Rig

SEGMENTATION = (Feature.HOST_TSO4, Feature.HOST_TSO6, Feature.HOST_USO, Feature.HOST_ECN)
"""What the checks of segmentation negotiate, where it is offered."""

SIZE = 400
"""gso_size where a packet says nothing else: with all headers and a tunnel short of any usual mtu."""

FIN, PSH, ACK, ECE, CWR = 0x01, 0x08, 0x10, 0x40, 0x80

_ADDRESSES = {4: frames.SRC4 + frames.DST4, 6: frames.SRC6 + frames.DST6}
_CHECKSUM_AT = {frames.TCP: 16, frames.UDP: 6}
_ROUTER_ALERT = bytes.fromhex("94040000")
_TIMESTAMP = bytes.fromhex("0101080a0000000100000002")
_TAG = b"\x81\x00\x00\x05"
_SEQ = 0xFFFFFF00  # passes zero on the way
_IDENTIFICATION = 0xFFFF


class Large(NamedTuple):
    """A TCP or UDP packet of several segments; ``data`` is its payload, ``extra`` IPv4 options or extension headers."""

    what: str
    feature: Feature
    gso_type: int
    version: int
    protocol: int
    data: bytes
    size: int = SIZE
    tag: bytes = b""
    extra: bytes = b""
    tcp_options: bytes = b""
    flags: int = ACK | PSH

    @property
    def transport_at(self) -> int:
        """Where the transport header begins in the frame."""
        return 14 + len(self.tag) + {4: 20, 6: 40}[self.version] + len(self.extra)

    @property
    def data_at(self) -> int:
        """Where the payload begins in the frame."""
        return self.transport_at + (8 if self.protocol == frames.UDP else 20 + len(self.tcp_options))

    @property
    def frame(self) -> bytes:
        """The frame as a driver hands it over: the checksum field has the pseudo header's sum."""
        whole, at = self._frame(self.data, 0, self.flags, _IDENTIFICATION), self.transport_at
        total = frames.pseudo_header_sum(_ADDRESSES[self.version], self.protocol, len(whole) - at)
        at += _CHECKSUM_AT[self.protocol]
        return whole[:at] + total.to_bytes(2, "big") + whole[at + 2 :]

    @property
    def fields(self) -> dict[str, int]:
        return {
            "flags": int(HdrFlag.NEEDS_CSUM),
            "gso_type": self.gso_type,
            "gso_size": self.size,
            "hdr_len": self.data_at,
            "csum_start": self.transport_at,
            "csum_offset": _CHECKSUM_AT[self.protocol],
        }

    def piece(self, at: int, length: int, like: bytes) -> bytes:
        """The segment with ``length`` octets of payload from ``at`` on; ``like`` is one whose free choices it takes."""
        flags = self.flags & ~PSH | self._flags_of(like) & PSH
        if at:
            flags &= ~CWR
        if at + length < len(self.data):
            flags &= ~FIN
        start = 14 + len(self.tag)
        identification = int.from_bytes(like[start + 4 : start + 6], "big") if self.version == 4 else 0
        return self._frame(self.data[at : at + length], at, flags, identification)

    def _flags_of(self, frame: bytes) -> int:
        at = self.transport_at + 13
        return frame[at] if self.protocol == frames.TCP and at < len(frame) else 0

    def _frame(self, data: bytes, at: int, flags: int, identification: int) -> bytes:
        addresses = _ADDRESSES[self.version]
        if self.protocol == frames.TCP:
            seq = (_SEQ + at) & 0xFFFFFFFF
            payload = frames.tcp(data, addresses=addresses, seq=seq, flags=flags, options=self.tcp_options)
        else:
            payload = frames.udp(data, addresses=addresses)
        if self.version == 4:
            packet = frames.ipv4(
                payload, self.protocol, tos=2, df=True, identification=identification, options=self.extra
            )
        else:
            first = frames.DESTINATION_OPTIONS if self.extra else self.protocol
            packet = frames.ipv6(self.extra + payload, first, flow_label=0x12345)
        whole = frames.ethernet(packet)
        return whole[:12] + self.tag + whole[12:]


def _octets(length: int) -> bytes:
    return bytes(number * 7 % 251 for number in range(length))


def _plain() -> Iterator[Large]:
    """One packet of each kind: two whole segments and a part of one."""
    data = _octets(1000)
    yield Large("TCP over IPv4", Feature.HOST_TSO4, GsoType.TCPV4, 4, frames.TCP, data)
    yield Large("TCP over IPv6", Feature.HOST_TSO6, GsoType.TCPV6, 6, frames.TCP, data)
    yield Large("UDP over IPv4", Feature.HOST_USO, GsoType.UDP_L4, 4, frames.UDP, data)
    yield Large("UDP over IPv6", Feature.HOST_USO, GsoType.UDP_L4, 6, frames.UDP, data)


def every() -> Iterator[Large]:
    """Packets of each kind: plain, with gso_size odd, of one segment, tagged, with options; TCP with its flags."""
    for plain in _plain():
        what = plain.what
        yield plain
        yield plain._replace(what=f"{what}, of whole segments", data=_octets(3 * SIZE))
        yield plain._replace(what=f"{what}, gso_size 333", size=333)
        yield plain._replace(what=f"{what}, of one segment", data=_octets(SIZE))
        yield plain._replace(what=f"{what} behind a VLAN tag", tag=_TAG)
        padding = bytes((plain.protocol, 0, 1, 4, 0, 0, 0, 0))
        yield plain._replace(what=f"{what} behind IP options", extra=_ROUTER_ALERT if plain.version == 4 else padding)
        if plain.protocol == frames.TCP:
            yield plain._replace(what=f"{what} with TCP options", tcp_options=_TIMESTAMP)
            yield plain._replace(what=f"{what} with FIN", flags=ACK | PSH | FIN)
            yield with_cwr(plain)


def with_cwr(packet: Large) -> Large:
    """The TCP packet with CWR and ECE, and the bit that says so: it needs VIRTIO_NET_F_HOST_ECN."""
    gso_type = packet.gso_type | GsoType.ECN
    return packet._replace(what=f"{packet.what} with CWR", gso_type=gso_type, flags=ACK | PSH | ECE | CWR)


def one_of_each(rig: Rig) -> list[Large]:
    """A packet of each kind that the device, which is up, can cut; there has to be one."""
    return can_cut(rig, list(_plain()))


def can_cut(rig: Rig, packets: list[Large]) -> list[Large]:
    """Those of ``packets`` whose features are negotiated; :class:`NotApplicable` when there are none."""
    negotiated = rig.driver.negotiated
    found = [each for each in packets if negotiated >> each.feature & 1]
    if not negotiated >> Feature.HOST_ECN & 1:
        found = [each for each in found if not each.gso_type & GsoType.ECN]
    if not found:
        raise NotApplicable("none of VIRTIO_NET_F_HOST_TSO4, HOST_TSO6 and HOST_USO is offered")
    return found


def sent(rig: Rig, packet: Large, resource_id: int | None = None) -> tuple[bytes, ...]:
    """The frames that the device puts on the wire for ``packet``, protected by an SA where one is given."""
    fields = packet.fields
    if resource_id is not None:
        fields |= {"flags": fields["flags"] | rig.layout.security, "resource_id": resource_id}
    return rig.transmit(rig.header(**fields) + packet.frame)


def expect_segments(rig: Rig, packet: Large, left: tuple[bytes, ...]) -> None:
    """Fail the check unless ``left`` is ``packet`` cut into segments: all of it, in order, each segment right."""
    at = 0
    for number, frame in enumerate(left, 1):
        what = f"segment {number} of {packet.what}"
        length = len(frame) - packet.data_at
        right = 0 < length <= packet.size
        rig.expect(right, f"{what}: octets of payload", f"1 to {packet.size}, gso_size", str(length))
        rig.equal(what, packet.piece(at, length, frame), frame)
        at += length
    rig.equal(f"octets of payload in all segments of {packet.what}", len(packet.data), at)
