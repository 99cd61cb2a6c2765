"""Why a packet was refused: one name for every failure.

The same names appear in counters, events, reports and exceptions.  The engine
raises :class:`Refused` with one of them for every packet that it cannot
process; no other exception leaves it, whatever the bytes were.
"""

from __future__ import annotations

import enum


class Reason(enum.Enum):
    """Why a packet was not processed.  The value is the name used in reports."""

    # The packet itself.
    MALFORMED = "malformed"  # a header, length or trailer contradicts itself
    TRUNCATED = "truncated"  # the packet ends before its own length says it does
    NOT_IP = "not_ip"  # IPsec was asked for, and there is no IP packet
    NOT_IPSEC = "not_ipsec"  # an inbound IPsec rule matched something that is neither ESP nor AH
    FRAGMENT = "fragment"  # decision D17: fragments are not processed
    BAD_PADDING = "bad_padding"  # RFC 4303 2.4: padding is not 1, 2, 3, ...
    INNER_MISMATCH = "inner_mismatch"  # next header and decrypted packet disagree, or not tunnel/transport as the SA
    DUMMY = "dummy"  # RFC 4303 2.6: next header 59, swallowed without an error

    # The security association.
    UNKNOWN_SPI = "unknown_spi"  # inbound: no SA has this SPI (D12)
    UNKNOWN_SA = "unknown_sa"  # outbound: no SA has this resource_id (D14)
    PROTOCOL_MISMATCH = "protocol_mismatch"  # ESP for an AH SA or the reverse
    ENCAP_MISMATCH = "encap_mismatch"  # UDP-encapsulated for an SA without, or the reverse
    REPLAYED = "replayed"  # RFC 4303 3.4.3: seen already
    TOO_OLD = "too_old"  # RFC 4303 3.4.3: to the left of the window
    BAD_ICV = "bad_icv"  # RFC 4303 3.4.4: integrity check failed
    SEQUENCE_EXHAUSTED = "sequence_exhausted"  # RFC 4303 3.3.3: the counter must not cycle
    HARD_LIFETIME = "hard_lifetime"  # the packet would pass a hard limit (D15)

    # Headers and sizes on the way.
    TTL_EXPIRED = "ttl_expired"  # DEC_TTL and nothing left to decrement
    ECN_INVALID = "ecn_invalid"  # RFC 6040 4.2: CE outside, Not-ECT inside
    TOO_BIG = "too_big"  # more than the MTU, or more than a length field holds

    # The device around the engine.
    FILTERED = "filtered"  # the driver's receive filter (RX modes, MAC table, VLAN table) does not let it pass
    RULE_DROP = "rule_drop"  # a flow filter rule said VIRTIO_NET_FF_ACTION_DROP
    NO_BUFFER = "no_buffer"  # the packet does not fit the receive buffers
    BAD_HEADER = "bad_header"  # the driver's virtio_net_hdr is short or contradicts itself or the packet
    BAD_CSUM = "bad_csum"  # csum_start or csum_offset lies outside the packet, or is not the segments' checksum
    GSO_NOT_NEGOTIATED = "gso_not_negotiated"  # gso_type without its feature
    NOT_READY = "not_ready"  # before DRIVER_OK


class Refused(Exception):
    """A packet that is not processed: ``reason`` for counters, ``detail`` for people.

    ``detail`` never holds key material; it may hold numbers from the packet.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason.value}: {self.detail}" if self.detail else self.reason.value
