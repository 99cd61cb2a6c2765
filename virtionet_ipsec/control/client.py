"""A client of the control socket.  It blocks, never longer than its timeout."""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Self

from ..input_error import InputError
from .messages import BadHeader, Inbox, Kind, Message, Result, pack, pack_admin, unpack_written

_TIMEVAL = struct.Struct("@ll")
_RECEIVE = 1 << 18
_SERVER = "is a server there that was started with --control?"


def _timeval(seconds: float) -> bytes:
    return _TIMEVAL.pack(int(seconds), int(seconds % 1 * 1_000_000))


class ControlError(InputError):
    """The socket does not answer, or says no: ``status`` is a :class:`~.messages.Result`, None without an answer."""

    def __init__(self, where: str, what: str, mend: str, status: int | None = None) -> None:
        super().__init__(where, what, mend)
        self.status = status


class ControlClient:
    """A connection to the control socket at ``path``; ``timeout`` in seconds bounds every wait for an answer.

    For the host's own device it is an administration port, as
    :class:`virtionet_ipsec.driver.port.AdminPort` asks for; :class:`~.guest.GuestSide` is for the guest's.
    Raises :class:`ControlError`, now and later.
    """

    def __init__(self, path: str, timeout: float = 10.0) -> None:
        self.path = path
        self.last_refusal = ""
        self._timeout = timeout
        self._inbox = Inbox()
        self._request = 0
        self._frames: deque[bytes] = deque()
        self._events: deque[dict[str, Any]] = deque()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            # Python's own timeout would make connect() fail while others wait to be accepted.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(timeout))
            self._socket.connect(os.fsencode(path))
        except (OSError, ValueError) as error:
            self._socket.close()
            why = getattr(error, "strerror", None) or str(error)
            raise ControlError(path, f"cannot be connected to ({why})", _SERVER) from None

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- requests ------------------------------------------------------------------------------------------------

    def request(self, kind: Kind, body: bytes = b"") -> bytes:
        """The body of the answer."""
        self._request = self._request + 1 & 0xFFFFFFFF
        self._send(pack(kind, self._request, body))
        until = time.monotonic() + self._timeout
        while True:
            message = self._next(until)
            if message is None:
                raise ControlError(self.path, f"no answer within {self._timeout:g} seconds", "look at the server")
            if message.kind == kind and message.request == self._request:
                return self._answer(message)
            self._keep(message)

    def ask(self, kind: Kind, **values: Any) -> dict[str, Any]:
        """A request and an answer in JSON."""
        return self._object(self.request(kind, json.dumps(values).encode()))

    def pages(self, kind: Kind) -> Iterator[dict[str, Any]]:
        """The rows of all pages."""
        start: int | None = 0
        while start is not None:
            page = self.ask(kind, start=start)
            yield from page["rows"]
            start = page["next"]

    def _answer(self, message: Message) -> bytes:
        if message.status == Result.OK:
            return message.body
        told = self._object(message.body)
        what, mend = str(told.get("what", "the request failed")), str(told.get("mend", "see specs/control.md"))
        raise ControlError(self.path, what, mend, message.status)

    def _object(self, body: bytes) -> dict[str, Any]:
        try:
            values = json.loads(body)
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict):
            raise ControlError(self.path, "the answer is no JSON object", _SERVER)
        return values

    # -- the host's own device -----------------------------------------------------------------------------------

    def admin(self, readable: bytes, writable_len: int = 65536) -> bytes:
        """A group administration command (virtio 1.4, 2.12.1); gives what was written."""
        written, self.last_refusal = self.command(Kind.ADMIN, readable, writable_len)
        return written

    def command(self, kind: Kind, readable: bytes, writable_len: int) -> tuple[bytes, str]:
        """A group administration command to either device; gives what was written, and why it was refused."""
        try:
            return unpack_written(self.request(kind, pack_admin(readable, writable_len)))
        except ValueError as error:
            if isinstance(error, ControlError):
                raise
            raise ControlError(self.path, str(error), _SERVER) from None

    # -- events --------------------------------------------------------------------------------------------------

    def subscribe(self, *, every: bool = False) -> None:
        """Ask for events: of failures and changes, or with ``every`` of each step of each packet."""
        self.ask(Kind.EVENTS, on=True, every=every)

    def event(self, seconds: float | None = None) -> dict[str, Any] | None:
        """The next event; None when none comes within ``seconds``, which may be for ever."""
        until = None if seconds is None else time.monotonic() + seconds
        while not self._events:
            message = self._next(until)
            if message is None:
                return None
            self._keep(message)
        return self._events.popleft()

    # -- the segment ---------------------------------------------------------------------------------------------

    def plug(self) -> None:
        """Become a port of the segment: what others send there arrives, and :meth:`send` sends."""
        self.request(Kind.PLUG)

    def unplug(self) -> None:
        self.request(Kind.UNPLUG)

    def send(self, frames: Sequence[bytes]) -> None:
        """Send Ethernet frames to the segment.  There is no answer but that of :meth:`sync`."""
        self._send(b"".join(pack(Kind.FRAME, 0, frame) for frame in frames))

    def sync(self) -> None:
        """Wait until all that was asked for is done, and every frame that came of it is here."""
        self.request(Kind.SYNC)

    def frames(self) -> list[bytes]:
        """The frames that have arrived since the last call.  It does not wait: :meth:`sync` does."""
        arrived = list(self._frames)
        self._frames.clear()
        return arrived

    # -- octets --------------------------------------------------------------------------------------------------

    def _send(self, octets: bytes) -> None:
        try:
            self._socket.settimeout(self._timeout)
            self._socket.sendall(octets)
        except OSError as error:
            raise self._gone(error) from None

    def _next(self, until: float | None) -> Message | None:
        """The next message; None when it is not there by ``until``, a moment of the monotonic clock."""
        while True:
            try:
                message = self._inbox.next()
            except BadHeader as error:
                raise ControlError(self.path, f"speaks something else: {error}", _SERVER) from None
            if message is not None:
                return message
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return None
            try:
                self._socket.settimeout(left)
                octets = self._socket.recv(_RECEIVE)
            except TimeoutError:
                return None
            except OSError as error:
                raise self._gone(error) from None
            if not octets:
                raise self._gone(None)
            self._inbox.feed(octets)

    def _keep(self, message: Message) -> None:
        """A message that is not what is waited for now."""
        if message.kind == Kind.FRAME and message.status == Result.OK:
            self._frames.append(message.body)
        elif message.kind == Kind.EVENT:
            self._events.append(self._object(message.body))
        elif message.status != Result.OK:
            self._answer(message)

    def _gone(self, error: OSError | None) -> ControlError:
        why = f" ({error.strerror})" if error is not None and error.strerror else ""
        return ControlError(self.path, f"the connection has ended{why}", "look at the server, and connect again")
