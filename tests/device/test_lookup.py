"""The lookup against a matcher that is slow and plainly right; frames that need thought (virtio 1.4, 5.1.9.6)."""

from __future__ import annotations

import time
from collections import Counter
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from virtionet_ipsec.device.flow_filter import Classifier, FlowTable, Rule
from virtionet_ipsec.wire import Action, SelectorType

from .control import LENGTHS, octets

ETH, IPV4, IPV6, TCP, UDP, ESP = SelectorType
PROTOCOLS = {TCP: 6, UDP: 17, ESP: 50}


# -- the slow matcher --------------------------------------------------------------------------------------------


class Ip(NamedTuple):
    version: int
    header: bytes  # fixed part, Next Header replaced by the last one
    transport: bytes  # as far as it is there; empty when it cannot be told or lies elsewhere


def untagged(frame: bytes) -> tuple[bytes, bytes]:
    """EtherType behind at most two VLAN tags, and what follows."""
    rest = frame[12:]
    for _ in range(2):
        if rest[:2] in (b"\x81\x00", b"\x88\xa8"):
            rest = rest[4:]
    return rest[:2], rest[2:]


def read_ip(frame: bytes) -> Ip | None:
    ethertype, packet = untagged(frame)
    if ethertype == b"\x08\x00" and len(packet) >= 20 and packet[0] // 16 == 4:
        header_length = packet[0] % 16 * 4
        later_fragment = int.from_bytes(packet[6:8], "big") % 0x2000 > 0
        readable = header_length >= 20 and not later_fragment
        return Ip(4, packet[:20], packet[header_length:] if readable else b"")
    if ethertype == b"\x86\xdd" and len(packet) >= 40 and packet[0] // 16 == 6:
        next_header, rest = packet[6], packet[40:]
        for _ in range(16):
            if next_header not in (0, 43, 44, 60, 135, 139, 140) or len(rest) < 8:
                break
            length = 8 if next_header == 44 else 8 * rest[1] + 8
            if len(rest) < length:
                break
            later_fragment = next_header == 44 and int.from_bytes(rest[2:4], "big") >= 8
            next_header, rest = rest[0], rest[length:]
            if later_fragment:
                return Ip(6, packet[:6] + bytes([next_header]) + packet[7:40], b"")
        done = next_header not in (0, 43, 44, 60, 135, 139, 140)
        return Ip(6, packet[:6] + bytes([next_header]) + packet[7:40], rest if done else b"")
    return None


def headers_for(types: tuple[SelectorType, ...], frame: bytes) -> list[bytes] | None:
    """A header for each selector, or None when the frame does not have them."""
    if len(frame) < 14:
        return None
    if len(types) == 1:
        return [frame[:14]]
    ip = read_ip(frame)
    if ip is None or ip.version != (4 if types[1] is IPV4 else 6):
        return None
    found = [frame[:12] + untagged(frame)[0], ip.header]
    if len(types) == 3:
        if ip.header[9 if ip.version == 4 else 6] != PROTOCOLS[types[2]] or len(ip.transport) < LENGTHS[types[2]]:
            return None
        found.append(ip.transport[: LENGTHS[types[2]]])
    return found


def matches(rule: Rule, frame: bytes) -> bool:
    headers = headers_for(rule.classifier.types, frame)
    if headers is None:
        return False
    start = 0
    for header in headers:
        mask = rule.classifier.mask[start : start + len(header)]
        key = rule.key[start : start + len(header)]
        if any((h ^ k) & m for h, k, m in zip(header, key, mask, strict=True)):
            return False
        start += len(header)
    return True


def slow_lookup(rules: list[Rule], frame: bytes) -> Rule | None:
    for priority in sorted({rule.group_priority for rule in rules}, reverse=True):
        group = [rule for rule in rules if rule.group_priority == priority]
        for rule in sorted(group, key=lambda each: (-each.rule_priority, each.resource_id)):
            if matches(rule, frame):
                return rule
    return None


# -- frames and rules that meet often ----------------------------------------------------------------------------

ADDRESSES = (b"\x0a\0\0\1", b"\x0a\0\0\2", b"\xc0\0\2\1")
MACS = (b"\2\0\0\0\0\1", b"\xff" * 6)
TRANSPORT_PROTOCOLS = (6, 17, 50)


def transport(random: Random) -> bytes:
    words = b"".join(random.choice((0, 1, 500, 4500)).to_bytes(2, "big") for _ in range(12))
    return words[: random.choice((24, 24, 24, 20, 19, 8, 7, 0))]


