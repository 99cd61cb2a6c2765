"""Drivers that are wrong about capabilities (2.12.1.2)."""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar

from virtionet_ipsec.driver.errors import AdminError
from virtionet_ipsec.wire.capabilities import FfResourceCap, ipsec_sa_cap
from virtionet_ipsec.wire.codec import build, parse
from virtionet_ipsec.wire.enums import CapId, IpsecOption

from ..meddling import Through
from ..mutant import violates
from ..session import ReferenceDriver

_DISABLED = bytes(8)


@violates("caps.drv.set-first", "objects.drv.capability-first")
class LeavesOneOut(Through):
    """Creates SAs without having set IPSEC_SA_CAP."""

    def set_up_capabilities(self) -> None:
        for cap in CapId:
            data = self.admin.device_cap(cap)
            if cap is not CapId.IPSEC_SA_CAP:
                self.admin.set_driver_cap(cap, data)


class SetsMore(ReferenceDriver):
    """Sets more of a capability than the device has, and what it has after that."""

    cap: ClassVar[CapId]

    def more(self, data: bytes) -> bytes:
        """The capability of which this is the device's, with something added."""
        raise NotImplementedError

    def set_up_capabilities(self) -> None:
        with suppress(AdminError):
            self.admin.set_driver_cap(self.cap, self.more(self.admin.device_cap(self.cap)))
        super().set_up_capabilities()


@violates("caps.drv.limit-reported")
class MoreGroups(SetsMore):
    """Sets groups_limit to one more than the device has."""

    cap = CapId.FF_RESOURCE_CAP

    def more(self, data: bytes) -> bytes:
        fields = parse(FfResourceCap, data)
        return build(FfResourceCap, **{**fields, "groups_limit": fields.groups_limit + 1})


@violates("caps.drv.flags-reported")
class MoreOptions(SetsMore):
    """Sets option COPY_DSCP for every mode; transport modes do not have it."""

    cap = CapId.IPSEC_SA_CAP

    def more(self, data: bytes) -> bytes:
        modes = parse(ipsec_sa_cap(self.profile), data).cap_mode
        return build(
            ipsec_sa_cap(self.profile),
            cap_mode=[{**mode, "options": mode.options | IpsecOption.COPY_DSCP} for mode in modes],
        )


@violates("caps.drv.entries-reported")
class MoreActions(SetsMore):
    """Sets action 9 beside those that the device has."""

    cap = CapId.FF_ACTION_CAP

    def more(self, data: bytes) -> bytes:
        return bytes((data[0] + 1,)) + data[1:] + b"\x09"


class DisablesAtLast(ReferenceDriver):
    """Disables inline IPsec when its SAs are gone."""

    def clean_up(self) -> None:
        super().clean_up()
        self.disable()

    def disable(self) -> None:
        self.admin.set_driver_cap(CapId.IPSEC_RESOURCE_CAP, _DISABLED)


@violates("caps.drv.disable-busy")
class DisablesTooSoon(DisablesAtLast):
    """Disables inline IPsec while it has SAs."""

    right = DisablesAtLast

    def clean_up(self) -> None:
        with suppress(AdminError):
            self.disable()
        super().clean_up()
