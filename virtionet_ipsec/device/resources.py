"""Device resource objects: create, modify, query, destroy (virtio 1.4, 2.12.1.3 Device resource objects).

What holds for every type of object is here: ids, limits, dependencies, the
bytes that QUERY gives back.  What an object means is its table's business
(:mod:`.ff_objects`, :mod:`.sa_objects`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from ..wire.admin import ResourceObjCreateData, ResourceObjHdr
from ..wire.codec import parse
from ..wire.enums import ResourceType
from .refusal import busy, exists, invalid_field, invalid_opcode, no_space, no_such

_SPECIFIC_DATA = ResourceObjCreateData.sizeof()  # where resource_obj_specific_data begins


class ObjectTable(ABC):
    """The objects of one resource type.

    Methods that take ``data`` get ``resource_obj_specific_data`` as it came and
    raise :class:`CommandRefused` before anything has changed.
    """

    type: ClassVar[ResourceType]

    @abstractmethod
    def disabled(self) -> str:
        """Which capability of this type is disabled, in words; empty when all are enabled."""

    @abstractmethod
    def room(self) -> int:
        """How many objects there may be."""

    @abstractmethod
    def id_limit(self) -> int:
        """The ids are 0 to this minus 1."""

    @abstractmethod
    def create(self, resource_id: int, data: bytes) -> bytes:
        """Make the object; returns ``data`` at the length of its structure."""

    @abstractmethod
    def modify(self, resource_id: int, data: bytes) -> bytes:
        """Change the object, which exists; returns ``data`` at the length of its structure."""

    @abstractmethod
    def destroy(self, resource_id: int) -> None:
        """Remove the object, which exists and has no dependents."""

    @abstractmethod
    def reset(self) -> None:
        """Remove all objects."""

    def dependents(self, resource_id: int) -> int:
        """How many objects depend on this one."""
        return 0


def exactly(data: bytes, length: int) -> bytes:
    """``data`` cut or extended with zeros to ``length`` octets (virtio 1.4, 2.13)."""
    return data[:length].ljust(length, b"\0")


class ResourceObjects:
    """All resource objects of the device, and the four commands on them."""

    def __init__(self, tables: Iterable[ObjectTable]) -> None:
        self._tables: dict[int, ObjectTable] = {table.type: table for table in tables}
        self._stored: dict[int, dict[int, bytes]] = {kind: {} for kind in self._tables}

    def count(self, kind: ResourceType) -> int:
        """How many objects of this type exist."""
        return len(self._stored[kind])

    def stored(self) -> Iterable[tuple[int, int, bytes]]:
        """Type, id and bytes of every object, in order."""
        for kind, objects in sorted(self._stored.items()):
            for resource_id, data in sorted(objects.items()):
                yield kind, resource_id, data

    def reset(self) -> None:
        """Device reset destroys all objects."""
        for kind, table in self._tables.items():
            table.reset()
            self._stored[kind].clear()

    def create(self, data: bytes) -> bytes:
        """RESOURCE_OBJ_CREATE."""
        kind, resource_id, specific = _read(data)
        table = self._tables.get(kind)
        if table is None:
            raise invalid_field(f"resource type {kind:#06x} is none of this device's")
        _check_enabled(table)
        stored = self._stored[kind]
        if resource_id in stored:
            raise exists(f"{table.type.name} {resource_id} exists already")
        room, id_limit = table.room(), table.id_limit()
        if len(stored) >= room:
            raise no_space(f"{len(stored)} {table.type.name} objects exist, the driver's limit is {room}")
        if resource_id >= id_limit:
            raise invalid_field(f"{table.type.name} id {resource_id} is not below the driver's limit of {id_limit}")
        stored[resource_id] = table.create(resource_id, specific)
        return b""

    def modify(self, data: bytes) -> bytes:
        """RESOURCE_OBJ_MODIFY."""
        table, resource_id, specific = self._existing(data)
        self._check_free(table, resource_id)
        self._stored[table.type][resource_id] = table.modify(resource_id, specific)
        return b""

    def query(self, data: bytes) -> bytes:
        """RESOURCE_OBJ_QUERY: the bytes of the last CREATE or MODIFY."""
        table, resource_id, _ = self._existing(data)
        return self._stored[table.type][resource_id]

    def destroy(self, data: bytes) -> bytes:
        """RESOURCE_OBJ_DESTROY."""
        table, resource_id, _ = self._existing(data)
        self._check_free(table, resource_id)
        table.destroy(resource_id)
        del self._stored[table.type][resource_id]
        return b""

    def _existing(self, data: bytes) -> tuple[ObjectTable, int, bytes]:
        kind, resource_id, specific = _read(data)
        table = self._tables.get(kind)
        if table is None:
            raise no_such(f"resource type {kind:#06x} is none of this device's")
        _check_enabled(table)
        if resource_id not in self._stored[kind]:
            raise no_such(f"{table.type.name} {resource_id} does not exist")
        return table, resource_id, specific

    @staticmethod
    def _check_free(table: ObjectTable, resource_id: int) -> None:
        if dependents := table.dependents(resource_id):
            raise busy(f"{dependents} objects depend on {table.type.name} {resource_id}")


def _read(data: bytes) -> tuple[int, int, bytes]:
    """Type, id and ``resource_obj_specific_data``.  ``flags`` is reserved, and therefore not looked at."""
    header = parse(ResourceObjHdr, data)
    return header.type, header.id, data[_SPECIFIC_DATA:]


def _check_enabled(table: ObjectTable) -> None:
    if why := table.disabled():
        raise invalid_opcode(f"{table.type.name}: {why}")
