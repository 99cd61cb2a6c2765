"""What reaches a device beside its vhost-user connection: its wire, and what the connection does not carry."""

from __future__ import annotations

import socket
from typing import Protocol

from ..virtqueue.transport import Unobservable
from .asking import BackEndFailed

_MOST_OCTETS = 1 << 17  # of a frame


class Beside(Protocol):
    grace: float
    """Seconds in which what may come does come, where :meth:`sync` cannot tell."""

    def features(self) -> int:
        """The features offered that the connection does not carry: ADMIN_VQ, and those above 63."""

    def accept(self, features: int) -> bool:
        """The driver accepts these of them; False when the device refuses them."""

    def admin(self, readable: bytes, writable_len: int) -> bytes:
        """One group administration command; gives what was written."""

    def last_refusal(self) -> str:
        """Why the last command was refused, in words, or ""."""

    def arrive(self, frame: bytes) -> None:
        """A frame from the wire."""

    def frames(self) -> tuple[bytes, ...]:
        """The frames that left since the last call.  Raises :class:`Unobservable` where there is no wire to see."""

    def sync(self) -> bool:
        """Wait until the device has done what it was asked for; False where nobody can tell."""

    def reopen(self) -> None:
        """The back end is another one."""

    def close(self) -> None: ...


class Nothing:
    """A device of which the rings are all there is."""

    grace = 0.05

    def features(self) -> int:
        return 0

    def accept(self, features: int) -> bool:
        return not features

    def admin(self, readable: bytes, writable_len: int) -> bytes:
        return b""

    def last_refusal(self) -> str:
        return ""

    def arrive(self, frame: bytes) -> None:
        raise Unobservable("nothing reaches the device's wire")

    def frames(self) -> tuple[bytes, ...]:
        raise Unobservable("nothing reaches the device's wire")

    def sync(self) -> bool:
        return False

    def reopen(self) -> None: ...

    def close(self) -> None: ...


class WireSocket(Nothing):
    """The device's wire, an AF_UNIX SOCK_SEQPACKET socket at ``path`` that carries a frame in each message.

    When the device has sent all that it wants to send, a socket does not say: after a packet it is listened to for
    ``grace`` seconds, and after each frame for a tenth of that.
    """

    def __init__(self, path: str, grace: float = 0.05) -> None:
        self.path = path
        self.grace = grace
        self._socket = self._connect()

    def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.settimeout(self.grace)
        try:
            sock.connect(self.path)
        except OSError as error:
            sock.close()
            raise BackEndFailed(f"no wire takes a connection at {self.path} ({error.strerror or error})") from None
        return sock

    def arrive(self, frame: bytes) -> None:
        try:
            self._socket.settimeout(1.0)
            self._socket.send(frame)
        except OSError as error:
            raise BackEndFailed(f"the wire at {self.path} takes no frame ({error.strerror or error})") from None

    def frames(self) -> tuple[bytes, ...]:
        found: list[bytes] = []
        while (frame := self._next(self.grace / 10 if found else self.grace)) is not None:
            found.append(frame)
        return tuple(found)

    def there(self) -> tuple[bytes, ...]:
        """The frames that are here by now, without waiting for more."""
        found: list[bytes] = []
        while (frame := self._next(0.0)) is not None:
            found.append(frame)
        return tuple(found)

    def _next(self, seconds: float) -> bytes | None:
        self._socket.settimeout(seconds)
        try:
            frame = self._socket.recv(_MOST_OCTETS)
        except (TimeoutError, BlockingIOError):
            return None
        except OSError as error:
            raise BackEndFailed(f"the wire at {self.path} is gone ({error.strerror})") from None
        if not frame:
            raise BackEndFailed(f"the wire at {self.path} is gone")
        return frame

    def reopen(self) -> None:
        self._socket.close()
        self._socket = self._connect()

    def close(self) -> None:
        self._socket.close()
