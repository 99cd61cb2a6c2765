"""Known answers: packets that the Linux kernel protected, with their keys (specs/ipsec/known-answers.toml).

Each becomes a check: the device has to make of the packet what the kernel was given.
"""

from __future__ import annotations

import tomllib
from functools import partial
from typing import Any

from ...ipsec import Mode, Protocol, UdpEncap
from ..catalogue import specs
from ..check import add
from . import frames
from .associations import INBOUND, accepted, create, sa, start
from .rig import Rig

FILE = specs() / "ipsec" / "known-answers.toml"

_KEYS = ("cipher_key", "auth_key", "salt")
_AS_IT_IS = ("spi", "aead", "cipher", "auth", "esn")


def enter(area: str, protocol: Protocol) -> None:
    """Enter a check ``<area>.known-answer-<name>`` for each answer in this protocol."""
    with FILE.open("rb") as stream:
        rows = tomllib.load(stream)["answer"]
    for row in rows:
        if Protocol[row["protocol"].upper()] is protocol:
            name = row["name"].removeprefix(f"{area}-")
            sentence = f"A packet that Linux 6.1 protected comes out as the kernel was given it: {row['source']}."
            add(f"{area}.known-answer-{name}", sentence, partial(_known_answer, row=row))


def _known_answer(rig: Rig, row: dict[str, Any]) -> None:
    start(rig)
    wire, plain = (frames.ethernet(bytes.fromhex(row[key])) for key in ("wire", "plain"))
    create(rig, sa(rig, INBOUND, **parameters(row)))
    packet = accepted(rig, wire, f"the packet of {row['source']}")
    rig.equal("the frame that the driver gets", plain, packet.frame)


def parameters(row: dict[str, Any]) -> dict[str, Any]:
    """The fields of :class:`SaParams` that a row of the file has."""
    made: dict[str, Any] = {key: row[key] for key in _AS_IT_IS if key in row}
    made |= {key: bytes.fromhex(row[key]) for key in _KEYS if key in row}
    if "udp_sport" in row:
        made["udp"] = UdpEncap(row["udp_sport"], row["udp_dport"])
    return made | {"protocol": Protocol[row["protocol"].upper()], "mode": Mode(row["mode"])}
