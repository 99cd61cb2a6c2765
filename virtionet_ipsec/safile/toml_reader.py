"""The project's own SA files: TOML with an ``[[sa]]`` table for each SA (specs/sa-files.md)."""

from __future__ import annotations

import re
import tomllib

from ..ipsec.algorithms import AEADS, AUTHS, CIPHERS
from ..ipsec.sa import Direction, Lifetime, Mode, ParameterError, Protocol, SaParams, Tunnel, UdpEncap
from .model import MAX_ID, SaEntry, SaFileError, Select
from .toml_place import Place, Text
from .toml_table import Table
from .values import PROTOCOLS, WITH_PORTS, address, network, shown

DIRECTIONS = {direction.value: direction for direction in Direction}

# virtio 1.4 names the modes ESP_TUNNEL, ESP_TRANSPORT, AH_TUNNEL and AH_TRANSPORT.
MODES = {f"{protocol.name.lower()}-{mode.value}": (protocol, mode) for protocol in Protocol for mode in Mode}

OPTIONS = ("esn", "udp-encap", "copy-dscp", "dec-ttl", "copy-df", "ecn", "lifetime")

SA_KEYS = (
    *("id", "direction", "mode", "spi", "aead", "cipher", "auth", "cipher_key", "auth_key", "salt"),
    *("esn", "replay_window", "udp", "tunnel", "options", "lifetime", "select", "model"),
)
UDP_KEYS = ("sport", "dport")
TUNNEL_KEYS = ("src", "dst", "dscp", "df", "ttl", "flow_label")
LIFETIME_KEYS = ("packets_soft", "bytes_soft", "packets_hard", "bytes_hard")
SELECT_KEYS = ("src", "dst", "proto", "sport", "dport")
MODEL_KEYS = ("icv_len", "iv", "first_seq", "ah_align")

_MAX_32 = 0xFFFFFFFF
_MAX_64 = 0xFFFFFFFFFFFFFFFF

# How to mend what SaParams refuses, by its name for the parameter.
_MENDS = {
    "aead": "give either aead, or cipher and auth",
    "cipher": "give either aead, or cipher and auth",
    "auth": "give either aead, or cipher and auth; for AH, auth alone",
    "cipher_key": "give the key alone, in hex: a salt goes under salt",
    "auth_key": "give the key alone, in hex: a salt goes under salt",
    "salt": "give it in hex under salt, apart from the key",
    "tunnel": 'write tunnel = {src = "...", dst = "..."}',
    "udp": "leave udp out",
    "icv_len": "leave icv_len out for the algorithm's default",
    "iv": "leave iv out, or give it in full",
}


def loads_toml(text: str, name: str) -> list[SaEntry]:
    """The SAs of a TOML file; ``name`` is the file's for messages.  Raises SaFileError."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _not_toml(error, name) from None
    for key in document:
        if key != "sa":
            raise SaFileError(f"{name}: {shown(key)}", "is not a key of an SA file", "write all under [[sa]] headers")
    tables = document.get("sa", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise SaFileError(f"{name}: sa", "is not an array of tables", "write each SA under a [[sa]] header")
    if not tables:
        raise SaFileError(name, "there is no SA in it", "write each SA under a [[sa]] header")
    places = Text(name, text, len(tables))
    return [_entry(table, Place(places, number)) for number, table in enumerate(tables, 1)]


def _not_toml(error: ValueError | RecursionError, name: str) -> SaFileError:
    """tomllib's message quotes the file, so that only the place is taken from it."""
    at = re.search(r"\(at line (\d+), column (\d+)\)$", str(error))
    where = f"{name}:{at[1]}" if at else name
    column = f" (column {at[2]})" if at else ""
    return SaFileError(
        where, f"this is not valid TOML{column}", "see toml.io for the syntax, specs/sa-files.md for keys"
    )


def _entry(values: dict[str, object], place: Place) -> SaEntry:
    table = Table(values, place, SA_KEYS)
    table.need("id", f"give each SA of a direction a number of its own, 0 to {MAX_ID:#x}")
    table.need("direction", 'write direction = "inbound" or "outbound"')
    table.need("mode", f"one of: {', '.join(MODES)}")
    table.need("spi", "give the SPI as an integer, such as 0x1001")
    resource_id = table.integer("id", 0, MAX_ID)
    try:
        params = _params(table)
    except ParameterError as error:
        key = f"model.{error.field}" if error.field in MODEL_KEYS else error.field
        raise table.error(key, error.message, _MENDS.get(error.field, "give a value that fits")) from None
    select = _select(table.table("select", SELECT_KEYS)) if "select" in table else None
    return SaEntry(resource_id, params, select, place.origin)


