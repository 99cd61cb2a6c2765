"""Many SAs: each is found by its id and by its SPI, in tables that do not search."""

from __future__ import annotations

import struct
from random import Random

from virtionet_ipsec.ipsec import Reason
from virtionet_ipsec.wire import ResourceType
from virtionet_ipsec.wire.enums import Opcode

from .rig import KEY, SALT, decrypted, framed, inbound, ip, outbound, refused, rig

COUNT = 10_000
FRAME = framed(ip(payload=b"hello"))


class Counted(dict):
    """A dict that counts what is asked of it, however it is asked."""

    def __init__(self, entries: dict) -> None:
        super().__init__(entries)
        self.asked: list[str] = []

    def __getitem__(self, key: object) -> object:
        self.asked.append("getitem")
        return super().__getitem__(key)

    def get(self, key: object, default: object = None) -> object:
        self.asked.append("get")
        return super().get(key, default)

    def __iter__(self):
        self.asked.append("iter")
        return super().__iter__()

    def items(self):
        self.asked.append("items")
        return super().items()

    def values(self):
        self.asked.append("values")
        return super().values()


def test_20000_sas() -> None:
    driver = rig()
    # The driver's own path for the first; then its object with another SPI, which is what a command is.
    first_out, first_in = outbound(driver, spi=1), inbound(driver, spi=1)
    for kind, first in ((ResourceType.IPSEC_OUTB_SA, first_out), (ResourceType.IPSEC_INB_SA, first_in)):
        data = bytearray(driver.admin.query(kind, first))
        head = struct.pack("<HH12xQ", Opcode.RESOURCE_OBJ_CREATE, 0, 0)
        for number in range(2, COUNT + 1):
            data[8:12] = struct.pack("<I", number * 7)
            answer = driver.device.admin(head + struct.pack("<H2xIQ", kind, number, 0) + data)
            assert answer[:2] == b"\0\0", driver.device.last_refusal
    assert len(driver.device.outbound) == len(driver.device.inbound_by_spi) == COUNT
    assert type(driver.device.outbound) is type(driver.device.inbound_by_spi) is dict
    for number in (2, COUNT, COUNT // 2, *Random(1).sample(range(2, COUNT), 20)):
        (wire,) = driver.send(FRAME, number)
        assert wire[34:38] == struct.pack("!I", number * 7)
        assert decrypted(wire[14:])[0] == FRAME[14:]
        got = driver.receive(wire)
        assert got is not None and (got.resource_id, got.frame) == (number, FRAME)
    assert refused(driver, driver.header(COUNT + 1) + FRAME) is Reason.UNKNOWN_SA


def test_one_question_per_packet() -> None:
    """However many there are: one access by id going out, one by SPI coming in."""
    driver = rig()
    out, sa = outbound(driver), inbound(driver)
    for spi in range(1, 100):
        outbound(driver, spi=spi), inbound(driver, spi=spi)
    tables = Counted(driver.device.outbound), Counted(driver.device.inbound_by_spi)
    driver.device._transmitter._outbound, driver.device._receiver._by_spi = tables
    (wire,) = driver.send(FRAME, out)
    assert [table.asked for table in tables] == [["get"], []]
    got = driver.receive(wire)
    assert got is not None and got.resource_id == sa
    assert [table.asked for table in tables] == [["get"], ["get"]]


def test_no_key_in_a_repr_of_the_tables() -> None:
    driver = rig()
    outbound(driver), inbound(driver)
    text = f"{driver.device.outbound} {driver.device.inbound_by_spi} {driver.device.model_extras} {driver}"
    for secret in (KEY, SALT):
        assert repr(secret)[2:-1] not in text and secret.hex() not in text
    assert "0x1000" in text or "4096" in text or "OutboundSa" in text
