"""Processing of incoming packets (virtio 1.4, 5.1.9.4) with flow filter (5.1.9.6) and inbound IPsec (5.1.9.7).

    wire -> receive filter -> flow filter -> (IPsec: SA by SPI -> verify, decrypt, strip -> flow filter once more)
         -> steering -> buffers

A :class:`Receiver` lives from DRIVER_OK to reset; what the negotiated features
decide is worked out when it is made.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..ipsec import InboundSa, Observer, Reason, Refused, locate
from ..wire.enums import Action, Feature, ResourceType
from ..wire.net_hdr import HdrLayout, NetHdr
from .counters import Counters
from .ethernet import ETHERTYPE, MAX_HEADER, ip_offset, payload_offset
from .flow_filter import FlowTable, Rule
from .packet_events import (
    Delivered,
    Dropped,
    FrameArrived,
    IpsecFailed,
    NoRuleMatched,
    NotProcessed,
    RuleMatched,
    SaSelected,
    SecondIpsecActionSkipped,
    Steered,
)
from .receive_filter import Admission
from .steering import UNSTEERED, Steering

_RESOURCE = struct.Struct("<IH").pack  # struct ipsec_resource_hdr
_LE16 = struct.Struct("<H").pack
_HASH = struct.Struct("<IH").pack  # hash_value and hash_report
_HASH_AT, _HASH_END = 12, 18  # offsets in virtio_net_hdr
_NUM_BUFFERS = 10  # offset in virtio_net_hdr
_MOST_BUFFERS = 0xFFFF  # what num_buffers can say

# What an IPsec rule finds and does not process: no IPsec packet at all.
_NOTHING_TO_PROCESS = frozenset({Reason.NOT_IPSEC, Reason.NOT_IP})

# Plain ints: enum members make each comparison and pack several times as slow.
_TYPE_INBOUND = int(ResourceType.IPSEC_INB_SA)
_ACTION_IPSEC, _ACTION_RECIRCULATE = int(Action.IPSEC), int(Action.IPSEC_RECIRCULATE)
_ACTION_DROP, _ACTION_DIRECT = int(Action.DROP), int(Action.DIRECT_RX_VQ)


class Received(NamedTuple):
    """A packet as the driver gets it: receive queue (receiveq1 is 0) and used buffers, the header in the first."""

    queue: int
    buffers: tuple[bytes, ...]


Place = Callable[[int, bytes], Received]
"""Puts a packet into receive buffers: ``place(queue, data)``, receiveq1 is 0, ``data`` is header and frame.

