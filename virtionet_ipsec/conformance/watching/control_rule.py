"""Rules on commands of the control virtqueue, which they get taken apart."""

from __future__ import annotations

from collections.abc import Callable

from ...device.control import command_name
from ...device.exchanges import Controlled
from ...wire.enums import Feature
from ...wire.features import feature_name
from .control_command import ControlCommand, control_command
from .rule import Finding, add
from .view import View

Key = tuple[int, int]
Judge = Callable[[View, ControlCommand], Finding]


def add_control_rule(rule_id: str, sentence: str, keys: frozenset[Key], judge: Judge) -> None:
    """Enter a rule that sees the commands in ``keys``, class and command each."""

    def on_control(view: View, exchange: Controlled) -> Finding:
        command = control_command(exchange)
        return judge(view, command) if command is not None and command.key in keys else None

    add(rule_id, sentence, (Controlled,), on_control)


def on_control(area: str, *keys: Key) -> Callable[[Judge], Judge]:
    """A decorator that enters a rule of this area by its function's name."""

    def enter(judge: Judge) -> Judge:
        rule_id = f"driver.{area}.{judge.__name__.replace('_', '-')}"
        add_control_rule(rule_id, judge.__doc__ or "", frozenset(keys), judge)
        return judge

    return enter


def needs(feature: Feature) -> Judge:
    """A rule's judgement: the command wants ``feature`` negotiated."""
    name = feature_name(feature)

    def judge(view: View, command: ControlCommand) -> Finding:
        return [] if view.has(feature) else [f"{command_name(*command.key)} without {name}"]

    return judge
