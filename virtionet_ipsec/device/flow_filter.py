"""The flow filter as packets meet it (virtio 1.4, 5.1.9.6 Flow filter, Packet processing order).

Groups are tried from the highest priority to the lowest, rules within a group
likewise, and the first rule that matches acts.  That is one order over all
rules, so every rule gets a rank, 0 for the first, and the answer is the
matching rule of the lowest rank.

Rules whose classifiers mask the same bits share one dict from masked header to
rule; so a lookup costs a dict access for each distinct mask, however many
rules there are, and ends early when no better rank is left.  The headers are
one long integer: masking is one operation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from ..wire.enums import SELECTOR_LENGTH, Action, SelectorType
from .frame_headers import EXTENSION_HEADERS, LONGEST_TRANSPORT, frame_headers


@dataclass(frozen=True, slots=True)
class Classifier:
    """A classifier object: the headers it looks at, and ``mask``, the masks one after the other."""

    types: tuple[SelectorType, ...]
    mask: bytes

    @property
    def family(self) -> int:
        """The IP version of the frames it can match; 0 when it looks at Ethernet alone."""
        if len(self.types) == 1:
            return 0
        return 4 if self.types[1] is SelectorType.IPV4 else 6


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule object.  ``key`` lies over the classifier's mask; ``vq_index`` is a virtqueue index (5.1.2)."""

    resource_id: int
    group_id: int
    group_priority: int
    rule_priority: int
    classifier_id: int
    classifier: Classifier
    key: bytes
    action: Action
    vq_index: int


class _Probe(NamedTuple):
    """All rules that mask the same bits of the same headers."""

    rank: int  # the best of them
    mask: int
    rules: dict[int, tuple[int, Rule]]  # masked headers -> rank, rule
    family: int
    length: int  # octets of header


_Direct = tuple[int, int, dict[int, tuple[int, Rule]]]  # rank, mask, rules as in _Probe

# The frames that most traffic consists of need no parsing: untagged, IPv4 without options and not a later
# fragment, or IPv6 without extension headers.  Their headers already stand in a row at the start of the frame.
_ETH = SELECTOR_LENGTH[SelectorType.ETH]
_ROW4 = _ETH + SELECTOR_LENGTH[SelectorType.IPV4] + LONGEST_TRANSPORT
_ROW6 = _ETH + SELECTOR_LENGTH[SelectorType.IPV6] + LONGEST_TRANSPORT
_PLAIN_IPV4 = b"\x08\x00\x45"
_PLAIN_IPV6 = frozenset(b"\x86\xdd" + bytes((0x60 | low,)) for low in range(16))
_NO_RANK = 1 << 62
_from_bytes = int.from_bytes


class FlowTable:
    """Groups, classifiers and rules that exist, and the lookup.

    The maps are by resource id; ``groups`` holds priorities and
    ``group_of_priority`` is its inverse.  The lookup tables are made anew at
    the first lookup after a change.
    """

    def __init__(self) -> None:
        self.groups: dict[int, int] = {}
        self.group_of_priority: dict[int, int] = {}
        self.classifiers: dict[int, Classifier] = {}
        self.rules: dict[int, Rule] = {}
        self.rules_of_group: Counter[int] = Counter()
        self.rules_of_classifier: Counter[int] = Counter()
        self._stale = False
        self._probes: list[_Probe] = []
        self._direct4: list[_Direct] = []
        self._direct6: list[_Direct] = []

    def clear(self) -> None:
        """Device reset: nothing is left."""
        self.groups.clear()
        self.group_of_priority.clear()
        self.classifiers.clear()
        self.rules.clear()
        self.rules_of_group.clear()
        self.rules_of_classifier.clear()
        self._stale = True

    def put_group(self, resource_id: int, priority: int) -> None:
        """Add a group, or give the one with this id another priority; it has no rules then."""
        self.remove_group(resource_id)
        self.groups[resource_id] = priority
        self.group_of_priority[priority] = resource_id

    def remove_group(self, resource_id: int) -> None:
        """Take a group out, if it is there; it has no rules."""
        priority = self.groups.pop(resource_id, None)
        if priority is not None:
            del self.group_of_priority[priority]

    def put_rule(self, rule: Rule) -> None:
        """Add a rule, or put it in the place of the one with its id."""
        self.remove_rule(rule.resource_id)
        self.rules[rule.resource_id] = rule
        self.rules_of_group[rule.group_id] += 1
        self.rules_of_classifier[rule.classifier_id] += 1

    def remove_rule(self, resource_id: int) -> None:
        """Take a rule out, if it is there."""
        self._stale = True
        rule = self.rules.pop(resource_id, None)
        if rule is not None:
            self.rules_of_group[rule.group_id] -= 1
            self.rules_of_classifier[rule.classifier_id] -= 1

    def lookup(self, frame: bytes) -> Rule | None:
        """The rule that acts on ``frame`` (from the destination address on, any length), or None."""
        if self._stale:
            self._compile()
        kind = frame[12:15]
        if kind == _PLAIN_IPV4 and len(frame) >= _ROW4 and not (frame[21] or frame[20] & 0x1F):
            probes, headers = self._direct4, _from_bytes(frame[:_ROW4], "big")
        elif kind in _PLAIN_IPV6 and len(frame) >= _ROW6 and frame[20] not in EXTENSION_HEADERS:
            probes, headers = self._direct6, _from_bytes(frame[:_ROW6], "big")
        else:
            return self._lookup_parsed(frame)
        best, best_rank = None, _NO_RANK
        for rank, mask, rules in probes:
            if rank > best_rank:
                break
            found = rules.get(headers & mask)
            if found is not None and found[0] < best_rank:
                best_rank, best = found
        return best

    def _lookup_parsed(self, frame: bytes) -> Rule | None:
        family, headers = frame_headers(frame)
        best, best_rank = None, _NO_RANK
        for probe in self._probes:
            if probe.rank > best_rank:
                break
            # A classifier that looks at Ethernet alone sees a VLAN tag where it lies.
            octets = frame if probe.family == 0 else headers if probe.family == family else b""
            if len(octets) < probe.length:
                continue
            found = probe.rules.get(int.from_bytes(octets[: probe.length], "big") & probe.mask)
            if found is not None and found[0] < best_rank:
                best_rank, best = found
        return best

    def _compile(self) -> None:
        ordered = sorted(self.rules.values(), key=lambda r: (-r.group_priority, -r.rule_priority, r.resource_id))
        probes: dict[tuple[int, int, int], _Probe] = {}
        for rank, rule in enumerate(ordered):
            family, length = rule.classifier.family, len(rule.classifier.mask)
            mask = int.from_bytes(rule.classifier.mask, "big")
            probe = probes.get((family, length, mask))
            if probe is None:
                probe = probes[family, length, mask] = _Probe(rank, mask, {}, family, length)
            # The first rule with these bits hides every later one.
            probe.rules.setdefault(int.from_bytes(rule.key, "big") & mask, (rank, rule))
        self._probes = list(probes.values())
        self._direct4 = _direct((p for p in self._probes if p.family in (0, 4)), _ROW4)
        self._direct6 = _direct((p for p in self._probes if p.family in (0, 6)), _ROW6)
        self._stale = False


def _direct(probes: Iterable[_Probe], row: int) -> list[_Direct]:
    """``probes``, in order of rank, over a row of headers of ``row`` octets."""
    direct: list[_Direct] = []
    for probe in probes:
        shift = (row - probe.length) * 8
        rules = {headers << shift: ranked for headers, ranked in probe.rules.items()}
        direct.append((probe.rank, probe.mask << shift, rules))
    return direct
