"""The Toeplitz hash (virtio 1.4, 5.1.9.4.3; Microsoft's "RSS hashing functions").

For every bit that is set in the input, the 32 bits of the key from the same
place on are added, modulo 2.  So the octets of the input can be looked up one by
one in a table that is made once for a key.
"""

from __future__ import annotations

_MOST_INPUT = 36  # two IPv6 addresses and two ports


class Toeplitz:
    """The hash with ``key``; a key that is shorter than the input needs goes on with zeros (D126)."""

    __slots__ = ("_rows",)

    def __init__(self, key: bytes) -> None:
        bits = int.from_bytes(key[: _MOST_INPUT + 4].ljust(_MOST_INPUT + 4, b"\0"), "big")
        self._rows = [_row(bits >> 8 * (_MOST_INPUT - 1 - place) & 0xFFFFFFFFFF) for place in range(_MOST_INPUT)]

    def __call__(self, data: bytes) -> int:
        """The hash of ``data``, up to 36 octets: 32 bits."""
        value = 0
        for row, octet in zip(self._rows, data, strict=False):
            value ^= row[octet]
        return value


def _row(key: int) -> list[int]:
    """What each octet adds, where ``key`` are the 40 bits of the key from that octet on."""
    row = [0]
    for bit in range(8):
        window = key >> bit + 1 & 0xFFFFFFFF  # bit 0 of an octet comes last
        row += [value ^ window for value in row]
    return row
