"""A vhost-user connection: messages and file descriptors on an AF_UNIX stream socket.

The other side is not trusted: a message is taken in as it trickles in and never
waited for, its size is bounded, and descriptors that nobody asked for are closed.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
from collections.abc import Iterable

from .messages import HEADER, MOST_FDS, Message, header

_INT = array.array("i").itemsize
_ANCILLARY = socket.CMSG_SPACE(MOST_FDS * _INT)


class Closed(Exception):
    """The connection is over: the other side went away, or sent what no message begins with."""


class Channel:
    """Reads from and writes to ``sock``, which it owns and makes non-blocking."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._data = b""
        self._fds: list[int] = []
        self._need = HEADER.size

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> Message | None:
        """The next message if it is there whole, else None.  Raises :class:`Closed`."""
        while True:
            missing = self._need - len(self._data)
            if missing:
                try:
                    data, ancillary, flags, _ = self._socket.recvmsg(missing, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
                except BlockingIOError:
                    return None
                except OSError as error:
                    raise Closed(error.strerror or "the connection failed") from None
                self._fds += _descriptors(ancillary)
                if flags & socket.MSG_CTRUNC or len(self._fds) > MOST_FDS:
                    raise Closed(f"more than {MOST_FDS} file descriptors in one message")
                if not data:
                    raise Closed("the front end closed the connection" if not self._data else "half a message")
                self._data += data
            if len(self._data) < HEADER.size:
                continue
            try:
                request, flags, size = header(self._data[: HEADER.size])
            except ValueError as error:
                raise Closed(str(error)) from None
            self._need = HEADER.size + size
            if len(self._data) == self._need:
                message = Message(request, flags, self._data[HEADER.size :], tuple(self._fds))
                self._data, self._fds, self._need = b"", [], HEADER.size
                return message

    def send(self, data: bytes, fds: Iterable[int] = ()) -> None:
        """Send a whole message.  Raises :class:`Closed`, also when the other side does not read what it asked for."""
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            sent = self._socket.sendmsg([data], ancillary)
        except OSError as error:
            raise Closed(f"no answer could be sent ({error.strerror})") from None
        if sent != len(data):
            raise Closed("the front end does not read its answers")

    def close(self) -> None:
        """Close the socket and what descriptors came with an unfinished message."""
        close_all(self._fds)
        self._fds = []
        self._socket.close()


def close_all(fds: Iterable[int]) -> None:
    """Close descriptors; one that is closed already is none of our business."""
    for fd in fds:
        if fd < 0:
            continue
        with contextlib.suppress(OSError):
            os.close(fd)


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % _INT])
    return list(found)
