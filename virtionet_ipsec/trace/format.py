"""The trace file: JSON Lines, a header and then one line for each exchange (specs/trace.md)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any, TextIO, get_args, get_type_hints

from ..device.exchanges import Exchange, StatusWritten
from ..input_error import InputError
from ..wire.profile import Profile

VERSION = 1
_LONGEST = 1 << 24
_MAGIC = "virtionet-ipsec trace"
_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Exchange)}
_MEND = "mend the line, or record again; specs/trace.md describes the format"


@dataclass(frozen=True, slots=True)
class Session:
    """What a trace begins with: the profile, the device's offered features and its configuration space."""

    profile: Profile
    features: int
    config: bytes


def _short(value: object) -> str:
    """A value of the file's, as far as a message has room for it."""
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}..."


def _hex(value: bytes) -> str:
    return value.hex()


def _octets(value: object) -> bytes:
    return bytes.fromhex(_str(value))


def _str(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("is not a string")
    return value


def _int(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0 or value >> 128:
        raise ValueError("is not a number of 128 bits at most, from 0")
    return value


def _list(value: object) -> tuple[bytes, ...]:
    if not isinstance(value, list):
        raise ValueError("is not a list")
    return tuple(_octets(each) for each in value)


_WRITE: dict[Any, Callable[[Any], Any]] = {
    int: int,
    bytes: _hex,
    tuple[bytes, ...]: lambda value: [each.hex() for each in value],
}
_READ: dict[Any, Callable[[object], Any]] = {int: _int, bytes: _octets, tuple[bytes, ...]: _list}
_CODECS = {kind: {row.name: get_type_hints(kind)[row.name] for row in fields(kind)} for kind in _KINDS.values()}


class SessionWriter:
    """Writes a trace, a line at a time, with ``put``; give :meth:`write` to whoever tells exchanges."""

    def __init__(self, put: Callable[[str], object], session: Session) -> None:
        self._put = put
        head = {
            "format": _MAGIC,
            "version": VERSION,
            "profile": session.profile.value,
            "features": session.features,
            "config": session.config.hex(),
        }
        self._line(head)

    def write(self, exchange: Exchange) -> None:
        types = _CODECS[type(exchange)]
        values = {name: _WRITE[kind](getattr(exchange, name)) for name, kind in types.items()}
        self._line({"exchange": type(exchange).__name__, **values})

    def _line(self, values: dict[str, Any]) -> None:
        self._put(json.dumps(values) + "\n")


class SessionReader:
    """Reads a trace from ``lines``: ``session`` at once, the exchanges by iteration, each line when it is asked for.

    Raises :class:`InputError` for a line that is none of the format's.
    """

    def __init__(self, lines: Iterable[str], where: str) -> None:
        self._lines = enumerate(lines, 1)
        self._where = where
        self.session = self._header()

    def _header(self) -> Session:
        number, line = next(self._lines, (1, ""))
        values = self._object(number, line)
        if values.get("format") != _MAGIC:
            raise self._wrong(number, f'is no trace: the first line has no "format": "{_MAGIC}"')
        if values.get("version") != VERSION:
            raise self._wrong(number, f"version {_short(values.get('version'))} is not {VERSION}")
        known = {profile.value: profile for profile in Profile}
        profile = known.get(str(values.get("profile")))
        if profile is None:
            raise self._wrong(number, f"profile {_short(values.get('profile'))} is not one of: {', '.join(known)}")
        return Session(
            profile,
            self._value(number, values, "features", _int),
            self._value(number, values, "config", _octets),
        )

    def __iter__(self) -> Iterator[Exchange]:
        for number, line in self._lines:
            values = self._object(number, line)
            kind = _KINDS.get(str(values.get("exchange")))
            if kind is None:
                raise self._wrong(
                    number, f"exchange {_short(values.get('exchange'))} is not one of: {', '.join(_KINDS)}"
                )
            if strange := values.keys() - _CODECS[kind].keys() - {"exchange"}:
                raise self._wrong(number, f"{kind.__name__} has no field {_short(sorted(strange)[0])}")
            made = kind(**{name: self._value(number, values, name, _READ[row]) for name, row in _CODECS[kind].items()})
            if isinstance(made, StatusWritten) and max(made.value, made.status) > 0xFF:
                raise self._wrong(number, "the device status is one octet")
            yield made

    def _object(self, number: int, line: str) -> dict[str, Any]:
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict):
            raise self._wrong(number, "is no JSON object")
        return values

    def _value(self, number: int, values: dict[str, Any], name: str, read: Callable[[object], Any]) -> Any:
        try:
            return read(values[name])
        except KeyError:
            raise self._wrong(number, f"has no {name}") from None
        except ValueError as error:
            why = str(error) if str(error).startswith("is ") else "is not hexadecimal"
            raise self._wrong(number, f"{name} {why}") from None

    def _wrong(self, number: int, what: str) -> InputError:
        return InputError(f"{self._where}, line {number}", what, _MEND)


def read_session(path: str) -> tuple[Session, list[Exchange]]:
    """The trace file ``path``, whole.  Raises :class:`InputError`."""
    try:
        with open(path, encoding="utf-8") as stream:
            reader = SessionReader(_lines(stream, path), path)
            return reader.session, list(reader)
    except UnicodeDecodeError:
        raise InputError(path, "is no text", _MEND) from None
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "give a file that can") from None


def _lines(stream: TextIO, path: str) -> Iterator[str]:
    """The lines of a file, none of them without end."""
    while line := stream.readline(_LONGEST):
        if len(line) == _LONGEST:
            raise InputError(path, f"a line has more than {_LONGEST} characters", _MEND)
        yield line
