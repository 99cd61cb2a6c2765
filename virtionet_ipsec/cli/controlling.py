"""The commands over the control socket of a served device, and their options: ctl."""

from __future__ import annotations

from typing import Any

import click

from .options import LOCAL_HELP, addresses, stacked

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
_direction = click.argument("direction", type=click.Choice(["inbound", "outbound"]), metavar="DIRECTION")
_id = click.argument("number", type=click.IntRange(0, 0xFFFFFFFF), metavar="ID")
_sa = stacked([_direction, _id])
_first = click.option("--first", is_flag=True, help="Try the new before the other policies, not after them.")


@click.group()
@click.argument("socket", metavar="SOCKET")
@click.pass_context
def ctl(context: click.Context, socket: str) -> None:
    """Look at what `serve --control SOCKET` serves, and change it while it runs.

    The commands are about the host's own device, which protects what the guest
    sends: its SAs, policies and rules.  No key is ever shown.
    """
    context.obj = socket


@ctl.command()
@_as_json
@click.pass_obj
def caps(socket: str, /, **options: Any) -> int:
    """Show what the device can do: its capabilities."""
    from .ctl import caps_command

    return caps_command(socket, **options)


@ctl.group("sa")
def sas() -> None:
    """Security associations."""


@sas.command("list")
@_as_json
@click.pass_obj
def list_sas(socket: str, /, **options: Any) -> int:
    """List the SAs with what packets did to them."""
    from .ctl import sa_list_command

    return sa_list_command(socket, **options)


@sas.command("show")
@_sa
@_as_json
@click.pass_obj
def show_sa(socket: str, /, **options: Any) -> int:
    """Show one SA, without its keys."""
    from .ctl import sa_show_command

    return sa_show_command(socket, **options)


@sas.command("add")
@click.argument("file", metavar="FILE")
@click.option("--local", metavar="ADDRESS", multiple=True, callback=addresses, help=LOCAL_HELP)
@_first
@click.pass_obj
def add_sas(socket: str, /, **options: Any) -> int:
    """Create the SAs of an SA file, all or none, and a policy for each outbound one and each with a select."""
    from .ctl import sa_add_command

    return sa_add_command(socket, **options)


@sas.command("remove")
@_sa
@click.pass_obj
def remove_sa(socket: str, /, **options: Any) -> int:
    """Remove one SA.  Its policies stay, and what they protect is dropped until there is another SA of this id."""
    from .ctl import sa_remove_command

    return sa_remove_command(socket, **options)


@ctl.group()
def policy() -> None:
    """Policies: which packets leave, or may arrive, through which SA."""


@policy.command("list")
@_as_json
@click.pass_obj
def list_policies(socket: str, /, **options: Any) -> int:
    """List the policies in the order in which they are tried."""
    from .ctl import policy_list_command

    return policy_list_command(socket, **options)


@policy.command("add")
@_sa
@click.option("--src", metavar="NETWORK", help="Packets from here alone.")
@click.option("--dst", metavar="NETWORK", help="Packets to here alone.")
@click.option("--proto", metavar="PROTOCOL", help="Packets of this IP protocol alone, by name or number.")
@click.option("--sport", type=click.IntRange(0, 65535), metavar="PORT", help="Packets from this port alone.")
@click.option("--dport", type=click.IntRange(0, 65535), metavar="PORT", help="Packets to this port alone.")
@_first
@click.pass_obj
def add_policy(socket: str, /, **options: Any) -> int:
    """Send packets through outbound SA ID, or say what may arrive through inbound SA ID."""
    from .ctl import policy_add_command

    return policy_add_command(socket, **options)


@policy.command("remove")
@_id
@click.pass_obj
def remove_policy(socket: str, /, **options: Any) -> int:
    """Remove a policy."""
    from .ctl import policy_remove_command

    return policy_remove_command(socket, **options)


@ctl.command()
@_as_json
@click.pass_obj
def rules(socket: str, /, **options: Any) -> int:
    """List the flow filter's rules in the order in which they are tried."""
    from .ctl import rules_command

    return rules_command(socket, **options)


@ctl.command()
@_as_json
@click.option("--watch", is_flag=True, help="Once a second, until Ctrl-C.")
@click.pass_obj
def counters(socket: str, /, **options: Any) -> int:
    """Show what was counted: packets by fate on either side, the wires, the SAs."""
    from .ctl import counters_command

    return counters_command(socket, **options)


@ctl.command()
@_as_json
@click.option("--every", is_flag=True, help="Each step of each packet, not only failures and changes.")
@click.pass_obj
def events(socket: str, /, **options: Any) -> int:
    """Print events as they happen, until Ctrl-C."""
    from .ctl import events_command

    return events_command(socket, **options)


@ctl.command()
@click.argument("octets", metavar="HEX")
@click.option(
    "--room",
    type=click.IntRange(0, 65536),
    default=65536,
    show_default=True,
    metavar="N",
    help="Octets of the device-writable part.",
)
@click.pass_obj
def admin(socket: str, /, **options: Any) -> int:
    """Give the device an administration command in octets, and print what it writes.  Exit status 1 when it says no."""
    from .ctl import admin_command

    return admin_command(socket, **options)
