"""Devices that are wrong about capabilities; those that take any group type are in ``admin.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.capabilities import CapabilityCommands
from virtionet_ipsec.device.refusal import invalid_field
from virtionet_ipsec.wire.bitmap import u64_bitmap
from virtionet_ipsec.wire.enums import AdminStatus, CapId, Opcode
from virtionet_ipsec.wire.profile import Profile

from ..mutant import breaks
from ..wrapping import altering_answers_to, replace_handler


class _LacksCommand(Device):
    """``lacking`` is not supported."""

    lacking: ClassVar[Opcode]

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        del self._admin._handlers[self.lacking]
        self._admin._supported = u64_bitmap(self._admin._handlers)


@breaks("caps.dev.supports-id-list-query")
class LacksIdListQuery(_LacksCommand):
    """CAP_ID_LIST_QUERY is not supported, the other commands on capabilities are."""

    lacking = Opcode.CAP_ID_LIST_QUERY


@breaks("caps.dev.supports-device-get")
class LacksDeviceGet(_LacksCommand):
    """DEVICE_CAP_GET is not supported, the other commands on capabilities are."""

    lacking = Opcode.DEVICE_CAP_GET


@breaks("caps.dev.supports-driver-set")
class LacksDriverSet(_LacksCommand):
    """DRIVER_CAP_SET is not supported, the other commands on capabilities are."""

    lacking = Opcode.DRIVER_CAP_SET


@breaks("caps.dev.supports-device-get")
class ReportsWhatItCannotGive(Device):
    """DEVICE_CAP_GET of a capability that CAP_ID_LIST_QUERY reports gets ENXIO."""

    def _execute(self, readable: bytes) -> bytes:
        written = super()._execute(readable)
        if readable[:2] == bytes((Opcode.CAP_ID_LIST_QUERY, 0)) and len(written) > 8:
            return written[:8] + bytes((written[8] | 1,)) + written[9:]  # VIRTIO_DEV_PARTS_CAP
        return written


class _PickySetting(Device):
    """DRIVER_CAP_SET is refused unless ``takes`` says so."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        replace_handler(self, Opcode.DRIVER_CAP_SET, self._set)

    def _set(self, right: Callable[[bytes], bytes], data: bytes) -> bytes:
        cap, wanted = int.from_bytes(data[:2], "little"), data[8:]
        if cap in self._capabilities.reported() and not self.takes(cap, wanted):
            raise invalid_field("too picky")
        return right(data)

    def takes(self, cap: int, wanted: bytes) -> bool:
        raise NotImplementedError


@breaks("caps.dev.set-limit")
class TakesItsOwnLimitsAlone(_PickySetting):
    """Limits smaller than the device's are refused."""

    def takes(self, cap: int, wanted: bytes) -> bool:
        device = self._capabilities.reported()[cap].device_data()
        return cap not in (CapId.FF_RESOURCE_CAP, CapId.IPSEC_RESOURCE_CAP) or wanted.startswith(device)


@breaks("caps.dev.set-limit")
class TakesNoLimitOfZero(_PickySetting):
    """A limit of no inbound SAs is refused."""

    def takes(self, cap: int, wanted: bytes) -> bool:
        return cap != CapId.IPSEC_RESOURCE_CAP or any(wanted[:4])


@breaks("caps.dev.set-limit")
class LimitsOnlyShrink(Device):
    """A limit of outbound SAs larger than the one that the driver set before is refused."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        replace_handler(self, Opcode.DRIVER_CAP_SET, self._set)

    def _set(self, right: Callable[[bytes], bytes], data: bytes) -> bytes:
        resource = self._capabilities.ipsec_resource
        before = resource.driver
        right(data)
        if 0 < before.outb_sa_limit < resource.driver.outb_sa_limit:
            resource.driver = before
            raise invalid_field("more than before")
        return b""


@breaks("caps.dev.set-flags")
class TakesItsOwnFlagsAlone(_PickySetting):
    """Fewer options than the device has are refused."""

    def takes(self, cap: int, wanted: bytes) -> bool:
        return cap != CapId.IPSEC_SA_CAP or wanted.startswith(self._capabilities.ipsec_sa.device_data())


@breaks("caps.dev.set-flags")
class WantsPartialMasks(_PickySetting):
    """A selector without PARTIAL_MASK is refused."""

    def takes(self, cap: int, wanted: bytes) -> bool:
        return cap != CapId.FF_SELECTOR_CAP or wanted[9:10] != b"\0"


class _Beyond(Device):
    """What is beyond the device's capability is refused with ``status``."""

    status: ClassVar[AdminStatus]

    def _refuse(self, status: int, qualifier: int) -> tuple[int, int]:
        return (self.status if status == AdminStatus.EINVAL else status), qualifier

    def _execute(self, readable: bytes) -> bytes:
        return altering_answers_to(Opcode.DRIVER_CAP_SET, self._refuse)(self, readable)


