"""IPsec operation: capabilities, and the commands on SA objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial

from ....ipsec import Lifetime, SaParams, Tunnel
from ....wire.codec import parse
from ....wire.enums import AdminStatus, CapId, Feature, Opcode, Qualifier, ResourceType
from ....wire.profile import Profile
from ....wire.sa import ipsec_sa
from ...check import add, check
from ...driving import associations, frames
from ...driving.associations import INBOUND, OUTBOUND, SA_TYPE, SPI
from ...driving.feature_sets import left_out
from ...driving.objects import succeeded
from ...driving.rig import Answer, Rig
from ...driving.sa_objects import any_sa, every_sa, limits, sa_octets, start, try_create
from ...driving.sa_packets import not_processed, not_protected
from ...verdict import NotApplicable

FRAME = frames.udp4_frame()
CAPS = (CapId.IPSEC_RESOURCE_CAP, CapId.IPSEC_SA_CAP)

_NOT_IN_RFC = (Opcode.RESOURCE_OBJ_MODIFY, Opcode.RESOURCE_OBJ_QUERY)


def _needs_command(rig: Rig, opcode: Opcode) -> None:
    """What the RFC does not have, a device of that profile need not have either."""
    if rig.profile is Profile.RFC_V1 and opcode in _NOT_IN_RFC and opcode not in rig.list_query():
        raise NotApplicable(f"the RFC has no {opcode.name}")


def _cap_listed(cap: CapId, rig: Rig) -> None:
    rig.needs(Feature.IPSEC, Feature.ADMIN_VQ)
    for said, _ in left_out(rig, Feature.ADMIN_VQ, Feature.IPSEC):
        rig.driver.set_up_commands()
        listed = rig.cap_ids()
        shown = ", ".join(map(hex, sorted(listed))) or "none"
        rig.expect(cap in listed, f"supported_caps with {said}", f"bit {cap:#06x} set", shown)


for _cap in CAPS:
    _name = _cap.name.removeprefix("IPSEC_").lower().replace("_", "-")
    add(
        f"ipsec.{_name}-listed",
        f"With VIRTIO_NET_F_IPSEC negotiated, CAP_ID_LIST_QUERY lists VIRTIO_NET_{_cap.name}, {_cap:#06x}, whatever"
        " else is.",
        partial(_cap_listed, _cap),
    )


@check
def supports_create(rig: Rig) -> None:
    """Every mode, algorithm and option that IPSEC_SA_CAP has makes an SA of either type, at the highest id as well."""
    start(rig)
    for direction in SA_TYPE:
        choices = list(every_sa(rig, direction))
        rig.expect(bool(choices), "IPSEC_SA_CAP", "a mode with algorithms", "none that is known")
        ids = (limits(rig)[direction] - 1, 0)
        for number, params in enumerate(choices):
            answer = try_create(rig, replace(params, spi=SPI + number), ids[number % 2])
            what = f"CREATE of an {direction.value} SA: {params.protocol.name}, {params.mode.value} mode, "
            rig.ok(answer, what + params.algorithm_name)
            # One at a time: a device may have less room than its limit says (2.12.1.3).
            if not succeeded(rig.destroy(SA_TYPE[direction], ids[number % 2])):
                rig.start()


@check
def supports_modify(rig: Rig) -> None:
    """An SA of either type can be modified to what it is, an outbound one to another TTL, DSCP, DF or lifetime."""
    start(rig)
    _needs_command(rig, Opcode.RESOURCE_OBJ_MODIFY)
    for direction, kind in SA_TYPE.items():
        params = any_sa(rig, direction)
        number = associations.create(rig, params)
        rig.ok(rig.modify(kind, number, sa_octets(rig, params, number)), f"MODIFY of an {kind.name}, nothing changed")
        # Which fields can be modified is open (D85): of an inbound SA no more is asked, of an outbound one any.
        if direction is OUTBOUND and params.tunnel is not None:
            _modifiable(rig, params, params.tunnel, number)


def _modifiable(rig: Rig, params: SaParams, tunnel: Tunnel, number: int) -> None:
    """The outbound SA takes another TTL, which shows, or else another DSCP, DF or lifetime."""
    kind = SA_TYPE[OUTBOUND]
    if succeeded(rig.modify(kind, number, sa_octets(rig, replace(params, tunnel=replace(tunnel, ttl=17)), number))):
        wire = associations.send(rig, number, FRAME)
        rig.equal("the outer header's TTL after MODIFY", 17, wire[14 + 8])
        return
    others = [replace(params, tunnel=replace(tunnel, **field)) for field in ({"dscp": 26}, {"df": not tunnel.df})]
    with suppress(NotApplicable):
        others.append(any_sa(rig, OUTBOUND, lifetime=Lifetime(packets_hard=1 << 20)))
    taken = any(succeeded(rig.modify(kind, number, sa_octets(rig, each, number))) for each in others)
    rig.expect(taken, f"MODIFY of an {kind.name}: another TTL, DSCP, DF, lifetime", "one of them OK", "all refused")


@check
def supports_query(rig: Rig) -> None:
    """QUERY of an SA of either type, opcode 0xc, gives an SA object with its SPI."""
    start(rig)
    _needs_command(rig, Opcode.RESOURCE_OBJ_QUERY)
    for direction, kind in SA_TYPE.items():
        params = any_sa(rig, direction)
        number = associations.create(rig, params)
        found = parse(ipsec_sa(rig.profile), rig.ok(rig.query(kind, number), f"QUERY of an {kind.name}"))
        rig.equal(f"spi in the answer to QUERY of an {kind.name}", params.spi, found.spi)


@check
def supports_destroy(rig: Rig) -> None:
    """An SA of either type can be destroyed, and processes no packet after that."""
    start(rig)
    with suppress(NotApplicable):  # without rules no packet comes to an inbound SA in any case
        associations.steer(rig)
    made = {direction: any_sa(rig, direction) for direction in SA_TYPE}
    ids = {direction: associations.create(rig, params) for direction, params in made.items()}
    for direction, kind in SA_TYPE.items():
        rig.ok(rig.destroy(kind, ids[direction]), f"DESTROY of an {kind.name}")
    not_protected(rig, ids[OUTBOUND], made[OUTBOUND], "a packet for an outbound SA that was destroyed")
    not_processed(rig, made[INBOUND], "a packet of an inbound SA that was destroyed")


Command = Callable[[Rig, ResourceType, bytes], Answer]
_COMMANDS: dict[Opcode, Command] = {
    Opcode.RESOURCE_OBJ_CREATE: lambda rig, kind, data: rig.create(kind, 0, data),
    Opcode.RESOURCE_OBJ_MODIFY: lambda rig, kind, data: rig.modify(kind, 0, data),
    Opcode.RESOURCE_OBJ_QUERY: lambda rig, kind, _: rig.query(kind, 0),
    Opcode.RESOURCE_OBJ_DESTROY: lambda rig, kind, _: rig.destroy(kind, 0),
}


def _refused_while_disabled(opcode: Opcode, rig: Rig) -> None:
    start(rig)
    _needs_command(rig, opcode)
    data = {SA_TYPE[direction]: sa_octets(rig, any_sa(rig, direction), 0) for direction in SA_TYPE}
    for state in _disabled(rig):
        for kind, octets in data.items():
            answer = _COMMANDS[opcode](rig, kind, octets)
            what = f"{opcode.name} of an {kind.name} while {state}"
            rig.refused(answer, what, AdminStatus.EINVAL, Qualifier.INVALID_OPCODE)


def _disabled(rig: Rig) -> Iterator[str]:
    """Bring the device into each state in which a capability is disabled (D36, D64); gives that in words."""
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
        f"{_opcode.name} of either SA type gets EINVAL, INVALID_OPCODE while one of the two capabilities is disabled"
        " or VIRTIO_NET_F_IPSEC is not negotiated.",
        partial(_refused_while_disabled, _opcode),
    )
