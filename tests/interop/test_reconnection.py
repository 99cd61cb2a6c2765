"""A backend that is killed and replaced while Linux's driver goes on: it notices nothing, and no buffer is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from . import needs
from .backend import Backend
from .lab import FAR, PORT, Lab
from .relay import Relay
from .uml import TRAFFIC

needs.require(*needs.GUEST)

RINGS = {"packed": "", "split": "-RING_PACKED"}
KILLS = 5
OCTETS = 3_000_000


class RelayedLab(Lab):
    """The near guest's device is behind a relay that reconnects."""

    relay: Relay

    def near_socket(self, folder: Path) -> Path:
        front = folder / "relay.sock"
        self.relay = Relay(front, self.backend.socket)
        return front

    def close(self) -> None:
        if hasattr(self, "relay"):  # it would look for a successor
            self.relay.close()
        super().close()


@pytest.fixture(scope="module", params=RINGS)
def options(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return "--features", RINGS[request.param]


@pytest.fixture
def lab(options: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayedLab]:
    with RelayedLab(tmp_path_factory.mktemp("reconnection"), *options) as lab:
        yield lab


def test_killed_under_traffic(lab: RelayedLab, options: tuple[str, ...]) -> None:
    """Five times in the middle of a transfer, each octet of which arrives; it is the same device all the time."""
    device = "cat /sys/class/net/eth0/ifindex; readlink /sys/class/net/eth0/device"
    before = lab.near.do(device)
    for number in range(1, KILLS + 1):
        lab.wire.forget()
        lab.near.do(f"{TRAFFIC} tcp {FAR} {PORT} {OCTETS} {OCTETS} 2 > /run/answer 2>&1 &")
        lab.wire.wait_for_frames(200 * number)
        lab.backend.kill()
        lab.backend = Backend(lab.folder, lab.wire, *options)
        lab.near.do("for i in $(seq 600); do grep -q wrong /run/answer && break; sleep 0.1; done", timeout=90)
        assert '"wrong": []' in lab.near.do("cat /run/answer")
        assert lab.relay.reconnections == number
    assert lab.near.do(device) == before
    lab.ping()
    lab.udp(sizes=[1000] * 200)


def test_killed_when_idle(lab: RelayedLab, options: tuple[str, ...]) -> None:
    for _ in range(3):
        lab.ping()
        lab.backend.kill()
        lab.backend = Backend(lab.folder, lab.wire, *options)
        lab.ping()
    # The control queue goes on too.
    lab.near.do("ip link set eth0 promisc on && ip link set eth0 promisc off")
    lab.tcp()
