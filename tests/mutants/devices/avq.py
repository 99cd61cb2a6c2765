"""Devices that are wrong about the buffers of administration commands."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, ClassVar

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.refusal import invalid_field
from virtionet_ipsec.wire.admin import ResourceObjHdr
from virtionet_ipsec.wire.codec import parse
from virtionet_ipsec.wire.enums import AdminStatus, Opcode, Qualifier, ResourceType

from ..mutant import breaks
from ..wrapping import altering_written, replace_handler

_HEADER = 24  # octets of struct virtio_admin_cmd up to command_specific_data
_WHOLE_SA = 16 + 196  # octets of CREATE's command_specific_data
_WRONG_LENGTH = bytes((AdminStatus.EINVAL, 0, Qualifier.INVALID_COMMAND, 0)) + bytes(4)


@breaks("avq.dev.short-readable", "avq.dev.length-alone")
class WantsTheWholeHeader(Device):
    """A command shorter than its header is refused."""

    def _execute(self, readable: bytes) -> bytes:
        return super()._execute(readable) if len(readable) >= _HEADER else _WRONG_LENGTH


@breaks("avq.dev.short-readable", "avq.dev.length-alone")
class WantsWholeSas(Device):
    """CREATE with less than the structure of an SA is refused."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        replace_handler(self, Opcode.RESOURCE_OBJ_CREATE, self._create)

    def _create(self, right: Callable[[bytes], bytes], data: bytes) -> bytes:
        if parse(ResourceObjHdr, data).type == ResourceType.IPSEC_OUTB_SA and len(data) < _WHOLE_SA:
            raise invalid_field("the SA is not whole")
        return right(data)


@breaks("avq.dev.short-readable")
class ReadsOnes(Device):
    """The octets that are missing at the end of an outbound SA are read as ones."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        replace_handler(self, Opcode.RESOURCE_OBJ_CREATE, self._create)

    def _create(self, right: Callable[[bytes], bytes], data: bytes) -> bytes:
        ones = b"\xff" if parse(ResourceObjHdr, data).type == ResourceType.IPSEC_OUTB_SA else b"\0"
        return right(data.ljust(_WHOLE_SA, ones))


@breaks("avq.dev.short-writable")
class WritesBeyondTheEnd(Device):
    """The whole answer is written, whatever room there is."""

    def admin(self, readable: bytes, writable_len: int = 65536) -> bytes:
        return super().admin(readable, max(writable_len, 65536))


@breaks("avq.dev.short-writable", "avq.dev.length-alone")
class WantsRoomForTheResult(Device):
    """A command without room for all of its answer is refused."""

    def admin(self, readable: bytes, writable_len: int = 65536) -> bytes:
        written = super().admin(readable)
        return written if len(written) <= writable_len else _WRONG_LENGTH[:writable_len]


@breaks("avq.dev.long-readable", "avq.dev.length-alone")
class WantsExactLengths(Device):
    """DESTROY with more than its header is refused."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        replace_handler(self, Opcode.RESOURCE_OBJ_DESTROY, self._destroy)

    def _destroy(self, right: Callable[[bytes], bytes], data: bytes) -> bytes:
        if len(data) > ResourceObjHdr.sizeof():
            raise invalid_field("too long")
        return right(data)


@breaks("avq.dev.long-readable")
class StoresWhatIsBeyond(Device):
    """What comes behind an object's structure is stored with it."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        replace_handler(self, Opcode.RESOURCE_OBJ_CREATE, self._create)

    def _create(self, right: Callable[[bytes], bytes], data: bytes) -> bytes:
        right(data)
        header = parse(ResourceObjHdr, data)
        self._objects._stored[header.type][header.id] = data[16:]
        return b""


@breaks("avq.dev.long-writable")
class FillsTheBuffer(Device):
    """All of the device-writable part is written, with zeros behind the answer."""

    def admin(self, readable: bytes, writable_len: int = 65536) -> bytes:
        written = super().admin(readable, writable_len)
        return written.ljust(writable_len, b"\0") if written else written


@breaks("avq.dev.long-writable")
class WritesTwoWordsMore(Device):
    """128 bits more than the structure are written."""

    _execute = altering_written(lambda written: written + bytes(16))


@breaks("avq.dev.initializes-writable")
class LeavesOutZeros(Device):
    """Zeros at the end of a result are not written."""

    _execute = altering_written(lambda written: written[:8] + written[8:].rstrip(b"\0"))


@breaks("avq.dev.writable-multiple")
class WritesOneMore(Device):
    """One octet more than the structure is written."""

    _execute = altering_written(lambda written: written + b"\0")


@breaks("avq.dev.writable-multiple")
class LeavesOutReserved(Device):
    """The reserved octets behind status_qualifier are not written when a command is refused."""

    _execute = altering_written(lambda written: written if len(written) > 8 or not written[0] else written[:4])


@breaks("avq.dev.initializes-status", "avq.dev.initializes-qualifier")
class SaysNothing(Device):
    """Nothing is written when a command is refused."""

    _execute = altering_written(lambda written: b"" if written[0] else written)


@breaks("avq.dev.initializes-qualifier")
class LeavesOutQualifiers(Device):
    """Only status is written when a command is refused."""

    _execute = altering_written(lambda written: written[:2] if written[0] else written)


class Busy(Device):
    """A right device: every third command on an object gets EAGAIN, and is not carried out."""

    done_all_the_same: ClassVar[bool] = False

    def __init__(self, *args: Any, **parameters: Any) -> None:
        super().__init__(*args, **parameters)
        self._commands = 0

    def _execute(self, readable: bytes) -> bytes:
        if readable[:2] not in (b"\x0a\x00", b"\x0d\x00"):  # CREATE, DESTROY
            return super()._execute(readable)
        self._commands += 1
        if self._commands % 3:
            return super()._execute(readable)
        if self.done_all_the_same:
            super()._execute(readable)
        return struct.pack("<HH4x", AdminStatus.EAGAIN, Qualifier.TRYAGAIN)


@breaks("avq.dev.retry-safe")
class BusyAndDone(Busy):
    """A command that gets EAGAIN is carried out all the same."""

    right = Busy
    done_all_the_same = True
