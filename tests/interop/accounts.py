"""What both sides have counted: ours over the control socket, the kernel's from /proc and ``ip -s xfrm state``."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from virtionet_ipsec.control import ControlClient
from virtionet_ipsec.control.messages import Kind

from .uml import Guest

T = TypeVar("T")
PATIENCE = 10.0


class Sa(NamedTuple):
    """Packets that an SA has let pass, and how many it refused."""

    packets: int
    refused: int


def ours(client: ControlClient) -> dict[int, Sa]:
    """Our SAs by SPI."""
    rows = client.pages(Kind.SAS)
    return {number(row["spi"]): Sa(row["packets"], sum(row["failures"].values())) for row in rows}


def number(value: Any) -> int:
    return int(value, 0) if isinstance(value, str) else int(value)


def dropped(client: ControlClient) -> dict[str, int]:
    """What our side has dropped of packets from the wire, by reason."""
    counted: dict[str, int] = client.ask(Kind.COUNTERS)["host"]["packets"]["in_dropped"]
    return counted


def security_errors(client: ControlClient) -> dict[str, int]:
    """What our IPsec device has delivered with SECURITY_ERR, by reason."""
    counted: dict[str, int] = client.ask(Kind.COUNTERS)["host"]["device"]["rx_security_err"]
    return counted


def kernels(far: Guest, reqid: int) -> dict[int, Sa]:
    """The kernel's SAs with this ``reqid``, by SPI.  Refused are what the replay window and the ICV refused."""
    sas = {}
    for block in re.split(r"^src ", far.do(f"ip -s xfrm state list reqid {reqid}"), flags=re.MULTILINE)[1:]:
        spi = re.search(r"spi 0x([0-9a-f]+)", block)
        packets = re.search(r"lifetime current:\s+\d+\(bytes\), (\d+)\(packets\)", block)
        refused = re.search(r"stats:\s+replay-window \d+ replay (\d+) failed (\d+)", block)
        assert spi and packets and refused, block
        sas[int(spi[1], 16)] = Sa(int(packets[1]), int(refused[1]) + int(refused[2]))
    return sas


def errors(far: Guest) -> dict[str, int]:
    """/proc/net/xfrm_stat, without what is 0."""
    rows = (line.split() for line in far.do("cat /proc/net/xfrm_stat").splitlines())
    return {name: int(value) for name, value in rows if int(value)}


def since(now: dict[str, int], then: dict[str, int]) -> dict[str, int]:
    """What has been added."""
    return {name: count - then.get(name, 0) for name, count in now.items() if count != then.get(name, 0)}


def eventually(look: Callable[[], T], wanted: Callable[[T], bool]) -> T:
    """What ``look`` finds when it is as ``wanted``, or after ten seconds."""
    end = time.monotonic() + PATIENCE
    found = look()
    while not wanted(found) and time.monotonic() < end:
        time.sleep(0.05)
        found = look()
    return found
