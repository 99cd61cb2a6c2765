"""Where a driver puts its indirect tables (virtio 1.4, 2.7.5.3 and 2.8.7)."""

from __future__ import annotations

from collections.abc import Iterable

from ..wire.enums import Feature
from .descriptors import DESCRIPTOR


class IndirectTables:
    """``memory``, (guest address, octets), in equal shares for each of ``size`` descriptors; None for no tables."""

    def __init__(self, size: int, features: int, memory: tuple[int, memoryview] | None) -> None:
        self._negotiated = bool(features >> Feature.INDIRECT_DESC & 1)
        self._address, self._octets = memory if memory is not None else (0, memoryview(b""))
        self._share = min(size, len(self._octets) // (DESCRIPTOR.size * size)) * DESCRIPTOR.size

    def write(self, index: int, descriptors: Iterable[tuple[int, int, int, int]]) -> tuple[int, int]:
        """Writes the table for the descriptor or buffer ``index``; gives its guest address and its length in octets.

        ValueError when INDIRECT_DESC was not negotiated, or the table is longer than its share or than the queue.
        """
        if not self._negotiated:
            raise ValueError("INDIRECT_DESC was not negotiated")
        table = b"".join(DESCRIPTOR.pack(*descriptor) for descriptor in descriptors)
        if len(table) > self._share:
            raise ValueError(f"an indirect table of {len(table)} octets does not fit into {self._share}")
        at = self._share * index
        self._octets[at : at + len(table)] = table
        return self._address + at, len(table)
