"""The input of a target, read from its beginning to its end: what is missing at the end is zeros."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Octets:
    """True as long as something is left."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, length: int) -> bytes:
        """The next ``length`` octets; fewer at the end."""
        self._at += length
        return self._data[self._at - length : self._at]

    def number(self, octets: int = 1) -> int:
        """Little-endian."""
        return int.from_bytes(self.take(octets), "little")

    def pick(self, among: Sequence[T]) -> T:
        return among[self.number() % len(among)]
