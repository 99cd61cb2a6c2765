"""The rig: a device under test, and what checks need around it.

A check starts the device with :meth:`Rig.start` (or a part of it), talks to it
in octets through the methods here, and states what it expects with
:meth:`Rig.expect` and its kin.  All that passes is kept, for the report of a
failure.  Where the specification leaves open how something is done, the rig
does what the ledger of decisions says and what the device offers.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from ...device.exchanges import Exchange
from ...driver import Driver
from ...driver.driver import UNDERSTOOD
from ...driver.packet import RxPacket
from ...ipsec.ip import checksum
from ...trace import Target, Watched
from ...wire.admin import (
    AdminCmdHdr,
    AdminCmdList,
    AdminCmdResult,
    CapGetData,
    CapSetData,
    ResourceObjCreateData,
    ResourceObjHdr,
)
from ...wire.bitmap import bitmap_numbers, u64_bitmap
from ...wire.codec import build, parse
from ...wire.enums import AdminStatus, Feature, GroupType, Opcode, Status
from ...wire.features import feature_name, unmet_requirements
from ...wire.net_hdr import HdrLayout, NetHdr
from ...wire.profile import Profile
from ..decode import hexadecimal, status_name
from ..verdict import Failed, NotApplicable

PATIENCE = 8
"""How often a command is sent while the device says EAGAIN."""

_MTU_AT = 10  # offset in virtio_net_config
_ENCAPSULATION = 160  # octets, more than any tunnel of the checks adds

# What a device may insist on (6.2): it is accepted where it is offered.
_MAY_BE_INSISTED_ON = frozenset({Feature.ACCESS_PLATFORM, Feature.ORDER_PLATFORM})

ROOM = 1 << 16
"""Octets of the device-writable part of a command, where a check does not say."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the device wrote for a command: the fields, and the octets as they are (empty: the buffer was not used)."""

    status: int
    qualifier: int
    result: bytes
    written: bytes

    def __str__(self) -> str:
        if not self.written:
            return "no answer: the device did not use the buffer"
        return status_name(self.status, self.qualifier)


def mask(features: Collection[Feature]) -> int:
    return sum(1 << feature for feature in set(features))


def _supported(features: int) -> int:
    """``features`` without those whose requirements are not among them (virtio 1.4, 5.1.3.1)."""
    while unmet := unmet_requirements(features):
        features &= ~mask([feature for feature, _ in unmet])
    return features