@breaks("caps.dev.set-beyond-device")
@breaks("caps.dev.set-beyond-device", profile=Profile.RFC_V1)
class NoSpaceBeyond(_Beyond):
    """A limit above the device's, or a flag that the device does not have, is refused with ENOSPC."""

    status = AdminStatus.ENOSPC


@breaks("caps.dev.set-beyond-device")
class NoSuchBeyond(_Beyond):
    """A limit above the device's, or a flag that the device does not have, is refused with ENXIO."""

    status = AdminStatus.ENXIO


@breaks("caps.dev.disable-busy")
class DisablesAtAnyTime(Device):
    """DRIVER_CAP_SET takes zeros while objects exist."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self._admin._handlers[Opcode.DRIVER_CAP_SET] = CapabilityCommands(self._capabilities, lambda _: 0).driver_set


@breaks("caps.dev.disable-busy")
class CountsOutboundSas(Device):
    """Of SAs the outbound ones alone keep a capability from being disabled."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        commands = CapabilityCommands(self._capabilities, lambda kind: kind != 0x204 and self._objects.count(kind))
        self._admin._handlers[Opcode.DRIVER_CAP_SET] = commands.driver_set


@breaks("caps.dev.set-limit")
class BusyWithAnyObject(Device):
    """Any object keeps every capability from being set."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        types = tuple(self._objects._tables)
        commands = CapabilityCommands(self._capabilities, lambda _: sum(map(self._objects.count, types)))
        self._admin._handlers[Opcode.DRIVER_CAP_SET] = commands.driver_set


def _einval(status: int, qualifier: int) -> tuple[int, int]:
    """EINVAL instead of ENXIO."""
    return (AdminStatus.EINVAL if status == AdminStatus.ENXIO else status), qualifier


@breaks("caps.dev.get-unknown-id")
class GetsWithEINVAL(Device):
    """DEVICE_CAP_GET of a capability that is not reported gets EINVAL."""

    _execute = altering_answers_to(Opcode.DEVICE_CAP_GET, _einval)


@breaks("caps.dev.set-unknown-id")
class SetsWithEINVAL(Device):
    """DRIVER_CAP_SET of a capability that is not reported gets EINVAL."""

    _execute = altering_answers_to(Opcode.DRIVER_CAP_SET, _einval)


@breaks("caps.dev.reset")
class KeepsCapabilities(Device):
    """The driver's capabilities stay over a reset."""

    def reset(self) -> None:
        capabilities = self._capabilities._flow_filter + self._capabilities._inline_ipsec
        kept = [capability.driver for capability in capabilities]
        super().reset()
        for capability, driver in zip(capabilities, kept, strict=True):
            capability.driver = driver


@breaks("caps.dev.reset")
class KeepsIpsecCapabilities(Device):
    """The driver's IPsec capabilities stay over a reset."""

    def reset(self) -> None:
        capabilities = self._capabilities._inline_ipsec
        kept = [capability.driver for capability in capabilities]
        super().reset()
        for capability, driver in zip(capabilities, kept, strict=True):
            capability.driver = driver


@breaks("caps.dev.unset-limit")
class LimitsNothing(Device):
    """Limits that the driver did not set are the device's."""

    def reset(self) -> None:
        super().reset()
        for capability in (self._capabilities.ff_resource, self._capabilities.ipsec_resource):
            capability.driver = capability._device


@breaks("caps.dev.unset-limit")
class LimitsNoSas(Device):
    """The limit of SAs is the device's until the driver has set it."""

    def reset(self) -> None:
        super().reset()
        self._capabilities.ipsec_resource.driver = self._capabilities.ipsec_resource._device
