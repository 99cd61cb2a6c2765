"""replay and explain: call, print."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..device import Device
from ..device.exchanges import Listener
from ..input_error import printable
from ..ipsec import Reason
from ..policy import never_chosen
from ..replay.captured import Packet
from ..replay.explain import explain
from ..replay.hints import HINTS
from ..replay.outputs import is_stdout
from ..replay.records import type_name
from ..replay.run import Files, Replayed, replay
from ..replay.session import Options, Session
from ..safile import load_all
from ..wire.profile import Profile
from .console import PlainConsole, sa_table

Way = Literal["auto", "inbound", "outbound"]

_EVERY = 2000  # packets between two updates of the progress bar


def make_session(
    sa: Sequence[str],
    direction: Way,
    profile: str,
    local: Sequence[str],
    seed: int | None,
    mtu: int,
    watch: Callable[[Device], Listener] | None = None,
) -> Session:
    """The session that the options ask for; says on standard error what may surprise."""
    options = Options(direction, Profile(profile), seed, mtu)
    session = Session(load_all(sa, direction, local_addresses=local), options, watch)
    if direction != "auto" and not session.entries:
        print(f"virtionet-ipsec: note: no SA of {', '.join(map(printable, sa))} is {direction}", file=sys.stderr)
    for entry, other in never_chosen(session.entries):
        print(
            f"virtionet-ipsec: note: outbound SA {entry.origin} is never used: {other.origin} selects the same "
            "packets; give each a select, or for `ip xfrm state` --local",
            file=sys.stderr,
        )
    return session


def replay_command(
    capture: str,
    sa: Sequence[str],
    direction: Way,
    profile: str,
    local: Sequence[str],
    seed: int | None,
    mtu: int,
    write: str | None,
    report: str | None,
    packets: str | None,
    strict: bool,
) -> int:
    session = make_session(sa, direction, profile, local, seed, mtu)
    files = Files(write, report, packets)
    done = replay(session, capture, files, progress, sa_files=sa)
    # The tables make room for a file that goes to standard output.
    aside = any(is_stdout(path) for _, path in files.all())
    with suppress(BrokenPipeError):  # the exit status is the replay's, whoever reads of it
        console = PlainConsole(stderr=aside)
        _print(console, done)
        if done.report.first and capture != "-":
            first = min(seen.index for seen in done.report.first.values())
            command = ["virtionet-ipsec", "explain", capture, *(word for name in sa for word in ("--sa", name))]
            command += _as_given(session.options, local)
            console.print(f"to see why: {printable(shlex.join(command))} --packet {first}", soft_wrap=True)
    if done.document["interrupted"]:
        return 130
    return 1 if strict and done.report.failed else 0


def explain_command(
    capture: str,
    sa: Sequence[str],
    direction: Way,
    profile: str,
    local: Sequence[str],
    seed: int | None,
    mtu: int,
    packet: int,
) -> int:
    session = make_session(sa, direction, profile, local, seed, mtu)
    told = explain(session, capture, packet)
    outcome = told.outcome
    names = "|".join(session.driver.layout.flag_names(outcome.flags)) or "none"
    resource = (
        f" resource_id={outcome.resource_id} type={type_name(outcome.resource_type)}" if outcome.resource_type else ""
    )
    print(f"packet {told.index}, {outcome.direction}: {outcome.verdict}, flags={names}{resource}")
    for number, line in enumerate(told.lines, 1):
        print(f"{number:3}. {line}")
    refused = outcome.refused
    if refused is not None:
        print(f"why: {refused.reason.value}: {HINTS[refused.reason]}")
    return 0


def progress(packets: Iterable[Packet]) -> Iterator[Packet]:
    """``packets``, with a bar on a terminal."""
    if not sys.stderr.isatty():
        yield from packets
        return
    columns = (TextColumn("replaying"), BarColumn(), TaskProgressColumn(show_speed=True), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("replaying", total=None)
        for packet in packets:
            yield packet
            if packet.index % _EVERY == 0:
                bar.update(task, completed=packet.index)


def _as_given(options: Options, local: Sequence[str]) -> Iterator[str]:
    """The options that another command needs for the same session."""
    usual = Options()
    if options.direction != usual.direction:
        yield from ("--direction", options.direction)
    if options.profile is not usual.profile:
        yield from ("--profile", options.profile.value)
    for address in local:
        yield from ("--local", address)
    if options.seed is not None:
        yield from ("--seed", str(options.seed))
    if options.mtu != usual.mtu:
        yield from ("--mtu", str(options.mtu))


def _print(console: Console, done: Replayed) -> None:
    document = done.document
    totals = document["totals"]
    rate = document["rate"]
    console.print(
        f"{printable(document['capture'])}: {totals['packets']} packets, {document['profile']}: "
        f"{totals['delivered']} delivered, {totals['sent']} sent, {totals['dropped']} dropped, "
        f"{totals['failed']} failed "
        f"({rate['packets_per_second']} packets/s)",
        soft_wrap=True,
    )
    if document["truncated"]:
        console.print(f"the capture is truncated: {document['truncated']}", soft_wrap=True)
    if document["interrupted"]:
        console.print("interrupted: what was done until then is written")
    flags = ", ".join(f"{name} {count}" for name, count in document["flags"].items())
    if flags:
        console.print(f"flags: {flags}", soft_wrap=True)
    console.print(sa_table(document["sas"]))
    if done.report.first:
        console.print(_reason_table(done))


def _reason_table(done: Replayed) -> Table:
    table = Table(title="reasons", title_justify="left", box=None, pad_edge=False)
    table.add_column("reason", no_wrap=True)
    table.add_column("packets", justify="right", no_wrap=True)
    table.add_column("first packet", justify="right", no_wrap=True)
    table.add_column("what it means")
    for name, count in done.document["reasons"].items():
        reason = Reason(name)
        table.add_row(name, str(count), str(done.report.first[reason].index), HINTS[reason])
    return table