class Rig:
    """``target`` under test in ``profile``.  ``steps`` holds every exchange since the check began."""

    def __init__(self, target: Target, profile: Profile) -> None:
        self.steps: list[Exchange] = []
        self.port = Watched(target, self.steps.append)
        self.profile = profile
        self.driver = Driver(self.port, profile)
        self.patience = PATIENCE

    # -- what the device has -------------------------------------------------------------------------------------

    def offers(self, *features: Feature) -> bool:
        """Whether all of ``features`` are offered."""
        return not mask(features) & ~self.port.features

    def needs(self, *features: Feature) -> None:
        """Raise :class:`NotApplicable` unless all of ``features`` are offered."""
        for feature in features:
            if not self.offers(feature):
                raise NotApplicable(f"{feature_name(feature)} is not offered")

    @property
    def layout(self) -> HdrLayout:
        """The virtio_net_hdr of the negotiated features."""
        return self.driver.layout

    # -- bringing it up ------------------------------------------------------------------------------------------

    def negotiate(self, *, also: Collection[Feature] = (), without: Collection[Feature] = ()) -> None:
        """Reset, then up to DRIVER_OK with what is offered, and what the reference driver understands.

        ``also`` are features that it does not understand, ``without`` those to
        leave out, with all that requires them.
        """
        wanted = (mask(UNDERSTOOD | _MAY_BE_INSISTED_ON) | mask(also)) & ~mask(without)
        self.driver = Driver(self.port, self.profile, _supported(wanted & self.port.features))
        self.driver.negotiate()

    def start(self, *, also: Collection[Feature] = (), without: Collection[Feature] = ()) -> None:
        """As :meth:`negotiate`, then LIST_USE of all that is known and every capability set whole."""
        self.needs(Feature.ADMIN_VQ)
        self.negotiate(also=also, without=without)
        self.driver.set_up_commands()
        self.driver.set_up_capabilities()

    def reset(self) -> None:
        """Device reset (virtio 1.4, 2.4)."""
        self.port.set_status(0)

    def set_status(self, *flags: Status) -> int:
        """Set status bits, those that are set already with them; gives what reads back."""
        value = self.port.status
        for flag in flags:
            value |= flag
        self.port.set_status(value)
        return self.port.status

    # -- commands ------------------------------------------------------------------------------------------------

    def command(
        self,
        opcode: int,
        data: bytes = b"",
        *,
        group: int = GroupType.SELF,
        member: int = 0,
        room: int = ROOM,
    ) -> Answer:
        """One command, its device-readable part a multiple of 64 bits long; ``room`` is for the answer, in octets."""
        readable = build(AdminCmdHdr, opcode=opcode, group_type=group, group_member_id=member) + data
        return self.raw_command(readable + bytes(-len(readable) % 8), room)

    def raw_command(self, readable: bytes, room: int = ROOM) -> Answer:
        """The command whose device-readable part is ``readable``, whatever that holds.

        It is sent again while the device asks for that, EAGAIN, a few times (2.13).
        """
        for _ in range(self.patience):
            written = self.port.admin(readable, room)
            fields = parse(AdminCmdResult, written)
            if fields.status != AdminStatus.EAGAIN:
                break
        return Answer(fields.status, fields.status_qualifier, written[AdminCmdResult.sizeof() :], written)

    def list_query(self) -> frozenset[int]:
        """The opcodes that LIST_QUERY gives."""
        return bitmap_numbers(self.ok(self.command(Opcode.LIST_QUERY), "LIST_QUERY"))

    def list_use(self, opcodes: Collection[int]) -> Answer:
        return self.command(Opcode.LIST_USE, build(AdminCmdList, device_admin_cmd_opcodes=u64_bitmap(opcodes)))

    def cap_ids(self) -> frozenset[int]:
        """The capability ids that CAP_ID_LIST_QUERY gives."""
        return bitmap_numbers(self.ok(self.command(Opcode.CAP_ID_LIST_QUERY), "CAP_ID_LIST_QUERY"))

    def cap_get(self, cap: int) -> Answer:
        return self.command(Opcode.DEVICE_CAP_GET, build(CapGetData, id=cap))

    def cap_set(self, cap: int, data: bytes) -> Answer:
        return self.command(Opcode.DRIVER_CAP_SET, build(CapSetData, id=cap) + data)

    def create(self, kind: int, resource_id: int, data: bytes) -> Answer:
        return self._object(Opcode.RESOURCE_OBJ_CREATE, kind, resource_id, data)

    def modify(self, kind: int, resource_id: int, data: bytes) -> Answer:
        return self._object(Opcode.RESOURCE_OBJ_MODIFY, kind, resource_id, data)

    def query(self, kind: int, resource_id: int) -> Answer:
        return self._object(Opcode.RESOURCE_OBJ_QUERY, kind, resource_id, b"")

    def destroy(self, kind: int, resource_id: int) -> Answer:
        return self.command(Opcode.RESOURCE_OBJ_DESTROY, build(ResourceObjHdr, type=kind, id=resource_id))

    def _object(self, opcode: int, kind: int, resource_id: int, data: bytes) -> Answer:
        return self.command(opcode, build(ResourceObjCreateData, hdr={"type": kind, "id": resource_id}) + data)

    # -- packets -------------------------------------------------------------------------------------------------

    def header(self, **fields: Any) -> bytes:
        """A virtio_net_hdr of the negotiated layout; ``fields`` are :class:`NetHdr`'s."""
        return self.layout.build(NetHdr(**fields))

    def transmit(self, buffer: bytes) -> tuple[bytes, ...]:
        """The frames that a transmit buffer, header and frame, puts on the wire."""
        return self.port.transmit(buffer)

    def receive(self, frame: bytes) -> RxPacket | None:
        """What the driver gets of a frame from the wire."""
        got = self.port.receive(frame)
        if got is None:
            return None
        size = self.layout.size
        self.expect(
            bool(got.buffers) and len(got.buffers[0]) >= size,
            "used receive buffers",
            f"a first one that holds the header, {size} octets",
            ", ".join(f"{len(buffer)} octets" for buffer in got.buffers) or "none",
        )
        return RxPacket(self.layout, got.queue, got.buffers)

    def delivered(self, frame: bytes) -> RxPacket:
        """As :meth:`receive`, :meth:`completed`; a frame that does not reach the driver fails the check."""
        got = self.receive(frame)
        if got is None:
            self._needs_mtu(frame)
            raise Failed("a frame from the wire", "delivered to the driver", "nothing was delivered")
        return self.completed(got)

    def completed(self, packet: RxPacket) -> RxPacket:
        """The packet with the checksum that NEEDS_CSUM leaves to the driver, as any driver makes it (5.1.9.4.2)."""
        at = self.layout.size + (hdr := packet.hdr).csum_start
        field, data = at + hdr.csum_offset, b"".join(packet.buffers)
        left = "NEEDS_CSUM" in packet.flag_names and self.driver.negotiated >> Feature.GUEST_CSUM & 1
        if not left or field + 2 > len(data):
            return packet
        data = data[:field] + checksum(data[at:]).to_bytes(2, "big") + data[field + 2 :]
        ends = list(accumulate(map(len, packet.buffers), initial=0))
        return RxPacket(packet.layout, packet.queue, tuple(data[start:end] for start, end in pairwise(ends)))

    def sent(self, buffer: bytes) -> bytes:
        """The one frame that a transmit buffer puts on the wire; any other number fails the check."""
        frames = self.transmit(buffer)
        if not frames:
            self._needs_mtu(buffer[self.layout.size :], _ENCAPSULATION)
        self.equal("frames on the wire", 1, len(frames))
        return frames[0]

    def _needs_mtu(self, frame: bytes, more: int = 0) -> None:
        """Raise :class:`NotApplicable` where the device's mtu has no room for ``frame`` and ``more`` octets (5.1.4)."""
        if not self.offers(Feature.MTU):
            return
        mtu = int.from_bytes(self.port.read_config(_MTU_AT, 2), "little")
        if len(frame) - 14 + more > mtu:
            raise NotApplicable(f"mtu is {mtu}, which leaves no room for this")

    # -- what is expected ----------------------------------------------------------------------------------------

    @staticmethod
    def expect(holds: bool, what: str, expected: str, got: str) -> None:
        """Raise :class:`Failed` unless ``holds``."""
        if not holds:
            raise Failed(what, expected, got)

    @staticmethod
    def equal(what: str, expected: Any, got: Any) -> None:
        """Raise :class:`Failed` unless the two are equal; octets are shown in hexadecimal."""
        if expected != got:
            raise Failed(what, _shown(expected), _shown(got))

    @staticmethod
    def ok(answer: Answer, what: str) -> bytes:
        """The result of a command that has to succeed."""
        if not answer.written or answer.status != AdminStatus.OK:
            raise Failed(what, "OK", str(answer))
        return answer.result

    @staticmethod
    def refused(answer: Answer, what: str, status: int | None = None, qualifier: int | None = None) -> None:
        """Raise :class:`Failed` unless the command failed: with this status and qualifier, where they are given."""
        wrong = not answer.written or answer.status == AdminStatus.OK
        wrong = wrong or (status is not None and answer.status != status)
        if wrong or (qualifier is not None and answer.qualifier != qualifier):
            raise Failed(what, "any status but OK" if status is None else status_name(status, qualifier), str(answer))

    def security(self, what: str, packet: RxPacket, *flags: str) -> None:
        """Raise :class:`Failed` unless the received header has exactly these of the IPsec flags, by name."""
        got = [name for name in packet.flag_names if name.startswith("SECURITY")]
        if set(got) != set(flags):
            raise Failed(f"{what}: flags", _joined(flags), _joined(got))


def _joined(names: Collection[str]) -> str:
    return "|".join(sorted(names)) or "no SECURITY"


def _shown(value: Any) -> str:
    if isinstance(value, bytes | bytearray):
        return hexadecimal(bytes(value))
    if isinstance(value, tuple | list | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return ", ".join(_shown(each) for each in items) or "none"
    return str(value)
