"""The resource objects that exist, by what rules look for in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import ClassVar

from ...wire.enums import ResourceType

_Key = tuple[str, int, int]
_NONE: frozenset[int] = frozenset()


def le32(data: bytes, at: int) -> int:
    """The le32 at octet ``at``; what is not there counts as zero (virtio 1.4, 2.13)."""
    return int.from_bytes(data[at : at + 4], "little")


def other(ids: Iterable[int], own_id: int) -> int | None:
    """One of ``ids`` that is not ``own_id``."""
    return next((each for each in ids if each != own_id), None)


class ObjectIndex:
    """Ids of flow filter rules by group, classifier and priority, of SAs by SPI and obj_id.

    ``types`` are the types of which an object was ever created since reset.
    """

    # Offsets of fields in the objects' data.
    CLASSIFIER_ID: ClassVar[int] = 4
    RULE_PRIORITY: ClassVar[int] = 8
    OBJ_ID: ClassVar[int] = 4
    SPI: ClassVar[int] = 8

    def __init__(self) -> None:
        self.types: set[int] = set()
        self._ids: dict[_Key, set[int]] = {}

    def clear(self) -> None:
        self.types.clear()
        self._ids.clear()

    def add(self, kind: int, resource_id: int, data: bytes) -> None:
        self.types.add(kind)
        for key in self._keys(kind, data):
            self._ids.setdefault(key, set()).add(resource_id)

    def remove(self, kind: int, resource_id: int, data: bytes) -> None:
        for key in self._keys(kind, data):
            ids = self._ids.get(key, set())
            ids.discard(resource_id)
            if not ids:
                self._ids.pop(key, None)

    def _keys(self, kind: int, data: bytes) -> Iterator[_Key]:
        if kind == ResourceType.FF_RULE:
            group, priority = le32(data, 0), self.priority(data)
            yield "group", group, 0
            yield "classifier", le32(data, self.CLASSIFIER_ID), 0
            yield "priority", group, priority
        elif kind in (ResourceType.IPSEC_INB_SA, ResourceType.IPSEC_OUTB_SA):
            yield "spi", kind, le32(data, self.SPI)
            yield "obj_id", kind, le32(data, self.OBJ_ID)

    def priority(self, rule: bytes) -> int:
        """``rule_priority`` of a rule object."""
        return int.from_bytes(rule[self.RULE_PRIORITY : self.RULE_PRIORITY + 1], "little")

    def rules_of_group(self, group: int) -> AbstractSet[int]:
        return self._ids.get(("group", group, 0), _NONE)

    def rules_of_classifier(self, classifier: int) -> AbstractSet[int]:
        return self._ids.get(("classifier", classifier, 0), _NONE)

    def rules_with_priority(self, group: int, priority: int) -> AbstractSet[int]:
        return self._ids.get(("priority", group, priority), _NONE)

    def sas_with_spi(self, kind: int, spi: int) -> AbstractSet[int]:
        return self._ids.get(("spi", kind, spi), _NONE)

    def sas_with_obj_id(self, kind: int, obj_id: int) -> AbstractSet[int]:
        return self._ids.get(("obj_id", kind, obj_id), _NONE)
