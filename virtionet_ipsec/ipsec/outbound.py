"""Outbound processing: an IP packet in, a protected IP packet out (RFC 4301 5.1, RFC 4303 3.3, RFC 4302 3.3).

What does not change from packet to packet is worked out when the SA is made;
:meth:`OutboundSa.protect` does the rest.
"""

from __future__ import annotations

import functools
import itertools
import os
import struct

from .ah import AhTransform
from .events import Observer, Protected, SoftLifetimeReached
from .ip import (
    PROTO_AH,
    PROTO_ESP,
    PROTO_IPIP,
    PROTO_IPV6,
    PROTO_UDP,
    traffic_class,
    trimmed,
    with_ttl_decremented,
)
from .lifetime import Limits
from .reasons import Reason, Refused
from .sa import Direction, Mode, ParameterError, Protocol, SaParams, SaState
from .transforms import RandBytes, make_transform
from .transport import reheaded, split
from .tunnel import NextId, OuterHeader, udp_checksum, udp_header

_SPI_SEQ = struct.Struct("!II").pack
_NEXT_HEADER = {4: PROTO_IPIP, 6: PROTO_IPV6}  # by version of the inner packet


@functools.cache
def trailers(align: int, next_header: int) -> tuple[bytes, ...]:
    """The ESP trailer for each payload length modulo ``align`` (RFC 4303 2.4 to 2.6).

    The least padding that ends the trailer on a multiple of ``align`` octets;
    its octets are 1, 2, 3, ...
    """
    rows = []
    for rest in range(align):
        pad = -(rest + 2) % align
        rows.append(bytes(range(1, pad + 1)) + bytes((pad, next_header)))
    return tuple(rows)


