"""SA resource objects and the tables that packets are looked up in (virtio 1.4, 5.1.9.7 IPsec Operation)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from ..ipsec import InboundSa, OutboundSa, SaParams, rekeyed_field
from ..wire.codec import parse
from ..wire.enums import ResourceType
from ..wire.profile import Profile
from ..wire.sa import ipsec_sa
from .capabilities import Capabilities
from .refusal import invalid_field
from .resources import ObjectTable, exactly
from .sa_params import NO_EXTRAS, ModelExtras, sa_params

Sa = TypeVar("Sa", OutboundSa, InboundSa)
Extras = Mapping[tuple[ResourceType, int], ModelExtras]


class _SaObjects(ObjectTable, Generic[Sa]):
    """The SAs of one direction, by resource id.

    ``extras`` is read at CREATE and MODIFY: what no SA object carries, by type and id.
    """

    def __init__(self, capabilities: Capabilities, extras: Extras, profile: Profile) -> None:
        self.sas: dict[int, Sa] = {}
        self._capabilities = capabilities
        self._extras = extras
        self._profile = profile
        self._structure = ipsec_sa(profile)
        self._length = self._structure.sizeof()

    def disabled(self) -> str:
        return self._capabilities.ipsec_disabled()

    def room(self) -> int:
        # Ids end first: one that is not below the limit is EINVAL, never ENOSPC (5.9.9.9.4, D34).
        return 1 << 32

    def create(self, resource_id: int, data: bytes) -> bytes:
        self._add(resource_id, self._params(resource_id, data))
        return exactly(data, self._length)

    def modify(self, resource_id: int, data: bytes) -> bytes:
        sa, params = self.sas[resource_id], self._params(resource_id, data)
        if (field := rekeyed_field(sa.params, params)) is not None:
            raise invalid_field(f"{field} cannot change in a live SA: a rekey is a new object (D19)")
        sa.modify(params)
        return exactly(data, self._length)

    def destroy(self, resource_id: int) -> None:
        del self.sas[resource_id]

    def reset(self) -> None:
        self.sas.clear()

    def _params(self, resource_id: int, data: bytes) -> SaParams:
        fields = parse(self._structure, data)
        extras = self._extras.get((self.type, resource_id), NO_EXTRAS)
        return sa_params(self.type, fields, self._capabilities.ipsec_sa.driver, extras, self._profile)

    @abstractmethod
    def _add(self, resource_id: int, params: SaParams) -> None:
        """Make the SA and enter it into the tables."""


class OutboundSaObjects(_SaObjects[OutboundSa]):
    """IPSEC_OUTB_SA: found by the ``resource_id`` in virtio_net_hdr."""

    type = ResourceType.IPSEC_OUTB_SA

    def __init__(
        self, capabilities: Capabilities, extras: Extras, profile: Profile, make: Callable[[SaParams], OutboundSa]
    ) -> None:
        super().__init__(capabilities, extras, profile)
        self._make = make

    def id_limit(self) -> int:
        return self._capabilities.ipsec_resource.driver.outb_sa_limit

    def _add(self, resource_id: int, params: SaParams) -> None:
        self.sas[resource_id] = self._make(params)


class InboundSaObjects(_SaObjects[InboundSa]):
    """IPSEC_INB_SA: found by the SPI of a received packet, which therefore is unique (D12, D20)."""

    type = ResourceType.IPSEC_INB_SA

    def __init__(
        self, capabilities: Capabilities, extras: Extras, profile: Profile, make: Callable[[SaParams], InboundSa]
    ) -> None:
        super().__init__(capabilities, extras, profile)
        self._make = make
        self.by_spi: dict[int, tuple[int, InboundSa]] = {}

    def id_limit(self) -> int:
        return self._capabilities.ipsec_resource.driver.inb_sa_limit

    def _add(self, resource_id: int, params: SaParams) -> None:
        if params.spi in self.by_spi:
            holder, _ = self.by_spi[params.spi]
            raise invalid_field(f"spi {params.spi:#010x} is that of IPSEC_INB_SA {holder} already (D20)")
        sa = self._make(params)
        self.sas[resource_id] = sa
        self.by_spi[params.spi] = resource_id, sa

    def destroy(self, resource_id: int) -> None:
        del self.by_spi[self.sas[resource_id].params.spi]
        super().destroy(resource_id)

    def reset(self) -> None:
        self.by_spi.clear()
        super().reset()
