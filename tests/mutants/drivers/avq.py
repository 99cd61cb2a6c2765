"""Drivers that are wrong about the buffers of commands, and about EAGAIN (2.13)."""

from __future__ import annotations

from typing import Any

from virtionet_ipsec.wire.admin import AdminCmdHdr, CapGetData
from virtionet_ipsec.wire.codec import build
from virtionet_ipsec.wire.enums import AdminStatus, CapId, Opcode
from virtionet_ipsec.wire.profile import Profile

from ..meddling import Answering, Meddling, Through
from ..mutant import violates
from ..session import ReferenceDriver

_QUERY_HEADER = 32  # octets of RESOURCE_OBJ_QUERY without its flags


@violates("avq.drv.readable-length")
class LeavesZerosOut(Through):
    """Leaves the flags of RESOURCE_OBJ_QUERY out, which are zero."""

    class port_kind(Meddling):  # noqa: N801
        def admin(self, readable: bytes, writable_len: int) -> bytes:
            query = readable[0] == Opcode.RESOURCE_OBJ_QUERY
            written: bytes = self.device.admin(readable[:_QUERY_HEADER] if query else readable, writable_len)
            return written


@violates("avq.drv.readable-multiple")
class OneOctetMore(Through):
    """Makes the device-readable part an octet longer."""

    class port_kind(Meddling):  # noqa: N801
        def admin(self, readable: bytes, writable_len: int) -> bytes:
            written: bytes = self.device.admin(readable + b"\0", writable_len)
            return written


@violates("avq.drv.writable-multiple")
class OneOctetOfRoom(Through):
    """Makes the device-writable part an octet longer."""

    class port_kind(Meddling):  # noqa: N801
        def admin(self, readable: bytes, writable_len: int) -> bytes:
            written: bytes = self.device.admin(readable, writable_len + 1)
            return written


@violates("avq.drv.readable-not-empty")
class SendsNothing(ReferenceDriver):
    """Sends a command without a device-readable part."""

    def make_rules(self) -> None:
        super().make_rules()
        self.port.admin(b"", 64)


@violates("avq.drv.writable-not-empty")
class WantsNothing(ReferenceDriver):
    """Sends a command without a device-writable part."""

    def make_rules(self) -> None:
        super().make_rules()
        self.port.admin(build(AdminCmdHdr, opcode=Opcode.LIST_QUERY), 0)


_CAP_GET = build(AdminCmdHdr, opcode=Opcode.DEVICE_CAP_GET) + build(CapGetData, id=CapId.IPSEC_SA_CAP)


class AsksABusyDevice(ReferenceDriver):
    """Gets a capability while the device is busy."""

    def __init__(self, port: Any, profile: Profile) -> None:
        super().__init__(Answering(port), profile)

    def make_rules(self) -> None:
        self.port.says = AdminStatus.EAGAIN
        self.ask()
        super().make_rules()

    def ask(self) -> None:
        self.admin.device_cap(CapId.IPSEC_SA_CAP)


@violates("avq.drv.retries-eagain")
class AsksOnce(AsksABusyDevice):
    """Does not send a command again that completed with EAGAIN."""

    right = AsksABusyDevice

    def ask(self) -> None:
        self.port.admin(_CAP_GET)


@violates("avq.drv.retries-eagain")
class GivesUp(AsksOnce):
    """Sends a command again that completed with EAGAIN, and not when that happens once more."""

    right = AsksABusyDevice

    def ask(self) -> None:
        super().ask()
        self.port.says = AdminStatus.EAGAIN
        super().ask()