def random_ipv4(random: Random) -> bytes:
    ihl = random.choice((5, 5, 5, 5, 6, 15, 4, 0))
    fragment = random.choice((0, 0, 0, 0x4000, 0x4000, 0x2000, 0x2001, 1, 0x1F00, 0x100))
    protocol = random.choice((*TRANSPORT_PROTOCOLS * 3, 0, 51))
    header = bytes([random.choice((0x40,) * 9 + (0x60,)) | ihl, random.choice((0, 0, 3))])
    header += b"\0\x40\0\0" + fragment.to_bytes(2, "big") + bytes([64, protocol, 0, 0])
    header += random.choice(ADDRESSES) + random.choice(ADDRESSES)
    return header + b"\1" * max(ihl * 4 - 20, 0) + transport(random)


def random_ipv6(random: Random) -> bytes:
    chain = [random.choice((0, 43, 44, 44, 60, 135)) for _ in range(random.choice((0, 0, 1, 1, 2, 3, 16, 17)))]
    following = [*chain[1:], random.choice((*TRANSPORT_PROTOCOLS * 3, 51, 59, 60))]
    first = [*chain, *following][0]
    packet = bytes([random.choice((0x60,) * 9 + (0x40,)), 0, 0, 0, 0, 0, first, 64])
    packet += random.choice(ADDRESSES) * 4 + random.choice(ADDRESSES) * 4
    for kind, after in zip(chain, following, strict=False):
        if kind == 44:
            offset = random.choice((0, 1, 1, 6, 8, 0x100))
            packet += bytes([after, random.choice((0, 9))]) + offset.to_bytes(2, "big") + b"\0\0\0\1"
        else:
            units = random.choice((0, 0, 0, 1, 2))
            lying = random.choice((0,) * 15 + (200,))
            packet += bytes([after, units + lying]) + bytes(6 + 8 * units)
    return packet + transport(random)


def random_frame(random: Random) -> bytes:
    family = random.choice((4, 6))
    honest = b"\x08\x00" if family == 4 else b"\x86\xdd"
    ethertype = random.choice((honest,) * 12 + (b"\x08\x00", b"\x86\xdd", b"\x08\x06"))
    tags = [random.choice((b"\x81\x00\0\7", b"\x88\xa8\0\7")) for _ in range(random.choice((0, 0, 0, 0, 1, 2, 3)))]
    packet = random_ipv4(random) if family == 4 else random_ipv6(random)
    frame = random.choice(MACS) + random.choice(MACS) + b"".join(tags) + ethertype + packet
    frame += bytes(random.choice((0, 0, 40)))
    return frame[: random.randrange(len(frame))] if random.random() < 0.1 else frame


ETH_MASKS = (bytes(12), bytes(12), b"\xff" * 6 + bytes(6), b"\1" + bytes(11))
IP_MASKS = {
    4: (
        octets(20),
        octets(20, _16=b"\xff" * 4),
        octets(20, _12=b"\xff" * 3),
        octets(20, _1=b"\3"),
        octets(20, _0=b"\x0f"),
    ),
    6: (octets(40), octets(40, _8=b"\xff" * 16), octets(40, _24=b"\xff" * 2)),
}
TRANSPORT_MASKS = (bytes(20), b"\xff\xff", b"\0\0\xff\xff", b"\xff" * 4, b"\0\0\0\1", b"\xff" * 8, b"\xff" * 20)
KINDS = ((ETH,), (ETH, IPV4), (ETH, IPV6), *((ETH, ip, kind) for ip in (IPV4, IPV6) for kind in (TCP, UDP, ESP)))


def random_rule(random: Random, number: int, frames: list[bytes]) -> Rule:
    """A rule whose key mostly comes from one of the frames."""
    frame = random.choice(frames)
    fitting = [types for types in KINDS if headers_for(types, frame)]
    candidates = fitting if fitting and random.random() < 0.8 else KINDS
    (types,) = random.choices(candidates, weights=[10 ** len(types) for types in candidates])
    headers = headers_for(types, frame) or [bytes(LENGTHS[kind]) for kind in types]
    masks = [bytearray(random.choice(ETH_MASKS) + random.choice((b"\xff\xff",) * 5 + (b"\0\0",)))]
    keys = [bytearray(header) for header in headers]
    if len(types) > 1:
        version, next_at = (4, 9) if types[1] is IPV4 else (6, 6)
        masks[0][12:] = b"\xff\xff"
        keys[0][12:] = b"\x08\x00" if version == 4 else b"\x86\xdd"
        masks.append(bytearray(random.choice(IP_MASKS[version])))
        masks[1][next_at] = random.choice((0, 0xFF))
    if len(types) > 2:
        masks[1][next_at] = 0xFF
        keys[1][next_at] = PROTOCOLS[types[2]]
        length = LENGTHS[types[2]]
        masks.append(bytearray(random.choice(TRANSPORT_MASKS)[:length].ljust(length, b"\0")))
    return Rule(
        resource_id=number,
        group_id=0,
        group_priority=random.randrange(3),
        rule_priority=random.randrange(3),
        classifier_id=0,
        classifier=Classifier(types, b"".join(masks)),
        key=b"".join(keys),
        action=Action.DROP,
        vq_index=0,
    )


