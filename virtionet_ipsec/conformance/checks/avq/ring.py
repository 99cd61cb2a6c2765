"""Administration virtqueues, virtio 1.4, 2.13: what shows in the ring alone."""

from __future__ import annotations

from collections.abc import Callable

from ....driver import flow_rules
from ....virtqueue.port import Rings
from ....wire.admin import AdminCmdHdr, AdminCmdResult, ResourceObjCreateData
from ....wire.codec import build
from ....wire.enums import AdminStatus, Feature, Opcode
from ...check import check
from ...driving import by_hand, filters
from ...driving.by_hand import SIZE
from ...driving.rig import Rig
from ...driving.split_ring import SplitRing
from ...verdict import NotObservable

_HEADER = AdminCmdResult.sizeof()


def _ring(rig: Rig, set_up: Callable[[], object] = lambda: None) -> SplitRing:
    """The administration virtqueue, by hand, when ``set_up`` was done through it."""
    port = by_hand.start(rig, Rings(indirect=False, event_idx=False, size=SIZE), Feature.ADMIN_VQ)
    index = port.transport.admin_index
    if index is None:
        raise NotObservable("commands do not go through an administration virtqueue here")
    set_up()
    return SplitRing(port, index)


@check
def used_length(rig: Rig) -> None:
    """The used length of LIST_QUERY, with more and less room, is as many octets as were written: none behind them."""
    ring = _ring(rig)
    for length in (8, 16, 64, 1024):
        room = ring.room(length)
        before = ring.octets(room)
        ring.give([ring.holding(build(AdminCmdHdr, opcode=Opcode.LIST_QUERY)), room])
        ((_, written),) = ring.use()
        after = ring.octets(room)
        rig.expect(_HEADER <= written <= length, f"used length with room for {length}", f"8 to {length}", str(written))
        rig.equal("octets behind those that the used length counts", before[written:], after[written:])
        if written > _HEADER:
            last = after[written - 8 : written]
            rig.expect(last != before[:8], "the last octets that the used length counts", "written", "as before")


@check
def in_order(rig: Rig) -> None:
    """CREATE, QUERY, DESTROY and QUERY of a flow filter group, available at once: all but the last one succeed."""
    ring = _ring(rig, lambda: filters.flow_filter(rig))
    header = build(ResourceObjCreateData, hdr={"type": filters.GROUP, "id": 0})
    commands = [
        build(AdminCmdHdr, opcode=opcode) + header + data
        for opcode, data in (
            (Opcode.RESOURCE_OBJ_CREATE, flow_rules.group(1)),
            (Opcode.RESOURCE_OBJ_QUERY, b""),
            (Opcode.RESOURCE_OBJ_DESTROY, b""),
            (Opcode.RESOURCE_OBJ_QUERY, b""),
        )
    ]
    for _ in range(3):
        rooms = [ring.room(64) for _ in commands]
        pairs = zip(commands, rooms, strict=True)
        ring.give(*([ring.holding(command + bytes(-len(command) % 8)), room] for command, room in pairs))
        ring.use(len(commands))
        succeeded = [int.from_bytes(ring.octets(room)[:2], "little") == AdminStatus.OK for room in rooms]
        rig.equal("which of CREATE, QUERY, DESTROY and QUERY succeed", [True, True, True, False], succeeded)
