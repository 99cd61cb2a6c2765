"""Device and driver capabilities, virtio 1.4, 2.12.1.2: what a driver sets, and when.

All of it is about what the driver sends, whatever the device answers.
"""

from __future__ import annotations

from ...wire.enums import CapId, Opcode
from ..watching.capability_data import (
    ARRAYS,
    LIMITS,
    RELATED,
    entries,
    entries_beyond,
    flags_beyond,
    limits,
    nothing,
    related_objects,
)
from ..watching.command import Command
from ..watching.rule import Finding, on_command
from ..watching.view import View

_OBJECTS = (
    Opcode.RESOURCE_OBJ_CREATE,
    Opcode.RESOURCE_OBJ_MODIFY,
    Opcode.RESOURCE_OBJ_QUERY,
    Opcode.RESOURCE_OBJ_DESTROY,
)


@on_command(*_OBJECTS)
def set_first(view: View, command: Command) -> Finding:
    """DRIVER_CAP_SET was sent for each capability that an object depends on."""
    kind = command.object[0]
    needed = [CapId(cap) for cap, kinds in RELATED.items() if kind in kinds]
    if not command.for_self or not needed:
        return None
    missing = [cap.name for cap in needed if cap not in view.history.caps_sent]
    name = Opcode(command.opcode).name
    return [f"{name} of type {kind:#06x} without a DRIVER_CAP_SET of {', '.join(missing)}"] if missing else []


@on_command(Opcode.DRIVER_CAP_SET)
def limit_reported(view: View, command: Command) -> Finding:
    """DRIVER_CAP_SET sets no limit above the one that DEVICE_CAP_GET reported."""
    cap = command.cap_id
    if not command.for_self or cap not in LIMITS or cap not in view.device_caps:
        return None
    most = limits(cap, view.device_caps[cap])
    return [
        f"{CapId(cap).name}: {name} {wanted} is more than the {most[name]} reported"
        for name, wanted in limits(cap, command.cap_data).items()
        if wanted > most[name]
    ]


@on_command(Opcode.DRIVER_CAP_SET)
def flags_reported(view: View, command: Command) -> Finding:
    """DRIVER_CAP_SET sets no flag that DEVICE_CAP_GET did not report."""
    cap = command.cap_id
    if not command.for_self or cap not in (CapId.FF_SELECTOR_CAP, CapId.IPSEC_SA_CAP) or cap not in view.device_caps:
        return None
    wanted = entries(cap, command.cap_data, view.profile)
    had = entries(cap, view.device_caps[cap], view.profile)
    return [f"{CapId(cap).name}: {what}" for what in flags_beyond(cap, wanted, had)]


@on_command(Opcode.DRIVER_CAP_SET)
def entries_reported(view: View, command: Command) -> Finding:
    """DRIVER_CAP_SET sets no array entry that DEVICE_CAP_GET did not report."""
    cap = command.cap_id
    if not command.for_self or cap not in ARRAYS or cap not in view.device_caps:
        return None
    wanted = entries(cap, command.cap_data, view.profile)
    had = entries(cap, view.device_caps[cap], view.profile)
    return [f"{CapId(cap).name}: {what}" for what in entries_beyond(cap, wanted, had)]


@on_command(Opcode.DRIVER_CAP_SET)
def disable_busy(view: View, command: Command) -> Finding:
    """No capability is disabled while objects exist that depend on it."""
    cap = command.cap_id
    if not command.for_self or cap not in RELATED or not nothing(cap, command.cap_data):
        return None
    existing = related_objects(view, cap)
    return [f"{CapId(cap).name} is disabled while there are {', '.join(existing)}"] if existing else []
