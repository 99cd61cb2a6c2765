"""Group administration commands: validation, the list in use, buffers (virtio 1.4, 2.12.1, 2.13)."""

from __future__ import annotations

import time

import pytest

from virtionet_ipsec.device import Device, events
from virtionet_ipsec.device.negotiation import feature_mask
from virtionet_ipsec.ipsec import Event
from virtionet_ipsec.wire import AdminStatus, CapId, Feature, Opcode, Qualifier
from virtionet_ipsec.wire.bitmap import u64_bitmap

from .control import (
    ALL_OPCODES,
    GROUP,
    INVALID_FIELD,
    INVALID_GROUP,
    INVALID_MEMBER,
    INVALID_OPCODE,
    OK,
    Control,
    command,
    group,
    handshake,
)

WITH_DATA = [
    Opcode.CAP_ID_LIST_QUERY,
    Opcode.DEVICE_CAP_GET,
    Opcode.DRIVER_CAP_SET,
    Opcode.RESOURCE_OBJ_CREATE,
    Opcode.RESOURCE_OBJ_MODIFY,
    Opcode.RESOURCE_OBJ_QUERY,
    Opcode.RESOURCE_OBJ_DESTROY,
]


# -- when there is an administration virtqueue -------------------------------------------------------------------


def test_no_command_is_consumed_before_driver_ok() -> None:
    device = Device()
    seen: list[Event] = []
    device.observer = seen.append
    assert device.admin(command(Opcode.LIST_QUERY)) == b""
    assert device.last_refusal == "DRIVER_OK is not set"
    assert seen == [events.AdminNotConsumed("DRIVER_OK is not set")]


def test_no_command_is_consumed_without_admin_vq() -> None:
    device = Device()
    handshake(device, feature_mask(Feature.VERSION_1))
    assert device.admin(command(Opcode.LIST_QUERY)) == b""
    assert "ADMIN_VQ" in device.last_refusal


# -- validation, in its order ------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2, 0xFFFF])
@pytest.mark.parametrize("opcode", [Opcode.LIST_QUERY, Opcode.RESOURCE_OBJ_CREATE, 0x7FFF])
def test_any_group_but_self_is_refused_first(number: int, opcode: int) -> None:
    control = Control().start()
    assert control.send(opcode, group=number, member=99) == INVALID_GROUP
    assert control.device.admin(command(opcode, group=number))[:4] == bytes((22, 0, 4, 0))


@pytest.mark.parametrize("opcode", [0x2, 0x6, 0xE, 0x11, 0x12, 0x13, 0x3F, 0x40, 0x7FFF, 0x8000, 0xFFFF])
def test_an_unsupported_opcode_is_refused_before_the_member(opcode: int) -> None:
    control = Control().start()
    control.refused(control.send(opcode, member=99), INVALID_OPCODE, "not supported")


@pytest.mark.parametrize("opcode", WITH_DATA)
def test_the_self_group_has_member_0_alone(opcode: Opcode) -> None:
    control = Control().start()
    before = control.device.digest()
    assert control.send(opcode, member=1) == INVALID_MEMBER
    assert control.send(opcode, member=1 << 63) == INVALID_MEMBER
    assert control.device.digest() == before


@pytest.mark.parametrize("opcode", [Opcode.LIST_QUERY, Opcode.LIST_USE])
def test_the_list_commands_do_not_use_the_member(opcode: Opcode) -> None:
    control = Control().start()
    assert control.send(opcode, (1).to_bytes(8, "little"), member=7) == OK


def test_a_wrong_member_is_told_before_wrong_data() -> None:
    control = Control().start()
    assert control.send(Opcode.DEVICE_CAP_GET, b"\xff" * 8, member=1) == INVALID_MEMBER


# -- the list in use ---------------------------------------------------------------------------------------------


def test_list_query() -> None:
    control = Control().start(use=False, enable=False)
    assert control.send(Opcode.LIST_QUERY) == OK
    assert control.result == ALL_OPCODES.to_bytes(8, "little")


@pytest.mark.parametrize("opcode", WITH_DATA)
def test_after_reset_only_the_list_commands_are_legal(opcode: Opcode) -> None:
    control = Control().start(use=False, enable=False)
    control.refused(control.send(opcode), INVALID_OPCODE, "LIST_USE")


def test_only_what_is_in_the_list_is_legal() -> None:
    control = Control().start(enable=False)
    assert control.use(0b11 | 1 << Opcode.CAP_ID_LIST_QUERY) == OK
    assert control.send(Opcode.CAP_ID_LIST_QUERY) == OK
    assert control.send(Opcode.DEVICE_CAP_GET, CapId.FF_ACTION_CAP.to_bytes(2, "little")) == INVALID_OPCODE
    assert control.use(ALL_OPCODES) == OK
    assert control.send(Opcode.DEVICE_CAP_GET, CapId.FF_ACTION_CAP.to_bytes(2, "little")) == OK


