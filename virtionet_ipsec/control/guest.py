"""What a front end does beside its vhost-user connection, over the control socket.

The connection carries 64 feature bits and no administration virtqueue; and what
is on the wire a front end does not see (D143).
"""

from __future__ import annotations

from ..wire.enums import Feature
from .client import ControlClient, ControlError
from .messages import Kind, Result

NOT_CARRIED = ((1 << 128) - 1) ^ ((1 << 64) - 1) | 1 << Feature.ADMIN_VQ
"""The features that are a matter of the control socket."""


class GuestSide:
    """The guest's device, from the driver's side and from the wire's.

    It is what :class:`virtionet_ipsec.vhost_user.beside.Beside` asks for.  Raises :class:`ControlError`.
    """

    grace = 0.0  # SYNC tells when all has come

    def __init__(self, path: str, timeout: float = 10.0) -> None:
        self._path = path
        self._timeout = timeout
        self._client = self._connect()

    def _connect(self) -> ControlClient:
        client = ControlClient(self._path, self._timeout)
        client.plug()
        return client

    def features(self) -> int:
        """The features offered that the connection does not carry."""
        return int.from_bytes(self._client.request(Kind.GUEST_FEATURES)[:16], "little") & NOT_CARRIED

    def accept(self, features: int) -> bool:
        """The driver accepts these of them; False when the device refuses them."""
        try:
            self._client.request(Kind.GUEST_ACCEPT, features.to_bytes(16, "little"))
        except ControlError as error:
            if error.status != Result.REFUSED:
                raise
            return False
        return True

    def admin(self, readable: bytes, writable_len: int = 65536) -> bytes:
        """One group administration command; gives what was written (virtio 1.4, 2.13)."""
        written, _ = self._client.command(Kind.GUEST_ADMIN, readable, writable_len)
        return written

    def last_refusal(self) -> str:
        """Why the device refused the last status, features or command, in words, or ""."""
        return self._client.request(Kind.GUEST_REFUSAL).decode(errors="replace")

    def arrive(self, frame: bytes) -> None:
        """A frame from the wire."""
        self._client.send([frame])

    def frames(self) -> tuple[bytes, ...]:
        """The frames that left since the last call."""
        self.sync()
        return tuple(self._client.frames())

    def sync(self) -> bool:
        """Wait until the device has done what it was asked for."""
        self._client.sync()
        return True

    def reopen(self) -> None:
        """The back end is another one."""
        self._client.close()
        self._client = self._connect()

    def close(self) -> None:
        self._client.close()
