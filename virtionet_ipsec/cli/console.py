"""Printing tables and what people named their files."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

_PLAIN_WIDTH = 1000  # columns where there is no terminal to ask


class PlainConsole(Console):
    """rich's console without its reading of texts: no markup, no emoji, no highlighting."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)
        if not self.is_terminal:
            self.width = _PLAIN_WIDTH

    def on_broken_pipe(self) -> None:
        """rich would exit with 1, which means something else here."""
        raise BrokenPipeError


def sa_table(rows: list[dict[str, Any]]) -> Table:
    """SAs as :func:`virtionet_ipsec.policy.sa_row` describes them."""
    table = Table(title="security associations", title_justify="left", box=None, pad_edge=False)
    for name in ("direction", "id", "spi", "mode"):
        table.add_column(name, no_wrap=True)
    table.add_column("algorithm", overflow="fold")  # the one to give way where there is little room
    for name in ("packets", "bytes", "failed"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        numbers = (row["packets"], row["bytes"], sum(row["failures"].values()))
        table.add_row(
            row["direction"], str(row["resource_id"]), row["spi"], row["mode"], row["algorithm"], *map(str, numbers)
        )
    return table
