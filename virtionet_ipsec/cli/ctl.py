"""ctl: ask, print."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click
from rich.live import Live
from rich.table import Table

from ..conformance.decode import status_name
from ..control import ControlClient
from ..control.messages import Kind
from ..driver.admin import AdminClient
from ..driver.errors import AdminError, DriverError
from ..driver.sa_object import sa_object
from ..input_error import InputError, printable
from ..ipsec import Direction
from ..policy import refusal
from ..safile import SaEntry, load_all
from ..safile.selects import FIELDS, select_as_dict
from ..wire.admin import AdminCmdResult
from ..wire.codec import parse
from ..wire.enums import AdminStatus, CapId, ResourceType
from ..wire.profile import Profile
from .capabilities import capability
from .console import PlainConsole, sa_table

_TYPES = {"outbound": ResourceType.IPSEC_OUTB_SA, "inbound": ResourceType.IPSEC_INB_SA}


@contextmanager
def _admin(client: ControlClient) -> Iterator[AdminClient]:
    """Commands to the host's own device; what it refuses is the user's to mend."""
    try:
        yield AdminClient(client)
    except AdminError as error:
        raise InputError(client.path, f"the device refuses it: {error}", "change what it names") from None


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


# -- capabilities ----------------------------------------------------------------------------------------------------


def caps_command(socket: str, as_json: bool) -> int:
    with ControlClient(socket) as client, _admin(client) as admin:
        profile = Profile(client.ask(Kind.INFO)["profile"])
        known = sorted(CapId(number) for number in admin.cap_ids() & frozenset(CapId))
        found = {cap.name: capability(cap, admin.device_cap(cap), profile) for cap in known}
    if as_json:
        _print_json(found)
        return 0
    console = PlainConsole()
    for name, fields in found.items():
        table = _table(name, "field", "value")
        for row in fields if isinstance(fields, list) else [fields]:
            for field, value in row.items():
                table.add_row(field, ", ".join(map(str, value)) if isinstance(value, list) else str(value))
        console.print(table)
    return 0


# -- SAs -------------------------------------------------------------------------------------------------------------


def sa_list_command(socket: str, as_json: bool) -> int:
    with ControlClient(socket) as client:
        rows = list(client.pages(Kind.SAS))
    if as_json:
        _print_json(rows)
    else:
        PlainConsole().print(sa_table(rows))
    return 0


def sa_show_command(socket: str, direction: str, number: int, as_json: bool) -> int:
    with ControlClient(socket) as client:
        row = _find(client, direction, number)
    if as_json:
        _print_json(row)
        return 0
    parameters = row.pop("parameters")
    table = _table(f"{direction} SA {number}", "field", "value")
    for name, value in {**row, **parameters}.items():
        table.add_row(name, _short(value))
    PlainConsole().print(table)
    return 0


def _find(client: ControlClient, direction: str, number: int) -> dict[str, Any]:
    for row in client.pages(Kind.SAS):
        if (row["direction"], row["resource_id"]) == (direction, number):
            return row
    raise InputError(client.path, f"there is no {direction} SA {number}", "see sa list")


def _short(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return str(value)


def sa_add_command(socket: str, file: str, local: Sequence[str], first: bool) -> int:
    entries = load_all([file], "auto", local_addresses=local)
    with ControlClient(socket) as client:
        profile = Profile(client.ask(Kind.INFO)["profile"])
        made: list[SaEntry] = []
        policies: list[int] = []
        try:
            for entry in entries:
                _create(client, entry, profile)
                made.append(entry)
            for entry in reversed(entries) if first else entries:  # their order is that of the file either way
                if entry.params.direction is Direction.OUTBOUND or entry.select is not None:
                    policies.append(_add_policy(client, entry, first))
        except InputError:
            for policy in policies:
                client.ask(Kind.POLICY_REMOVE, id=policy)
            for entry in made:
                AdminClient(client).destroy(_TYPES[entry.params.direction.value], entry.id)
            raise
    print(f"{len(made)} SAs and {len(policies)} policies added")
    return 0


def _create(client: ControlClient, entry: SaEntry, profile: Profile) -> None:
    params, way = entry.params, entry.params.direction.value
    extras = {"icv_len": params.icv_len, "iv": params.iv.hex() if params.iv is not None else None}
    extras |= {"first_seq": params.first_seq, "ah_align": params.ah_align}
    try:
        octets = sa_object(params, entry.id, profile)
        client.ask(Kind.EXTRAS, direction=way, id=entry.id, **extras)
        AdminClient(client).create(_TYPES[way], entry.id, octets)
    except DriverError as error:
        raise refusal(entry, profile, error) from None


def _add_policy(client: ControlClient, entry: SaEntry, first: bool) -> int:
    select = select_as_dict(entry.select) if entry.select is not None else {}
    way = entry.params.direction.value
    return int(client.ask(Kind.POLICY_ADD, direction=way, sa=entry.id, select=select, first=first)["id"])


def sa_remove_command(socket: str, direction: str, number: int) -> int:
    with ControlClient(socket) as client:
        row = _find(client, direction, number)
        with _admin(client) as admin:
            admin.destroy(_TYPES[direction], number)
    left = row["policies"]
    if left:
        said = ", ".join(map(str, left))
        print(f"virtionet-ipsec: note: what policy {said} protects is dropped from here on", file=sys.stderr)
    print(f"{direction} SA {number} removed")
    return 0


# -- policies and rules ----------------------------------------------------------------------------------------------


def policy_list_command(socket: str, as_json: bool) -> int:
    with ControlClient(socket) as client:
        rows = list(client.pages(Kind.POLICIES))
    if as_json:
        _print_json(rows)
        return 0
    table = _table("policies", "id", "direction", "SA", *FIELDS)
    for row in rows:
        select = [str(row["select"].get(field, "any")) for field in FIELDS]
        table.add_row(str(row["id"]), row["direction"], str(row["sa"]), *select)
    PlainConsole().print(table)
    return 0


def policy_add_command(socket: str, direction: str, number: int, first: bool, **select: Any) -> int:
    given = {name: value for name, value in select.items() if value is not None}
    with ControlClient(socket) as client:
        made = client.ask(Kind.POLICY_ADD, direction=direction, sa=number, select=given, first=first)
    print(f"policy {made['id']} added")
    return 0


def policy_remove_command(socket: str, number: int) -> int:
    with ControlClient(socket) as client:
        client.ask(Kind.POLICY_REMOVE, id=number)
    print(f"policy {number} removed")
    return 0


def rules_command(socket: str, as_json: bool) -> int:
    with ControlClient(socket) as client:
        rows = list(client.pages(Kind.RULES))
    if as_json:
        _print_json(rows)
        return 0
    table = _table("flow filter rules", "id", "group", "priorities", "action", "matches", "whose")
    for row in rows:
        priorities = f"{row['group_priority']}, {row['rule_priority']}"
        matches = "; ".join(filter(None, map(_match, row["selectors"])))
        whose = "the host's" if row["own"] else "yours"
        table.add_row(str(row["resource_id"]), str(row["group"]), priorities, row["action"], matches or "all", whose)
    PlainConsole().print(table)
    return 0


def _match(selector: dict[str, Any]) -> str:
    """``IPV4 9=32``: the octets of a header that count, from which one on; with ``/mask`` where bits of them do."""
    mask, key = bytes.fromhex(selector["mask"]), bytes.fromhex(selector["key"])
    fields: list[tuple[int, bytes, bytes]] = []
    for at, octet in enumerate(mask):
        if octet and fields and fields[-1][0] + len(fields[-1][1]) == at:
            start, value, bits = fields[-1]
            fields[-1] = start, value + key[at : at + 1], bits + mask[at : at + 1]
        elif octet:
            fields.append((at, key[at : at + 1], mask[at : at + 1]))
    said = [f"{start}={value.hex()}{'' if set(bits) == {0xFF} else '/' + bits.hex()}" for start, value, bits in fields]
    return f"{selector['type']} {' '.join(said)}" if said else ""


# -- counters and events ---------------------------------------------------------------------------------------------


def counters_command(socket: str, as_json: bool, watch: bool) -> int:
    with ControlClient(socket) as client:
        if not watch:
            told = _counters(client)
            if as_json:
                _print_json(told)
            else:
                PlainConsole().print(_counters_table(told))
            return 0
        if as_json:
            while True:
                print(json.dumps(_counters(client)), flush=True)
                time.sleep(1)
        console = PlainConsole()
        if not console.is_terminal:  # one table after the other, each when it is made
            while True:
                console.print(_counters_table(_counters(client)))
                sys.stdout.flush()
                time.sleep(1)
        with Live(console=console, auto_refresh=False) as live:
            while True:
                live.update(_counters_table(_counters(client)), refresh=True)
                time.sleep(1)


def _counters(client: ControlClient) -> dict[str, Any]:
    return {**client.ask(Kind.COUNTERS), "sas": list(client.pages(Kind.SAS))}


def _counters_table(told: dict[str, Any]) -> Table:
    table = _table("counters", "of", "what", "count")
    for side in ("guest", "host"):
        for name, value in _flat(told[side]):
            table.add_row(side, name, str(value))
    for wire in told["wires"]:
        for name in ("sent", "received", "dropped"):
            table.add_row(printable(wire["name"]), name, str(wire[name]))
    for sa in told["sas"]:
        of = f"{sa['direction']} SA {sa['resource_id']}"
        last = "last_seq" if "last_seq" in sa else "highest_seq"
        for name in ("packets", "bytes", last):
            table.add_row(of, name, str(sa[name]))
        for name, value in sa["failures"].items():
            table.add_row(of, f"failures {name}", str(value))
    return table


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name} ")
        else:
            yield prefix + name, value


def events_command(socket: str, as_json: bool, every: bool) -> int:
    with ControlClient(socket) as client:
        client.subscribe(every=every)
        while (event := client.event()) is not None:
            print(json.dumps(event) if as_json else _line(event), flush=True)
    return 0


def _line(event: dict[str, Any]) -> str:
    when = datetime.fromtimestamp(event.pop("time", 0)).strftime("%H:%M:%S.%f")
    head = f"{when} {event.pop('device', '-'):5} {event.pop('event', '?')}"
    return printable(" ".join([head, *(f"{name}={value}" for name, value in event.items())]))


def admin_command(socket: str, octets: str, room: int) -> int:
    try:
        readable = bytes.fromhex(octets)
    except ValueError:
        raise click.BadParameter("is not hexadecimal.", param_hint="HEX") from None
    with ControlClient(socket) as client:
        written = client.admin(readable, room)
        why = client.last_refusal
    print(written.hex())
    result = parse(AdminCmdResult, written)
    if written and result.status == AdminStatus.OK:
        return 0
    said = status_name(result.status, result.status_qualifier) if written else "the device did not use the buffer"
    print(f"virtionet-ipsec: {printable(f'{said}: {why}' if why else said)}", file=sys.stderr)
    return 1
