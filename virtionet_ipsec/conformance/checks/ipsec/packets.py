"""IPsec operation: packets and their SAs, and IPSEC_RECIRCULATE ("Packet processing order")."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from ....wire.enums import Action, Feature
from ...check import check
from ...driving import associations, filters, frames, sa_objects
from ...driving.associations import INBOUND, OUTBOUND, SA_TYPE, SPI, TUNNEL4, TUNNEL6
from ...driving.feature_sets import left_out
from ...driving.filter_order import ESP_PACKETS
from ...driving.filters import IPV4_FRAMES
from ...driving.on_the_wire import flipped, spi_of
from ...driving.rig import Rig
from ...driving.sa_objects import any_sa, some_ids, try_create
from ...driving.sa_packets import not_processed, not_protected
from ...driving.tunnels import living
from ...verdict import NotApplicable

FRAME = frames.udp4_frame()


@check
def sa_lookup_outbound(rig: Rig) -> None:
    """Of several outbound SAs, each packet goes through the one whose id its header has."""
    sa_objects.start(rig, room=2)
    params = any_sa(rig, OUTBOUND)
    sas = {number: replace(params, spi=SPI + at) for at, number in enumerate(some_ids(rig, OUTBOUND))}
    for number, each in sas.items():
        associations.create(rig, each, number)
    for number in (*sorted(sas), *sas):
        wire = associations.send(rig, number, FRAME)
        rig.equal(f"SPI of a packet for SA {number}", sas[number].spi, spi_of(wire))


@check
def sa_lookup_inbound(rig: Rig) -> None:
    """Of several inbound SAs, each packet goes through the one with its SPI, whose id the driver is told."""
    sa_objects.start(rig, room=2)
    associations.steer(rig)
    params = any_sa(rig, INBOUND)
    sas = {number: replace(params, spi=SPI + at) for at, number in enumerate(some_ids(rig, INBOUND))}
    for number, each in sas.items():
        associations.create(rig, each, number)
    for number in sorted(sas):
        wire = associations.protected(associations.sender(sas[number]), FRAME)
        packet = associations.accepted(rig, wire, f"a packet of SA {number}")
        rig.equal(f"resource_id of a packet of SA {number}", number, packet.resource_id)


@check
def sa_lookup_features(rig: Rig) -> None:
    """A packet through an SA each way, with all features, with none but IPSEC, and without each other one in turn."""
    rig.needs(Feature.IPSEC, Feature.ADMIN_VQ)
    for said, without in left_out(rig, Feature.ADMIN_VQ, Feature.IPSEC):
        rig.start(without=without)
        outbound = any_sa(rig, OUTBOUND)
        wire = associations.send(rig, associations.create(rig, outbound), FRAME)
        inside = associations.inside(associations.receiver(outbound), wire, f"a packet that is sent with {said}")
        rig.equal(f"a packet that is sent with {said}", FRAME[14:], inside)
        with suppress(NotApplicable):  # without rules no packet comes to an inbound SA
            associations.steer(rig)
            inbound = any_sa(rig, INBOUND)
            number = associations.create(rig, inbound)
            what = f"a packet that arrives with {said}"
            packet = associations.accepted(rig, associations.protected(associations.sender(inbound), FRAME), what)
            rig.equal(f"{what}: resource_id", number, packet.resource_id)
            rig.equal(f"{what}: packet", FRAME[14:], packet.frame[14:])


_TAGS = {"a VLAN tag": bytes.fromhex("81000005"), "two VLAN tags": bytes.fromhex("88a8000781000005")}
_VERSIONS = ((FRAME, TUNNEL4), (frames.udp6_frame(), TUNNEL6))


@check
def tagged_sent(rig: Rig) -> None:
    """A frame with SECURITY behind one or two VLAN tags leaves with them, and with the packet behind them protected."""
    sa_objects.start(rig)
    for plain, tunnel in _VERSIONS:
        params = any_sa(rig, OUTBOUND)
        params = replace(params, tunnel=tunnel if params.tunnel is not None else None)
        with living(rig, params) as number:
            far_end = associations.receiver(params)
            for what, tag in _TAGS.items():
                said = f"IPv{plain[14] >> 4} behind {what}"
                wire = associations.send(rig, number, plain[:12] + tag + plain[12:])
                end = 12 + len(tag)
                rig.equal(f"{said}: addresses, tags and EtherType", plain[:12] + tag + plain[12:14], wire[: end + 2])
                inside = associations.inside(far_end, wire[:12] + wire[end:], said)
                rig.equal(f"{said}: the packet inside", plain[14:], inside)


@check
def tagged_received(rig: Rig) -> None:
    """A protected packet behind one or two VLAN tags is processed, and keeps them; not with a wrong ICV."""
    sa_objects.start(rig)
    associations.steer(rig)
    for plain, tunnel in _VERSIONS:
        params = any_sa(rig, INBOUND)
        params = replace(params, tunnel=tunnel if params.tunnel is not None else None)
        with living(rig, params):
            far_end = associations.sender(params)
            for what, tag in _TAGS.items():
                wire, said = associations.protected(far_end, plain), f"IPv{plain[14] >> 4} behind {what}"
                wire = wire[:12] + tag + wire[12:]
                associations.rejected(rig, flipped(wire), f"{said}, with a wrong ICV")
                packet = associations.accepted(rig, wire, said)
                rig.equal(f"{said}: the frame", plain[:12] + tag + plain[12:], packet.frame)


@check
def recreate_after_destroy(rig: Rig) -> None:
    """An SA that was destroyed can be created again as it was, and another one with its id, without a reset."""
    sa_objects.start(rig)
    for direction, kind in SA_TYPE.items():
        params = any_sa(rig, direction)
        number = associations.create(rig, params)
        for again in (params, replace(params, spi=params.spi + 1)):
            rig.ok(rig.destroy(kind, number), f"DESTROY of {kind.name} {number}")
            rig.ok(try_create(rig, again, number), f"CREATE of {kind.name} {number} after it was destroyed")


@check
def reset_destroys_objects(rig: Rig) -> None:
    """After a reset there are no SAs and no rules: nothing is processed, and every id and SPI is free."""
    sa_objects.start(rig)
    made = {direction: any_sa(rig, direction) for direction in SA_TYPE}
    _steer_if_it_can(rig)
    ids = {direction: associations.create(rig, params) for direction, params in made.items()}
    rig.start()
    not_protected(rig, ids[OUTBOUND], made[OUTBOUND], "a packet for an outbound SA from before the reset")
    _steer_if_it_can(rig)
    not_processed(rig, made[INBOUND], "a packet of an inbound SA from before the reset, for rules made after it")
    rig.start()
    for direction, kind in SA_TYPE.items():
        what = f"CREATE of {kind.name} {ids[direction]}, which was there before a reset"
        rig.ok(try_create(rig, made[direction], ids[direction]), what)
    not_processed(rig, made[INBOUND], "a packet that only rules from before the reset steer into IPsec")


def _steer_if_it_can(rig: Rig) -> None:
    with suppress(NotApplicable):
        associations.steer(rig)


@check
def recirculates(rig: Rig) -> None:
    """A DROP rule for what comes out of IPsec drops it after IPSEC_RECIRCULATE, and not after IPSEC."""
    flows = filters.start(rig, Action.IPSEC, Action.IPSEC_RECIRCULATE, Action.DROP)
    flows.needs(ESP_PACKETS)
    params = associations.sa(rig, INBOUND)
    associations.create(rig, params)
    far_end = associations.sender(params)
    first, then = flows.group(2), flows.group(1)
    flows.rule(then, IPV4_FRAMES, Action.DROP)
    for action in (Action.IPSEC, Action.IPSEC_RECIRCULATE):
        rule = flows.rule(first, ESP_PACKETS, action)
        wire, what = associations.protected(far_end, FRAME), f"an ESP packet for {action.name}, IPv4 for DROP"
        if action is Action.IPSEC:
            rig.equal(f"{what}: packet", FRAME[14:], flows.arrives(wire, what).frame[14:])
        else:
            flows.dropped(wire, what)
        flows.destroy(filters.RULE, rule)


@check
def recirculated_once(rig: Rig) -> None:
    """ESP in ESP, and IPSEC_RECIRCULATE for both: the outer one is taken off, the inner one is handed up as it is."""
    flows = filters.start(rig, Action.IPSEC_RECIRCULATE)
    flows.needs(ESP_PACKETS)
    outer = associations.sa(rig, INBOUND, spi=0x1000)
    inner = associations.sa(rig, INBOUND, spi=0x2000)
    outer_id = associations.create(rig, outer)
    associations.create(rig, inner)
    flows.rule(flows.group(1), ESP_PACKETS, Action.IPSEC_RECIRCULATE)
    inside = associations.protected(associations.sender(inner), FRAME)
    wire = associations.protected(associations.sender(outer), inside)
    packet = associations.accepted(rig, wire, "an ESP packet in another")
    rig.equal("an ESP packet in another: packet", inside[14:], packet.frame[14:])
    rig.equal("an ESP packet in another: resource_id", outer_id, packet.resource_id)
    plain = associations.accepted(rig, inside, "the inner ESP packet by itself, which moved no window before")
    rig.equal("the inner ESP packet by itself: packet", FRAME[14:], plain.frame[14:])
