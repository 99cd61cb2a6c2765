"""Drivers that are wrong about LIST_QUERY and LIST_USE (2.12.1)."""

from __future__ import annotations

from contextlib import suppress

from virtionet_ipsec.driver.errors import AdminError
from virtionet_ipsec.wire.enums import Opcode

from ..meddling import Through
from ..mutant import violates

_UNDEFINED = 0x20
_ALL = frozenset(range(Opcode.LIST_USE + 1)) | frozenset(range(Opcode.CAP_ID_LIST_QUERY, Opcode.DEV_PARTS_METADATA_GET))


@violates("admin.drv.list-use-first")
class NeverListsUse(Through):
    """Sends commands without LIST_USE."""

    def set_up_commands(self) -> None:
        self.admin.list_query()


@violates("admin.drv.list-use-ok-first")
class GoesOnAfterRefusal(Through):
    """Goes on after a LIST_USE that failed."""

    def set_up_commands(self) -> None:
        with suppress(AdminError):
            self.admin.list_use(self.admin.list_query() | {Opcode.DEV_MODE_SET})


@violates("admin.drv.unfamiliar-opcodes")
class ListsTheUndefined(Through):
    """Has an opcode in LIST_USE that the specification does not define."""

    def set_up_commands(self) -> None:
        with suppress(AdminError):
            self.admin.list_use(self.admin.list_query() | {_UNDEFINED})
        super().set_up_commands()


@violates("admin.drv.list-use-subset")
class NeverQueries(Through):
    """Sends LIST_USE without having asked what is supported."""

    def set_up_commands(self) -> None:
        self.admin.list_use(_ALL)


@violates("admin.drv.listed-commands")
class ListsTooFew(Through):
    """Uses RESOURCE_OBJ_CREATE, which its LIST_USE leaves out."""

    def set_up_commands(self) -> None:
        self.admin.list_use(self.admin.list_query() - {Opcode.RESOURCE_OBJ_CREATE})


@violates("admin.drv.listed-commands")
class AsksAfterBlocking(Through):
    """Sends LIST_QUERY, which its LIST_USE leaves out."""

    def set_up_commands(self) -> None:
        self.admin.list_use(self.admin.list_query() - {Opcode.LIST_QUERY})
        self.admin.list_query()
