"""Devices that are wrong about IPsec operation."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.limits import ALL_SA_MODES, IpsecResourceLimits, Limits, SaModeCap
from virtionet_ipsec.device.refusal import exists
from virtionet_ipsec.device.sa_params import NO_EXTRAS, sa_params
from virtionet_ipsec.wire.admin import AdminCmdHdr, ResourceObjHdr
from virtionet_ipsec.wire.codec import parse
from virtionet_ipsec.wire.enums import CapId, Feature, IpsecMode, IpsecOption, Opcode, ResourceType

from ..mutant import breaks

_ANSWER = struct.Struct("<HH")
_EINVAL, _ENXIO, _EEXIST, _INVALID_OPCODE, _INVALID_FIELD = 22, 6, 17, 2, 3

# A device with little: an AEAD, a cipher and a MAC in one mode.
NARROW = Limits(
    sa_modes=(
        SaModeCap(
            IpsecMode.ESP_TUNNEL,
            max_replay_win_sz=64,
            options=IpsecOption.ESN,
            cipher_algo=1 << 0 | 1 << 3,
            hmac_algo=1 << 4,
            aead_algo=1 << 1,
            max_cipher_key_len=16,
            max_auth_key_len=32,
        ),
    )
)


def answering(opcode: Opcode, alter: Callable[[bytes], bytes]) -> Callable[[Any, bytes], bytes]:
    """A ``Device._execute`` whose answer to one command is altered."""

    def execute(device: Any, readable: bytes) -> bytes:
        written = Device._execute(device, readable)
        return alter(written) if written and parse(AdminCmdHdr, readable).opcode == opcode else written

    return execute


def refusing(opcode: Opcode, kind: ResourceType, status: int, qualifier: int) -> Callable[[Any, bytes], bytes]:
    """A ``Device._execute`` that refuses a command for one type of object."""

    def execute(device: Any, readable: bytes) -> bytes:
        command = parse(AdminCmdHdr, readable)
        if command.opcode == opcode and parse(ResourceObjHdr, readable[AdminCmdHdr.sizeof() :]).type == kind:
            return _ANSWER.pack(status, qualifier) + bytes(4)
        return Device._execute(device, readable)

    return execute


def without_bit(bit: int) -> Callable[[bytes], bytes]:
    """An answer without one bit of its bitmap."""

    def alter(written: bytes) -> bytes:
        at = 8 + bit // 8
        return written[:at] + bytes((written[at] & ~(1 << bit % 8),)) + written[at + 1 :]

    return alter


def other_status(old: tuple[int, int], new: tuple[int, int]) -> Callable[[bytes], bytes]:
    """An answer with another status and qualifier in the place of ``old``."""

    def alter(written: bytes) -> bytes:
        return _ANSWER.pack(*new) + written[4:] if _ANSWER.unpack_from(written) == old else written

    return alter


# -- capabilities and commands -----------------------------------------------------------------------------------


@breaks("ipsec.dev.resource-cap-listed")
class HidesTheResourceCap(Device):
    """CAP_ID_LIST_QUERY does not list IPSEC_RESOURCE_CAP."""

    _execute = answering(Opcode.CAP_ID_LIST_QUERY, without_bit(CapId.IPSEC_RESOURCE_CAP))


@breaks("ipsec.dev.sa-cap-listed")
class HidesTheSaCap(Device):
    """CAP_ID_LIST_QUERY does not list IPSEC_SA_CAP."""

    _execute = answering(Opcode.CAP_ID_LIST_QUERY, without_bit(CapId.IPSEC_SA_CAP))


def _without_mac(cap: CapId) -> Callable[[Any, bytes], bytes]:
    hidden = answering(Opcode.CAP_ID_LIST_QUERY, without_bit(cap))
    return lambda device, readable: (Device._execute if device.negotiated >> Feature.MAC & 1 else hidden)(
        device, readable
    )


@breaks("ipsec.dev.resource-cap-listed")
class HidesTheResourceCapWithoutMac(Device):
    """Without VIRTIO_NET_F_MAC CAP_ID_LIST_QUERY does not list IPSEC_RESOURCE_CAP."""

    _execute = _without_mac(CapId.IPSEC_RESOURCE_CAP)


@breaks("ipsec.dev.sa-cap-listed")
class HidesTheSaCapWithoutMac(Device):
    """Without VIRTIO_NET_F_MAC CAP_ID_LIST_QUERY does not list IPSEC_SA_CAP."""

    _execute = _without_mac(CapId.IPSEC_SA_CAP)


@breaks("ipsec.dev.supports-create")
class HasNoAh(Device):
    """IPSEC_SA_CAP has the AH modes, and no SA can be created in them."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        judging(self, lambda modes: {mode: cap for mode, cap in modes.items() if mode <= IpsecMode.ESP_TRANSPORT})


@breaks("ipsec.dev.supports-create")
class LacksTheLastId(Device):
    """The highest inbound id is one less than the limit allows."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self._inbound.id_limit = lambda: self._capabilities.ipsec_resource.driver.inb_sa_limit - 1


@breaks("ipsec.dev.supports-create")
class HasNoOptions(Device):
    """No SA can be created with an option."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        judging(self, changing(options=IpsecOption(0)))


