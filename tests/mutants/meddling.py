"""Drivers that are wrong at their port: what they do reaches the device altered."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, ClassVar

from virtionet_ipsec.device.exchanges import Commanded
from virtionet_ipsec.driver.errors import DriverError
from virtionet_ipsec.wire.admin import AdminCmdResult
from virtionet_ipsec.wire.codec import build
from virtionet_ipsec.wire.profile import Profile

from .segmenting import Segmenting
from .session import ReferenceDriver


class Meddling:
    """What lies between a driver and its device, and lets everything pass; kinds of it alter something."""

    def __init__(self, device: Any) -> None:
        object.__setattr__(self, "device", device)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.device, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.device, name, value)


class Answering(Meddling):
    """A device that answers one command with the status in ``says``, when that is set, and does nothing else."""

    def admin(self, readable: bytes, writable_len: int = 1 << 16) -> bytes:
        says = getattr(self.device, "says", None)
        if says is None:
            written: bytes = self.device.admin(readable, writable_len)
            return written
        self.device.says = None
        written = build(AdminCmdResult, status=says)
        self.device.on_exchange(Commanded(readable, writable_len, written))
        return written


def accepting(*, more: int = 0, less: int = 0) -> type[Meddling]:
    """A port where the driver accepts the features of the mask ``more`` as well, and none of ``less``."""

    class Accepting(Meddling):
        def set_driver_features(self, value: int) -> None:
            self.device.set_driver_features(value & ~less | more)

    return Accepting


class Through(ReferenceDriver):
    """The reference driver behind a port of its own kind; its session ends where the device refuses."""

    port_kind: ClassVar[type[Meddling]] = Meddling

    def __init__(self, port: Any, profile: Profile, features: int | None = None) -> None:
        super().__init__(self.port_kind(port), profile, features)

    def session(self) -> None:
        with suppress(DriverError):
            super().session()


class AlmostAll(Through):
    """Accepts every feature that is offered, but for what its port alters."""

    right = Segmenting

    def __init__(self, port: Any, profile: Profile) -> None:
        super().__init__(port, profile, port.features)
