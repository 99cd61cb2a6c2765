"""The driver's flow filter rules: which packets they send through IPsec (virtio 1.4, 5.1.9.6)."""

from __future__ import annotations

import struct

import pytest

from virtionet_ipsec.driver.flow_rules import Match, classifier, group, ipsec_matches, rule
from virtionet_ipsec.driver.in_process import connect
from virtionet_ipsec.wire import Action, SelectorType


def ipv4(protocol: int, payload: bytes = bytes(20)) -> bytes:
    header = struct.pack("!BBHHHBBH8x", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0)
    return bytes(12) + b"\x08\x00" + header + payload


def ipv6(protocol: int, payload: bytes = bytes(20)) -> bytes:
    return bytes(12) + b"\x86\xdd" + struct.pack("!IHBB32x", 6 << 28, len(payload), protocol, 64) + payload


def udp(dport: int, sport: int = 1) -> bytes:
    return struct.pack("!HHHH", sport, dport, 20, 0) + bytes(12)


def test_the_objects_byte_by_byte() -> None:
    assert group(0x0102) == b"\x02\x01"
    matches = (
        Match.fields(SelectorType.ETH, (12, b"\x08\x00")),
        Match.fields(SelectorType.IPV4, (9, b"\x11")),
        Match.fields(SelectorType.UDP, (2, b"\x11\x94"), (0, b"\x01\x02")),
    )
    eth, ip, port = bytes(12) + b"\xff\xff", bytes(9) + b"\xff" + bytes(10), b"\xff\xff\xff\xff" + bytes(4)
    assert classifier(matches) == (
        bytes((3,)) + bytes(7)
        + bytes((1, 0, 0, 0, 14, 0, 0, 0)) + eth
        + bytes((2, 0, 0, 0, 20, 0, 0, 0)) + ip
        + bytes((5, 0, 0, 0, 8, 0, 0, 0)) + port
    )  # fmt: skip
    keys = bytes(12) + b"\x08\x00" + bytes(9) + b"\x11" + bytes(10) + b"\x01\x02\x11\x94" + bytes(4)
    head = struct.pack("<IIBBBBH2x", 5, 6, 7, 42, 2, 0, 8)
    assert rule(5, 6, 7, Action.DIRECT_RX_VQ, matches, 8) == head + keys


@pytest.mark.parametrize("recirculate", [False, True])
def test_what_is_steered(recirculate: bool) -> None:
    driver = connect()
    driver.steer_ipsec((4500, 10000), recirculate=recirculate)
    table = driver.device.flow_table
    action = Action.IPSEC_RECIRCULATE if recirculate else Action.IPSEC
    steered = [make(protocol) for make in (ipv4, ipv6) for protocol in (50, 51)]
    steered += [make(17, udp(port)) for make in (ipv4, ipv6) for port in (4500, 10000)]
    found = [table.lookup(frame) for frame in steered]
    assert all(each is not None and each.action == action for each in found)
    assert len({each.resource_id for each in found if each is not None}) == len(steered) == len(table.rules)
    others = [make(protocol) for make in (ipv4, ipv6) for protocol in (0, 1, 6, 49, 52, 58, 59)]
    others += [make(17, udp(port, sport=4500)) for make in (ipv4, ipv6) for port in (500, 4501, 53)]
    others += [bytes(12) + b"\x08\x06" + bytes(28), b""]
    assert [table.lookup(frame) for frame in others] == [None] * len(others)


def test_rules_of_a_group_have_priorities_of_their_own() -> None:
    """ "The driver SHOULD NOT add multiple flow filter rules with the same rule_priority within a group" """
    driver = connect()
    driver.steer_ipsec((4500, 1, 2, 3))
    rules = list(driver.device.flow_table.rules.values())
    assert len({each.group_id for each in rules}) == 1 and len(driver.device.flow_table.classifiers) == 4
    priorities = [each.rule_priority for each in rules]
    assert priorities == sorted(set(priorities), reverse=True)


@pytest.mark.parametrize("count", [1, 125, 126, 127, 128, 300, 1000])
def test_many_udp_ports(count: int) -> None:
    """A priority is one octet and below last_rule_priority (D22): further rules go into further groups."""
    driver = connect()
    ports = tuple(range(4500, 4500 + count))
    driver.steer_ipsec(ports)
    table = driver.device.flow_table
    assert len(table.rules) == 2 * (2 + count) and len(table.groups) == -(-2 * (2 + count) // 255)
    assert len({(each.group_id, each.rule_priority) for each in table.rules.values()}) == len(table.rules)
    for port in ports:
        assert table.lookup(ipv4(17, udp(port))) is not None and table.lookup(ipv6(17, udp(port))) is not None
    assert table.lookup(ipv4(17, udp(4499))) is None and table.lookup(ipv6(50)) is not None


def test_no_udp_port() -> None:
    driver = connect()
    driver.steer_ipsec(())
    assert len(driver.device.flow_table.rules) == 4
    assert driver.device.flow_table.lookup(ipv4(17, udp(4500))) is None


def test_again_goes_before() -> None:
    """Each group has a priority of its own, and a later call's rules are tried first."""
    driver = connect()
    driver.create_group(2)
    driver.steer_ipsec()
    driver.steer_ipsec((4500, 10000), recirculate=True)
    assert sorted(driver.device.flow_table.groups.values()) == [1, 2, 3]
    for frame in (ipv4(50), ipv6(51), ipv4(17, udp(4500)), ipv6(17, udp(10000))):
        found = driver.device.flow_table.lookup(frame)
        assert found is not None and found.action == Action.IPSEC_RECIRCULATE and found.group_priority == 3


def test_further_udp_ports() -> None:
    driver = connect()
    driver.steer_ipsec()
    driver.steer_udp(10000, 10001)
    table = driver.device.flow_table
    assert len(table.rules) == 6 + 4 and driver.udp_ports == {4500, 10000, 10001}
    assert all(table.lookup(ipv4(17, udp(port))) is not None for port in driver.udp_ports)


def test_a_reset_takes_rules_and_priorities_away() -> None:
    driver = connect()
    driver.steer_ipsec((10000,))
    driver.start()
    assert not driver.device.flow_table.rules and driver.udp_ports == set()
    driver.steer_ipsec()
    assert set(driver.device.flow_table.groups.values()) == {1}


def test_matches() -> None:
    found = ipsec_matches((4500,))
    assert len(found) == 6
    assert [len(each) for each in found] == [2, 2, 3, 2, 2, 3]
    assert all(len(match.mask) == len(match.key) for each in found for match in each)