def test_the_driver_may_block_the_list_commands() -> None:
    control = Control().start(enable=False)
    assert control.use(1 << Opcode.CAP_ID_LIST_QUERY) == OK
    assert control.use(ALL_OPCODES) == INVALID_OPCODE
    assert control.send(Opcode.LIST_QUERY) == INVALID_OPCODE
    assert control.send(Opcode.CAP_ID_LIST_QUERY) == OK
    control.start()  # reset undoes it


@pytest.mark.parametrize("opcode", [0x2, 0xE, 0x3F])
def test_list_use_of_an_unsupported_opcode(opcode: int) -> None:
    control = Control().start()
    before = control.device.digest()
    control.refused(control.use(ALL_OPCODES | 1 << opcode), INVALID_FIELD, f"{opcode:#06x}")
    assert control.device.digest() == before


def test_the_array_may_be_longer_and_is_zero_there() -> None:
    control = Control().start(enable=False)
    listed = ALL_OPCODES.to_bytes(8, "little")
    assert control.send(Opcode.LIST_USE, listed + bytes(8 * 50)) == OK
    control.refused(control.send(Opcode.LIST_USE, listed + bytes(8) + b"\1"), INVALID_FIELD, "0x3f")
    assert control.send(Opcode.LIST_USE, listed + bytes(1023) + b"\x80") == INVALID_FIELD


def test_a_short_array_reads_as_zeros() -> None:
    control = Control().start(enable=False)
    assert control.send(Opcode.LIST_USE, b"\x83") == OK  # 0, 1 and 7
    assert control.send(Opcode.CAP_ID_LIST_QUERY) == OK
    assert control.send(Opcode.DEVICE_CAP_GET) == INVALID_OPCODE


def test_long_input_is_bounded_work() -> None:
    control = Control().start(enable=False)
    started = time.perf_counter()
    assert control.send(Opcode.LIST_USE, ALL_OPCODES.to_bytes(8, "little") + bytes(10_000_000)) == OK
    assert control.send(Opcode.LIST_USE, b"\xff" * 10_000_000) == INVALID_FIELD
    assert time.perf_counter() - started < 1
    assert len(control.device.last_refusal) < 200


@pytest.mark.parametrize(
    ("numbers", "entries"),
    [([0], [1]), ([0, 1, 64], [3, 1]), ([63], [1 << 63]), ([0x0800], [0] * 32 + [1]), ([], [])],
)
def test_bitmaps(numbers: list[int], entries: list[int]) -> None:
    assert u64_bitmap(numbers) == entries


# -- buffers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", range(24))
def test_a_short_readable_part_reads_as_zeros(length: int) -> None:
    device = Control().start().device
    whole = command(Opcode.LIST_QUERY)
    assert device.admin(whole[:length]) == bytes(8) + ALL_OPCODES.to_bytes(8, "little")


def test_missing_command_specific_data_reads_as_zeros() -> None:
    control = Control().start()
    assert control.create(GROUP, 0, b"\x05") == OK  # one octet of a le16
    assert control.query(GROUP, 0) == OK
    assert control.result == b"\x05\x00"


def test_a_long_readable_part_is_cut() -> None:
    control = Control().start()
    assert control.create(GROUP, 0, group(5) + b"more than the structure") == OK
    assert control.query(GROUP, 0) == OK
    assert control.result == group(5)
    assert control.send(Opcode.LIST_QUERY, b"\xff" * 100) == OK


@pytest.mark.parametrize("length", [-1, 0, 1, 3, 7, 8, 9, 15, 16, 17, 4096])
def test_the_result_is_cut_to_the_writable_part(length: int) -> None:
    device = Control().start().device
    whole = bytes(8) + ALL_OPCODES.to_bytes(8, "little")
    assert device.admin(command(Opcode.LIST_QUERY), length) == whole[: max(length, 0)]


def test_a_writable_part_without_room_for_the_status_does_not_stop_the_command() -> None:
    control = Control().start()
    data = bytes.fromhex("0002 0000 07000000 0000000000000000") + group(9)
    assert control.device.admin(command(Opcode.RESOURCE_OBJ_CREATE, data), 0) == b""
    assert control.query(GROUP, 7) == OK


def test_bytearray_and_memoryview_are_bytes_too() -> None:
    device = Control().start().device
    expected = device.admin(command(Opcode.LIST_QUERY))
    assert device.admin(bytearray(command(Opcode.LIST_QUERY))) == expected  # type: ignore[arg-type]
    assert device.admin(memoryview(command(Opcode.LIST_QUERY))) == expected  # type: ignore[arg-type]


# -- what is told ------------------------------------------------------------------------------------------------


def test_events_tell_status_and_words() -> None:
    control = Control().start()
    seen: list[Event] = []
    control.device.observer = seen.append
    control.send(Opcode.LIST_QUERY)
    control.send(0x7777)
    assert seen == [
        events.AdminCompleted(0, AdminStatus.OK, Qualifier.OK, ""),
        events.AdminCompleted(0x7777, AdminStatus.EINVAL, Qualifier.INVALID_OPCODE, "opcode 0x7777 is not supported"),
    ]


def test_last_refusal_is_that_of_the_last_command() -> None:
    control = Control().start()
    control.send(0x7777)
    assert control.device.last_refusal
    control.send(Opcode.LIST_QUERY)
    assert control.device.last_refusal == ""
