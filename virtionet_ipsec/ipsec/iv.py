"""Where IVs come from (D10): a counter, or unpredictable octets.

Counter modes need an IV that is unique under the key (RFC 4106 3.1, RFC 3686
3.1, RFC 7634 2, RFC 4309 3.1, RFC 4543 3.1); CBC needs one that nobody can
predict (RFC 3602 3).
"""

from __future__ import annotations

from collections.abc import Callable

from .sa import SaParams

IvSource = Callable[[], bytes]


class CounterIv:
    """Eight octets, big-endian, one more each time.

    An SA never sends 2**64 packets, so that the counter may start anywhere and
    wrap without repeating.  It starts at random: an SA that is destroyed and
    created again with the same key would else use the same nonces again.
    """

    __slots__ = ("_next",)

    def __init__(self, first: bytes) -> None:
        self._next = int.from_bytes(first, "big")

    def __call__(self) -> bytes:
        iv = self._next
        self._next = (iv + 1) & 0xFFFFFFFFFFFFFFFF
        return iv.to_bytes(8, "big")


class RandomIv:
    """``length`` fresh octets each time; the first ones may be given."""

    __slots__ = ("_first", "_length", "_randbytes")

    def __init__(self, length: int, randbytes: Callable[[int], bytes], first: bytes | None) -> None:
        self._length = length
        self._randbytes = randbytes
        self._first = first

    def __call__(self) -> bytes:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return self._randbytes(self._length)


def make_iv_source(params: SaParams, randbytes: Callable[[int], bytes]) -> IvSource:
    """The IV source of an outbound SA; an SA without IVs gets one of empty octets."""
    algorithm = params.nonce_algorithm
    length = params.iv_length
    if algorithm is None or length == 0:
        return bytes
    if algorithm.salt_length:  # the counter modes: salt and IV make the nonce
        return CounterIv(params.iv if params.iv is not None else randbytes(length))
    return RandomIv(length, randbytes, params.iv)
