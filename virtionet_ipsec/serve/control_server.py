"""The control socket: connections, and what holds a hostile or slow client within bounds.

A client that does not read gets no frames and no events any more, which is
counted; and when answers pile up all the same, it is not read from until it
has taken them.  What it costs to serve one message is bounded, and after a few
others have their turn.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from functools import partial

from ..control.messages import BadHeader, Inbox, Kind, Message, Result, pack
from ..ipsec import Event
from . import unix_sockets
from .control_requests import Requests
from .control_values import Refusal
from .host import Host
from .loop import READ, WRITE, Loop
from .segment import Port
from .told import STEPS, as_json

_CLIENTS = 64
_RECEIVE = 1 << 16
_TURN = 32
"""Messages of one client before others have their turn."""

_ENOUGH = 1 << 20
"""Octets that wait to be sent: beyond them frames and events are dropped, beyond twice as many nothing is read."""


class ControlServer:
    """Listens at ``path``, for its owner alone.  Raises :class:`InputError`."""

    def __init__(self, loop: Loop, path: str, host: Host) -> None:
        self.loop = loop
        self.requests = Requests(host)
        self._host = host
        self._clients: set[ControlConnection] = set()
        self._listeners: set[ControlConnection] = set()
        self._path = os.fsencode(path)
        self._socket, self._made = unix_sockets.listen(path, unix_sockets.OWNER_ONLY)
        self._accepting = False
        self._accept_more()

    def close(self) -> None:
        """End all connections, and remove the socket."""
        for client in list(self._clients):
            client.close()
        if self._accepting:
            self.loop.unregister(self._socket.fileno())
        unix_sockets.remove(self._path, self._made)
        self._socket.close()

    def _accept(self, _: int) -> None:
        try:
            connection, _ = self._socket.accept()
        except OSError:
            return  # it went away again
        self._clients.add(ControlConnection(self, connection))
        if len(self._clients) >= _CLIENTS:
            self.loop.unregister(self._socket.fileno())
            self._accepting = False

    def _accept_more(self) -> None:
        if not self._accepting:
            self.loop.register(self._socket.fileno(), READ, self._accept)
            self._accepting = True

    def closed(self, client: ControlConnection) -> None:
        """A connection has ended."""
        self._clients.discard(client)
        self.listen(client, False)
        if client.port is not None:
            self._host.segment.detach(client.port)
            client.port = None
        self._accept_more()

    def listen(self, client: ControlConnection, on: bool) -> None:
        """Tell ``client`` events, or no more; while nobody listens the devices make none."""
        before = bool(self._listeners)
        if on:
            self._listeners.add(client)
        else:
            self._listeners.discard(client)
        if bool(self._listeners) != before:
            guest, own = self._host.guest.device, self._host.transparent
            guest.observer = partial(self._tell, "guest") if on else None
            own.observer = partial(self._tell, "host") if on else None

    def _tell(self, device: str, event: Event) -> None:
        step = type(event) in STEPS
        told = None
        for client in self._listeners:
            if client.every or not step:
                told = told or as_json(device, event)
                client.tell(told)


class ControlConnection:
    """One client."""

    def __init__(self, server: ControlServer, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.port: Port | None = None
        self.every = False
        self._server = server
        self._loop = server.loop
        self._socket = connection
        self._fd = connection.fileno()
        self._inbox = Inbox()
        self._out = bytearray()
        self._waits_for = READ
        self._flushing = False  # whether a flush is to come soon
        self._working = False  # whether the rest of the inbox is to be seen to soon
        self._answering = 0  # the number of the request that is carried out
        self._subscription = 0  # of the one that asked for events
        self._missed = 0
        self._open = True
        self._loop.register(self._fd, READ, self._ready)

    def close(self) -> None:
        """End the connection."""
        if self._open:
            self._open = False
            self._loop.unregister(self._fd)
            self._socket.close()
            self._server.closed(self)

    # -- what requests do to a client ----------------------------------------------------------------------------

    def deliver(self, frames: Sequence[bytes]) -> None:
        """Frames of the segment."""
        for frame in frames:
            if len(self._out) < _ENOUGH:
                self._send(Kind.FRAME, 0, frame)

    def subscribe(self, on: bool, every: bool) -> None:
        """Events from here on, those of all steps with ``every``; or none."""
        self.every = every
        self._subscription = self._answering
        self._server.listen(self, on)

    def tell(self, told: bytes) -> None:
        """One event."""
        if len(self._out) >= _ENOUGH:
            self._missed += 1
            return
        if self._missed:
            self._send(Kind.EVENT, self._subscription, json.dumps({"event": "Missed", "count": self._missed}).encode())
            self._missed = 0
        self._send(Kind.EVENT, self._subscription, told)

    # -- octets --------------------------------------------------------------------------------------------------

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        if events & READ and self._open:
            self._read()

    def _read(self) -> None:
        try:
            octets = self._socket.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            octets = b""
        if not octets:
            self.close()
            return
        self._inbox.feed(octets)
        self._work()

    def _work(self) -> None:
        """Some messages of the inbox; the rest soon, or when the client has taken its answers."""
        self._working = False
        for _ in range(_TURN):
            if not self._open or len(self._out) > 2 * _ENOUGH:
                return
            try:
                message = self._inbox.next()
            except BadHeader as error:
                self._refuse(0, 0, Refusal(str(error)), Result.BAD_REQUEST)
                self._flush()
                self.close()
                return
            if message is None:
                return
            self._handle(message)
        self._work_soon()

    def _work_soon(self) -> None:
        if not self._working and len(self._inbox):
            self._working = True
            self._loop.call_soon(self._work)

    def _handle(self, message: Message) -> None:
        self._answering = message.request
        try:
            if message.kind == Kind.FRAME:
                self._server.requests.frame(self, message.body)
                return
            body = self._server.requests.answer(self, message.kind, message.body)
        except Refusal as refusal:
            self._refuse(message.kind, message.request, refusal, refusal.status)
            return
        self._send(message.kind, message.request, body)

    def _refuse(self, kind: int, request: int, refusal: Refusal, status: Result) -> None:
        body = json.dumps({"what": refusal.what, "mend": refusal.mend}).encode()
        self._send(kind, request, body, status)

    def _send(self, kind: int, request: int, body: bytes, status: int = Result.OK) -> None:
        """Put a message behind those that wait; all of a turn leave together."""
        self._out += pack(kind, request, body, status)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if not self._open:
            return
        try:
            while self._out:
                del self._out[: self._socket.send(self._out)]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        self._wait()
        if self._waits_for & READ:
            self._work_soon()

    def _wait(self) -> None:
        wanted = (WRITE if self._out else 0) | (READ if len(self._out) <= 2 * _ENOUGH else 0)
        if wanted != self._waits_for:
            self._waits_for = wanted
            self._loop.modify(self._fd, wanted)
