"""A device with the classes of the control virtqueue that the model lacks: what wrong ones vary, a command at a time.

HASH_TUNNEL for VXLAN and IPIP, RSS contexts, coalescing of a virtqueue's
notifications, statistics.  The model offers their features when it is told to;
this device carries out the commands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from virtionet_ipsec.conformance.driving.statistics import COUNTERS, CVQ, HEADER, NEEDS, TX_BASIC, size
from virtionet_ipsec.conformance.driving.tunnelled import IPIP, VXLAN
from virtionet_ipsec.conformance.model import Model
from virtionet_ipsec.device import Device
from virtionet_ipsec.device.negotiation import default_features, feature_mask
from virtionet_ipsec.device.steering import Steering
from virtionet_ipsec.virtqueue.in_memory import RING_FEATURES, MemoryTransport
from virtionet_ipsec.wire.enums import CtrlAck, CtrlClass, Feature, Status
from virtionet_ipsec.wire.profile import Profile

from .wrapping import become

F = Feature
FEATURES = default_features(Profile.VIRTIO_1_4) | RING_FEATURES
FEATURES |= feature_mask(F.HASH_TUNNEL, F.RSS_CONTEXT, F.NOTF_COAL, F.VQ_NOTF_COAL, F.DEVICE_STATS, F.GUEST_TSO4)
OK, ERR = bytes((CtrlAck.OK,)), bytes((CtrlAck.ERR,))

_MOST_CONTEXTS = 4
_TUNNELS_AT = 24  # supported_tunnel_types in virtio_net_config
_VXLAN_PORT, _IPIP, _UDP = 4789, 4, 17

Command = Callable[[bytes, int], bytes]


class Tunnels(Steering):
    """Steering by the inner headers of packets in the enabled tunnels."""

    enabled = 0

    def steer(self, packet: bytes, at: int, queue: int) -> tuple[int, int, int]:
        return super().steer(packet, self.inner(packet, at) if at >= 0 else at, queue)

    def inner(self, packet: bytes, at: int) -> int:
        """Where the IP header is that counts."""
        if packet[at] != 0x45:
            return at
        protocol, port = packet[at + 9], int.from_bytes(packet[at + 22 : at + 24], "big")
        if self.enabled & VXLAN and protocol == _UDP and port == _VXLAN_PORT:
            return at + 20 + 8 + 8 + 14
        return at + 20 if self.enabled & IPIP and protocol == _IPIP else at

    def reset(self) -> None:
        super().reset()
        self.enabled = 0


class Enabling(MemoryTransport):
    """Tells the device of queues that are enabled."""

    def start(self, index: int, size: int, addresses: Sequence[int]) -> None:
        super().start(index, size, addresses)
        assert isinstance(self.device, MoreControls)
        self.device.queue_enabled(index)


class MoreControls(Model):
    """The steps for a fault are its methods."""

    right: ClassVar[type[Device]]
    transport_class = Enabling
    tunnels_kind: ClassVar[type[Tunnels]] = Tunnels
    supported_types = sum(1 << kind for kind in COUNTERS if kind != 19)  # not TX_SPEED

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.config = self.config[:_TUNNELS_AT] + (VXLAN | IPIP).to_bytes(4, "little")
        self.tunnels: Tunnels = become(self._controls.steering, self.tunnels_kind)
        self.contexts: set[int] = set()
        self.coalesced: dict[int, bytes] = {}
        self.coalesced_all = {0: bytes(8), 1: bytes(8)}  # receive and transmit queues
        self.commands = 0
        stats, coal, contexts = CtrlClass.STATS, CtrlClass.NOTF_COAL, CtrlClass.RSS_CTX
        self._more: dict[tuple[int, int], tuple[Feature, Command]] = {
            (CtrlClass.HASH_TUNNEL, 0): (F.HASH_TUNNEL, self.set_tunnels),
            (contexts, 0): (F.RSS_CONTEXT, self.context_cap),
            (contexts, 1): (F.RSS_CONTEXT, self.add_context),
            (contexts, 2): (F.RSS_CONTEXT, self.modify_context),
            (contexts, 3): (F.RSS_CONTEXT, self.delete_context),
            (coal, 0): (F.NOTF_COAL, lambda data, room: self.coalesce_all(1, data)),
            (coal, 1): (F.NOTF_COAL, lambda data, room: self.coalesce_all(0, data)),
            (coal, 2): (F.VQ_NOTF_COAL, self.set_coalescing),
            (coal, 3): (F.VQ_NOTF_COAL, self.get_coalescing),
            (stats, 0): (F.DEVICE_STATS, self.query_stats),
            (stats, 1): (F.DEVICE_STATS, self.get_stats),
        }

    def has(self, feature: Feature) -> bool:
        return bool(self.negotiated >> feature & 1)

    def reset(self) -> None:
        super().reset()
        self.forget()

    def forget(self) -> None:
        self.contexts.clear()
        self.coalesced.clear()
        self.coalesced_all = {0: bytes(8), 1: bytes(8)}

    def _control(self, readable: bytes, writable_len: int) -> bytes:
        self.commands += 1
        feature, command = self._more.get((readable[0], readable[1]), (None, None))
        if feature is None or command is None or not self.status & Status.DRIVER_OK:
            return super()._control(readable, writable_len)
        return command(readable[2:], writable_len - 1) if self.has(feature) else ERR

    @property
    def control_queue(self) -> int:
        return 2 * self.virtqueue_pairs

    # -- tunnels -------------------------------------------------------------------------------------------------

    def set_tunnels(self, data: bytes, room: int) -> bytes:
        kinds = int.from_bytes(data[:4], "little")
        if kinds & ~(VXLAN | IPIP):
            return ERR
        self.tunnels.enabled = kinds
        return OK

    # -- RSS contexts --------------------------------------------------------------------------------------------

    def context_cap(self, data: bytes, room: int) -> bytes:
        return OK + _MOST_CONTEXTS.to_bytes(2, "little")

    def add_context(self, data: bytes, room: int) -> bytes:
        number = int.from_bytes(data[:2], "little")
        if not 1 <= number <= _MOST_CONTEXTS or number in self.contexts:
            return ERR
        self.contexts.add(number)
        return OK

    def modify_context(self, data: bytes, room: int) -> bytes:
        return OK if int.from_bytes(data[:2], "little") in self.contexts else ERR

    def delete_context(self, data: bytes, room: int) -> bytes:
        answer = self.modify_context(data, room)
        self.contexts.discard(int.from_bytes(data[:2], "little"))
        return answer

    # -- coalescing ----------------------------------------------------------------------------------------------

    def set_coalescing(self, data: bytes, room: int) -> bytes:
        index = int.from_bytes(data[:2], "little")
        if not self.enabled(index):
            return ERR
        self.coalesced[index] = data[4:12]
        return OK

    def get_coalescing(self, data: bytes, room: int) -> bytes:
        index = int.from_bytes(data[:2], "little")
        return OK + self.coalesced.get(index, self.coalesced_all[index & 1]) if self.enabled(index) else ERR

    def coalesce_all(self, kind: int, data: bytes) -> bytes:
        """For all receive queues, kind 0, or transmit queues, 1."""
        self.coalesced_all[kind] = data[:8]
        for index in [each for each in self.coalesced if each & 1 == kind]:
            del self.coalesced[index]
        return OK

    def queue_enabled(self, index: int) -> None:
        """A virtqueue is enabled, for the first time or again."""
        self.coalesced.pop(index, None)

    def enabled(self, index: int) -> bool:
        """Whether it is a transmit or receive virtqueue."""
        return index < self.control_queue

    # -- statistics ----------------------------------------------------------------------------------------------

    def query_stats(self, data: bytes, room: int) -> bytes:
        return OK + self.supported_types.to_bytes(8, "little")

    def get_stats(self, data: bytes, room: int) -> bytes:
        result = b""
        for at in range(0, len(data), 16):
            index, types = int.from_bytes(data[at : at + 2], "little"), int.from_bytes(data[at + 8 : at + 16], "little")
            if not self.in_range(index) or types & ~self.valid(index):
                return ERR
            result += b"".join(self.reply(kind, index) for kind in COUNTERS if types >> kind & 1)
        return self.fitted(OK + result, room)

    def in_range(self, index: int) -> bool:
        return index <= self.control_queue

    def valid(self, index: int) -> int:
        """The types that can be had of a virtqueue."""
        return sum(1 << kind for kind in COUNTERS if self.of_queue(kind, index) and self.can(kind))

    def of_queue(self, kind: int, index: int) -> bool:
        if index == self.control_queue or kind == CVQ:
            return index == self.control_queue and kind == CVQ
        return (kind >= TX_BASIC) == bool(index & 1)

    def can(self, kind: int) -> bool:
        needed = kind not in NEEDS or any(map(self.has, NEEDS[kind]))
        return bool(self.supported_types >> kind & 1) and needed

    def reply(self, kind: int, index: int) -> bytes:
        return HEADER.pack(kind, index, size(kind)) + self.commands.to_bytes(8, "little") * COUNTERS[kind]

    def fitted(self, written: bytes, room: int) -> bytes:
        return written[: 1 + room]


MoreControls.right = MoreControls
