"""The commands around the specification, and their options: spec, conformance, record."""

from __future__ import annotations

from typing import Any

import click

from ..conformance.catalogue import LEVELS
from .options import check_stdin, profile_option, session_options, stacked

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


@click.group()
def spec() -> None:
    """Read the specification's statements, and the decisions where it is open."""


@spec.command("list")
@click.option("--role", type=click.Choice(["device", "driver"]), help="Only statements on this side.")
@click.option("--level", type=click.Choice(LEVELS, case_sensitive=False), help="Only statements of this level.")
@click.option("--section", metavar="NUMBER", help="Only this section and those under it, such as 5.1.9 or 'RFC 4303'.")
@_as_json
def list_(**options: Any) -> int:
    """List the normative statements, one a line."""
    from .spec import list_command

    return list_command(**options)


@spec.command()
@click.argument("name", metavar="ID")
@_as_json
def show(**options: Any) -> int:
    """Show a statement (ipsec.dev.create-existing-id), a decision (D12) or a check (admin.invalid-group) whole."""
    from .spec import show_command

    return show_command(**options)


@spec.command()
@click.argument("words", metavar="WORDS...", nargs=-1, required=True)
@_as_json
def search(**options: Any) -> int:
    """Find the statements and decisions that hold all of WORDS."""
    from .spec import search_command

    return search_command(**options)


@click.group()
def conformance() -> None:
    """Judge a device or a driver, statement by statement."""


_outputs = stacked(
    [
        click.option(
            "--only",
            metavar="ID",
            multiple=True,
            help="Judge this entry, or the entries of this check, alone. May be given more than once.",
        ),
        click.option("--all", "every", is_flag=True, help="List every entry with its verdict."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables."),
        click.option("--junit", metavar="FILE", help="Write JUnit XML; - is standard output."),
        click.option("--html", metavar="FILE", help="Write one page of HTML that needs no other file."),
    ]
)
"""What both judgements have in common."""


@conformance.command()
@click.option(
    "--target",
    metavar="TARGET",
    default="model",
    show_default=True,
    help="The device: model, or python:MODULE:FACTORY for an adapter of your own (specs/adapter.py).",
)
@profile_option()
@click.option(
    "--trace", metavar="FILE", help="Carry out the driver's side of a recorded session instead; tell every difference."
)
@_outputs
def device(**options: Any) -> int:
    """Judge a device.  Exit status 1 when an entry failed."""
    from .conformance import device_command

    return device_command(**options)


@conformance.command()
@click.argument("trace", metavar="TRACE")
@_outputs
def driver(**options: Any) -> int:
    """Judge the driver of a recorded session.  Exit status 1 when it violated a statement."""
    from .conformance import driver_command

    return driver_command(**options)


@click.command()
@session_options
@click.option("--output", "-o", metavar="TRACE", required=True, help="Where to; - is standard output.")
def record(**options: Any) -> int:
    """Replay CAPTURE, and record all that passes between driver, device and wire.  The trace holds the SAs' keys."""
    check_stdin(options)
    from .record import record_command

    return record_command(**options)
