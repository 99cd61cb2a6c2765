"""conformance: judge, print, write."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from difflib import get_close_matches

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from ..conformance.catalogue import Entry, catalogue
from ..conformance.judge_device import judge_device
from ..conformance.rendering import as_html, as_json, as_junit, by_section, failure_lines
from ..conformance.rerun import Difference, Rerun
from ..conformance.target import find_target, model_like
from ..conformance.verdict import Report, Verdict
from ..conformance.watching.monitor import judge_driver
from ..input_error import InputError, printable
from ..replay.outputs import Outputs, is_stdout, put
from ..trace import read_session
from ..wire.profile import Profile
from .console import PlainConsole

_STEPS = 16
"""Lines of what led to a failure that a terminal shows."""


def device_command(
    target: str,
    profile: str,
    trace: str | None,
    only: Sequence[str],
    every: bool,
    as_json: bool,
    junit: str | None,
    html: str | None,
) -> int:
    if trace is not None:
        if only or every or junit or html:
            raise click.UsageError("--trace goes with --target and --json alone.")
        return _rerun(target, trace, as_json)
    text = Profile(profile)
    make = find_target(target, text)
    _check_only(only, catalogue().entries("device", text))
    with _Bar(sum(1 for _ in catalogue().entries("device", text))) as tell:
        report = judge_device(make, text, target, only=only, progress=tell)
    return _tell(report, every, as_json, junit, html)


def driver_command(
    trace: str, only: Sequence[str], every: bool, as_json: bool, junit: str | None, html: str | None
) -> int:
    session, exchanges = read_session(trace)
    _check_only(only, catalogue().entries("driver", session.profile))
    return _tell(judge_driver(session, exchanges, trace, only=only), every, as_json, junit, html)


def _check_only(only: Sequence[str], entries: Sequence[Entry]) -> None:
    """Raise :class:`InputError` for an id that no entry and no check in scope has."""
    known = {entry.id for entry in entries} | {check_id for entry in entries for check_id in entry.checks}
    for name in only:
        if name not in known:
            near = get_close_matches(name, sorted(known), 3)
            hint = f"did you mean {' or '.join(near)}?" if near else "see: virtionet-ipsec spec list"
            raise InputError(f"--only {name}", "is no entry and no check of this judgement", hint)


def _tell(report: Report, every: bool, json_wanted: bool, junit: str | None, html: str | None) -> int:
    """Print ``report`` and write it to files; gives the exit status."""
    with Outputs() as outputs:
        for name, render in ((junit, as_junit), (html, as_html)):
            if name is not None:
                put(outputs.open(name, "w"), render(report), name)
        outputs.keep()
    if json_wanted:
        print(json.dumps(as_json(report), indent=2))
    else:
        # The tables make room for a file that goes to standard output.
        aside = any(name is not None and is_stdout(name) for name in (junit, html))
        _print(PlainConsole(stderr=aside), report, every)
    return 1 if report.failures else 0


def _print(console: Console, report: Report, every: bool) -> None:
    for failed in report.failures:
        console.print("\n".join(map(printable, failure_lines(report, failed, _STEPS))), soft_wrap=True)
        console.print()
    console.print(_entry_table(report) if every else _section_table(report))
    counts = ", ".join(f"{count} {verdict}" for verdict, count in report.summary.items())
    console.print(f"{printable(report.subject)}, {report.profile.value}: {counts}", soft_wrap=True)


def _section_table(report: Report) -> Table:
    table = Table(title=f"{report.role} statements", title_justify="left", box=None, pad_edge=False)
    table.add_column("section", no_wrap=True)
    table.add_column("title")
    for verdict in Verdict:
        table.add_column(verdict.value, justify="right", no_wrap=True)
    for row in by_section(report.results):
        section = f"{row.document} {row.section}" if row.section != row.document else row.document
        table.add_row(section.strip(), row.title, *(str(count) if count else "" for count in row.counts))
    return table


def _entry_table(report: Report) -> Table:
    table = Table(title=f"{report.role} statements", title_justify="left", box=None, pad_edge=False)
    for name in ("entry", "section", "level", "verdict"):
        table.add_column(name, no_wrap=True)
    table.add_column("why")
    for each in report.results:
        entry = each.entry
        table.add_row(entry.id, entry.section, entry.level, each.verdict.value, printable(each.why))
    return table


def _rerun(target: str, trace: str, json_wanted: bool) -> int:
    """Carry out a recorded session on a device, and tell where it comes out otherwise; gives the exit status."""
    session, exchanges = read_session(trace)
    rerun = Rerun(session)
    device = model_like(session) if target == "model" else find_target(target, session.profile)()
    found = list(rerun.differences(exchanges, device))
    if json_wanted:
        summary = {"exchanges": rerun.exchanges, "differences": len(found)}
        print(json.dumps({"summary": summary, "differences": [asdict(each) for each in found]}, indent=2))
    else:
        for each in found:
            _print_difference(each)
        print(f"{printable(trace)}: {rerun.exchanges} exchanges carried out, {len(found)} differ")
    return 1 if found else 0


def _print_difference(each: Difference) -> None:
    print(f"exchange {each.number}: {each.what}")
    for title, lines in (("recorded", each.recorded), ("now", each.got)):
        for line in lines:
            print(f"  {title:8} {printable(line)}")


class _Bar:
    """A progress bar on a terminal; a context manager that gives what to call with each entry."""

    def __init__(self, total: int) -> None:
        columns = (TextColumn("judging"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
        self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> Callable[[Entry], None]:
        self._bar.start()
        return lambda entry: self._bar.update(self._task, advance=1, description=entry.id)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
