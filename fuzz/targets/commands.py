"""Any octets on the administration and the control virtqueue, in any order, with status, features and packets between.

Each command is answered within the room there is; one that is refused says why
and changes nothing; the tables of the device agree with each other throughout.
"""

from __future__ import annotations

import struct

from tests.device import control as driver
from virtionet_ipsec.device import Device
from virtionet_ipsec.wire import AdminStatus, Opcode, Profile, Status

from ..octets import Octets

PROFILES = (Profile.VIRTIO_1_4, Profile.RFC_V1)
KINDS = (driver.GROUP, driver.CLASSIFIER, driver.RULE, driver.OUTB, driver.INB)
OPCODES = (*range(0x7, 0xE), 0, 1, 2, 0xFFFF)
CAPS = tuple(range(0x7FF, 0x806))
ROOMS = (65536, 65536, 65536, 24, 8, 7, 1, 0)
MAC = bytes.fromhex("020000000001")
FRAME = MAC + bytes.fromhex("020000000002 0800 4500 002a 0000 0000 4011 0000 c6336401 cb007101 1388 0035 0016 0000")

CONTROLS = (
    b"\0\0\1",
    b"\0\1\1",
    b"\0\5\1",
    b"\1\0" + struct.pack("<I", 1) + MAC + struct.pack("<I", 1) + b"\1" + MAC[1:],
    b"\1\1" + MAC,
    b"\2\0\5\0",
    b"\2\1\5\0",
    b"\3\0",
    b"\4\0\2\0",
    b"\4\1" + struct.pack("<IHH4HHB", 0x3F, 3, 0, 0, 1, 2, 3, 4, 40) + bytes(range(40)),
    b"\4\2" + struct.pack("<I4HB", 0x3F, 0, 0, 0, 0, 40) + bytes(range(40)),
)
CLASSES = range(8)

Answer = tuple[bytes, int]


class Session:
    """A device, and the driver's side of it."""

    def __init__(self, octets: Octets) -> None:
        self.profile = octets.pick(PROFILES)
        self.device = Device(self.profile, queue_pairs=4, randbytes=bytes)
        self.good = {
            driver.GROUP: (driver.group(1), driver.group(2)),
            driver.CLASSIFIER: (driver.ESP_V4, driver.ETH_ONLY),
            driver.RULE: (driver.rule(), driver.rule(group=1, classifier=1, priority=1)),
            driver.OUTB: (driver.sa(driver.OUTB, self.profile), driver.sa(driver.OUTB, self.profile, spi=2)),
            driver.INB: (driver.sa(driver.INB, self.profile), driver.sa(driver.INB, self.profile, spi=2)),
        }
        driver.handshake(self.device)
        if octets.number() & 1:
            driver.Control(self.device).start()

    def live(self) -> bool:
        return bool(self.device.status & Status.DRIVER_OK)

    def admin(self, readable: bytes, room: int) -> None:
        device = self.device
        before = device.digest()
        written = device.admin(readable, room)
        assert len(written) <= room
        if not written:
            assert not self.live() or not room or not device.negotiated >> 41 & 1
            assert device.digest() == before or self.live()
            return
        if len(written) < 8:
            return
        status, _, reserved = struct.unpack_from("<HHI", written)
        assert reserved == 0
        if AdminStatus(status) is AdminStatus.OK:
            assert device.last_refusal == ""
            return
        assert device.last_refusal
        assert len(written) == 8
        assert device.digest() == before, "a command that was refused changed something"

    def control(self, readable: bytes, room: int) -> None:
        device = self.device
        before = device.digest()
        written = device.control(readable, room)
        assert len(written) <= min(room, 1)
        if written != b"\0":
            assert written in (b"", b"\1")
            assert device.last_refusal
            assert device.digest() == before, "a command that was refused changed something"
        else:
            assert device.last_refusal == ""

    def tables(self) -> None:
        """They agree with each other."""
        device, flows = self.device, self.device.flow_table
        assert flows.group_of_priority == {priority: number for number, priority in flows.groups.items()}
        assert device.inbound_by_spi == {sa.params.spi: (number, sa) for number, sa in device.inbound.items()}
        for each in flows.rules.values():
            assert flows.groups[each.group_id] == each.group_priority
            assert flows.classifiers[each.classifier_id] == each.classifier


def _admin(session: Session, octets: Octets) -> None:
    room = octets.pick(ROOMS)
    session.admin(octets.take(octets.number()), room)


def _command(session: Session, octets: Octets) -> None:
    opcode, room = octets.pick(OPCODES), octets.pick(ROOMS)
    group = octets.pick((1, 1, 1, 0, 2))
    session.admin(driver.command(opcode, octets.take(octets.number()), group, octets.number() % 3), room)


