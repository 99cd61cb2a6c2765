"""What AH's ICV covers of the headers in front of it: AH packets for checks, and the checks of each header.

RFC 4302 3.3.3.1 and appendix A1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ...ipsec import Direction, Mode, Protocol, SaParams
from ..check import add
from . import admission, frames
from .associations import INBOUND, OUTBOUND, accepted, create, modes, rejected, sa, send, start
from .on_the_wire import DSTOPTS, HOPOPTS, IPIP, ROUTING, UDP, AhPacket, ah, ah_icv, ah_parts, counted
from .rig import Rig
from .sa_objects import any_sa

FRAME4, FRAME6 = frames.udp4_frame(), frames.udp6_frame()

Around = Callable[[bytes], bytes]
"""Puts an IP header in front of AH."""


def ah_sa(rig: Rig, direction: Direction, **parameters: Any) -> SaParams:
    """An AH SA in the first mode that the device has."""
    return any_sa(rig, direction, Protocol.AH, **parameters)


def carried(params: SaParams, version: int = 4) -> tuple[int, bytes]:
    """Next Header and payload for an SA: an IPv4 packet in tunnel mode, a UDP datagram else."""
    if params.mode is Mode.TUNNEL:
        return IPIP, FRAME4[14:]
    return UDP, frames.udp(addresses=frames.SRC6 + frames.DST6 if version == 6 else frames.SRC4 + frames.DST4)


def around4(**fields: Any) -> Around:
    return partial(frames.ipv4, protocol=frames.AH, **fields)


def around6(chain: tuple[tuple[int, bytes], ...] = (), **fields: Any) -> Around:
    """An IPv6 header with extension headers, as :func:`.admission.chained` takes them, in front of AH."""
    first = chain[0][0] if chain else frames.AH
    extensions = admission.chained(chain, frames.AH)
    return lambda behind: frames.ipv6(extensions + behind, first, **fields)


def check_icv(rig: Rig, params: SaParams, packet: AhPacket, front: bytes, what: str = "the ICV") -> None:
    rig.equal(what, ah_icv(params, packet, front), packet.icv)


def _zeroed(*places: slice) -> Callable[[bytes], bytes]:
    """What the ICV counts, and these octets besides as zero."""

    def count(header: bytes) -> bytes:
        made = bytearray(counted(header))
        for place in places:
            made[place] = bytes(len(made[place]))
        return bytes(made)

    return count


def _counting(options: bytes) -> Callable[[bytes], bytes]:
    """What the ICV counts of an IPv4 header whose options count as these."""
    return lambda header: counted(header)[:20] + options


def _verifies(
    rig: Rig, params: SaParams, around: Around, count: Callable[[bytes], bytes], good: bool, why: str
) -> None:
    """A packet whose ICV counts of the header what ``count`` says has to be accepted, or rejected."""
    wire = ah(params, around, carried(params, around(b"")[0] >> 4), 1, count=count)
    (accepted if good else rejected)(rig, wire, f"an ICV that counts {why}")


def icv_ipv4_mutable(rig: Rig) -> None:
    """A packet in which DSCP, ECN, DF, TTL and header checksum changed on the way is accepted."""
    start(rig)
    params = ah_sa(rig, INBOUND)
    create(rig, params)
    body = ah(params, around4(), carried(params), 1)[34:]
    changes: tuple[dict[str, Any], ...] = (
        {"tos": 0xB8},
        {"tos": 2},
        {"df": True},
        {"ttl": 1},
        {"ttl": 255},
        {"tos": 0xBA, "df": True, "ttl": 9},
    )
    for fields in changes:
        shown = " and ".join(fields)
        accepted(rig, frames.ethernet(around4(**fields)(body)), f"a packet with {shown} changed")


def icv_ipv4_immutable(rig: Rig) -> None:
    """A packet with any other IPv4 field changed, or with an ICV that counts one as zero, is refused."""
    start(rig)
    params = ah_sa(rig, INBOUND)
    create(rig, params)
    wire = ah(params, around4(), carried(params), 1)
    changes: dict[str, Any] = {"identification": 2, "src": frames.DST4, "dst": frames.SRC4}
    for name, value in changes.items():
        rejected(rig, frames.ethernet(around4(**{name: value})(wire[34:])), f"a packet with another {name}")
    places = {
        "version and header length": slice(0, 1),
        "Total Length": slice(2, 4),
        "Identification": slice(4, 6),
        "Protocol": slice(9, 10),
        "the source": slice(12, 16),
        "the destination": slice(16, 20),
    }
    for name, place in places.items():
        _verifies(rig, params, around4(), _zeroed(place), False, f"{name} as zero")
    _verifies(rig, params, around4(), counted, True, "all these as they are")


# RFC 4302 A1, each option with what fills it up to 4 octets.
_IMMUTABLE = {
    "No Operation": "01010100",
    "Router Alert": "94040000",
    "Security": "820b0102030405060708090000",
    "Extended Security": "85040102",
    "Commercial Security": "860a00000001010400000000",
    "Sender Directed": "9508c000020a0000",
}
_MUTABLE = {
    "Record Route": "0707040000000000",
    "Timestamp": "4408050011223344",
    "Traceroute": "520c0102030405060708090a",
}

# Options, and what they count as: one No Operation in front, behind and between.
_MIXED = {
    "No Operation and Record Route": ("0107070400000000", "0100000000000000"),
    "Record Route and No Operation": ("0707040000000001", "0000000000000001"),
    "No Operation, Router Alert, Timestamp and No Operation": (
        "01940400004408050011223344010000",
        "01940400000000000000000000010000",
    ),
}


def _octets(table: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    for name, text in table.items():
        yield name, _filled(bytes.fromhex(text))


def _filled(options: bytes) -> bytes:
    return options + bytes(-len(options) % 4)


def icv_ipv4_options(rig: Rig) -> None:
    """The ICV counts immutable IPv4 options as they are and mutable ones as zero, received and sent."""
    start(rig)
    params = ah_sa(rig, INBOUND)
    create(rig, params)
    for name, options in _octets(_IMMUTABLE):
        _verifies(rig, params, around4(options=options), counted, True, f"{name} as it is")
        _verifies(rig, params, around4(options=options), _counting(bytes(len(options))), False, f"{name} as zero")
    for name, options in _octets(_MUTABLE):
        _verifies(rig, params, around4(options=options), _counting(bytes(len(options))), True, f"{name} as zero")
        _verifies(rig, params, around4(options=options), counted, False, f"{name} as it is")
    mixed = {name: tuple(_filled(bytes.fromhex(text)) for text in texts) for name, texts in _MIXED.items()}
    for name, (options, count) in mixed.items():
        _verifies(rig, params, around4(options=options), _counting(count), True, f"{name}, the mutable one as zero")
        _verifies(rig, params, around4(options=options), counted, False, f"{name} as they are")
    if Mode.TRANSPORT in modes(rig, Protocol.AH):
        params = sa(rig, OUTBOUND, protocol=Protocol.AH, mode=Mode.TRANSPORT)
        made = create(rig, params)
        for name, (options, count) in mixed.items():
            packet = ah_parts(params, send(rig, made, frames.udp4_frame(options=options)))
            check_icv(rig, params, packet, counted(packet.header)[:20] + count, f"the ICV of a packet with {name}")
        for table, mutable in ((_IMMUTABLE, False), (_MUTABLE, True)):
            for name, options in _octets(table):
                packet = ah_parts(params, send(rig, made, frames.udp4_frame(options=options)))
                front = counted(packet.header)[:20] + (bytes(len(options)) if mutable else options)
                check_icv(rig, params, packet, front, f"the ICV of a packet with the option {name}")


def icv_ipv4_unknown_option(rig: Rig) -> None:
    """The ICV of a received packet counts an IPv4 option that nobody knows (94) as zero in full."""
    start(rig)
    params = ah_sa(rig, INBOUND)
    create(rig, params)
    around = around4(options=bytes.fromhex("5e060a0b0c0d0000"))
    _verifies(rig, params, around, _counting(bytes(8)), True, "option 94 as zero")
    _verifies(rig, params, around, counted, False, "option 94 as it is")


def icv_predicted(rig: Rig) -> None:
    """With a source route, or a type 0 routing header, the ICV is that of the packet as its last hop will see it."""
    start(rig)
    params = sa(rig, OUTBOUND, protocol=Protocol.AH, mode=Mode.TRANSPORT)
    made = create(rig, params)
    via4 = bytes((192, 0, 2, 51)), bytes((192, 0, 2, 52))
    for kind, pointer, last in ((131, 4, via4[1]), (137, 8, via4[1]), (131, 12, frames.DST4)):
        options = bytes((kind, 11, pointer)) + b"".join(via4) + b"\0"
        packet = ah_parts(params, send(rig, made, frames.udp4_frame(options=options)))
        front = counted(packet.header)[:16] + last + bytes(12)
        check_icv(rig, params, packet, front, f"the ICV with source route {kind}, pointer {pointer}")
    via6 = bytes.fromhex("20010db80000000b0000000000000051"), bytes.fromhex("20010db80000000b0000000000000052")
    for left, last, listed in ((2, via6[1], frames.DST6 + via6[0]), (0, frames.DST6, b"".join(via6))):
        routing = (ROUTING, bytes((4, 0, left)) + bytes(4) + b"".join(via6))
        udp = frames.udp(addresses=frames.SRC6 + frames.DST6)
        sent = frames.ipv6(admission.chained((routing,), UDP) + udp, ROUTING)
        packet = ah_parts(params, send(rig, made, frames.ethernet(sent)))
        base = counted(packet.header)
        front = base[:24] + last + base[40:43] + bytes(5) + listed
        what = f"the ICV with a type 0 routing header, {left} segments left"
        check_icv(rig, params, packet, front, what)


def icv_ipv6_base(rig: Rig) -> None:
    """The ICV counts IPv6 traffic class, flow label and Hop Limit as zero, and the other fields as they are."""
    start(rig)
    params = ah_sa(rig, INBOUND)
    create(rig, params)
    body = ah(params, around6(), carried(params, 6), 1)[54:]
    changes: tuple[tuple[str, Any, bool], ...] = (
        ("traffic_class", 0xB8, True),
        ("traffic_class", 2, True),
        ("flow_label", 0xFFFFF, True),
        ("hop_limit", 1, True),
        ("src", frames.DST6, False),
        ("dst", frames.SRC6, False),
    )
    for name, value, good in changes:
        wire = frames.ethernet(around6(**{name: value})(body))
        (accepted if good else rejected)(rig, wire, f"a packet with another {name}")
    places = {
        "the version": slice(0, 1),
        "Payload Length": slice(4, 6),
        "Next Header": slice(6, 7),
        "the source": slice(8, 24),
        "the destination": slice(24, 40),
    }
    for name, place in places.items():
        _verifies(rig, params, around6(), _zeroed(place), False, f"{name} as zero")


_MAY_CHANGE, _STAYS = 0x3E, 0x1E  # RFC 4727 3.4: options for experiments
_OPTION_TYPE, _OPTION_LENGTH, _OPTION_DATA = slice(42, 43), slice(43, 44), slice(44, 48)


def icv_ipv6_options(rig: Rig) -> None:
    """The ICV counts the data of an option as zero when its type says that it may change, and all else as it is."""
    admission.start_with_everything_steered(rig)
    params = ah_sa(rig, INBOUND)
    create(rig, params)
    for header in (HOPOPTS, DSTOPTS):
        changing, staying = (
            around6(((header, bytes((0, kind, 4)) + b"\xa1\xa2\xa3\xa4"),)) for kind in (_MAY_CHANGE, _STAYS)
        )
        where = f"an option in extension header {header}"
        _verifies(rig, params, changing, _zeroed(_OPTION_DATA), True, f"the data of {where} that may change as zero")
        _verifies(rig, params, changing, counted, False, f"the data of {where} that may change as they are")
        zero = _zeroed(_OPTION_DATA, _OPTION_TYPE)
        _verifies(rig, params, changing, zero, False, f"the type of {where} as zero")
        zero = _zeroed(_OPTION_DATA, _OPTION_LENGTH)
        _verifies(rig, params, changing, zero, False, f"the length of {where} as zero")
        _verifies(rig, params, staying, counted, True, f"{where} that may not change as it is")
        _verifies(rig, params, staying, _zeroed(_OPTION_DATA), False, f"{where} that may not change as zero")
    if Mode.TRANSPORT in modes(rig, Protocol.AH):
        params = sa(rig, OUTBOUND, protocol=Protocol.AH, mode=Mode.TRANSPORT)
        made = create(rig, params)
        udp = frames.udp(addresses=frames.SRC6 + frames.DST6)
        for kind in (_MAY_CHANGE, _STAYS):
            option = (HOPOPTS, bytes((0, kind, 4)) + b"\xa1\xa2\xa3\xa4")
            sent = frames.ipv6(admission.chained((option,), UDP) + udp, HOPOPTS)
            packet = ah_parts(params, send(rig, made, frames.ethernet(sent)))
            front = (_zeroed(_OPTION_DATA) if kind == _MAY_CHANGE else counted)(packet.header)
            check_icv(rig, params, packet, front, f"the ICV of a packet with hop-by-hop option {kind:#04x}")


_CHECKS = (
    icv_ipv4_mutable,
    icv_ipv4_immutable,
    icv_ipv4_options,
    icv_ipv4_unknown_option,
    icv_predicted,
    icv_ipv6_base,
    icv_ipv6_options,
)


def enter(area: str) -> None:
    """Enter the checks of this module."""
    for run in _CHECKS:
        add(f"{area}.{run.__name__.replace('_', '-')}", run.__doc__ or "", run)
