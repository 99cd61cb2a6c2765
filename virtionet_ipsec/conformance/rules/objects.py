"""Device resource objects, virtio 1.4, 2.12.1.3: what a driver creates, modifies, queries and destroys.

All of it is about what the driver sends, whatever the device answers.
"""

from __future__ import annotations

from functools import partial

from ...device.exchanges import Commanded
from ...wire.enums import CapId, Opcode, ResourceType
from ..watching.capability_data import LIMIT_OF, RELATED, limits, related_objects
from ..watching.command import Command
from ..watching.rule import Finding, add, on_command
from ..watching.view import View

_TYPES = {int(kind): kind.name for kind in ResourceType}


def _name(what: tuple[int, int]) -> str:
    kind, resource_id = what
    return f"{_TYPES.get(kind, f'type {kind:#06x}')} {resource_id}"


@on_command(Opcode.RESOURCE_OBJ_CREATE)
def duplicate_id(view: View, command: Command) -> Finding:
    """No object is created with the type and id of one that exists."""
    if not command.for_self:
        return None
    return [f"{_name(command.object)} exists already"] if command.object in view.objects else []


@on_command(Opcode.RESOURCE_OBJ_CREATE)
def limit(view: View, command: Command) -> Finding:
    """No more objects of a type are created than the driver's capability allows."""
    kind = command.object[0]
    if not command.for_self or kind not in LIMIT_OF or command.object in view.objects:
        return None
    cap, name = LIMIT_OF[kind]
    if cap not in view.driver_caps:
        return None
    most, existing = limits(cap, view.driver_caps[cap])[name], view.index.counts[kind]
    if existing < most:
        return []
    return [f"{_name(command.object)} is created while {existing} exist, and {name} is {most}"]


def _after_destroy(opcode: Opcode, view: View, command: Command) -> Finding:
    if not command.for_self:
        return None
    if command.object in view.objects:
        return []
    return [f"{opcode.name} of {_name(command.object)}, destroyed before"] if command.object in view.destroyed else None


for _opcode in (Opcode.RESOURCE_OBJ_MODIFY, Opcode.RESOURCE_OBJ_QUERY, Opcode.RESOURCE_OBJ_DESTROY):
    _verb = _opcode.name.rpartition("_")[2].lower()
    add(
        f"driver.objects.{_verb}-destroyed",
        f"No {_opcode.name} is for an object that the driver has destroyed.",
        (Commanded,),
        partial(_after_destroy, _opcode),
        frozenset({_opcode}),
    )


@on_command(Opcode.RESOURCE_OBJ_DESTROY)
def destroy_depended_on(view: View, command: Command) -> Finding:
    """No object is destroyed on which others depend."""
    kind, resource_id = command.object
    if not command.for_self or command.object not in view.objects:
        return None
    users = {
        int(ResourceType.FF_GROUP): view.index.rules_of_group,
        int(ResourceType.FF_CLASSIFIER): view.index.rules_of_classifier,
    }
    rules = users[kind](resource_id) if kind in users else ()
    return [f"{_name(command.object)} is destroyed while {len(rules)} FF_RULE depend on it"] if rules else []


@on_command(Opcode.DRIVER_CAP_SET)
def capability_kept(view: View, command: Command) -> Finding:
    """No capability is set while objects exist that depend on it."""
    cap = command.cap_id
    if not command.for_self or cap not in RELATED:
        return None
    existing = related_objects(view, cap)
    return [f"{CapId(cap).name} is set while there are {', '.join(existing)}"] if existing else []
