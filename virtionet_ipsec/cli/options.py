"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import click

from ..wire.profile import Profile

DIRECTIONS = ("auto", "inbound", "outbound")

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

LOCAL_HELP = (
    "An address of the host that an `ip xfrm state` or esp_sa file is of: SAs that begin there are outbound, "
    "those that end there inbound. May be given more than once."
)


def addresses(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Check IP addresses given on the command line."""
    for text in value:
        try:
            ip_address(text)
        except ValueError:
            raise click.BadParameter(f"{text!r} is not an IPv4 or IPv6 address.", context, parameter) from None
    return value


def profile_option() -> Decorator:
    """Which of the two texts."""
    return click.option(
        "--profile",
        type=click.Choice([profile.value for profile in Profile]),
        default=Profile.VIRTIO_1_4.value,
        show_default=True,
        help="Which text the device follows.",
    )


def stacked(options: list[Decorator]) -> Decorator:
    """All of ``options`` as one decorator, in their order."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


session_options = stacked(
    [
        click.argument("capture", metavar="CAPTURE"),
        click.option(
            "--sa",
            metavar="FILE",
            multiple=True,
            required=True,
            help="SA file: TOML, Wireshark's esp_sa table, or `ip xfrm state`. May be given more than once.",
        ),
        click.option(
            "--direction",
            type=click.Choice(DIRECTIONS),
            default="auto",
            show_default=True,
            help="Which way packets go; auto: IPsec packets arrive, others leave through the SA that selects them.",
        ),
        profile_option(),
        click.option("--local", metavar="ADDRESS", multiple=True, callback=addresses, help=LOCAL_HELP),
        click.option("--seed", type=int, metavar="N", help="Seed for IVs, so that a run repeats bit for bit."),
        click.option(
            "--mtu",
            type=click.IntRange(68, 65535),
            default=65535,
            show_default=True,
            help="The device's MTU, in octets of IP packet.",
        ),
    ]
)
"""What replay, explain and record have in common: the capture, the SAs and the device."""


def check_stdin(options: dict[str, Any]) -> None:
    """Refuse a command line that reads standard input twice."""
    if [options["capture"], *options["sa"]].count("-") > 1:
        raise click.UsageError("Only one of CAPTURE and the SA files can be standard input.")
