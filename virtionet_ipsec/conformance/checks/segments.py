"""Segmentation on transmit, virtio 1.4, 5.1.9.2, alone and with IPsec, which takes each segment for a packet."""

from __future__ import annotations

from functools import partial

from ...ipsec import Lifetime, Protocol
from ..check import add, check
from ..driving import frames, large
from ..driving.associations import OUTBOUND, create, inside, send, start
from ..driving.gcm_packets import esp_of, gcm_sa
from ..driving.lifetimes import FRAME, lasts, named
from ..driving.on_the_wire import seq_of
from ..driving.rig import Rig
from ..driving.sa_objects import any_sa
from ..driving.tunnels import far_receiver, living, tunnel_sas
from ..verdict import NotObservable

_NOTHING = "of a packet that is to be segmented and protected nothing leaves, which is an entry of its own"


@check
def cut(rig: Rig) -> None:
    """A packet with gso_type leaves in segments, headers, lengths, checksums, TCP's numbers and flags right in each."""
    rig.negotiate(also=large.SEGMENTATION)
    for packet in large.can_cut(rig, list(large.every())):
        large.expect_segments(rig, packet, large.sent(rig, packet))


@check
def protected(rig: Rig) -> None:
    """With SECURITY each segment is an ESP or AH packet of its own, and what is inside is what would leave without."""
    start(rig, also=large.SEGMENTATION)
    packets = large.one_of_each(rig)
    for params in tunnel_sas(rig, OUTBOUND):
        far_end = far_receiver(params)
        with living(rig, params) as resource_id:
            for packet in packets:
                left = large.sent(rig, packet, resource_id)
                if not left and packet.version == 6:
                    continue  # that IPv6 goes through a tunnel over IPv4 is an entry of its own
                what = f"{named(params)}: {packet.what}"
                plain = [inside(far_end, wire, f"{what}: a frame on the wire") for wire in left]
                large.expect_segments(rig, packet._replace(what=what), tuple(map(frames.ethernet, plain)))


def seq(rig: Rig, protocol: Protocol) -> None:
    """Segments carry sequence numbers that go up by one, on from the packet before and up to the packet after."""
    start(rig, also=large.SEGMENTATION)
    packets = large.one_of_each(rig)
    resource_id = create(rig, any_sa(rig, OUTBOUND, protocol))
    numbers = [seq_of(send(rig, resource_id, FRAME))]
    for packet in packets:
        numbers += [seq_of(wire) for wire in large.sent(rig, packet, resource_id)]
    if len(numbers) == 1:
        raise NotObservable(_NOTHING)
    numbers.append(seq_of(send(rig, resource_id, FRAME)))
    rig.equal("sequence numbers on one SA", [numbers[0] + step for step in range(len(numbers))], numbers)


for each in Protocol:
    add(f"segments.{each.name.lower()}-seq", seq.__doc__ or "", partial(seq, protocol=each))


@check
def gcm_iv(rig: Rig) -> None:
    """No IV comes twice in a hundred segments of a few packets."""
    start(rig, also=large.SEGMENTATION)
    packet = large.one_of_each(rig)[0]._replace(size=40)
    resource_id = create(rig, gcm_sa(rig, OUTBOUND))
    seen: set[bytes] = set()
    for _ in range(4):
        for wire in large.sent(rig, packet, resource_id):
            iv = esp_of(wire)[8:16]
            rig.expect(iv not in seen, f"IV of segment {len(seen) + 1}", "another than before", iv.hex())
            seen.add(iv)
    if not seen:
        raise NotObservable(_NOTHING)


@check
def hard_lifetime(rig: Rig) -> None:
    """Each segment counts: of packets of three segments no more than three leave with packets_hard_limit 3."""
    start(rig, also=large.SEGMENTATION)
    packet = large.one_of_each(rig)[0]
    for params in tunnel_sas(rig, OUTBOUND, lifetime=Lifetime(packets_hard=3)):
        with living(rig, params) as resource_id:
            first, second = (large.sent(rig, packet, resource_id) for _ in range(2))
            left = len(first) + len(second)
            rig.expect(left <= 3, f"{named(params)}: segments that leave", "3 or less", str(left))
            # Whether a packet of which not all segments may leave is dropped whole is a device's to choose.
            buffer = rig.driver.header(resource_id) + FRAME
            left += lasts(partial(_passes, rig, buffer), 8)
            rig.equal(f"{named(params)}: segments and packets that leave", 3, left)


def _passes(rig: Rig, buffer: bytes) -> bool:
    return bool(rig.transmit(buffer))
