"""Creating the SAs of files through a driver, with refusals as people read them."""

from __future__ import annotations

from collections.abc import Iterable

from ..driver.driver import Driver
from ..driver.errors import AdminError, CannotExpress, DriverError
from ..ipsec import Direction
from ..safile import SaEntry, SaFileError
from ..wire.profile import Profile

NAT_T_PORT = 4500  # RFC 3948 and RFC 7296 2.23: where UDP-encapsulated ESP goes by default

# How to mend what an SA object cannot carry, by field.
_MENDS = {
    "options": "use --profile virtio-1.4, or leave it out of a TOML file ('virtionet-ipsec sa convert' makes one)"
}


def create(driver: Driver, entry: SaEntry) -> None:
    """Create the SA of ``entry``.  Raises :class:`SaFileError` for one that the device does not take."""
    try:
        driver.create_sa(entry.params, entry.id)
    except (CannotExpress, AdminError) as error:
        raise refusal(entry, driver.profile, error) from None


def refusal(entry: SaEntry, profile: Profile, error: DriverError) -> SaFileError:
    """What to tell a person whose SA the driver could not create."""
    if isinstance(error, CannotExpress):
        return SaFileError(
            f"{entry.origin} {error.field}",
            f"no {profile.value} SA object can carry this: {error.message}",
            _MENDS.get(error.field, "leave this SA out, or choose an algorithm that the object can carry"),
        )
    why = error.why if isinstance(error, AdminError) else ""
    return SaFileError(entry.origin, f"the device refuses this SA: {why or error}", "change what it names")


def udp_ports(entries: Iterable[SaEntry]) -> frozenset[int]:
    """The UDP destination ports to steer into IPsec processing: NAT-T's, and those of the inbound SAs."""
    inbound = (entry.params for entry in entries if entry.params.direction is Direction.INBOUND)
    return frozenset({NAT_T_PORT} | {params.udp.dport for params in inbound if params.udp})
