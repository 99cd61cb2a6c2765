"""How far the suite's judgement is itself tested: entries, checkable, checked, mutants, caught."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path

from virtionet_ipsec.conformance.catalogue import Entry, Section, catalogue
from virtionet_ipsec.conformance.check import checks
from virtionet_ipsec.conformance.verdict import Verdict
from virtionet_ipsec.conformance.watching.monitor import OBLIGATIONS
from virtionet_ipsec.conformance.watching.rule import rules

from . import devices, drivers  # noqa: F401 (enters them)
from .judged import of_device, of_driver
from .mutant import DEVICES, DRIVERS

WITHOUT = {
    row["id"]: row["reason"] for row in tomllib.loads((Path(__file__).parent / "without.toml").read_text())["entry"]
}
MUTANTS = Counter(mutant.entry for mutant in DEVICES + DRIVERS)
COLUMNS = ("entries", "checkable", "checked", "mutants", "caught")


def _known(entry: Entry) -> bool:
    return set(entry.checks) <= (checks() if entry.role == "device" else rules()).keys()


def caught() -> Counter[str]:
    """How many mutants of each entry are judged wrong on it, counted anew."""
    wrong = [mutant.entry for mutant in DEVICES if of_device(mutant, mutant.kind).verdict is Verdict.FAIL]
    wrong += [mutant.entry for mutant in DRIVERS if of_driver(mutant, mutant.kind)[0].verdict is Verdict.FAIL]
    return Counter(wrong)


def test_every_checkable_obligation_has_a_mutant_and_all_are_caught() -> None:
    """The figures, printed (make figures)."""
    found = caught()
    print(f"\n{'section':32} {'role':8} " + " ".join(f"{name:>10}" for name in COLUMNS))
    totals: Counter[str] = Counter()
    for section in catalogue().sections:
        for role in ("device", "driver"):
            entries = [entry for entry in section.entries if entry.role == role]
            if not entries:
                continue
            checkable = [entry for entry in entries if entry.checks]
            numbers = {
                "entries": len(entries),
                "checkable": len(checkable),
                "checked": sum(map(_known, checkable)),
                "mutants": sum(MUTANTS[entry.id] for entry in entries),
                "caught": sum(found[entry.id] for entry in entries),
            }
            totals.update({f"{role} {name}": number for name, number in numbers.items()})
            print(f"{_name(section):32} {role:8} " + " ".join(f"{numbers[name]:10}" for name in COLUMNS))
    for role in ("device", "driver"):
        print(f"{'all':32} {role:8} " + " ".join(f"{totals[f'{role} {name}']:10}" for name in COLUMNS))
    for name, reason in WITHOUT.items():
        print(f"no mutant: {name}: {reason}")
    assert found == MUTANTS
    due = [entry.id for entry in catalogue() if entry.checks and entry.level in OBLIGATIONS]
    assert [name for name in due if name not in MUTANTS and name not in WITHOUT] == []


def _name(section: Section) -> str:
    return section.document if section.document.startswith("RFC") else f"{section.document} {section.number}"


def test_mutants_and_reasons_are_of_entries() -> None:
    known = {entry.id: entry for entry in catalogue()}
    assert [name for name in MUTANTS if name not in known] == []
    assert [name for name in WITHOUT if name not in known or name in MUTANTS or not known[name].checks] == []
