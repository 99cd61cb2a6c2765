"""All capabilities of the device, and the three commands on them.

virtio 1.4, 2.12.1.2 Device and driver capabilities; 5.1.6 for the network device's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..wire.admin import CapGetData, CapSetData, QueryCapIdResult
from ..wire.bitmap import u64_bitmap
from ..wire.capabilities import FfResourceCap, IpsecResourceCap
from ..wire.codec import build, parse
from ..wire.enums import FF_TYPES, SA_TYPES, CapId, ResourceType
from ..wire.profile import Profile
from .capability import Capability, LimitsCapability
from .ff_capabilities import FfActionCapability, FfSelectorCapability
from .limits import Limits
from .refusal import busy, no_such
from .sa_capabilities import IpsecSaCapability


class Capabilities:
    """What the device reports and what the driver set, by capability.

    ``ipsec()`` tells whether VIRTIO_NET_F_IPSEC is negotiated: without it the
    device has no IPsec capabilities, and the flow filter no IPsec actions.
    """

    def __init__(self, limits: Limits, profile: Profile, ipsec: Callable[[], bool]) -> None:
        self._ipsec = ipsec
        self.ff_resource = LimitsCapability(CapId.FF_RESOURCE_CAP, FfResourceCap, limits.ff_resource)
        self.ff_selector = FfSelectorCapability(limits.selector_caps)
        self.ff_action = FfActionCapability(limits.actions, ipsec)
        self.ipsec_resource = LimitsCapability(CapId.IPSEC_RESOURCE_CAP, IpsecResourceCap, limits.ipsec_resource)
        self.ipsec_sa = IpsecSaCapability(limits.sa_mode_caps, profile)
        self._flow_filter: tuple[Capability[Any], ...] = (self.ff_resource, self.ff_selector, self.ff_action)
        self._inline_ipsec: tuple[Capability[Any], ...] = (self.ipsec_resource, self.ipsec_sa)

    def reported(self) -> dict[int, Capability[Any]]:
        """The capabilities of CAP_ID_LIST_QUERY, by id."""
        capabilities = self._flow_filter + self._inline_ipsec if self._ipsec() else self._flow_filter
        return {capability.id: capability for capability in capabilities}

    def flow_filter_disabled(self) -> str:
        """Which capability keeps the flow filter's objects from use, in words; empty for none."""
        return _disabled(self._flow_filter)

    def ipsec_disabled(self) -> str:
        """Which capability keeps SAs from use, in words; empty for none."""
        return _disabled(self._inline_ipsec)

    def driver_values(self) -> tuple[object, ...]:
        """All that the driver set."""
        return tuple(capability.driver for capability in self._flow_filter + self._inline_ipsec)

    def related_types(self, capability: Capability[Any]) -> tuple[ResourceType, ...]:
        """The types of objects that depend on a capability."""
        return FF_TYPES if capability in self._flow_filter else SA_TYPES

    def reset(self) -> None:
        """Device reset: the driver has set nothing."""
        for capability in self._flow_filter + self._inline_ipsec:
            capability.reset()


def _disabled(capabilities: tuple[Capability[Any], ...]) -> str:
    names = [capability.id.name for capability in capabilities if capability.disabled]
    return f"the driver has not enabled {', '.join(names)}" if names else ""


class CapabilityCommands:
    """CAP_ID_LIST_QUERY, DEVICE_CAP_GET and DRIVER_CAP_SET.  ``count`` tells how many objects of a type exist."""

    def __init__(self, capabilities: Capabilities, count: Callable[[ResourceType], int]) -> None:
        self._capabilities = capabilities
        self._count = count

    def id_list_query(self, _: bytes) -> bytes:
        """CAP_ID_LIST_QUERY: an array of u64 with a bit for each capability."""
        return build(QueryCapIdResult, supported_caps=u64_bitmap(self._capabilities.reported()))

    def device_get(self, data: bytes) -> bytes:
        """DEVICE_CAP_GET: the device's capability, whole."""
        return self._find(parse(CapGetData, data).id).device_data()

    def driver_set(self, data: bytes) -> bytes:
        """DRIVER_CAP_SET; nothing changes unless all of it is within what the device reports."""
        capability = self._find(parse(CapSetData, data).id)
        for kind in self._capabilities.related_types(capability):
            if existing := self._count(kind):
                raise busy(f"{capability.id.name} cannot be set while {existing} {kind.name} objects exist")
        capability.driver = capability.check(data[CapSetData.sizeof() :])
        return b""

    def _find(self, cap_id: int) -> Capability[Any]:
        capability = self._capabilities.reported().get(cap_id)
        if capability is None:
            raise no_such(f"capability {cap_id:#06x} is not among those that CAP_ID_LIST_QUERY reports")
        return capability
