"""IPsec operation: SAs that cannot be created."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ....ipsec import Direction
from ....wire.enums import AdminStatus, CapId
from ...check import add, check
from ...driving import associations
from ...driving.associations import INBOUND, OUTBOUND, SA_TYPE, SPI
from ...driving.rig import Rig
from ...driving.sa_objects import any_sa, limits, resource_cap, start, try_create
from ...driving.unsupported import UNSUPPORTED
from ...verdict import NotApplicable


@check
def create_existing_id(rig: Rig) -> None:
    """CREATE with the id of an SA of the same type gets EEXIST, though the SA is a new one otherwise."""
    start(rig, room=2)  # at the limit, the answer may be about that
    for direction, kind in SA_TYPE.items():
        params = any_sa(rig, direction)
        number = associations.create(rig, params)
        answer = try_create(rig, replace(params, spi=SPI + 1), number)
        rig.refused(answer, f"a second {kind.name} with id {number}", AdminStatus.EEXIST)


def _id_limit(direction: Direction, rig: Rig) -> None:
    start(rig)
    device = limits(rig)
    # The other direction's limit is the greater one, so that taking one for the other shows.
    mine = min(2, device[direction])
    other = min(mine + 2, device[_OTHER[direction]])
    inbound, outbound = (mine, other) if direction is INBOUND else (other, mine)
    rig.ok(rig.cap_set(CapId.IPSEC_RESOURCE_CAP, resource_cap(inbound, outbound)), "DRIVER_CAP_SET of smaller limits")
    params = any_sa(rig, direction)
    for resource_id in (mine, mine + 1, 0xFFFFFFFF):
        what = f"CREATE of {SA_TYPE[direction].name} {resource_id}, the limit being {mine}"
        rig.refused(try_create(rig, params, resource_id), what)


_OTHER = {OUTBOUND: INBOUND, INBOUND: OUTBOUND}
_PREFIX = {OUTBOUND: "outb", INBOUND: "inb"}

for _direction, _prefix in _PREFIX.items():
    add(
        f"ipsec.{_prefix}-id-limit",
        f"CREATE of an {SA_TYPE[_direction].name} with an id from the {_prefix}_sa_limit that the driver set on fails.",
        partial(_id_limit, _direction),
    )


def _unsupported(direction: Direction, kind: str, rig: Rig) -> None:
    start(rig)
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
    start(rig, room=2)
    for direction, kind in SA_TYPE.items():
        params = any_sa(rig, direction)
        associations.create(rig, params, 0)
        answer = try_create(rig, params, 1)
        expected = (AdminStatus.OK, AdminStatus.EINVAL)
        what = f"a second {kind.name} with the same spi"
        rig.expect(bool(answer.written) and answer.status in expected, what, "OK or EINVAL", str(answer))
