"""A peer that has the keys and sends what no honest one would.

Every recipe makes two captures: what arrives, and what the driver has to receive of it (``.delivered``), worked
out here from the RFCs.  Packet numbers in the docstrings are those of what arrives, from 1.
"""

from __future__ import annotations

import struct
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

from .files import Linux, in_order, pcap
from .packets import changed, flipped, framed, ipv4, ipv6, sized, udp
from .peer_sa import (
    AH,
    HERE,
    HERE6,
    IPIP,
    IPV6_IN_IP,
    NONE,
    THERE,
    THERE6,
    UDP,
    Sa,
    inner4,
    inner6,
    noise,
    outer,
    outer6,
    trailer,
)

NOT_ECT, ECT_1, ECT_0, CE = range(4)

Arrival = tuple[bytes, bytes | None]
"""An IP packet that arrives, and the one that the driver receives; None when it receives nothing."""


def padding(sa: dict[int, Sa]) -> Iterator[Arrival]:
    """RFC 4303 2.4: padding is 1, 2, 3, ... and its receiver should look.

    1  AES-GCM, the least padding             2  AES-GCM, as much as there can be
    3  zeros in its place                     4  the last octet of it wrong
    5  a pad length past the payload          6  the whole payload is padding: no packet is left
    7  AES-CBC, the least                     8  AES-CBC, as much as there can be
    9  zeros in its place                     10 a good packet after all that
    """
    gcm, cbc = sa[1], sa[2]
    packet = inner4(29)  # 57 octets: one of padding for AES-GCM, five for AES-CBC
    yield gcm.tunnel(packet), packet
    yield gcm.tunnel(packet, extra=63), packet
    for text in (
        packet + bytes(5) + bytes((5, IPIP)),
        packet + bytes((1, 2, 3, 4, 6)) + bytes((5, IPIP)),
        packet + b"\x01" + bytes((255, IPIP)),
        bytes(range(1, 59)) + bytes((58, IPIP)),
    ):
        arrived = outer(gcm.esp(text))
        yield arrived, arrived
    yield cbc.tunnel(packet), packet
    yield cbc.tunnel(packet, extra=15), packet
    arrived = outer(cbc.esp(packet + bytes(5) + bytes((5, IPIP))))
    yield arrived, arrived
    yield gcm.tunnel(packet), packet


def dummies(sa: dict[int, Sa]) -> Iterator[Arrival]:
    """Dummy packets (RFC 4303 2.6), which are swallowed, and TFC padding (2.7), which is cut off.

    1  good                                   2  dummy with noise in it
    3  dummy with nothing in it               4  dummy with a bad ICV
    5  2 again: a replay all the same         6  100 octets of zeros behind an IPv4 packet
    7  37 octets of noise behind IPv6         8  dummy whose padding is wrong: padding is looked at first
    9  dummy, AES-CBC                         10 good, AES-CBC with TFC padding
    """
    gcm, cbc = sa[1], sa[2]
    yield gcm.tunnel(inner4()), inner4()
    dummy = outer(gcm.esp(noise(42, "dummy") + trailer(42, NONE, 4)))
    yield dummy, None
    yield outer(gcm.esp(trailer(0, NONE, 4))), None
    forged = flipped(outer(gcm.esp(noise(42, "forged") + trailer(42, NONE, 4))), -1)
    yield forged, forged
    yield dummy, dummy
    yield gcm.tunnel(inner4(), tfc=bytes(100)), inner4()
    yield gcm.tunnel(inner6(), tfc=noise(37, "tfc")), inner6()
    wrong = outer(gcm.esp(bytes(2 + 4) + bytes((4, NONE))))
    yield wrong, wrong
    yield outer(cbc.esp(noise(60, "cbc") + trailer(60, NONE, 16))), None
    yield cbc.tunnel(inner4(7), tfc=noise(200, "tfc")), inner4(7)


def inner(sa: dict[int, Sa]) -> Iterator[Arrival]:
    """What comes out is no packet for this SA.

    1  next header IPv4, IPv6 inside          2  next header IPv6, IPv4 inside
    3  next header UDP in a tunnel            4  inner IPv4 longer than what is there
    5  inner IPv4 header of 16 octets         6  ten octets of an inner IPv4 header
    7  no payload                             8  inner IPv6 longer than what is there
    9  IPv6 in IPv4: good, and the EtherType changes with it
    10 transport mode: good                   11 transport mode with IP in IP: good
    """
    tunnel, transport = sa[1], sa[3]
    four, six = inner4(), inner6()
    for content, nh in (
        (six, IPIP),
        (four, IPV6_IN_IP),
        (udp(b"payload", 1, 2), UDP),
        (changed(four, 2, struct.pack("!H", len(four) + 100)), IPIP),
        (changed(four, 0, b"\x44"), IPIP),
        (four[:10], IPIP),
        (b"", IPIP),
        (changed(six, 4, struct.pack("!H", len(six))), IPV6_IN_IP),
    ):
        arrived = outer(tunnel.esp(content + trailer(len(content), nh, 4)))
        yield arrived, arrived
    yield tunnel.tunnel(six), six
    for content, nh in ((udp(b"transport", 7000, 7001), UDP), (four, IPIP)):
        yield outer(transport.esp(content + trailer(len(content), nh, 4))), ipv4(content, nh, THERE, HERE)


