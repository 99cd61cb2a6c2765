"""What holds for resource objects of every type (virtio 1.4, 2.12.1.3)."""

from __future__ import annotations

from typing import Any

import pytest

from virtionet_ipsec.wire import CapId, Opcode

from .control import (
    CLASSIFIER,
    EBUSY,
    EEXIST,
    ENOSPC,
    ENXIO,
    ESP_V4,
    ETH_ONLY,
    GROUP,
    INB,
    INVALID_FIELD,
    OK,
    OUTB,
    RULE,
    Control,
    ff_resource_cap,
    group,
    ipsec_resource_cap,
    rule,
    sa,
)

KINDS = [GROUP, CLASSIFIER, RULE, OUTB, INB]


def data(kind: int, number: int) -> bytes:
    """An object that goes together with those of other numbers."""
    return {
        GROUP: group(100 + number),
        CLASSIFIER: ESP_V4,
        RULE: rule(group=40, classifier=40),
        OUTB: sa(OUTB),
        INB: sa(INB, spi=0x1000 + number),
    }[kind]  # type: ignore[index]


def other_data(kind: int, number: int) -> bytes:
    """What :func:`data` may be modified to."""
    return {
        GROUP: group(200 + number),
        CLASSIFIER: ETH_ONLY,
        RULE: rule(group=40, classifier=40, priority=9),
        OUTB: sa(OUTB, options=64, life={"packets_hard_limit": 9}),
        INB: sa(INB, spi=0x1000 + number, replay_win_sz=128),
    }[kind]  # type: ignore[index]


def ready(**parameters: Any) -> Control:
    """With group 40 and classifier 40, for rules."""
    control = Control(**parameters).start()
    assert control.create(GROUP, 40, group(40)) == OK
    assert control.create(CLASSIFIER, 40, ESP_V4) == OK
    return control


@pytest.mark.parametrize("kind", KINDS)
def test_the_life_of_an_object(kind: int) -> None:
    control = ready()
    assert control.create(kind, 5, data(kind, 5)) == OK
    assert control.result == b""
    assert control.query(kind, 5) == OK
    assert control.result == data(kind, 5)
    assert control.modify(kind, 5, other_data(kind, 5)) == OK
    assert control.result == b""
    assert control.query(kind, 5) == OK
    assert control.result == other_data(kind, 5)
    assert control.destroy(kind, 5) == OK
    assert control.result == b""
    assert control.query(kind, 5) == ENXIO
    assert control.create(kind, 5, data(kind, 5)) == OK  # recreated without a reset
    assert control.query(kind, 5) == OK
    assert control.result == data(kind, 5)


@pytest.mark.parametrize("kind", KINDS)
def test_an_id_is_used_once_per_type(kind: int) -> None:
    control = ready()
    assert control.create(kind, 5, data(kind, 5)) == OK
    before = control.device.digest()
    control.refused(control.create(kind, 5, other_data(kind, 6)), EEXIST, "exists already")
    assert control.device.digest() == before
    for another in set(KINDS) - {kind}:
        assert control.create(another, 5, data(another, 5)) == OK


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_exist(kind: int) -> None:
    control = ready()
    assert control.create(kind, 5, data(kind, 5)) == OK
    for number in (4, 6, 0xFFFFFFFF):
        control.refused(control.modify(kind, number, data(kind, 4)), ENXIO, "does not exist")
        assert control.query(kind, number) == ENXIO
        assert control.destroy(kind, number) == ENXIO
    assert control.destroy(kind, 5) == OK
    assert control.destroy(kind, 5) == ENXIO


@pytest.mark.parametrize("kind", [0, 0x1FF, 0x205, 0x4FF, 0xFFFF])
def test_an_unknown_type(kind: int) -> None:
    control = ready()
    control.refused(control.create(kind, 0, bytes(200)), INVALID_FIELD, "resource type")
    assert control.modify(kind, 0, bytes(200)) == ENXIO
    assert control.query(kind, 0) == ENXIO
    assert control.destroy(kind, 0) == ENXIO