def _object(session: Session, octets: Octets) -> None:
    """An object that is good, but for a few octets."""
    opcode, kind, number = octets.pick(OPCODES[3:7]), octets.pick(KINDS), octets.number() % 4
    data = bytearray(octets.pick(session.good[kind]))
    for _ in range(octets.number() % 4):
        data[octets.number() % len(data)] = octets.number()
    cut = octets.number()
    length = len(data) if cut >= len(data) or cut % 2 else cut
    session.admin(
        driver.command(opcode, struct.pack("<H2xIQ", kind, number, octets.number() % 8 // 7) + bytes(data[:length])),
        octets.pick(ROOMS),
    )


def _capability(session: Session, octets: Octets) -> None:
    """What the device has, but for a few octets."""
    cap = octets.pick(CAPS)
    written = session.device.admin(driver.command(Opcode.DEVICE_CAP_GET, struct.pack("<H6x", cap)))
    data = bytearray(written[8:])
    for _ in range(octets.number() % 4):
        if data:
            data[octets.number() % len(data)] = octets.number()
    session.admin(driver.command(Opcode.DRIVER_CAP_SET, struct.pack("<H6x", cap) + bytes(data)), octets.pick(ROOMS))


def _control(session: Session, octets: Octets) -> None:
    room = octets.pick((1, 1, 1, 64, 0))
    session.control(bytes((octets.pick(CLASSES), octets.number() % 8)) + octets.take(octets.number()), room)


def _good_control(session: Session, octets: Octets) -> None:
    data = bytearray(octets.pick(CONTROLS))
    for _ in range(octets.number() % 4):
        data[octets.number() % len(data)] = octets.number()
    cut = octets.number()
    session.control(bytes(data[: len(data) if cut >= len(data) or cut % 2 else cut]), 1)


def _status(session: Session, octets: Octets) -> None:
    session.device.set_status(octets.number())


def _features(session: Session, octets: Octets) -> None:
    session.device.set_driver_features(octets.number(16))


def _handshake(session: Session, octets: Octets) -> None:
    """From new, with all features but some."""
    without = octets.number(4)
    bits = [bit for bit in range(128) if session.device.features >> bit & 1]
    without = sum(1 << bit for place, bit in enumerate(bits) if without >> place & 1)
    driver.handshake(session.device, session.device.features & ~without)
    if octets.number() & 1 and session.live():
        session.admin(driver.command(Opcode.LIST_USE, driver.ALL_OPCODES.to_bytes(8, "little")), 65536)


def _frame(session: Session, octets: Octets) -> None:
    frame = bytearray(FRAME)
    for _ in range(octets.number() % 4):
        frame[octets.number() % len(frame)] = octets.number()
    session.device.receive(bytes(frame[: octets.number() or None]))


def _transmit(session: Session, octets: Octets) -> None:
    session.device.transmit(bytes(octets.pick((12, 20, 24, 34, 0))) + FRAME, octets.number() % 5)


def _outside(session: Session, octets: Octets) -> None:
    """What is not the driver's doing."""
    act = octets.number() % 4
    if act == 0:
        session.device.set_link(bool(octets.number() & 1))
    elif act == 1:
        session.device.announce()
    elif act == 2:
        session.device.set_queue_down(octets.number() % 5, bool(octets.number() & 1))
    else:
        data = session.device.read_config(octets.number(), octets.number())
        assert len(data) <= 255


ACTS = (
    _good_control,
    _object,
    _command,
    _capability,
    _control,
    _frame,
    _transmit,
    _admin,
    _status,
    _features,
    _handshake,
    _outside,
)
MOST_ACTS = 60


def run(data: bytes) -> None:
    """Raises what is wrong."""
    octets = Octets(data)
    session = Session(octets)
    for _ in range(MOST_ACTS):
        if not octets:
            break
        octets.pick(ACTS)(session, octets)
    session.tables()


def seeds() -> list[bytes]:
    """Every object made, changed and destroyed; every command of the control queue; frames between."""
    found = []
    for profile in range(2):
        objects = b"".join(bytes((1, opcode, kind, 0, 0, 0, 255, 0, 0)) for kind in range(5) for opcode in (0, 1, 2, 3))
        controls = b"".join(bytes((0, number, 0, 255, 5, 0, 0, 6, 0, 1)) for number in range(len(CONTROLS)))
        caps = b"".join(bytes((3, cap, 0, 0)) for cap in range(len(CAPS)))
        restart = bytes((10, 0, 0, 0, 0, 1)) + caps
        found += [bytes((profile, 1)) + objects, bytes((profile, 1)) + controls]
        found += [bytes((profile, 0)) + restart + objects[:90] + controls, bytes((profile, 1)) + caps + objects]
    return found
