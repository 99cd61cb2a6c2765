"""Devices that are wrong about resource objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.refusal import CommandRefused, exists, invalid_field, no_space
from virtionet_ipsec.wire.admin import ResourceObjHdr
from virtionet_ipsec.wire.codec import parse
from virtionet_ipsec.wire.enums import AdminStatus, Opcode, ResourceType

from ..mutant import breaks
from ..wrapping import altering_answers_to, replace_handler

EINVAL = AdminStatus.EINVAL
CREATE, MODIFY = Opcode.RESOURCE_OBJ_CREATE, Opcode.RESOURCE_OBJ_MODIFY
QUERY, DESTROY = Opcode.RESOURCE_OBJ_QUERY, Opcode.RESOURCE_OBJ_DESTROY


def saying_einval(entry: str, opcode: Opcode, instead_of: AdminStatus, name: str) -> None:
    """Enter the device that gives EINVAL to one command where another status is due."""
    altered = altering_answers_to(
        opcode, lambda status, qualifier: (EINVAL if status == instead_of else status, qualifier)
    )
    doc = f"{opcode.name} gets EINVAL instead of {instead_of.name}."
    breaks(entry)(type(name, (Device,), {"_execute": altered, "__doc__": doc}))


for _entry, _opcode, _status, _name in (
    ("objects.dev.create-existing", CREATE, AdminStatus.EEXIST, "CreatesWithEINVAL"),
    ("objects.dev.modify-missing", MODIFY, AdminStatus.ENXIO, "ModifiesWithEINVAL"),
    ("objects.dev.query-missing", QUERY, AdminStatus.ENXIO, "QueriesWithEINVAL"),
    ("objects.dev.destroy-missing", DESTROY, AdminStatus.ENXIO, "DestroysWithEINVAL"),
    ("objects.dev.create-no-space", CREATE, AdminStatus.ENOSPC, "FullWithEINVAL"),
    ("objects.dev.modify-depended-on", MODIFY, AdminStatus.EBUSY, "ModifyNeededWithEINVAL"),
    ("objects.dev.destroy-depended-on", DESTROY, AdminStatus.EBUSY, "DestroyNeededWithEINVAL"),
):
    saying_einval(_entry, _opcode, _status, _name)


class _Handling(Device):
    """``handle`` gets the commands with the opcode ``wrong``, and the device's own handler."""

    wrong: ClassVar[Opcode]

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        replace_handler(self, self.wrong, self._handle)

    def _handle(self, right: Callable[[bytes], bytes], data: bytes) -> bytes:
        header = parse(ResourceObjHdr, data)
        return self.handle(right, header.type, header.id, data)

    def handle(self, right: Callable[[bytes], bytes], kind: int, number: int, data: bytes) -> bytes:
        raise NotImplementedError


@breaks("objects.dev.create-existing")
class Replaces(_Handling):
    """CREATE of a group that exists replaces it."""

    wrong = CREATE

    def handle(self, right: Callable[[bytes], bytes], kind: int, number: int, data: bytes) -> bytes:
        try:
            return right(data)
        except CommandRefused as refused:
            if kind == ResourceType.FF_GROUP and refused.status == AdminStatus.EEXIST:
                return self._objects.modify(data)
            raise


@breaks("objects.dev.destroy-missing")
class DestroysWhatWas(_Handling):
    """DESTROY of an object that was destroyed gets OK."""

    wrong = DESTROY

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.gone: set[tuple[int, int]] = set()

    def handle(self, right: Callable[[bytes], bytes], kind: int, number: int, data: bytes) -> bytes:
        if (kind, number) in self.gone and number not in self._objects._stored[kind]:
            return b""
        self.gone.add((kind, number))
        return right(data)


@breaks("objects.dev.destroy-depended-on")
class DestroysGroups(_Handling):
    """A group is destroyed with its rules."""

    wrong = DESTROY

    def handle(self, right: Callable[[bytes], bytes], kind: int, number: int, data: bytes) -> bytes:
        if kind == ResourceType.FF_GROUP:
            self.flow_table.rules_of_group[number] = 0
        return right(data)


@breaks("objects.dev.modify-depended-on")
class ModifiesClassifiers(_Handling):
    """A classifier is modified under its rules."""

    wrong = MODIFY

    def handle(self, right: Callable[[bytes], bytes], kind: int, number: int, data: bytes) -> bytes:
        rules = self.flow_table.rules_of_classifier[number] if kind == ResourceType.FF_CLASSIFIER else 0
        if rules:
            self.flow_table.rules_of_classifier[number] = 0
        try:
            return right(data)
        finally:
            if rules:
                self.flow_table.rules_of_classifier[number] = rules


