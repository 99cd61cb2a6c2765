"""What rules for drivers leave alone: conforming drivers that do it in another way, and drivers that are hostile."""

from __future__ import annotations

import random
import struct

import pytest

from virtionet_ipsec.conformance.driving import frames
from virtionet_ipsec.conformance.verdict import Verdict
from virtionet_ipsec.conformance.watching.monitor import Monitor
from virtionet_ipsec.conformance.watching.object_index import ObjectIndex
from virtionet_ipsec.device import Device
from virtionet_ipsec.device.exchanges import (
    Arrived,
    BuffersSized,
    Commanded,
    ConfigRead,
    Exchange,
    FeaturesWritten,
    StatusWritten,
    Transmitted,
)
from virtionet_ipsec.trace import Session
from virtionet_ipsec.wire.enums import CapId, Feature, Opcode, ResourceType, Status
from virtionet_ipsec.wire.profile import Profile

OFFERED = Device().features
MINIMAL = 1 << Feature.VERSION_1
UP = (StatusWritten(0, 0), StatusWritten(3, 3), FeaturesWritten(MINIMAL), StatusWritten(11, 11), StatusWritten(15, 15))


def told(*exchanges: Exchange, offered: int = MINIMAL) -> Monitor:
    monitor = Monitor(Session(Profile.VIRTIO_1_4, offered, Device().config))
    for exchange in exchanges:
        monitor.observe(exchange)
    return monitor


def rules(monitor: Monitor) -> list[str]:
    return [violation.rule for violation in monitor.violations]


def verdict(monitor: Monitor, entry: str) -> Verdict:
    (result,) = monitor.report("a driver", only={entry}).results
    return result.verdict


def up_with(features: int) -> tuple[Exchange, ...]:
    return (*UP[:2], FeaturesWritten(features), *UP[3:])


def command(opcode: int, data: bytes = b"", status: int = 0, result: bytes = b"") -> Commanded:
    readable = struct.pack("<HH20x", opcode, 0) + data
    return Commanded(readable + bytes(-len(readable) % 8), 1 << 16, struct.pack("<H6x", status) + result)


def test_two_steps_in_one_write() -> None:
    assert rules(told(*UP)) == []


def test_features_ok_that_the_device_refuses() -> None:
    """The driver tries again with less, and only what it had at that moment counts."""
    assert rules(told(*UP[:2], FeaturesWritten(MINIMAL | 1 << 34), FeaturesWritten(MINIMAL), *UP[3:])) == []
    assert set(rules(told(*UP[:2], FeaturesWritten(MINIMAL | 1 << 34), StatusWritten(11, 3), *UP))) == {
        "driver.features.only-offered"
    }


@pytest.mark.parametrize("bit", [Status.DEVICE_NEEDS_RESET, Status.SUSPEND])
def test_a_bit_that_the_device_set(bit: Status) -> None:
    """The driver need not have seen it when it writes the next one."""
    assert rules(told(*UP[:4], StatusWritten(15, 15 | bit), StatusWritten(15, 15 | bit), UP[0])) == []
    wrong = told(*UP, StatusWritten(Status.DRIVER_OK, 15))
    assert rules(wrong) == ["driver.status.clears-no-bit"]


def test_after_failed() -> None:
    assert rules(told(*UP, StatusWritten(15 | 128, 15 | 128), StatusWritten(15 | 128, 15 | 128), *UP)) == []
    assert "driver.status.reset-after-failed" in rules(told(*UP, StatusWritten(15 | 128, 0), FeaturesWritten(MINIMAL)))


def test_a_report_from_before_a_reset() -> None:
    """The device must not take back what LIST_QUERY said (2.12.1)."""
    offered = MINIMAL | 1 << Feature.ADMIN_VQ
    words = struct.pack("<Q", 0b1111)
    up = up_with(offered)
    query, use = command(Opcode.LIST_QUERY, result=words), command(Opcode.LIST_USE, words)
    assert rules(told(*up, query, use, *up, use, offered=offered)) == []
    assert rules(told(*up, use, offered=offered)) == ["driver.admin.list-use-subset"]