# RFC 6040 4.2, figure 4: inner, then outer, gives what is forwarded; None is "drop".
_FIGURE_4: dict[int, dict[int, int | None]] = {
    NOT_ECT: {NOT_ECT: NOT_ECT, ECT_0: NOT_ECT, ECT_1: NOT_ECT, CE: None},
    ECT_0: {NOT_ECT: ECT_0, ECT_0: ECT_0, ECT_1: ECT_1, CE: CE},
    ECT_1: {NOT_ECT: ECT_1, ECT_0: ECT_1, ECT_1: ECT_1, CE: CE},
    CE: {NOT_ECT: CE, ECT_0: CE, ECT_1: CE, CE: CE},
}
_DSCP = 10 << 2


def _ecn_pairs(sa: dict[int, Sa]) -> Iterator[tuple[bytes, Callable[..., bytes], int, int]]:
    """Arriving packet, what makes its inner one from a TOS octet, inner and outer codepoint."""
    for inner_ecn in range(4):
        for outer_ecn in range(4):
            yield sa[1].tunnel(inner4(tos=_DSCP | inner_ecn), tos=outer_ecn), inner4, inner_ecn, outer_ecn
    for inner_ecn in range(4):
        for outer_ecn in range(4):
            packet = inner6(tos=_DSCP | inner_ecn)
            esp = sa[6].esp(packet + trailer(len(packet), IPV6_IN_IP, 4))
            yield outer6(esp, outer_ecn), inner6, inner_ecn, outer_ecn


def ecn(sa: dict[int, Sa]) -> Iterator[Arrival]:
    """All sixteen of inner and outer ECN codepoints over IPv4 (1 to 16) and IPv6 (17 to 32), outer ones in turn.

    4 and 20, CE outside and Not-ECT inside, are not to be forwarded: they go up as they came, with an error (D13).
    """
    for arrived, make, inner_ecn, outer_ecn in _ecn_pairs(sa):
        result = _FIGURE_4[inner_ecn][outer_ecn]
        yield arrived, arrived if result is None else make(tos=_DSCP | result)


def ecn_off(sa: dict[int, Sa]) -> Iterator[Arrival]:
    """The same packets, for SAs without the ECN option: the inner codepoint is left alone (D23)."""
    for arrived, make, inner_ecn, _ in _ecn_pairs(sa):
        yield arrived, make(tos=_DSCP | inner_ecn)


def esn(sa: dict[int, Sa]) -> Iterator[Arrival]:
    """Extended sequence numbers across 2**32, AES-GCM (1 to 30) and AES-CBC with HMAC (31 to 60).

    Of 30 each: 1 to 20 are 0xfffffff0 to 0x100000005 with 0xfffffffe and 0x100000000 left out; 21 and 22 are those
    two, late; 23 is 0xfffffff1 again, a replay; 24 is the next one, but its ICV covers the high half 0; 25 has a low
    half of 0xffffff00, which the receiver takes for 0x1ffffff00, far ahead: the ICV is wrong for that.  26 is good.
    27 and 28 jump ahead, so that the window of 64 lies beyond 2**32 as a whole; 29 is late, and 30 too old: the
    receiver takes its low half of 2 for one of the next 2**32.
    """
    for number in (4, 5):
        each = sa[number]
        align = each.align

        def sent(seq: int, high: int | None = None, each: Sa = each, align: int = align) -> bytes:
            packet = inner4(seq & 0xFF)
            return outer(each.esp(packet + trailer(len(packet), IPIP, align), seq, high))

        late = (0xFFFFFFFE, 0x100000000)
        for seq in (*(s for s in range(0xFFFFFFF0, 0x100000006) if s not in late), *late):
            yield sent(seq), inner4(seq & 0xFF)
        for arrived in (sent(0xFFFFFFF1), sent(0x100000006, high=0), sent(0xFFFFFF00)):
            yield arrived, arrived
        for seq in (0x100000006, 0x100000080, 0x100000081, 0x10000007F):
            yield sent(seq), inner4(seq & 0xFF)
        arrived = sent(0x100000002)
        yield arrived, arrived


