"""Any octets may arrive at the administration virtqueue: a status comes back, and EINVAL changes nothing."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant
from hypothesis.stateful import rule as step

from virtionet_ipsec.wire import AdminStatus, Opcode, Profile, Qualifier

from .control import (
    ALL_OPCODES,
    CLASSIFIER,
    ESP_V4,
    ETH_ONLY,
    GROUP,
    INB,
    OUTB,
    RULE,
    Control,
    action_cap,
    command,
    ff_resource_cap,
    group,
    handshake,
    ipsec_resource_cap,
    rule,
    sa,
)

OPCODES = [Opcode.LIST_QUERY, Opcode.LIST_USE, *range(0x7, 0xE)]
KINDS = [GROUP, CLASSIFIER, RULE, OUTB, INB]

# The qualifiers that go with each status.
QUALIFIERS = {
    AdminStatus.OK: {Qualifier.OK},
    AdminStatus.ENXIO: {Qualifier.INVALID_FIELD},
    AdminStatus.EEXIST: {Qualifier.INVALID_FIELD},
    AdminStatus.EBUSY: {Qualifier.INVALID_COMMAND},
    AdminStatus.ENOSPC: {Qualifier.NORESOURCE},
    AdminStatus.EINVAL: {
        Qualifier.INVALID_OPCODE,
        Qualifier.INVALID_FIELD,
        Qualifier.INVALID_GROUP,
        Qualifier.INVALID_MEMBER,
    },
}


def whole(control: Control) -> None:
    """The tables agree with each other."""
    device = control.device
    flows = device.flow_table
    assert flows.group_of_priority == {priority: number for number, priority in flows.groups.items()}
    assert device.inbound_by_spi == {sa.params.spi: (number, sa) for number, sa in device.inbound.items()}
    for counts, name in ((flows.rules_of_group, "group_id"), (flows.rules_of_classifier, "classifier_id")):
        held = [getattr(each, name) for each in flows.rules.values()]
        assert {number: count for number, count in counts.items() if count} == {n: held.count(n) for n in held}
    for each in flows.rules.values():
        assert flows.groups[each.group_id] == each.group_priority
        assert flows.classifiers[each.classifier_id] == each.classifier


def answers(control: Control, readable: bytes, writable: int = 65536) -> None:
    """The device answers ``readable`` with a status, and keeps to what the status promises."""
    device = control.device
    before = device.digest()
    written = device.admin(readable, writable)
    assert len(written) <= max(writable, 0)
    if writable < 8:
        return
    status, qualifier, reserved = struct.unpack_from("<HHI", written)
    assert qualifier in QUALIFIERS[AdminStatus(status)]
    assert reserved == 0
    if status != AdminStatus.OK:
        assert device.last_refusal
        assert len(written) == 8
        assert device.digest() == before
    else:
        assert device.last_refusal == ""


def populated(profile: Profile = Profile.VIRTIO_1_4) -> Control:
    control = Control(profile=profile).start()
    for kind, data in (
        (GROUP, group(1)),
        (CLASSIFIER, ESP_V4),
        (RULE, rule()),
        (OUTB, sa(OUTB, profile)),
        (INB, sa(INB, profile)),
    ):
        control.create(kind, 0, data)
        assert control.device.last_refusal == ""
    return control


POPULATED = {profile: populated(profile) for profile in Profile}

writables = st.sampled_from([65536, 65536, 65536, 24, 8, 7, 4, 0])
profiles = st.sampled_from(Profile)


@settings(deadline=None)
@given(st.binary(max_size=300), writables, profiles)
def test_arbitrary_octets(readable: bytes, writable: int, profile: Profile) -> None:
    answers(POPULATED[profile], readable, writable)
    whole(POPULATED[profile])


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(OPCODES), st.binary(max_size=300), writables, profiles)
def test_arbitrary_data_for_every_command(opcode: int, data: bytes, writable: int, profile: Profile) -> None:
    control = populated(profile)
    answers(control, command(opcode, data), writable)
    whole(control)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(OPCODES[5:]),
    st.sampled_from([*KINDS, 0, 0x205]),
    st.integers(0, 2) | st.integers(0, 0xFFFFFFFF),
    st.binary(max_size=260),
    profiles,
)
def test_arbitrary_objects(opcode: int, kind: int, number: int, data: bytes, profile: Profile) -> None:
    control = populated(profile)
    answers(control, command(opcode, struct.pack("<H2xIQ", kind, number, 0) + data))
    whole(control)


@settings(deadline=None, max_examples=300)
@given(st.integers(0x07FF, 0x0805), st.binary(max_size=300), profiles)
def test_arbitrary_capabilities(cap: int, data: bytes, profile: Profile) -> None:
    control = Control(profile=profile).start(enable=False)
    answers(control, command(Opcode.DRIVER_CAP_SET, struct.pack("<H6x", cap) + data))


@st.composite
def damaged(draw: st.DrawFn, octets: bytes) -> bytes:
    """``octets`` with one to three of them changed, and perhaps cut or continued."""
    data = bytearray(octets)
    for _ in range(draw(st.integers(1, 3))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.sampled_from([0, 1, 2, 0x7F, 0x80, 0xFF]))
    return bytes(data)[: draw(st.none() | st.integers(0, len(data)))] + draw(st.binary(max_size=4))


@settings(deadline=None, max_examples=500)
@given(st.data(), profiles)
def test_damaged_commands(data: st.DataObject, profile: Profile) -> None:
    control = populated(profile)
    kind = data.draw(st.sampled_from(KINDS))
    good = {GROUP: group(2), CLASSIFIER: ETH_ONLY, RULE: rule(), OUTB: sa(OUTB, profile), INB: sa(INB, profile, spi=5)}[
        kind
    ]
    opcode = data.draw(st.sampled_from([Opcode.RESOURCE_OBJ_CREATE, Opcode.RESOURCE_OBJ_MODIFY]))
    number = int(opcode == Opcode.RESOURCE_OBJ_CREATE)
    answers(control, data.draw(damaged(command(opcode, struct.pack("<H2xIQ", kind, number, 0) + good))))
    whole(control)


def test_every_cut_of_every_object() -> None:
    for kind, good in ((CLASSIFIER, ESP_V4), (RULE, rule()), (OUTB, sa(OUTB)), (INB, sa(INB, spi=5))):
        control = populated()
        readable = command(Opcode.RESOURCE_OBJ_CREATE, struct.pack("<H2xIQ", kind, 1, 0) + good)
        for length in range(len(readable)):
            answers(control, readable[:length])
        whole(control)


class ControlPlane(RuleBasedStateMachine):
    """Commands that mostly make sense, in any order, with few ids, so that they meet."""

    def __init__(self) -> None:
        super().__init__()
        self.control = Control()
        handshake(self.control.device)
        self.control.use(ALL_OPCODES)

    numbers = st.integers(0, 3)

    @step()
    def enable(self) -> None:
        for cap in self.control.caps():
            self.control.set_cap(cap, self.control.get_cap(cap))

    @step(limit=st.integers(0, 3))
    def limit(self, limit: int) -> None:
        self.control.set_cap(0x0800, ff_resource_cap(limit, limit, limit, limit, limit, limit))
        self.control.set_cap(0x0802, action_cap(*range(1, limit + 1)))
        self.control.set_cap(0x0803, ipsec_resource_cap(limit, limit))

    @step(
        opcode=st.sampled_from([Opcode.RESOURCE_OBJ_CREATE, Opcode.RESOURCE_OBJ_MODIFY]),
        number=numbers,
        data=st.one_of(
            st.tuples(st.just(GROUP), st.builds(group, numbers)),
            st.tuples(st.just(CLASSIFIER), st.sampled_from([ESP_V4, ETH_ONLY])),
            st.tuples(
                st.just(RULE),
                st.builds(lambda g, c, p: rule(group=g, classifier=c, priority=p), numbers, numbers, numbers),
            ),
            st.tuples(st.just(OUTB), st.builds(lambda spi: sa(OUTB, spi=spi), numbers)),
            st.tuples(st.just(INB), st.builds(lambda spi: sa(INB, spi=spi), numbers)),
        ),
    )
    def put(self, opcode: int, number: int, data: tuple[int, bytes]) -> None:
        kind, octets = data
        answers(self.control, command(opcode, struct.pack("<H2xIQ", kind, number, 0) + octets))
        if not self.control.device.last_refusal:
            self.control.query(kind, number)
            assert self.control.result == octets

    @step(kind=st.sampled_from(KINDS), number=numbers)
    def destroy(self, kind: int, number: int) -> None:
        answers(self.control, command(Opcode.RESOURCE_OBJ_DESTROY, struct.pack("<H2xI", kind, number)))

    @step()
    def reset(self) -> None:
        handshake(self.control.device)
        assert self.control.use(ALL_OPCODES) == (AdminStatus.OK, Qualifier.OK)

    @invariant()
    def tables_agree(self) -> None:
        whole(self.control)


TestControlPlane = ControlPlane.TestCase
TestControlPlane.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
