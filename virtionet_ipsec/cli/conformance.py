"""conformance: judge, print, write."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from difflib import get_close_matches

import click
from click.core import ParameterSource
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from ..conformance.catalogue import Entry, catalogue
from ..conformance.judge_device import judge_device
from ..conformance.rendering import as_html, as_json, as_junit, by_section, failure_lines, shortened
from ..conformance.rerun import Difference, Rerun
from ..conformance.target import find_target, model_like
from ..conformance.verdict import Report, Verdict
from ..conformance.watching.monitor import judge_driver
from ..input_error import InputError, printable
from ..replay.outputs import Outputs, is_stdout, put
from ..replay.run import check_paths
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
        told = click.get_current_context().get_parameter_source("profile")
        if only or every or junit or html or told is ParameterSource.COMMANDLINE:
            raise click.UsageError("--trace goes with --target and --json alone; it has its own profile.")
        return _rerun(target, trace, as_json)
    text = Profile(profile)
    make = find_target(target, text)
    entries = catalogue().entries("device", text)
    _check_only(only, entries)

    def judge() -> Report:
        with _Bar(len(entries)) as tell:
            return judge_device(make, text, target, only=only, progress=tell)

    return _tell(judge, (), every, as_json, junit, html)


def driver_command(
    trace: str, only: Sequence[str], every: bool, as_json: bool, junit: str | None, html: str | None
) -> int:
    session, exchanges = read_session(trace)
    _check_only(only, catalogue().entries("driver", session.profile))

    def judge() -> Report:
        report = judge_driver(session, exchanges, trace, only=only)
        if not report.failures and not report.summary[Verdict.PASS.value]:
            print(f"virtionet-ipsec: note: nothing in {printable(trace)} could be judged", file=sys.stderr)
        return report

    return _tell(judge, (trace,), every, as_json, junit, html)


def _check_only(only: Sequence[str], entries: Sequence[Entry]) -> None:
    """Raise :class:`InputError` for an id that no entry and no check in scope has."""
    known = {entry.id for entry in entries} | {check_id for entry in entries for check_id in entry.checks}
    for name in only:
        if name not in known:
            near = get_close_matches(name, sorted(known), 3)
            hint = f"did you mean {' or '.join(near)}?" if near else "see: virtionet-ipsec spec list"
            raise InputError(f"--only {name}", "is no entry and no check of this judgement", hint)


def _tell(
    judge: Callable[[], Report],
    inputs: Sequence[str],
    every: bool,
    json_wanted: bool,
    junit: str | None,
    html: str | None,
) -> int:
    """Judge, print and write to files, which no input may be; gives the exit status."""
    wanted = [
        (flag, name, render)
        for flag, name, render in (("--junit", junit, as_junit), ("--html", html, as_html))
        if name is not None
    ]
    aside = any(is_stdout(name) for _, name, _ in wanted)
    if aside and json_wanted:
        raise click.UsageError("Only one of --json, --junit - and --html - can go to standard output.")
    check_paths("-", inputs, [(flag, name) for flag, name, _ in wanted], "the trace")
    with Outputs() as outputs:
        files = [(outputs.open(name, "w"), name, render) for _, name, render in wanted]
        report = judge()
        for file, name, render in files:
            put(file, render(report), name)
        outputs.keep()
    with suppress(BrokenPipeError):  # the exit status is the verdict, whoever reads of it
        if json_wanted:
            print(json.dumps(as_json(report), indent=2))
        else:
            # The tables make room for a file that goes to standard output.
            _print(PlainConsole(stderr=aside), report, every)
        sys.stdout.flush()
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
    with suppress(BrokenPipeError):
        _print_rerun(trace, rerun, found, json_wanted)
        sys.stdout.flush()
    return 1 if found else 0


def _print_rerun(trace: str, rerun: Rerun, found: Sequence[Difference], json_wanted: bool) -> None:
    if json_wanted:
        summary = {"exchanges": rerun.exchanges, "differences": len(found)}
        print(json.dumps({"summary": summary, "differences": [asdict(each) for each in found]}, indent=2))
    else:
        for each in found:
            _print_difference(each)
        print(f"{printable(trace)}: {rerun.exchanges} exchanges carried out, {len(found)} differ")


def _print_difference(each: Difference) -> None:
    print(f"exchange {each.number}: {each.what}")
    for title, lines in (("recorded", each.recorded), ("now", each.got)):
        for line in lines:
            print(f"  {title:8} {shortened(printable(line))}")


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
