"""Bad input from a person's file or command line: one line, no traceback."""

from __future__ import annotations


def printable(text: str) -> str:
    """``text`` on one line and without control characters: file names may hold anything."""
    return "".join(c if c.isprintable() else "?" for c in text)


class InputError(ValueError):
    """``where`` (file, line, byte or key), ``what`` is wrong, and how to ``mend`` it; never key material."""

    def __init__(self, where: str, what: str, mend: str) -> None:
        super().__init__(where, what, mend)
        self.where = where
        self.what = what
        self.mend = mend

    def __str__(self) -> str:
        return printable(f"{self.where}: {self.what}; {self.mend}")
