"""DPDK's testpmd on a backend: a poll-mode driver in user space, through virtio-user."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from . import needs, process

PROGRAM = "dpdk-testpmd"
PAGES = 256  # of 2 MiB
MBUFS = 4096


@contextmanager
def huge_pages() -> Iterator[None]:
    """As many as testpmd takes, and afterwards as many as there were.  Skips where they cannot be had."""
    try:
        before = needs.HUGE_PAGES.read_text()
        if int(before) < PAGES:
            needs.HUGE_PAGES.write_text(str(PAGES))
        had = int(needs.HUGE_PAGES.read_text())
    except OSError as error:
        pytest.skip(f"no huge pages can be had here: {error}")
    try:
        if had < PAGES:
            pytest.skip(f"only {had} huge pages can be had here, of {PAGES}")
        yield
    finally:
        needs.HUGE_PAGES.write_text(before)


class Testpmd:
    """testpmd with ``device`` options of virtio-user, forwarding as ``mode`` says until it is closed."""

    __test__ = False

    def __init__(self, folder: Path, socket: Path, mode: str, device: str = "", queues: int = 1) -> None:
        self.log = folder / "testpmd.log"
        path = f"net_virtio_user0,path={socket},queues={queues},queue_size=256"
        words = [PROGRAM, "-l", "0,1", "--in-memory", "--single-file-segments", "--no-pci", "--no-telemetry"]
        words += [f"--vdev={path}{',' + device if device else ''}", "--", f"--forward-mode={mode}"]
        words += [f"--rxq={queues}", f"--txq={queues}", f"--total-num-mbufs={MBUFS}"]
        words += ["--stats-period=1", "--no-flush-rx"]
        self.process = process.start(words, self.log, environment={**os.environ, "XDG_RUNTIME_DIR": str(folder)})
        try:
            self.until("packet forwarding - ports=1")
        except BaseException:
            self.close()
            raise

    @property
    def says(self) -> str:
        return self.log.read_text(errors="replace")

    def until(self, text: str, patience: float = 30.0) -> None:
        """Wait until it has said ``text``."""
        end = time.monotonic() + patience
        while text not in self.says:
            assert self.process.poll() is None and time.monotonic() < end, self.says[-3000:]
            time.sleep(0.05)

    def stop(self) -> str:
        """SIGINT, on which it prints its statistics and ends; all that it has said."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            pytest.fail(f"testpmd does not end:\n{self.says[-3000:]}")
        return self.says

    def close(self) -> None:
        process.kill(self.process)