@breaks("objects.dev.recreate")
class UsesIdsOnce(_Handling):
    """The id of an object that was destroyed cannot be used again."""

    wrong = CREATE

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.used: set[tuple[int, int]] = set()

    def reset(self) -> None:
        super().reset()
        self.used.clear()

    def handle(self, right: Callable[[bytes], bytes], kind: int, number: int, data: bytes) -> bytes:
        if (kind, number) in self.used:
            raise exists("once")
        right(data)
        self.used.add((kind, number))
        return b""


@breaks("objects.dev.recreate")
class KeepsSpis(_Handling):
    """The SPI of an inbound SA that was destroyed cannot be used again."""

    wrong = CREATE

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.used: set[bytes] = set()

    def reset(self) -> None:
        super().reset()
        self.used.clear()

    def handle(self, right: Callable[[bytes], bytes], kind: int, number: int, data: bytes) -> bytes:
        if kind == ResourceType.IPSEC_INB_SA:
            spi = data[24:28]
            if spi in self.used:
                raise invalid_field("the SPI is in use")
            self.used.add(spi)
        return right(data)


@breaks("objects.dev.any-free-id")
class CountsIds(_Handling):
    """Ids have to be used one after the other."""

    wrong = CREATE

    def handle(self, right: Callable[[bytes], bytes], kind: int, number: int, data: bytes) -> bytes:
        if kind in self._objects._stored and number > len(self._objects._stored[kind]):
            raise invalid_field("not the next id")
        return right(data)


@breaks("objects.dev.as-many-as-limit")
class OneFewer(_Handling):
    """One inbound SA fewer than the limit can be created."""

    wrong = CREATE

    def handle(self, right: Callable[[bytes], bytes], kind: int, number: int, data: bytes) -> bytes:
        limit = self._capabilities.ipsec_resource.driver.inb_sa_limit
        if kind == ResourceType.IPSEC_INB_SA and len(self._objects._stored[kind]) >= limit - 1:
            raise no_space("one fewer")
        return right(data)


@breaks("objects.dev.failed-modify")
class KeepsWhatItRefused(_Handling):
    """QUERY gives the data of a MODIFY that failed."""

    wrong = MODIFY

    def handle(self, right: Callable[[bytes], bytes], kind: int, number: int, data: bytes) -> bytes:
        try:
            return right(data)
        except CommandRefused:
            if number in self._objects._stored.get(kind, ()):
                self._objects._stored[ResourceType(kind)][number] = data[16:]
            raise


@breaks("objects.dev.failed-modify")
class DestroysWhatItCannotModify(_Handling):
    """A rule that a MODIFY failed for is gone."""

    wrong = MODIFY

    def handle(self, right: Callable[[bytes], bytes], kind: int, number: int, data: bytes) -> bytes:
        try:
            return right(data)
        except CommandRefused:
            if kind == ResourceType.FF_RULE and number in self._objects._stored[kind]:
                self._objects.destroy(data)
            raise


@breaks("objects.dev.query-matches")
class RemembersTheFirst(_Handling):
    """QUERY gives the data of CREATE although a MODIFY followed."""

    wrong = MODIFY

    def handle(self, right: Callable[[bytes], bytes], kind: int, number: int, data: bytes) -> bytes:
        before = self._objects._stored.get(kind, {}).get(number)
        right(data)
        if before is not None:
            self._objects._stored[ResourceType(kind)][number] = before
        return b""


@breaks("objects.dev.query-matches")
class HidesKeys(_Handling):
    """QUERY of an SA gives zeros for the last 120 octets, in which there are keys."""

    wrong = QUERY

    def handle(self, right: Callable[[bytes], bytes], kind: int, number: int, data: bytes) -> bytes:
        result = right(data)
        return result if kind < ResourceType.IPSEC_OUTB_SA else result[:-120] + bytes(120)


@breaks("objects.dev.query-matches")
class MixesUpIds(_Handling):
    """QUERY gives the object with the greatest id."""

    wrong = QUERY

    def handle(self, right: Callable[[bytes], bytes], kind: int, number: int, data: bytes) -> bytes:
        right(data)
        return max(self._objects._stored[ResourceType(kind)].items())[1]


class _Keeping(Device):
    """Objects of the type ``kept`` are still there after a reset."""

    kept: ClassVar[ResourceType]

    def reset(self) -> None:
        stored = dict(self._objects._stored[self.kept])
        super().reset()
        self._objects._stored[self.kept].update(stored)


@breaks("objects.dev.reset")
class KeepsGroups(_Keeping):
    """Groups stay over a reset."""

    kept = ResourceType.FF_GROUP


@breaks("objects.dev.reset")
class KeepsInboundSas(_Keeping):
    """Inbound SAs stay over a reset."""

    kept = ResourceType.IPSEC_INB_SA


@breaks("objects.dev.reset")
class KeepsInboundSpis(Device):
    """The SPIs of inbound SAs stay taken over a reset."""

    def reset(self) -> None:
        by_spi = dict(self.inbound_by_spi)
        super().reset()
        self.inbound_by_spi.update(by_spi)
