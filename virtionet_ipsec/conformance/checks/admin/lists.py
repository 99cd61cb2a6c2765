"""Group administration commands: the lists of those supported and those in use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from ....wire.admin import CapGetData, CapSetData
from ....wire.codec import build
from ....wire.enums import AdminStatus, CapId, Feature, Opcode, Qualifier
from ...check import check
from ...driving import objects
from ...driving.refusals import LISTS
from ...driving.rig import Answer, Rig
from ...verdict import NotApplicable

EINVAL = AdminStatus.EINVAL


def _on_capabilities(rig: Rig) -> Iterator[tuple[Opcode, bytes]]:
    """The commands on capabilities, with command_specific_data that are valid."""
    for cap, data in objects.set_up(rig).items():
        yield Opcode.CAP_ID_LIST_QUERY, b""
        yield Opcode.DEVICE_CAP_GET, build(CapGetData, id=cap)
        yield Opcode.DRIVER_CAP_SET, build(CapSetData, id=cap) + data


@check
def list_after_reset(rig: Rig) -> None:
    """Without LIST_USE, at first and after the reset of a device that used all: LIST_QUERY works, and nothing else."""
    rig.needs(Feature.ADMIN_VQ)
    rig.negotiate()
    rig.list_query()
    gets = [(Opcode.DEVICE_CAP_GET, build(CapGetData, id=cap)) for cap in CapId]
    _check_refused(rig, [(Opcode.CAP_ID_LIST_QUERY, b""), *gets], "without LIST_USE")
    used = list(_on_capabilities(rig))
    rig.negotiate()
    rig.list_query()
    _check_refused(rig, used, "without LIST_USE after a reset")


def _check_refused(rig: Rig, commands: list[tuple[Opcode, bytes]], when: str) -> None:
    for opcode, data in commands:
        rig.refused(rig.command(opcode, data), f"{opcode.name} {when}")


@check
def unlisted_command(rig: Rig) -> None:
    """Each supported opcode that was not given to LIST_USE gets EINVAL, INVALID_OPCODE."""
    rig.needs(Feature.ADMIN_VQ)
    rig.negotiate()
    supported = sorted(rig.list_query() - set(LISTS))
    if not supported:
        raise NotApplicable("the device has no commands but LIST_QUERY and LIST_USE")
    for opcode in supported:
        answer = rig.command(opcode)
        rig.refused(answer, f"opcode {opcode:#06x} before LIST_USE", EINVAL, Qualifier.INVALID_OPCODE)
    for opcode in supported:
        used = [*LISTS, *(other for other in supported if other != opcode)]
        if objects.succeeded(rig.list_use(used)):
            answer = rig.command(opcode)
            rig.refused(answer, f"opcode {opcode:#06x}, not given to LIST_USE", EINVAL, Qualifier.INVALID_OPCODE)


@check
def list_use_sets_list(rig: Rig) -> None:
    """Several lists in turn, the last one without LIST_QUERY: what LIST_USE took can be used, what it left out not."""
    commands = dict(_on_capabilities(rig)) | {Opcode.LIST_QUERY: b""}
    capabilities = [opcode for opcode in commands if opcode is not Opcode.LIST_QUERY]
    lists: list[list[Opcode]] = [
        *([*LISTS, opcode] for opcode in capabilities),
        [*LISTS, *capabilities],
        [*LISTS, *capabilities[:1]],
        [Opcode.LIST_USE, *capabilities],
    ]
    taken = [used for used in lists if _check_list(rig, used, commands)]
    if not taken:
        raise NotApplicable("the device takes none of the lists: it has restrictions of its own")


def _check_list(rig: Rig, used: list[Opcode], commands: dict[Opcode, bytes]) -> bool:
    """Whether LIST_USE took the list; fails unless that is the list of legal commands then."""
    names = " ".join(opcode.name for opcode in used)
    if not objects.succeeded(rig.list_use(used)):
        return False
    for opcode, data in commands.items():
        answer = rig.command(opcode, data)
        if opcode in used:
            rig.ok(answer, f"{opcode.name} after LIST_USE of {names}")
        else:
            rig.refused(answer, f"{opcode.name} after LIST_USE of {names}")
    return True


@check
def list_never_shrinks(rig: Rig) -> None:
    """What LIST_QUERY gave at first it gives after LIST_USE of less, with objects, and after resets."""
    rig.needs(Feature.ADMIN_VQ)
    rig.negotiate()
    reported = rig.list_query()

    def look(when: str) -> None:
        nonlocal reported
        gone = sorted(reported - rig.list_query())
        what = f"opcodes that LIST_QUERY no longer gives {when}"
        rig.expect(not gone, what, "none", ", ".join(f"{opcode:#06x}" for opcode in gone))
        reported |= rig.list_query()

    rig.list_use(LISTS)
    look("after LIST_USE of two")
    rig.list_use(reported)
    look("after LIST_USE of all")
    rig.negotiate()
    look("after a reset")
    rig.start()
    look("with the capabilities set")
    with suppress(NotApplicable):  # without objects the rest has been seen
        for kind in objects.start(rig).values():
            objects.make(rig, kind)
        look("with objects")
    rig.negotiate()
    look("after the reset of a device with objects")


def _lists_again(rig: Rig) -> Iterator[tuple[str, Answer]]:
    """LIST_USE of a list that was accepted before a reset, without LIST_QUERY: in words, and the answer."""
    rig.needs(Feature.ADMIN_VQ)
    rig.negotiate()
    supported = sorted(rig.list_query())
    for count in range(len(LISTS), len(supported) + 1):
        used = supported[:count]
        rig.negotiate()
        if objects.succeeded(rig.list_use(used)):
            rig.negotiate()
            yield f"LIST_USE of {len(used)} opcodes that were accepted before the reset", rig.list_use(used)


@check
def same_list_after_reset(rig: Rig) -> None:
    """A list that LIST_USE accepted is accepted after a device reset, without LIST_QUERY."""
    for what, answer in _lists_again(rig):
        rig.ok(answer, what)


@check
def same_list_not_at_fault(rig: Rig) -> None:
    """A list that LIST_USE accepted is not refused as such, with EINVAL, INVALID_FIELD, after a device reset."""
    for what, answer in _lists_again(rig):
        blamed = (answer.status, answer.qualifier) == (EINVAL, Qualifier.INVALID_FIELD)
        rig.expect(not blamed, what, "anything but EINVAL, INVALID_FIELD", str(answer))
