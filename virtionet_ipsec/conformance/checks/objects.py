"""Device resource objects, virtio 1.4, 2.12.1.3; every check goes through all types that the device has."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ...wire.enums import AdminStatus, ResourceType
from ..check import check
from ..driving import objects
from ..driving.objects import Kind
from ..driving.rig import Answer, Rig
from ..verdict import NotApplicable

_FF_TYPES = frozenset({ResourceType.FF_GROUP, ResourceType.FF_CLASSIFIER, ResourceType.FF_RULE})


@check
def create_existing(rig: Rig) -> None:
    """CREATE with an id that exists, and data that would do for another, gets EEXIST; for each type."""
    for kind in objects.each(rig):
        objects.make(rig, kind)
        answer = rig.create(kind.type, 0, kind.data(1))
        rig.refused(answer, f"CREATE of {kind.name} 0 a second time", AdminStatus.EEXIST)


def _missing(rig: Rig, what: str, command: Callable[[Kind, int], Answer]) -> None:
    """Send a command for an id that never existed, then for one that was destroyed: ENXIO."""
    for kind in objects.each(rig):
        name = f"{what} of {kind.name}"
        rig.refused(command(kind, 0), f"{name} 0, which was never created", AdminStatus.ENXIO)
        objects.make(rig, kind)
        rig.ok(rig.destroy(kind.type, 0), f"DESTROY of {kind.name} 0")
        rig.refused(command(kind, 0), f"{name} 0, which was destroyed", AdminStatus.ENXIO)


@check
def modify_missing(rig: Rig) -> None:
    """MODIFY of an object that was never created, or was destroyed, gets ENXIO; for each type."""
    _missing(rig, "MODIFY", lambda kind, number: rig.modify(kind.type, number, kind.data(number)))


@check
def query_missing(rig: Rig) -> None:
    """QUERY of an object that was never created, or was destroyed, gets ENXIO; for each type."""
    _missing(rig, "QUERY", lambda kind, number: rig.query(kind.type, number))


@check
def destroy_missing(rig: Rig) -> None:
    """DESTROY of an object that was never created, or was destroyed, gets ENXIO; for each type."""
    _missing(rig, "DESTROY", lambda kind, number: rig.destroy(kind.type, number))


@check
def create_no_space(rig: Rig) -> None:
    """One group, classifier or rule more than the driver's limit gets ENOSPC."""
    kinds = (kind for kind in objects.each(rig) if kind.type in _FF_TYPES)
    for kind in _some(kinds, "the device has no flow filter, and an id above the limit of SAs is EINVAL (D34)"):
        existing = sum(needed == kind.type for needed, _, _ in kind.needed)
        for number in range(existing, kind.limit):
            objects.make(rig, kind, number)
        answer = rig.create(kind.type, kind.limit, kind.data(kind.limit))
        rig.refused(answer, f"CREATE of {kind.name} {kind.limit}, {kind.limit} exist", AdminStatus.ENOSPC)


def _some(kinds: Iterator[Kind], otherwise: str) -> Iterator[Kind]:
    """``kinds``; without any, the check does not apply."""
    empty = True
    for kind in kinds:
        empty = False
        yield kind
    if empty:
        raise NotApplicable(otherwise)


def _depended_on(rig: Rig, what: str, command: Callable[[Kind, int], Answer]) -> None:
    """Send a command for each object that a rule depends on: EBUSY."""
    kinds = objects.start(rig)
    if ResourceType.FF_RULE not in kinds:
        raise NotApplicable("the device has no objects on which others depend")
    rule = kinds[ResourceType.FF_RULE]
    objects.make_needed(rig, rule)
    objects.make(rig, rule)
    for needed, number, _ in rule.needed:
        answer = command(kinds[needed], number)
        rig.refused(answer, f"{what} of {needed.name} {number}, of which a rule exists", AdminStatus.EBUSY)


@check
def modify_depended_on(rig: Rig) -> None:
    """MODIFY of the group and of the classifier of a rule, to what they could be without it, gets EBUSY."""
    _depended_on(rig, "MODIFY", lambda kind, number: rig.modify(kind.type, number, kind.changed(number)))


@check
def destroy_depended_on(rig: Rig) -> None:
    """DESTROY of the group and of the classifier of a rule gets EBUSY."""
    _depended_on(rig, "DESTROY", lambda kind, number: rig.destroy(kind.type, number))


@check
def recreate(rig: Rig) -> None:
    """An object is destroyed and created again, with the same data and with other data; for each type."""
    for kind in objects.each(rig):
        for data in (kind.data(0), kind.data(0), kind.changed(0), kind.data(0)):
            rig.ok(rig.create(kind.type, 0, data), f"CREATE of {kind.name} 0")
            rig.ok(rig.destroy(kind.type, 0), f"DESTROY of {kind.name} 0")


@check
def any_free_id(rig: Rig) -> None:
    """Ids from 0 to limit - 1 are used in no order, with gaps, the last one first; for each type."""
    for kind in objects.each(rig, 2 * objects.LIMIT):
        last = kind.limit - 1
        for number in dict.fromkeys((last, 0, last // 2, max(last - 1, 0))):
            objects.make(rig, kind, number)


@check
def as_many_as_limit(rig: Rig) -> None:
    """As many objects are created as the driver's capability says, one after the other; for each type."""
    for kind in objects.each(rig):
        for number in range(kind.limit):
            objects.make(rig, kind, number)


@check
def failed_modify(rig: Rig) -> None:
    """MODIFY with data that no object can have: when it fails, QUERY gives what it gave before; for each type."""
    failed = False
    for kind in objects.each(rig):
        objects.make(rig, kind)
        for what, data in objects.impossible(rig, kind):
            before = objects.held(rig, kind)
            if not objects.succeeded(rig.modify(kind.type, 0, data)):
                failed = True
                objects.check_held(rig, kind, 0, before, f"after a MODIFY with {what} that failed")
    if not failed:
        raise NotApplicable("no MODIFY failed")


@check
def query_matches(rig: Rig) -> None:
    """QUERY gives the data of CREATE, and those of a MODIFY that succeeded, others being there; for each type."""
    for kind in objects.each(rig):
        made = {number: objects.make(rig, kind, number) for number in range(min(kind.limit, 2))}
        for number, data in made.items():
            objects.check_held(rig, kind, number, data, "after CREATE")
        if objects.succeeded(rig.modify(kind.type, 0, kind.changed(0))):
            made[0] = kind.changed(0)
        for number, data in made.items():
            objects.check_held(rig, kind, number, data, "after MODIFY of the first")


@check
def reset(rig: Rig) -> None:
    """After a device reset no object is left: QUERY is refused, and the id can be used again; for each type."""
    for kind in objects.each(rig):
        for number in range(kind.limit):
            objects.make(rig, kind, number)
        objects.start(rig)
        for number in range(kind.limit):
            rig.refused(rig.query(kind.type, number), f"QUERY of {kind.name} {number} after a reset")
        objects.make_needed(rig, kind)
        for number in range(kind.limit):
            objects.make(rig, kind, number)