@pytest.mark.parametrize("kind", KINDS)
def test_a_failed_create_or_modify_has_no_effect(kind: int) -> None:
    control = ready()
    bad = {
        GROUP: group(40),
        CLASSIFIER: bytes(8),
        RULE: rule(group=39, classifier=40),
        OUTB: sa(OUTB, spi=0),
        INB: sa(INB, mode=9),
    }[kind]  # type: ignore[index]
    before = control.device.digest()
    assert control.create(kind, 5, bad) == INVALID_FIELD
    assert control.device.digest() == before
    assert control.create(kind, 5, data(kind, 5)) == OK
    before = control.device.digest()
    assert control.modify(kind, 5, bad) == INVALID_FIELD
    assert control.device.digest() == before
    assert control.query(kind, 5) == OK
    assert control.result == data(kind, 5)


def limited(kind: int, limit: int) -> Control:
    """Objects of ``kind`` limited by the driver, the others not."""
    control = Control().start(enable=False)
    numbers = {"groups": 60, "classifiers": 60, "rules": 60, "per_group": 60}
    name = {GROUP: "groups", CLASSIFIER: "classifiers", RULE: "rules"}.get(kind)  # type: ignore[call-overload]
    if name:
        numbers[name] = limit
    inbound, outbound = (limit, 60) if kind == INB else (60, limit)
    for cap in control.caps():
        value = control.get_cap(cap)
        if cap == CapId.FF_RESOURCE_CAP:
            value = ff_resource_cap(**numbers)
        elif cap == CapId.IPSEC_RESOURCE_CAP:
            value = ipsec_resource_cap(inbound, outbound)
        assert control.set_cap(cap, value) == OK
    if kind == RULE:
        assert control.create(GROUP, 40, group(40)) == OK
        assert control.create(CLASSIFIER, 40, ESP_V4) == OK
    return control


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_below_the_drivers_limit(kind: int) -> None:
    control = limited(kind, 3)
    before = control.device.digest()
    control.refused(control.create(kind, 3, data(kind, 3)), INVALID_FIELD, "not below the driver's limit of 3")
    control.refused(control.create(kind, 0xFFFFFFFF, data(kind, 3)), INVALID_FIELD, "limit of 3")
    assert control.device.digest() == before
    assert control.create(kind, 2, data(kind, 2)) == OK


@pytest.mark.parametrize("kind", KINDS)
def test_as_many_objects_as_the_driver_said(kind: int) -> None:
    control = limited(kind, 3)
    for number in (2, 0, 1):
        assert control.create(kind, number, data(kind, number)) == OK
    before = control.device.digest()
    if kind in (OUTB, INB):  # the crypto section's MUST has the status (5.9.9.9.4)
        control.refused(control.create(kind, 3, data(kind, 3)), INVALID_FIELD, "limit of 3")
    else:
        control.refused(control.create(kind, 3, data(kind, 3)), ENOSPC, "limit is 3")
    assert control.device.digest() == before
    assert control.create(kind, 1, data(kind, 1)) == EEXIST  # told before the table is found full
    assert control.destroy(kind, 0) == OK
    assert control.create(kind, 0, data(kind, 0)) == OK


@pytest.mark.parametrize(("kind", "cap"), [(OUTB, ipsec_resource_cap(4, 0)), (INB, ipsec_resource_cap(0, 4))])
def test_a_limit_of_zero_leaves_no_room(kind: int, cap: bytes) -> None:
    control = Control().start()
    assert control.set_cap(CapId.IPSEC_RESOURCE_CAP, cap) == OK
    assert control.create(kind, 0, data(kind, 0)) == INVALID_FIELD


@pytest.mark.parametrize("kind", KINDS)
def test_flags_are_reserved_and_ignored(kind: int) -> None:
    control = ready()
    assert control.create(kind, 1, data(kind, 1), flags=1) == OK
    assert control.create(kind, 2, data(kind, 2), flags=0xFFFFFFFFFFFFFFFF) == OK


