"""Group administration commands, virtio 1.4, 2.12.1: which commands a driver sends, and LIST_USE before them."""

from __future__ import annotations

from ...wire.admin import AdminCmdList
from ...wire.bitmap import bitmap_numbers
from ...wire.codec import parse
from ...wire.enums import Opcode
from ..watching.rule import Finding, on_command
from ..watching.view import Command, View

_LISTS = (Opcode.LIST_QUERY, Opcode.LIST_USE)
_MOST = 1 << 16  # opcodes are le16, and a list may be any number of octets long
_DEFINED = frozenset(Opcode)


def _name(opcode: int) -> str:
    return Opcode(opcode).name if opcode in _DEFINED else f"opcode {opcode:#x}"


def _names(opcodes: frozenset[int]) -> str:
    shown = [_name(opcode) for opcode in sorted(opcodes)[:8]]
    return ", ".join(shown) + (f" and {len(opcodes) - 8} more" if len(opcodes) > 8 else "")


def _listed(command: Command) -> frozenset[int]:
    return bitmap_numbers(parse(AdminCmdList, command.data[: _MOST // 8]).device_admin_cmd_opcodes)


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
    strange = _listed(command) - _DEFINED
    return [f"LIST_USE has {_names(strange)}, which the specification does not define"] if strange else []


@on_command(Opcode.LIST_USE)
def list_use_subset(view: View, command: Command) -> Finding:
    """LIST_USE has only opcodes that LIST_QUERY reported for the same group type."""
    strange = _listed(command) - view.reported.get(command.group_type, frozenset())
    if not strange:
        return []
    return [f"LIST_USE for group_type {command.group_type} has {_names(strange)}, which LIST_QUERY did not report"]


@on_command()
def listed_commands(view: View, command: Command) -> Finding:
    """Every command is in the list of the last LIST_USE for its group type."""
    if command.opcode in _LISTS:
        return None
    if command.opcode in view.in_use.get(command.group_type, frozenset()):
        return []
    return [f"{_name(command.opcode)} is not in the LIST_USE for group_type {command.group_type}"]
