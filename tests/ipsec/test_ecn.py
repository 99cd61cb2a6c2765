"""ECN in tunnels: RFC 6040 normal mode, both ways, every pair of codepoints, every pair of families."""

from __future__ import annotations

import pytest

from virtionet_ipsec.ipsec import Mode, Reason, Refused, locate
from virtionet_ipsec.ipsec.events import EcnCombined, Event

from .builders import (
    FAMILIES,
    inbound,
    ip,
    ipv4,
    ipv6,
    outbound,
    receive,
    refused,
    tos_of,
    udp,
    with_fixed_checksum,
)

NOT_ECT, ECT1, ECT0, CE = 0b00, 0b01, 0b10, 0b11
DROP = None

# RFC 6040 4.2, figure 4, row by row as printed there: the outgoing header for each
# arriving outer header.  Columns:        Not-ECT  ECT(0)   ECT(1)   CE
FIGURE_4: dict[int, tuple[int | None, int | None, int | None, int | None]] = {
    NOT_ECT: (NOT_ECT, NOT_ECT, NOT_ECT, DROP),
    ECT0: (ECT0, ECT0, ECT1, CE),
    ECT1: (ECT1, ECT1, ECT1, CE),
    CE: (CE, CE, CE, CE),
}
COLUMNS = (NOT_ECT, ECT0, ECT1, CE)

# Those marked (!!!) or (!) there: currently unused combinations.
MARKED = {(NOT_ECT, ECT0), (NOT_ECT, ECT1), (NOT_ECT, CE), (ECT1, ECT0), (CE, ECT1)}

PAIRS = [(inner, outer) for inner in FIGURE_4 for outer in COLUMNS]
DSCP = 0b101110_00


def retagged(packet: bytes, tos: int) -> bytes:
    """``packet`` with another traffic class, as a router on the way writes it."""
    if packet[0] >> 4 == 4:
        return with_fixed_checksum(packet[:1] + bytes((tos,)) + packet[2:])
    return bytes((6 << 4 | tos >> 4, (tos & 15) << 4 | packet[1] & 15)) + packet[2:]


@pytest.mark.parametrize(("inner_family", "outer_family"), FAMILIES)
@pytest.mark.parametrize("name", ["gcm128", "ah-sha256"])
@pytest.mark.parametrize(("inner", "outer"), PAIRS)
def test_decapsulation(inner: int, outer: int, name: str, inner_family: int, outer_family: int) -> None:
    plain = ip(inner_family, udp(b"data"), tos=DSCP | inner)
    sent = outbound(name, outer=outer_family).protect(plain)
    arrived = retagged(sent, 0b010101_00 | outer)
    receiver = inbound(name, ecn=True)
    expected = FIGURE_4[inner][COLUMNS.index(outer)]
    events: list[Event] = []
    if expected is DROP:
        with refused(Reason.ECN_INVALID):
            receiver.unprotect(arrived, locate(arrived), events.append)
        assert receiver.state.packets == 0 and receiver.state.failures == {Reason.ECN_INVALID: 1}
        with refused(Reason.REPLAYED):  # it was genuine: its number is used up
            receive(receiver, arrived)
        return
    got = receiver.unprotect(arrived, locate(arrived), events.append)
    assert got == ip(inner_family, udp(b"data"), tos=DSCP | expected)  # a right header checksum included
    combined = [event for event in events if isinstance(event, EcnCombined)]
    assert combined == [EcnCombined(inner, outer, expected, (inner, outer) in MARKED)]


@pytest.mark.parametrize(("inner_family", "outer_family"), FAMILIES)
@pytest.mark.parametrize("name", ["gcm128", "ah-sha256"])
@pytest.mark.parametrize("codepoint", COLUMNS)
def test_encapsulation(codepoint: int, name: str, inner_family: int, outer_family: int) -> None:
    """RFC 6040 4.1, normal mode: copied.  Without the option zero (decision D23).  The inner packet stays as it is."""
    plain = ip(inner_family, udp(), tos=DSCP | codepoint)
    for ecn, expected in ((True, codepoint), (False, NOT_ECT)):
        sent = outbound(name, outer=outer_family, ecn=ecn).protect(plain)
        assert tos_of(sent) == expected
        assert receive(inbound(name), sent) == plain


@pytest.mark.parametrize(("inner", "outer"), PAIRS)
def test_without_the_option_the_inner_codepoint_is_left_alone(inner: int, outer: int) -> None:
    plain = ip(4, udp(), tos=DSCP | inner)
    assert receive(inbound("gcm128"), retagged(outbound("gcm128").protect(plain), outer)) == plain


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(("inner", "outer"), PAIRS)
def test_transport_mode_has_one_header(inner: int, outer: int, family: int) -> None:
    """Whatever the way did to the only codepoint is what arrives."""
    sent = outbound("gcm128", Mode.TRANSPORT, ecn=True).protect(ip(family, udp(), tos=DSCP | inner))
    got = receive(inbound("gcm128", Mode.TRANSPORT, ecn=True), retagged(sent, DSCP | outer))
    assert got == ip(family, udp(), tos=DSCP | outer)


def test_a_drop_is_told_from_a_bad_packet() -> None:
    sent = outbound("gcm128").protect(ipv4(udp()))
    with pytest.raises(Refused, match="CE outside"):
        receive(inbound("gcm128", ecn=True), retagged(sent, CE))


def test_builders_place_the_traffic_class() -> None:
    assert tos_of(ipv4(tos=0xB9)) == tos_of(ipv6(tc=0xB9)) == 0xB9
    assert tos_of(retagged(ipv6(tc=0xB9, flow=0xFFFFF), 0x46)) == 0x46
