"""Group administration commands, virtio 1.4, 2.12.1: which commands a driver sends, and LIST_USE before them."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from ...wire.bitmap import bitmap_numbers
from ...wire.enums import Opcode
from ..watching.command import Command
from ..watching.rule import Finding, on_command
from ..watching.view import View

_LISTS = (Opcode.LIST_QUERY, Opcode.LIST_USE)
_DEFINED = frozenset(Opcode)


def _name(opcode: int) -> str:
    return Opcode(opcode).name if opcode in _DEFINED else f"opcode {opcode:#x}"


def _names(opcodes: AbstractSet[int]) -> str:
    shown = [_name(opcode) for opcode in sorted(opcodes)[:8]]
    return ", ".join(shown) + (f" and {len(opcodes) - 8} more" if len(opcodes) > 8 else "")


@on_command()
def list_use_first(view: View, command: Command) -> Finding:
    """LIST_USE comes before every command but LIST_QUERY and itself."""
    if command.opcode in _LISTS:
        return None
    return [] if view.history.lists_used else [f"{_name(command.opcode)} is sent before any LIST_USE"]


@on_command()
def list_use_ok_first(view: View, command: Command) -> Finding:
    """A LIST_USE has succeeded before every command but LIST_QUERY and itself."""
    if command.opcode in _LISTS or not view.history.lists_used:
        return None
    return [] if view.in_use else [f"{_name(command.opcode)} is sent, and no LIST_USE has succeeded"]


@on_command(Opcode.LIST_USE)
def unfamiliar_opcodes(view: View, command: Command) -> Finding:
    """LIST_USE has only opcodes that the specification defines."""
    strange = bitmap_numbers(command.data) - _DEFINED
    return [f"LIST_USE has {_names(strange)}, which the specification does not define"] if strange else []


@on_command(Opcode.LIST_USE)
def list_use_subset(view: View, command: Command) -> Finding:
    """LIST_USE has only opcodes that LIST_QUERY reported for the same group type."""
    strange = bitmap_numbers(command.data) - view.reported.get(command.group_type, set())
    if not strange:
        return []
    return [f"LIST_USE for group_type {command.group_type} has {_names(strange)}, which LIST_QUERY did not report"]


@on_command()
def listed_commands(view: View, command: Command) -> Finding:
    """Every command but LIST_USE is in the list of the last LIST_USE for its group type that succeeded.

    LIST_QUERY may come before the first one.
    """
    listed = view.in_use.get(command.group_type)
    if command.opcode == Opcode.LIST_USE or (command.opcode == Opcode.LIST_QUERY and listed is None):
        return None
    if command.opcode in (listed or ()):
        return []
    return [f"{_name(command.opcode)} is not in the LIST_USE for group_type {command.group_type}"]