class OutboundSa:
    """An outbound SA: ``params`` as configured, ``state`` as packets left it.

    ``randbytes(n)`` gives n random octets, for IVs; ``next_id()`` a number
    whose low 16 bits become the IPv4 identification of an outer header;
    ``mtu`` is the most octets a protected packet may have.
    """

    __slots__ = (
        "_ah",
        "_align",
        "_encapsulate",
        "_last_seq",
        "_limits",
        "_mtu",
        "_next_id",
        "_outer",
        "_overhead",
        "_trailers",
        "_transform",
        "params",
        "state",
    )

    def __init__(
        self,
        params: SaParams,
        *,
        randbytes: RandBytes = os.urandom,
        next_id: NextId | None = None,
        mtu: int = 0xFFFF,
    ) -> None:
        if params.direction is not Direction.OUTBOUND:
            raise ParameterError("direction", "this SA is not outbound")
        self.state = SaState(seq=params.first_seq - 1)
        self._next_id = next_id or itertools.count().__next__
        self._mtu = min(mtu, 0xFFFF)
        self._last_seq = (1 << (64 if params.esn else 32)) - 1
        if params.protocol is Protocol.AH:
            self._ah = AhTransform(params, randbytes)
        else:
            self._transform = make_transform(params, randbytes)
            self._align = params.pad_to
            self._trailers = {version: trailers(self._align, nh) for version, nh in _NEXT_HEADER.items()}
            self._overhead = 8 + params.iv_length + params.icv_length + (8 if params.udp else 0)
        self._configure(params)

    def modify(self, params: SaParams) -> None:
        """Take over lifetimes, tunnel and options in place; counters go on (D19).

        What may not change under an SA (:func:`.sa.rekeyed_field`) is the caller's to refuse.
        """
        self._configure(params)

    def _configure(self, params: SaParams) -> None:
        self.params = params
        self._limits = Limits(params.lifetime)
        self.state.soft_expired = self._limits.soft_reached(self.state.packets, self.state.bytes)
        is_ah = params.protocol is Protocol.AH
        if params.mode is Mode.TRANSPORT or params.tunnel is None:
            self._encapsulate = self._ah_transport if is_ah else self._esp_transport
            return
        protocol = PROTO_UDP if params.udp else PROTO_AH if is_ah else PROTO_ESP
        self._outer = OuterHeader(params, params.tunnel, protocol, self._next_id, self._mtu)
        self._encapsulate = self._ah_tunnel if is_ah else self._esp_tunnel

    def check_room(self, packets: int, octets: int) -> None:
        """Raise :class:`Refused` when the SA has no room for all of ``packets``, of ``octets`` together.

        Then nothing but the failure count has changed, as in :meth:`protect`.
        """
        state, limits = self.state, self._limits
        try:
            if state.seq + packets > self._last_seq:
                raise Refused(Reason.SEQUENCE_EXHAUSTED, f"{self._last_seq - state.seq} of {packets} numbers are left")
            if state.packets + packets > limits.packets_hard or state.bytes + octets > limits.bytes_hard:
                sent = f"{state.packets} packets, {state.bytes} bytes sent"
                raise Refused(Reason.HARD_LIFETIME, f"{sent}, and {packets} packets, {octets} bytes to send")
        except Refused as refused:
            state.failures[refused.reason] += 1
            raise

    def protect(self, packet: bytes, observe: Observer | None = None) -> bytes:
        """The protected form of the IP ``packet``, octets from its IP header on.

        What follows the packet's own length is left out.  Raises
        :class:`Refused`; then nothing but the failure count has changed.
        """
        state = self.state
        try:
            packet = trimmed(packet)
            seq = state.seq + 1
            if seq > self._last_seq:
                raise Refused(Reason.SEQUENCE_EXHAUSTED, "the sequence number must not cycle (RFC 4303 3.3.3)")
            packets, octets = state.packets + 1, state.bytes + len(packet)
            limits = self._limits
            if packets > limits.packets_hard or octets > limits.bytes_hard:
                raise Refused(Reason.HARD_LIFETIME, f"{state.packets} packets, {state.bytes} bytes sent")
            protected = self._encapsulate(packet, seq)
        except Refused as refused:
            state.failures[refused.reason] += 1
            raise
        state.seq = seq
        state.packets = packets
        state.bytes = octets
        if packets >= limits.packets_soft or octets >= limits.bytes_soft:
            state.soft_expired = True
            if observe is not None:
                observe(SoftLifetimeReached(packets, octets))
        if observe is not None:
            params = self.params
            observe(Protected(params.protocol.name, params.mode.value, seq, params.algorithm_name, len(protected)))
        return protected

    def _esp_tunnel(self, packet: bytes, seq: int) -> bytes:
        inner_class = traffic_class(packet)
        if self.params.dec_ttl:
            packet = with_ttl_decremented(packet)
        plain = packet + self._trailers[packet[0] >> 4][len(packet) % self._align]
        length = len(plain) + self._overhead
        header = self._outer.build(packet, inner_class, length)
        return self._esp(header, plain, seq)

    def _esp_transport(self, packet: bytes, seq: int) -> bytes:
        offset, nh_offset = split(packet)
        payload = packet[offset:]
        plain = payload + trailers(self._align, packet[nh_offset])[len(payload) % self._align]
        length = len(plain) + self._overhead
        header = reheaded(packet[:offset], nh_offset, PROTO_UDP if self.params.udp else PROTO_ESP, length, self._mtu)
        return self._esp(header, plain, seq)

    def _esp(self, header: bytes, plain: bytes, seq: int) -> bytes:
        """The IP ``header`` with ESP behind it (RFC 4303 3.3.2), in UDP where the SA says so."""
        head = _SPI_SEQ(self.params.spi, seq & 0xFFFFFFFF)
        iv, sealed = self._transform.seal(head, plain, (seq >> 32).to_bytes(4, "big") if self.params.esn else b"")
        udp = self.params.udp
        if udp is None:
            return header + head + iv + sealed  # from the left, so that the long part is copied once
        datagram = udp_header(udp, len(head) + len(iv) + len(sealed)) + head + iv + sealed
        return header + (datagram if header[0] >> 4 == 4 else udp_checksum(header[8:40], datagram))

    def _ah_tunnel(self, packet: bytes, seq: int) -> bytes:
        inner_class = traffic_class(packet)
        if self.params.dec_ttl:
            packet = with_ttl_decremented(packet)
        header = self._outer.build(packet, inner_class, self._ah.length(self._outer.version) + len(packet))
        return header + self._ah.protect(header, _NEXT_HEADER[packet[0] >> 4], seq, packet, self._high(seq))

    def _ah_transport(self, packet: bytes, seq: int) -> bytes:
        offset, nh_offset = split(packet)
        payload = packet[offset:]
        length = self._ah.length(packet[0] >> 4) + len(payload)
        header = reheaded(packet[:offset], nh_offset, PROTO_AH, length, self._mtu)
        return header + self._ah.protect(header, packet[nh_offset], seq, payload, self._high(seq))

    def _high(self, seq: int) -> bytes:
        return (seq >> 32).to_bytes(4, "big") if self.params.esn else b""