def ah_headers(sa: dict[int, Sa]) -> Iterator[Arrival]:
    """AH in transport mode covers the options that nobody may change (RFC 4302 3.3.3.1 and appendix A).

    IPv4 with router alert (immutable) and record route (mutable): 1 as sent; 2 with TOS, TTL, DF and the recorded
    route changed: good.  3 router alert changed, 4 identification changed: bad.
    IPv6 with hop-by-hop options, one that may change on the way and one that may not: 5 as sent; 6 with traffic
    class, flow label, hop limit and the option that may, changed: good.  7 the other option changed, 8 the
    destination changed: bad.
    """
    each = sa[7]
    payload = udp(b"authenticated", 7000, 7001)
    plain_options = b"\x94\x04\0\0\x07\x07\x04\0\0\0\0\0"  # router alert; record route with room for one; end
    routed_options = b"\x94\x04\0\0\x07\x07\x08\x0a\x09\x08\x07\0"

    def four(seq: int, edit: Callable[[bytes], bytes] = bytes) -> bytes:
        packet = ipv4(_ah(each, seq, bytes(16)) + payload, AH, THERE, HERE, ident=77, options=plain_options)
        covered = bytearray(packet)
        covered[1] = covered[6] = covered[7] = covered[8] = covered[10] = covered[11] = 0
        covered[24:31] = bytes(7)  # record route, type and length too (RFC 4302 appendix A1)
        return sized(edit(changed(packet, 32 + 12, each.ah_icv(bytes(covered)))))

    hop_by_hop = b"\x33\x01\x3e\x04abcd\x1e\x04efgh"  # two experimental options (RFC 4727): 0x3e may change, 0x1e not

    def six(seq: int, edit: Callable[[bytes], bytes] = bytes) -> bytes:
        # Over IPv6, AH is a multiple of 8 octets long: 4 of padding behind the ICV.
        ah = _ah(each, seq, bytes(16) + b"pad ")
        packet = ipv6(hop_by_hop + b"\x01\0" + ah + payload, 0, THERE6, HERE6, flow_label=0x54321)
        covered = bytearray(packet)
        covered[0:4] = b"\x60\0\0\0"
        covered[7] = 0
        covered[44:48] = bytes(4)
        return edit(changed(packet, 40 + 16 + 12, each.ah_icv(bytes(covered))))

    def delivered4(**fields: Any) -> bytes:
        return ipv4(payload, UDP, THERE, HERE, ident=77, **fields)

    def delivered6(options: bytes, **fields: Any) -> bytes:
        return ipv6(b"\x11" + options[1:] + b"\x01\0" + payload, 0, THERE6, HERE6, **fields)

    def routed4(packet: bytes) -> bytes:
        packet = changed(changed(changed(packet, 1, b"\xb8"), 6, b"\0\0"), 8, b"\x3d")
        return changed(packet, 20, routed_options)

    def routed6(packet: bytes) -> bytes:
        return changed(changed(changed(packet, 0, b"\x6b\x80\0\x01"), 7, b"\x3d"), 44, b"ABCD")

    yield four(1), delivered4(options=plain_options)
    yield four(2, routed4), delivered4(options=routed_options, tos=0xB8, flags=0, ttl=0x3D)
    for seq, edit in ((3, lambda p: changed(p, 22, b"\0\x01")), (4, lambda p: changed(p, 4, b"\0\0"))):
        arrived = four(seq, edit)
        yield arrived, arrived
    yield six(5), delivered6(hop_by_hop, flow_label=0x54321)
    routed_hop_by_hop = changed(hop_by_hop, 4, b"ABCD")
    yield six(6, routed6), delivered6(routed_hop_by_hop, tos=0xB8, flow_label=1, hop_limit=0x3D)
    for seq, edit in ((7, lambda p: changed(p, 50, b"EFGH")), (8, lambda p: flipped(p, 39))):
        arrived = six(seq, edit)
        yield arrived, arrived


def _ah(sa: Sa, seq: int, rest: bytes) -> bytes:
    """An AH in front of UDP: fixed part, then ICV and padding."""
    return struct.pack("!BBHII", UDP, (12 + len(rest)) // 4 - 2, 0, sa.spi, seq) + rest


Recipe = Callable[[dict[int, Sa]], Iterator[Arrival]]


def _arriving(recipe: Recipe) -> Callable[[Linux], bytes]:
    return lambda linux: pcap(in_order([framed(arrived) for arrived, _ in recipe(_sas(linux))]))


def _delivered(recipe: Recipe) -> Callable[[Linux], bytes]:
    def make(linux: Linux) -> bytes:
        return pcap(in_order([framed(due) for _, due in recipe(_sas(linux)) if due is not None]))

    return make


def _sas(linux: Linux) -> dict[int, Sa]:
    document = tomllib.loads((linux.pcaps / "peer" / "peer.toml").read_text())
    return {table["id"]: Sa(table) for table in document["sa"]}


_RECIPES: dict[str, Recipe] = {
    "padding": padding,
    "dummies": dummies,
    "inner": inner,
    "ecn": ecn,
    "esn": esn,
    "ah-headers": ah_headers,
}
FILES = {
    **{f"peer/{name}.pcap": _arriving(recipe) for name, recipe in _RECIPES.items()},
    **{f"peer/{name}.delivered.pcap": _delivered(recipe) for name, recipe in _RECIPES.items()},
    "peer/ecn-off.delivered.pcap": _delivered(ecn_off),
}
