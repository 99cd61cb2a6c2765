"""Rules: what a driver must and must not do, each judged on one exchange at a time.

    @rule(Transmitted)
    def num_buffers(view: View, sent: Transmitted) -> Finding:
        \"""num_buffers of a transmit buffer is zero.\"""

in ``rules/tx.py`` is the rule ``driver.tx.num-buffers``.  :func:`on_command`
is for commands, which the rule gets taken apart.  A rule gives None when the
exchange is none of its business, an empty list when the driver did as it
should, and else a sentence for each violation, without key material.

Where a statement is about what a driver sends, a command counts whatever the
device answers; where it is about what the driver then has, only one that was
carried out (``Command.ok``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...device.exchanges import Commanded, Exchange
from .command import Command
from .view import View

Finding = list[str] | None


@dataclass(frozen=True, slots=True)
class Rule:
    """``id``, what it holds the driver to, which exchanges (and of commands, which opcodes) it wants to see."""

    id: str
    sentence: str
    kinds: tuple[type[Exchange], ...]
    opcodes: frozenset[int] | None
    judge: Callable[[View, Any], Finding]


REGISTRY: dict[str, Rule] = {}


def rule(*kinds: type[Any]) -> Callable[[Callable[[View, Any], Finding]], Callable[[View, Any], Finding]]:
    """Enter a rule that sees exchanges of these kinds."""

    def enter(judge: Callable[[View, Any], Finding]) -> Callable[[View, Any], Finding]:
        _enter(judge, kinds, None)
        return judge

    return enter


def on_command(*opcodes: int) -> Callable[[Callable[[View, Command], Finding]], Callable[[View, Command], Finding]]:
    """Enter a rule that sees commands with these opcodes, or all commands."""

    def enter(judge: Callable[[View, Command], Finding]) -> Callable[[View, Command], Finding]:
        _enter(judge, (Commanded,), frozenset(opcodes) or None)
        return judge

    return enter


def add(
    rule_id: str,
    sentence: str,
    kinds: tuple[type[Any], ...],
    judge: Callable[[View, Any], Finding],
    opcodes: frozenset[int] | None = None,
) -> None:
    """Enter a rule that is one of a family."""
    if rule_id in REGISTRY:
        raise ValueError(f"there are two rules {rule_id}")
    REGISTRY[rule_id] = Rule(rule_id, " ".join(sentence.split()), kinds, opcodes, judge)


def _enter(judge: Callable[[View, Any], Finding], kinds: tuple[type[Any], ...], opcodes: frozenset[int] | None) -> None:
    area = judge.__module__.rpartition(".")[2]
    add(f"driver.{area}.{judge.__name__.replace('_', '-')}", judge.__doc__ or "", kinds, judge, opcodes)


def rules() -> dict[str, Rule]:
    """All rules, by id."""
    from .. import rules as every  # noqa: F401 (importing enters them)

    return REGISTRY
