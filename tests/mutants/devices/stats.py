"""Devices that are wrong about statistics."""

from __future__ import annotations

from virtionet_ipsec.conformance.driving.statistics import COUNTERS, HEADER, size

from ..more_controls import ERR, FEATURES, OK, MoreControls
from ..mutant import breaks


@breaks("stats.dev.query", features=FEATURES)
class ShortCapabilities(MoreControls):
    """STATS_QUERY gives four octets."""

    def query_stats(self, data: bytes, room: int) -> bytes:
        return super().query_stats(data, room)[:5]


@breaks("stats.dev.query", features=FEATURES)
class NoCapabilities(MoreControls):
    """STATS_QUERY gets VIRTIO_NET_ERR."""

    def query_stats(self, data: bytes, room: int) -> bytes:
        return ERR


@breaks("stats.dev.queue-range", features=FEATURES)
class AnyQueue(MoreControls):
    """Any vq_index has statistics."""

    def in_range(self, index: int) -> bool:
        return True


@breaks("stats.dev.unknown-type", features=FEATURES)
class IgnoresUnknownTypes(MoreControls):
    """Types that nothing describes are passed over."""

    def valid(self, index: int) -> int:
        return super().valid(index) | ~sum(1 << kind for kind in COUNTERS)


@breaks("stats.dev.other-queues-type", features=FEATURES)
class AnyType(MoreControls):
    """Every virtqueue has statistics of every type."""

    def of_queue(self, kind: int, index: int) -> bool:
        return True


@breaks("stats.dev.unnegotiated-type", features=FEATURES)
class WithoutFeatures(MoreControls):
    """Types can be had without their features."""

    def can(self, kind: int) -> bool:
        return bool(self.supported_types >> kind & 1)


@breaks("stats.dev.whole-command", features=FEATURES)
class SomeOfIt(MoreControls):
    """What is right of a command is answered, and what is wrong is passed over, unless nothing is right."""

    def get_stats(self, data: bytes, room: int) -> bytes:
        answers = [MoreControls.get_stats(self, data[at : at + 16], room) for at in range(0, len(data), 16)]
        good = [answer[1:] for answer in answers if answer[:1] == OK]
        return self.fitted(OK + b"".join(good), room) if good else ERR


@breaks("stats.dev.size", features=FEATURES)
class SizeOfCounters(MoreControls):
    """size counts the counters without the header."""

    def reply(self, kind: int, index: int) -> bytes:
        return HEADER.pack(kind, index, size(kind) - HEADER.size) + super().reply(kind, index)[HEADER.size :]


@breaks("stats.dev.type", features=FEATURES)
class TypeAsMask(MoreControls):
    """type holds the lower octet of the bitmap."""

    def reply(self, kind: int, index: int) -> bytes:
        return HEADER.pack(1 << kind & 0xFF, index, size(kind)) + super().reply(kind, index)[HEADER.size :]


@breaks("stats.dev.vq-index", features=FEATURES)
class PairForIndex(MoreControls):
    """vq_index holds the number of the pair."""

    def reply(self, kind: int, index: int) -> bytes:
        return HEADER.pack(kind, index // 2, size(kind)) + super().reply(kind, index)[HEADER.size :]


@breaks("stats.dev.valid-octets", features=FEATURES)
class FillsTheRoom(MoreControls):
    """All the room is written, with zeros at the end."""

    def fitted(self, written: bytes, room: int) -> bytes:
        return written[: 1 + room].ljust(1 + room, b"\0")


@breaks("stats.dev.types-listed", features=FEATURES)
class MoreThanListed(MoreControls):
    """TX_SPEED is answered and not listed."""

    def can(self, kind: int) -> bool:
        return kind == 19 or super().can(kind)