def _params(table: Table) -> SaParams:
    protocol, mode = MODES[table.choice("mode", MODES)]
    options = table.choices("options", OPTIONS)
    tunnel, copies_df = _tunnel(table)
    if tunnel is not None and mode is Mode.TRANSPORT:
        raise table.error("tunnel", "a transport mode SA has no outer header", "leave it out, or choose a tunnel mode")
    model = table.table("model", MODEL_KEYS)
    return SaParams(
        direction=DIRECTIONS[table.choice("direction", DIRECTIONS)],
        protocol=protocol,
        mode=mode,
        spi=table.integer("spi", 1, _MAX_32),
        aead=table.choice("aead", AEADS) if "aead" in table else None,
        cipher=table.choice("cipher", CIPHERS) if "cipher" in table else None,
        auth=table.choice("auth", AUTHS) if "auth" in table else None,
        cipher_key=table.octets("cipher_key"),
        auth_key=table.octets("auth_key"),
        salt=table.octets("salt"),
        esn=_esn(table, options),
        replay_window=table.integer("replay_window", 0, _MAX_32),
        tunnel=tunnel,
        udp=_udp(table, options),
        copy_dscp="copy-dscp" in options,
        dec_ttl="dec-ttl" in options,
        copy_df="copy-df" in options or copies_df,
        ecn="ecn" in options,
        lifetime=_lifetime(table, options),
        icv_len=model.integer("icv_len", 1, _MAX_32) if "icv_len" in model else None,
        iv=model.octets("iv") if "iv" in model else None,
        first_seq=model.integer("first_seq", 1, _MAX_64, 1),
        ah_align=model.integer("ah_align", 1, _MAX_32) if "ah_align" in model else None,
    )


def _esn(table: Table, options: set[str]) -> bool:
    if "esn" in table and "esn" in options and not table.boolean("esn"):
        raise table.error("esn", "is false, and options has it", "take one of the two away")
    return table.boolean("esn") or "esn" in options


def _udp(table: Table, options: set[str]) -> UdpEncap | None:
    if "udp" not in table:
        if "udp-encap" in options:
            raise table.error("options", "has udp-encap without ports", "add udp = {sport = 4500, dport = 4500}")
        return None
    udp = table.table("udp", UDP_KEYS)
    for key in UDP_KEYS:
        udp.need(key, "write udp = {sport = 4500, dport = 4500}")
    return UdpEncap(udp.integer("sport", 1, 0xFFFF), udp.integer("dport", 1, 0xFFFF))


def _tunnel(table: Table) -> tuple[Tunnel | None, bool]:
    """The outer header, and whether its ``df`` says to copy the bit."""
    if "tunnel" not in table:
        return None, False
    tunnel = table.table("tunnel", TUNNEL_KEYS)
    for key in ("src", "dst"):
        tunnel.need(key, _MENDS["tunnel"])
    df = tunnel.flag_or_choice("df", ("clear", "set", "copy"))
    made = Tunnel(
        src=tunnel.parsed("src", address, "give an address, such as 192.0.2.1").packed,
        dst=tunnel.parsed("dst", address, "give an address, such as 192.0.2.2").packed,
        dscp=tunnel.integer("dscp", 0, 63),
        df=df in (True, "set"),
        ttl=tunnel.integer("ttl", 1, 255, 64),
        flow_label=tunnel.integer("flow_label", 0, 0xFFFFF),
    )
    return made, df == "copy"


def _lifetime(table: Table, options: set[str]) -> Lifetime:
    if "lifetime" in options and "lifetime" not in table:
        raise table.error("options", "has lifetime, and no limit is given", "add lifetime = {packets_hard = ...}")
    lifetime = table.table("lifetime", LIFETIME_KEYS)
    return Lifetime(**{key: lifetime.integer(key, 0, _MAX_64) for key in LIFETIME_KEYS})


def _select(table: Table) -> Select:
    mend = "give a network, such as 198.51.100.0/24"
    src = table.parsed("src", network, mend) if "src" in table else None
    dst = table.parsed("dst", network, mend) if "dst" in table else None
    if src is not None and dst is not None and src.version != dst.version:
        raise table.error("dst", "is not of the same IP version as src", "give two networks of one IP version")
    proto = table.number_or_name("proto", 0xFF, PROTOCOLS) if "proto" in table else None
    ports = {key: table.integer(key, 0, 0xFFFF) for key in ("sport", "dport") if key in table}
    if ports and proto not in WITH_PORTS:
        raise table.error(min(ports), "needs a protocol that has ports", 'add proto = "tcp" or "udp"')
    return Select(src, dst, proto, ports.get("sport"), ports.get("dport"))