def test_eagain_takes_its_time() -> None:
    """Other commands may come first, but not for ever; and a driver that tried again may have to once more."""
    offered = MINIMAL | 1 << Feature.ADMIN_VQ
    words = struct.pack("<Q", 0b11)
    start = (*up_with(offered), command(Opcode.LIST_QUERY, result=words), command(Opcode.LIST_USE, words))
    busy, other = command(Opcode.LIST_USE, words, status=11), command(Opcode.LIST_QUERY, result=words)
    entry = "avq.drv.retries-eagain"
    assert verdict(told(*start, busy, *[other] * 8, offered=offered), entry) is Verdict.NOT_APPLICABLE
    done = command(Opcode.LIST_USE, words)
    assert verdict(told(*start, busy, *[other] * 8, done, *[other] * 30, offered=offered), entry) is Verdict.PASS
    assert verdict(told(*start, busy, *[other] * 30, offered=offered), entry) is Verdict.FAIL
    assert verdict(told(*start, busy, busy, *[other] * 8, done, offered=offered), entry) is Verdict.PASS
    assert rules(told(*start, busy, busy, *[other] * 9, offered=offered)) == ["driver.avq.retries-eagain"]


def test_eagain_as_patience_with_another_runs_out() -> None:
    """The command that shows the first one forgotten is itself to be tried again."""
    offered = MINIMAL | 1 << Feature.ADMIN_VQ
    words = struct.pack("<Q", 0b11)
    start = (*up_with(offered), command(Opcode.LIST_QUERY, result=words), command(Opcode.LIST_USE, words))
    busy, other = command(Opcode.LIST_USE, words, status=11), command(Opcode.LIST_QUERY, result=words)
    busy_other = command(Opcode.LIST_QUERY, status=11)
    once = (*start, busy, *[other] * 8, busy_other)
    assert rules(told(*once, offered=offered)) == ["driver.avq.retries-eagain"]
    assert rules(told(*once, *[start[-1]] * 9, offered=offered)) == ["driver.avq.retries-eagain"] * 2


def test_list_query_that_the_list_leaves_out() -> None:
    """A driver may block it (2.12.1); LIST_USE it may send any number of times."""
    offered = MINIMAL | 1 << Feature.ADMIN_VQ
    query, use = command(Opcode.LIST_QUERY, result=struct.pack("<Q", 3)), command(Opcode.LIST_USE, bytes(8))
    refused = command(Opcode.LIST_USE, bytes(8), status=22)
    up = up_with(offered)
    assert rules(told(*up, query, refused, query, use, use, *up, query, offered=offered)) == []
    assert rules(told(*up, query, use, query, offered=offered)) == ["driver.admin.listed-commands"]


def create(kind: int, number: int, data: bytes, status: int = 0, opcode: int = Opcode.RESOURCE_OBJ_CREATE) -> Commanded:
    return command(opcode, struct.pack("<HHI8x", kind, 0, number) + data, status)


def test_an_spi_that_two_objects_have() -> None:
    """What the device refused none has; the outbound ones may (D20)."""
    rule = "driver.ipsec.duplicate-spi"
    one, two = (struct.pack("<BB2xII", 2, 2, 0, spi).ljust(196, b"\0") for spi in (0x100, 0x200))
    inbound, outbound = ResourceType.IPSEC_INB_SA, ResourceType.IPSEC_OUTB_SA
    first, modify = create(inbound, 1, one), Opcode.RESOURCE_OBJ_MODIFY
    assert rule not in rules(told(*UP, first, create(inbound, 2, one, 22), create(inbound, 2, two), first))
    assert rule not in rules(told(*UP, create(outbound, 1, one), create(outbound, 2, one), first))
    assert rule in rules(told(*UP, first, create(inbound, 2, one)))
    again = (first, create(inbound, 2, two))
    assert rule in rules(told(*UP, *again, create(inbound, 2, one, opcode=modify)))
    assert rule not in rules(told(*UP, *again, create(inbound, 2, one, 22, modify), create(inbound, 1, one, 0, modify)))