@breaks("ipsec.dev.supports-modify")
class CannotModifyInbound(Device):
    """MODIFY of an inbound SA is no opcode."""

    _execute = refusing(Opcode.RESOURCE_OBJ_MODIFY, ResourceType.IPSEC_INB_SA, _EINVAL, _INVALID_OPCODE)


@breaks("ipsec.dev.supports-modify")
class ModifiesNothing(Device):
    """MODIFY of an outbound SA succeeds and changes nothing."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self._outbound.modify = lambda resource_id, data: data


@breaks("ipsec.dev.supports-query")
class HasTheTablesOpcodes(Device):
    """QUERY is 0xb and MODIFY 0xc, as in the table of opcodes."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        handlers = self._admin._handlers
        modify, query = Opcode.RESOURCE_OBJ_MODIFY, Opcode.RESOURCE_OBJ_QUERY
        handlers[modify], handlers[query] = handlers[query], handlers[modify]


@breaks("ipsec.dev.supports-query")
class CannotQueryOutbound(Device):
    """QUERY of an outbound SA is no opcode."""

    _execute = refusing(Opcode.RESOURCE_OBJ_QUERY, ResourceType.IPSEC_OUTB_SA, _EINVAL, _INVALID_OPCODE)


@breaks("ipsec.dev.supports-destroy")
class KeepsDestroyedOutbound(Device):
    """An outbound SA that was destroyed goes on protecting packets."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self._outbound.destroy = lambda resource_id: None


@breaks("ipsec.dev.supports-destroy")
class CannotDestroyInbound(Device):
    """DESTROY of an inbound SA is no opcode."""

    _execute = refusing(Opcode.RESOURCE_OBJ_DESTROY, ResourceType.IPSEC_INB_SA, _EINVAL, _INVALID_OPCODE)


@breaks("ipsec.dev.disabled-create")
class DisabledCreateIsAField(Device):
    """CREATE with a disabled capability gets INVALID_FIELD."""

    _execute = answering(
        Opcode.RESOURCE_OBJ_CREATE, other_status((_EINVAL, _INVALID_OPCODE), (_EINVAL, _INVALID_FIELD))
    )


@breaks("ipsec.dev.disabled-modify")
class DisabledModifyIsMissing(Device):
    """MODIFY with a disabled capability gets ENXIO, as there is no such object."""

    _execute = answering(Opcode.RESOURCE_OBJ_MODIFY, other_status((_EINVAL, _INVALID_OPCODE), (_ENXIO, _INVALID_FIELD)))


@breaks("ipsec.dev.disabled-query")
class DisabledQueryIsMissing(Device):
    """QUERY with a disabled capability gets ENXIO, as there is no such object."""

    _execute = answering(Opcode.RESOURCE_OBJ_QUERY, other_status((_EINVAL, _INVALID_OPCODE), (_ENXIO, _INVALID_FIELD)))


@breaks("ipsec.dev.disabled-destroy")
class DisabledDestroyIsMissing(Device):
    """DESTROY with a disabled capability gets ENXIO, as there is no such object."""

    _execute = answering(
        Opcode.RESOURCE_OBJ_DESTROY, other_status((_EINVAL, _INVALID_OPCODE), (_ENXIO, _INVALID_FIELD))
    )


@breaks(
    "ipsec.dev.disabled-create",
    "ipsec.dev.disabled-modify",
    "ipsec.dev.disabled-query",
    "ipsec.dev.disabled-destroy",
)
class ForgetsTheSaCap(Device):
    """Inbound SAs are enabled by IPSEC_RESOURCE_CAP alone."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        cap = self._capabilities.ipsec_resource
        self._inbound.disabled = lambda: "IPSEC_RESOURCE_CAP is disabled" if cap.disabled else ""


# -- what cannot be created --------------------------------------------------------------------------------------


@breaks("ipsec.dev.create-existing-id")
class ExistingIsInvalid(Device):
    """CREATE with the id of an SA that exists gets EINVAL."""

    _execute = answering(Opcode.RESOURCE_OBJ_CREATE, other_status((_EEXIST, _INVALID_FIELD), (_EINVAL, _INVALID_FIELD)))


