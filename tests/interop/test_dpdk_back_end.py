"""Our front end on DPDK's vhost back end, which sends every packet back: a second opinion on messages and rings."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from virtionet_ipsec.conformance.judge_device import run_check
from virtionet_ipsec.conformance.target import find_target
from virtionet_ipsec.conformance.verdict import Verdict
from virtionet_ipsec.driver import Driver
from virtionet_ipsec.vhost_user.beside import Nothing
from virtionet_ipsec.vhost_user.front_end import FrontEnd
from virtionet_ipsec.virtqueue.driver_side import Receiver
from virtionet_ipsec.virtqueue.port import QueuePort, Rings
from virtionet_ipsec.wire.profile import Profile

from . import needs, process
from .frames import ethernet

PROGRAM = "dpdk-testpmd"
needs.require(PROGRAM)

MAC = "52:54:00:00:00:01"
PATIENCE = 30.0
FRAMES = 600  # more than twice round the ring


class Sent(Nothing):
    """What leaves is not looked at: it comes back."""

    def frames(self) -> tuple[bytes, ...]:
        return ()


@pytest.fixture(scope="module")
def back_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The socket of testpmd's vhost port, in memory that is not of huge pages: what it shares is ours."""
    folder = tmp_path_factory.mktemp("dpdk")
    socket = folder / "socket"
    words = [PROGRAM, "-l", "0,1", "--no-huge", "-m", "256", "--no-pci", "--no-telemetry", "--no-shconf"]
    words += [f"--vdev=net_vhost0,iface={socket},queues=1", "--", "--forward-mode=io", "--port-topology=loop"]
    words += ["--auto-start", "--total-num-mbufs=2048", "--stats-period=1"]
    running = process.start(words, folder / "log", environment={**os.environ, "XDG_RUNTIME_DIR": str(folder)})
    try:
        end = time.monotonic() + PATIENCE
        while not socket.exists():
            assert running.poll() is None and time.monotonic() < end, (folder / "log").read_text()[-2000:]
            time.sleep(0.05)
        yield str(socket)
    finally:
        process.kill(running)


@pytest.mark.parametrize("options", [{}, {"packed": True}, {"indirect": False, "event_idx": False}], ids=str)
def test_packets_come_back(back_end: str, options: dict[str, bool]) -> None:
    """All of them, unchanged and in order; also from rings that begin anew, and after a device reset."""
    front_end = FrontEnd(back_end, beside=Sent(), timeout=PATIENCE)
    try:
        port = QueuePort(front_end, Rings(**options))
        for _ in range(2):
            driver = Driver(port).start()
            port.driver_side(0).restart()
            receiver = Receiver(port.driver_side(0), 2048)
            frames = [ethernet(MAC, payload=number.to_bytes(4, "big") * 20) for number in range(FRAMES)]
            came: list[bytes] = []
            for number, frame in enumerate(frames):
                driver.send(frame)
                came += receiver.take()
                if number % 200 == 199:
                    assert front_end.wait(lambda: _more(came, receiver, number + 1))  # noqa: B023
                    receiver.resize(1800 + number)
            assert front_end.wait(lambda: _more(came, receiver, FRAMES))  # noqa: B023
            assert [buffer[driver.layout.size :] for buffer in came] == frames
            port.set_status(0)
            assert port.status == 0
    finally:
        front_end.close()


def _more(came: list[bytes], receiver: Receiver, wanted: int) -> bool:
    came += receiver.take()
    return len(came) >= wanted


def test_a_check_of_the_suite(back_end: str) -> None:
    """What is about status and features needs no wire; what needs one is not observable."""
    make = find_target(f"vhost-user:{back_end}", Profile.VIRTIO_1_4)
    for check, verdict in (
        ("reset.status-zero", Verdict.PASS),
        ("features.renegotiates", Verdict.PASS),
        ("tx.needs-csum", Verdict.NOT_OBSERVABLE),
    ):
        outcome = run_check(check, make, Profile.VIRTIO_1_4)
        assert outcome.verdict is verdict, outcome
