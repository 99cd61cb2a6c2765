"""Writing Wireshark's ``esp_sa`` table."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from ..ipsec.sa import Direction, Lifetime, Mode, Protocol, SaParams
from .esp_sa_names import AEAD_NAMES, AUTH_NAMES, CHACHA20, CIPHER_NAMES, NO_AUTH
from .model import SaEntry, SaFileError
from .pairs import Pair, losses, pairs

_AEADS = {model: name for name, model in AEAD_NAMES.items()}
_CIPHERS = {model: name for name, model in CIPHER_NAMES.items()}
_AUTHS = {model: name for name, model in AUTH_NAMES.items()}


def dumps_esp_sa(entries: Sequence[SaEntry]) -> tuple[str, list[str]]:
    """``entries`` as a table for Wireshark, and a warning for each thing that it cannot say.

    Two entries of one SA, inbound and outbound, become one line, with the
    addresses that either of them knows.  Raises SaFileError for an SA that
    Wireshark cannot decrypt.
    """
    sas = pairs(entries, _identity)
    lines = dict.fromkeys(_line(sa) for sa in sas)
    unknown = [
        f"{sa.name}: the addresses are not known: esp_sa gets any {_family(sa)} address" for sa in sas if not sa.ends
    ]
    halves = [
        f"{sa.name}: esp_sa has one upper half of sequence numbers: it gets the inbound SA's"
        for sa in sas
        if sa.params.esn and len({entry.params.first_seq >> 32 for entry in sa.entries.values()}) > 1
    ]
    return "".join(line + "\n" for line in lines), unknown + halves + losses(sas, _lost)


def _identity(params: SaParams) -> Hashable:
    """What the line holds, but for addresses; not the upper half of sequence numbers, where directions may differ."""
    algorithms = params.aead, params.cipher, params.auth, params.icv_length
    return params.protocol, params.spi, params.esn, *algorithms, params.cipher_key, params.auth_key, params.salt


def _line(sa: Pair) -> str:
    # The two may differ in the upper half of the first sequence number: a table is mostly for what was received.
    entry = sa.entries.get(Direction.INBOUND) or sa.entries[Direction.OUTBOUND]
    params = entry.params
    encryption, authentication = _names(entry)
    columns = [
        _family(sa),
        *(str(end) for end in sa.ends or ("*", "*")),
        f"{params.spi:#010x}",
        encryption,
        _key(params.cipher_key + params.salt),
        authentication,
        _key(params.auth_key),
    ]
    if params.esn:
        columns += ["64-bit", f"{params.first_seq >> 32:x}"]
    return ",".join(f'"{column}"' for column in columns)


def _family(sa: Pair) -> str:
    """The outer IP version: of the SA's ends, else of what it selects, else version 4."""
    selects = [entry.select for entry in sa.entries.values() if entry.select is not None]
    known = [*(sa.ends or ()), *(network for select in selects for network in (select.src, select.dst))]
    return f"IPv{next((each.version for each in known if each is not None), 4)}"


def _names(entry: SaEntry) -> tuple[str, str]:
    """Wireshark's names of what encrypts and what authenticates."""
    params = entry.params
    if params.protocol is Protocol.AH:
        raise SaFileError(f"{entry.origin} mode", "Wireshark's table is for ESP, this is AH", "leave this SA out")
    if params.aead is not None:
        name, authentication = _AEADS.get((params.aead, params.icv_length)), NO_AUTH
    else:
        name, authentication = _CIPHERS[params.cipher or ""], _AUTHS.get(params.auth or "", "")
    if name is None or not authentication:
        key = "aead" if params.aead else "auth"
        raise SaFileError(f"{entry.origin} {key}", f"Wireshark has no {getattr(params, key)}", "leave this SA out")
    return name, authentication


def _key(material: bytes) -> str:
    return f"0x{material.hex()}" if material else ""


def _lost(entry: SaEntry) -> list[str]:
    params = entry.params
    lost = []
    if params.esn:
        lost.append("Wireshark 4.0 and older ignore that sequence numbers are extended, and find every ICV bad")
    if params.aead is not None and _names(entry)[0] == CHACHA20:
        lost.append("Wireshark 4.0 and older do not know ChaCha20-Poly1305, and refuse the table")
    present = {
        "transport mode": params.mode is Mode.TRANSPORT,
        "replay_window": bool(params.replay_window),
        "udp": params.udp is not None,
        "lifetime": params.lifetime != Lifetime(),
        "select": entry.select is not None,
        "options": params.copy_dscp or params.dec_ttl or params.copy_df or params.ecn,
        "model.iv": params.iv is not None,
        "model.first_seq": params.first_seq & 0xFFFFFFFF != 1,
    }
    names = [name for name, there in present.items() if there]
    return [*lost, f"esp_sa has no place for {', '.join(names)}"] if names else lost
