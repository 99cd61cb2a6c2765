"""Administration commands from the driver's side (virtio 1.4, 2.12.1, 2.13): retries, errors, words."""

from __future__ import annotations

import struct

import pytest

from virtionet_ipsec.driver.admin import AdminClient
from virtionet_ipsec.driver.errors import AdminError, DriverError
from virtionet_ipsec.driver.in_process import connect
from virtionet_ipsec.ipsec import Direction, Mode, Protocol, SaParams, Tunnel
from virtionet_ipsec.wire import AdminStatus, CapId, Opcode, Qualifier, ResourceType

from .fake import FakePort, answer

KEY = bytes(range(0x30, 0x40))
EAGAIN, ENOMEM = AdminStatus.EAGAIN, AdminStatus.ENOMEM


def client(*answers: bytes) -> tuple[AdminClient, FakePort]:
    """A client on a device that gives these answers, the last one for ever."""
    left = list(answers)
    port = FakePort(lambda opcode, data: left.pop(0) if len(left) > 1 else left[0])
    return AdminClient(port), port


def params(spi: int = 0x1000, **fields: object) -> SaParams:
    values = {"aead": "aes-gcm", "cipher_key": KEY, "salt": b"salt"} | fields
    return SaParams(Direction.INBOUND, Protocol.ESP, Mode.TUNNEL, spi, **values)


# -- what is sent ---------------------------------------------------------------------------------------------------


def test_the_bytes_of_every_command() -> None:
    """Header and data by hand; the whole is a multiple of 64 bits."""
    admin, port = client(answer())
    admin.list_query()
    admin.list_use(frozenset({0, 1, 64}))
    admin.cap_ids()
    admin.device_cap(CapId.IPSEC_SA_CAP)
    admin.set_driver_cap(CapId.IPSEC_RESOURCE_CAP, b"abcdefgh")
    admin.create(ResourceType.IPSEC_INB_SA, 0x01020304, b"data")
    admin.modify(ResourceType.IPSEC_OUTB_SA, 5, b"dat")
    admin.query(ResourceType.FF_RULE, 6)
    admin.destroy(ResourceType.FF_GROUP, 7)
    assert port.commands == [
        (0x0, 0, 0, b""),
        (0x1, 0, 0, struct.pack("<QQ", 3, 1)),
        (0x7, 0, 0, b""),
        (0x8, 0, 0, b"\x04\x08" + bytes(6)),
        (0x9, 0, 0, b"\x03\x08" + bytes(6) + b"abcdefgh"),
        (0xA, 0, 0, b"\x04\x02\0\0\x04\x03\x02\x01" + bytes(8) + b"data" + bytes(4)),
        (0xB, 0, 0, b"\x03\x02\0\0\x05\0\0\0" + bytes(8) + b"dat" + bytes(5)),
        (0xC, 0, 0, b"\x02\x02\0\0\x06\0\0\0" + bytes(8)),
        (0xD, 0, 0, b"\x00\x02\0\0\x07\0\0\0"),
    ]


def test_the_result_is_what_follows_the_status() -> None:
    admin, _ = client(answer(result=b"0123456"))
    assert admin.device_cap(CapId.FF_RESOURCE_CAP) == b"0123456"
    admin, _ = client(answer(result=struct.pack("<QQ", 0x83, 1 << 63)))
    assert admin.list_query() == {0, 1, 7, 127}
    admin, _ = client(answer(result=b"\x83"))  # what the device has not written counts as zero
    assert admin.list_query() == {0, 1, 7}


# -- retries --------------------------------------------------------------------------------------------------------


def test_eagain_is_sent_again() -> None:
    """ "The driver SHOULD retry a command that completed with status VIRTIO_ADMIN_STATUS_EAGAIN" """
    again = answer(EAGAIN, Qualifier.TRYAGAIN)
    admin, port = client(again, again, again, answer(result=b"done"))
    assert admin.command(Opcode.LIST_QUERY, b"data") == b"done"
    assert port.commands == [(0, 0, 0, b"data" + bytes(4))] * 4


