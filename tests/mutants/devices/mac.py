"""Devices that are wrong about MAC addresses."""

from __future__ import annotations

from typing import Any

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.receive_filter import Admission, ReceiveFilter
from virtionet_ipsec.wire.enums import CtrlAck, CtrlClass, CtrlMac

from ..mutant import breaks
from .filter import Filtering

_TABLE_SET = bytes((CtrlClass.MAC, CtrlMac.TABLE_SET))


@breaks("mac.dev.table-empty-on-reset")
class KeepsTheTable(Filtering):
    """The MAC table survives a reset."""

    class filter_kind(ReceiveFilter):  # noqa: N801
        def reset(self) -> None:
            tables = self._tables
            super().reset()
            self._tables = tables


@breaks("mac.dev.table-before-used")
class TableLater(Device):
    """A MAC table is taken over with the next command."""

    _later = b""

    def _control(self, readable: bytes, writable_len: int) -> bytes:
        if self._later:
            super()._control(self._later, 1)
            self._later = b""
        if readable[:2] == _TABLE_SET:
            self._later = readable
            return bytes((CtrlAck.OK,))
        return super()._control(readable, writable_len)


@breaks("mac.dev.table-before-used")
class AddsToTheTable(Filtering):
    """What a table held before stays in it."""

    class filter_kind(ReceiveFilter):  # noqa: N801
        def compiled(self) -> Admission | None:
            unicast, multicast = self._tables
            before = getattr(self, "before", (frozenset(), frozenset()))
            self.before = self._tables = ((unicast or frozenset()) | before[0], (multicast or frozenset()) | before[1])
            return super().compiled()


@breaks("mac.dev.table-before-used")
class OneTable(Filtering):
    """The second of the two tables is not looked at."""

    class filter_kind(ReceiveFilter):  # noqa: N801
        def compiled(self) -> Admission | None:
            self._tables = (self._tables[0], frozenset())
            return super().compiled()


@breaks("mac.dev.address-before-used")
class AddressNotShown(Device):
    """ADDR_SET changes the filter and not the configuration space."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self._controls.filter._set_mac = lambda mac: None


@breaks("mac.dev.drops")
class StationsPass(Filtering):
    """Unicast frames for anybody pass."""

    class filter_kind(ReceiveFilter):  # noqa: N801
        def compiled(self) -> Admission | None:
            right = super().compiled()
            if right is not None:
                right._all_unicast = True
            return right


@breaks("mac.dev.drops")
class GroupsPass(Filtering):
    """Multicast frames for any group pass."""

    class filter_kind(ReceiveFilter):  # noqa: N801
        def compiled(self) -> Admission | None:
            right = super().compiled()
            if right is not None:
                right._all_multicast = True
            return right


@breaks("mac.dev.drops")
class OldAddressStays(Filtering):
    """The first address passes after ADDR_SET set another."""

    class filter_kind(ReceiveFilter):  # noqa: N801
        def compiled(self) -> Admission | None:
            right = super().compiled()
            if right is not None:
                right._destinations |= {self._own}
            return right
