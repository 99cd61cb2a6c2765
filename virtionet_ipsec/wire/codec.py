"""Reading and writing the structures of this package.

:func:`parse` follows virtio 1.4, 2.13 Administration Virtqueues: missing fields
read as zero, data beyond the structure is ignored.  The other side is not
trusted: no bytes make it raise, and its work is bounded, because every count in
the structures is a u8 and an open array ends where the data ends.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from typing import Any

from construct import Array, Construct, ConstructError, Container, Struct, Subconstruct


class _ZeroExtended(io.BytesIO):
    """A stream with zeros without end after its bytes; only a read of all that is left ends with the bytes."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if size is None or size < 0:
            return data
        return data.ljust(size, b"\0")


def parse(structure: Construct, data: bytes | bytearray | memoryview) -> Container:
    """The fields of ``structure`` at the beginning of ``data``, under the specification's names.

    Integers are ints, arrays of octets bytes, other arrays lists, and nested
    structures containers.  Missing octets read as zero and octets beyond the
    structure are ignored, so any ``data`` can be parsed.
    """
    return structure.parse_stream(_ZeroExtended(data))


def build(structure: Construct, **fields: Any) -> bytes:
    """The octets of ``structure`` with these fields; what is not given is zero, in nested structures too.

    A nested structure is given as a mapping, an array as a list.  A u8 count or
    length in front of an array need not be given: it is then that of the array.

    Raises TypeError for a field that the structure does not have or a value of
    the wrong kind, and ValueError for one that does not fit its field or count.
    """
    _check_names(structure, fields)
    try:
        built: bytes = structure.build(fields)
    except (ConstructError, struct.error) as error:
        raise ValueError(str(error).replace("\n", ": ")) from None
    return built


def _check_names(structure: Any, value: Any) -> None:
    """Refuse unknown names: construct ignores them, so that a misspelt field would silently be zero."""
    while isinstance(structure, Subconstruct) and not isinstance(structure, Array):
        structure = structure.subcon
    if isinstance(structure, Array):
        for entry in value:
            _check_names(structure.subcon, entry)
    elif isinstance(structure, Struct):
        if not isinstance(value, Mapping):
            raise TypeError(f"a nested structure is given as a mapping, not as {type(value).__name__}")
        known = {subcon.name: subcon for subcon in structure.subcons}
        for name, inner in value.items():
            if name in known:
                _check_names(known[name], inner)
            elif not name.startswith("_"):  # construct's own, in what parse() returned
                raise TypeError(f"there is no field {name!r}, only {', '.join(known)}")