``num_buffers`` in ``data`` is 1: who spreads the packet over more buffers writes
the right number into the header.  Returns the queue whose buffers were used
(another than asked for if that one cannot be used, 5.1.9.5.6.2) and the octets
of each buffer as the driver finds them, in order, one at least; so a packet in
one buffer is ``Received(queue, (data,))``.
Raises :class:`Refused` with ``Reason.NO_BUFFER`` when there is no room; the
packet is then dropped and counted, and no buffer was used.
"""

# A NamedTuple's own __new__ takes its arguments apart and costs three times as much.
_received = tuple.__new__


class Receiver:
    """``inbound_by_spi`` maps an SPI to (resource_id, SA); ``mtu`` is 0 when VIRTIO_NET_F_MTU was not negotiated.

    ``buffer_size`` is the size of the driver's receive buffers in octets; with
    ``place`` they are elsewhere, and of their own sizes.  ``admission`` is None
    when every frame passes, ``steering`` None when all packets are for receiveq1
    and none has a hash.  Packets go to the first ``queues`` receive queues alone.
    """

    __slots__ = (
        "_by_spi",
        "_counters",
        "_err",
        "_flows",
        "_hash_report",
        "_mergeable",
        "_most",
        "_plain_header",
        "_prefix",
        "_security",
        "_size",
        "_warn",
        "admission",
        "buffer_size",
        "observer",
        "place",
        "queues",
        "refused",
        "steering",
    )

    def __init__(
        self,
        layout: HdrLayout,
        negotiated: int,
        flows: FlowTable,
        inbound_by_spi: Mapping[int, tuple[int, InboundSa]],
        mtu: int,
        counters: Counters,
    ) -> None:
        self._security, self._err, self._warn = layout.security, layout.security_err, layout.soft_expiry_warn
        self._size = layout.size
        plain = layout.build(NetHdr(num_buffers=1))
        self._plain_header = plain
        # A header is flags, what never changes, and ipsec_resource_hdr at its end.
        middle = plain[1 : layout.resource_offset]
        self._prefix = tuple(bytes((flags,)) + middle for flags in range(256))
        self._by_spi = inbound_by_spi
        self._flows = flows
        self._mergeable = bool(negotiated >> Feature.MRG_RXBUF & 1)
        self._hash_report = bool(negotiated >> Feature.HASH_REPORT & 1)
        self._most = self._size + 14 + mtu if mtu else 1 << 32
        self._counters = counters
        self.buffer_size = 1 << 17
        self.place: Place | None = None
        self.admission: Admission | None = None
        self.steering: Steering | None = None
        self.queues = 1
        self.observer: Observer | None = None
        self.refused: Refused | None = None  # why the last packet was not processed or not passed on

    def receive(self, frame: bytes) -> Received | None:
        """What the driver gets of ``frame`` from the wire, or None when nothing (dropped, and counted)."""
        observe = self.observer
        front, body, queue = self._plain_header, frame, UNSTEERED
        self.refused = None
        try:
            if observe is not None:
                observe(FrameArrived(len(frame)))
            if len(frame) < 14:
                raise Refused(Reason.TRUNCATED, f"{len(frame)} octets hold no Ethernet header")
            if self.admission is not None and (why := self.admission.refuses(frame)):
                raise Refused(Reason.FILTERED, why)
            rule = self._flows.lookup(frame)
            if rule is None:
                if observe is not None:
                    observe(NoRuleMatched(False))
            else:
                if observe is not None:
                    observe(RuleMatched(rule.resource_id, rule.action, False))
                if rule.action >= _ACTION_IPSEC:
                    front, body, processed = self._ipsec(frame)
                    if processed and rule.action == _ACTION_RECIRCULATE:
                        queue = self._recirculate(front[self._size :] + body)
                else:
                    queue = self._directed(rule)
            if self.steering is not None:
                front, queue = self._steer(self.steering, front, body, queue)
            elif queue < 0:
                queue = 0
            data = front + body
            if len(data) > self._most:
                self._check_mtu(data)
            received = self._buffers(queue, data) if self.place is None else self.place(queue, data)
        except Refused as refused:
            self.refused = refused.with_traceback(None)  # whose frames would keep the driver's memory mapped
            self._counters.rx_dropped[refused.reason] += 1
            if observe is not None:
                observe(Dropped(refused.reason, refused.detail))
            return None
        self._counters.rx_delivered += 1
        if observe is not None:
            queue, buffers = received
            observe(Delivered(queue, buffers[0][: self._size], len(buffers), len(data) - self._size))
        return received

    def _steer(self, steering: Steering, front: bytes, body: bytes, queue: int) -> tuple[bytes, int]:
        """The header, with the hash in it, and the receive queue: of the packet as the driver gets it (D80)."""
        # After IPsec processing body is the IP packet, before it a frame.
        at = 0 if len(front) > self._size else ip_offset(body) or -1
        queue, value, report = steering.steer(body, at, queue)
        if self.observer is not None:
            self.observer(Steered(queue, value, report))
        if self._hash_report:
            front = front[:_HASH_AT] + _HASH(value, report) + front[_HASH_END:]
        return front, queue

    def _ipsec(self, frame: bytes) -> tuple[bytes, bytes, bool]:
        """(front, body, whether it was processed): header and frame after IPsec inbound processing.

        ``front`` is the header with as much of the frame as is new, so that the
        long part is copied once.  On an error the frame is unchanged, and the
        header tells (D12, D13).
        Raises :class:`Refused` only for a dummy packet, which is swallowed.
        """
        observe = self.observer
        offset = ip_offset(frame)
        entry = None
        try:
            where = locate(frame, offset or len(frame))
            entry = self._by_spi.get(where[5])
            if entry is None:
                raise Refused(Reason.UNKNOWN_SPI, f"no inbound SA has SPI {where[5]:#x}")
            resource_id, sa = entry
            if observe is not None:
                observe(SaSelected(_TYPE_INBOUND, resource_id, where[5]))
            inner = sa.unprotect(frame, where, observe, offset)
        except Refused as refused:
            return self._failed(frame, entry, refused)
        flags = self._security | self._warn if sa.state.soft_expired else self._security
        header = self._prefix[flags] + _RESOURCE(resource_id, _TYPE_INBOUND)
        return header + frame[: offset - 2] + ETHERTYPE[inner[0] >> 4], inner, True

    def _failed(self, frame: bytes, entry: tuple[int, InboundSa] | None, refused: Refused) -> tuple[bytes, bytes, bool]:
        observe, reason = self.observer, refused.reason
        if reason is Reason.DUMMY:
            raise refused
        if reason in _NOTHING_TO_PROCESS:
            if observe is not None:
                observe(NotProcessed(refused.detail))
            return self._plain_header, frame, False
        self.refused = refused.with_traceback(None)
        self._counters.rx_security_err[reason] += 1
        if observe is not None:
            observe(IpsecFailed(reason, refused.detail))
        flags = self._security | self._err
        if entry is None:
            return self._prefix[flags] + _RESOURCE(0, 0), frame, False
        resource_id, sa = entry
        if sa.state.soft_expired:
            flags |= self._warn
        return self._prefix[flags] + _RESOURCE(resource_id, _TYPE_INBOUND), frame, False

    def _recirculate(self, frame: bytes) -> int:
        """The flow filter once more, on what came out of IPsec (D18): the receive queue, or UNSTEERED."""
        observe = self.observer
        rule = self._flows.lookup(frame)
        if rule is None:
            if observe is not None:
                observe(NoRuleMatched(True))
            return UNSTEERED
        if rule.action >= _ACTION_IPSEC:
            if observe is not None:
                observe(SecondIpsecActionSkipped(rule.resource_id))
            return UNSTEERED
        if observe is not None:
            observe(RuleMatched(rule.resource_id, rule.action, True))
        return self._directed(rule)

    def _directed(self, rule: Rule) -> int:
        """The receive queue that a rule chooses; a queue that is not in use leaves it to steering (D127)."""
        queue = self._final_action(rule)
        return queue if queue < self.queues else UNSTEERED

    @staticmethod
    def _final_action(rule: Rule) -> int:
        """The receive queue that a DIRECT_RX_VQ rule names; DROP raises ``RULE_DROP``."""
        if rule.action == _ACTION_DROP:
            raise Refused(Reason.RULE_DROP, f"rule {rule.resource_id}")
        return rule.vq_index // 2  # receiveqN is virtqueue 2(N - 1)

    def _check_mtu(self, data: bytes) -> None:
        """5.1.4: no packet of more than ``mtu`` octets, link-layer header apart, is passed to the driver (D48)."""
        length = len(data) - self._size - payload_offset(data[self._size : self._size + MAX_HEADER])
        mtu = self._most - self._size - 14
        if length > mtu:
            raise Refused(Reason.TOO_BIG, f"a packet of {length} octets for the driver, and the MTU is {mtu}")

    def _buffers(self, queue: int, data: bytes) -> Received:
        """Header and frame, ``data``, in receive buffers (5.1.9.3.2, 5.1.9.4.1: all but the last are filled)."""
        size = self.buffer_size
        if len(data) <= size:
            return _received(Received, (queue, (data,)))
        if not self._mergeable or size < self._size or len(data) > size * _MOST_BUFFERS:
            raise Refused(Reason.NO_BUFFER, f"header and frame are {len(data)} octets, a receive buffer holds {size}")
        count = -(-len(data) // size)
        data = data[:_NUM_BUFFERS] + _LE16(count) + data[_NUM_BUFFERS + 2 :]
        return Received(queue, tuple(data[at : at + size] for at in range(0, len(data), size)))
