"""What an SA file says, whatever its format: a list of :class:`SaEntry`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from ..input_error import InputError
from ..ipsec.sa import Direction, SaParams

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_ID = 0xFFFFFFFF  # virtio 1.4, 2.12.1.3 Device resource objects: a resource object's id is a le32


class SaFileError(InputError):
    """An SA file that cannot be used.

    No part of it is key material, nor any other text of the file that could be.
    """


@dataclass(frozen=True, slots=True)
class Select:
    """Which packets go through an outbound SA, or may come out of an inbound one; None matches anything.

    ``src`` and ``dst`` are of one family.  ``proto`` is an IP protocol number;
    ports, host order, are those of a protocol that has some.
    """

    src: Network | None = None
    dst: Network | None = None
    proto: int | None = None
    sport: int | None = None
    dport: int | None = None


@dataclass(frozen=True, slots=True)
class SaEntry:
    """One SA as a file gives it.

    ``id`` is the resource object's, unique among the SAs of its direction;
    ``select`` of an inbound SA says what may come out of it, with the addresses
    as they come; ``origin`` is where it was read, ``FILE:LINE``, for messages.
    ``hosts`` are the source and destination of a transport mode SA where the
    format has them, which TOML has not: they say
    nothing about how the SA works, and do not count when entries are compared.
    """

    id: int
    params: SaParams
    select: Select | None = None
    origin: str = "-"
    hosts: tuple[Address, Address] | None = field(default=None, compare=False)

    @property
    def ends(self) -> tuple[Address, Address] | None:
        """Source and destination: of the tunnel, the two hosts, or those between which packets are selected."""
        tunnel, select = self.params.tunnel, self.select
        if tunnel is not None:
            return ip_address(tunnel.src), ip_address(tunnel.dst)
        if self.hosts is not None:
            return self.hosts
        if select is None or select.src is None or select.dst is None:
            return None
        if select.src.prefixlen < select.src.max_prefixlen or select.dst.prefixlen < select.dst.max_prefixlen:
            return None
        return select.src.network_address, select.dst.network_address


def check_unique(entries: Iterable[SaEntry]) -> None:
    """Raise SaFileError for two SAs of one direction with one id, or two inbound SAs with one SPI.

    Resource object ids are unique per type (virtio 1.4, 2.12.1.3 Device resource objects), and each
    direction is a type; an inbound SA is found by its SPI alone (D20).
    """
    ids: dict[tuple[Direction, int], str] = {}
    spis: dict[int, str] = {}
    for entry in entries:
        direction, spi = entry.params.direction, entry.params.spi
        if (direction, entry.id) in ids:
            raise SaFileError(
                f"{entry.origin} id",
                f"{direction.value} SA {entry.id} is given already at {ids[direction, entry.id]}",
                "give each SA of a direction an id of its own",
            )
        ids[direction, entry.id] = entry.origin
        if direction is Direction.INBOUND:
            if spi in spis:
                raise SaFileError(
                    f"{entry.origin} spi",
                    f"inbound SPI {spi:#010x} is given already at {spis[spi]}",
                    "keep one of the two: an inbound SA is found by its SPI alone",
                )
            spis[spi] = entry.origin