def test_a_priority_that_two_rules_have() -> None:
    one, two = (struct.pack("<IIBBBxHxx", 1, 1, priority, 0, 3, 0) for priority in (1, 2))
    kind, modify = ResourceType.FF_RULE, Opcode.RESOURCE_OBJ_MODIFY
    start = (*UP, create(ResourceType.FF_CLASSIFIER, 1, bytes(8)), create(kind, 1, one))
    same, overlap = "driver.ff.same-priority", "driver.ff.overlap-priority"
    assert not {same, overlap} & set(rules(told(*start, create(kind, 2, one, 22), create(kind, 2, two))))
    assert {same, overlap} <= set(rules(told(*start, create(kind, 2, one))))
    assert overlap in rules(told(*start, create(kind, 2, two), create(kind, 2, one, opcode=modify)))


def test_an_index_of_many_objects_that_are_gone() -> None:
    """The first few that are left are found without a look at the places of the others."""
    index, octets = ObjectIndex(), struct.pack("<IIB", 1, 1, 3)
    for number in range(1000):
        index.add(ResourceType.FF_RULE, number, octets)
    for number in (*range(998), 999):
        index.remove(ResourceType.FF_RULE, number, octets)
    for ids in (index.rules_of_group(1), index.rules_of_classifier(1), index.rules_with_priority(1, 3)):
        assert (list(ids), len(ids), 998 in ids, 999 in ids) == ([998], 1, True, False)
    assert index.counts[ResourceType.FF_RULE] == 1
    index.remove(ResourceType.FF_RULE, 998, octets)
    assert not index.rules_of_group(1)


@pytest.mark.parametrize(("at", "disabled"), [(None, True), (0, False), (16, False), (17, False), (18, True)])
def test_a_resource_capability_that_is_disabled(at: int | None, disabled: bool) -> None:
    """With every number zero, last_rule_priority among them (D36): both rules that ask read it so."""
    data = bytes(1 if octet == at else 0 for octet in range(20))
    caps = [
        (CapId.FF_RESOURCE_CAP, data),
        (CapId.FF_SELECTOR_CAP, b"\1".ljust(16, b"\0")),
        (CapId.FF_ACTION_CAP, b"\1"),
    ]
    sets = [command(Opcode.DRIVER_CAP_SET, struct.pack("<H6x", cap) + octets) for cap, octets in caps]
    group = create(ResourceType.FF_GROUP, 0, bytes(2))
    found = rules(told(*UP, *sets, group))
    assert ("driver.ff.capabilities-enabled" in found) is disabled
    assert ("driver.caps.disable-busy" in rules(told(*UP, *sets, group, sets[0]))) is disabled


@pytest.mark.parametrize("tags", [0, 1, 2])
def test_tags_are_link_layer(tags: int) -> None:
    """Whether VLAN tags count as the link-layer header is not said: they do."""
    offered = MINIMAL | 1 << Feature.MTU
    frame = frames.sized_frame(1500)
    tagged = frame[:12] + b"\x81\x00\x00\x01" * tags + frame[12:]
    assert rules(told(*up_with(offered), Transmitted(0, bytes(12) + tagged, ()), offered=offered)) == []
    long = Transmitted(0, bytes(12) + tagged + b"\0", ())
    assert rules(told(*up_with(offered), long, offered=offered)) == ["driver.config.mtu-transmit"]


