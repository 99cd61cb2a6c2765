"""The known answers of the conformance checks, held against the kernel's captures that they are from."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from virtionet_ipsec.conformance.driving.known_answers import FILE, parameters
from virtionet_ipsec.ipsec import Direction

from .corpus import ETH, PCAPS, forwarded, frames_of
from .test_linux_captures import LINUX, NAMES, NOT_FOR_THE_DEVICE, TUNNELS, from_host, sas, to_gb

ANSWERS: dict[str, dict[str, Any]] = {row["name"]: row for row in tomllib.loads(FILE.read_text())["answer"]}


def test_every_capture_has_one() -> None:
    assert sorted(ANSWERS) == [name for name in NAMES if name != NOT_FOR_THE_DEVICE]


def test_the_script_makes_the_same_file(tmp_path: Path) -> None:
    made = tmp_path / FILE.name
    subprocess.run([sys.executable, PCAPS / "known_answers.py", "--to", made], check=True, timeout=60)
    assert made.read_text() == FILE.read_text()


@pytest.mark.parametrize("name", ANSWERS)
def test_the_packet_is_the_captures(name: str) -> None:
    """The first from ga; in tunnel mode it holds what the host sent, and the engine finds the same in every one."""
    row = ANSWERS[name]
    wire, plain = bytes.fromhex(row["wire"]), bytes.fromhex(row["plain"])
    first = to_gb(name)[0]
    assert (wire, plain) == (first.wire, first.plain)
    file, _, number = row["source"].partition(", packet ")
    assert file == f"pcaps/linux/{name}.wire.pcap"
    assert frames_of(LINUX / f"{name}.wire.pcap")[int(number) - 1][ETH:] == wire
    if name in TUNNELS:
        assert plain == forwarded(from_host(name)[0])


@pytest.mark.parametrize("name", ANSWERS)
def test_the_key_is_the_kernels(name: str) -> None:
    row = ANSWERS[name]
    params = sas(name)[0][row["spi"]]
    assert params.direction is Direction.INBOUND
    for field, value in parameters(row).items():
        assert getattr(params, field) == value, field
