"""Administration virtqueues, virtio 1.4, 2.13: the two parts of a command's buffer, and commands to try again."""

from __future__ import annotations

from ..watching.command import Command
from ..watching.command_sizes import described_length
from ..watching.history import PATIENCE
from ..watching.rule import Finding, on_command
from ..watching.view import View


@on_command()
def readable_length(view: View, command: Command) -> Finding:
    """The device-readable part is no shorter than the command's structure."""
    needed = described_length(command, view.profile)
    got = len(command.readable)
    if got >= needed:
        return []
    return [f"the device-readable part of opcode {command.opcode:#x} has {got} octets, and the structure {needed}"]


@on_command()
def readable_multiple(view: View, command: Command) -> Finding:
    """The device-readable part is a multiple of 64 bits long."""
    return _multiple("device-readable", len(command.readable))


@on_command()
def writable_multiple(view: View, command: Command) -> Finding:
    """The device-writable part is a multiple of 64 bits long."""
    return _multiple("device-writable", command.writable_len)


@on_command()
def readable_not_empty(view: View, command: Command) -> Finding:
    """There is a device-readable part."""
    return [] if command.readable else ["the device-readable part is empty"]


@on_command()
def writable_not_empty(view: View, command: Command) -> Finding:
    """There is a device-writable part."""
    return [] if command.writable_len > 0 else ["the device-writable part is empty"]


@on_command()
def retries_eagain(view: View, command: Command) -> Finding:
    """A command that completed with EAGAIN is sent again before long, and so is one sent again that did."""
    history = view.history
    if history.busy is None:
        return None
    if command.identity == history.busy:
        return []
    if history.commands_since < PATIENCE:
        return None
    opcode = int.from_bytes(history.busy[:2], "little")
    return [f"opcode {opcode:#x} completed with EAGAIN, and {PATIENCE + 1} other commands came before it again"]


def _multiple(part: str, length: int) -> Finding:
    return [f"the {part} part has {length} octets, which is no multiple of 8"] if length % 8 else []