@breaks("ipsec.dev.create-existing-id")
class Overwrites(Device):
    """CREATE with the id of an inbound SA that exists puts the new one in its place."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        create, inbound = self._objects.create, self._inbound

        def overwrite(data: bytes) -> bytes:
            header = parse(ResourceObjHdr, data)
            if header.type == inbound.type and header.id in inbound.sas:
                inbound.destroy(header.id)
                del self._objects._stored[inbound.type][header.id]
            return create(data)

        self._admin._handlers[Opcode.RESOURCE_OBJ_CREATE] = overwrite


class _OtherLimits(Device):
    """A device whose ``limits_of(capability)`` bound the ids."""

    def limits_of(self, cap: Any) -> IpsecResourceLimits:
        raise NotImplementedError

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        cap = self._capabilities.ipsec_resource
        self._outbound.id_limit = lambda: self.limits_of(cap).outb_sa_limit
        self._inbound.id_limit = lambda: self.limits_of(cap).inb_sa_limit


@breaks("ipsec.dev.outb-id-limit", "ipsec.dev.inb-id-limit")
class TakesItsOwnLimits(_OtherLimits):
    """Ids are bounded by what the device reports, not by what the driver set."""

    def limits_of(self, cap: Any) -> IpsecResourceLimits:
        return cap._device


@breaks("ipsec.dev.outb-id-limit", "ipsec.dev.inb-id-limit")
class TakesTheOtherLimit(_OtherLimits):
    """Each direction's ids are bounded by the limit of the other."""

    def limits_of(self, cap: Any) -> IpsecResourceLimits:
        return IpsecResourceLimits(cap.driver.outb_sa_limit, cap.driver.inb_sa_limit)


@breaks("ipsec.dev.outb-id-limit", "ipsec.dev.inb-id-limit")
class TakesTheLimitItself(_OtherLimits):
    """The limit is the highest id."""

    def limits_of(self, cap: Any) -> IpsecResourceLimits:
        return IpsecResourceLimits(cap.driver.inb_sa_limit + 1, cap.driver.outb_sa_limit + 1)


Modes = dict[IpsecMode, SaModeCap]


def judging(device: Any, changed: Callable[[Modes], Modes]) -> None:
    """Let ``device`` hold SA objects against ``changed`` of the driver's IPSEC_SA_CAP."""
    for table in (device._outbound, device._inbound):

        def params(resource_id: int, data: bytes, table: Any = table) -> Any:
            fields = parse(table._structure, data)
            modes = changed(dict(table._capabilities.ipsec_sa.driver))
            return sa_params(table.type, fields, modes, NO_EXTRAS, device.profile)

        table._params = params


def changing(**fields: Any) -> Callable[[Modes], Modes]:
    """Every mode with other values in these fields."""
    return lambda modes: {mode: replace(cap, **fields) for mode, cap in modes.items()}


class _Lenient(Device):
    """A device that holds SA objects against ``allowed`` of IPSEC_SA_CAP."""

    allowed: Callable[[Modes], Modes]

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        judging(self, type(self).allowed)


_BOTH = ("ipsec.dev.outb-unsupported-parameters", "ipsec.dev.inb-unsupported-parameters")


@breaks(*_BOTH, limits=NARROW)
class TakesAnyMode(_Lenient):
    """SAs can be created in modes that IPSEC_SA_CAP does not have."""

    allowed = staticmethod(lambda modes: {cap.mode: cap for cap in ALL_SA_MODES} | modes)


@breaks(*_BOTH, limits=NARROW)
class TakesAnyOption(_Lenient):
    """Options of the capability are not looked at."""

    allowed = staticmethod(changing(options=~IpsecOption(0)))


@breaks(*_BOTH, limits=NARROW)
class TakesAnyCipher(_Lenient):
    """cipher_algo of the capability is not looked at."""

    allowed = staticmethod(changing(cipher_algo=ALL_SA_MODES[0].cipher_algo))


@breaks(*_BOTH, limits=NARROW)
class TakesAnyAead(_Lenient):
    """aead_algo of the capability is not looked at."""

    allowed = staticmethod(changing(aead_algo=ALL_SA_MODES[0].aead_algo))


@breaks(*_BOTH, limits=NARROW)
class TakesAnyMac(_Lenient):
    """hmac_algo of the capability is not looked at."""

    allowed = staticmethod(changing(hmac_algo=ALL_SA_MODES[0].hmac_algo))


@breaks(*_BOTH, limits=NARROW)
class TakesAnyKeyLength(_Lenient):
    """max_cipher_key_len of the capability is not looked at."""

    allowed = staticmethod(changing(max_cipher_key_len=32))


@breaks("ipsec.dev.inb-unsupported-parameters", limits=NARROW)
class TakesAnyWindow(_Lenient):
    """max_replay_win_sz of the capability is not looked at."""

    allowed = staticmethod(changing(max_replay_win_sz=4096))


@breaks(*_BOTH)
class MasksOptions(Device):
    """Of the options of an SA only those with a name are looked at."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        for table in (self._outbound, self._inbound):
            params = table._params

            def masked(resource_id: int, data: bytes, params: Any = params) -> Any:
                return params(resource_id, data[:16] + bytes((data[16] & 0x7F,)) + bytes(7) + data[24:])

            table._params = masked


@breaks("ipsec.dev.duplicate-spi")
class DuplicateSpiExists(Device):
    """A second inbound SA with the same SPI gets EEXIST."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        add, by_spi = self._inbound._add, self._inbound.by_spi

        def checked(resource_id: int, params: Any) -> None:
            if params.spi in by_spi:
                raise exists("the spi")
            add(resource_id, params)

        self._inbound._add = checked
