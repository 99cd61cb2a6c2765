"""The wire to another process: AF_UNIX, SOCK_SEQPACKET, a frame is a message.

Both ends are given the same path.  Who finds nobody listening there listens,
and the other one connects.  When one of them goes, the other waits for it, or
takes its place: once a second (:meth:`SocketWire.tick`) who has no peer looks
again.  That also mends what a race at the start can leave behind, a listener
whose path has become the other's.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from contextlib import suppress

from ..input_error import InputError
from . import unix_sockets
from .frames import MAX_FRAME

_KIND = socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
_FLAGS = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
_BUFFER = 1 << 20  # octets that may be under way, which the kernel may bound further


class SocketWire:
    """A :class:`~.wires.Wire`.  Raises :class:`InputError`.

    An epoll descriptor stands for whatever sockets there are.  A second peer
    waits until the first has gone; one more would be refused.
    """

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.sent = self.received = self.dropped = 0
        self.failed = ""
        self._path = unix_sockets.address(path)
        self._buffer = bytearray(MAX_FRAME + 1)
        self._epoll = select.epoll()
        self._peer: socket.socket | None = None
        self._listener: socket.socket | None = None
        self._made: os.stat_result | None = None
        try:
            self._establish()
        except InputError:
            self._epoll.close()
            raise

    @property
    def connected(self) -> bool:
        """Whether there is a peer."""
        return self._peer is not None

    def fileno(self) -> int | None:
        return self._epoll.fileno()

    def send(self, frame: bytes) -> None:
        peer = self._peer
        if peer is None:
            self.dropped += 1
            return
        try:
            peer.send(frame, _FLAGS)
        except BlockingIOError:
            self.dropped += 1
        except OSError:
            self.dropped += 1
            self._lose()
        else:
            self.sent += 1

    def receive(self, most: int) -> list[bytes]:
        if self._peer is None:
            self._accept()
        frames: list[bytes] = []
        peer, buffer = self._peer, self._buffer
        if peer is None:
            return frames
        try:
            for _ in range(most):
                length = peer.recv_into(buffer)
                if not length:
                    self._lose()
                    break
                if length > MAX_FRAME:
                    self.dropped += 1
                else:
                    frames.append(bytes(buffer[:length]))
        except BlockingIOError:
            pass
        except OSError:
            self._lose()
        self.received += len(frames)
        return frames

    def tick(self) -> None:
        if self._peer is not None:
            return
        if self._listener is not None and self._made is not None:
            if unix_sockets.is_ours(self._path, self._made):
                return
            self._stop_listening()
        with suppress(InputError):  # the next tick tries again
            self._establish()

    def close(self) -> None:
        self._stop_listening()  # before the peer hears of it, and may want the path
        if self._peer is not None:
            self._peer.close()
            self._peer = None
        self._epoll.close()

    def _establish(self) -> None:
        """Connect, or else listen.  Raises :class:`InputError` when neither can be."""
        try:
            if not self._connect():
                self._listen()
        except FileExistsError:  # the other one was quicker
            self._connect()

    def _connect(self) -> bool:
        """Whether somebody listens at the path, and is the peer now.

        What nobody listens at is removed.  Raises :class:`InputError`.
        """
        if unix_sockets.occupant(self._path) is None:
            return False
        peer = socket.socket(socket.AF_UNIX, _KIND)
        try:
            peer.connect(self._path)
        except OSError as error:
            peer.close()
            if isinstance(error, BlockingIOError):
                raise InputError(os.fsdecode(self._path), "two are connected here", "give another path") from None
            if not isinstance(error, ConnectionRefusedError):
                raise unix_sockets.unusable(self._path, error) from None
            with suppress(OSError):
                os.unlink(self._path)
            return False
        self._take(peer)
        return True

    def _listen(self) -> None:
        """Raises :class:`InputError`, and FileExistsError when the path is not free (any more)."""
        listener = socket.socket(socket.AF_UNIX, _KIND)
        try:
            self._made = unix_sockets.bind(listener, self._path)
            listener.listen(1)
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE:
                raise FileExistsError from None
            raise unix_sockets.unusable(self._path, error) from None
        self._listener = listener
        self._epoll.register(listener, select.EPOLLIN)

    def _accept(self) -> None:
        """Take the peer that waits, if one does; others wait until it has gone."""
        if self._listener is None:
            return
        try:
            peer, _ = self._listener.accept()
        except OSError:
            return
        peer.setblocking(False)
        self._epoll.unregister(self._listener)
        self._take(peer)

    def _take(self, peer: socket.socket) -> None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self._epoll.register(peer, select.EPOLLIN)
        self._peer = peer

    def _lose(self) -> None:
        """The peer has gone: who listens goes on listening, who had connected looks again at the next tick."""
        if self._peer is not None:
            self._epoll.unregister(self._peer)
            self._peer.close()
            self._peer = None
        if self._listener is not None:
            self._epoll.register(self._listener, select.EPOLLIN)

    def _stop_listening(self) -> None:
        if self._listener is None:
            return
        if self._made is not None:
            unix_sockets.remove(self._path, self._made)
        if self._peer is None:
            self._epoll.unregister(self._listener)
        self._listener.close()
        self._listener = self._made = None
