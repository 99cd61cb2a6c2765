"""Entries that are one SA in formats without directions, and what such a format loses of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from ..ipsec.sa import Direction, SaParams
from .model import Address, SaEntry


@dataclass
class Pair:
    """An inbound and an outbound entry of one SA, or one of the two alone."""

    entries: dict[Direction, SaEntry] = field(default_factory=dict)

    @property
    def params(self) -> SaParams:
        """What both have in common can be taken from either."""
        return next(iter(self.entries.values())).params

    @property
    def origin(self) -> str:
        return next(iter(self.entries.values())).origin

    @property
    def ends(self) -> tuple[Address, Address] | None:
        """Source and destination, if either of the two knows them."""
        return next((ends for entry in self.entries.values() if (ends := entry.ends) is not None), None)

    @property
    def name(self) -> str:
        """``FILE:LINE SA ID DIRECTION``, for messages."""
        return _name(self.entries.values())


def pairs(entries: Iterable[SaEntry], identity: Callable[[SaParams], Hashable]) -> list[Pair]:
    """``entries`` in their order, inbound and outbound together where ``identity`` and addresses are the same.

    Where one of the two does not know its addresses, the other's serve.
    """
    found: list[Pair] = []
    candidates: dict[Hashable, list[Pair]] = {}
    for entry in entries:
        same = candidates.setdefault(identity(entry.params), [])
        ends = entry.ends
        for pair in same:
            if entry.params.direction not in pair.entries and (ends is None or pair.ends in (None, ends)):
                pair.entries[entry.params.direction] = entry
                break
        else:
            pair = Pair({entry.params.direction: entry})
            same.append(pair)
            found.append(pair)
    return found


def losses(sas: Sequence[Pair], lost: Callable[[SaEntry], list[str]]) -> list[str]:
    """``FILE:LINE SA ID DIRECTION: text`` for each text of ``lost``; one line where both directions lose the same."""
    warnings = []
    for sa in sas:
        losing: dict[str, list[SaEntry]] = {}
        for entry in sa.entries.values():
            for text in lost(entry):
                losing.setdefault(text, []).append(entry)
        warnings += [f"{_name(entries)}: {text}" for text, entries in losing.items()]
    return warnings


def _name(entries: Iterable[SaEntry]) -> str:
    """Where the entries are, and their directions; the two of a pair may stand in two places of a TOML file."""
    directions: dict[str, list[str]] = {}
    for entry in entries:
        directions.setdefault(f"{entry.origin} SA {entry.id}", []).append(entry.params.direction.value)
    return ", ".join(f"{where} {' and '.join(values)}" for where, values in directions.items())
