"""Packets that are to be segmented and what has to come of them, both built by scapy."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from typing import Any

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet, Raw

from virtionet_ipsec.device.negotiation import default_features
from virtionet_ipsec.driver.driver import UNDERSTOOD
from virtionet_ipsec.driver.in_process import InProcess
from virtionet_ipsec.wire import Feature, GsoType, HdrFlag, Profile
from virtionet_ipsec.wire.net_hdr import NetHdr

from .rig import framed, ip, mask

SEGMENTATION = mask(Feature.HOST_TSO4, Feature.HOST_TSO6, Feature.HOST_USO, Feature.HOST_ECN)
GSO = {(4, 6): GsoType.TCPV4, (6, 6): GsoType.TCPV6, (4, 17): GsoType.UDP_L4, (6, 17): GsoType.UDP_L4}
KINDS = tuple(GSO)
KIND_IDS = tuple(f"{'TCP' if protocol == 6 else 'UDP'}/IPv{version}" for version, protocol in KINDS)
CSUM_OFFSET = {6: 16, 17: 6}
SEQ = 0xFFFFFF00


def segmenting(profile: Profile = Profile.VIRTIO_1_4, *, without: int = 0, **device: Any) -> InProcess:
    """A driver that asked for segmentation, on a device of its own, in DRIVER_OK."""
    wanted = (mask(*UNDERSTOOD) | SEGMENTATION) & default_features(profile) & ~without
    return InProcess(profile, features=wanted, **device).start()


@dataclass(frozen=True)
class Large:
    """An Ethernet frame that is to be segmented: what scapy says of it, its tags, and the fields of its header."""

    packet: Packet
    tags: int
    fields: dict[str, int]

    @property
    def transport(self) -> Packet:
        return self.packet.getlayer(TCP) or self.packet.getlayer(UDP)

    @property
    def payload(self) -> bytes:
        return bytes(self.transport.payload)

    @property
    def frame(self) -> bytes:
        """The checksum field has what no right checksum and no pseudo header has: the device does not use it."""
        octets, at = framed(self.packet, self.tags), self.fields["csum_start"] + self.fields["csum_offset"]
        return octets[:at] + b"\xde\xad" + octets[at + 2 :]

    def buffer(self, driver: InProcess, sa: int | None = None, **changes: int) -> bytes:
        """As a transmit buffer; ``changes`` are fields of the header."""
        fields = {"flags": int(HdrFlag.NEEDS_CSUM)} | self.fields | changes
        if sa is not None:
            fields["flags"] |= driver.layout.security
            fields["resource_id"] = sa
        return driver.layout.build(NetHdr(**fields)) + self.frame

    def segments(self, size: int) -> list[bytes]:
        """The frames that have to leave, each of them built from nothing but fields."""
        payload = self.payload
        starts = range(0, len(payload) or 1, size)
        frames = []
        for number, start in enumerate(starts):
            packet = self.packet.copy()
            transport = packet.getlayer(TCP) or packet.getlayer(UDP)
            transport.remove_payload()
            transport.add_payload(Raw(payload[start : start + size]))
            if IP in packet:
                packet[IP].id = (packet[IP].id + number) & 0xFFFF
            if TCP in packet:
                first, last = number == 0, number == len(starts) - 1
                transport.seq = (transport.seq + start) & 0xFFFFFFFF
                absent = ("" if first else "C") + ("" if last else "FP")
                transport.flags = "".join(flag for flag in str(transport.flags) if flag not in absent)
            frames.append(framed(packet, self.tags))
        return frames


def large(kind: tuple[int, int], length: int, *, tags: int = 0, between: Packet | None = None, **tcp: Any) -> Large:
    """``length`` octets over TCP or UDP; ``between`` are extension headers, ``tcp`` fields of the TCP header."""
    version, protocol = kind
    transport = TCP(**({"sport": 40000, "dport": 443, "seq": SEQ, "flags": "PA"} | tcp)) if protocol == 6 else None
    transport = transport or UDP(sport=40000, dport=443)
    whole = transport / Raw(random.Random(length).randbytes(length))
    packet = ip(version, whole if between is None else between / whole)
    if version == 4:
        packet.id = 0xFFFF
    start = len(framed(packet, tags)) - len(bytes(whole))
    gso_type = GSO[kind] | (GsoType.ECN if "C" in tcp.get("flags", "") else 0)
    fields = {"gso_type": gso_type, "csum_start": start, "csum_offset": CSUM_OFFSET[protocol]}
    return Large(packet, tags, fields)


def verified(packet: bytes) -> bool:
    """Whether lengths and checksums of an IP packet are what scapy computes."""
    parsed = (IP if packet[0] >> 4 == 4 else IPv6)(packet)
    again = parsed.copy()
    for layer, names in ((IP, ("len", "chksum")), (IPv6, ("plen",)), (TCP, ("chksum",)), (UDP, ("len", "chksum"))):
        if layer in again:
            for name in names:
                again[layer].delfieldval(name)
    return bytes(again) == packet


def seq_of(packet: bytes, at: int) -> int:
    """The sequence number of the ESP (``at`` 4) or AH (``at`` 8) packet behind a plain IP header."""
    start = {4: 20, 6: 40}[packet[0] >> 4] + at
    return int(struct.unpack_from("!I", packet, start)[0])
