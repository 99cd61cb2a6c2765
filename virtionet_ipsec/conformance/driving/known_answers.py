"""Known answers: packets that others protected, with their keys (specs/ipsec/).

The Linux kernel (known-answers.toml), and scapy for algorithms that no capture
of the kernel has (scapy-answers.toml).  Each becomes a check: the device has to
make of the packet what the other was given.
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
SCAPY_FILE = specs() / "ipsec" / "scapy-answers.toml"

_WITNESS = {FILE: "Linux 6.1", SCAPY_FILE: "scapy"}

_KEYS = ("cipher_key", "auth_key", "salt")
_AS_IT_IS = ("spi", "aead", "cipher", "auth", "esn")


def enter(area: str, protocol: Protocol) -> None:
    """Enter a check ``<area>.known-answer-<name>`` for each answer in this protocol."""
    for file, witness in _WITNESS.items():
        for row in tomllib.loads(file.read_text(encoding="utf-8"))["answer"]:
            if Protocol[row["protocol"].upper()] is protocol:
                name = row["name"].removeprefix(f"{area}-")
                sentence = f"A packet that {witness} protected comes out as {witness} was given it: {row['source']}."
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
