"""Typed access to a TOML table of an SA file: every complaint names the key and the mend."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from .model import SaFileError
from .toml_place import Place
from .values import did_you_mean, octets, shown

_KINDS = {bool: "a boolean", int: "an integer", float: "a float", str: "a string", list: "an array", dict: "a table"}

T = TypeVar("T")


class Table:
    """A table whose keys are all among ``known``; ``prefix`` is put before them in messages."""

    def __init__(self, values: dict[str, Any], place: Place, known: Collection[str], prefix: str = "") -> None:
        self._values = values
        self._place = place
        self._prefix = prefix
        for key in values:
            if key not in known:
                mend = did_you_mean(key, known)
                raise place.error(prefix + key, "is not a key of this table", mend, prefix + shown(key))

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def error(self, key: str, what: str, mend: str) -> SaFileError:
        """The error to raise about ``key``."""
        return self._place.error(self._prefix + key, what, mend)

    def need(self, key: str, mend: str) -> None:
        """Raise when ``key`` is not there."""
        if key not in self._values:
            raise self.error(key, "is missing", mend)

    def integer(self, key: str, low: int, high: int, default: int = 0) -> int:
        """An integer in ``low`` to ``high``; a string holds one too, in decimal or with 0x."""
        value = self._values.get(key, default)
        bounds = f"give an integer in {low} to {high:#x}" if high > 0xFFFF else f"give an integer in {low} to {high}"
        if isinstance(value, str):
            try:
                value = int(value, 0) if len(value) <= 24 else None
            except ValueError:
                value = None
            if value is None:
                raise self.error(key, "is a string that holds no integer", bounds)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong_kind(key, value, "an integer", bounds)
        if not low <= value <= high:
            raise self.error(key, "is out of range", bounds)
        return value

    def boolean(self, key: str) -> bool:
        """A boolean; false if it is not there."""
        value = self._values.get(key, False)
        if not isinstance(value, bool):
            raise self._wrong_kind(key, value, "a boolean", "write true or false")
        return value

    def parsed(self, key: str, parse: Callable[[str], T], mend: str, default: str = "") -> T:
        """What ``parse`` makes of a string; its ValueError says what is wrong with that."""
        value = self._values.get(key, default)
        if not isinstance(value, str):
            raise self._wrong_kind(key, value, "a string", mend)
        try:
            return parse(value)
        except ValueError as error:
            raise self.error(key, str(error), mend) from None

    def octets(self, key: str) -> bytes:
        """Octets written as a string of hex digits; none if it is not there."""
        return self.parsed(key, octets, "write a string of hex digits, two for an octet")

    def choice(self, key: str, known: Collection[str]) -> str:
        """A string that is one of ``known``."""
        value = self._values[key]
        if not isinstance(value, str):
            raise self._wrong_kind(key, value, "a string", f"one of: {', '.join(known)}")
        if value not in known:
            raise self.error(key, "is not a name that belongs here", did_you_mean(value, known))
        return value

    def flag_or_choice(self, key: str, known: Collection[str]) -> bool | str:
        """A boolean, or a string that is one of ``known``; false if it is not there."""
        return self.choice(key, known) if isinstance(self._values.get(key), str) else self.boolean(key)

    def number_or_name(self, key: str, high: int, known: Mapping[str, int]) -> int:
        """An integer in 0 to ``high``, or a name for one."""
        return known[self.choice(key, known)] if isinstance(self._values[key], str) else self.integer(key, 0, high)

    def choices(self, key: str, known: Collection[str]) -> set[str]:
        """An array of strings that are among ``known``."""
        names = self._values.get(key, [])
        mend = f"write an array of names, of: {', '.join(known)}"
        if not isinstance(names, list):
            raise self._wrong_kind(key, names, "an array", mend)
        for name in names:
            if not isinstance(name, str):
                raise self._wrong_kind(key, name, "a name", mend)
            if name not in known:
                raise self.error(key, f"{shown(name)} is not an option", did_you_mean(name, known))
        return set(names)

    def table(self, key: str, known: Collection[str]) -> Table:
        """The subtable ``key``; an empty one if it is not there."""
        value = self._values.get(key, {})
        if not isinstance(value, dict):
            raise self._wrong_kind(key, value, "a table", f"write {key} = {{...}} with keys of: {', '.join(known)}")
        return Table(value, self._place, known, f"{self._prefix}{key}.")

    def _wrong_kind(self, key: str, value: object, wanted: str, mend: str) -> SaFileError:
        return self.error(key, f"is {_KINDS.get(type(value), 'a date or time')}, not {wanted}", mend)
