"""Packets through tunnel mode SAs of a device, both ways: ESP and AH, over IPv4 and IPv6, whatever it has of these."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from ...ipsec import Direction, InboundSa, Lifetime, Mode, OutboundSa, Protocol, SaParams, Tunnel
from ...ipsec.ip import with_traffic_class
from ..verdict import NotApplicable
from . import frames
from .associations import (
    INBOUND,
    INBOUND_SPI,
    OUTBOUND,
    SPI,
    TUNNEL4,
    TUNNEL6,
    create,
    inside,
    protected,
    receiver,
    sa,
    sender,
)
from .ip_header import IpHeader, ip_header
from .rig import Rig

TUNNELS = (TUNNEL4, TUNNEL6)

_IPV4_OPTIONS = bytes.fromhex("9404000001010101")  # router alert (RFC 2113), no operation
_HOP_BY_HOP = bytes.fromhex("3c00050200000100")  # router alert (RFC 2711); destination options follow
_DESTINATION = bytes.fromhex("1100010400000000")  # padding; UDP follows
_UDP6 = frames.udp(addresses=frames.SRC6 + frames.DST6)
WITH_OPTIONS = (
    frames.udp4_frame(options=_IPV4_OPTIONS),
    frames.ethernet(frames.ipv6(_HOP_BY_HOP + _DESTINATION + _UDP6, 0)),
)
"""Frames whose packets have IPv4 options and IPv6 extension headers."""

# What the far end leaves alone, so that a check sees the device's work and nothing else.
_NOTHING: dict[str, Any] = {
    "copy_dscp": False,
    "dec_ttl": False,
    "copy_df": False,
    "ecn": False,
    "lifetime": Lifetime(),
}


def far_sender(inbound: SaParams, **changes: Any) -> OutboundSa:
    """The far end that sends to ``inbound``, without its lifetime and its options for headers."""
    return sender(inbound, **{**_NOTHING, **changes})


def far_receiver(outbound: SaParams, **changes: Any) -> InboundSa:
    """The far end that receives from ``outbound``, without its lifetime and its options for headers."""
    return receiver(outbound, **{**_NOTHING, **changes})


@contextmanager
def living(rig: Rig, params: SaParams) -> Iterator[int]:
    """The SA on the device; it is destroyed when the block ends well."""
    resource_id = create(rig, params)
    yield resource_id
    rig.driver.destroy_sa(params.direction, resource_id)


def tunnel_sas(rig: Rig, direction: Direction, **parameters: Any) -> list[SaParams]:
    """An SA in ESP tunnel mode and one in AH tunnel mode, those that the device has; it has to have one."""
    found: list[SaParams] = []
    wanting: NotApplicable | None = None
    spi = SPI if direction is OUTBOUND else INBOUND_SPI
    for number, protocol in enumerate(Protocol):
        try:
            found.append(sa(rig, direction, protocol=protocol, mode=Mode.TUNNEL, spi=spi + number, **parameters))
        except NotApplicable as reason:
            wanting = wanting or reason
    if wanting is not None and not found:
        raise wanting
    return found


def has(rig: Rig, **parameters: Any) -> bool:
    """Whether the device has a tunnel mode with these parameters."""
    try:
        return bool(tunnel_sas(rig, OUTBOUND, **parameters))
    except NotApplicable:
        return False


class Sent(NamedTuple):
    """A packet through an outbound tunnel: ``inner`` as the driver gave it, ``wire`` the frame that left."""

    what: str
    params: SaParams
    inner: bytes
    wire: bytes

    @property
    def outer(self) -> bytes:
        """The packet on the wire."""
        return self.wire[14:]

    @property
    def header(self) -> IpHeader:
        """The outer header."""
        return ip_header(self.what, self.outer)

    def opened(self) -> bytes:
        """The inner packet as the device put it in."""
        return inside(far_receiver(self.params), self.wire, self.what)


class Arriving(NamedTuple):
    """A packet for an inbound tunnel: ``inner`` as the far end put it in, ``wire`` the frame that arrives."""

    what: str
    inner: bytes
    wire: bytes


def sent_through(
    rig: Rig,
    inner_frames: Collection[bytes],
    tunnels: Iterable[Tunnel] = TUNNELS,
    *,
    mixed: bool = False,
    **parameters: Any,
) -> Iterator[Sent]:
    """Every frame through an SA of every mode with every one of ``tunnels``; ``parameters`` are the SAs'.

    A packet of the other IP version than the tunnel's need not leave unless
    ``mixed`` says so: that it does is an entry of its own.
    """
    for tunnel in tunnels:
        for params in tunnel_sas(rig, OUTBOUND, tunnel=tunnel, **parameters):
            with living(rig, params) as resource_id:
                for frame in inner_frames:
                    what, buffer = _named(params, frame), rig.driver.header(resource_id) + frame
                    left = rig.transmit(buffer)
                    if not left and not mixed and frame[14] >> 4 != _version(tunnel):
                        continue
                    rig.equal(f"{what}: frames on the wire", 1, len(left))
                    yield Sent(what, params, frame[14:], left[0])


def arriving(
    rig: Rig,
    inner_frames: Collection[bytes],
    *,
    outer_class: int = 0,
    tunnels: Iterable[Tunnel] = TUNNELS,
    **parameters: Any,
) -> Iterator[Arriving]:
    """As :func:`sent_through`, from the far end; ``outer_class`` is the outer TOS or Traffic Class octet.

    The SA lives until the next one is asked for.
    """
    for tunnel in tunnels:
        for params in tunnel_sas(rig, INBOUND, tunnel=tunnel, **parameters):
            far_end = far_sender(params)
            with living(rig, params):
                for frame in inner_frames:
                    wire = protected(far_end, frame)
                    marked = frames.ethernet(with_traffic_class(wire[14:], outer_class))
                    yield Arriving(_named(params, frame), frame[14:], marked)


def both(payload: bytes = b"what is inside", *, traffic_class: int = 0, ttl: int = 64) -> tuple[bytes, bytes]:
    """A frame with IPv4 and one with IPv6 that are alike."""
    return (
        frames.udp4_frame(payload, tos=traffic_class, ttl=ttl),
        frames.udp6_frame(payload, traffic_class=traffic_class, hop_limit=ttl),
    )


def _version(tunnel: Tunnel) -> int:
    return 4 if len(tunnel.src) == 4 else 6


def _named(params: SaParams, frame: bytes) -> str:
    outer = f" over IPv{_version(params.tunnel)}" if params.tunnel is not None else ""
    return f"{params.protocol.name} {params.mode.value}{outer} with IPv{frame[14] >> 4} inside"
