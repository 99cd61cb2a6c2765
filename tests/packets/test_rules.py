"""Flow filter actions on the receive path (virtio 1.4, 5.1.9.6, 5.1.9.7 Packet processing order)."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP as Ping

from virtionet_ipsec.device.packet_events import (
    Delivered,
    Dropped,
    IpsecFailed,
    NoRuleMatched,
    NotProcessed,
    RuleMatched,
    SaSelected,
    SecondIpsecActionSkipped,
)
from virtionet_ipsec.driver.flow_rules import Match
from virtionet_ipsec.driver.in_process import InProcess
from virtionet_ipsec.ipsec import Mode, Reason
from virtionet_ipsec.wire import Action, SelectorType

from .rig import ETHERNET, framed, inbound, ip, outbound, protocol_rule, rig

UDP, TCP, ICMP, ESP = 17, 6, 1, 50
QUEUES = 4
FRAME = framed(ip(payload=b"hello"))
PING = framed(ip(payload=Ping()))


class Watched:
    """A driver with one group of rules and an SA each way, and what its device tells."""

    def __init__(self, **sa: object) -> None:
        self.driver = rig(steer=False, queue_pairs=QUEUES)
        self.group = self.driver.create_group(1)
        self.out, self.sa = outbound(self.driver, **sa), inbound(self.driver, **sa)
        self.priority = 200
        self.told: list[object] = []
        self.driver.device.observer = self.told.append

    def rule(self, protocol: int, action: Action, vq_index: int = 0) -> int:
        self.priority -= 1
        return protocol_rule(self.driver, self.group, self.priority, protocol, action, vq_index)

    def wire(self, frame: bytes = FRAME) -> bytes:
        (wire,) = self.driver.send(frame, self.out)
        return wire

    def arrives(self, frame: bytes) -> tuple[int, tuple[str, ...], bytes] | Reason:
        """Queue, flags and frame; or why it was dropped."""
        self.told.clear()
        got = self.driver.receive(frame)
        if got is None:
            why = self.driver.device.receive_refused
            assert why is not None and self.told[-1] == Dropped(why.reason, why.detail)
            return why.reason
        assert isinstance(self.told[-1], Delivered)
        return got.queue, got.flag_names, got.frame

    def rules_told(self) -> list[object]:
        kinds = (RuleMatched, NoRuleMatched, SecondIpsecActionSkipped)
        return [event for event in self.told if isinstance(event, kinds)]


# -- without IPsec --------------------------------------------------------------------------------------------------


def test_drop() -> None:
    device = Watched()
    rule = device.rule(UDP, Action.DROP)
    assert device.arrives(FRAME) is Reason.RULE_DROP
    assert device.driver.device.receive_refused.detail == f"rule {rule}"
    assert device.rules_told() == [RuleMatched(rule, Action.DROP, False)]
    assert device.driver.device.counters.rx_dropped == {Reason.RULE_DROP: 1}
    other = framed(ip(6))
    assert device.arrives(other) == (0, (), other)
    assert device.rules_told() == [NoRuleMatched(False)]


@pytest.mark.parametrize("number", range(QUEUES))
def test_direct_rx_vq(number: int) -> None:
    """D54: receiveqN is virtqueue 2(N-1)."""
    device = Watched()
    rule = device.rule(UDP, Action.DIRECT_RX_VQ, 2 * number)
    assert device.arrives(FRAME) == (number, (), FRAME)
    assert device.rules_told() == [RuleMatched(rule, Action.DIRECT_RX_VQ, False)]
    assert device.told[-1].queue == number


def test_direct_rx_vq_of_an_ipsec_packet_is_no_ipsec_processing() -> None:
    device = Watched()
    device.rule(ESP, Action.DIRECT_RX_VQ, 4)
    wire = device.wire()
    assert device.arrives(wire) == (2, (), wire)
    assert device.driver.device.inbound[device.sa].state.packets == 0


def test_the_first_rule_acts_and_no_other() -> None:
    device = Watched()
    device.rule(ESP, Action.DIRECT_RX_VQ, 2)
    device.rule(ESP, Action.IPSEC)
    device.rule(ESP, Action.DROP)
    wire = device.wire()
    assert device.arrives(wire) == (1, (), wire)


# -- IPSEC ----------------------------------------------------------------------------------------------------------


def test_ipsec_is_the_end() -> None:
    """Without recirculation the plain packet meets no rule."""
    device = Watched()
    rule = device.rule(ESP, Action.IPSEC)
    device.rule(UDP, Action.DROP)
    assert device.arrives(device.wire()) == (0, ("SECURITY",), FRAME)
    assert device.rules_told() == [RuleMatched(rule, Action.IPSEC, False)]
    assert device.arrives(FRAME) is Reason.RULE_DROP


def test_no_rule_no_processing() -> None:
    device = Watched()
    wire = device.wire()
    assert device.arrives(wire) == (0, (), wire)


# -- IPSEC_RECIRCULATE ----------------------------------------------------------------------------------------------


def test_recirculated_and_dropped() -> None:
    device = Watched()
    first = device.rule(ESP, Action.IPSEC_RECIRCULATE)
    second = device.rule(UDP, Action.DROP)
    assert device.arrives(device.wire()) is Reason.RULE_DROP
    assert device.rules_told() == [
        RuleMatched(first, Action.IPSEC_RECIRCULATE, False),
        RuleMatched(second, Action.DROP, True),
    ]
    assert device.driver.device.inbound[device.sa].state.packets == 1  # it was processed before
    assert device.driver.device.counters.rx_dropped == {Reason.RULE_DROP: 1}


@pytest.mark.parametrize("number", range(QUEUES))
def test_recirculated_and_directed(number: int) -> None:
    device = Watched()
    device.rule(ESP, Action.IPSEC_RECIRCULATE)
    rule = device.rule(UDP, Action.DIRECT_RX_VQ, 2 * number)
    assert device.arrives(device.wire()) == (number, ("SECURITY",), FRAME)
    assert device.rules_told()[-1] == RuleMatched(rule, Action.DIRECT_RX_VQ, True)


def test_recirculated_and_no_rule() -> None:
    device = Watched()
    device.rule(ESP, Action.IPSEC_RECIRCULATE)
    device.rule(TCP, Action.DROP)
    assert device.arrives(device.wire()) == (0, ("SECURITY",), FRAME)
    assert device.rules_told()[-1] == NoRuleMatched(True)


@pytest.mark.parametrize("again", [Action.IPSEC, Action.IPSEC_RECIRCULATE])
def test_recirculated_and_ipsec_again(again: Action) -> None:
    """D18: a protected packet inside a protected one; only the outer protection comes off."""
    device = Watched()
    inner_out = outbound(device.driver, spi=0x2000)
    inner_in = inbound(device.driver, spi=0x2000)
    device.rule(ESP, Action.IPSEC_RECIRCULATE)
    wire_once = device.driver.send(FRAME, inner_out)[0]
    twice = device.wire(wire_once)
    assert device.arrives(twice) == (0, ("SECURITY",), wire_once)
    assert device.driver.device.inbound[inner_in].state.packets == 0
    assert isinstance(device.rules_told()[-1], SecondIpsecActionSkipped)
    # It ends there: the rule below, which would match too, does not act.
    device.rule(ESP, Action.DROP)
    twice = device.wire(wire_once)
    assert device.arrives(twice) == (0, ("SECURITY",), wire_once)


def test_only_once_in_a_row_of_tunnels() -> None:
    """Three protections, one of them taken off each time the packet arrives."""
    device = Watched()
    device.rule(ESP, Action.IPSEC_RECIRCULATE)
    frames = [FRAME]
    for _ in range(3):
        frames.append(device.wire(frames[-1]))
    for outer, inner in zip(reversed(frames[1:]), reversed(frames[:-1]), strict=True):
        assert device.arrives(outer) == (0, ("SECURITY",), inner)


@pytest.mark.parametrize("damage", [-1, 36])
def test_a_failure_is_not_recirculated(damage: int) -> None:
    """D42: neither a bad ICV nor an unknown SPI; and the rules that name its protocol do not see it again."""
    device = Watched()
    rule = device.rule(ESP, Action.IPSEC_RECIRCULATE)
    device.rule(UDP, Action.DROP)
    wire = bytearray(device.wire())
    wire[damage] ^= 1
    assert device.arrives(bytes(wire)) == (0, ("SECURITY", "SECURITY_ERR"), bytes(wire))
    assert device.rules_told() == [RuleMatched(rule, Action.IPSEC_RECIRCULATE, False)]
    assert any(isinstance(event, IpsecFailed) for event in device.told)


@pytest.mark.parametrize("action", [Action.IPSEC, Action.IPSEC_RECIRCULATE])
def test_a_udp_datagram_that_an_ipsec_rule_matches_is_esp(action: Action) -> None:
    """Whatever its ports: the rule says which ones mean it, and the SA's are not compared (D45)."""
    device = Watched()
    device.rule(UDP, action)
    assert device.arrives(FRAME) == (0, ("SECURITY", "SECURITY_ERR"), FRAME)


