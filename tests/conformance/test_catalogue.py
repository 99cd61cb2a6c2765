"""The catalogue is whole: what it counts, what it names, and what it leaves open."""

from __future__ import annotations

from collections import Counter

import pytest

from virtionet_ipsec.conformance.catalogue import LEVELS, Section, catalogue
from virtionet_ipsec.conformance.check import checks
from virtionet_ipsec.conformance.watching.rule import rules

CATALOGUE = catalogue()
IN_SCOPE = {
    "2.1", "2.2", "2.4", "2.6.1", "2.7", "2.8", "2.12.1", "2.12.1.2", "2.12.1.3", "2.13", "3.1", "3.3",
    "5.1.3.1", "5.1.4", "5.1.9.2", "5.1.9.3", "5.1.9.4", "5.1.9.4.3", "5.1.9.4.4", "5.1.9.4.5",
    *(f"5.1.9.5.{number}" for number in range(1, 12)),
    "5.1.9.6", "5.1.9.7", "5.9.9.9", "6",
}  # fmt: skip

BESIDE = {"D116", "D117", "D118", "D144", "D147"} | {f"D{number}" for number in (*range(135, 144), *range(153, 160))}
"""What vhost-user and `serve` leave open: the catalogue has no statements of theirs."""


@pytest.mark.parametrize("section", CATALOGUE.sections, ids=lambda section: section.file)
def test_every_statement_has_an_entry(section: Section) -> None:
    """The numbers in the file are a person's count of the text."""
    counted = Counter(entry.role for entry in section.entries)
    assert (counted["device"], counted["driver"]) == (section.device, section.driver)


def test_sections_in_scope() -> None:
    assert {section.number for section in CATALOGUE.sections if section.document == "virtio 1.4"} == IN_SCOPE


def test_ids_are_unique() -> None:
    assert [name for name, times in Counter(entry.id for entry in CATALOGUE).items() if times > 1] == []


def test_the_area_of_an_id_is_that_of_its_section() -> None:
    for section in CATALOGUE.sections:
        assert len({entry.id.split(".")[0] for entry in section.entries}) == 1, section.file


def test_entries_are_filled_in() -> None:
    for entry in CATALOGUE:
        assert entry.level in LEVELS and entry.statement.endswith("."), entry.id
        assert bool(entry.checks) != bool(entry.unobservable), entry.id


def test_every_check_that_is_named_exists_and_every_one_that_exists_is_named() -> None:
    named = {
        role: {name for entry in CATALOGUE if entry.role == role for name in entry.checks}
        for role in ("device", "driver")
    }
    assert named["device"] == set(checks())
    assert named["driver"] == set(rules())


def test_checks_and_rules_say_what_they_do() -> None:
    for known in (*checks().values(), *rules().values()):
        assert known.sentence.endswith("."), known.id


def test_the_ledger_and_the_entries_name_each_other() -> None:
    known = {decision.id for decision in CATALOGUE.decisions}
    assert {name for entry in CATALOGUE for name in entry.decisions} <= known
    unnamed = {decision.id for decision in CATALOGUE.decisions if not CATALOGUE.touching(decision.id)}
    assert unnamed == BESIDE & known