@pytest.mark.parametrize("kind", KINDS)
def test_query_gives_the_structure_at_its_length(kind: int) -> None:
    control = ready()
    assert control.create(kind, 1, data(kind, 1) + b"\xee" * 33) == OK
    assert control.query(kind, 1) == OK
    assert control.result == data(kind, 1)
    assert control.modify(kind, 1, other_data(kind, 1) + b"\xee") == OK
    assert control.query(kind, 1) == OK
    assert control.result == other_data(kind, 1)


@pytest.mark.parametrize("kind", [CLASSIFIER, RULE, OUTB, INB])
def test_query_gives_reserved_octets_as_they_were_sent(kind: int) -> None:
    control = ready()
    place = {CLASSIFIER: 3, RULE: 11, OUTB: 2, INB: 3}[kind]  # type: ignore[index]
    sent = bytearray(data(kind, 1))
    sent[place] = 0xA5
    assert control.create(kind, 1, bytes(sent)) == OK
    assert control.query(kind, 1) == OK
    assert control.result == sent


@pytest.mark.parametrize("kind", [GROUP, RULE, INB])
def test_query_gives_missing_octets_as_zeros(kind: int) -> None:
    control = ready()
    # Each of these ends in octets that may be zero.
    sent = {GROUP: group(7), RULE: data(RULE, 1), INB: data(INB, 1)}[kind]  # type: ignore[index]
    assert control.create(kind, 1, sent.rstrip(b"\0")) == OK
    assert control.query(kind, 1) == OK
    assert control.result == sent


@pytest.mark.parametrize("opcode", [Opcode.RESOURCE_OBJ_QUERY, Opcode.RESOURCE_OBJ_DESTROY])
def test_excess_data_after_the_header_is_ignored(opcode: Opcode) -> None:
    control = ready()
    assert control.create(GROUP, 1, group(1)) == OK
    header = bytes.fromhex("0002 ffff 01000000 ffffffffffffffff")
    assert control.send(opcode, header + b"\xff" * 40) == OK


# -- dependencies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [GROUP, CLASSIFIER])
def test_a_rule_holds_its_group_and_its_classifier(kind: int) -> None:
    control = ready()
    assert control.create(RULE, 1, data(RULE, 1)) == OK
    assert control.create(RULE, 2, data(RULE, 2)) == OK
    before = control.device.digest()
    control.refused(control.destroy(kind, 40), EBUSY, "2 objects depend on")
    control.refused(control.modify(kind, 40, other_data(kind, 1)), EBUSY, "depend on")
    assert control.device.digest() == before
    assert control.query(kind, 40) == OK
    assert control.destroy(RULE, 1) == OK
    assert control.destroy(kind, 40) == EBUSY
    assert control.destroy(RULE, 2) == OK
    assert control.modify(kind, 40, other_data(kind, 1)) == OK
    assert control.destroy(kind, 40) == OK


def test_a_modified_rule_holds_what_it_names_now() -> None:
    control = ready()
    assert control.create(GROUP, 41, group(41)) == OK
    assert control.create(CLASSIFIER, 41, ESP_V4) == OK
    assert control.create(RULE, 1, rule(group=40, classifier=40)) == OK
    assert control.modify(RULE, 1, rule(group=41, classifier=41)) == OK
    assert control.destroy(GROUP, 40) == control.destroy(CLASSIFIER, 40) == OK
    assert control.destroy(GROUP, 41) == control.destroy(CLASSIFIER, 41) == EBUSY


def test_a_failed_modify_of_a_rule_moves_nothing() -> None:
    control = ready()
    assert control.create(GROUP, 41, group(41)) == OK
    assert control.create(RULE, 1, rule(group=40, classifier=40)) == OK
    assert control.modify(RULE, 1, rule(group=41, classifier=39)) == INVALID_FIELD
    assert control.destroy(GROUP, 41) == OK
    assert control.destroy(GROUP, 40) == EBUSY
