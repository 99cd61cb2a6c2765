"""The steps a packet takes through the device, as small values for an observer.

The engine's own steps (window, ICV, trailer) are in
:mod:`virtionet_ipsec.ipsec.events`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ipsec import Event, Reason


@dataclass(frozen=True, slots=True)
class HeaderRead(Event):
    """Transmit: the driver's virtio_net_hdr, ``size`` octets, raw."""

    queue: int
    header: bytes


@dataclass(frozen=True, slots=True)
class ChecksumFilled(Event):
    """NEEDS_CSUM was done: ``checksum`` is at ``csum_start + csum_offset`` of the frame."""

    csum_start: int
    csum_offset: int
    checksum: int


@dataclass(frozen=True, slots=True)
class Segmented(Event):
    """Transmit: the packet makes ``count`` segments of at most ``gso_size`` octets of payload."""

    count: int
    gso_size: int


@dataclass(frozen=True, slots=True)
class SaSelected(Event):
    """An SA was found: outbound by ``resource_id``, inbound by ``spi``."""

    resource_type: int
    resource_id: int
    spi: int


@dataclass(frozen=True, slots=True)
class Sent(Event):
    """Transmit: a frame of ``length`` octets went on the wire."""

    length: int
    protected: bool


@dataclass(frozen=True, slots=True)
class FrameArrived(Event):
    """Receive: a frame of ``length`` octets came from the wire."""

    length: int


@dataclass(frozen=True, slots=True)
class RuleMatched(Event):
    """Flow filter: this rule's action is taken; ``again`` on the second pass of a recirculated packet."""

    resource_id: int
    action: int
    again: bool


@dataclass(frozen=True, slots=True)
class NoRuleMatched(Event):
    """Flow filter: no rule matched, steering decides."""

    again: bool


@dataclass(frozen=True, slots=True)
class SecondIpsecActionSkipped(Event):
    """D18: a recirculated packet met an IPsec rule again."""

    resource_id: int


@dataclass(frozen=True, slots=True)
class NotProcessed(Event):
    """An IPsec rule matched something that is no IPsec packet: it goes on as it is, without SECURITY."""

    detail: str


@dataclass(frozen=True, slots=True)
class IpsecFailed(Event):
    """Inbound IPsec processing failed: the packet goes up unchanged with SECURITY_ERR (D13)."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Dropped(Event):
    """The packet ends here."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Steered(Event):
    """Receive: steering, or a rule before it, chose receive queue ``queue``; ``hash_report`` is 0 without a hash."""

    queue: int
    hash_value: int
    hash_report: int


@dataclass(frozen=True, slots=True)
class Delivered(Event):
    """Receive: the packet, ``header`` first, is in ``num_buffers`` buffers of receive queue ``queue``."""

    queue: int
    header: bytes
    num_buffers: int
    length: int
