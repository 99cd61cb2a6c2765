"""The back end: a device at the end of a socket that front ends connect to, one after the other.

front end -- AF_UNIX socket, shared memory, eventfds -- Session -- NetQueues -- Device
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from selectors import EVENT_READ
from typing import Any

from ..device import Device
from ..virtqueue.net import NetQueues
from .channel import Channel, Closed
from .session import Session
from .vrings import Loop


class Backend:
    """``listener`` is a listening socket, which it owns; ``device`` has ``queue_pairs`` pairs of queues.

    ``send`` is given the frames that leave for the wire; ``tell`` what is worth
    a line to the person who runs it.
    """

    def __init__(
        self,
        listener: socket.socket,
        loop: Loop,
        device: Device,
        queue_pairs: int,
        send: Callable[[Sequence[bytes]], object],
        tell: Callable[[str], object],
    ) -> None:
        listener.setblocking(False)
        self.device = device
        self.send = send  # an attribute, and not a method: one call less for each frame
        self._listener = listener
        self._loop = loop
        self._tell = tell
        self._queues = NetQueues(device, self, queue_pairs)
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)  # see _turn_away
        self._channel: Channel | None = None
        self._session: Session | None = None
        device.on_config_change = self._config_changed
        loop.register(listener.fileno(), EVENT_READ, self._accept)

    @property
    def connected(self) -> bool:
        """Whether there is a front end."""
        return self._session is not None

    def arrive(self, frames: Iterable[bytes]) -> None:
        """Frames from the wire."""
        self._queues.arrive(frames)

    def accept_features(self, features: int) -> None:
        """What the driver accepts of the features that the connection does not carry.

        They count from the next SET_FEATURES on.  Raises ValueError when no front
        end is connected, and for others.
        """
        if self._session is None:
            raise ValueError("no front end is connected")
        self._session.accept_upper(features)

    def settle(self) -> None:
        """Carry out what the front end has asked for by now, and what lies in its rings."""
        if self._session is not None:
            self._readable(EVENT_READ)
        if self._session is not None:
            self._session.vrings.settle()

    def counters(self) -> dict[str, Any]:
        """How things stand with the front end."""
        running = self._session.vrings.running if self._session is not None else []
        return {"connected": self.connected, "virtqueues_running": running}

    def _accept(self, _: int) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._turn_away(error)
            return
        # The next one waits in the listener's queue until this one is gone.
        self._loop.unregister(self._listener.fileno())
        self._channel = Channel(sock)
        self._session = Session(self._channel, self._loop, self.device, self._queues, self._tell)
        self._loop.register(sock.fileno(), EVENT_READ, self._readable)
        self._tell("a front end connected")

    def _turn_away(self, error: OSError) -> None:
        """No descriptor is left for a front end: it is sent away, for it would be at the door all the time."""
        os.close(self._spare)
        try:
            self._listener.accept()[0].close()
        except OSError:
            pass  # somebody took the descriptor
        finally:
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._tell(f"a front end was sent away ({error.strerror})")

    def _readable(self, _: int) -> None:
        if self._session is None:
            return
        try:
            self._session.readable()
        except Closed as closed:
            self._tell(f"the front end is gone: {closed}")
            self._end_session()
            self._loop.register(self._listener.fileno(), EVENT_READ, self._accept)

    def _end_session(self) -> None:
        if self._session is not None and self._channel is not None:
            self._loop.unregister(self._channel.fileno())
            self._session.close()
        self._session = self._channel = None

    def close(self) -> None:
        """End the connection, if there is one, and listen no more."""
        if self._session is None:
            self._loop.unregister(self._listener.fileno())
        self._end_session()
        self._listener.close()
        os.close(self._spare)
        self.device.place = None
        self.device.on_config_change = None

    # What NetQueues asks of its owner.

    def notify(self, index: int) -> None:
        if self._session is not None:
            self._session.vrings.notify(index)

    def broken(self, index: int, why: str) -> None:
        if self._session is not None:
            self._session.vrings.broken(index, why)

    def _config_changed(self) -> None:
        if self._session is not None:
            self._session.config_changed()
