"""A report as a document: JSON, JUnit XML, one HTML page."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from itertools import groupby
from typing import Any, NamedTuple
from xml.etree import ElementTree

from .. import __version__
from .repeat import repeat_command
from .verdict import Outcome, Report, Result, Verdict

_WIDE = 400


class SectionCount(NamedTuple):
    """How many entries of one section came to each verdict, in the order of :class:`Verdict`."""

    document: str
    section: str
    title: str
    counts: tuple[int, ...]


def by_section(results: Iterable[Result]) -> list[SectionCount]:
    """Coverage by section of the catalogue (an RFC's entries count as one section)."""
    counted = []
    for (document, title), group in groupby(results, lambda each: (each.entry.document, each.entry.title)):
        rows = list(group)
        sections = {row.entry.section for row in rows}
        number = sections.pop() if len(sections) == 1 else ""
        counts = tuple(sum(row.verdict is verdict for row in rows) for verdict in Verdict)
        counted.append(SectionCount(document, number, title, counts))
    return counted


def as_json(report: Report) -> dict[str, Any]:
    """What ``--json`` prints (specs/README.md)."""
    return {
        "subject": report.subject,
        "role": report.role,
        "profile": report.profile.value,
        "version": __version__,
        "summary": report.summary,
        "entries": [_entry(report, each) for each in report.results],
    }


def _entry(report: Report, each: Result) -> dict[str, Any]:
    entry = each.entry
    row: dict[str, Any] = {
        "id": entry.id,
        "role": entry.role,
        "level": entry.level,
        "document": entry.document,
        "section": entry.section,
        "verdict": each.verdict.value,
        "checks": list(entry.checks),
    }
    if each.why:
        row["why"] = each.why
    failed = [outcome for outcome in each.outcomes if outcome.verdict is Verdict.FAIL]
    if failed:
        row["statement"] = entry.statement
        row["failures"] = [_failure(report, outcome) for outcome in failed]
    return row


def _failure(report: Report, outcome: Outcome) -> dict[str, Any]:
    return {
        "check": outcome.check,
        "what": outcome.why,
        "expected": outcome.expected,
        "got": outcome.got,
        "steps": list(outcome.steps),
        "repeat": repeat_command(report, outcome.check),
    }


def as_junit(report: Report) -> str:
    """JUnit XML: a test case for each entry; what was not judged is skipped, with the reason."""
    summary = report.summary
    suite = ElementTree.Element(
        "testsuite",
        name=f"virtionet-ipsec conformance {report.role} ({report.profile.value}): {_clean(report.subject)}",
        tests=str(len(report.results)),
        failures=str(summary[Verdict.FAIL.value]),
        skipped=str(summary[Verdict.NOT_APPLICABLE.value] + summary[Verdict.NOT_OBSERVABLE.value]),
        errors="0",
    )
    for each in report.results:
        name = f"{each.entry.document} {each.entry.section}"
        case = ElementTree.SubElement(suite, "testcase", classname=name, name=each.entry.id)
        if each.verdict is Verdict.FAIL:
            failure = ElementTree.SubElement(case, "failure", message=_clean(each.why))
            failure.text = _clean("\n".join(failure_lines(report, each)))
        elif each.verdict is not Verdict.PASS:
            ElementTree.SubElement(case, "skipped", message=_clean(f"{each.verdict.value}: {each.why}"))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _clean(text: str) -> str:
    """``text`` without the characters that a document cannot hold: an adapter's words and file names may have any."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


def failure_lines(report: Report, each: Result, most: int | None = None) -> list[str]:
    """A failed entry: the statement, what was looked at, expected and got, the way there, how to repeat it.

    ``most`` limits the way there to its last lines, and each of them to
    :data:`_WIDE` characters.
    """
    entry = each.entry
    lines = [f"{entry.id} ({entry.document} {entry.section}, {entry.level})", f"  {entry.statement}"]
    for outcome in each.outcomes:
        if outcome.verdict is not Verdict.FAIL:
            continue
        lines += [f"  {outcome.check}: {outcome.why}"]
        lines += [f"    expected: {outcome.expected}", f"    got:      {outcome.got}"]
        left_out = max(len(outcome.steps) - most, 0) if most is not None else 0
        if left_out:
            lines.append(f"      ({left_out} lines before these: --json, --html)")
        lines += [f"      {step if most is None else shortened(step)}" for step in outcome.steps[left_out:]]
        lines += [f"    repeat: {repeat_command(report, outcome.check)}"]
    return lines


def shortened(line: str) -> str:
    """``line``, or its beginning where it is long: octets that a terminal would wrap for screens."""
    return line if len(line) <= _WIDE else f"{line[:_WIDE]} ... ({len(line) - _WIDE} characters more)"


def as_html(report: Report) -> str:
    """One page that needs no other: coverage by section, failures first, then every entry."""
    from jinja2 import Environment  # here: nobody else needs it

    environment = Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: _clean(value) if isinstance(value, str) else value,
    )
    template = resources.files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        report=report,
        version=__version__,
        verdicts=list(Verdict),
        sections=by_section(report.results),
        failure_lines=lambda each: "\n".join(failure_lines(report, each)),
    )
