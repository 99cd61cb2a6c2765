"""Reading Wireshark's table of ESP SAs, the file ``esp_sa`` of its profile (packet-ipsec.c).

One SA a line, each column in quotes: protocol, source, destination, SPI,
encryption and its key, authentication and its key; in versions after 4.0 also
the length of sequence numbers and their upper half.  A key has its salt behind
it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from ..ipsec.algorithms import AEADS, AUTHS, CIPHERS, Aead, Cipher, Integrity
from ..ipsec.sa import Direction, Mode, ParameterError, Protocol, SaParams, Tunnel
from .esp_sa_names import AEAD_NAMES, AUTH_NAMES, CIPHER_NAMES, GCM, NO_AUTH, UNCHECKED
from .keymat import split_salt
from .local import Local
from .model import Address, SaEntry, SaFileError, Select
from .values import did_you_mean, octets

_COLUMNS = (
    "protocol",
    "source",
    "destination",
    "SPI",
    "encryption",
    "encryption-key",
    "authentication",
    "authentication-key",
)
_LATER_COLUMNS = ("SN", "ESN-high-bits")

_COLUMN_PATTERN = re.compile(r'\s*"((?:[^"\\]|\\x[0-9A-Fa-f]{2})*)"\s*(,|$)')
_ESCAPE = re.compile(r"\\x([0-9A-Fa-f]{2})")

_FIELD_COLUMN = {"spi": "SPI", "aead": "encryption", "cipher": "encryption", "first_seq": "ESN-high-bits"}


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the table."""

    file: str
    line: int
    number: int
    columns: dict[str, str]

    @property
    def origin(self) -> str:
        return f"{self.file}:{self.line}"

    def error(self, column: str, what: str, mend: str) -> SaFileError:
        return SaFileError(f"{self.origin}: SA {self.number} {column}", what, mend)


def loads_esp_sa(
    text: str,
    name: str,
    asked: Collection[Direction],
    untold: Collection[Direction],
    local: Local,
    mode: Mode | None = None,
) -> list[SaEntry]:
    """The SAs of the table for each of ``asked``; ids are their numbers in the file, from 1.

    An SA whose direction ``local`` does not tell is taken for each of ``untold``.
    The table does not say the mode: it is tunnel mode unless ``mode`` is given.
    Raises SaFileError.
    """
    rows: list[_Row] = []
    for line, content in enumerate(text.splitlines(), 1):
        if content.strip() and not content.lstrip().startswith("#"):
            rows.append(_Row(name, line, len(rows) + 1, _columns(content, f"{name}:{line}")))
    return [
        _entry(row, direction, mode or Mode.TUNNEL)
        for row in rows
        for direction in local.directions(*_addresses(row), asked, untold)
    ]


def _columns(line: str, where: str) -> dict[str, str]:
    columns: list[str] = []
    at = 0
    while match := _COLUMN_PATTERN.match(line, at):
        columns.append(_ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), match[1]))
        at = match.end()
        if not match[2]:
            break
    if match is None:
        mend = 'write "IPv4","source",... as Wireshark does'
        raise SaFileError(where, f"column {len(columns) + 1} is not in quotes", mend)
    if not len(_COLUMNS) <= len(columns) <= len(_COLUMNS + _LATER_COLUMNS):
        raise SaFileError(where, f"there are {len(columns)} columns", f"give {len(_COLUMNS)}: {', '.join(_COLUMNS)}")
    return dict(zip(_COLUMNS + _LATER_COLUMNS, columns, strict=False))


def _entry(row: _Row, direction: Direction, mode: Mode) -> SaEntry:
    src, dst = _addresses(row)
    ends = (src, dst) if src is not None and dst is not None else None
    esn, first_seq = _esn(row)
    tunnel = None
    if mode is Mode.TUNNEL:
        if ends is not None:
            tunnel = Tunnel(ends[0].packed, ends[1].packed)
        elif direction is Direction.OUTBOUND:
            raise row.error("source", "an outbound tunnel needs two addresses", "put them in the place of wildcards")
    try:
        params = SaParams(
            direction=direction,
            protocol=Protocol.ESP,
            mode=mode,
            spi=_spi(row),
            esn=esn,
            tunnel=tunnel,
            first_seq=first_seq,
            **_algorithms(row),
        )
    except ParameterError as error:
        column = _FIELD_COLUMN.get(error.field, "authentication")
        raise row.error(column, error.message, "mend the line, or take it out") from None
    select = None
    if direction is Direction.OUTBOUND and mode is Mode.TRANSPORT and ends is not None:
        select = Select(ip_network(ends[0]), ip_network(ends[1]))
    return SaEntry(row.number, params, select, row.origin, ends if mode is Mode.TRANSPORT else None)


