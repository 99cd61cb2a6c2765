"""Loading SA files of any format: what a file is, its content says."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address
from typing import Literal

from ..ipsec.sa import Direction, Mode
from .esp_sa_reader import loads_esp_sa
from .local import Local
from .model import SaEntry, SaFileError, check_unique
from .toml_reader import loads_toml
from .xfrm_reader import loads_xfrm

Format = Literal["toml", "esp_sa", "xfrm"]
Directions = Literal["inbound", "outbound", "both", "auto"]

# More than a hundred thousand SAs in the wordiest format.
MAX_FILE = 1 << 28

_STDIN = "standard input"

_DIRECTIONS: dict[str, tuple[Direction, ...]] = {
    "inbound": (Direction.INBOUND,),
    "outbound": (Direction.OUTBOUND,),
    "both": (Direction.INBOUND, Direction.OUTBOUND),
    "auto": (Direction.INBOUND, Direction.OUTBOUND),
}

_TOML = re.compile(r"""\s*(\[|["']?[\w.-]+["']?\s*=)""")
_ESP_SA = re.compile(r'\s*"[^"]*"\s*,')
_XFRM = re.compile(r"src \S+ dst \S+")


def load(
    path: str | os.PathLike[str],
    direction: Directions = "both",
    mode: Mode | None = None,
    local_addresses: Iterable[str] = (),
) -> list[SaEntry]:
    """The SAs of the file at ``path``: the project's TOML, Wireshark's ``esp_sa`` table or ``ip xfrm state``.

    ``-`` is standard input.  Only SAs of ``direction`` are returned.  Where the
    format has no directions (the last two), each SA serves for every direction
    that is asked for; its id is its number in the file.  With
    ``local_addresses``, those of its SAs that end at one of them are inbound
    only, and those that begin there outbound only.  ``auto`` takes each SA for
    the directions that are told so, and for inbound where nothing tells.
    ``mode`` is that of an ``esp_sa`` table, tunnel mode unless given.

    Raises SaFileError: one line, without key material, that says what, where and
    how to mend it; also where no SA of a file without directions begins or ends at one of
    ``local_addresses``.  Raises ValueError for a ``local_addresses`` that is none.
    """
    return load_all([path], direction, mode, local_addresses)


def load_all(
    paths: Iterable[str | os.PathLike[str]],
    direction: Directions = "both",
    mode: Mode | None = None,
    local_addresses: Iterable[str] = (),
) -> list[SaEntry]:
    """The SAs of several files together, each read as by :func:`load`.

    Ids that a file does not give itself count on from the highest before it.
    Raises SaFileError, also when two files have one id or one inbound SPI.
    """
    local = _local(local_addresses)
    entries: list[SaEntry] = []
    asked_of: list[str] = []
    for path in paths:
        name = os.fspath(path)
        text = _read(name)
        name = _STDIN if name == "-" else name
        loaded = _loads(text, name, direction, mode, local)
        check_unique(loaded)
        if detect(text, name) != "toml":
            highest = max((entry.id for entry in entries), default=0)
            loaded = [replace(entry, id=entry.id + highest) for entry in loaded]
            asked_of.append(name)
        entries += loaded
    if asked_of:
        local.check(", ".join(asked_of))
    check_unique(entries)
    return entries


def loads(
    text: str,
    name: str = "SA file",
    direction: Directions = "both",
    mode: Mode | None = None,
    local_addresses: Iterable[str] = (),
) -> list[SaEntry]:
    """As :func:`load`, of ``text``; ``name`` stands for the file in messages."""
    local = _local(local_addresses)
    entries = _loads(text, name, direction, mode, local)
    if detect(text, name) != "toml":
        local.check(name)
    check_unique(entries)
    return entries


def _local(addresses: Iterable[str]) -> Local:
    return Local(ip_address(address) for address in addresses)


def _loads(text: str, name: str, direction: Directions, mode: Mode | None, local: Local) -> list[SaEntry]:
    kind = detect(text, name)
    asked = _DIRECTIONS[direction]
    untold = _DIRECTIONS["inbound" if direction == "auto" else direction]
    if kind == "toml":
        return [entry for entry in loads_toml(text, name) if entry.params.direction in asked]
    if kind == "esp_sa":
        return loads_esp_sa(text, name, asked, untold, local, mode)
    return loads_xfrm(text, name, asked, untold, local)


def detect(text: str, name: str = "SA file") -> Format:
    """The format of an SA file, by its first line that is neither empty nor a comment.  Raises SaFileError."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if _XFRM.match(line):
            return "xfrm"
        if _ESP_SA.match(line):
            return "esp_sa"
        if _TOML.match(line):
            return "toml"
        what = "this begins neither TOML, nor Wireshark's esp_sa table, nor the output of `ip xfrm state`"
        raise SaFileError(f"{name}:{number}", what, "begin with [[sa]], or see specs/sa-files.md")
    raise SaFileError(name, "there is no SA in it", "write an [[sa]] table for each SA")


def _read(name: str) -> str:
    try:
        if name == "-":
            name = _STDIN
            data = sys.stdin.buffer.read(MAX_FILE + 1)
        else:
            with open(name, "rb") as file:
                data = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a file name"
        raise SaFileError(name, f"cannot be read ({why})", "give the path of a readable file") from None
    if len(data) > MAX_FILE:
        raise SaFileError(name, f"the file is larger than {MAX_FILE >> 20} MiB", "give an SA file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SaFileError(name, f"byte {error.start} is not UTF-8", "give a text file, saved as UTF-8") from None
