"""QEMU's vhost-user net device, with Linux on it; and QEMU's reconnection.  The far end is User Mode Linux."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from . import accounts, far, needs
from .associations import CASES, Case
from .backend import Backend
from .guest.traffic import content
from .lab import FAR, FAR6, addresses, link, outer_neighbours, write_sas
from .qemu import PROGRAM, QemuGuest, kernel
from .uml import Guest
from .wire import Wire, cable

needs.require(PROGRAM, "busybox", *needs.GUEST)
kernel()

PORT = 5001
QUEUES = 2
LENGTH = 2_000_000
SENT = "".join(f"{number}\n" for number in range(300_000))[:LENGTH].encode()
DIGEST = hashlib.sha256(SENT).hexdigest()
BACK = hashlib.sha256(b"".join(content(0, LENGTH))).hexdigest()
VARIANTS = {"split": "", "packed": ",packed=on"}
MTU = 1400  # without it QEMU offers no VIRTIO_NET_F_MTU, whatever the backend does
BY_NAME = {case.name: case for case in CASES}
CASE = BY_NAME["esp tunnel aes-gcm-128 ipv4"]


class Pair:
    """A guest in QEMU on our device, and the far end."""

    def __init__(self, folder: Path, stack: ExitStack, variant: str, cases: list[Case]) -> None:
        self.folder = folder
        self.wire = Wire()
        stack.callback(self.wire.close)
        end, theirs = cable()
        self.wire.plug("far", end)
        self.far = stack.enter_context(Guest("far", folder, links=[theirs]))
        theirs.close()
        self.options = ["--queues", str(QUEUES), "--sa", str(write_sas(folder, cases))]
        self.backend = Backend(folder, self.wire, *self.options)
        stack.callback(lambda: self.backend.kill())
        options = f"host_mtu={MTU}{VARIANTS[variant]}"
        self.near = stack.enter_context(QemuGuest("near", folder, self.backend.socket, options=options, queues=QUEUES))
        link(self.far)
        self.far.ip([*addresses("far", cases), *outer_neighbours(self.link()), *far.xfrm(cases)])
        self.far.serve_traffic(PORT, "plain", LENGTH)
        self.near.do(f"seq 0 299999 | head -c {LENGTH} > /sent")

    def link(self) -> str:
        """Bring the near guest's link up; gives its address."""
        self.near.do(
            f"""set -e
            echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad
            ip link set eth0 up
            ip addr add 10.0.0.1/24 dev eth0
            ip addr add fd00::1/64 dev eth0
            ip addr add {CASE.near}/32 dev eth0
            ip route add {CASE.far}/32 via {FAR} dev eth0 src {CASE.near}"""
        )
        return self.near.do("cat /sys/class/net/eth0/address").strip()

    def transfer(self, address: object = FAR) -> None:
        """Every octet arrives, each way."""
        assert self.near.do(f"nc {address} {PORT} < /sent") == DIGEST
        assert self.near.do(f"nc {address} {PORT + 1} < /dev/null | sha256sum").split()[0] == BACK


@pytest.fixture(scope="module", params=VARIANTS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with ExitStack() as stack:
        yield Pair(tmp_path_factory.mktemp("qemu"), stack, request.param, [CASE])


def test_link_and_traffic(pair: Pair) -> None:
    assert pair.near.do("cat /sys/class/net/eth0/carrier").strip() == "1"
    assert "3 packets received" in pair.near.do(f"ping -c 3 {FAR}")
    assert "3 packets received" in pair.near.do(f"ping -c 3 -s 1200 {FAR6}")
    pair.transfer()


def test_ipsec(pair: Pair) -> None:
    """The kernel's IPsec at the far end, and nothing of it in the guest."""
    before = accounts.errors(pair.far)
    pair.wire.forget()
    pair.transfer(CASE.far)
    assert not any(CASE.near.packed in frame.data for frame in pair.wire.frames)
    assert accounts.since(accounts.errors(pair.far), before) == {}


@pytest.mark.parametrize("pair", ["split"], indirect=True)
@pytest.mark.parametrize("end", ["kill", "stop"])
def test_the_backend_restarts_in_a_transfer(pair: Pair, end: str) -> None:
    """QEMU connects again, the driver notices nothing but a link that was down, and no octet is lost.

    Not with packed rings: QEMU 7.2 asks for no in-flight buffers here, and takes
    the place to go on at from the used ring, which they have not.
    """
    pair.near.do(f"(nc {FAR} {PORT} < /sent > /answer; nc {FAR} {PORT + 1} < /dev/null | sha256sum >> /answer) &")
    pair.wire.forget()
    pair.wire.wait_for_frames(500, 60)
    getattr(pair.backend, end)()
    pair.backend = Backend(pair.folder, pair.wire, *pair.options)
    done = "for i in $(seq 240); do grep -q -- - /answer && break; sleep 0.25; done"
    answer = pair.near.do(f"{done}; cat /answer", timeout=90)
    assert answer.split()[0] == DIGEST + BACK


def test_the_guest_reboots(pair: Pair) -> None:
    """A driver that goes and comes: the module is taken out and put in again."""
    pair.near.do("rmmod virtio_net && insmod /virtio_net.ko")
    pair.link()
    pair.transfer()
