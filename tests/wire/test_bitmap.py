"""Sets of numbers as arrays of u64: an independent count, and the bits of a known list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from virtionet_ipsec.wire.bitmap import bitmap_numbers, u64_bitmap


@given(numbers=st.sets(st.integers(0, 300)))
def test_there_and_back(numbers: set[int]) -> None:
    words = u64_bitmap(numbers)
    assert all(word < 1 << 64 for word in words)
    assert sum(word.bit_count() for word in words) == len(numbers)
    assert all(words[number // 64] & 1 << number % 64 for number in numbers)
    octets = b"".join(word.to_bytes(8, "little") for word in words)
    assert bitmap_numbers(octets) == numbers == bitmap_numbers(octets + bytes(99))


def test_more_than_16_bits_can_say_is_ignored() -> None:
    assert bitmap_numbers(bytes(8191) + b"\x80" + b"\xff" * 1_000_000) == {0xFFFF}


def test_capability_ids() -> None:
    """0x800 to 0x804 are the five lowest bits of entry 32."""
    assert u64_bitmap(range(0x800, 0x805)) == [0] * 32 + [0x1F]
