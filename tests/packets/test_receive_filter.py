"""What reaches the driver at all (virtio 1.4, 5.1.9.5.1 to 5.1.9.5.3), held against a model of its sentences."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.packet_events import Dropped
from virtionet_ipsec.driver.control import CONTROLLED, ControlClient
from virtionet_ipsec.ipsec import Reason
from virtionet_ipsec.wire import CtrlRx, Feature

from .rig import BARE, DEFAULT, PROFILES, decrypted, framed, inbound, ip, mask, offering, outbound, protocol_rule, rig

OWN = bytes.fromhex("525400000001")
STATIONS = [OWN, *(bytes.fromhex(each) for each in ("0253a1b2c3d4", "00005e000101", "52540000f001"))]
BROADCAST = b"\xff" * 6
GROUPS = [bytes.fromhex(each) for each in ("01005e0000fb", "333300000001", "0180c200000e")]
EVERYBODY = [*STATIONS, *GROUPS, BROADCAST]

FILTERING = BARE | mask(Feature.CTRL_VQ, Feature.CTRL_RX, Feature.CTRL_RX_EXTRA, Feature.CTRL_VLAN)


def frame(destination: bytes, *tags: bytes) -> bytes:
    return destination + STATIONS[1] + b"".join(tags) + b"\x08\x00" + bytes(ip())


def tag(vlan_id: int, kind: bytes = b"\x81\x00", priority: int = 0) -> bytes:
    return kind + (priority << 12 | vlan_id).to_bytes(2, "big")


def device(features: int = FILTERING) -> tuple[Device, ControlClient]:
    """A device out of promiscuous mode, where there is such a mode."""
    made = offering(features)
    control = ControlClient(made)
    if features & mask(Feature.CTRL_RX):
        control.receive_mode(CtrlRx.PROMISC, False)
    return made, control


def arrive(made: Device, *tags: bytes) -> list[bytes]:
    """The destinations, of all that there are, to which a frame reaches the driver; drops are told and counted."""
    passed = []
    for destination in EVERYBODY:
        told: list[object] = []
        made.observer = told.append
        before = made.counters.rx_dropped[Reason.FILTERED]
        if made.receive(frame(destination, *tags)) is not None:
            passed.append(destination)
            assert made.counters.rx_dropped[Reason.FILTERED] == before
        else:
            assert made.receive_refused is not None and made.receive_refused.reason is Reason.FILTERED
            assert next(event for event in told if isinstance(event, Dropped)).reason is Reason.FILTERED
            assert made.counters.rx_dropped[Reason.FILTERED] == before + 1
    return passed


@dataclass
class Words:
    """5.1.9.5.1 and .2, sentence by sentence."""

    mac: bytes = OWN
    unicast: list[bytes] = field(default_factory=list)
    multicast: list[bytes] = field(default_factory=list)
    on: set[CtrlRx] = field(default_factory=set)

    def passes(self, destination: bytes) -> bool:
        if CtrlRx.PROMISC in self.on:  # "even if one of the other modes"
            return True
        if destination == BROADCAST:
            return CtrlRx.NOBCAST not in self.on  # "even if ALLMULTI is on"
        if destination[0] & 1:
            if CtrlRx.NOMULTI in self.on:  # "even if ALLMULTI is on"
                return False
            return CtrlRx.ALLMULTI in self.on or destination in self.multicast
        if CtrlRx.NOUNI in self.on:  # "even if ALLUNI is on"
            return False
        return CtrlRx.ALLUNI in self.on or destination == self.mac or destination in self.unicast


def test_every_combination_of_modes() -> None:
    made, control = device()
    words = Words(unicast=[STATIONS[1]], multicast=[GROUPS[0]])
    control.set_mac_table(words.unicast, words.multicast)
    for switches in product((False, True), repeat=len(CtrlRx)):
        words.on = {mode for mode, on in zip(CtrlRx, switches, strict=True) if on}
        for mode in CtrlRx:
            control.receive_mode(mode, mode in words.on)
        assert arrive(made) == [each for each in EVERYBODY if words.passes(each)], words.on


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.sampled_from(STATIONS), max_size=4),
    st.lists(st.sampled_from([*GROUPS, BROADCAST]), max_size=4),
    st.sampled_from(STATIONS),
    st.sets(st.sampled_from(CtrlRx)),
)
def test_tables(unicast: list[bytes], multicast: list[bytes], mac: bytes, on: set[CtrlRx]) -> None:
    made, control = device()
    control.set_mac_table(unicast, multicast)
    control.set_mac_address(mac)
    for mode in on:
        control.receive_mode(mode, True)
    words = Words(mac, unicast, multicast, on)
    assert arrive(made) == [each for each in EVERYBODY if words.passes(each)]


def test_promiscuous_until_told_otherwise() -> None:
    """D121: after reset everything passes, as in QEMU; the tables are empty then."""
    made, control = device()
    control.set_mac_table([STATIONS[1]], GROUPS)
    control.set_mac_address(STATIONS[2])
    assert arrive(made) == [STATIONS[1], STATIONS[2], *GROUPS, BROADCAST]
    made.set_status(0)
    negotiate(made, FILTERING)
    assert arrive(made) == EVERYBODY
    control.receive_mode(CtrlRx.PROMISC, False)
    assert arrive(made) == [OWN, BROADCAST]


def negotiate(made: Device, features: int) -> None:
    for status in (1, 3):
        made.set_status(status)
    made.set_driver_features(features)
    for status in (11, 15):
        made.set_status(status)
    assert made.status == 15


def test_a_table_takes_the_place_of_the_one_before() -> None:
    made, control = device()
    control.set_mac_table([STATIONS[1]], [GROUPS[0]])
    control.set_mac_table([STATIONS[2]], [GROUPS[1]])
    assert arrive(made) == [OWN, STATIONS[2], GROUPS[1], BROADCAST]
    control.set_mac_table()
    assert arrive(made) == [OWN, BROADCAST]


def addresses(count: int, group: int = 0) -> list[bytes]:
    return [bytes((group, 0)) + number.to_bytes(4, "big") for number in range(1, count + 1)]


@pytest.mark.parametrize(
    ("unicast", "multicast", "passed"),
    [
        (1024, 1024, [OWN, BROADCAST]),
        (1025, 1024, [*STATIONS, BROADCAST]),
        (1024, 1025, [OWN, *GROUPS, BROADCAST]),
        (5000, 5000, EVERYBODY),
    ],
)
def test_more_than_a_table_holds(unicast: int, multicast: int, passed: list[bytes]) -> None:
    """D122, and the footnote of 5.1.9.5.2: all addresses of the kind pass; until a table that fits."""
    made, control = device()
    control.set_mac_table(addresses(unicast), addresses(multicast, 1))
    assert arrive(made) == passed
    assert made.receive(frame(addresses(1)[0])) is not None
    control.set_mac_table()
    assert arrive(made) == [OWN, BROADCAST]


def test_too_many_but_suppressed() -> None:
    made, control = device()
    control.set_mac_table(addresses(2000), addresses(2000, 1))
    control.receive_mode(CtrlRx.NOUNI, True)
    control.receive_mode(CtrlRx.NOMULTI, True)
    assert arrive(made) == [BROADCAST]


# -- VLANs -------------------------------------------------------------------------------------------------------------

VLANS = FILTERING & ~mask(Feature.CTRL_RX, Feature.CTRL_RX_EXTRA)


def test_vlans() -> None:
    """The table starts empty, and is of no concern to frames without a tag."""
    made, control = device(VLANS)
    assert arrive(made) == EVERYBODY
    ids = (0, 1, 5, 4095)
    table: set[int] = set()
    for change, vlan_id in [("add", 5), ("add", 0), ("add", 5), ("remove", 5), ("remove", 1), ("add", 4095)]:
        for each in ids:
            for priority in (0, 15):
                assert bool(arrive(made, tag(each, priority=priority))) is (each in table)
        if change == "add":
            control.add_vlan(vlan_id)
            table.add(vlan_id)
        else:
            control.remove_vlan(vlan_id)
            table.discard(vlan_id)
    made.set_status(0)
    negotiate(made, VLANS)
    assert not arrive(made, tag(0))


def test_all_vlans_at_once() -> None:
    made, control = device(VLANS)
    for vlan_id in range(4096):
        control.add_vlan(vlan_id)
    assert all(made.receive(frame(OWN, tag(vlan_id))) for vlan_id in range(4096))


def test_the_outermost_tag_counts() -> None:
    """D121: a service tag, which Linux's driver has no way to add, passes; what is inside it is not looked at."""
    made, control = device(VLANS)
    control.add_vlan(5)
    service = tag(7, b"\x88\xa8")
    assert arrive(made, service) == arrive(made, service, tag(6)) == EVERYBODY
    assert arrive(made, tag(5), tag(6)) == EVERYBODY
    assert arrive(made, tag(6), tag(5)) == []
    assert made.receive(frame(OWN)[:12] + b"\x81\x00") is None, "a tag that is cut off is VLAN 0's"


