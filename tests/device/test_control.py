"""The control virtqueue's commands (virtio 1.4, 5.1.9.5): what is answered, what is refused, what stays as it was."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.events import ConfigChanged, ControlCompleted, ControlNotConsumed
from virtionet_ipsec.device.exchanges import Controlled
from virtionet_ipsec.device.negotiation import feature_mask
from virtionet_ipsec.wire import CtrlAck, Feature, Profile, Status

from .control import handshake

OWN = bytes.fromhex("525400000001")
OTHER = bytes.fromhex("0253a1b2c3d4")
GROUP = bytes.fromhex("01005e000001")
KEY = bytes(range(40))
OK, ERR = b"\0", b"\1"
EVERYTHING = Device().features | feature_mask(Feature.CTRL_RX_EXTRA)


def table(*addresses: bytes, entries: int | None = None) -> bytes:
    return struct.pack("<I", len(addresses) if entries is None else entries) + b"".join(addresses)


def rss(
    *queues: int, types: int = 0x1FF, mask: int | None = None, unclassified: int = 0, most: int = 1, key: bytes = KEY
) -> bytes:
    head = struct.pack("<IHH", types, len(queues) - 1 if mask is None else mask, unclassified)
    return b"\4\1" + head + struct.pack(f"<{len(queues)}HHB", *queues, most, len(key)) + key


def hashing(types: int = 0x1FF, key: bytes = KEY, reserved: bytes = bytes(8)) -> bytes:
    return b"\4\2" + struct.pack("<I", types) + reserved + bytes((len(key),)) + key


GOOD: dict[str, bytes] = {
    **{f"rx-{mode}-{on}": bytes((0, mode, on)) for mode in range(6) for on in range(2)},
    "empty tables": b"\1\0" + table() + table(),
    "tables": b"\1\0" + table(OTHER, OWN) + table(GROUP, b"\xff" * 6),
    "an address twice": b"\1\0" + table(OTHER, OTHER) + table(),
    "more than a table holds": b"\1\0" + table(*(struct.pack(">HI", 0, n) for n in range(5000))) + table(),
    "what follows the tables": b"\1\0" + table() + table() + b"more",
    "address": b"\1\1" + OTHER,
    "add a vlan": b"\2\0\xff\x0f",
    "remove a vlan that is not there": b"\2\1\5\0",
    "acknowledge nothing": b"\3\0",
    "one pair": b"\4\0\1\0",
    "all pairs": b"\4\0\4\0",
    "rss": rss(0, 1, 2, 3, most=4, unclassified=3),
    "rss of one entry": rss(3),
    "rss of 128 entries": rss(*range(4), *[0] * 124),
    "rss without a hash": rss(0, types=0, key=b""),
    "rss, and an octet more": rss(0, 1) + b"\0",  # as DPDK's driver sends it
    "hash": hashing(),
    "hash with a short key": hashing(key=b"k"),
    "no hash": hashing(types=0),
    "hash, with a number of queues behind": hashing(reserved=bytes(6) + b"\4\0"),  # as Linux sends it
}

BAD: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "0 octets hold no class and command"),
    "class alone": (b"\0", "1 octets hold no class and command"),
    "unknown class": (b"\x0a\0", "no command of this device"),
    "unknown command": (b"\0\6\0", "no command of this device"),
    "offloads": (b"\5\0" + bytes(8), "no command of this device"),
    "coalescing": (b"\6\0" + bytes(8), "no command of this device"),
    "tunnel hash": (b"\7\0" + bytes(4), "no command of this device"),
    "statistics": (b"\x08\0", "no command of this device"),
    "mode without data": (b"\0\0", "0 octets of data, and the command has 1 at least"),
    "neither on nor off": (b"\0\0\2", "2 is neither 0 (off) nor 1 (on)"),
    "one table": (b"\1\0" + table(), "4 octets of data, and the command has 8 at least"),
    "unicast cut": (b"\1\0" + table(OTHER, entries=2), "the unicast table ends after 10 octets, and has 2 entries"),
    "multicast missing": (b"\1\0" + table(OTHER), "the multicast table ends after 0 octets"),
    "multicast cut": (b"\1\0" + table() + table(entries=0xFFFFFFFF), "the multicast table ends after 4 octets"),
    "a group among stations": (b"\1\0" + table(GROUP) + table(), "01:00:5e:00:00:01 in the unicast table"),
    "a station among groups": (b"\1\0" + table() + table(OTHER), "02:53:a1:b2:c3:d4 in the multicast table"),
    "address cut": (b"\1\1" + OTHER[:5], "5 octets of data, and the command has 6 at least"),
    "address of a group": (b"\1\1" + GROUP, "01:00:5e:00:00:01 is no address of a station"),
    "address zero": (b"\1\1" + bytes(6), "is no address of a station"),
    "vlan cut": (b"\2\0\1", "1 octets of data"),
    "vlan of 13 bits": (b"\2\0\0\x10", "VLAN id 4096 has more than 12 bits"),
    "no pair": (b"\4\0\0\0", "virtqueue_pairs 0 is not in 1 to 4"),
    "one pair too many": (b"\4\0\5\0", "virtqueue_pairs 5 is not in 1 to 4"),
    "pairs cut": (b"\4\0\1", "1 octets of data"),
    "rss cut": (rss(0)[:14], "12 octets of data, and the command has 13 at least"),
    "three entries": (rss(0, 0, 0), "an indirection table of 3 entries: a power of two up to 128"),
    "256 entries": (rss(*[0] * 256), "an indirection table of 256 entries"),
    "65536 entries": (rss(0, mask=0xFFFF), "an indirection table of 65536 entries"),
    "table cut": (rss(0, mask=127), "have no room for an indirection table of 128"),
    "entry beyond": (rss(0, 4), "4 stands for no receive queue: those are 0 to 3"),
    "reserved bit of an entry": (rss(0, 0x8000), "32768 stands for no receive queue"),
    "unclassified beyond": (rss(0, unclassified=4), "4 stands for no receive queue"),
    "no transmit queue": (rss(0, most=0), "max_tx_vq 0 is not in 1 to 4"),
    "transmit queue beyond": (rss(0, most=5), "max_tx_vq 5 is not in 1 to 4"),
    "type beyond": (rss(0, types=0x200), "hash_types has 0x200, which is not in supported_hash_types"),
    "key too long": (rss(0, key=bytes(41)), "hash_key_length 41 is more than rss_max_key_size 40"),
    "key cut": (rss(0)[:-1], "hash_key_length 40, and the command has 39 octets of key"),
    "no key": (rss(0, key=b""), "hash types are enabled, and there is no key"),
    "hash cut": (hashing()[:14], "12 octets of data, and the command has 13 at least"),
    "hash type beyond": (hashing(types=1 << 31), "hash_types has 0x80000000"),
    "hash key cut": (hashing()[:-1], "hash_key_length 40, and the command has 39 octets of key"),
}


def up(profile: Profile = Profile.VIRTIO_1_4, features: int = 0, queue_pairs: int = 4) -> Device:
    offered = features or EVERYTHING
    if profile is Profile.RFC_V1:
        offered &= ~feature_mask(Feature.OUT_NET_HEADER)
    device = Device(profile, features=offered, queue_pairs=queue_pairs)
    handshake(device)
    return device


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("name", GOOD)
def test_carried_out(name: str, profile: Profile) -> None:
    device = up(profile)
    assert device.control(GOOD[name]) == OK
    assert device.last_refusal == ""


@pytest.mark.parametrize("name", BAD)
def test_refused(name: str) -> None:
    """VIRTIO_NET_ERR, the reason in words, and nothing else is other than before."""
    readable, words = BAD[name]
    device = up()
    for before in (b"\4\0\3\0", b"\1\1" + OTHER, b"\2\0\5\0", b"\0\0\0", rss(0, 1)):
        assert device.control(before) == OK
    digest = device.digest()
    assert device.control(readable) == ERR
    assert words in device.last_refusal
    assert device.digest() == digest


NEEDED = [
    (b"\0\0\1", (Feature.CTRL_RX,)),
    (b"\0\1\1", (Feature.CTRL_RX,)),
    *((bytes((0, mode, 1)), (Feature.CTRL_RX_EXTRA,)) for mode in range(2, 6)),
    (GOOD["tables"], (Feature.CTRL_RX,)),
    (GOOD["address"], (Feature.CTRL_RX, Feature.CTRL_MAC_ADDR)),
    (b"\2\0\1\0", (Feature.CTRL_VLAN,)),
    (b"\2\1\1\0", (Feature.CTRL_VLAN,)),
    (b"\3\0", (Feature.GUEST_ANNOUNCE,)),
    (b"\4\0\2\0", (Feature.MQ,)),
    (rss(0), (Feature.RSS,)),
    (hashing(), (Feature.HASH_REPORT,)),
]


@pytest.mark.parametrize(("readable", "any_of"), NEEDED)
def test_features(readable: bytes, any_of: tuple[Feature, ...]) -> None:
    """Each of the features will do; without them all the command is refused, whatever else is negotiated."""
    for feature in any_of:
        assert up(features=feature_mask(Feature.VERSION_1, Feature.CTRL_VQ, feature)).control(readable) == OK
    device = up(features=EVERYTHING & ~feature_mask(*any_of))
    before = device.digest()
    assert device.control(readable) == ERR
    assert "was not negotiated" in device.last_refusal
    assert device.digest() == before


def test_no_control_virtqueue() -> None:
    """Before DRIVER_OK, and without CTRL_VQ, the buffer is not used."""
    device = Device()
    told: list[object] = []
    device.observer = told.append
    assert device.control(b"\0\0\1") == b""
    assert device.last_refusal == "DRIVER_OK is not set"
    handshake(device, feature_mask(Feature.VERSION_1))
    assert device.control(b"\0\0\1") == b""
    assert device.last_refusal == "VIRTIO_NET_F_CTRL_VQ was not negotiated"
    assert [event.why for event in told if isinstance(event, ControlNotConsumed)] == [
        "DRIVER_OK is not set",
        "VIRTIO_NET_F_CTRL_VQ was not negotiated",
    ]


@pytest.mark.parametrize("room", [0, -1])
def test_no_room_for_ack(room: int) -> None:
    """The driver could not be told: nothing is done."""
    device = up()
    before = device.digest()
    assert device.control(b"\4\0\3\0", room) == b""
    assert "no room for ack" in device.last_refusal
    assert device.digest() == before


def test_more_room_than_ack_needs() -> None:
    assert up().control(b"\4\0\3\0", 100) == OK


def test_what_is_told() -> None:
    device = up()
    events: list[object] = []
    exchanges: list[object] = []
    device.observer, device.on_exchange = events.append, exchanges.append
    device.control(bytearray(b"\0\0\1"), 3)
    device.control(b"\4\0\5\0")
    device.control(b"\x0b\x07", 0)
    assert events[:2] == [
        ControlCompleted("RX PROMISC", CtrlAck.OK, ""),
        ControlCompleted("MQ VQ_PAIRS_SET", CtrlAck.ERR, "virtqueue_pairs 5 is not in 1 to 4"),
    ]
    assert exchanges == [
        Controlled(b"\0\0\1", 3, OK),
        Controlled(b"\4\0\5\0", 1, ERR),
        Controlled(b"\x0b\x07", 0, b""),
    ]
    assert KEY.hex() not in repr(Controlled(rss(0), 1, OK)) and repr(KEY)[2:-1] not in repr(Controlled(rss(0), 1, OK))


def test_names_of_what_has_none() -> None:
    device, events = up(), []
    device.observer = events.append
    for readable in (b"\x0b\x07", b"\0\x07", b""):
        device.control(readable)
    assert [event.command for event in events] == ["class 11 command 7", "RX command 7", ""]


# -- the address and the link ----------------------------------------------------------------------------------------


def test_the_address_is_seen() -> None:
    """5.1.9.5.2: in the configuration space, until reset."""
    device = up()
    assert device.read_config(0, 6) == OWN
    for address in (OTHER, b"\2\2\2\2\2\2"):
        assert device.control(b"\1\1" + address) == OK
        assert device.read_config(0, 6) == address
    device.set_status(0)
    assert device.read_config(0, 6) == OWN


def test_the_address_is_not_seen_without_mac() -> None:
    device = up(features=EVERYTHING & ~feature_mask(Feature.MAC))
    before = device.config
    assert device.control(b"\1\1" + OTHER) == OK
    assert device.config == before


def test_announce() -> None:
    """5.1.9.5.4: ANNOUNCE, a notification, and clear again when the driver has seen it."""
    device, changes = up(), []
    device.on_config_change = lambda: changes.append(device.read_config(6, 2))
    assert device.announce()
    assert changes == [b"\3\0"]
    assert device.announce(), "asked again"
    assert device.control(b"\3\0") == OK
    assert device.read_config(6, 2) == b"\1\0"
    assert changes == [b"\3\0"] * 2, "the driver knows of what it does itself"
    assert device.announce()
    device.set_status(0)
    assert device.read_config(6, 2) == b"\1\0"


@pytest.mark.parametrize("without", [Feature.GUEST_ANNOUNCE, Feature.STATUS])
def test_who_cannot_be_asked(without: Feature) -> None:
    device = up(features=EVERYTHING & ~feature_mask(without))
    before, device.on_config_change = device.config, lambda: pytest.fail("told")
    assert not device.announce()
    assert device.config == before


def test_nobody_is_asked_before_driver_ok() -> None:
    device = Device()
    assert not device.announce()
    device.set_status(Status.ACKNOWLEDGE | Status.DRIVER)
    device.set_driver_features(device.features)
    device.set_status(Status.ACKNOWLEDGE | Status.DRIVER | Status.FEATURES_OK)
    assert not device.announce()
    assert device.read_config(6, 2) == b"\1\0"


def test_the_link() -> None:
    device, changes, events = up(), [], []
    device.on_config_change = lambda: changes.append(device.read_config(6, 2))
    device.observer = events.append
    for link in (True, False, False, True):
        device.set_link(link)
    assert changes == [b"\0\0", b"\1\0"]
    assert [event.octets for event in events if isinstance(event, ConfigChanged)] == [
        device.config[:6] + octets + device.config[8:] for octets in changes
    ]
    device.set_link(False)
    device.set_status(0)
    assert device.read_config(6, 2) == b"\0\0", "what the link does is not the driver's"


def test_a_link_that_nobody_can_see() -> None:
    device = up(features=EVERYTHING & ~feature_mask(Feature.STATUS))
    device.on_config_change = lambda: pytest.fail("told")
    device.set_link(False)
    assert device.read_config(6, 2) == b"\0\0"


def test_the_link_before_driver_ok() -> None:
    device = Device()
    device.on_config_change = lambda: pytest.fail("told")
    device.set_link(False)
    assert device.read_config(6, 2) == b"\0\0"


# -- queues ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("features", "pairs"),
    [
        ((Feature.CTRL_VQ,), 1),
        ((Feature.CTRL_VQ, Feature.MQ), 4),
        ((Feature.CTRL_VQ, Feature.RSS), 4),
        ((Feature.CTRL_VQ, Feature.HASH_REPORT), 1),
    ],
)
def test_virtqueue_pairs(features: tuple[Feature, ...], pairs: int) -> None:
    """5.1.2: N is 1 with neither MQ nor RSS negotiated, whatever is offered."""
    device = Device(queue_pairs=4)
    handshake(device, feature_mask(Feature.VERSION_1, *features))
    assert device.virtqueue_pairs == pairs
    assert device.pairs_in_use == 1


def test_pairs_in_use() -> None:
    device = up()
    device.control(b"\4\0\3\0")
    assert device.pairs_in_use == 3
    device.control(rss(0, 1, 2, 3, most=2))
    assert device.pairs_in_use == 2
    device.set_status(0)
    assert device.pairs_in_use == 1


# -- anything at all ---------------------------------------------------------------------------------------------------

HOSTILE = {profile: up(profile) for profile in Profile}


def answers(device: Device, readable: bytes, room: int = 1) -> None:
    before = device.digest()
    written = device.control(readable, room)
    if room < 1:
        assert written == b"" and device.digest() == before
    elif device.last_refusal:
        assert written == ERR and device.digest() == before
    else:
        assert written == OK
    assert device.status & Status.DRIVER_OK


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=300), st.integers(-1, 3), st.sampled_from(Profile))
def test_arbitrary_octets(readable: bytes, room: int, profile: Profile) -> None:
    answers(HOSTILE[profile], readable, room)


@settings(deadline=None, max_examples=400)
@given(st.integers(0, 4), st.integers(0, 6), st.binary(max_size=300))
def test_arbitrary_data_for_every_command(class_: int, command: int, data: bytes) -> None:
    answers(HOSTILE[Profile.VIRTIO_1_4], bytes((class_, command)) + data)


@settings(deadline=None, max_examples=400)
@given(st.data(), st.sampled_from(sorted(GOOD.values())))
def test_damaged_commands(data: st.DataObject, good: bytes) -> None:
    octets = bytearray(good[:400])
    octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    answers(HOSTILE[Profile.VIRTIO_1_4], bytes(octets)[: data.draw(st.none() | st.integers(0, len(octets)))])
