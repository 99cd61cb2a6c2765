"""The field types that the structures are declared with.

Integers are little-endian and nothing is padded (virtio 1.4, 1.4 Structure
Specifications).  Zero is the default of every field, as it is for what a driver
or device leaves unused, so that build needs to be told only what differs.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from construct import Array, Bytes, Default, ExprAdapter, GreedyBytes, Int8ul, Int16ul, Int32ul, Int64ul

u8 = Default(Int8ul, 0)
le16 = Default(Int16ul, 0)
le32 = Default(Int32ul, 0)
le64 = Default(Int64ul, 0)


def octets(length: int) -> Any:
    """``u8 x[length]``: a bytes object."""
    return Default(Bytes(length), bytes(length))


def room(length: int, kind: type[bytes] = bytes) -> Any:
    """``u8 x[length]`` of which a part may be in use: build puts zeros after a shorter bytes object.

    No error message shows what was given.  ``kind`` is what parse gives.
    """

    def encode(value: Any, _: Any) -> bytes:
        if not isinstance(value, bytes):
            raise TypeError(f"a field of {length} octets is given as bytes, not as {type(value).__name__}")
        if len(value) > length:
            raise ValueError(f"{len(value)} octets do not fit a field of {length}")
        return value.ljust(length, b"\0")

    return Default(ExprAdapter(Bytes(length), lambda value, _: kind(value), encode), b"")


def length_of(array: str) -> Any:
    """A u8 that counts the later field ``array``; when it is not given, build counts."""
    return Default(Int8ul, lambda context: len(context.get(array) or ()))


def counted_octets(length: str) -> Any:
    """``u8 x[length]``, where ``length`` is an earlier field: a bytes object, zeros when only the length is given."""
    return Default(Bytes(lambda context: context[length]), lambda context: bytes(context[length]))


def counted(count: str | Callable[[Any], int], entry: Any) -> Any:
    """``entry x[count]``, where ``count`` is an earlier field, or worked out from earlier ones: a list."""
    number = count if callable(count) else lambda context: context[count]
    return Default(Array(number, entry), [])


class SecretBytes(bytes):
    """Octets that show themselves in no repr; a slice of them does not either."""

    def __getitem__(self, index: Any) -> Any:
        value = super().__getitem__(index)
        return SecretBytes(value) if isinstance(index, slice) else value

    def __repr__(self) -> str:
        return f"<{len(self)} octets>"

    __str__ = __repr__


class SecretInt(int):
    """A number that shows itself in no repr."""

    def __repr__(self) -> str:
        return "<number>"

    __str__ = __repr__


secret_le32 = Default(ExprAdapter(Int32ul, lambda value, _: SecretInt(value), lambda value, _: value), 0)
"""``le32`` that no repr shows."""


def _unpack_le64s(data: bytes, _: Any) -> list[int]:
    whole = data + bytes(-len(data) % 8)
    return list(struct.unpack(f"<{len(whole) // 8}Q", whole))


def _pack_le64s(values: list[int], _: Any) -> bytes:
    return struct.pack(f"<{len(values)}Q", *values)


le64s = Default(ExprAdapter(GreedyBytes, _unpack_le64s, _pack_le64s), [])
"""``le64 x[]``: all that is left, as a list of ints; a last entry that is cut short reads as if zeros followed."""