def _addresses(row: _Row) -> tuple[Address | None, Address | None]:
    """Source and destination, each None where it is a wildcard or a network."""
    version = {"IPv4": 4, "IPv6": 6, "Any": None}
    protocol = row.columns["protocol"]
    if protocol not in version:
        raise row.error("protocol", "is none of Wireshark's", f"one of: {', '.join(version)}")
    ends: list[Address | None] = []
    for column in ("source", "destination"):
        text = row.columns[column]
        if not text or "*" in text:
            ends.append(None)
            continue
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            raise row.error(column, "is not an address", "give an address, or * for any") from None
        if version[protocol] not in (None, network.version):
            raise row.error(column, f"is not an {protocol} address", "make protocol and addresses agree")
        ends.append(network.network_address if network.prefixlen == network.max_prefixlen else None)
    src, dst = ends
    if src is not None and dst is not None and src.version != dst.version:
        raise row.error("destination", "is not of the source's IP version", "give two addresses of one IP version")
    return src, dst


def _spi(row: _Row) -> int:
    text = row.columns["SPI"]
    if "*" in text or not text:
        raise row.error("SPI", "is a wildcard; a device finds an SA by its exact SPI", "give a line for each SPI")
    if not re.fullmatch(r"0[xX][0-9A-Fa-f]{1,8}|[0-9]{1,10}", text):
        raise row.error("SPI", "is not an SPI", "give it as 0x and up to 8 hex digits")
    return int(text, 16 if text[:2] in ("0x", "0X") else 10)


def _esn(row: _Row) -> tuple[bool, int]:
    """Whether sequence numbers are extended, and the first one of the half that packets do not carry."""
    length = row.columns.get("SN", "32-bit")
    if length not in ("32-bit", "64-bit"):
        raise row.error("SN", "is no length of sequence numbers", "one of: 32-bit, 64-bit")
    high = row.columns.get("ESN-high-bits") or "0"
    if not re.fullmatch("(0[xX])?[0-9A-Fa-f]{1,8}", high):
        raise row.error("ESN-high-bits", "is not a 32-bit number", "give up to 8 hex digits")
    return (True, (int(high, 16) << 32) + 1) if length == "64-bit" else (False, 1)


def _algorithms(row: _Row) -> dict[str, Any]:
    encryption, authentication = row.columns["encryption"], row.columns["authentication"]
    if encryption == GCM or encryption in AEAD_NAMES:
        name, icv_len = AEAD_NAMES.get(encryption, ("aes-gcm", UNCHECKED.get(authentication, 0)))
        if encryption == GCM and icv_len not in AEADS["aes-gcm"].icv_lengths:
            raise row.error("encryption", "does not say the ICV's length", "choose AES-GCM with 16 octet ICV [RFC4106]")
        if encryption != GCM and authentication != NO_AUTH:
            raise row.error("authentication", "an AEAD takes none beside it", f"choose {NO_AUTH}")
        aead = AEADS[name]
        key, salt = _key(row, "encryption-key", aead)
        return {
            "aead": name,
            "cipher_key": key,
            "salt": salt,
            "icv_len": None if icv_len == aead.icv_default else icv_len,
        }
    if encryption not in CIPHER_NAMES:
        known = [*AEAD_NAMES, *CIPHER_NAMES]
        raise row.error("encryption", "is not an algorithm that the model has", did_you_mean(encryption, known))
    if authentication == NO_AUTH or authentication in UNCHECKED:
        raise row.error(
            "authentication", "the model always checks the ICV (RFC 8221 4)", "name the algorithm and its key"
        )
    if authentication not in AUTH_NAMES:
        raise row.error(
            "authentication", "is not an algorithm that the model has", did_you_mean(authentication, AUTH_NAMES)
        )
    cipher, auth = CIPHERS[CIPHER_NAMES[encryption]], AUTHS[AUTH_NAMES[authentication]]
    key, salt = _key(row, "encryption-key", cipher)
    auth_key, _ = _key(row, "authentication-key", auth)
    return {"cipher": cipher.name, "cipher_key": key, "salt": salt, "auth": auth.name, "auth_key": auth_key}


def _key(row: _Row, column: str, algorithm: Aead | Cipher | Integrity) -> tuple[bytes, bytes]:
    """Key and salt: hex with 0x in front, else the characters themselves, as Wireshark has it."""
    text = row.columns[column]
    try:
        material = octets(text) if text[:2] in ("0x", "0X") else text.encode("latin-1", "replace")
        return split_salt(algorithm, material)
    except ValueError as error:
        raise row.error(column, f"the key {error}", "give it in hex with 0x in front, its salt behind it") from None