def test_frames_in_frames() -> None:
    """TRILL (RFC 6325) has a whole frame 20 octets into another: that is no longer virtio_net_hdr."""
    trill = frames.MACS + b"\x22\xf3" + bytes(6) + frames.udp4_frame()
    assert rules(told(*UP, Transmitted(0, bytes(12) + trill, ()))) == []


@pytest.mark.parametrize("frame", [b"", bytes(14), frames.MACS + b"\x08\x06" + bytes(28), frames.MACS + b"\x08\x00"])
def test_a_frame_that_says_nothing(frame: bytes) -> None:
    monitor = told(*UP, Transmitted(0, bytes(12) + frame, ()))
    assert verdict(monitor, "rxbuf.drv.header-12") is Verdict.NOT_APPLICABLE
    assert verdict(monitor, "tx.drv.header-size") is Verdict.NOT_APPLICABLE


def test_buffers_of_another_session() -> None:
    """A size counts from DRIVER_OK on, and the reset takes the buffers away."""
    small = BuffersSized(100)
    assert rules(told(small, *UP)) == []
    assert rules(told(*UP[:4], small, UP[4])) == ["driver.rxbuf.no-gso-plain"]
    assert rules(told(*UP[:4], small, BuffersSized(1526), UP[4])) == []
    assert rules(told(*UP, small)) == ["driver.rxbuf.no-gso-plain"]


def test_link_status_of_a_driver_that_sends_nothing() -> None:
    offered = MINIMAL | 1 << Feature.STATUS
    up, packet = up_with(offered), Transmitted(0, bytes(12) + frames.udp4_frame(), ())
    assert rules(told(*up, UP[0], offered=offered)) == []
    assert rules(told(*up, packet, UP[0], offered=offered)) == ["driver.config.link-status-read"]
    for read in (ConfigRead(0, bytes(28)), ConfigRead(6, bytes(1))):
        assert rules(told(read, *up, packet, UP[0], offered=offered)) == []
    assert rules(told(*up, ConfigRead(7, bytes(1)), packet, UP[0], offered=offered)) != []


def _anything(source: random.Random) -> Exchange:
    def octets(most: int) -> bytes:
        return source.randbytes(source.randrange(most + 1))

    def commanded() -> Commanded:
        opcode = source.choice([*range(0x13), source.randrange(1 << 16)])
        what = source.choice([*range(0x200, 0x206), *range(0x800, 0x806), source.randrange(1 << 16)])
        head = struct.pack("<HH20xHHI8x", opcode, source.choice([0, 0, 0, 1, 7]), what, 0, source.randrange(4))
        readable = (head + octets(400))[: source.choice([500] * 4 + [source.randrange(100)])]
        written = source.choice([b"", bytes(8), bytes(8) + octets(300), b"\x0b" + bytes(7), octets(20)])
        return Commanded(readable, source.choice([0, 7, 8, 1 << 16]), written)

    status = source.choice([0, 1, 3, 11, 15, 128, source.randrange(256), 1 << 100])
    return source.choice(
        [
            StatusWritten(status, source.choice([status, 0])),
            FeaturesWritten(source.choice([0, source.getrandbits(128), OFFERED])),
            ConfigRead(source.choice([0, 6, 1 << 70]), octets(30)),
            BuffersSized(source.choice([0, 1 << 90, source.randrange(1 << 17)])),
            commanded(),
            commanded(),
            Transmitted(0, octets(source.choice([5, 40, 100, 2000])), ()),
            Arrived(octets(100), 0, (octets(50),)),
        ]
    )


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("seed", range(8))
def test_anything(profile: Profile, seed: int) -> None:
    """Rules raise nothing, and say what they say in one line."""
    source = random.Random(seed)
    monitor = Monitor(
        Session(profile, source.choice([OFFERED, source.getrandbits(128), 0]), source.randbytes(seed * 4))
    )
    for _ in range(400):
        monitor.observe(_anything(source))
    assert monitor.violations
    assert all("\n" not in violation.sentence for violation in monitor.violations)
