"""Groups, classifiers and rules (virtio 1.4, 5.1.9.6)."""

from __future__ import annotations

import pytest

from virtionet_ipsec.device import ALL_SELECTORS, Limits, SelectorCap
from virtionet_ipsec.device.header_fields import HEADER_FIELDS, partly_masked
from virtionet_ipsec.wire import Action, CapId, SelectorFlag, SelectorType

from .control import (
    CLASSIFIER,
    EBUSY,
    ENOSPC,
    ESP_V4,
    ESP_V4_KEY,
    ETH_ONLY,
    ETHERTYPE_MASK,
    GROUP,
    INVALID_FIELD,
    LENGTHS,
    NEXT_HEADER_MASK,
    OK,
    PROTOCOL_MASK,
    RULE,
    Control,
    action_cap,
    array,
    ff_resource_cap,
    group,
    octets,
    rule,
    selector,
)

ETH, IPV4, IPV6, TCP, UDP, ESP = SelectorType
PARTIAL = SelectorFlag.PARTIAL_MASK


# -- groups ------------------------------------------------------------------------------------------------------


def test_group_priorities_are_distinct() -> None:
    control = Control().start()
    assert control.create(GROUP, 0, group(5)) == OK
    control.refused(control.create(GROUP, 1, group(5)), INVALID_FIELD, "that of FF_GROUP 0 already")
    assert control.create(GROUP, 1, group(6)) == OK
    control.refused(control.modify(GROUP, 1, group(5)), INVALID_FIELD, "that of FF_GROUP 0 already")
    assert control.modify(GROUP, 1, group(6)) == OK  # its own is no other's
    assert control.modify(GROUP, 0, group(7)) == OK
    assert control.create(GROUP, 2, group(5)) == OK  # free again
    assert control.destroy(GROUP, 2) == OK
    assert control.create(GROUP, 3, group(5)) == OK


def test_group_priorities_are_whole_u16() -> None:
    control = Control().start()
    assert control.create(GROUP, 0, group(0)) == OK
    assert control.create(GROUP, 1, group(0xFFFF)) == OK


def test_groups_are_bounded_by_the_lower_of_two_limits() -> None:
    control = Control().start()
    assert control.set_cap(CapId.FF_RESOURCE_CAP, ff_resource_cap(groups=5, per_group=2)) == OK
    assert control.create(GROUP, 4, group(4)) == OK
    assert control.create(GROUP, 3, group(3)) == OK
    control.refused(control.create(GROUP, 2, group(2)), ENOSPC, "limit is 2")


# -- classifiers -------------------------------------------------------------------------------------------------

