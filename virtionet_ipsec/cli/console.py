"""Printing tables and what people named their files."""

from __future__ import annotations

from rich.console import Console

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
