"""Drivers that are wrong about resource objects (2.12.1.3)."""

from __future__ import annotations

from contextlib import suppress

from virtionet_ipsec.device import Limits
from virtionet_ipsec.driver.errors import AdminError
from virtionet_ipsec.ipsec import Direction
from virtionet_ipsec.wire.enums import CapId, ResourceType

from ..mutant import violates
from ..session import ReferenceDriver, sa


@violates("objects.drv.duplicate-id")
class CreatesTwice(ReferenceDriver):
    """Creates an SA with the id of another."""

    def make_sas(self) -> None:
        super().make_sas()
        with suppress(AdminError):
            self.create_sa(sa(Direction.OUTBOUND, spi=0x2000), self.outbound)


@violates("objects.drv.limit", limits=Limits(outb_sa=2))
class CreatesTooMany(ReferenceDriver):
    """Creates three outbound SAs where the limit is two."""

    def make_sas(self) -> None:
        super().make_sas()
        self.create_sa(sa(Direction.OUTBOUND, spi=0x2000), 0)
        with suppress(AdminError):
            self.create_sa(sa(Direction.OUTBOUND, spi=0x3000), 2)


@violates("objects.drv.modify-destroyed")
class ModifiesTheDestroyed(ReferenceDriver):
    """Modifies an SA that it has destroyed."""

    def clean_up(self) -> None:
        super().clean_up()
        with suppress(AdminError):
            self.modify_sa(sa(Direction.INBOUND), self.inbound)


@violates("objects.drv.query-destroyed")
class QueriesTheDestroyed(ReferenceDriver):
    """Queries an SA that it has destroyed."""

    def clean_up(self) -> None:
        super().clean_up()
        with suppress(AdminError):
            self.admin.query(ResourceType.IPSEC_INB_SA, self.inbound)


@violates("objects.drv.destroy-destroyed")
class DestroysTwice(ReferenceDriver):
    """Destroys an SA that it has destroyed."""

    def clean_up(self) -> None:
        super().clean_up()
        with suppress(AdminError):
            self.destroy_sa(Direction.INBOUND, self.inbound)


@violates("objects.drv.destroy-depended-on")
class DestroysTheGroup(ReferenceDriver):
    """Destroys a flow filter group that has rules."""

    def clean_up(self) -> None:
        with suppress(AdminError):
            self.admin.destroy(ResourceType.FF_GROUP, 1)
        super().clean_up()


@violates("objects.drv.capability-kept")
class SetsItAgain(ReferenceDriver):
    """Sets a capability of the flow filter again when there are rules."""

    def make_rules(self) -> None:
        super().make_rules()
        with suppress(AdminError):
            self.admin.set_driver_cap(CapId.FF_RESOURCE_CAP, self.admin.device_cap(CapId.FF_RESOURCE_CAP))
