"""What a flow filter rule matches (virtio 1.4, 5.1.9.6.2.2): the checks of the selectors.

The frame is always a sound one, and a rule with DROP takes it or does not; it
is the keys that vary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from ...device.header_fields import HEADER_FIELDS
from ...driver.flow_rules import Match
from ...wire.enums import SELECTOR_LENGTH, Action, SelectorFlag, SelectorType
from ..verdict import NotApplicable
from . import filters, frames
from .filters import FlowFilter, Matches
from .rig import Rig

ETH, IPV4, IPV6, TCP, UDP, ESP = SelectorType
PROTOCOL = {TCP: frames.TCP, UDP: frames.UDP, ESP: frames.ESP}
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60


class Topic(NamedTuple):
    """A check of the area ``ff``: the last part of its id, its sentence, and the program."""

    name: str
    sentence: str
    run: Callable[[Rig], None]


class Place(NamedTuple):
    """A frame, the selectors in front of the one in question, and where that one's header begins."""

    frame: bytes
    front: Matches
    at: int


def in_front_of(kind: SelectorType) -> tuple[Matches, ...]:
    """The selectors that have to stand before one of ``kind``, the ways that there are."""
    if kind is ETH:
        return ((),)
    if kind in PROTOCOL:
        return tuple(filters.packets_of(ip, PROTOCOL[kind]) for ip in (IPV4, IPV6))
    return (filters.IPV4_FRAMES if kind is IPV4 else filters.IPV6_FRAMES,)


def _transport(kind: SelectorType, addresses: bytes) -> bytes:
    if kind is TCP:
        return frames.tcp(b"data", addresses=addresses)
    if kind is UDP:
        return frames.udp(b"data", addresses=addresses)
    return bytes.fromhex("00001234 00000567".replace(" ", "")) + bytes(24)  # ESP: SPI and sequence number


def _places(kind: SelectorType) -> tuple[Place, ...]:
    """Frames with a header of ``kind``; fields that a selector covers are seldom zero in them."""
    udp = frames.udp(addresses=frames.SRC4 + frames.DST4)
    ipv4 = frames.ethernet(frames.ipv4(udp, tos=0x28, ttl=63, identification=0x1234, df=True))
    udp = frames.udp(addresses=frames.SRC6 + frames.DST6)
    ipv6 = frames.ethernet(frames.ipv6(udp, traffic_class=0x28, flow_label=0x12345, hop_limit=63))
    fronts = in_front_of(kind)
    if kind is ETH:
        return Place(ipv4, fronts[0], 0), Place(ipv6, fronts[0], 0)
    if kind not in PROTOCOL:
        return (Place(ipv4 if kind is IPV4 else ipv6, fronts[0], 14),)
    over4 = frames.ipv4(_transport(kind, frames.SRC4 + frames.DST4), PROTOCOL[kind])
    over6 = frames.ipv6(_transport(kind, frames.SRC6 + frames.DST6), PROTOCOL[kind])
    return Place(frames.ethernet(over4), fronts[0], 34), Place(frames.ethernet(over6), fronts[1], 54)


def _fields(kind: SelectorType) -> Iterator[tuple[str, int]]:
    """Name and mask, as a number, of each field of a header."""
    shift = SELECTOR_LENGTH[kind] * 8
    for name, width in HEADER_FIELDS[kind]:
        shift -= width
        yield name, ((1 << width) - 1) << shift


def _start(rig: Rig) -> tuple[FlowFilter, int]:
    flows = filters.start(rig, Action.DROP)
    return flows, flows.group(1)


def _tried(flows: FlowFilter, group: int, matches: Matches, frame: bytes, hit: bool, what: str, flags: int = 0) -> None:
    rule = flows.rule(group, matches, Action.DROP, flags=flags)
    if hit:
        flows.dropped(frame, f"a packet for DROP, {what}")
    else:
        flows.arrives(frame, f"a packet not for DROP, {what}")
    flows.destroy(filters.RULE, rule)


def _masked(flows: FlowFilter, group: int, place: Place, kind: SelectorType, mask: int, what: str, flags: int) -> bool:
    """Try ``mask``: a key equal in its bits alone has to match, a key with one of them flipped must not.

    False when the device has no such selector.
    """
    length = SELECTOR_LENGTH[kind]
    octets = mask.to_bytes(length, "big")
    header = int.from_bytes(place.frame[place.at : place.at + length], "big")
    everything = (1 << 8 * length) - 1
    same = header ^ everything ^ mask  # equal where the mask is set, different in every bit elsewhere
    if not flows.can((*place.front, Match(kind, octets, octets))):
        return False
    flips = sorted({mask & -mask, 1 << mask.bit_length() - 1})
    for flip in (0, *flips):
        matches = (*place.front, Match(kind, octets, (same ^ flip).to_bytes(length, "big")))
        said = f"{what} differs in one bit" if flip else f"{what} is equal"
        _tried(flows, group, matches, place.frame, not flip, said, flags)
    flows.destroy_classifier(matches, flags)
    return True