def test_both_filters() -> None:
    """A frame has to pass both; promiscuous mode lets all pass both."""
    made, control = device()
    control.add_vlan(5)
    assert arrive(made, tag(5)) == [OWN, BROADCAST]
    assert arrive(made, tag(6)) == []
    control.receive_mode(CtrlRx.PROMISC, True)
    assert arrive(made, tag(6)) == EVERYBODY


# -- what is negotiated ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("features", [BARE, BARE | mask(Feature.CTRL_VQ), DEFAULT])
def test_nothing_is_filtered(features: int) -> None:
    made, _ = device(features)
    assert arrive(made) == arrive(made, tag(6)) == EVERYBODY


def test_extra_modes_alone() -> None:
    """Without CTRL_RX there is no promiscuous mode, and no table: what is not suppressed passes."""
    made, control = device(BARE | mask(Feature.CTRL_VQ, Feature.CTRL_RX_EXTRA))
    assert arrive(made) == EVERYBODY
    control.receive_mode(CtrlRx.NOUNI, True)
    assert arrive(made) == [*GROUPS, BROADCAST]
    control.receive_mode(CtrlRx.NOBCAST, True)
    assert arrive(made) == GROUPS
    control.receive_mode(CtrlRx.NOUNI, False)
    control.receive_mode(CtrlRx.NOMULTI, True)
    assert arrive(made) == STATIONS