def test_eagain_for_ever() -> None:
    admin, port = client(answer(EAGAIN, Qualifier.TRYAGAIN))
    with pytest.raises(AdminError, match=r"^LIST_QUERY: EAGAIN/TRYAGAIN$") as caught:
        admin.list_query()
    assert caught.value.status == EAGAIN and 2 <= len(port.commands) <= 100


@pytest.mark.parametrize("status", [6, 12, 16, 17, 22, 28, 1, 99, 0xFFFF])
def test_nothing_else_is_sent_again(status: int) -> None:
    admin, port = client(answer(status), answer())
    with pytest.raises(AdminError):
        admin.list_query()
    assert len(port.commands) == 1


# -- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [each for each in AdminStatus if each not in (AdminStatus.OK, EAGAIN)])
@pytest.mark.parametrize("qualifier", Qualifier)
def test_errors_by_name(status: AdminStatus, qualifier: Qualifier) -> None:
    admin, port = client(answer(status, qualifier))
    port.last_refusal = "because it says so"
    with pytest.raises(AdminError) as caught:
        admin.create(ResourceType.IPSEC_OUTB_SA, 3, b"")
    error = caught.value
    assert str(error) == f"RESOURCE_OBJ_CREATE IPSEC_OUTB_SA 3: {status.name}/{qualifier.name}: because it says so"
    assert (error.opcode, error.status, error.qualifier) == (Opcode.RESOURCE_OBJ_CREATE, status, qualifier)
    assert error.why == "because it says so" and isinstance(error, DriverError)


@pytest.mark.parametrize(("status", "qualifier"), [(1, 0), (5, 8), (0xFFFF, 0xFFFF), (22, 0x1234)])
def test_reserved_numbers_are_errors_like_others(status: int, qualifier: int) -> None:
    """ "in the same way as ... VIRTIO_ADMIN_STATUS_EINVAL (except possibly for different error reporting)" """
    admin, _ = client(answer(status, qualifier))
    with pytest.raises(AdminError) as caught:
        admin.device_cap(CapId.IPSEC_SA_CAP)
    name = "EINVAL" if status == 22 else status
    assert str(caught.value).startswith(f"DEVICE_CAP_GET IPSEC_SA_CAP: {name}/")
    assert (caught.value.status, caught.value.qualifier) == (status, qualifier)


def test_a_buffer_that_is_not_used() -> None:
    admin, _ = client(b"")
    with pytest.raises(AdminError, match="LIST_QUERY: EINVAL/OK: the device did not use the buffer"):
        admin.list_query()


@pytest.mark.parametrize("length", range(1, 8))
def test_a_short_answer_reads_as_if_zeros_followed(length: int) -> None:
    """2.13: "the driver MUST act as if the structure outside the part of the buffer used ... is set to zero" """
    admin, _ = client(answer(AdminStatus.EINVAL, Qualifier.INVALID_FIELD)[:length])
    with pytest.raises(AdminError):
        admin.list_query()
    admin, _ = client(bytes(length))
    assert admin.list_query() == frozenset()


# -- why, in the device's words -------------------------------------------------------------------------------------


