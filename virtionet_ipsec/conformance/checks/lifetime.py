"""Lifetimes of SAs, RFC 4301 4.4.2.1."""

from __future__ import annotations

from dataclasses import replace
from math import lcm

from ...ipsec import Lifetime
from ..check import check
from ..driving import frames
from ..driving.associations import INBOUND, OUTBOUND, accepted, inside, protected, rejected, send, start
from ..driving.lifetimes import FRAME, MORE, PLAIN, applied, directions, lasts, named, passing
from ..driving.rig import Rig
from ..driving.tunnels import far_receiver, far_sender, living, tunnel_sas


@check
def bytes_hard(rig: Rig) -> None:
    """An SA with a hard limit of octets ends there, both ways, alone or when it comes before one of packets."""
    start(rig)
    for packets_hard in (0, 100):
        # The fourth packet, in part beyond the limit, is another entry's.
        for params in directions(rig, Lifetime(bytes_hard=3 * (PLAIN + MORE), packets_hard=packets_hard)):
            with passing(rig, params) as passes:
                what = f"{named(params)}: packets of {PLAIN} octets in {params.lifetime.bytes_hard}"
                number = lasts(passes, 8)
                rig.expect(number in (3, 4), what, "3, or 4 with the one that passes the limit", str(number))
                rig.equal(f"{named(params)}: packets after that", 0, lasts(passes, 3))


@check
def bytes_counted(rig: Rig) -> None:
    """The octets that age an SA are those of the plain packet, or those that the algorithm is applied to."""
    start(rig)
    frame = frames.sized_frame(100)
    for bare in directions(rig, Lifetime(bytes_hard=1)):
        example = replace(bare, direction=OUTBOUND, lifetime=Lifetime())
        with living(rig, example) as resource_id:
            octets = applied(example, send(rig, resource_id, frame))
        limit = lcm(100, octets)
        with passing(rig, replace(bare, lifetime=Lifetime(bytes_hard=limit)), frame) as passes:
            plain, processed = limit // 100, limit // octets
            number = lasts(passes, plain + 2)
            # One more passes the limit: that is another entry's.
            conforming = number in (plain, plain + 1, processed, processed + 1)
            expected = f"{plain} (the plain packets' 100 octets count) or {processed} (the {octets} processed ones)"
            rig.expect(conforming, f"{named(bare)}: packets in {limit} octets", expected, str(number))


@check
def gap(rig: Rig) -> None:
    """Sequence numbers that never arrive do not age an inbound SA: four packets with gaps between are four."""
    start(rig)
    for lifetime in (Lifetime(packets_hard=4), Lifetime(bytes_hard=4 * (PLAIN + MORE))):
        for params in tunnel_sas(rig, INBOUND, lifetime=lifetime):
            far_end = far_sender(params)
            with living(rig, params):
                for seq in (1, 50, 5000, 1_000_000):
                    what = f"{named(params)}: packet {seq} with {_limits(lifetime)}"
                    accepted(rig, protected(far_end, FRAME, seq), what)


@check
def soft(rig: Rig) -> None:
    """An SA past a soft limit goes on working, both ways; inbound its packets have SECURITY_SA_SOFT_EXPIRY_WARN."""
    start(rig)
    # Two packets are below the limit, three are at it or below it, from the fourth on it is reached.
    for lifetime in (Lifetime(packets_soft=3), Lifetime(bytes_soft=3 * PLAIN + 2 * MORE)):
        for params in tunnel_sas(rig, OUTBOUND, lifetime=lifetime):
            far_end = far_receiver(params)
            with living(rig, params) as resource_id:
                for number in range(1, 7):
                    what = f"{named(params)}: packet {number} with {_limits(lifetime)}"
                    plain = inside(far_end, send(rig, resource_id, FRAME), what)
                    rig.equal(f"{what}: payload", FRAME[34:], plain[20:])
        for params in tunnel_sas(rig, INBOUND, lifetime=lifetime):
            far = far_sender(params)
            with living(rig, params):
                for number in range(1, 7):
                    what = f"{named(params)}: packet {number} with {_limits(lifetime)}"
                    packet = accepted(rig, protected(far, FRAME), what)
                    warned = "SECURITY_SA_SOFT_EXPIRY_WARN" in packet.flag_names
                    if number != 3:
                        shown = ("clear", "set")
                        rig.equal(f"{what}: SECURITY_SA_SOFT_EXPIRY_WARN", shown[number > 3], shown[warned])
                    rig.equal(f"{what}: payload", FRAME[34:], packet.frame[34:])


@check
def hard(rig: Rig) -> None:
    """A packet that would pass the hard limit is not sent, and is dropped or has SECURITY_ERR when received."""
    start(rig)
    for lifetime in (Lifetime(packets_hard=3), Lifetime(bytes_hard=3 * (PLAIN + MORE))):
        for params in directions(rig, lifetime):
            with passing(rig, params) as passes:
                what = f"{named(params)}: packets of {PLAIN} octets that pass with {_limits(lifetime)}"
                rig.equal(what, 3, lasts(passes, 8))
        for params in tunnel_sas(rig, INBOUND, lifetime=lifetime):
            far_end = far_sender(params)
            with living(rig, params):
                for _ in range(3):
                    rig.delivered(protected(far_end, FRAME))
                what = f"{named(params)}: packet 4 with {_limits(lifetime)}"
                rejected(rig, protected(far_end, FRAME), what, [FRAME[14:]])


def _limits(lifetime: Lifetime) -> str:
    set_ones = {name: getattr(lifetime, name) for name in ("packets_soft", "bytes_soft", "packets_hard", "bytes_hard")}
    return ", ".join(f"{name}_limit {value}" for name, value in set_ones.items() if value)
