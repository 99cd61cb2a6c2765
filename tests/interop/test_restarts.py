"""Guests that reboot, and backends that end, orderly or not, with traffic under way.

User Mode Linux has no reconnection: when its backend goes, the device goes, as
if it were unplugged, and another is plugged in (tests of a front end that
reconnects are in test_reconnection.py).
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from . import needs
from .backend import Backend
from .lab import FAR, Lab, link, waiting

needs.require(*needs.GUEST)

RINGS = {"packed": "", "split": "-RING_PACKED"}
DRIVER = "/sys/bus/platform/drivers/virtio-uml"
STEADY = f"ping -n -q -i 0.01 {FAR}"


@pytest.fixture(scope="module", params=RINGS)
def options(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return "--features", RINGS[request.param]


@pytest.fixture
def lab(options: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("restarts"), *options) as lab:
        yield lab


def test_the_guest_reboots(lab: Lab) -> None:
    """Without a word, in the middle of its traffic; the backend serves it again."""
    for _ in range(2):
        lab.near.do(f"{STEADY} >/dev/null 2>&1 &")
        lab.tcp(up=500_000, down=500_000)
        lab.near.reboot()
        link(lab.near)
        lab.ping()
        lab.tcp()
    assert lab.backend.stop() == 0


def test_the_backend_restarts(lab: Lab, options: tuple[str, ...]) -> None:
    """In order: the guest lets go of the device, SIGTERM, a new backend at the same path."""
    for _ in range(2):
        lab.tcp()
        lab.near.do(f"{STEADY} >/dev/null 2>&1 & echo virtio-uml.0 > {DRIVER}/unbind")
        assert lab.backend.stop() == 0
        assert not lab.backend.socket.exists()
        lab.backend = Backend(lab.folder, lab.wire, *options)
        lab.near.do(f"echo virtio-uml.0 > {DRIVER}/bind")
        link(lab.near)
        lab.ping()
        lab.tcp()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_backend_goes_in_the_middle(lab: Lab, options: tuple[str, ...], how: signal.Signals) -> None:
    """Under traffic: the guest sees its device go, takes the new one, and goes on with the same addresses."""
    lab.near.do(f"{STEADY} >/dev/null 2>&1 &")
    lab.tcp(up=200_000, down=200_000)
    lab.backend.process.send_signal(how)
    lab.near.do(waiting("! ip link show eth0"))
    assert lab.backend.process.wait(10) == {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 0}[how]
    lab.backend = Backend(lab.folder, lab.wire, *options, name="spare")
    assert lab.backend.socket == lab.spare
    lab.near.do(f"echo virtio-uml.1 > {DRIVER}/bind")
    link(lab.near)
    lab.ping()
    lab.tcp(up=200_000, down=200_000)


def test_a_killed_backend_is_replaced_at_the_same_path(lab: Lab, options: tuple[str, ...]) -> None:
    """What it left in the file system is in nobody's way."""
    lab.near.do(f"echo virtio-uml.0 > {DRIVER}/unbind")
    lab.backend.kill()
    assert lab.backend.socket.exists()
    lab.backend = Backend(lab.folder, lab.wire, *options)
    lab.near.do(f"echo virtio-uml.0 > {DRIVER}/bind")
    link(lab.near)
    lab.tcp()


def test_two_front_ends_take_turns(lab: Lab) -> None:
    """A second guest waits until the first lets go, and the first can come back."""
    for leaving, coming in ((0, 1), (1, 0)):
        lab.near.do(f"ip link set eth0 down; echo virtio-uml.{leaving} > {DRIVER}/unbind")
        if coming == 1:
            lab.spare.symlink_to(lab.backend.socket)
        lab.near.do(f"echo virtio-uml.{coming} > {DRIVER}/bind")
        link(lab.near)
        lab.ping()
