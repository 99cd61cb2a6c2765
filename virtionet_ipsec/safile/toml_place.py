"""Where in a TOML file something stands.

:mod:`tomllib` keeps no positions, so the lines of ``[[sa]]`` headers and of keys
are looked for in the text.  Where they cannot be told (tables written inline in
one array), a place is the number of the ``[[sa]]`` alone.
"""

from __future__ import annotations

import re

from .model import SaFileError

_SA = re.compile(r"""\s*\[\[\s*(?:sa|"sa"|'sa')\s*\]\]""")
_SUBTABLE = re.compile(r"""\s*\[\s*sa\s*\.\s*["']?([\w-]+)["']?\s*\]""")
_KEY = re.compile(r"""\s*["']?([\w-]+)["']?\s*(?:\.\s*["']?([\w-]+)["']?\s*)?=""")


class Text:
    """A TOML file's name and lines, and the line of each ``[[sa]]``."""

    def __init__(self, name: str, text: str, count: int) -> None:
        self.name = name
        self.lines = text.splitlines()
        headers = [index for index, line in enumerate(self.lines) if _SA.match(line)]
        self.headers = headers if len(headers) == count else None


class Place:
    """The ``number``-th ``[[sa]]`` of a file, from 1."""

    def __init__(self, text: Text, number: int) -> None:
        self._text = text
        self._number = number

    @property
    def origin(self) -> str:
        """``FILE:LINE`` of the header, or ``FILE [[sa]] N``."""
        headers = self._text.headers
        if headers is None:
            return f"{self._text.name} [[sa]] {self._number}"
        return f"{self._text.name}:{headers[self._number - 1] + 1}"

    def error(self, key: str, what: str, mend: str, shown: str | None = None) -> SaFileError:
        """An error about ``key``, which is dotted inside a subtable; ``shown`` in its place if not all may be."""
        headers = self._text.headers
        line = "" if headers is None else f":{self._line(key, headers) + 1}"
        return SaFileError(f"{self._text.name}{line}: [[sa]] {self._number} {shown or key}", what, mend)

    def _line(self, key: str, headers: list[int]) -> int:
        """Index of the line that gives ``key``, else of its table, else of the header."""
        start = headers[self._number - 1]
        stop = headers[self._number] if self._number < len(headers) else len(self._text.lines)
        found, subtable = start, ""
        for index in range(start + 1, stop):
            line = self._text.lines[index]
            if match := _SUBTABLE.match(line):
                subtable = match[1] + "."
                if key.startswith(subtable):
                    found = index
            elif match := _KEY.match(line):
                name = subtable + (f"{match[1]}.{match[2]}" if match[2] else match[1])
                if name == key:
                    return index
                if key.startswith(name + "."):
                    found = index
        return found
