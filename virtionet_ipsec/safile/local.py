"""Which direction an SA has, by the addresses of the host that the file is from."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ..ipsec.sa import Direction
from .model import Address, SaFileError


class Local:
    """The host's own addresses, and which of them an SA begins or ends at."""

    def __init__(self, addresses: Iterable[Address] = ()) -> None:
        self._addresses = tuple(addresses)
        self._seen: set[Address] = set()

    def directions(
        self, src: Address | None, dst: Address | None, asked: Collection[Direction], untold: Collection[Direction]
    ) -> Collection[Direction]:
        """Those of ``asked`` that an SA from ``src`` to ``dst`` has; ``untold`` if neither is local.

        None is an address that is not known.  An SA from one local address to
        another has both directions.
        """
        told = set()
        for direction, end in ((Direction.INBOUND, dst), (Direction.OUTBOUND, src)):
            if end in self._addresses and end is not None:
                told.add(direction)
                self._seen.add(end)
        return [direction for direction in asked if direction in told] if told else untold

    def check(self, name: str) -> None:
        """Raise SaFileError if no SA of the file ``name`` begins or ends at one of the addresses."""
        for address in self._addresses:
            if address not in self._seen:
                raise SaFileError(name, f"no SA begins or ends at {address}", "give an address that the file has")
