"""Devices on which administration commands that are refused have effects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.refusal import CommandRefused
from virtionet_ipsec.wire.admin import AdminCmdList, ResourceObjHdr
from virtionet_ipsec.wire.bitmap import u64_bitmap
from virtionet_ipsec.wire.codec import parse
from virtionet_ipsec.wire.enums import AdminStatus, Opcode, Qualifier, Status

from ..mutant import breaks
from ..wrapping import replace_handler

EINVAL, EEXIST = AdminStatus.EINVAL, AdminStatus.EEXIST


@breaks("admin.dev.einval-keeps-state")
class DestroysForAnyGroup(Device):
    """DESTROY for a group type that does not exist destroys the object, and gets EINVAL."""

    def _execute(self, readable: bytes) -> bytes:
        if readable[:2] == bytes((Opcode.RESOURCE_OBJ_DESTROY, 0)) and readable[2:4] != bytes(2):
            super()._execute(readable[:2] + bytes(2) + readable[4:])
        return super()._execute(readable)


@breaks("admin.dev.einval-keeps-state")
class UsesWhatItKnows(Device):
    """LIST_USE with an unsupported opcode takes the others, and gets EINVAL."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        replace_handler(self, Opcode.LIST_USE, self._list_use)

    def _list_use(self, right: Callable[[bytes], bytes], data: bytes) -> bytes:
        try:
            return right(data)
        except CommandRefused:
            wanted, supported = parse(AdminCmdList, data).device_admin_cmd_opcodes, u64_bitmap(self._admin._handlers)
            self._admin.in_use = [want & have for want, have in zip(wanted, supported, strict=False)]
            raise


@breaks("admin.dev.einval-keeps-state")
class DestroysSasForAList(Device):
    """LIST_USE that gets EINVAL destroys the SAs."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        replace_handler(self, Opcode.LIST_USE, self._list_use)

    def _list_use(self, right: Callable[[bytes], bytes], data: bytes) -> bytes:
        try:
            return right(data)
        except CommandRefused:
            for table in (self._outbound, self._inbound):
                table.reset()
                self._objects._stored[table.type].clear()
            raise


@breaks("admin.dev.einval-keeps-state")
class ForgetsCapabilities(Device):
    """DRIVER_CAP_SET for a group type that does not exist takes effect, and gets EINVAL."""

    def _execute(self, readable: bytes) -> bytes:
        if readable[:2] == bytes((Opcode.DRIVER_CAP_SET, 0)) and readable[2:4] != bytes(2):
            self._capabilities.reset()
        return super()._execute(readable)


@breaks("admin.dev.einval-keeps-state")
class MakesObjectsThatCannotBe(Device):
    """CREATE with data that cannot be leaves an object behind, and gets EINVAL."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        replace_handler(self, Opcode.RESOURCE_OBJ_CREATE, self._create)

    def _create(self, right: Callable[[bytes], bytes], data: bytes) -> bytes:
        try:
            return right(data)
        except CommandRefused as refused:
            header = parse(ResourceObjHdr, data)
            invalid = refused.qualifier == Qualifier.INVALID_FIELD and refused.status == EINVAL
            if invalid and header.type in self._objects._stored:
                self._objects._stored[header.type][header.id] = data[16:]
            raise


class _AfterRefusedModify(Device):
    """``effect`` comes after each MODIFY that was refused."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        replace_handler(self, Opcode.RESOURCE_OBJ_MODIFY, self._modify)

    def _modify(self, right: Callable[[bytes], bytes], data: bytes) -> bytes:
        try:
            return right(data)
        except CommandRefused:
            self.effect()
            raise

    def effect(self) -> None:
        raise NotImplementedError


@breaks("admin.dev.einval-no-side-effects")
class StartsNumbersAgain(_AfterRefusedModify):
    """A refused MODIFY starts the sequence numbers of outbound SAs again."""

    def effect(self) -> None:
        for sa in self.outbound.values():
            sa.state.seq = 0


@breaks("admin.dev.einval-no-side-effects")
class ForgetsTheWindow(_AfterRefusedModify):
    """A refused MODIFY empties the replay windows of inbound SAs."""

    def effect(self) -> None:
        for sa in self.inbound.values():
            sa.window.top, sa.window.seen = 0, 0


@breaks("admin.dev.einval-no-side-effects")
class StopsReceiving(_AfterRefusedModify):
    """A refused MODIFY takes the inbound SAs out of the table by SPI."""

    def effect(self) -> None:
        self.inbound_by_spi.clear()


@breaks("admin.dev.einval-no-error-state")
class BreaksDown(Device):
    """A command that gets EINVAL sets DEVICE_NEEDS_RESET."""

    def _execute(self, readable: bytes) -> bytes:
        written = super()._execute(readable)
        if written[:1] == bytes((EINVAL,)):
            self._negotiation.status |= Status.DEVICE_NEEDS_RESET
        return written


@breaks("admin.dev.einval-no-error-state")
class StopsSending(Device):
    """After a command that gets EINVAL nothing is sent."""

    def _execute(self, readable: bytes) -> bytes:
        written = super()._execute(readable)
        if written[:1] == bytes((EINVAL,)):
            self._transmitter = None
        return written


@breaks("admin.dev.failure-keeps-state")
class KeepsTheNewOne(Device):
    """CREATE with an id that exists gets EEXIST, and QUERY gives its data then."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        replace_handler(self, Opcode.RESOURCE_OBJ_CREATE, self._create)

    def _create(self, right: Callable[[bytes], bytes], data: bytes) -> bytes:
        try:
            return right(data)
        except CommandRefused as refused:
            header = parse(ResourceObjHdr, data)
            if refused.status == EEXIST:
                self._objects._stored[header.type][header.id] = data[16:]
            raise