def _match_header(kind: SelectorType, rig: Rig) -> None:
    flows, group = _start(rig)
    tried = False
    for number, place in enumerate(_places(kind)):
        for index, (name, mask) in enumerate(_fields(kind)):
            # Over the second IP version two fields will do.
            if number and index > 1:
                break
            tried |= _masked(flows, group, place, kind, mask, f"{kind.name} {name}", 0)
    if not tried:
        raise NotApplicable(f"the flow filter cannot match {kind.name}")


_PARTS = (
    (ETH, "the multicast bit of Destination Address", 0, b"\x01"),
    (ETH, "24 bits of Source Address", 6, b"\xff\xff\xff"),
    (IPV4, "24 bits of Destination Address", 16, b"\xff\xff\xff"),
    (IPV4, "the DF bit", 6, b"\x40"),
    (IPV6, "32 bits of Source Address", 8, b"\xff\xff\xff\xff"),
    (IPV6, "the last bit of Destination Address", 39, b"\x01"),
    (UDP, "8 bits of Destination Port", 2, b"\xff"),
    (TCP, "every second bit of Source Port", 0, b"\x55\x55"),
    (ESP, "16 bits of the SPI", 2, b"\xff\xff"),
)


def _match_partial(rig: Rig) -> None:
    flows, group = _start(rig)
    tried = False
    for kind, what, offset, part in _PARTS:
        cap = flows.selectors.get(kind)
        if cap is None or not cap.flags & SelectorFlag.PARTIAL_MASK:
            continue
        mask = int.from_bytes((bytes(offset) + part).ljust(SELECTOR_LENGTH[kind], b"\0"), "big")
        for place in _places(kind):
            tried |= _masked(flows, group, place, kind, mask, what, SelectorFlag.PARTIAL_MASK)
    if not tried:
        raise NotApplicable("no selector has VIRTIO_NET_FF_MASK_F_PARTIAL_MASK")


def _tagged(frame: bytes, tags: str) -> bytes:
    return frame[:12] + bytes.fromhex(tags) + frame[12:]


def _match_vlan(rig: Rig) -> None:
    flows, group = _start(rig)
    ip, c_tag = filters.packets_of(IPV4, frames.UDP), (filters.ethertype(b"\x81\x00"),)
    flows.needs(ip)
    plain = frames.udp4_frame()
    once, twice = _tagged(plain, "81000005"), _tagged(plain, "88a8000781000005")
    for frame, how in ((plain, "without a tag"), (once, "with one tag"), (twice, "with two tags")):
        _tried(flows, group, ip, frame, True, f"UDP over IPv4 {how} (selectors ETH, IPV4)")
        hit = frame is plain
        _tried(flows, group, filters.IPV4_FRAMES, frame, hit, f"EtherType 0800, IPv4 {how} (selector ETH alone)")
        _tried(flows, group, c_tag, frame, frame is once, f"EtherType 8100, IPv4 {how} (selector ETH alone)")


def _extension(kind: int, following: int) -> bytes:
    """An IPv6 extension header (RFC 8200 4) that changes nothing; hop-by-hop options have 16 octets, the others 8."""
    if kind == HOP_BY_HOP:
        return bytes((following, 1, 1, 12)) + bytes(12)  # PadN
    if kind == DESTINATION:
        return bytes((following, 0, 1, 4)) + bytes(4)
    if kind == ROUTING:
        return bytes((following, 0, 4, 0)) + bytes(4)  # type 4, no segments left
    return bytes((following, 0, 0, 0)) + bytes(4)  # of a packet in one fragment (RFC 6946)


def _behind(chain: tuple[int, ...], payload: bytes, protocol: int) -> bytes:
    """A frame with IPv6, these extension headers, and ``payload``."""
    following = protocol
    for kind in reversed(chain):
        payload, following = _extension(kind, following) + payload, kind
    return frames.ethernet(frames.ipv6(payload, following))


_CHAINS = ((HOP_BY_HOP,), (DESTINATION,), (ROUTING,), (FRAGMENT,), (HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION))


