"""Sets of small numbers as arrays of u64: LIST_QUERY, LIST_USE and CAP_ID_LIST_QUERY (virtio 1.4, 2.12.1)."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST = 0x10000 // 8  # octets: opcodes and capability ids are le16


def u64_bitmap(numbers: Iterable[int]) -> list[int]:
    """Bit n % 64 of entry n // 64 set for each number; as many entries as the largest needs."""
    bits = sum(1 << number for number in set(numbers))
    return [bits >> shift & 0xFFFFFFFFFFFFFFFF for shift in range(0, bits.bit_length(), 64)]


def bitmap_numbers(octets: bytes) -> frozenset[int]:
    """The numbers in such an array, given as its octets; what is beyond the largest le16 is ignored."""
    return frozenset(
        8 * index + bit
        for index, octet in enumerate(octets[:_LONGEST])
        if octet
        for bit in range(8)
        if octet >> bit & 1
    )
