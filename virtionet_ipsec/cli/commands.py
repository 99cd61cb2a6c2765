"""The commands and their options."""

from __future__ import annotations

from typing import Any

import click

from .. import __version__
from ..input_error import InputError
from .controlling import ctl
from .judging import conformance, record, spec
from .options import DIRECTIONS, LOCAL_HELP, addresses, check_stdin, profile_option, session_options

FORMATS = ("toml", "esp_sa", "xfrm")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="virtionet-ipsec", message="%(prog)s %(version)s")
def app() -> None:
    """A reference model of a virtio-net device with inline IPsec.

    Replay captures through it, explain single packets, judge a device or a driver
    statement by statement, read the statements, convert SA files, measure.
    """


for _command in (conformance, record, spec, ctl):
    app.add_command(_command)


def invoke(arguments: list[str], program: str) -> int:
    """Run one command; gives its exit status.  Raises :class:`CommandLineError` for one that cannot be.

    click's own ``main`` would take a broken pipe for a failure.
    """
    try:
        with app.make_context(program, list(arguments)) as context:
            status = app.invoke(context)
    except click.exceptions.Exit as done:  # --help, --version
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx is not None else "", err=True)
        return 2
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx is not None else program
        raise CommandLineError(f"{error.format_message()} Try '{where} --help'.") from None
    except click.ClickException as error:
        raise CommandLineError(error.format_message()) from None
    return status if isinstance(status, int) else 0


class CommandLineError(InputError):
    """What click says of a command line, which is a line of its own."""

    def __init__(self, message: str) -> None:
        super().__init__("command line", message, "see --help")
        self._message = " ".join(message.split())

    def __str__(self) -> str:
        return self._message


@app.command()
@session_options
@click.option("--write", metavar="OUT.pcapng", help="Write what the driver received, or what went on the wire.")
@click.option("--report", metavar="REPORT.json", help="Write totals; - is standard output.")
@click.option("--packets", metavar="PACKETS.jsonl", help="Write a line for each packet; - is standard output.")
@click.option("--strict", is_flag=True, help="Exit with 1 when any packet failed.")
def replay(**options: Any) -> int:
    """Send CAPTURE (pcap or pcapng; - is standard input) through the device, and tell what became of every packet."""
    check_stdin(options)
    from .replay import replay_command

    return replay_command(**options)


@app.command()
@session_options
@click.option(
    "--packet", type=click.IntRange(min=1), metavar="N", required=True, help="Which packet of CAPTURE; the first is 1."
)
def explain(**options: Any) -> int:
    """Tell the story of one packet of CAPTURE: rule, SA, window, result, header."""
    check_stdin(options)
    from .replay import explain_command

    return explain_command(**options)


@app.command()
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects instead of a table.")
@click.option("--replay", "replays", is_flag=True, help="Measure replay of 200,000 packets against tshark instead.")
@click.option(
    "--transport",
    type=click.Choice(["vhost-user"]),
    help="Measure packets per second through virtqueues instead, to a served device in another process.",
)
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    metavar="N",
    help="Take the median of N measurements: 21 unless given, 3 with --replay, 5 with --transport.",
)
def bench(**options: Any) -> int:
    """Measure microseconds per packet against the bare cipher and scapy."""
    if options["replays"] and options["transport"]:
        raise click.UsageError("--replay and --transport are two measurements.")
    from .bench import bench_command

    return bench_command(**options)


@app.command()
@click.option("--socket", metavar="PATH", required=True, help="Where front ends connect, one after the other.")
@click.option(
    "--wire",
    metavar="WIRE",
    multiple=True,
    help="Where frames go and come from: tap:NAME, socket:PATH, pcap:FILE, loopback. Several are one segment.",
)
@click.option("--sa", metavar="FILE", multiple=True, help="SAs for transparent IPsec between the guest and the wire.")
@click.option("--local", metavar="ADDRESS", multiple=True, callback=addresses, help=LOCAL_HELP)
@profile_option()
@click.option("--queues", type=click.IntRange(1, 64), default=1, show_default=True, help="Pairs of queues.")
@click.option(
    "--features", metavar="CHANGES", default="", help="What is offered besides, or is not: +NAME,-NAME and so on."
)
@click.option("--mac", metavar="MAC", help="The device's address: 52:54:00:00:00:01 unless given.")
@click.option(
    "--mtu",
    type=click.IntRange(68, 65535),
    metavar="N",
    help="The guest's MTU; what fits the wire when it is protected, unless given.",
)
@click.option(
    "--wire-mtu",
    type=click.IntRange(68, 65535),
    default=1500,
    show_default=True,
    help="The wire's MTU, in octets of IP packet.",
)
@click.option("--trace", metavar="TRACE", help="Write down what passes between driver and device; it may hold keys.")
@click.option("--control", metavar="PATH", help="Where 'virtionet-ipsec ctl' connects, and nobody but you.")
@click.option(
    "--accept-cleartext", is_flag=True, help="Let packets through that a policy protects and that came in the clear."
)
def serve(**options: Any) -> int:
    """Be a vhost-user back end: a device for a real driver, with IPsec between it and the wire."""
    from .serve import serve_command

    return serve_command(**options)


@app.group()
def sa() -> None:
    """SA files."""


@sa.command()
@click.argument("file", metavar="FILE")
@click.option("--to", type=click.Choice(FORMATS), default="toml", show_default=True, help="The format to write.")
@click.option(
    "--direction",
    type=click.Choice(DIRECTIONS),
    default="auto",
    show_default=True,
    help="Which SAs to take; an esp_sa or xfrm file has no directions, and each of its SAs serves for both.",
)
@click.option("--local", metavar="ADDRESS", multiple=True, callback=addresses, help=LOCAL_HELP)
@click.option("--output", "-o", metavar="OUT", default="-", show_default=True, help="Where to; - is standard output.")
def convert(**options: Any) -> int:
    """Convert the SA FILE.  It contains keys: mind where you write it."""
    from .sa import convert_command

    return convert_command(**options)
