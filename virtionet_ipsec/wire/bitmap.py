"""Sets of small numbers as arrays of u64: LIST_QUERY, LIST_USE and CAP_ID_LIST_QUERY (virtio 1.4, 2.12.1)."""

from __future__ import annotations

from collections.abc import Iterable


def u64_bitmap(numbers: Iterable[int]) -> list[int]:
    """Bit n % 64 of entry n // 64 set for each number; as many entries as the largest needs."""
    bits = sum(1 << number for number in set(numbers))
    return [bits >> shift & 0xFFFFFFFFFFFFFFFF for shift in range(0, bits.bit_length(), 64)]


def bitmap_numbers(entries: Iterable[int]) -> frozenset[int]:
    """The numbers in an array of u64, the other way round."""
    return frozenset(64 * index + bit for index, word in enumerate(entries) for bit in range(64) if word >> bit & 1)
