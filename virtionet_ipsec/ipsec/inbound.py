"""Inbound processing: a protected IP packet in, the plain one out (RFC 4301 5.2, RFC 4303 3.4, RFC 4302 3.4).

The order is the RFCs': check the sequence number, verify the ICV, move the
window; then read what came out.  A packet that fails before its ICV is known to
be good changes nothing but a failure count.
"""

from __future__ import annotations

from .ah import AhTransform
from .ecn import ON_DECAPSULATION, UNEXPECTED
from .events import (
    EcnCombined,
    HeadersRemoved,
    Observer,
    SoftLifetimeReached,
    TrailerRead,
    Verified,
    WindowChecked,
)
from .ip import PROTO_IPIP, PROTO_IPV6, PROTO_NONE, traffic_class, trimmed, with_traffic_class, with_ttl_decremented
from .lifetime import Limits
from .locate import Located
from .reasons import Reason, Refused
from .sa import Direction, Mode, ParameterError, Protocol, SaParams, SaState
from .transforms import make_transform
from .transport import reheaded
from .window import ReplayWindow

# RFC 4303 2.4: the padding that goes with each pad length.
_PADDING = tuple(bytes(range(1, length + 1)) for length in range(256))
_VERSION = {PROTO_IPIP: 4, PROTO_IPV6: 6}  # by next header


def _no_randomness(length: int) -> bytes:
    """Receiving needs IV sources for nothing."""
    return bytes(length)


class InboundSa:
    """An inbound SA: ``params`` as configured, ``window`` and ``state`` as packets left them."""

    __slots__ = ("_ah", "_encapsulated", "_limits", "_protocol", "_transform", "_tunnel", "params", "state", "window")

    def __init__(self, params: SaParams) -> None:
        if params.direction is not Direction.INBOUND:
            raise ParameterError("direction", "this SA is not inbound")
        self.state = SaState()
        self.window = ReplayWindow(params.replay_window, params.esn, params.first_seq)
        self._protocol = params.protocol.value
        self._encapsulated = params.udp is not None
        self._tunnel = params.mode is Mode.TUNNEL
        if params.protocol is Protocol.AH:
            self._ah = AhTransform(params, _no_randomness)
        else:
            self._transform = make_transform(params, _no_randomness)
        self._configure(params)

    def modify(self, params: SaParams) -> None:
        """Take over lifetimes, window size and options in place; counters and window go on (D19).

        What may not change under an SA (:func:`.sa.rekeyed_field`) is the caller's to refuse.
        """
        if params.replay_window != self.window.size:
            self.window.resize(params.replay_window)
        self._configure(params)

    def _configure(self, params: SaParams) -> None:
        self.params = params
        self._limits = Limits(params.lifetime)
        self.state.soft_expired = self._limits.soft_reached(self.state.packets, self.state.bytes)

    def unprotect(self, packet: bytes, where: Located, observe: Observer | None = None, start: int = 0) -> bytes:
        """The plain IP packet inside the one at octet ``start`` of ``packet``; :func:`.locate.locate` gave ``where``.

        Raises :class:`Refused`; ``DUMMY`` is not a failure but a packet to swallow.
        """
        protocol, offset, end, nh_offset, encapsulated, _, low = where
        state, limits = self.state, self._limits
        try:
            if protocol != self._protocol:
                raise Refused(Reason.PROTOCOL_MISMATCH, f"the SA is {self.params.protocol.name}")
            if encapsulated is not self._encapsulated:
                raise Refused(Reason.ENCAP_MISMATCH, f"UDP encapsulation is {'on' if self._encapsulated else 'off'}")
            if state.packets >= limits.packets_hard or state.bytes >= limits.bytes_hard:
                raise Refused(Reason.HARD_LIFETIME, f"{state.packets} packets, {state.bytes} bytes received")
            window = self.window
            seq = window.check(low)
            if observe is not None:
                observe(WindowChecked(seq, window.top, window.size))
            high = (seq >> 32).to_bytes(4, "big") if window.esn else b""
            if protocol == 50:
                plain = self._transform.open(packet, offset, end, high)
                window.commit(seq)
                # RFC 4303 2.4 to 2.6: the trailer is padding, pad length, next header.
                pad, nh = plain[-2], plain[-1]
                cut = len(plain) - 2 - pad
                if observe is not None:
                    observe(Verified(self.params.algorithm_name, len(plain)))
                    observe(TrailerRead(pad, nh))
                if cut < 0:
                    raise Refused(Reason.MALFORMED, f"pad length {pad} in {len(plain)} octets")
                if plain[cut:-2] != _PADDING[pad]:
                    raise Refused(Reason.BAD_PADDING, f"the {pad} octets of padding are not 1, 2, 3, ...")
                if nh == PROTO_NONE:
                    raise Refused(Reason.DUMMY, "next header 59: a dummy packet")
                payload = plain[:cut]
            else:
                after = start + self._ah.verify(packet[start:end], offset - start, end - start, high)
                window.commit(seq)
                nh, payload = packet[offset], packet[after:end]
                if observe is not None:
                    observe(Verified(self.params.algorithm_name, len(payload)))
            if self._tunnel:
                inner = self._decapsulated(nh, payload)
                if self.params.ecn:
                    inner = _with_ecn(packet[start : start + 8], inner, observe)
                if self.params.dec_ttl:
                    inner = with_ttl_decremented(inner)
            else:
                header_end = offset - 8 if encapsulated else offset
                inner = reheaded(packet[start:header_end], nh_offset, nh, len(payload)) + payload
            octets = state.bytes + len(inner)
            if octets > limits.bytes_hard:
                raise Refused(
                    Reason.HARD_LIFETIME, f"{state.bytes} bytes received, {len(inner)} more would pass the limit"
                )
        except Refused as refused:
            if refused.reason is Reason.DUMMY:
                state.dummies += 1
            else:
                state.failures[refused.reason] += 1
            raise
        state.bytes = octets
        packets = state.packets = state.packets + 1
        if packets >= limits.packets_soft or octets >= limits.bytes_soft:
            state.soft_expired = True
            if observe is not None:
                observe(SoftLifetimeReached(packets, octets))
        if observe is not None:
            observe(HeadersRemoved(self.params.mode.value, len(inner)))
        return inner

    @staticmethod
    def _decapsulated(nh: int, payload: bytes) -> bytes:
        """The inner packet of tunnel mode, TFC padding off (RFC 4303 2.7)."""
        version = _VERSION.get(nh)
        if version is None:
            raise Refused(Reason.INNER_MISMATCH, f"next header {nh} in a tunnel mode SA is neither IPv4 nor IPv6")
        if not payload or payload[0] >> 4 != version:
            raise Refused(Reason.INNER_MISMATCH, f"next header {nh} announces IPv{version}, and something else follows")
        return trimmed(payload)


def _with_ecn(outer: bytes, inner: bytes, observe: Observer | None) -> bytes:
    """``inner`` with its ECN field combined with that of ``outer``, which may be cut short (RFC 6040 4.2)."""
    inner_class = traffic_class(inner)
    inside, outside = inner_class & 3, traffic_class(outer) & 3
    result = ON_DECAPSULATION[inside][outside]
    unexpected = (inside, outside) in UNEXPECTED
    if result is None:
        raise Refused(Reason.ECN_INVALID, "CE outside and Not-ECT inside: RFC 6040 4.2 drops it")
    if observe is not None:
        observe(EcnCombined(inside, outside, result, unexpected))
    return inner if result == inside else with_traffic_class(inner, inner_class & 0xFC | result)