CLASSIFIERS = {
    "ethernet": ETH_ONLY,
    "ethernet, nothing masked": array(selector(ETH, bytes(14))),
    "ipv4": array(selector(ETH, ETHERTYPE_MASK), selector(IPV4, bytes(20))),
    "ipv6": array(selector(ETH, ETHERTYPE_MASK), selector(IPV6, bytes(40))),
    "ipv4 esp": ESP_V4,
    "ipv4 udp": array(selector(ETH, ETHERTYPE_MASK), selector(IPV4, PROTOCOL_MASK), selector(UDP, b"\xff" * 8)),
    "ipv6 tcp": array(selector(ETH, ETHERTYPE_MASK), selector(IPV6, NEXT_HEADER_MASK), selector(TCP, b"\xff" * 20)),
    "partial": array(selector(ETH, octets(14, _0=b"\1"), PARTIAL)),
    "partial, and all bits set": array(selector(ETH, ETHERTYPE_MASK, PARTIAL)),
    "one control bit": array(
        selector(ETH, ETHERTYPE_MASK), selector(IPV4, PROTOCOL_MASK), selector(TCP, octets(20, _13=b"\2"))
    ),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers(name: str) -> None:
    control = Control().start()
    assert control.create(CLASSIFIER, 1, CLASSIFIERS[name]) == OK
    assert control.query(CLASSIFIER, 1) == OK
    assert control.result == CLASSIFIERS[name]


BAD_CLASSIFIERS = {
    "no selector": (array(), "count 0"),
    "four selectors": (array(*[selector(ETH, bytes(14))] * 4), "count 4"),
    "255 selectors and no data": (array(count=255), "count 255"),
    "not Ethernet first": (array(selector(IPV4, bytes(20))), "selectors[0]: type 2 is not ETH"),
    "not IP second": (array(selector(ETH, ETHERTYPE_MASK), selector(UDP, bytes(8))), "selectors[1]: type 5"),
    "not TCP, UDP or ESP third": (
        array(selector(ETH, ETHERTYPE_MASK), selector(IPV4, PROTOCOL_MASK), selector(IPV6, bytes(40))),
        "selectors[2]: type 3 is not TCP or UDP or ESP",
    ),
    "reserved type": (array(selector(7, bytes(8))), "selectors[0]: type 7"),
    "second missing": (array(selector(ETH, ETHERTYPE_MASK), count=2), "selectors[1]: type 0"),
    "short": (array(selector(ETH, bytes(13))), "length 13"),
    "long": (array(selector(ETH, bytes(15))), "length 15"),
    "unknown flag": (array(selector(ETH, bytes(14), 2)), "flags 0x02"),
    "part of a field": (array(selector(ETH, octets(14, _0=b"\1"))), "a part of Destination Address"),
    "part of Flags": (
        array(selector(ETH, ETHERTYPE_MASK), selector(IPV4, octets(20, _6=b"\x40"))),
        "a part of Flags",
    ),
    "EtherType not masked": (array(selector(ETH, bytes(14)), selector(IPV4, bytes(20))), "cover EtherType"),
    "EtherType in part": (
        array(selector(ETH, octets(14, _12=b"\xff\xfe"), PARTIAL), selector(IPV4, bytes(20))),
        "cover EtherType",
    ),
    "Protocol not masked": (
        array(selector(ETH, ETHERTYPE_MASK), selector(IPV4, bytes(20)), selector(ESP, bytes(8))),
        "cover Protocol",
    ),
    "Next Header in part": (
        array(selector(ETH, ETHERTYPE_MASK), selector(IPV6, octets(40, _6=b"\x7f"), PARTIAL), selector(ESP, bytes(8))),
        "cover Protocol or Next Header",
    ),
}


@pytest.mark.parametrize("name", BAD_CLASSIFIERS)
def test_bad_classifiers(name: str) -> None:
    data, words = BAD_CLASSIFIERS[name]
    control = Control().start()
    before = control.device.digest()
    control.refused(control.create(CLASSIFIER, 1, data), INVALID_FIELD, words)
    assert control.device.digest() == before
    assert control.create(CLASSIFIER, 1, ESP_V4) == OK
    control.refused(control.modify(CLASSIFIER, 1, data), INVALID_FIELD, words)


def test_the_drivers_selector_capability_bounds_its_classifiers() -> None:
    control = Control().start()
    mask = octets(20, _9=b"\xff", _12=b"\xff" * 4)
    assert control.set_cap(CapId.FF_SELECTOR_CAP, array(selector(ETH, ETHERTYPE_MASK), selector(IPV4, mask, 1))) == OK
    good = array(selector(ETH, ETHERTYPE_MASK), selector(IPV4, octets(20, _12=b"\xff\xff\xff\0"), PARTIAL))
    assert control.create(CLASSIFIER, 0, good) == OK
    for data, words in (
        (array(selector(ETH, b"\xff" * 14)), "selector ETH: the mask has bits"),
        (array(selector(ETH, ETHERTYPE_MASK, PARTIAL)), "selector ETH: flags 0x01"),
        (array(selector(ETH, ETHERTYPE_MASK), selector(IPV4, octets(20, _16=b"\xff" * 4))), "IPV4: the mask has bits"),
        (array(selector(ETH, ETHERTYPE_MASK), selector(IPV6, bytes(40))), "selector type 3 is not in"),
        (ESP_V4, "selector type 6 is not in"),
    ):
        control.refused(control.create(CLASSIFIER, 1, data), INVALID_FIELD, words)


def test_selectors_per_classifier_limit() -> None:
    control = Control().start()
    assert control.set_cap(CapId.FF_RESOURCE_CAP, ff_resource_cap(selectors=2)) == OK
    assert control.create(CLASSIFIER, 0, CLASSIFIERS["ipv4"]) == OK
    control.refused(control.create(CLASSIFIER, 1, ESP_V4), INVALID_FIELD, "1 to 2 selectors")


# -- header fields -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SelectorType)
def test_the_fields_fill_the_header(kind: SelectorType) -> None:
    assert sum(width for _, width in HEADER_FIELDS[kind]) == LENGTHS[kind] * 8
    assert partly_masked(kind, bytes(LENGTHS[kind])) == partly_masked(kind, b"\xff" * LENGTHS[kind]) == ""


@pytest.mark.parametrize(
    ("kind", "mask", "field"),
    [
        (ETH, octets(14, _11=b"\1"), "Source Address"),
        (ETH, octets(14, _12=b"\xff\xff"), ""),
        (IPV4, octets(20, _0=b"\xf0"), ""),
        (IPV4, octets(20, _0=b"\x0f"), ""),
        (IPV4, octets(20, _0=b"\x1f"), "Version"),
        (IPV4, octets(20, _1=b"\xfc"), "Type of Service"),
        (IPV4, octets(20, _6=b"\xe0"), ""),
        (IPV4, octets(20, _6=b"\x1f\xff"), ""),
        (IPV4, octets(20, _6=b"\x20"), "Flags"),
        (IPV4, octets(20, _6=b"\x1f\xfe"), "Fragment Offset"),
        (IPV6, octets(40, _0=b"\x0f\xf0"), ""),
        (IPV6, octets(40, _0=b"\x0f"), "Traffic Class"),
        (IPV6, octets(40, _1=b"\x0f\xff\xff"), ""),
        (IPV6, octets(40, _2=b"\xff"), "Flow Label"),
        (IPV6, octets(40, _8=b"\xff" * 8), "Source Address"),
        (TCP, octets(20, _13=b"\x15"), ""),
        (TCP, octets(20, _12=b"\x80"), "Data Offset"),
        (TCP, octets(20, _12=b"\x01"), "Reserved"),
        (UDP, octets(8, _2=b"\xff"), "Destination Port"),
        (ESP, octets(8, _0=b"\xff" * 4), ""),
        (ESP, octets(8, _0=b"\xff" * 3), "Security Parameters Index"),
    ],
)
def test_partly_masked(kind: SelectorType, mask: bytes, field: str) -> None:
    assert partly_masked(kind, mask) == field


# -- rules -------------------------------------------------------------------------------------------------------


def ready(queue_pairs: int = 1, **limits: int) -> Control:
    control = Control(queue_pairs=queue_pairs).start()
    if limits:
        assert control.set_cap(CapId.FF_RESOURCE_CAP, ff_resource_cap(**limits)) == OK
    assert control.create(GROUP, 0, group(0)) == OK
    assert control.create(CLASSIFIER, 0, ESP_V4) == OK
    assert control.create(CLASSIFIER, 1, ETH_ONLY) == OK
    assert control.create(CLASSIFIER, 2, CLASSIFIERS["ipv6 tcp"]) == OK
    assert control.create(CLASSIFIER, 3, CLASSIFIERS["ipv4"]) == OK
    return control


V6_TCP_KEY = octets(74, _12=b"\x86\xdd", _20=b"\x06")

RULES = {
    "esp": rule(),
    "any EtherType": rule(bytes(14), classifier=1),
    "ipv4, and no protocol": rule(octets(34, _12=b"\x08\x00"), classifier=3),
    "ipv6 tcp": rule(V6_TCP_KEY, classifier=2),
    "bits outside the mask": rule(octets(42, _0=b"\xff" * 12, _12=b"\x08\x00", _23=b"\x32", _34=b"\xff" * 8)),
    "drop": rule(action=Action.DROP),
    "vq_index does not count": rule(action=Action.DROP, vq_index=0xFFFF),
    "receiveq1": rule(action=Action.DIRECT_RX_VQ, vq_index=0),
}


@pytest.mark.parametrize("name", RULES)
def test_rules(name: str) -> None:
    control = ready()
    assert control.create(RULE, 1, RULES[name]) == OK
    assert control.query(RULE, 1) == OK
    assert control.result == RULES[name]


BAD_RULES = {
    "no group": (rule(group=1), "group_id: FF_GROUP 1 does not exist"),
    "no classifier": (rule(classifier=9), "classifier_id: FF_CLASSIFIER 9 does not exist"),
    "key short": (rule(ESP_V4_KEY[:-1]), "key_length 41 is not the 42"),
    "key long": (rule(ESP_V4_KEY + b"\0"), "key_length 43 is not the 42"),
    "no key": (rule(b""), "key_length 0"),
    "key missing": (rule(b"", key_length=42), "EtherType 0000"),
    "EtherType of IPv6": (rule(octets(42, _12=b"\x86\xdd", _23=b"\x32")), "EtherType 86dd"),
    "protocol of UDP": (rule(octets(42, _12=b"\x08\x00", _23=b"\x11")), "protocol 17"),
    "EtherType of IPv4": (rule(octets(74, _12=b"\x08\x00", _20=b"\x06"), classifier=2), "EtherType 0800"),
    "next header of ESP": (rule(octets(74, _12=b"\x86\xdd", _20=b"\x32"), classifier=2), "protocol 50"),
    "action 0": (rule(action=0), "action 0"),
    "action 5": (rule(action=5), "action 5"),
    "transmitq1": (rule(action=Action.DIRECT_RX_VQ, vq_index=1), "vq_index 1 is no receive queue"),
    "receiveq2": (rule(action=Action.DIRECT_RX_VQ, vq_index=2), "vq_index 2"),
    "priority 255": (rule(priority=255), "rule_priority 255"),
}


@pytest.mark.parametrize("name", BAD_RULES)
def test_bad_rules(name: str) -> None:
    data, words = BAD_RULES[name]
    control = ready()
    before = control.device.digest()
    control.refused(control.create(RULE, 1, data), INVALID_FIELD, words)
    assert control.device.digest() == before
    assert control.create(RULE, 1, rule()) == OK
    control.refused(control.modify(RULE, 1, data), INVALID_FIELD, words)


def test_receive_queues_are_the_even_virtqueues() -> None:
    control = ready(queue_pairs=3)
    for vq_index in range(9):
        expected = OK if vq_index in (0, 2, 4) else INVALID_FIELD
        assert control.create(RULE, vq_index, rule(action=Action.DIRECT_RX_VQ, vq_index=vq_index)) == expected


def test_an_action_has_to_be_in_the_drivers_capability() -> None:
    control = Control().start()
    assert control.set_cap(CapId.FF_ACTION_CAP, action_cap(Action.DROP)) == OK
    assert control.create(GROUP, 0, group(0)) == OK
    assert control.create(CLASSIFIER, 0, ESP_V4) == OK
    assert control.create(RULE, 0, rule(action=Action.IPSEC)) == INVALID_FIELD
    assert control.create(RULE, 0, rule(action=Action.DROP)) == OK


def test_a_priority_equal_to_the_last_fails_too() -> None:
    control = ready(last=10)
    assert control.create(RULE, 0, rule(priority=9)) == OK
    assert control.create(RULE, 1, rule(priority=10)) == INVALID_FIELD
    assert control.create(RULE, 1, rule(priority=11)) == INVALID_FIELD


def test_rules_may_share_a_priority() -> None:
    control = ready()
    assert control.create(RULE, 0, rule(priority=9)) == control.create(RULE, 1, rule(priority=9)) == OK


@pytest.mark.parametrize(("rules", "per_group"), [(6, 2), (2, 6)])
def test_rule_ids_are_below_the_lower_of_two_limits(rules: int, per_group: int) -> None:
    control = ready(rules=rules, per_group=per_group)
    control.refused(control.create(RULE, 2, rule()), INVALID_FIELD, "limit of 2")
    assert control.create(RULE, 0, rule()) == OK
    assert control.create(RULE, 1, rule()) == OK
    assert control.create(RULE, 2, rule()) == ENOSPC


def test_a_group_with_rules_is_busy_even_for_its_own_priority() -> None:
    control = ready()
    assert control.create(RULE, 0, rule()) == OK
    assert control.modify(GROUP, 0, group(0)) == EBUSY


def test_a_narrow_device() -> None:
    limits = Limits(selectors=(SelectorCap(ETH, ETHERTYPE_MASK, SelectorFlag(0)), ALL_SELECTORS[1]))
    control = Control(limits=limits).start()
    assert control.create(CLASSIFIER, 0, CLASSIFIERS["ipv4"]) == OK
    assert control.create(CLASSIFIER, 1, CLASSIFIERS["ipv6"]) == INVALID_FIELD
