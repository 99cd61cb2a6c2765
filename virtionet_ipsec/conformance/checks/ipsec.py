"""IPsec operation, virtio 1.4, 5.1.9.7."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from ...ipsec import Direction, SaParams
from ...wire.codec import build, parse
from ...wire.enums import AdminStatus, CapId, Feature, Opcode, Qualifier, ResourceType
from ...wire.flow_filter import FfGroup
from ...wire.profile import Profile
from ...wire.sa import ipsec_sa
from ..check import add, check
from ..driving import associations, frames
from ..driving.associations import INBOUND, OUTBOUND, SA_TYPE, SPI
from ..driving.rig import Answer, Rig
from ..driving.sa_objects import any_sa, every_sa, limits, resource_cap, sa_octets, spi_of
from ..driving.unsupported import UNSUPPORTED
from ..verdict import NotApplicable

DIRECTIONS = (OUTBOUND, INBOUND)
FRAME = frames.udp4_frame()
CAPS = (CapId.IPSEC_RESOURCE_CAP, CapId.IPSEC_SA_CAP)
_BATCH = 16  # SAs that exist at one time; a device may have less room than its limit says (2.12.1.3)

_NOT_IN_RFC = (Opcode.RESOURCE_OBJ_MODIFY, Opcode.RESOURCE_OBJ_QUERY)


def _start(rig: Rig, room: int = 2) -> None:
    """Bring the device up; it needs ``room`` for SAs of either type."""
    rig.needs(Feature.IPSEC)
    rig.start()
    most = min(limits(rig).values())
    if most < room:
        raise NotApplicable(f"the device's limits leave room for {most} SAs")


def _needs_command(rig: Rig, opcode: Opcode) -> None:
    """What the RFC does not have, a device of that profile need not have either."""
    if rig.profile is Profile.RFC_V1 and opcode in _NOT_IN_RFC and opcode not in rig.list_query():
        raise NotApplicable(f"the RFC has no {opcode.name}")


def _create(rig: Rig, params: SaParams, resource_id: int, **fields: Any) -> Answer:
    return rig.create(SA_TYPE[params.direction], resource_id, sa_octets(rig, params, resource_id, **fields))


# -- capabilities and commands -----------------------------------------------------------------------------------


def _cap_listed(cap: CapId, rig: Rig) -> None:
    rig.needs(Feature.IPSEC, Feature.ADMIN_VQ)
    rig.negotiate()
    rig.driver.set_up_commands()
    listed = rig.cap_ids()
    rig.expect(cap in listed, "supported_caps", f"bit {cap:#06x} set", ", ".join(map(hex, sorted(listed))) or "none")


for _cap in CAPS:
    _name = _cap.name.removeprefix("IPSEC_").lower().replace("_", "-")
    add(
        f"ipsec.{_name}-listed",
        f"With VIRTIO_NET_F_IPSEC negotiated, CAP_ID_LIST_QUERY lists VIRTIO_NET_{_cap.name}, {_cap:#06x}.",
        partial(_cap_listed, _cap),
    )


@check
def supports_create(rig: Rig) -> None:
    """Every mode, algorithm and option that IPSEC_SA_CAP has makes an SA of either type, at the highest id as well."""
    _start(rig, room=1)
    for direction in DIRECTIONS:
        most = limits(rig)[direction]
        choices = list(every_sa(rig, direction))
        rig.expect(bool(choices), "IPSEC_SA_CAP", "a mode with algorithms", "none that is known")
        batch = min(most, _BATCH)
        for number, params in enumerate(choices):
            if number % batch == 0:
                rig.start()
            answer = _create(rig, replace(params, spi=SPI + number), most - 1 - number % batch)
            what = f"CREATE of an {direction.value} SA: {params.protocol.name}, {params.mode.value} mode, "
            rig.ok(answer, what + params.algorithm_name)


@check
def supports_modify(rig: Rig) -> None:
    """An SA of either type can be modified to what it is already, and an outbound one to another TTL of its tunnel."""
    _start(rig)
    _needs_command(rig, Opcode.RESOURCE_OBJ_MODIFY)
    for direction in DIRECTIONS:
        params = any_sa(rig, direction)
        kind, number = SA_TYPE[direction], associations.create(rig, params, 1)
        rig.ok(rig.modify(kind, number, sa_octets(rig, params)), f"MODIFY of an {kind.name}, nothing changed")
        if params.tunnel is None:
            continue
        changed = replace(params, tunnel=replace(params.tunnel, ttl=17))
        rig.ok(rig.modify(kind, number, sa_octets(rig, changed)), f"MODIFY of an {kind.name}, another TTL")
        if direction is OUTBOUND:
            wire = associations.send(rig, number, FRAME)
            rig.equal("the outer header's TTL after MODIFY", 17, wire[14 + 8])


@check
def supports_query(rig: Rig) -> None:
    """QUERY of an SA of either type, opcode 0xc, gives the object."""
    _start(rig)
    _needs_command(rig, Opcode.RESOURCE_OBJ_QUERY)
    for direction in DIRECTIONS:
        kind = SA_TYPE[direction]
        number = associations.create(rig, any_sa(rig, direction), 1)
        found = parse(ipsec_sa(rig.profile), rig.ok(rig.query(kind, number), f"QUERY of an {kind.name}"))
        rig.equal(f"spi in the answer to QUERY of an {kind.name}", SPI, found.spi)


@check
def supports_destroy(rig: Rig) -> None:
    """An SA of either type can be destroyed, and processes no packet after that."""
    _start(rig)
    rig.driver.steer_ipsec()
    outbound, inbound = any_sa(rig, OUTBOUND), any_sa(rig, INBOUND)
    for params in (outbound, inbound):
        associations.create(rig, params, 1)
        rig.ok(rig.destroy(SA_TYPE[params.direction], 1), f"DESTROY of an {SA_TYPE[params.direction].name}")
    _expect_unprotected(rig, 1, "a packet for an outbound SA that was destroyed")
    _expect_unprocessed(rig, inbound, "a packet of an inbound SA that was destroyed")


def _expect_unprotected(rig: Rig, resource_id: int, what: str) -> None:
    """No frame with the SPI leaves the device; what else becomes of the packet is open here (D14)."""
    sent = rig.transmit(rig.driver.header(resource_id) + FRAME)
    rig.expect(SPI not in map(spi_of, sent), what, "not sent with that SA", "a frame with its SPI")


def _expect_unprocessed(rig: Rig, inbound: SaParams, what: str) -> None:
    packet = rig.receive(associations.protected(associations.sender(inbound), FRAME))
    plain = packet is not None and packet.frame[14:] == FRAME[14:]
    rig.expect(not plain, what, "not decrypted", "the plain packet")


Command = Callable[[Rig, ResourceType, bytes], Answer]
_COMMANDS: dict[Opcode, Command] = {
    Opcode.RESOURCE_OBJ_CREATE: lambda rig, kind, data: rig.create(kind, 0, data),
    Opcode.RESOURCE_OBJ_MODIFY: lambda rig, kind, data: rig.modify(kind, 0, data),
    Opcode.RESOURCE_OBJ_QUERY: lambda rig, kind, _: rig.query(kind, 0),
    Opcode.RESOURCE_OBJ_DESTROY: lambda rig, kind, _: rig.destroy(kind, 0),
}


def _refused_while_disabled(opcode: Opcode, rig: Rig) -> None:
    _start(rig)
    _needs_command(rig, opcode)
    data = {SA_TYPE[direction]: sa_octets(rig, any_sa(rig, direction), 0) for direction in DIRECTIONS}
    for state in _disabled(rig):
        for kind, octets in data.items():
            answer = _COMMANDS[opcode](rig, kind, octets)
            what = f"{opcode.name} of an {kind.name} while {state}"
            rig.refused(answer, what, AdminStatus.EINVAL, Qualifier.INVALID_OPCODE)


def _disabled(rig: Rig) -> Iterator[str]:
    """Bring the device into each state in which a capability is disabled (D36, D64); gives it in words."""
    for disabled in CAPS:
        rig.negotiate()
        rig.driver.set_up_commands()
        for cap in CAPS:
            if cap is not disabled:
                rig.driver.admin.set_driver_cap(cap, rig.driver.admin.device_cap(cap))
        yield f"{disabled.name} has not been set"
        rig.driver.admin.set_driver_cap(disabled, rig.driver.admin.device_cap(disabled))
        rig.driver.admin.set_driver_cap(disabled, bytes(8))  # both limits, and the count of modes
        yield f"{disabled.name} is set to zero"
    rig.negotiate(without=(Feature.IPSEC,))
    rig.driver.set_up_commands()
    yield "VIRTIO_NET_F_IPSEC is not negotiated"


for _opcode in _COMMANDS:
    add(
        f"ipsec.disabled-{_opcode.name.removeprefix('RESOURCE_OBJ_').lower()}",
        f"{_opcode.name} of either SA type gets EINVAL, INVALID_OPCODE while one of the two capabilities is disabled.",
        partial(_refused_while_disabled, _opcode),
    )


# -- what cannot be created --------------------------------------------------------------------------------------


@check
def create_existing_id(rig: Rig) -> None:
    """CREATE with the id of an SA of the same type gets EEXIST, though the SA is a new one otherwise."""
    _start(rig)
    for direction in DIRECTIONS:
        params = any_sa(rig, direction)
        associations.create(rig, params, 1)
        answer = _create(rig, replace(params, spi=SPI + 1), 1)
        rig.refused(answer, f"a second {SA_TYPE[direction].name} with id 1", AdminStatus.EEXIST)


def _id_limit(direction: Direction, rig: Rig) -> None:
    _start(rig, room=1)
    device = limits(rig)
    # The other direction's limit is the greater one, so that taking one for the other shows.
    mine = min(2, device[direction])
    other = min(mine + 2, device[_OTHER[direction]])
    inbound, outbound = (mine, other) if direction is INBOUND else (other, mine)
    rig.ok(rig.cap_set(CapId.IPSEC_RESOURCE_CAP, resource_cap(inbound, outbound)), "DRIVER_CAP_SET of smaller limits")
    params = any_sa(rig, direction)
    for resource_id in (mine, mine + 1, 0xFFFFFFFF):
        what = f"CREATE of {SA_TYPE[direction].name} {resource_id}, the limit being {mine}"
        rig.refused(_create(rig, params, resource_id), what)


_OTHER = {OUTBOUND: INBOUND, INBOUND: OUTBOUND}
_PREFIX = {OUTBOUND: "outb", INBOUND: "inb"}

for _direction, _prefix in _PREFIX.items():
    add(
        f"ipsec.{_prefix}-id-limit",
        f"CREATE of an {SA_TYPE[_direction].name} with an id from the {_prefix}_sa_limit that the driver set on fails.",
        partial(_id_limit, _direction),
    )


def _unsupported(direction: Direction, kind: str, rig: Rig) -> None:
    _start(rig)
    tried = False
    for what, data in UNSUPPORTED[kind](rig, direction):
        tried = True
        rig.refused(rig.create(SA_TYPE[direction], 0, data), f"CREATE of an {SA_TYPE[direction].name} with {what}")
    if not tried:
        raise NotApplicable("there is nothing of this kind that the device does not have")


for _direction, _prefix in _PREFIX.items():
    for _kind in UNSUPPORTED:
        if _direction is OUTBOUND and _kind == "replay-window":
            continue
        add(
            f"ipsec.{_prefix}-unsupported-{_kind}",
            f"CREATE of an {SA_TYPE[_direction].name} with a {_kind.replace('-', ' ')} that IPSEC_SA_CAP lacks fails.",
            partial(_unsupported, _direction, _kind),
        )


@check
def duplicate_spi(rig: Rig) -> None:
    """A second SA of the same type with the SPI of the first is created, or gets EINVAL."""
    _start(rig)
    for direction in DIRECTIONS:
        params = any_sa(rig, direction)
        associations.create(rig, params, 0)
        answer = _create(rig, params, 1)
        expected = (AdminStatus.OK, AdminStatus.EINVAL)
        what = f"a second {SA_TYPE[direction].name} with the same spi"
        rig.expect(bool(answer.written) and answer.status in expected, what, "OK or EINVAL", str(answer))


# -- what becomes of SAs -----------------------------------------------------------------------------------------


@check
def sa_lookup_outbound(rig: Rig) -> None:
    """Of several outbound SAs, each packet goes through the one whose id its header has."""
    _start(rig)
    params = any_sa(rig, OUTBOUND)
    sas = {number: replace(params, spi=SPI + at) for at, number in enumerate(_ids(rig, OUTBOUND))}
    for number, each in sas.items():
        associations.create(rig, each, number)
    for number in (*sorted(sas), *sas):
        wire = associations.send(rig, number, FRAME)
        rig.equal(f"SPI of a packet for SA {number}", sas[number].spi, spi_of(wire))


@check
def sa_lookup_inbound(rig: Rig) -> None:
    """Of several inbound SAs, each packet goes through the one with its SPI, whose id the driver is told."""
    _start(rig)
    rig.driver.steer_ipsec()
    params = any_sa(rig, INBOUND)
    sas = {number: replace(params, spi=SPI + at) for at, number in enumerate(_ids(rig, INBOUND))}
    for number, each in sas.items():
        associations.create(rig, each, number)
    for number in sorted(sas):
        wire = associations.protected(associations.sender(sas[number]), FRAME)
        packet = associations.accepted(rig, wire, f"a packet of SA {number}")
        rig.equal(f"resource_id of a packet of SA {number}", number, packet.resource_id)


def _ids(rig: Rig, direction: Direction) -> list[int]:
    """Ids in an order that is not theirs, as many as there can be."""
    return [number for number in (5, 0, 3, 1) if number < limits(rig)[direction]]


@check
def recreate_after_destroy(rig: Rig) -> None:
    """An SA that was destroyed can be created again as it was, and another one with its id, without a reset."""
    _start(rig)
    for direction in DIRECTIONS:
        params, kind = any_sa(rig, direction), SA_TYPE[direction]
        associations.create(rig, params, 1)
        for again in (params, replace(params, spi=SPI + 1)):
            rig.ok(rig.destroy(kind, 1), f"DESTROY of {kind.name} 1")
            rig.ok(_create(rig, again, 1), f"CREATE of {kind.name} 1 after it was destroyed")


@check
def reset_destroys_objects(rig: Rig) -> None:
    """After a reset there are no SAs and no rules: nothing is processed, and every id and SPI is free."""
    _start(rig)
    rig.driver.steer_ipsec()
    outbound, inbound = any_sa(rig, OUTBOUND), any_sa(rig, INBOUND)
    for params in (outbound, inbound):
        associations.create(rig, params, 1)
    rig.reset()
    rig.start()
    _expect_unprotected(rig, 1, "a packet for an outbound SA from before the reset")
    _expect_unprocessed(rig, inbound, "a packet of an inbound SA from before the reset")
    for params in (outbound, inbound):
        rig.ok(_create(rig, params, 1), f"CREATE of {SA_TYPE[params.direction].name} 1, which was there before a reset")
    group = rig.create(ResourceType.FF_GROUP, 1, build(FfGroup, group_priority=1))
    rig.ok(group, "CREATE of FF_GROUP 1, which was there before a reset")
    _expect_unprocessed(rig, inbound, "a packet that only a rule from before the reset steers into IPsec")
