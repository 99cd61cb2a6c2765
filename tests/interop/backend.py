"""Our side as a process of its own: ``virtionet-ipsec serve``, with the wire of the tests as its wire."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from virtionet_ipsec.control import ControlClient

from . import process
from .wire import Wire, with_room

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0  # seconds; Python itself takes half of one


class BackendError(Exception):
    """What went wrong with a backend, with what it said."""


class Backend:
    """A running ``serve`` with ``options``; it is the end ``near`` of ``wire``, if there is one."""

    def __init__(self, folder: Path, wire: Wire | None, *options: str, name: str = "serve") -> None:
        self.socket = folder / f"{name}.sock"
        self.control = folder / f"{name}.control"
        self.log = folder / f"{name}.log"
        words = [sys.executable, "-m", "virtionet_ipsec", "serve", "--socket", str(self.socket), *options]
        words += ["--control", str(self.control)]
        listener = None
        if wire is not None:
            path = folder / f"{name}.wire"
            path.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with_room(listener)
            listener.bind(os.fspath(path))
            listener.listen(1)
            words += ["--wire", f"socket:{path}"]
        self._said = self.log.stat().st_size if self.log.exists() else 0
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = process.start(words, self.log, environment=environment)
        try:
            self._until(lambda: "listening at" in self.says)
            if wire is not None and listener is not None:
                listener.settimeout(PATIENCE)
                wire.plug("near", with_room(listener.accept()[0]))
        except BaseException:
            self.kill()
            raise
        finally:
            if listener is not None:
                listener.close()

    @property
    def says(self) -> str:
        """What it has said by now."""
        return self.log.read_bytes()[self._said :].decode(errors="replace")

    def _until(self, there: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not there():
            if self.process.poll() is not None:
                raise BackendError(f"serve ended with status {self.process.returncode}: {self.says}")
            if time.monotonic() > end:
                raise BackendError(f"serve is not ready: {self.says}")
            time.sleep(0.01)

    def client(self) -> ControlClient:
        return ControlClient(str(self.control))

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise BackendError(f"serve does not end: {self.says}") from None

    def kill(self) -> None:
        """SIGKILL: it leaves behind whatever it has."""
        process.kill(self.process)