@pytest.mark.parametrize("action", [Action.IPSEC, Action.IPSEC_RECIRCULATE])
def test_what_is_no_ipsec_packet_is_not_recirculated(action: Action) -> None:
    """D41: it did not go through IPsec processing, so its content was not updated."""
    device = Watched()
    rule = device.rule(ICMP, action)
    assert device.arrives(PING) == (0, (), PING)
    assert device.rules_told() == [RuleMatched(rule, action, False)]
    assert any(isinstance(event, NotProcessed) for event in device.told)
    assert not any(isinstance(event, SaSelected) for event in device.told)


def test_recirculation_in_transport_mode() -> None:
    """The second pass sees the protocol that was inside."""
    device = Watched(mode=Mode.TRANSPORT, tunnel=None)
    device.rule(ESP, Action.IPSEC_RECIRCULATE)
    device.rule(UDP, Action.DIRECT_RX_VQ, 6)
    assert device.arrives(device.wire()) == (3, ("SECURITY",), FRAME)


def test_recirculation_sees_the_other_family() -> None:
    device = Watched()
    device.rule(ESP, Action.IPSEC_RECIRCULATE)
    device.rule(UDP, Action.DROP)  # of IPv4
    matches = (Match.fields(SelectorType.ETH, (12, b"\x86\xdd")), Match.fields(SelectorType.IPV6, (6, b"\x11")))
    driver = device.driver
    driver.create_rule(device.group, driver.create_classifier(matches), 1, Action.DIRECT_RX_VQ, matches, 2)
    frame = framed(ip(6, b"hello"))
    assert device.arrives(device.wire(frame)) == (1, ("SECURITY",), frame)


