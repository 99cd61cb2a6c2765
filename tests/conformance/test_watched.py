"""A watched device tells of itself what the model tells of itself."""

from __future__ import annotations

import pytest

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.exchanges import Exchange, StatusWritten
from virtionet_ipsec.trace import Watched
from virtionet_ipsec.wire.profile import Profile

from .sample import drive, told


@pytest.mark.parametrize("profile", Profile)
def test_two_observers_tell_the_same(profile: Profile) -> None:
    device = Device(profile, randbytes=lambda length: bytes(length))
    exchanges: list[Exchange] = []
    drive(Watched(device, exchanges.append), profile)
    assert exchanges == told(profile)[1]
    assert {type(each).__name__ for each in exchanges} == {kind.__name__ for kind in Exchange.__args__}


@pytest.mark.parametrize("profile", Profile)
def test_carried_out_again(profile: Profile) -> None:
    """The driver's side of a session, on another device, is the same session."""
    recorded = told(profile)[1]
    happened: list[Exchange] = []
    watched = Watched(Device(profile, randbytes=lambda length: bytes(length)), happened.append)
    for exchange in recorded:
        watched.carry_out(exchange)
    assert happened == recorded


def test_a_reset_by_hand_is_told() -> None:
    device, exchanges = Device(), []
    device.on_exchange = exchanges.append
    device.reset()
    assert exchanges == [StatusWritten(0, 0)]


def test_nothing_is_told_to_nobody() -> None:
    device, exchanges = told(Profile.VIRTIO_1_4)
    before, device.on_exchange = len(exchanges), None
    drive(device, Profile.VIRTIO_1_4)
    assert len(exchanges) == before
