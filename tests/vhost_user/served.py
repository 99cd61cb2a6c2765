"""A served device in a thread of this process, and back ends that are none."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from virtionet_ipsec.control import GuestSide
from virtionet_ipsec.serve.loop import READ
from virtionet_ipsec.serve.server import Server, Settings, offered
from virtionet_ipsec.vhost_user.front_end import FrontEnd
from virtionet_ipsec.wire.profile import Profile


class Served:
    """A context manager; ``settings`` are those of :class:`Settings`, ``features`` what ``--features`` takes."""

    def __init__(self, folder: Path, features: str = "", **settings: Any) -> None:
        self.socket, self.control = str(folder / "socket"), str(folder / "control")
        self.told: list[str] = []
        profile = settings.pop("profile", Profile.VIRTIO_1_4)
        settings = {"wires": (), "entries": (), "control": self.control, **settings}
        everything = Settings(self.socket, profile=profile, features=offered(features, profile), **settings)
        self.server = Server(everything, self.told.append, lambda device: None)
        self._stop = os.eventfd(0)
        self.server._loop.register(self._stop, READ, lambda _: self.server._loop.stop())
        self._thread = threading.Thread(target=self.server._loop.run)  # without signals, which are the main thread's

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.eventfd_write(self._stop, 1)
        self._thread.join()
        self.server._loop.unregister(self._stop)
        self.server.close()
        os.close(self._stop)

    def front_end(self, **options: Any) -> FrontEnd:
        """A connection, with the control socket beside it."""
        return FrontEnd(self.socket, beside=GuestSide(self.control), **options)


class Impostor:
    """Something else that listens at a path: ``behave`` is given each connection, in a thread."""

    def __init__(self, path: Path, behave: Callable[[socket.socket], object]) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._behave = behave
        self.connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            try:
                self._behave(connection)
            except OSError:
                continue

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self.connections:
            connection.close()
        self._thread.join()
