"""Devices that are wrong about the list of commands in use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.admin import AdminCommands, Handler
from virtionet_ipsec.device.refusal import CommandRefused, invalid_field, no_such
from virtionet_ipsec.wire.admin import AdminCmdList
from virtionet_ipsec.wire.codec import build
from virtionet_ipsec.wire.enums import Opcode, Qualifier

from ..mutant import breaks
from ..wrapping import replace_admin


@breaks("admin.dev.list-after-reset")
class UsesTheOldList(Device):
    """The list of LIST_USE stays over a reset."""

    def reset(self) -> None:
        in_use = self._admin.in_use
        super().reset()
        self._admin.in_use = in_use


class _AllInUse(AdminCommands):
    def reset(self) -> None:
        self.in_use = list(self._supported)


@breaks("admin.dev.list-after-reset", "admin.dev.validates-against-list", "admin.dev.unlisted-command")
class NeedsNoListUse(Device):
    """All commands are in use until LIST_USE says otherwise."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        replace_admin(self, _AllInUse)


class _Adding(AdminCommands):
    def _list_use(self, data: bytes) -> bytes:
        before = self.in_use
        super()._list_use(data)
        self.in_use = [old | new for old, new in zip(before, self.in_use, strict=True)]
        return b""


@breaks("admin.dev.list-use-sets-list")
class AddsToTheList(Device):
    """LIST_USE adds to the list in use."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        replace_admin(self, _Adding)


class _ListsAlways(AdminCommands):
    def _list_use(self, data: bytes) -> bytes:
        super()._list_use(data)
        self.in_use = [self.in_use[0] | 1 << Opcode.LIST_QUERY, *self.in_use[1:]]
        return b""


@breaks("admin.dev.list-use-sets-list")
class AnswersListQueryAlways(Device):
    """LIST_QUERY can be used although LIST_USE left it out."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        replace_admin(self, _ListsAlways)


class _Unchecked(AdminCommands):
    def _validate(self, group_type: int, opcode: int, member_id: int) -> Handler:
        in_use, self.in_use = self.in_use, self._supported
        try:
            return super()._validate(group_type, opcode, member_id)
        finally:
            self.in_use = in_use


@breaks("admin.dev.validates-against-list", "admin.dev.unlisted-command")
class ForgetsTheList(Device):
    """Commands are not held against the list in use."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        replace_admin(self, _Unchecked)


class _UnlistedInvalidField(AdminCommands):
    def _validate(self, group_type: int, opcode: int, member_id: int) -> Handler:
        try:
            return super()._validate(group_type, opcode, member_id)
        except CommandRefused as refused:
            if opcode in self._handlers and refused.qualifier == Qualifier.INVALID_OPCODE:
                raise invalid_field("not listed") from None
            raise


@breaks("admin.dev.unlisted-command")
class SaysInvalidFieldForUnlisted(Device):
    """A command that is supported and not in the list gets INVALID_FIELD."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        replace_admin(self, _UnlistedInvalidField)


class _Shrinking(AdminCommands):
    used = False

    def _list_use(self, data: bytes) -> bytes:
        super()._list_use(data)
        self.used = True
        return b""

    def _list_query(self, data: bytes) -> bytes:
        return build(AdminCmdList, device_admin_cmd_opcodes=self.in_use) if self.used else super()._list_query(data)


@breaks("admin.dev.list-never-shrinks", "admin.dev.reported-stays-supported")
class ReportsWhatIsUsed(Device):
    """After LIST_USE, LIST_QUERY gives the list in use."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        replace_admin(self, _Shrinking)


class _QueryFirst(AdminCommands):
    refusal: Callable[[str], CommandRefused]
    queried = used = False

    def reset(self) -> None:
        super().reset()
        self.queried = False

    def _list_query(self, data: bytes) -> bytes:
        self.queried = True
        return super()._list_query(data)

    def _list_use(self, data: bytes) -> bytes:
        if self.used and not self.queried:
            raise self.refusal("LIST_QUERY comes first")
        self.used = True
        return super()._list_use(data)


class _QueryFirstInvalidField(_QueryFirst):
    refusal = staticmethod(invalid_field)


class _QueryFirstNoSuch(_QueryFirst):
    refusal = staticmethod(no_such)


@breaks("admin.dev.same-list-after-reset", "admin.dev.same-list-not-at-fault")
class BlamesTheList(Device):
    """After a reset LIST_USE without LIST_QUERY gets EINVAL, INVALID_FIELD."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        replace_admin(self, _QueryFirstInvalidField)


@breaks("admin.dev.same-list-after-reset")
class WantsListQueryAgain(Device):
    """After a reset LIST_USE without LIST_QUERY gets ENXIO."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        replace_admin(self, _QueryFirstNoSuch)
