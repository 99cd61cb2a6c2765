"""How checks make an entry's verdict, and what a rig says of a device that is not there."""

from __future__ import annotations

from itertools import product

import pytest

from virtionet_ipsec.conformance.catalogue import catalogue
from virtionet_ipsec.conformance.check import Check, check, checks
from virtionet_ipsec.conformance.decode import decoded
from virtionet_ipsec.conformance.driving.rig import Rig, mask
from virtionet_ipsec.conformance.judge_device import judge_device, run_check
from virtionet_ipsec.conformance.verdict import Failed, NotApplicable, Outcome, Verdict, result
from virtionet_ipsec.device import Device
from virtionet_ipsec.device.negotiation import default_features
from virtionet_ipsec.wire.enums import Feature, Opcode, Status
from virtionet_ipsec.wire.profile import Profile

ENTRY = next(entry for entry in catalogue() if entry.checks)
BARE = next(entry for entry in catalogue() if not entry.checks and not entry.about)


@pytest.mark.parametrize("came_to", [*product(Verdict, repeat=1), *product(Verdict, repeat=2)], ids=str)
def test_an_entry_s_verdict(came_to: tuple[Verdict, ...]) -> None:
    """One failure fails it; one pass is enough beside checks that do not apply; not observable is what is left."""
    made = result(ENTRY, [Outcome(f"c{number}", verdict, f"why {number}") for number, verdict in enumerate(came_to)])
    worst = (Verdict.FAIL, Verdict.PASS, Verdict.NOT_APPLICABLE, Verdict.NOT_OBSERVABLE)
    assert made.verdict is min(came_to, key=worst.index)


def test_an_entry_without_checks() -> None:
    made = result(BARE, [])
    assert made.verdict is Verdict.NOT_OBSERVABLE and made.why == BARE.unobservable


def test_an_entry_about_another_device() -> None:
    entry = next(entry for entry in catalogue() if entry.about)
    made = result(entry, [])
    assert (made.verdict, made.why) == (Verdict.NOT_APPLICABLE, "it is about the crypto device")


def test_two_checks_of_one_name() -> None:
    def invalid_group(rig: Rig) -> None: ...

    invalid_group.__module__ = "virtionet_ipsec.conformance.checks.admin"
    judge_device(Device, Profile.VIRTIO_1_4, "", only={"admin.invalid-group"})
    with pytest.raises(ValueError, match=r"there are two checks admin\.invalid-group"):
        check(invalid_group)


def test_a_mistake_of_a_check_is_no_device_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is judged by a check that breaks down."""

    def broken(rig: Rig) -> None:
        rig.negotiate()
        raise KeyError("a slip")

    monkeypatch.setitem(checks(), "admin.invalid-group", Check("admin.invalid-group", "", broken))
    outcome = run_check("admin.invalid-group", Device, Profile.VIRTIO_1_4)
    assert outcome.verdict is Verdict.NOT_OBSERVABLE
    assert outcome.why == "the check broke down, please report it (KeyError: 'a slip')"


def test_a_failure_is_decoded_with_the_negotiated_header() -> None:
    """Without IPSEC the header has 12 octets, and what is behind them is the frame."""

    class Twice(Device):
        def transmit(self, buffer: bytes, queue: int = 0) -> tuple[bytes, ...]:
            return super().transmit(buffer, queue) * 2

    def sends(rig: Rig) -> None:
        rig.negotiate(without=[Feature.IPSEC, Feature.OUT_NET_HEADER])
        rig.sent(rig.header() + bytes(14) + b"payload")

    rig = Rig(Twice(), Profile.VIRTIO_1_4)
    with pytest.raises(Failed):
        sends(rig)
    (line, *_) = decoded(rig.steps, Profile.VIRTIO_1_4, rig.port.features, last=1)
    assert line.startswith(f"transmit queue 0: virtio_net_hdr {bytes(12).hex(' ', -4)} (flags=none), 00000000")


def test_without_what_is_needed_nothing_applies() -> None:
    """A device that offers no ADMIN_VQ and no IPSEC: commands and SAs are none of its business."""
    features = default_features(Profile.VIRTIO_1_4) & ~mask([Feature.ADMIN_VQ, Feature.IPSEC])
    report = judge_device(lambda: Device(features=features), Profile.VIRTIO_1_4, "plain")
    assert report.failures == ()
    of = {row.entry.id: row for row in report.results}
    assert of["admin.dev.invalid-group"].verdict is Verdict.NOT_APPLICABLE
    assert "VIRTIO_F_ADMIN_VQ is not offered" in of["admin.dev.invalid-group"].why


def test_what_a_rig_negotiates() -> None:
    rig = Rig(Device(features=default_features(Profile.VIRTIO_1_4) | mask([Feature.GUEST_TSO4])), Profile.VIRTIO_1_4)
    rig.negotiate(also=[Feature.GUEST_TSO4])
    assert rig.driver.negotiated >> Feature.GUEST_TSO4 & 1
    rig.negotiate(also=[Feature.GUEST_TSO4], without=[Feature.GUEST_CSUM])
    assert not rig.driver.negotiated & mask([Feature.GUEST_TSO4, Feature.GUEST_CSUM]), "it needs GUEST_CSUM"
    assert rig.port.status & Status.DRIVER_OK
    with pytest.raises(NotApplicable, match="VIRTIO_NET_F_RSS_CONTEXT is not offered"):
        rig.needs(Feature.MAC, Feature.RSS_CONTEXT)


def test_what_a_rig_expects() -> None:
    rig = Rig(Device(), Profile.VIRTIO_1_4)
    rig.start()
    right, wrong = rig.command(Opcode.LIST_QUERY), rig.command(0x7FFF)
    rig.ok(right, "x"), rig.refused(wrong, "x"), rig.equal("x", 1, 1), rig.expect(True, "x", "", "")
    for call, said in (
        (lambda: rig.ok(wrong, "LIST"), "LIST: expected OK, got EINVAL, INVALID_OPCODE"),
        (lambda: rig.refused(right, "LIST"), "LIST: expected any status but OK, got OK"),
        (lambda: rig.refused(wrong, "L", 22, 4), "L: expected EINVAL, INVALID_GROUP, got EINVAL, INVALID_OPCODE"),
        (lambda: rig.refused(wrong, "L", 6), "L: expected ENXIO, got EINVAL, INVALID_OPCODE"),
        (lambda: rig.equal("frame", b"\x01\x02\x03\x04\x05", b""), "frame: expected 01020304 05, got no octets"),
        (lambda: rig.equal("ids", {2, 1}, ()), "ids: expected 1, 2, got none"),
        (lambda: rig.sent(rig.header() + b"short"), "frames on the wire: expected 1, got 0"),
    ):
        with pytest.raises(Failed) as failed:
            call()
        assert str(failed.value) == said
