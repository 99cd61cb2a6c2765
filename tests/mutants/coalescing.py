"""A device that coalesces TCP, in VXLAN too, and says so as it should: what wrong ones vary, a packet at a time.

The model offers the features when it is told to; this device carries them out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from virtionet_ipsec.conformance.driving import frames
from virtionet_ipsec.conformance.driving.coalesced import COALESCING
from virtionet_ipsec.conformance.driving.traffic import (
    ACK,
    CWR,
    PSH,
    Transport,
    inner_packet_at,
    inside,
    pseudo_header,
    transport_of,
)
from virtionet_ipsec.device import Device, Received
from virtionet_ipsec.device.negotiation import default_features, feature_mask
from virtionet_ipsec.ipsec.ip import with_ipv4_checksum
from virtionet_ipsec.wire.enums import Feature, GsoType, HdrFlag
from virtionet_ipsec.wire.net_hdr import NetHdr
from virtionet_ipsec.wire.profile import Profile

from .wrapping import altering_received

F = Feature
TSO = default_features(Profile.VIRTIO_1_4) | feature_mask(F.GUEST_TSO4, F.GUEST_TSO6)
ECN = TSO | feature_mask(F.GUEST_ECN)
RSC = TSO | feature_mask(F.HOST_TSO4, F.RSC_EXT)
TUNNELS = TSO | feature_mask(F.GUEST_USO4, F.GUEST_USO6, F.GUEST_UDP_TUNNEL_GSO)
TUNNEL_CSUM = TUNNELS | feature_mask(F.GUEST_UDP_TUNNEL_GSO_CSUM)

TUNNEL_BIT = {4: GsoType.UDP_TUNNEL_IPV4, 6: GsoType.UDP_TUNNEL_IPV6}
_GSO = {4: GsoType.TCPV4, 6: GsoType.TCPV6}
_TSO = {4: F.GUEST_TSO4, 6: F.GUEST_TSO6}


def put(frame: bytes, at: int, value: int) -> bytes:
    """``frame`` with the 16 bits at ``at`` so."""
    return frame[:at] + value.to_bytes(2, "big") + frame[at + 2 :]


def _longer(frame: bytes, at: int, more: int) -> bytes:
    """``frame`` with the length field at ``at`` larger."""
    return put(frame, at, int.from_bytes(frame[at : at + 2], "big") + more)


def _longer_ip(frame: bytes, start: int, more: int) -> bytes:
    """``frame`` with the length larger that the IP header at ``start`` gives."""
    if frame[start] >> 4 == 6:
        return _longer(frame, start + 4, more)
    frame = _longer(frame, start + 2, more)
    return frame[:start] + with_ipv4_checksum(frame[start : start + 20]) + frame[start + 20 :]


class Coalescing(Device):
    """Holds the segments of a flow until one has PSH, and hands them up as one packet.

    In a UDP tunnel over IPv4 that packet has no outer checksum; over IPv6 the
    driver completes it where that was negotiated.
    """

    right: ClassVar[type[Device]]

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self._held: dict[bytes, list[bytes]] = {}

    def reset(self) -> None:
        super().reset()
        self._held.clear()

    def receive(self, frame: bytes) -> Received | None:
        tcp = inside(frame) or transport_of(frame)
        if tcp is None or not self._waits(frame, tcp):
            return self._hand_up(frame, hdr_len=self.hdr_len(frame))
        held = self._held.setdefault(self._flow(frame, tcp), [])
        held.append(frame)
        if not frame[tcp.at + 13] & PSH:
            return None
        del self._held[self._flow(frame, tcp)]
        return self._merged(held, tcp)

    def has(self, feature: Feature) -> bool:
        return bool(self.negotiated >> feature & 1)

    def hdr_len(self, frame: bytes) -> int:
        """``hdr_len`` of a packet that is not coalesced."""
        found = transport_of(frame) if any(self.has(feature) for feature in COALESCING) else None
        return found.payload_at if found is not None else 0

    @staticmethod
    def _flow(frame: bytes, tcp: Transport) -> bytes:
        return frame[12:14] + tcp.addresses + frame[tcp.at : tcp.at + 4]

    def _waits(self, frame: bytes, tcp: Transport) -> bool:
        """Whether this is a segment to be held, or to be merged with those that are."""
        if tcp.protocol != frames.TCP or not self.has(_TSO[tcp.version]):
            return False
        flags, first = frame[tcp.at + 13], self._flow(frame, tcp) not in self._held
        alone = first and (flags & PSH or tcp.payload_at == len(frame))
        uncounted = tcp.payload_at == len(frame) and not self.has(F.RSC_EXT)
        tunnel = inside(frame) is not None and not self.has(F.GUEST_UDP_TUNNEL_GSO)
        congestion = flags & CWR and not self.has(F.GUEST_ECN)
        return not (alone or uncounted or tunnel or congestion or flags & ~(ACK | PSH | CWR))

    def _merged(self, held: list[bytes], tcp: Transport) -> Received | None:
        data = [frame for frame in held if len(frame) > tcp.payload_at]
        whole = data[0] + b"".join(frame[tcp.payload_at :] for frame in data[1:])
        more = len(whole) - len(data[0])
        whole = _longer_ip(whole, 14, more)
        flags, gso_type, told = int(HdrFlag.NEEDS_CSUM), _GSO[tcp.version], {"csum_start": tcp.at, "csum_offset": 16}
        outer = transport_of(data[0])
        if outer is not None and outer.protocol == frames.UDP:
            nh = inner_packet_at(outer)
            told |= {"outer_th_offset": outer.at, "inner_nh_offset": nh}
            gso_type |= TUNNEL_BIT[tcp.version]
            whole = _longer_ip(_longer(whole, outer.at + 4, more), nh, more)
            left = self.has(F.GUEST_UDP_TUNNEL_GSO_CSUM) and outer.version == 6
            flags |= HdrFlag.UDP_TUNNEL_CSUM if left else 0
            whole = put(whole, outer.csum_at, pseudo_header(outer._replace(end=len(whole))) if left else 0)
        if whole[tcp.at + 13] & CWR:
            gso_type |= GsoType.ECN
        if self.has(F.RSC_EXT):
            flags |= HdrFlag.RSC_INFO
            told |= {"csum_start": len(data), "csum_offset": len(held) - len(data)}
        whole = put(whole, tcp.csum_at, pseudo_header(tcp._replace(end=len(whole))))
        size = len(data[0]) - tcp.payload_at
        return self._hand_up(whole, flags, gso_type=int(gso_type), gso_size=size, hdr_len=tcp.payload_at, **told)

    def _hand_up(self, frame: bytes, flags: int = 0, **told: int) -> Received | None:
        def alter(_: Any, hdr: NetHdr, body: bytes) -> tuple[NetHdr, bytes]:
            hdr = replace(hdr, flags=hdr.flags | flags, **told)
            return self.altered(hdr, body) if hdr.gso_type else (hdr, body)

        received: Received | None = altering_received(alter)(self, frame)
        return received

    def altered(self, hdr: NetHdr, frame: bytes) -> tuple[NetHdr, bytes]:
        """A coalesced packet as it is handed up: the step for a fault."""
        return hdr, frame


Coalescing.right = Coalescing
