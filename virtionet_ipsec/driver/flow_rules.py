"""The driver's flow filter: what steers ESP and AH into IPsec processing (virtio 1.4, 5.1.9.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..wire.codec import build
from ..wire.enums import SELECTOR_LENGTH, SelectorType
from ..wire.flow_filter import FfClassifier, FfGroup, FfRule

_ESP, _AH, _UDP = 50, 51, 17

# Where fields lie in their headers, in octets.
ETHERTYPE_AT = 12
_IP = {
    SelectorType.IPV4: (b"\x08\x00", 9),  # EtherType, offset of Protocol
    SelectorType.IPV6: (b"\x86\xdd", 6),  # EtherType, offset of Next Header
}
_UDP_DPORT_AT = 2


@dataclass(frozen=True, slots=True)
class Match:
    """One selector of a classifier with a rule's key for it: a mask and a key, each as long as the header."""

    type: SelectorType
    mask: bytes
    key: bytes

    @classmethod
    def fields(cls, kind: SelectorType, *fields: tuple[int, bytes]) -> Match:
        """Match whole fields, each given as (offset, value), and nothing else of the header."""
        mask, key = bytearray(SELECTOR_LENGTH[kind]), bytearray(SELECTOR_LENGTH[kind])
        for offset, value in fields:
            mask[offset : offset + len(value)] = b"\xff" * len(value)
            key[offset : offset + len(value)] = value
        return cls(kind, bytes(mask), bytes(key))


def group(priority: int) -> bytes:
    """A group object; the greater priority is tried first."""
    return build(FfGroup, group_priority=priority)


def classifier(matches: tuple[Match, ...]) -> bytes:
    """The classifier object for these selectors."""
    selectors: list[dict[str, Any]] = [{"type": match.type, "mask": match.mask} for match in matches]
    return build(FfClassifier, selectors=selectors)


def rule(
    group_id: int, classifier_id: int, priority: int, action: int, matches: tuple[Match, ...], vq_index: int = 0
) -> bytes:
    """A rule object; ``vq_index`` is for DIRECT_RX_VQ, the index of a receive virtqueue."""
    return build(
        FfRule,
        group_id=group_id,
        classifier_id=classifier_id,
        rule_priority=priority,
        action=action,
        vq_index=vq_index,
        keys=b"".join(match.key for match in matches),
    )


def ipsec_matches(udp_ports: tuple[int, ...]) -> list[tuple[Match, ...]]:
    """What IPsec packets look like: ESP and AH over both IP versions, and UDP to each of ``udp_ports``."""
    found: list[tuple[Match, ...]] = []
    for version, (ethertype, protocol_at) in _IP.items():
        ethernet = Match.fields(SelectorType.ETH, (ETHERTYPE_AT, ethertype))
        for protocol in (_ESP, _AH):
            found.append((ethernet, Match.fields(version, (protocol_at, bytes((protocol,))))))
        for port in udp_ports:
            ip = Match.fields(version, (protocol_at, bytes((_UDP,))))
            udp = Match.fields(SelectorType.UDP, (_UDP_DPORT_AT, port.to_bytes(2, "big")))
            found.append((ethernet, ip, udp))
    return found
