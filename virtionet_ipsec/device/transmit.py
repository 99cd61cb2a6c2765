"""Packet transmission (virtio 1.4, 5.1.9.2) with outbound IPsec (5.1.9.7).

    driver buffer = header + frame -> header checks -> checksum -> SA by resource_id -> ESP or AH -> wire

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
from .packet_events import ChecksumFilled, Dropped, HeaderRead, SaSelected, Sent

_LE16_PAIR = struct.Struct("<HH").unpack_from
_LE32 = struct.Struct("<I").unpack_from
_BE16 = struct.Struct("!H").pack

_CSUM_START = 6  # offset in virtio_net_hdr; csum_offset follows


class Transmitter:
    """``outbound`` maps resource_id to SA; ``mtu`` is the most octets of an IP packet on the wire."""

    __slots__ = (
        "_counters",
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
        self._outbound = outbound
        self._plain_most = mtu + 14
        self._counters = counters
        self.observer: Observer | None = None
        self.refused: Refused | None = None  # why the last packet was not processed or not passed on

    def transmit(self, buffer: bytes, queue: int = 0) -> tuple[bytes, ...]:
        """The frames that ``buffer`` (virtio_net_hdr and Ethernet frame) puts on the wire.

        Empty when the packet is dropped (D14); the reason is counted, and told to the observer.
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
                raise Refused(Reason.GSO_NOT_NEGOTIATED, f"gso_type {buffer[1]:#x}, and the model has no segmentation")
            if flags & self._must_refuse:
                raise Refused(Reason.BAD_HEADER, "UDP_TUNNEL_CSUM without a tunnel gso_type")
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
            self.refused = refused
            self._counters.tx_dropped[refused.reason] += 1
            if observe is not None:
                observe(Dropped(refused.reason, refused.detail))
            return ()
        self._counters.tx_sent += 1
        if observe is not None:
            observe(Sent(len(frame), bool(flags & self._security)))
        return (frame,)

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
