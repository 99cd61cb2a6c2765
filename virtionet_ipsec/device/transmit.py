"""Packet transmission (virtio 1.4, 5.1.9.2) with outbound IPsec (5.1.9.7).

    driver buffer = header + frame -> header checks -> checksum or segments -> SA by resource_id -> ESP or AH -> wire

A :class:`Transmitter` lives from DRIVER_OK to reset; what the negotiated
features decide is worked out when it is made.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from ..ipsec import Observer, OutboundSa, Reason, Refused
from ..ipsec.ip import checksum
from ..wire.enums import Feature, HdrFlag, ResourceType
from ..wire.net_hdr import HdrLayout
from ..wire.profile import Profile
from .counters import Counters
from .ethernet import ETHERTYPE, MAX_HEADER, ip_offset, payload_offset
from .packet_events import ChecksumFilled, Dropped, HeaderRead, SaSelected, Segmented, Sent
from .segment import Segments, gso_kinds

_LE16_PAIR = struct.Struct("<HH").unpack_from
_LE32 = struct.Struct("<I").unpack_from
_BE16 = struct.Struct("!H").pack

_LE16_TRIPLE = struct.Struct("<HHH").unpack_from

_TUNNEL_CSUM_ALONE = "UDP_TUNNEL_CSUM without a tunnel gso_type"
_GSO_SIZE = 4  # offset in virtio_net_hdr; csum_start and csum_offset follow
_CSUM_START = 6


class Transmitter:
    """``outbound`` maps resource_id to SA; ``mtu`` is the most octets of an IP packet on the wire."""

    __slots__ = (
        "_counters",
        "_gso",
        "_must_refuse",
        "_needs_csum",
        "_outbound",
        "_plain_most",
        "_resource_offset",
        "_security",
        "_size",
        "observer",
        "refused",
    )

    # How packets are cut; a variant of the device has another way.
    _segments_class: type[Segments] = Segments

    def __init__(
        self, layout: HdrLayout, negotiated: int, outbound: Mapping[int, OutboundSa], mtu: int, counters: Counters
    ) -> None:
        self._size = layout.size
        self._resource_offset = layout.resource_offset or 0
        self._security = layout.security if layout.resource_offset is not None else 0
        # Plain ints: an IntFlag makes each & several times as slow.
        self._needs_csum = int(HdrFlag.NEEDS_CSUM) if negotiated >> Feature.CSUM & 1 else 0
        # UDP_TUNNEL_CSUM without a tunnel gso_type: "MUST NOT accept" (no tunnel feature is offered).
        self._must_refuse = int(HdrFlag.UDP_TUNNEL_CSUM) if layout.profile is Profile.VIRTIO_1_4 else 0
        self._gso = gso_kinds(negotiated)
        self._outbound = outbound
        self._plain_most = mtu + 14
        self._counters = counters
        self.observer: Observer | None = None
        self.refused: Refused | None = None  # why the last packet was not processed or not passed on

    def transmit(self, buffer: bytes, queue: int = 0) -> tuple[bytes, ...]:
        """The frames that ``buffer`` (virtio_net_hdr and Ethernet frame) puts on the wire.

        Empty when the packet is dropped (D14), several when it is segmented.  The
        reason of a drop is counted, and told to the observer.
        """
        observe = self.observer
        self.refused = None
        try:
            size = self._size
            if len(buffer) < size + 14:
                raise Refused(
                    Reason.BAD_HEADER, f"{len(buffer)} octets hold no header of {size} and an Ethernet header"
                )
            if observe is not None:
                observe(HeaderRead(queue, buffer[:size]))
            flags = buffer[0]
            if buffer[1]:
                return self._sent(self._segmented(buffer), flags)
            if flags & self._must_refuse:
                raise Refused(Reason.BAD_HEADER, _TUNNEL_CSUM_ALONE)
            if flags & self._needs_csum:
                buffer = self._with_checksum(buffer)
            if flags & self._security:
                frame = self._protected(buffer)
            else:
                frame = buffer[size:]
                if len(frame) > self._plain_most and len(frame) > self._plain_most - 14 + payload_offset(frame):
                    raise Refused(
                        Reason.TOO_BIG, f"a frame of {len(frame)} octets, and the MTU is {self._plain_most - 14}"
                    )
        except Refused as refused:
            self.refused = refused.with_traceback(None)  # whose frames would keep the driver's memory mapped
            self._counters.tx_dropped[refused.reason] += 1
            if observe is not None:
                observe(Dropped(refused.reason, refused.detail))
            return ()
        self._counters.tx_sent += 1
        if observe is not None:
            observe(Sent(len(frame), bool(flags & self._security)))
        return (frame,)

    def _sent(self, frames: tuple[bytes, ...], flags: int) -> tuple[bytes, ...]:
        """Count and tell the segments of a packet: each is a packet of its own."""
        self._counters.tx_sent += len(frames)
        if self.observer is not None:
            for frame in frames:
                self.observer(Sent(len(frame), bool(flags & self._security)))
        return frames

    def _segmented(self, buffer: bytes) -> tuple[bytes, ...]:
        """The frames of a packet that is to be segmented.  Either all leave, or :class:`Refused` is raised (D134)."""
        kind = self._gso.get(buffer[1])
        if kind is None:
            raise Refused(Reason.GSO_NOT_NEGOTIATED, f"gso_type {buffer[1]:#x} without its feature")
        if buffer[0] & self._must_refuse:
            raise Refused(Reason.BAD_HEADER, _TUNNEL_CSUM_ALONE)
        if not buffer[0] & self._needs_csum:
            raise Refused(Reason.BAD_HEADER, f"gso_type {buffer[1]:#x} without NEEDS_CSUM")
        size = self._size
        offset = ip_offset(buffer[size : size + MAX_HEADER])
        if not offset:
            raise Refused(Reason.NOT_IP, "gso_type is set, and the frame holds no IP packet")
        gso_size, csum_start, csum_offset = _LE16_TRIPLE(buffer, _GSO_SIZE)
        segments = self._segments_class(buffer[size + offset :], kind, gso_size)
        if buffer[size + offset - 2 : size + offset] != ETHERTYPE[buffer[size + offset] >> 4]:
            raise Refused(Reason.MALFORMED, "the EtherType is that of the other IP version")
        right = offset + segments.transport, segments.checksum_at
        if (csum_start, csum_offset) != right:
            said = f"csum_start {csum_start} + csum_offset {csum_offset}"
            raise Refused(Reason.BAD_CSUM, f"{said}, and the checksum is at {right[0]} + {right[1]}")
        if self.observer is not None:
            self.observer(Segmented(segments.count, gso_size))
        if not buffer[0] & self._security:
            if segments.largest > self._plain_most - 14:
                most = self._plain_most - 14
                raise Refused(Reason.TOO_BIG, f"segments of {segments.largest} octets, and the MTU is {most}")
            return tuple(segments.cut(buffer[size : size + offset]))
        # Only the SA's limits can end between two segments: the first is the largest.
        sa = self._outbound.get(_LE32(buffer, self._resource_offset)[0])
        if sa is not None:
            sa.check_room(segments.count, segments.octets)
        return tuple(map(self._protected, segments.cut(buffer[: size + offset])))

    def _protected(self, buffer: bytes) -> bytes:
        """The frame after IPsec outbound processing; the SA is the one of ``resource_id``."""
        (resource_id,) = _LE32(buffer, self._resource_offset)
        sa = self._outbound.get(resource_id)
        if sa is None:
            raise Refused(Reason.UNKNOWN_SA, f"no outbound SA has resource_id {resource_id}")
        observe, size = self.observer, self._size
        if observe is not None:
            observe(SaSelected(ResourceType.IPSEC_OUTB_SA, resource_id, sa.params.spi))
        offset = ip_offset(buffer[size : size + MAX_HEADER])
        if not offset:
            raise Refused(Reason.NOT_IP, "SECURITY is set, and the frame holds no IP packet")
        packet = sa.protect(buffer[size + offset :], observe)
        # A tunnel of the other family changes the EtherType.
        return buffer[size : size + offset - 2] + ETHERTYPE[packet[0] >> 4] + packet

    def _with_checksum(self, buffer: bytes) -> bytes:
        """NEEDS_CSUM: the ones' complement sum from csum_start to the end, put at csum_offset (5.1.9.2)."""
        start, offset = _LE16_PAIR(buffer, _CSUM_START)
        size = self._size
        at = size + start + offset
        if at + 2 > len(buffer):
            length = len(buffer) - size
            raise Refused(Reason.BAD_CSUM, f"csum_start {start} + csum_offset {offset} in a frame of {length} octets")
        # The field holds the pseudo header's sum, which the sum thereby includes.  Zero goes out as its other form:
        # in UDP it would say that there is no checksum (RFC 768), and in TCP the two are the same.
        value = checksum(buffer[size + start :]) or 0xFFFF
        if self.observer is not None:
            self.observer(ChecksumFilled(start, offset, value))
        return buffer[:at] + _BE16(value) + buffer[at + 2 :]
