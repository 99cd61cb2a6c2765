"""A recorded driver on another device: what differs is told, what the specification leaves open is not."""

from __future__ import annotations

import pytest

from virtionet_ipsec.conformance.rerun import Difference, Rerun
from virtionet_ipsec.conformance.target import model_like
from virtionet_ipsec.device import Device, Limits, Received
from virtionet_ipsec.device.exchanges import Exchange
from virtionet_ipsec.driver import Driver
from virtionet_ipsec.driver.driver import UNDERSTOOD
from virtionet_ipsec.trace import Session
from virtionet_ipsec.wire.enums import Feature
from virtionet_ipsec.wire.profile import Profile

from .sample import FRAME, told


def rerun(target: Device, profile: Profile = Profile.VIRTIO_1_4) -> list[Difference]:
    device, exchanges = told(profile)
    return list(Rerun(Session(profile, device.features, device.config)).differences(exchanges, target))


@pytest.mark.parametrize("profile", Profile)
def test_another_right_device(profile: Profile) -> None:
    """Its IVs, and so its ciphertexts and ICVs, are others; the plain packets are the same."""
    assert rerun(Device(profile), profile) == []


def test_as_many_queues() -> None:
    """The model in the place of a device with several pairs of queues has as many."""
    device = Device(queue_pairs=4)
    exchanges: list[Exchange] = []
    device.on_exchange = exchanges.append
    features = UNDERSTOOD | {Feature.CTRL_VQ, Feature.MQ}
    driver = Driver(device, features=sum(1 << feature for feature in features)).start()
    driver.control.set_queue_pairs(4)
    driver.send(FRAME, queue=3)
    session = Session(Profile.VIRTIO_1_4, device.features, device.config)
    assert list(Rerun(session).differences(exchanges, model_like(session))) == []
    device = Device(queue_pairs=3)
    found = list(Rerun(session).differences(exchanges, device))
    assert [each.what for each in found][1:] == ["the answer to a control command"]


class OtherTtl(Device):
    """Sends what it protects one octet shorter of time to live: outer header's TTL, checksum not mended."""

    def transmit(self, buffer: bytes, queue: int = 0) -> tuple[bytes, ...]:
        frames = super().transmit(buffer, queue)
        return tuple(
            frame[:22] + bytes((frame[22] - 1,)) + frame[23:] if frame[23] == 50 else frame for frame in frames
        )


class BadIcv(Device):
    """Sends a wrong ICV."""

    def transmit(self, buffer: bytes, queue: int = 0) -> tuple[bytes, ...]:
        frames = super().transmit(buffer, queue)
        return tuple(frame[:-1] + bytes((frame[-1] ^ 1,)) if frame[23] == 50 else frame for frame in frames)


class OtherQueue(Device):
    """Delivers to receiveq2."""

    def receive(self, frame: bytes) -> Received | None:
        got = super().receive(frame)
        return got if got is None else got._replace(queue=1)


class BreaksDown(Device):
    """Has no answer to a command."""

    def admin(self, readable: bytes, writable_len: int = 65536) -> bytes:
        raise OSError("the board does not answer")


DIFFERENT = {
    "answer": (BreaksDown(), "the device broke down"),
    "configuration space": (Device(mtu=1400), "configuration space (what follows may come of it)"),
    "limits": (Device(limits=Limits(inb_sa=3)), "the answer to a command"),
    "outer TTL": (OtherTtl(), "a frame on the wire: outer TTL, outer Header Checksum"),
    "ICV": (BadIcv(), "a frame on the wire: it cannot be opened (bad_icv)"),
    "queue": (OtherQueue(), "receive queue"),
    "features": (
        Device(features=Device().features & ~(1 << 69)),
        "offered features, bits 69 (what follows may come of it)",
    ),
}


@pytest.mark.parametrize(("target", "what"), DIFFERENT.values(), ids=DIFFERENT)
def test_another_device(target: Device, what: str) -> None:
    found = rerun(target)
    first = next(each for each in found if what in each.what)
    assert first.recorded != first.got
