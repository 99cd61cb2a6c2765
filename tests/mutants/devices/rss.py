"""Devices that are wrong about receive-side scaling."""

from __future__ import annotations

from virtionet_ipsec.device.flow_fields import flow_fields
from virtionet_ipsec.device.steering import Rss, Steering

from ..mutant import breaks
from .hash import hashing
from .steering import QUEUES, Steered


@breaks("rss.dev.hash", **QUEUES)
class TurnedHash(hashing(lambda right, flow: (right(flow)[0] >> 16 | (right(flow)[0] & 0xFFFF) << 16, right(flow)[1]))):  # type: ignore[misc]
    """The halves of the hash are exchanged."""


@breaks("rss.dev.hash", **QUEUES)
class HashesAddresses(hashing(lambda right, flow: right((flow[0], flow[1][:-4] + bytes(4), flow[2])))):  # type: ignore[misc]
    """Ports are hashed as zeros."""


class Choosing(Steering):
    """Steering that chooses otherwise."""

    def choose(self, rss: Rss, value: int, report: int) -> int:
        raise NotImplementedError

    def steer(self, packet: bytes, at: int, queue: int) -> tuple[int, int, int]:
        queue, value, report = super().steer(packet, at, queue)
        return queue if self._rss is None else self.choose(self._rss, value, report), value, report


@breaks("rss.dev.unclassified", **QUEUES)
class FirstEntry(Steered):
    """A packet without a hash goes by the table's first entry."""

    class steering_kind(Choosing):  # noqa: N801
        def choose(self, rss: Rss, value: int, report: int) -> int:
            return rss.table[value & rss.mask]


@breaks("rss.dev.unclassified", **QUEUES)
class UnhashedIsHashed(Steered):
    """UDP goes by the table though no type for it is enabled."""

    class steering_kind(Steering):  # noqa: N801
        def steer(self, packet: bytes, at: int, queue: int) -> tuple[int, int, int]:
            right = super().steer(packet, at, queue)
            if self._rss is None or right[2] or flow_fields(packet, at)[0] == 0:
                return right
            return self._rss.table[0], 0, 0


@breaks("rss.dev.table", **QUEUES)
class HighBits(Steered):
    """The mask is applied to the upper half of the hash."""

    class steering_kind(Choosing):  # noqa: N801
        def choose(self, rss: Rss, value: int, report: int) -> int:
            return rss.queue(value >> 16, report)


@breaks("rss.dev.table", **QUEUES)
class LastEntryUnused(Steered):
    """The table is taken for one entry shorter."""

    class steering_kind(Choosing):  # noqa: N801
        def choose(self, rss: Rss, value: int, report: int) -> int:
            return rss.table[value % max(rss.mask, 1)] if report else rss.unclassified
