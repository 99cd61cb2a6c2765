"""The resource objects that exist: how many, and by what rules look for in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import ClassVar

from ...wire.enums import SA_TYPES, ResourceType

_Key = tuple[str, int, int]


def le32(data: bytes, at: int) -> int:
    """The le32 at octet ``at``; what is not there counts as zero (virtio 1.4, 2.13)."""
    return int.from_bytes(data[at : at + 4], "little")


def other(ids: Iterable[int], own_id: int) -> int | None:
    """One of ``ids`` that is not ``own_id``."""
    return next((each for each in ids if each != own_id), None)


class _Ids(AbstractSet[int]):
    """A set whose first few members can be had at once, however many there were: a set of Python's keeps the gaps."""

    __slots__ = ("_order", "_places")

    def __init__(self) -> None:
        self._order: list[int] = []
        self._places: dict[int, int] = {}

    def __contains__(self, each: object) -> bool:
        return each in self._places

    def __iter__(self) -> Iterator[int]:
        return iter(self._order)

    def __len__(self) -> int:
        return len(self._order)

    def add(self, each: int) -> None:
        if each not in self._places:
            self._places[each] = len(self._order)
            self._order.append(each)

    def discard(self, each: int) -> None:
        place = self._places.pop(each, None)
        if place is None:
            return
        last = self._order.pop()
        if last != each:
            self._order[place] = last
            self._places[last] = place


_NONE = _Ids()


class ObjectIndex:
    """Ids of flow filter rules by group, classifier and priority, of SAs by SPI and obj_id.

    ``counts`` is how many objects of each type there are.
    """

    # Offsets of fields in the objects' data.
    CLASSIFIER_ID: ClassVar[int] = 4
    RULE_PRIORITY: ClassVar[int] = 8
    OBJ_ID: ClassVar[int] = 4
    SPI: ClassVar[int] = 8

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self._ids: dict[_Key, _Ids] = {}

    def clear(self) -> None:
        """Forget all objects."""
        self.counts.clear()
        self._ids.clear()

    def add(self, kind: int, resource_id: int, data: bytes) -> None:
        """Take in an object that is not there."""
        self.counts[kind] += 1
        for key in self._keys(kind, data):
            self._ids.setdefault(key, _Ids()).add(resource_id)

    def remove(self, kind: int, resource_id: int, data: bytes) -> None:
        """Forget an object that was added with this ``data``."""
        self.counts[kind] -= 1
        for key in self._keys(kind, data):
            ids = self._ids[key]
            ids.discard(resource_id)
            if not ids:
                del self._ids[key]

    def _keys(self, kind: int, data: bytes) -> Iterator[_Key]:
        if kind == ResourceType.FF_RULE:
            group, priority = le32(data, 0), self.priority(data)
            yield "group", group, 0
            yield "classifier", le32(data, self.CLASSIFIER_ID), 0
            yield "priority", group, priority
        elif kind in SA_TYPES:
            yield "spi", kind, le32(data, self.SPI)
            yield "obj_id", kind, le32(data, self.OBJ_ID)

    def priority(self, rule: bytes) -> int:
        """``rule_priority`` of a rule object."""
        return int.from_bytes(rule[self.RULE_PRIORITY : self.RULE_PRIORITY + 1], "little")

    def rules_of_group(self, group: int) -> AbstractSet[int]:
        """Ids of the rules in a group."""
        return self._ids.get(("group", group, 0), _NONE)

    def rules_of_classifier(self, classifier: int) -> AbstractSet[int]:
        """Ids of the rules that use a classifier."""
        return self._ids.get(("classifier", classifier, 0), _NONE)

    def rules_with_priority(self, group: int, priority: int) -> AbstractSet[int]:
        """Ids of the rules in a group that have this rule_priority."""
        return self._ids.get(("priority", group, priority), _NONE)

    def sas_with_spi(self, kind: int, spi: int) -> AbstractSet[int]:
        """Ids of the SAs of this type that have this spi."""
        return self._ids.get(("spi", kind, spi), _NONE)

    def sas_with_obj_id(self, kind: int, obj_id: int) -> AbstractSet[int]:
        """Ids of the SAs of this type that have this obj_id."""
        return self._ids.get(("obj_id", kind, obj_id), _NONE)
