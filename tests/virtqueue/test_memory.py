"""Driver memory by guest address, against one flat array of octets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtionet_ipsec.virtqueue.memory import Memory, OutsideMemory, items

# Three regions, two of them adjoining, given in another order: 100-149, 150-199, 300-309.
FLAT = bytes(index & 0xFF for index in range(400))


def memory() -> Memory:
    spans = ((300, 310), (100, 150), (150, 200))
    return Memory((start, memoryview(bytearray(FLAT[start:end]))) for start, end in spans)


def mapped(address: int, length: int) -> bool:
    return all(100 <= at < 200 or 300 <= at < 310 for at in range(address, address + length))


@given(address=st.integers(90, 320), length=st.integers(0, 120))
def test_read(address: int, length: int) -> None:
    if mapped(address, length):
        assert memory().read(address, length) == FLAT[address : address + length]
    else:
        with pytest.raises(OutsideMemory):
            memory().read(address, length)


@given(address=st.integers(90, 320), length=st.integers(0, 120))
def test_write(address: int, length: int) -> None:
    """All of it or nothing."""
    made = memory()
    data = bytes(255 - index for index in range(length))
    expected = bytearray(FLAT)
    if mapped(address, length):
        expected[address : address + length] = data
        made.write(address, data)
    else:
        with pytest.raises(OutsideMemory):
            made.write(address, data)
    assert made.read(100, 100) == expected[100:200]
    assert made.read(300, 10) == expected[300:310]


@given(address=st.integers(90, 320), length=st.integers(1, 60))
def test_view(address: int, length: int) -> None:
    """It is the memory itself, and of one region."""
    made = memory()
    if mapped(address, length) and not address < 150 < address + length:
        view = made.view(address, length)
        view[0] = 77
        assert (made.read(address, 1), len(view)) == (b"\x4d", length)
    else:
        with pytest.raises(OutsideMemory):
            made.view(address, length)


@pytest.mark.parametrize(
    ("address", "length"), [(2**64 - 1, 2), (2**64, 1), (-1, 2), (199, 2**64), (0, 2**64), (150, -1)]
)
def test_addresses_at_the_ends(address: int, length: int) -> None:
    with pytest.raises(OutsideMemory):
        memory().view(address, length)
    if length >= 0:
        with pytest.raises(OutsideMemory):
            memory().read(address, length)


def test_last_octet_of_the_address_space() -> None:
    top = Memory([(2**64 - 4, memoryview(bytearray(b"wxyz")))])
    assert top.read(2**64 - 2, 2) == b"yz"
    with pytest.raises(OutsideMemory):
        top.read(2**64 - 2, 3)


@pytest.mark.parametrize(
    ("regions", "why"),
    [
        ([(0, 10), (9, 10)], "overlap"),
        ([(5, 1), (0, 100)], "overlap"),
        ([(2**64 - 4, 5)], "64-bit"),
        ([(-1, 5)], "64-bit"),
    ],
)
def test_regions_that_cannot_be(regions: list[tuple[int, int]], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Memory((address, memoryview(bytearray(length))) for address, length in regions)


def test_no_regions() -> None:
    assert Memory([]).read(5, 0) == b""
    with pytest.raises(OutsideMemory):
        Memory([(5, memoryview(b""))]).read(5, 1)


def test_items() -> None:
    """Little-endian, shared, and without the rest at the end."""
    octets = bytearray(range(11))
    assert items(memoryview(octets), "H").tolist() == [0x0100, 0x0302, 0x0504, 0x0706, 0x0908]
    assert items(memoryview(octets), "Q").tolist() == [0x0706050403020100]
    items(memoryview(octets), "I")[1] = 0xAABBCCDD
    assert octets[4:8] == b"\xdd\xcc\xbb\xaa"
