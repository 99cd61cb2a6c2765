"""Device statistics, as a check asks for them (virtio 1.4, 5.1.9.5.11)."""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import NamedTuple

from ...wire.enums import CtrlClass, Feature
from ..verdict import Failed, NotApplicable
from . import controls
from .rig import Rig

QUERY, GET = 0, 1
RX_BASIC, RX_CSUM, RX_GSO, RX_SPEED = range(4)
TX_BASIC, TX_CSUM, TX_GSO, TX_SPEED = range(16, 20)
CVQ = 32

COUNTERS = {
    RX_BASIC: 6, RX_CSUM: 4, RX_GSO: 4, RX_SPEED: 2,
    TX_BASIC: 6, TX_CSUM: 2, TX_GSO: 6, TX_SPEED: 2,
    CVQ: 2,
}  # fmt: skip
"""The le64 of each type's structure."""

NEEDS: dict[int, tuple[Feature, ...]] = {
    RX_CSUM: (Feature.GUEST_CSUM,),
    TX_CSUM: (Feature.CSUM,),
    RX_GSO: (Feature.GUEST_TSO4, Feature.GUEST_TSO6),
    TX_GSO: (Feature.HOST_TSO4, Feature.HOST_TSO6, Feature.HOST_USO),
}
"""The features of which a type asks for one."""

RECEIVEQ1, TRANSMITQ1 = 0, 1
HEADER = struct.Struct("<BxHxxH")  # virtio_net_stats_reply_hdr: type, vq_index, size
_PAIRS_AT = 8  # offset in virtio_net_config


class Reply(NamedTuple):
    """The header of a reply, and the octets that there are of it, header included."""

    type: int
    vq_index: int
    size: int
    octets: int


def start(rig: Rig, without: Collection[Feature] = ()) -> None:
    """Bring the device up with VIRTIO_NET_F_DEVICE_STATS, and all that types ask for."""
    every = {feature for features in NEEDS.values() for feature in features}
    controls.start(rig, Feature.DEVICE_STATS, also=every, without=without)


def size(kind: int) -> int:
    """Octets of a reply of this type, with its header."""
    return HEADER.size + 8 * COUNTERS[kind]


def listed(rig: Rig) -> int:
    """supported_stats_types."""
    result = controls.accepted(rig, "VIRTIO_NET_CTRL_STATS_QUERY", CtrlClass.STATS, QUERY, room=8)
    rig.equal("octets of virtio_net_stats_capabilities", 8, len(result))
    return int.from_bytes(result, "little")


def control_queue(rig: Rig) -> int:
    """The index of the control virtqueue (5.1.2)."""
    if rig.driver.negotiated & (1 << Feature.MQ | 1 << Feature.RSS):
        return 2 * int.from_bytes(rig.port.read_config(_PAIRS_AT, 2), "little")
    return 2


def queue_of(rig: Rig, kind: int) -> int:
    """A virtqueue for which this type is valid."""
    return control_queue(rig) if kind == CVQ else TRANSMITQ1 if kind >= TX_BASIC else RECEIVEQ1


def available(rig: Rig) -> list[int]:
    """The types that are listed and whose feature is negotiated; :class:`NotApplicable` when there are none."""
    types = listed(rig)
    found = [kind for kind in COUNTERS if types >> kind & 1 and _negotiated(rig, kind)]
    if not found:
        raise NotApplicable("supported_stats_types has nothing that can be asked for")
    return found


def _negotiated(rig: Rig, kind: int) -> bool:
    return kind not in NEEDS or any(rig.driver.negotiated >> feature & 1 for feature in NEEDS[kind])


def rows(*wanted: tuple[int, int]) -> bytes:
    """struct virtio_net_ctrl_queue_stats: vq_index and types_bitmap each."""
    return b"".join(index.to_bytes(8, "little") + types.to_bytes(8, "little") for index, types in wanted)


def replies(result: bytes) -> list[Reply]:
    """The replies in a command-specific-result.  Raises :class:`Failed` for what cannot be told apart."""
    found, at = [], 0
    while at < len(result):
        if len(result) - at < HEADER.size:
            raise Failed("the replies", "headers and counters", f"{len(result) - at} octets behind the last one")
        kind, index, length = HEADER.unpack_from(result, at)
        if length < HEADER.size:
            raise Failed(f"size of the reply at {at}", f"{HEADER.size} or more", str(length))
        found.append(Reply(kind, index, length, min(length, len(result) - at)))
        at += length
    return found