def _match_extension_headers(rig: Rig) -> None:
    flows, group = _start(rig)
    udp = filters.packets_of(IPV6, frames.UDP)
    flows.needs(udp)
    datagram = frames.udp(addresses=frames.SRC6 + frames.DST6)
    ports = (*udp, Match.fields(UDP, (0, datagram[:4])))
    esp = filters.packets_of(IPV6, frames.ESP)
    for chain in _CHAINS:
        frame, said = _behind(chain, datagram, frames.UDP), f"extension headers {', '.join(map(str, chain))}"
        _tried(flows, group, udp, frame, True, f"Next Header 17, UDP behind {said}")
        for kind in chain:
            _tried(flows, group, filters.packets_of(IPV6, kind), frame, False, f"Next Header {kind}, UDP behind {said}")
        if flows.can(ports):
            _tried(flows, group, ports, frame, True, f"the ports, UDP behind {said}")
        frame = _behind(chain, _transport(ESP, b""), frames.ESP)
        _tried(flows, group, esp, frame, True, f"Next Header 50, ESP behind {said}")


def _match_fragments(rig: Rig) -> None:
    flows, group = _start(rig)
    datagram = frames.udp()
    port = Match.fields(UDP, (2, datagram[2:4]))
    ports4, ports6 = (*filters.packets_of(IPV4, frames.UDP), port), (*filters.packets_of(IPV6, frames.UDP), port)
    flows.needs(ports4)
    first = frames.ethernet(frames.ipv4(datagram, more=True))
    _tried(flows, group, ports4, first, True, "UDP Destination Port, the first IPv4 fragment")
    # What looks like a UDP header at the beginning of a later fragment is none; in each octet of the offset.
    for offset in (1, 100, 0x100, 0x1F00):
        later, said = frames.ethernet(frames.ipv4(datagram, offset=offset)), f"offset {offset:#x}, that looks like UDP"
        _tried(flows, group, ports4, later, False, f"UDP Destination Port, a later IPv4 fragment, {said}")
        _tried(flows, group, ports4[:2], later, True, f"Protocol 17, a later IPv4 fragment, offset {offset:#x}")
        if flows.can(ports6):
            header = bytes((frames.UDP, 0)) + (offset << 3).to_bytes(2, "big") + bytes(4)
            later = frames.ethernet(frames.ipv6(header + datagram, FRAGMENT))
            _tried(flows, group, ports6, later, False, f"UDP Destination Port, a later IPv6 fragment, {said}")


def _match_padding(rig: Rig) -> None:
    flows, group = _start(rig)
    datagram = frames.udp()
    port = (*filters.packets_of(IPV4, frames.UDP), Match.fields(UDP, (2, datagram[2:4])))
    flows.needs(port)
    # The IP packet ends after the ports, and the frame has 60 octets, the least that Ethernet takes.
    frame = frames.ethernet(frames.ipv4(datagram[:4])).ljust(60, b"\0")
    _tried(flows, group, port, frame, True, "UDP Destination Port, half a UDP header and padding")


TOPICS = (
    *(
        Topic(
            f"match-{kind.name.lower()}",
            f"A rule on one field of {what} matches a packet that is equal in it, and in no other bit, and none that"
            " differs in one bit of it.",
            partial(_match_header, kind),
        )
        for kind, what in (
            (ETH, "the Ethernet header"),
            (IPV4, "the IPv4 header"),
            (IPV6, "the IPv6 header"),
            (TCP, "the TCP header"),
            (UDP, "the UDP header"),
            (ESP, "the ESP header"),
        )
    ),
    Topic(
        "match-partial",
        "A rule on some bits of a field, with PARTIAL_MASK, matches a packet that is equal in them and does not match"
        " one that differs in one of them.",
        _match_partial,
    ),
    Topic(
        "match-vlan",
        "Selectors ETH and IPV4 match an IPv4 packet behind up to two VLAN tags, a selector ETH alone what stands"
        " behind the addresses.",
        _match_vlan,
    ),
    Topic(
        "match-extension-headers",
        "Next Header of a rule is compared with that of the last extension header, UDP and ESP behind a chain of them"
        " are found.",
        _match_extension_headers,
    ),
    Topic(
        "match-fragments",
        "A rule with a UDP selector matches first fragments and no later ones; IP selectors match those too.",
        _match_fragments,
    ),
    Topic(
        "match-padding",
        "A UDP selector is compared with the octets behind the IP header, those that pad the Ethernet frame too.",
        _match_padding,
    ),
)
