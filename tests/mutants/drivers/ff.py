"""Drivers with a fault in their use of the flow filter (virtio 1.4, 5.1.9.6)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar

from virtionet_ipsec.device.limits import Limits, SelectorCap
from virtionet_ipsec.driver import AdminError, flow_rules
from virtionet_ipsec.driver.flow_rules import ETHERTYPE_AT, Match
from virtionet_ipsec.wire.capabilities import FfSelectorCap
from virtionet_ipsec.wire.codec import build
from virtionet_ipsec.wire.enums import (
    SELECTOR_LENGTH,
    Action,
    AdminStatus,
    CapId,
    ResourceType,
    SelectorFlag,
    SelectorType,
)
from virtionet_ipsec.wire.profile import Profile

from ..meddling import Answering
from ..mutant import violates
from ..session import ReferenceDriver

ETH, IPV4, IPV6, TCP, UDP, ESP = SelectorType
IPV4_FRAME = Match.fields(ETH, (ETHERTYPE_AT, b"\x08\x00"))
UDP_PACKET = Match.fields(IPV4, (9, b"\x11"))
UDP_PORT = Match.fields(UDP, (2, b"\x11\x94"))

# Every field, and each whole or not at all.
WHOLE = Limits(selectors=tuple(SelectorCap(t, b"\xff" * n, SelectorFlag(0)) for t, n in SELECTOR_LENGTH.items()))


class Tidy(ReferenceDriver):
    """Takes the flow filter down again: rules, then what they depend on."""

    ORDER: ClassVar = (ResourceType.FF_RULE, ResourceType.FF_CLASSIFIER, ResourceType.FF_GROUP)

    def clean_up(self) -> None:
        super().clean_up()
        for kind in self.ORDER:
            for number in range(1, self._next_id(kind)):
                with suppress(AdminError):
                    self.admin.destroy(kind, number)


Tidy.right = Tidy


@violates("ff.drv.group-in-use", "ff.drv.group-after-rules")
class GroupFirst(Tidy):
    """Destroys groups before their rules."""

    ORDER: ClassVar = (ResourceType.FF_GROUP, *Tidy.ORDER)


@violates("ff.drv.classifier-in-use", "ff.drv.classifier-after-rules")
class ClassifierFirst(Tidy):
    """Destroys classifiers before the rules that use them."""

    ORDER: ClassVar = (ResourceType.FF_CLASSIFIER, *Tidy.ORDER)


@violates("ff.drv.capabilities-enabled")
class NoActions(ReferenceDriver):
    """Leaves FF_ACTION_CAP disabled."""

    def set_up_capabilities(self) -> None:
        super().set_up_capabilities()
        self.admin.set_driver_cap(CapId.FF_ACTION_CAP, bytes(8))

    def make_rules(self) -> None:
        with suppress(AdminError):
            super().make_rules()


@violates("ff.drv.same-priority", "ff.drv.overlap-priority")
class OnePriority(ReferenceDriver):
    """Adds a rule that matches what an earlier one does, with its priority."""

    def make_rules(self) -> None:
        super().make_rules()
        group = self.create_group(1000)
        for matches in ((IPV4_FRAME,), (IPV4_FRAME, UDP_PACKET)):
            self.create_rule(group, self.create_classifier(matches), 0, Action.IPSEC, matches)


@violates("ff.drv.overlap-priority")
class OnePriorityLater(ReferenceDriver):
    """Gives a rule the priority of another one that may match the same packet."""

    def __init__(self, port: Any, profile: Profile) -> None:
        super().__init__(Answering(port), profile)

    def make_rules(self) -> None:
        super().make_rules()
        group = self.create_group(1000)
        classifier = self.create_classifier((IPV4_FRAME,))
        rules = [self.create_rule(group, classifier, priority, Action.IPSEC, (IPV4_FRAME,)) for priority in (0, 1)]
        self.port.says = AdminStatus.OK
        data = flow_rules.rule(group, classifier, 0, Action.IPSEC, (IPV4_FRAME,))
        self.admin.modify(ResourceType.FF_RULE, rules[1], data)


class OddClassifier(ReferenceDriver):
    """Creates one classifier more, and a rule for it that matches ``matches``."""

    matches: ClassVar[tuple[Match, ...]]
    keys: ClassVar[tuple[Match, ...]] = ()

    def make_rules(self) -> None:
        super().make_rules()
        with suppress(AdminError):
            group = self.create_group(1000)
            classifier = self.create_classifier(self.matches)
            self.create_rule(group, classifier, 0, Action.IPSEC, self.keys or self.matches)


def without(match: Match, at: int, length: int) -> Match:
    """The selector with a field that it does not look at."""
    return replace(match, mask=match.mask[:at] + bytes(length) + match.mask[at + length :])


def with_key(match: Match, at: int, key: bytes) -> Match:
    """The selector with another key for a field."""
    return replace(match, key=match.key[:at] + key + match.key[at + len(key) :])


@violates("ff.drv.first-selector")
class NoEthernet(OddClassifier):
    """Begins a classifier with the IP header."""

    matches: ClassVar = (UDP_PACKET,)


@violates("ff.drv.second-selector")
class NoIp(OddClassifier):
    """Has UDP follow Ethernet."""

    matches: ClassVar = (IPV4_FRAME, UDP_PORT)


@violates("ff.drv.third-selector")
class IpTwice(OddClassifier):
    """Has IPv6 follow IPv4."""

    matches: ClassVar = (IPV4_FRAME, UDP_PACKET, Match.fields(IPV6, (6, b"\x11")))


@violates("ff.drv.ethertype-mask")
class EtherTypeIgnored(OddClassifier):
    """Leaves EtherType out of the mask in front of an IP selector."""

    matches: ClassVar = (without(IPV4_FRAME, ETHERTYPE_AT, 2), UDP_PACKET)


@violates("ff.drv.protocol-mask")
class ProtocolIgnored(OddClassifier):
    """Leaves Protocol out of the mask in front of a UDP selector."""

    matches: ClassVar = (IPV4_FRAME, without(UDP_PACKET, 9, 1), UDP_PORT)


@violates("ff.drv.ethertype-key")
class WrongEtherType(OddClassifier):
    """Gives the EtherType of IPv6 in front of an IPv4 selector."""

    matches: ClassVar = (IPV4_FRAME, UDP_PACKET)
    keys: ClassVar = (with_key(IPV4_FRAME, ETHERTYPE_AT, b"\x86\xdd"), UDP_PACKET)


@violates("ff.drv.protocol-key")
class WrongProtocol(OddClassifier):
    """Gives TCP as the protocol in front of a UDP selector."""

    matches: ClassVar = (IPV4_FRAME, UDP_PACKET, UDP_PORT)
    keys: ClassVar = (IPV4_FRAME, with_key(UDP_PACKET, 9, b"\x06"), UDP_PORT)


@violates("ff.drv.capability-whole-fields", limits=WHOLE)
class PartOfAFieldInTheCapability(ReferenceDriver):
    """Sets FF_SELECTOR_CAP with a part of the source address, without PARTIAL_MASK."""

    def set_up_capabilities(self) -> None:
        super().set_up_capabilities()
        selector = {"type": ETH, "mask": bytes(6) + b"\x01" + bytes(7)}
        with suppress(AdminError):
            self.admin.set_driver_cap(CapId.FF_SELECTOR_CAP, build(FfSelectorCap, selectors=[selector]))


@violates("ff.drv.classifier-whole-fields", limits=WHOLE)
class PartOfAField(OddClassifier):
    """Matches one bit of the source address, without PARTIAL_MASK."""

    matches: ClassVar = (Match(ETH, bytes(6) + b"\x01" + bytes(7), bytes(6) + b"\x01" + bytes(7)),)