def test_groups_by_priority() -> None:
    device = Watched()
    driver = device.driver
    device.rule(UDP, Action.DROP)
    high, low = driver.create_group(9), driver.create_group(0)
    protocol_rule(driver, low, 250, UDP, Action.DIRECT_RX_VQ, 2)
    assert device.arrives(FRAME) is Reason.RULE_DROP
    protocol_rule(driver, high, 0, UDP, Action.DIRECT_RX_VQ, 6)
    assert device.arrives(FRAME) == (3, (), FRAME)


def test_an_ethernet_rule_sends_everything_through_ipsec() -> None:
    device = Watched()
    driver = device.driver
    matches = (Match.fields(SelectorType.ETH, (0, FRAME[:6])),)
    driver.create_rule(device.group, driver.create_classifier(matches), 5, Action.IPSEC, matches)
    assert device.arrives(device.wire()) == (0, ("SECURITY",), FRAME)
    for frame in (PING, ETHERNET + b"\x08\x06" + bytes(28), ETHERNET + b"\x88\xcc", ETHERNET + b"\x08\x00"):
        assert device.arrives(frame) == (0, (), frame)
    cut = ETHERNET + b"\x08\x00\x45\x00"
    assert device.arrives(cut) == (0, ("SECURITY", "SECURITY_ERR"), cut)
    assert driver.device.receive_refused.reason is Reason.TRUNCATED


def test_steer_ipsec_and_recirculate() -> None:
    driver: InProcess = rig(steer=False, queue_pairs=2)
    driver.steer_ipsec(recirculate=True)
    out, _ = outbound(driver), inbound(driver)
    # Below every IPsec rule, in a group of its own.
    protocol_rule(driver, driver.create_group(0), 0, UDP, Action.DIRECT_RX_VQ, 2)
    (wire,) = driver.send(FRAME, out)
    got = driver.receive(wire)
    assert got is not None and (got.queue, got.flag_names, got.frame) == (1, ("SECURITY",), FRAME)
