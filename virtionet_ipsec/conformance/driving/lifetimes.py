"""SAs with lifetimes on a device: how many packets they last, in either direction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ...driver.packet import RxPacket
from ...ipsec import Lifetime, Protocol, SaParams
from . import frames
from .associations import INBOUND, OUTBOUND, protected
from .rig import Rig
from .tunnels import far_sender, living, tunnel_sas

PLAIN = 400
"""Octets of the plain IP packet of :data:`FRAME`."""

FRAME = frames.sized_frame(PLAIN)

MORE = 100
"""No way to count an ESP or AH packet around :data:`FRAME` comes to more than so many octets above :data:`PLAIN`."""

Next = Callable[[], bool]


def directions(rig: Rig, lifetime: Lifetime) -> Iterator[SaParams]:
    """An outbound and an inbound SA of each tunnel mode with this lifetime."""
    yield from tunnel_sas(rig, OUTBOUND, lifetime=lifetime)
    yield from tunnel_sas(rig, INBOUND, lifetime=lifetime)


def named(params: SaParams) -> str:
    return f"{params.protocol.name} {params.direction.value}"


@contextmanager
def passing(rig: Rig, params: SaParams, frame: bytes = FRAME) -> Iterator[Next]:
    """The SA on the device, and a function that takes the next packet through it: whether that was processed."""
    far_end = far_sender(params) if params.direction is INBOUND else None
    with living(rig, params) as resource_id:

        def sends() -> bool:
            return bool(rig.transmit(rig.driver.header(resource_id) + frame))

        def receives() -> bool:
            assert far_end is not None
            got = rig.receive(protected(far_end, frame))
            return got is not None and processed(got)

        yield sends if far_end is None else receives


def processed(packet: RxPacket) -> bool:
    """Whether IPsec processing did its work, as the flags say."""
    return "SECURITY" in packet.flag_names and "SECURITY_ERR" not in packet.flag_names


def lasts(passes: Next, most: int) -> int:
    """How many packets pass before the first that does not; ``most`` when all do."""
    return next((number for number in range(most) if not passes()), most)


def applied(params: SaParams, wire: bytes) -> int:
    """The octets of ``wire``, a frame, that the algorithm is applied to (RFC 4301 4.4.2.1).

    ESP: what is encrypted, trailer included.  AH: what is authenticated, which is the whole packet.
    """
    packet = wire[14:]
    if params.protocol is Protocol.AH:
        return len(packet)
    return len(packet) - (20 if packet[0] >> 4 == 4 else 40) - 8 - params.iv_length - params.icv_length