def table(rules: list[Rule]) -> FlowTable:
    flows = FlowTable()
    for rule in rules:
        flows.put_rule(rule)
    return flows


@settings(max_examples=250, deadline=None)
@given(st.randoms(use_true_random=True))
def test_the_first_match_is_that_of_the_slow_matcher(random: Random) -> None:
    frames = [random_frame(random) for _ in range(12)]
    rules = [random_rule(random, number, frames) for number in range(random.randrange(12))]
    flows = table(rules)
    for frame in frames:
        assert flows.lookup(frame) == slow_lookup(rules, frame)
    for rule in random.sample(rules, len(rules) // 2):
        flows.remove_rule(rule.resource_id)
        rules.remove(rule)
    for frame in frames:
        assert flows.lookup(frame) == slow_lookup(rules, frame)


def test_the_random_frames_meet_the_random_rules() -> None:
    """Else the test above would say nothing: every kind of classifier is hit, on plain frames and on others."""
    random = Random(1)
    met: Counter[object] = Counter()
    for _ in range(200):
        frames = [random_frame(random) for _ in range(12)]
        rules = [random_rule(random, number, frames) for number in range(8)]
        for frame in frames:
            if (rule := slow_lookup(rules, frame)) is not None:
                v6 = frame[12:14] == b"\x86\xdd" and frame[20:21] in (b"\x06", b"\x11", b"\x32")
                met[rule.classifier.types, v6 or frame[12:15] == b"\x08\x00\x45"] += 1
    assert all(met[types, plain] >= 5 for types in KINDS for plain in (False, True)), met


@given(st.binary(max_size=120))
@example(b"")
@example(bytes(13))
@example(bytes(14))
@example(bytes(12) + b"\x81\x00" * 60)
@example(bytes(12) + b"\x86\xdd\x60" + bytes(39) + bytes([0, 0]) * 40)
def test_any_octets_can_be_looked_up(frame: bytes) -> None:
    everything = [
        make(ETH, mask=bytes(14)),
        make(ETH, IPV4, number=1),
        make(ETH, IPV6, number=2),
        make(ETH, IPV4, ESP, number=3),
        make(ETH, IPV6, TCP, number=4),
    ]
    assert table(everything).lookup(frame) == slow_lookup(everything, frame)


# -- frames that need thought, one by one ------------------------------------------------------------------------


def make(
    *types: SelectorType,
    number: int = 0,
    group: int = 0,
    priority: int = 0,
    mask: bytes | None = None,
    key: bytes | None = None,
) -> Rule:
    """A rule that compares EtherType and protocol alone, or what ``mask`` and ``key`` say."""
    masks = {ETH: octets(14, _12=b"\xff\xff"), IPV4: octets(20, _9=b"\xff"), IPV6: octets(40, _6=b"\xff")}
    whole = b"".join(masks.get(kind, bytes(LENGTHS[kind])) for kind in types) if mask is None else mask
    if key is None:
        protocol = bytes([PROTOCOLS[types[2]]]) if len(types) > 2 else b"\x32"
        keys = {
            ETH: octets(14, _12=b"\x86\xdd" if IPV6 in types else b"\x08\x00"),
            IPV4: octets(20, _9=protocol),
            IPV6: octets(40, _6=protocol),
        }
        key = b"".join(keys.get(kind, bytes(LENGTHS[kind])) for kind in types)
    return Rule(number, 0, group, priority, 0, Classifier(types, whole), key, Action.DROP, 0)


def v4(protocol: int = 50, *, ihl: int = 5, fragment: int = 0, rest: bytes = bytes(30)) -> bytes:
    header = octets(20, _0=bytes([0x40 | ihl]), _6=fragment.to_bytes(2, "big"), _9=bytes([protocol]))
    return bytes(12) + b"\x08\x00" + header + bytes(ihl * 4 - 20) + rest


def v6(next_header: int = 50, rest: bytes = bytes(30)) -> bytes:
    return bytes(12) + b"\x86\xdd" + octets(40, _0=b"\x60", _6=bytes([next_header])) + rest


def tagged(frame: bytes, *tags: bytes) -> bytes:
    return frame[:12] + b"".join(tag + b"\0\1" for tag in tags) + frame[12:]


ESP4, ESP6 = make(ETH, IPV4, ESP), make(ETH, IPV6, ESP)
C_TAG, S_TAG = b"\x81\x00", b"\x88\xa8"


def hits(rule: Rule, frame: bytes) -> bool:
    found = table([rule]).lookup(frame)
    assert found == (rule if matches(rule, frame) else None)
    return found is not None


def test_the_plain_cases() -> None:
    assert hits(ESP4, v4())
    assert hits(ESP6, v6())
    assert not hits(ESP4, v4(17))
    assert not hits(ESP6, v6(17))
    assert not hits(ESP4, v6())
    assert not hits(ESP6, v4())
    assert not hits(ESP4, bytes(12) + b"\x08\x06" + v4()[14:])


@pytest.mark.parametrize("tags", [(C_TAG,), (S_TAG,), (S_TAG, C_TAG), (C_TAG, C_TAG)])
def test_vlan_tags(tags: tuple[bytes, ...]) -> None:
    assert hits(ESP4, tagged(v4(), *tags))
    assert hits(ESP6, tagged(v6(), *tags))
    assert not hits(ESP4, tagged(v4(17), *tags))
    # A selector of Ethernet alone sees the tag where it lies.
    assert not hits(make(ETH), tagged(v4(), *tags))
    assert hits(make(ETH, key=octets(14, _12=tags[0])), tagged(v4(), *tags))


def test_three_vlan_tags_are_not_looked_behind() -> None:
    assert not hits(ESP4, tagged(v4(), C_TAG, C_TAG, C_TAG))


def test_ipv4_options() -> None:
    assert hits(ESP4, v4(ihl=6))
    assert hits(ESP4, v4(ihl=15))
    spi = make(ETH, IPV4, ESP, mask=ESP4.classifier.mask[:34] + b"\xff" * 4 + bytes(4))
    assert hits(spi, v4(ihl=7))
    assert not hits(spi, v4(ihl=7, rest=b"\1" * 30))


def test_ipv4_header_length_that_lies() -> None:
    frame = bytearray(v4())
    for ihl in range(5):
        frame[14] = 0x40 | ihl
        assert not hits(ESP4, bytes(frame))
        assert hits(make(ETH, IPV4), bytes(frame))
    assert not hits(ESP4, v4(ihl=15, rest=b"")[:60])


def test_wrong_ip_version() -> None:
    frame = bytearray(v4())
    frame[14] = 0x65
    assert not hits(make(ETH, IPV4), bytes(frame))
    assert hits(make(ETH), bytes(frame))


@pytest.mark.parametrize("fragment", [1, 0x2001, 0x100, 0x1F00, 0x1FFF])
def test_later_ipv4_fragments_have_no_transport_header(fragment: int) -> None:
    assert not hits(ESP4, v4(fragment=fragment))
    assert hits(make(ETH, IPV4), v4(fragment=fragment))


@pytest.mark.parametrize("fragment", [0x2000, 0x4000, 0x8000])
def test_the_first_ipv4_fragment_has(fragment: int) -> None:
    assert hits(ESP4, v4(fragment=fragment))


@pytest.mark.parametrize("header", [0, 43, 60, 135, 139, 140])
def test_ipv6_extension_headers(header: int) -> None:
    assert hits(ESP6, v6(header, bytes([50, 1]) + bytes(14) + bytes(30)))
    assert hits(ESP6, v6(60, bytes([header, 0]) + bytes(6) + bytes([50, 2]) + bytes(22) + bytes(30)))
    # The Next Header that is compared is the last one, in place of the first.
    assert not hits(
        make(ETH, IPV6, key=octets(54, _12=b"\x86\xdd", _20=bytes([header]))), v6(header, bytes([50]) + bytes(40))
    )
    assert hits(make(ETH, IPV6), v6(header, bytes([50]) + bytes(40)))


def test_ah_ends_the_chain() -> None:
    ah = make(ETH, IPV6, key=octets(54, _12=b"\x86\xdd", _20=b"\x33"))
    assert hits(ah, v6(51, bytes([50, 4]) + bytes(60)))
    assert hits(ah, v6(0, bytes([51, 0]) + bytes(60)))
    assert not hits(ESP6, v6(51, bytes([50, 4]) + bytes(60)))


def test_ipv6_fragments() -> None:
    first = v6(44, bytes([50, 0, 0, 1]) + bytes(40))
    later = v6(44, bytes([50, 0, 0, 8]) + bytes(40))
    assert hits(ESP6, first)
    assert not hits(ESP6, later)
    assert hits(make(ETH, IPV6), later)
    # What a later fragment's header names is not walked, it is not there.
    assert not hits(ESP6, v6(44, bytes([60, 0, 0, 8]) + bytes(4) + bytes([50, 0]) + bytes(40)))


@pytest.mark.parametrize("rest", [b"", bytes([50]), bytes([50, 0, 0, 0, 0, 0, 0]), bytes([50, 5]) + bytes(6)])
def test_a_truncated_chain(rest: bytes) -> None:
    frame = v6(60, rest)
    assert not hits(ESP6, frame)
    assert not hits(make(ETH, IPV6), frame)
    assert hits(make(ETH, IPV6, key=octets(54, _12=b"\x86\xdd", _20=b"\x3c")), frame)


def test_a_chain_that_does_not_end_is_left() -> None:
    endless = v6(60, bytes([60, 0, 0, 0, 0, 0, 0, 0]) * 8000)
    assert not hits(ESP6, endless)
    flows = table([ESP6])
    started = time.perf_counter()
    for _ in range(100):
        flows.lookup(endless)
    assert time.perf_counter() - started < 0.1


@pytest.mark.parametrize("length", range(54))
def test_a_frame_too_short_for_a_selector(length: int) -> None:
    everything = [
        make(ETH, mask=bytes(14)),
        make(ETH, IPV4, number=1, priority=1),
        make(ETH, IPV4, ESP, number=2, priority=2),
    ]
    found = table(everything).lookup(v4(rest=bytes(20))[:length])
    expected = None if length < 14 else 0 if length < 34 else 1 if length < 42 else 2
    assert (found.resource_id if found else None) == expected


def test_tcp_needs_20_octets() -> None:
    tcp, udp = make(ETH, IPV4, TCP), make(ETH, IPV4, UDP)
    assert not hits(tcp, v4(6, rest=bytes(19)))
    assert hits(tcp, v4(6, rest=bytes(20)))
    assert not hits(udp, v4(17, rest=bytes(7)))
    assert hits(udp, v4(17, rest=bytes(8)))


# -- order -------------------------------------------------------------------------------------------------------


def test_groups_before_rules_and_high_before_low() -> None:
    some = [
        make(ETH, IPV4, ESP, number=0, group=4, priority=200),
        make(ETH, IPV4, number=1, group=5, priority=0),
        make(ETH, number=2, group=5, priority=1),
    ]
    assert table(some).lookup(v4()) == some[2]
    assert table(some[:2]).lookup(v4()) == some[1]
    assert table(some).lookup(v6()) is None


def test_a_group_without_a_match_gives_way_to_the_next() -> None:
    some = [make(ETH, IPV4, UDP, number=0, group=9), make(ETH, IPV4, ESP, number=1, group=1)]
    assert table(some).lookup(v4()) == some[1]


def test_equal_priorities_go_by_the_lowest_id() -> None:
    some = [make(ETH, IPV4, ESP, number=7), make(ETH, IPV4, number=3), make(ETH, number=5)]
    assert table(some).lookup(v4()) == some[1]


def test_a_change_shows_at_the_next_lookup() -> None:
    flows = table([make(ETH, IPV4, ESP, number=1)])
    assert flows.lookup(v4())
    flows.remove_rule(1)
    assert flows.lookup(v4()) is None
    flows.put_rule(make(ETH, IPV4, ESP, number=2))
    assert flows.lookup(v4())
    flows.put_rule(make(ETH, IPV4, UDP, number=2))
    assert flows.lookup(v4()) is None
    flows.put_rule(make(ETH, IPV4, ESP, number=3))
    flows.clear()
    assert flows.lookup(v4()) is None


def test_many_rules_do_not_slow_a_lookup() -> None:
    mask = ESP4.classifier.mask[:34] + b"\xff" * 4 + bytes(4)

    def by_spi(spi: int) -> Rule:
        return make(
            ETH, IPV4, ESP, number=spi, priority=9, mask=mask, key=ESP4.key[:34] + spi.to_bytes(4, "big") + bytes(4)
        )

    def seconds(flows: FlowTable) -> float:
        frame = v4(rest=(77).to_bytes(4, "big") + bytes(30))
        assert flows.lookup(frame) == by_spi(77)
        best = 1e9
        for _ in range(5):
            started = time.perf_counter()
            for _ in range(2000):
                flows.lookup(frame)
            best = min(best, time.perf_counter() - started)
        return best

    few, many = table([by_spi(77), ESP6]), table([by_spi(spi) for spi in range(10_000)])
    assert seconds(many) < 3 * seconds(few)