def test_why_was_my_sa_rejected() -> None:
    driver = connect()
    driver.create_sa(params())
    with pytest.raises(AdminError) as caught:
        driver.create_sa(params())
    # As README shows it.
    assert str(caught.value) == (
        "RESOURCE_OBJ_CREATE IPSEC_INB_SA 2: EINVAL/INVALID_FIELD: "
        "spi 0x00001000 is that of IPSEC_INB_SA 1 already (D20)"
    )
    assert (caught.value.status, caught.value.qualifier) == (AdminStatus.EINVAL, Qualifier.INVALID_FIELD)
    with pytest.raises(AdminError, match="IPSEC_INB_SA 1: EEXIST/INVALID_FIELD: IPSEC_INB_SA 1 exists already"):
        driver.create_sa(params(2), 1)
    with pytest.raises(AdminError, match=r"RESOURCE_OBJ_DESTROY IPSEC_OUTB_SA 1: ENXIO/.* does not exist"):
        driver.destroy_sa(Direction.OUTBOUND, 1)
    with pytest.raises(AdminError, match=r"RESOURCE_OBJ_MODIFY IPSEC_INB_SA 1: EINVAL/.*cipher_key cannot change"):
        driver.modify_sa(params(cipher_key=bytes(16)), 1)
    with pytest.raises(AdminError, match="RESOURCE_OBJ_MODIFY IPSEC_INB_SA 9: ENXIO"):
        driver.modify_sa(params(), 9)


def test_no_key_in_an_error() -> None:
    driver = connect()
    driver.create_sa(params())
    told: list[str] = []
    driver.device.observer = lambda event: told.append(repr(event))
    for action in (
        lambda: driver.create_sa(params()),
        lambda: driver.modify_sa(params(cipher_key=KEY[::-1]), 1),
        lambda: driver.create_sa(params(7), 1 << 31),
    ):
        with pytest.raises(AdminError) as caught:
            action()
        told.append(f"{caught.value} {caught.value!r}")
    text = "".join(told)
    assert len(told) == 6
    for key in (KEY, KEY[::-1]):
        assert key.hex() not in text and repr(key)[2:-1] not in text


# -- ids ------------------------------------------------------------------------------------------------------------


def test_ids() -> None:
    """The first is 1, for 0 in a header means "none"; none is used twice; one that is given counts."""
    driver = connect()
    assert [driver.create_sa(params(spi)) for spi in (1, 2)] == [1, 2]
    assert driver.create_sa(params(3), 0) == 0
    assert driver.create_sa(params(4), 40) == 40
    driver.destroy_sa(Direction.INBOUND, 40)
    assert driver.create_sa(params(4)) == 41
    with pytest.raises(AdminError):
        driver.create_sa(params(4))
    assert driver.create_sa(params(5)) == 42
    outbound = SaParams(
        Direction.OUTBOUND,
        Protocol.ESP,
        Mode.TUNNEL,
        1,
        aead="aes-gcm",
        cipher_key=KEY,
        salt=b"salt",
        tunnel=Tunnel(bytes(4), bytes(4)),
    )
    assert driver.create_sa(outbound) == 1  # each type has ids of its own
    assert driver.create_group(5) == 1 and driver.create_group(6) == 2


def test_a_refused_sa_leaves_the_one_with_its_id_as_it_was() -> None:
    """Also in what no SA object carries: the ICV length here."""
    driver = connect()
    first = params(icv_len=8)
    driver.create_sa(first, 1)
    with pytest.raises(AdminError, match="EEXIST"):
        driver.create_sa(params(2), 1)
    driver.modify_sa(first, 1)
    assert driver.device.inbound[1].params.icv_len == 8
    driver.destroy_sa(Direction.INBOUND, 1)
    driver.create_sa(params(), 1)
    assert driver.device.inbound[1].params.icv_len is None


def test_model_extras() -> None:
    """What the object cannot say reaches the model beside it (D08, D10, D11, D49)."""
    driver = connect()
    sa = driver.create_sa(params(icv_len=12, iv=b"12345678", first_seq=77))
    made = driver.device.inbound[sa].params
    assert (made.icv_len, made.iv, made.first_seq) == (12, b"12345678", 77)
    ah = SaParams(Direction.INBOUND, Protocol.AH, Mode.TRANSPORT, 9, auth="hmac-sha1", auth_key=bytes(20), ah_align=8)
    assert driver.device.inbound[driver.create_sa(ah)].params.ah_align == 8
