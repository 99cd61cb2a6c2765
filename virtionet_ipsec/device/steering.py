"""Which receive queue a packet goes to, and its hash (virtio 1.4, 5.1.9.5.5 to 5.1.9.5.7, and 5.1.9.4.3).

Two modes, and the last command decides (D124).  VQ_PAIRS_SET: automatic
receive steering, packets of a flow come back on the queue of the pair on which
the flow was transmitted.  RSS_CONFIG: the hash chooses from the indirection
table.  Until there is a command, everything is for receiveq1, and no hash is
reported.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from ..ipsec import Reason, Refused
from ..wire.codec import parse
from ..wire.control import HASH_CONFIG_FIXED, RSS_CONFIG_FIXED, HashConfig, MqPairsSet, RssConfig
from ..wire.enums import CtrlClass, CtrlMq, Feature
from .config import MOST_KEY, MOST_TABLE
from .control import Command, Commands, ControlRefused
from .flow_fields import NO_FLOW, Flow, flow_fields
from .flow_hash import SUPPORTED, FlowHash

UNSTEERED = -1
"""For a queue that neither a flow filter rule nor steering has chosen; no other is below 0."""

_MOST_FLOWS = 1 << 14


@dataclass(frozen=True, slots=True)
class Rss:
    """What RSS_CONFIG said, queues as receiveq numbers from 0."""

    mask: int
    table: tuple[int, ...]
    unclassified: int

    def queue(self, value: int, report: int) -> int:
        """5.1.9.5.7.3: by the hash where there is one."""
        return self.table[value & self.mask] if report else self.unclassified


class Steering:
    """``pairs_limit`` is max_virtqueue_pairs.  ``down`` are the receive queues that are being reset (2.6.1)."""

    def __init__(self, pairs_limit: int, has: Callable[[Feature], bool]) -> None:
        self._limit = pairs_limit
        self._has = has
        self.down: set[int] = set()
        self.reset()

    def reset(self) -> None:
        """Multiqueue is disabled, and no hash type enabled."""
        self.pairs = 1
        self._rss: Rss | None = None
        self._hash: FlowHash | None = None
        self._flows: OrderedDict[tuple[int, bytes], int] = OrderedDict()
        self.down.clear()

    @property
    def receive_queues(self) -> int:
        """How many receive queues, from receiveq1 on, packets may go to."""
        return self.pairs if self._rss is None else self._limit

    def active(self) -> bool:
        """Whether there is anything to do for a packet: else it goes to receiveq1, and has no hash."""
        hashed = self._hash is not None and self._has(Feature.HASH_REPORT)
        return self.pairs > 1 or self._rss is not None or hashed or bool(self.down)

    def learns(self) -> bool:
        """Whether transmitted packets count."""
        return self._rss is None and self.pairs > 1

    def state(self) -> tuple[object, ...]:
        """All that commands and packets can change."""
        return self.pairs, self._rss, self._hash and self._hash.config, tuple(self._flows.items()), sorted(self.down)

    # -- commands ------------------------------------------------------------------------------------------------

    def commands(self) -> Commands:
        pairs, rss, hashing = (Feature.MQ,), (Feature.RSS,), (Feature.HASH_REPORT,)
        return {
            (CtrlClass.MQ, CtrlMq.VQ_PAIRS_SET): Command(pairs, MqPairsSet.sizeof(), self._set_pairs),
            (CtrlClass.MQ, CtrlMq.RSS_CONFIG): Command(rss, RSS_CONFIG_FIXED + 2, self._set_rss),
            (CtrlClass.MQ, CtrlMq.HASH_CONFIG): Command(hashing, HASH_CONFIG_FIXED, self._set_hash),
        }

    def _set_pairs(self, data: bytes) -> None:
        pairs = parse(MqPairsSet, data).virtqueue_pairs
        if not 1 <= pairs <= self._limit:
            raise ControlRefused(f"virtqueue_pairs {pairs} is not in 1 to {self._limit}")
        self._automatic(pairs)

    def _set_rss(self, data: bytes) -> None:
        entries = int.from_bytes(data[4:6], "little") + 1
        if entries & entries - 1 or entries > MOST_TABLE:
            raise ControlRefused(f"an indirection table of {entries} entries: a power of two up to {MOST_TABLE}")
        if len(data) < RSS_CONFIG_FIXED + 2 * entries:
            raise ControlRefused(f"{len(data)} octets of data have no room for an indirection table of {entries}")
        fields = parse(RssConfig, data)
        flow_hash = _flow_hash(fields, len(data) - RSS_CONFIG_FIXED - 2 * entries)
        if not 1 <= fields.max_tx_vq <= self._limit:
            raise ControlRefused(f"max_tx_vq {fields.max_tx_vq} is not in 1 to {self._limit}")
        if (highest := max(fields.unclassified_queue, *fields.indirection_table)) >= self._limit:
            raise ControlRefused(f"{highest} stands for no receive queue: those are 0 to {self._limit - 1}")
        self._hash = flow_hash
        self._rss = Rss(entries - 1, tuple(fields.indirection_table), fields.unclassified_queue)
        self.pairs = fields.max_tx_vq
        self._flows.clear()

    def _set_hash(self, data: bytes) -> None:
        self._hash = _flow_hash(parse(HashConfig, data), len(data) - HASH_CONFIG_FIXED)
        self._automatic(self.pairs)

    def _automatic(self, pairs: int) -> None:
        self._rss = None
        self.pairs = pairs
        for key in [key for key, queue in self._flows.items() if queue >= pairs]:
            del self._flows[key]

    # -- packets -------------------------------------------------------------------------------------------------

    def learn(self, frame: bytes, at: int, queue: int) -> None:
        """A packet, whose IP header is at ``at`` of ``frame``, was transmitted on ``queue`` (transmitq1 is 0)."""
        kind, fields, _ = flow_fields(frame, at)
        if kind == NO_FLOW or queue >= self.pairs:
            return
        half = 4 if len(fields) < 32 else 16
        ports = 2 * half
        turned = fields[half:ports] + fields[:half] + fields[ports + 2 :] + fields[ports : ports + 2]
        self._flows[kind, turned] = queue
        if len(self._flows) > _MOST_FLOWS:
            self._flows.popitem(last=False)

    def steer(self, packet: bytes, at: int, queue: int) -> tuple[int, int, int]:
        """Receive queue, ``hash_value`` and ``hash_report`` of a packet whose IP header is at ``at``, below 0 if none.

        ``queue`` is what a flow filter rule chose, or UNSTEERED.
        Raises :class:`Refused` when the queue is being reset and there is no other.
        """
        flow = flow_fields(packet, at)
        value, report = self._hash(flow) if self._hash is not None else (0, NO_FLOW)
        steered = queue == UNSTEERED
        if steered:
            queue = self._by_flow(flow) if self._rss is None else self._rss.queue(value, report)
        if self.down and queue in self.down:
            queue = self._another(queue, steered)
        return queue, value, report

    def _by_flow(self, flow: Flow) -> int:
        kind, fields, _ = flow
        if self.pairs == 1 or kind == NO_FLOW:
            return 0
        queue = self._flows.get((kind, fields))
        # Nothing was transmitted yet: any queue will do, as long as it is the same one every time.
        return crc32(fields) % self.pairs if queue is None else queue

    def _another(self, queue: int, steered: bool) -> int:
        """Automatic steering takes another queue (5.1.9.5.6.2); RSS (5.1.9.5.7.3) and rules (5.1.9.6) drop it."""
        if steered and self._rss is None:
            for other in range(queue + 1, queue + self.pairs):
                if other % self.pairs not in self.down:
                    return other % self.pairs
        raise Refused(Reason.NO_BUFFER, f"receiveq{queue + 1} is being reset")


def _flow_hash(fields: Any, room: int) -> FlowHash | None:
    """The hash that a command asks for; None when it enables no hash type.  ``room``: the octets left for the key."""
    if unknown := fields.hash_types & ~SUPPORTED:
        raise ControlRefused(f"hash_types has {unknown:#x}, which is not in supported_hash_types")
    length = fields.hash_key_length
    if length > MOST_KEY:
        raise ControlRefused(f"hash_key_length {length} is more than rss_max_key_size {MOST_KEY}")
    if length > room:
        raise ControlRefused(f"hash_key_length {length}, and the command has {room} octets of key")
    if not fields.hash_types:
        return None
    if not length:
        raise ControlRefused("hash types are enabled, and there is no key")
    return FlowHash(fields.hash_types, fields.hash_key_data)
