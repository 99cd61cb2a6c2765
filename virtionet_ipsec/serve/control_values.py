"""What the bodies of requests hold, which anybody may have made up, and how requests are refused."""

from __future__ import annotations

import json

from ..control.messages import Result
from ..ipsec import Direction
from ..safile import Select
from ..safile.selects import select_from


class Refusal(Exception):
    """A request that is not carried out: ``what`` is wrong, and how to ``mend`` it."""

    status = Result.REFUSED

    def __init__(self, what: str, mend: str = "see specs/control.md") -> None:
        super().__init__(what, mend)
        self.what = what
        self.mend = mend


class BadRequest(Refusal):
    """A body that is none of its kind's."""

    status = Result.BAD_REQUEST


class UnknownKind(Refusal):
    """A kind that there is not."""

    status = Result.UNKNOWN_KIND


class Values:
    """The JSON object of a request.  Raises :class:`BadRequest` for what it does not hold, and for other keys."""

    def __init__(self, body: bytes, *known: str) -> None:
        try:
            values = json.loads(body) if body else {}
        except (ValueError, RecursionError):
            raise BadRequest("the body is no JSON") from None
        if not isinstance(values, dict):
            raise BadRequest("the body is no JSON object")
        if strange := values.keys() - set(known):
            raise BadRequest(f"there is no {min(strange)[:40]!r} here", f"one of: {', '.join(known) or 'nothing'}")
        self._values = values

    def number(self, name: str, most: int, default: int | None = None) -> int:
        """An integer in 0 to ``most``."""
        value = self._values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise BadRequest(f"{name} is no number in 0 to {most:#x}")
        return value

    def optional(self, name: str, most: int) -> int | None:
        """An integer, or None when it is missing."""
        return None if self._values.get(name) is None else self.number(name, most)

    def flag(self, name: str, default: bool) -> bool:
        value = self._values.get(name, default)
        if not isinstance(value, bool):
            raise BadRequest(f"{name} is neither true nor false")
        return value

    def direction(self) -> Direction:
        value = self._values.get("direction")
        if value not in ("inbound", "outbound"):
            raise BadRequest("direction is neither inbound nor outbound")
        return Direction(value)

    def select(self) -> Select:
        """The object ``select``; what is missing matches anything."""
        values = self._values.get("select")
        if values is None:
            return Select()
        if not isinstance(values, dict):
            raise BadRequest("select is no JSON object")
        try:
            return select_from(values)
        except ValueError as error:
            raise BadRequest(str(error)) from None

    def octets(self, name: str) -> bytes | None:
        value = self._values.get(name)
        try:
            return None if value is None else bytes.fromhex(value)
        except (TypeError, ValueError):
            raise BadRequest(f"{name} is not hexadecimal") from None
