"""The front end's end of a vhost-user connection: requests go out, and answers are waited for, but not for ever."""

from __future__ import annotations

import array
import socket
from collections.abc import Sequence
from time import monotonic, sleep
from typing import Any

from .channel import close_all
from .messages import HEADER, MOST_FDS, NEED_REPLY, REPLY, U64, Request, decode, encode, header

_CONNECT_PAUSE = 0.01  # seconds between two attempts


class BackEndFailed(Exception):
    """The back end is gone, does not answer, or answers what the protocol does not know; in words."""


class BackEndHangs(BackEndFailed):
    """It did not answer in time."""


class Asking:
    """A connection to the back end that listens at ``path``; every answer has to come within ``timeout`` seconds.

    With ``patience`` a back end that is not there yet is waited for so many seconds.  Raises :class:`BackEndFailed`,
    as do all methods.  ``acknowledged`` is to be set when REPLY_ACK is negotiated.
    """

    def __init__(self, path: str, timeout: float, patience: float = 0.0) -> None:
        self.path = path
        self.acknowledged = False
        self._timeout = timeout
        self._socket = _connected(path, timeout, patience)

    def fileno(self) -> int:
        return self._socket.fileno()

    def ask(self, request: Request, payload: bytes = b"", fds: Sequence[int] = ()) -> tuple[bytes, list[int]]:
        """The payload of the answer to a request that has one of its own, and the descriptors that came with it."""
        self._send(request, payload, fds)
        return self._answer(request)

    def ask_number(self, request: Request) -> int:
        """The same for an answer that is one u64 and nothing else."""
        payload, fds = self.ask(request)
        close_all(fds)
        return int(self._fields(request, U64, payload).u64)

    def tell(self, request: Request, payload: bytes = b"", fds: Sequence[int] = ()) -> bool:
        """Send a request that has no answer of its own.  False when the back end says that it cannot (REPLY_ACK).

        Where REPLY_ACK is not negotiated, nobody knows, and it is True.
        """
        self._send(request, payload, fds, NEED_REPLY if self.acknowledged else 0)
        if not self.acknowledged:
            return True
        answer, received = self._answer(request)
        close_all(received)
        return not self._fields(request, U64, answer).u64

    def must(self, request: Request, payload: bytes = b"", fds: Sequence[int] = ()) -> None:
        """The same for what the back end has to be able to do."""
        if not self.tell(request, payload, fds):
            raise BackEndFailed(f"the back end at {self.path} refuses {request.name}")

    def fields(self, request: Request, structure: Any, payload: bytes = b"") -> tuple[Any, list[int]]:
        """The fields of the answer to a request that has one of its own, and its descriptors."""
        answer, fds = self.ask(request, payload)
        return self._fields(request, structure, answer), fds

    def _fields(self, request: Request, structure: Any, payload: bytes) -> Any:
        try:
            return decode(structure, payload)
        except ValueError as error:
            raise BackEndFailed(f"the back end's answer to {request.name}: {error}") from None

    def _send(self, request: Request, payload: bytes, fds: Sequence[int], flags: int = 0) -> None:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        data = encode(request, payload, flags)
        self._socket.settimeout(self._timeout)
        try:
            sent = self._socket.sendmsg([data], ancillary)
            if sent < len(data):
                self._socket.sendall(data[sent:])
        except TimeoutError:
            raise self._hangs(f"takes no {request.name}") from None
        except OSError as error:
            raise BackEndFailed(f"the back end at {self.path} took no {request.name} ({error.strerror})") from None

    def _answer(self, request: Request) -> tuple[bytes, list[int]]:
        fds: list[int] = []
        try:
            number, flags, size = header(self._receive(HEADER.size, request, fds))
            payload = self._receive(size, request, fds)
        except ValueError as error:
            close_all(fds)
            raise BackEndFailed(f"the back end's answer to {request.name}: {error}") from None
        except BackEndFailed:
            close_all(fds)
            raise
        if number != request or not flags & REPLY:
            close_all(fds)
            raise BackEndFailed(f"the back end's answer to {request.name} is message {number} with flags {flags:#x}")
        return payload, fds

    def _receive(self, size: int, request: Request, fds: list[int]) -> bytes:
        data = b""
        end = monotonic() + self._timeout
        while len(data) < size:
            self._socket.settimeout(max(end - monotonic(), 0.001))
            try:
                part, received, _, _ = socket.recv_fds(self._socket, size - len(data), MOST_FDS)
            except TimeoutError:
                raise self._hangs(f"does not answer {request.name}") from None
            except OSError as error:
                raise BackEndFailed(f"the back end at {self.path} is gone ({error.strerror})") from None
            fds += received
            if not part:
                raise BackEndFailed(f"the back end at {self.path} closed the connection after {request.name}")
            data += part
        return data

    def _hangs(self, what: str) -> BackEndHangs:
        return BackEndHangs(f"the back end at {self.path} {what} within {self._timeout:g} s")

    def close(self) -> None:
        self._socket.close()


def _connected(path: str, timeout: float, patience: float) -> socket.socket:
    end = monotonic() + patience
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        try:
            sock.connect(path)
        except TimeoutError:
            sock.close()
            raise BackEndHangs(f"the back end at {path} takes no connection within {timeout:g} s") from None
        except OSError as error:
            sock.close()
            # A path that is too long has no strerror.
            if monotonic() >= end:
                raise BackEndFailed(f"no back end takes a connection at {path} ({error.strerror or error})") from None
            sleep(_CONNECT_PAUSE)
        else:
            return sock
