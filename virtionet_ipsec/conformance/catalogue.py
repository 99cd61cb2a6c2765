"""The catalogue of normative statements, read from ``specs/`` (specs/README.md describes the files)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..wire.profile import Profile

LEVELS = ("MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY")
ROLES = {"dev": "device", "drv": "driver"}
RFC_V1_DOCUMENT = "virtio RFC, January 2025"

_PACKAGE = Path(__file__).resolve().parents[1]
_DECISION = re.compile(r"^### (D\d+) (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One obligation or permission.

    ``checks`` are the ids of the checks (role device) or rules (role driver)
    that hold an implementation against it; where there are none,
    ``unobservable`` says why.  ``decisions`` are entries of the ledger.
    ``about`` names what the statement is about where that is not the network
    device.
    """

    id: str
    document: str
    section: str
    title: str
    role: str
    level: str
    statement: str
    checks: tuple[str, ...]
    decisions: tuple[str, ...]
    note: str
    unobservable: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One file of the catalogue.  ``device`` and ``driver`` are how many statements a person counted in the text."""

    document: str
    number: str
    title: str
    source: str
    device: int
    driver: int
    file: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """An entry of the ledger (specs/decisions.md): its number, title and text."""

    id: str
    title: str
    text: str


@dataclass(frozen=True)
class Catalogue:
    """All sections, in the order of their documents, and the ledger."""

    sections: tuple[Section, ...]
    decisions: tuple[Decision, ...]

    def __iter__(self) -> Iterator[Entry]:
        for section in self.sections:
            yield from section.entries

    def entries(self, role: str, profile: Profile) -> tuple[Entry, ...]:
        """What an implementation in this role and profile is held against."""
        return tuple(
            entry
            for entry in self
            if entry.role == role and (profile is Profile.RFC_V1 or entry.document != RFC_V1_DOCUMENT)
        )

    def touching(self, decision: str) -> tuple[Entry, ...]:
        """The entries that name this decision."""
        return tuple(entry for entry in self if decision in entry.decisions)


def specs() -> Path:
    """Where the catalogue lies: inside the installed package, or beside it in a clone."""
    installed = _PACKAGE / "specs"
    return installed if installed.is_dir() else _PACKAGE.parent / "specs"


@cache
def catalogue() -> Catalogue:
    """The catalogue, read once."""
    root = specs()
    files = [*sorted((root / "virtio-1.4").glob("*.toml"), key=_by_number), root / "rfc-v1.toml"]
    files += sorted((root / "ipsec").glob("rfc*.toml"))
    ledger = (root / "decisions.md").read_text(encoding="utf-8")
    return Catalogue(tuple(_section(file, root) for file in files), tuple(_decisions(ledger)))


def _by_number(file: Path) -> list[int]:
    return [int(part) for part in file.name.split("-")[0].split(".")]


def _section(file: Path, root: Path) -> Section:
    with file.open("rb") as stream:
        content = tomllib.load(stream)
    head = content["section"]
    return Section(
        document=head["document"],
        number=head["number"],
        title=head["title"],
        source=head["source"],
        device=head["device"],
        driver=head["driver"],
        file=str(file.relative_to(root)),
        entries=tuple(_entry(row, head) for row in content["entry"]),
    )


def _entry(row: dict[str, Any], head: dict[str, Any]) -> Entry:
    return Entry(
        id=row["id"],
        document=head["document"],
        section=row.get("section", head["number"]),
        title=head["title"],
        role=ROLES[row["id"].split(".")[1]],
        level=row["level"],
        statement=" ".join(row["statement"].split()),
        checks=tuple(row.get("checks", ())),
        decisions=tuple(row.get("decisions", ())),
        note=" ".join(row.get("note", "").split()),
        unobservable=" ".join(row.get("unobservable", "").split()),
        about=head.get("about", ""),
    )


def _decisions(ledger: str) -> Iterator[Decision]:
    heads = list(_DECISION.finditer(ledger))
    for head, after in zip(heads, [*heads[1:], None], strict=True):
        text = ledger[head.end() : after.start() if after is not None else len(ledger)]
        yield Decision(head[1], head[2], text.split("\n## ")[0].strip())