def test_the_address_alone() -> None:
    """CTRL_MAC_ADDR without CTRL_RX: the address is set, and nothing filtered by it."""
    made, control = device(BARE | mask(Feature.CTRL_VQ, Feature.CTRL_MAC_ADDR))
    control.set_mac_address(STATIONS[1])
    assert arrive(made) == EVERYBODY


# -- the place of the filter -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES)
def test_before_the_flow_filter_and_ipsec(profile: object) -> None:
    """5.1.9.6: rules and SAs see nothing of what does not pass; what comes out of IPsec is not filtered again."""
    driver = rig(profile, steer=False)  # type: ignore[arg-type]
    driver._features |= mask(*CONTROLLED)
    driver.start()
    sa = outbound(driver)
    inbound(driver)
    group = driver.create_group(1)
    rule = protocol_rule(driver, group, 0, 50, 3)  # IPSEC
    (wire,) = driver.send(framed(ip()), sa)
    driver.control.receive_mode(CtrlRx.PROMISC, False)
    told: list[object] = []
    driver.device.observer = told.append
    assert driver.receive(wire) is None
    assert [type(event).__name__ for event in told] == ["FrameArrived", "Dropped"]
    assert driver.device.inbound[1].state.packets == 0
    got = driver.receive(OWN + wire[6:])
    assert got is not None and got.resource_id == 1 and rule
    assert got.frame == OWN + framed(ip())[6:]
    assert decrypted(wire[14:])[0] == got.frame[14:]


def test_short_frames_come_first() -> None:
    made, _ = device()
    assert made.receive(bytes(13)) is None
    assert made.receive_refused is not None and made.receive_refused.reason is Reason.TRUNCATED
