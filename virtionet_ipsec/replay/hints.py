"""What each reason means to the person who reads the report, and what to look at."""

from __future__ import annotations

from ..ipsec import Reason

HINTS: dict[Reason, str] = {
    Reason.MALFORMED: "a header, length or trailer contradicts itself: look at the bytes",
    Reason.TRUNCATED: "the packet ends early: was it captured with a short snapshot length?",
    Reason.NOT_IP: "IPsec was asked for, and the frame holds no IP packet",
    Reason.NOT_IPSEC: "neither ESP nor AH",
    Reason.FRAGMENT: "fragments are not processed (D17): reassemble, or lower the sender's MTU",
    Reason.BAD_PADDING: "the padding is not 1, 2, 3, ...: an encryption key or a sender's padding is wrong",
    Reason.INNER_MISMATCH: "what came out is no packet for this SA: is it tunnel or transport mode?",
    Reason.DUMMY: "dummy packets are swallowed (RFC 4303 2.6); this is no failure",
    Reason.UNKNOWN_SPI: "no inbound SA has this SPI: add it to the SA file",
    Reason.UNKNOWN_SA: "no outbound SA has this resource_id",
    Reason.PROTOCOL_MISMATCH: "the SA with this SPI is for the other of ESP and AH",
    Reason.ENCAP_MISMATCH: "UDP encapsulation does not agree with the SA: add or remove its udp key",
    Reason.REPLAYED: "this sequence number was received before: a duplicate in the capture, or a replay",
    Reason.TOO_OLD: "the sequence number lies below the window: more reordering than replay_window allows",
    Reason.BAD_ICV: "the integrity check fails: wrong key, salt, ICV length or esn setting, or a damaged packet",
    Reason.SEQUENCE_EXHAUSTED: "the sequence number must not cycle: rekey, or use esn",
    Reason.HARD_LIFETIME: "the SA reached a hard limit: rekey, or raise lifetime",
    Reason.TTL_EXPIRED: "TTL or hop limit has nothing left to decrement",
    Reason.ECN_INVALID: "CE outside and Not-ECT inside: RFC 6040 drops it",
    Reason.TOO_BIG: "larger than the MTU, encapsulation included",
    Reason.FILTERED: "the driver's receive filter does not want this destination or VLAN",
    Reason.RULE_DROP: "a flow filter rule dropped it",
    Reason.NO_BUFFER: "the receive buffers are too small",
    Reason.BAD_HEADER: "the driver's virtio_net_hdr is wrong, or not for this packet",
    Reason.BAD_CSUM: "csum_start or csum_offset is not where the packet has its checksum",
    Reason.GSO_NOT_NEGOTIATED: "gso_type without a negotiated segmentation feature",
    Reason.NOT_READY: "DRIVER_OK is not set",
}
