"""spec: look up, print."""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from rich.table import Table

from ..conformance.catalogue import Catalogue, Decision, Entry, catalogue
from ..conformance.check import checks
from ..conformance.watching.rule import rules
from ..input_error import InputError
from .console import PlainConsole

# What a sentence of a specification has besides what it is about.
_SMALL = frozenset(
    """a all an and any are as at be been by can device does driver each either for from has have if in is it its may
    more must no not of on one only or other own same shall should so such than that the then there these they this
    those to was when where which while with""".split()  # noqa: SIM905 (a list of strings is no easier to read)
)


def list_command(role: str | None, level: str | None, section: str | None, as_json: bool) -> int:
    found = [
        entry
        for entry in catalogue()
        if (role is None or entry.role == role)
        and (level is None or entry.level == level)
        and (section is None or _within(entry, section))
    ]
    _print(found, [], as_json)
    return 0 if found else 1


def _within(entry: Entry, section: str) -> bool:
    """Whether the entry is of ``section`` of virtio 1.4 or one under it, or of the document (and section) so called."""
    place = f"{entry.document} {entry.section}"
    return any(f"{place}.".startswith((f"{name}.", f"{name} ")) for name in (section, f"virtio 1.4 {section}"))


def search_command(words: Sequence[str], as_json: bool) -> int:
    wanted = {word.strip(".,;:()").lower() for text in words for word in text.split()} - _SMALL
    known = catalogue()
    texts: dict[Entry | Decision, str] = {
        entry: " ".join(
            (entry.id, entry.document, entry.section, entry.title, entry.statement, entry.note, entry.unobservable)
        ).lower()
        for entry in known
    }
    texts |= {each: f"{each.id} {each.title} {each.text}".lower() for each in known.decisions}
    held = {each: sum(word in text for word in wanted) for each, text in texts.items()}
    most = max(held.values())
    # A pasted sentence is in other words here: what holds most of them is the nearest.
    near = 2 * most > len(wanted)
    if near and most < len(wanted) and not as_json:
        print(f"nothing holds all of these words; what holds {most} of {len(wanted)}:")
    found = [each for each, count in held.items() if count == most and near]
    entries = [each for each in found if isinstance(each, Entry)]
    _print(entries, [each for each in found if isinstance(each, Decision)], as_json)
    return 0 if found else 1


def _print(entries: Sequence[Entry], decisions: Sequence[Decision], as_json: bool) -> None:
    if as_json:
        rows = [_entry_row(entry) for entry in entries] + [_decision_row(each) for each in decisions]
        print(json.dumps(rows, indent=2))
        return
    console = PlainConsole()
    if entries:
        table = Table(box=None, pad_edge=False)
        for name in ("entry", "section", "level"):
            table.add_column(name, no_wrap=True)
        table.add_column("statement")
        for entry in entries:
            table.add_row(entry.id, f"{entry.document} {entry.section}", entry.level, entry.statement)
        console.print(table)
    if decisions:
        table = Table("decision", "title", box=None, pad_edge=False)
        for decision in decisions:
            table.add_row(decision.id, decision.title)
        console.print(table)
    counted = [f"{len(entries)} statements", f"{len(decisions)} decisions"]
    console.print(", ".join(counted if decisions else counted[:1]))


def show_command(name: str, as_json: bool) -> int:
    known = catalogue()
    entries = {entry.id: entry for entry in known}
    decisions = {decision.id.lower(): decision for decision in known.decisions}
    if name in entries:
        _show(_entry_row(entries[name]), as_json)
    elif name.lower() in decisions:
        _show(_decision_row(decisions[name.lower()]), as_json)
    elif (sentence := _sentences().get(name)) is not None:
        _show(_check_row(name, sentence, known), as_json)
    else:
        names = [*entries, *(each.id for each in known.decisions), *_sentences()]
        near = get_close_matches(name, names, 3)
        hint = f"did you mean {' or '.join(near)}?" if near else "try: virtionet-ipsec spec search WORDS"
        raise InputError(name, "is no statement, no decision and no check", hint)
    return 0


def _sentences() -> dict[str, str]:
    """What each check and each rule does, by id."""
    sentences = {known.id: known.sentence for known in checks().values()}
    return sentences | {known.id: known.sentence for known in rules().values()}


def _show(row: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(row, indent=2))
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for name, value in row.items():
        table.add_row(name, "\n".join(value) if isinstance(value, list) else value)
    PlainConsole().print(table)


def _entry_row(entry: Entry) -> dict[str, Any]:
    sentences, titles = _sentences(), {each.id: each.title for each in catalogue().decisions}
    row: dict[str, Any] = {
        "id": entry.id,
        "document": entry.document,
        "section": entry.section,
        "title": entry.title,
        "role": entry.role,
        "level": entry.level,
        "statement": entry.statement,
        "checks": [f"{each}: {sentences[each]}" if each in sentences else each for each in entry.checks],
        "unobservable": entry.unobservable,
        "decisions": [f"{each} {titles.get(each, '')}".strip() for each in entry.decisions],
        "note": entry.note,
    }
    return {name: value for name, value in row.items() if value}


def _decision_row(decision: Decision) -> dict[str, Any]:
    return {
        "id": decision.id,
        "title": decision.title,
        "text": decision.text,
        "entries": [entry.id for entry in catalogue().touching(decision.id)],
    }


def _check_row(name: str, sentence: str, known: Catalogue) -> dict[str, Any]:
    settles = [f"{entry.id}: {entry.statement}" for entry in known if name in entry.checks]
    return {"id": name, "does": sentence, "entries": settles}
