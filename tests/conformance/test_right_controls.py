"""Right devices that filter, steer and notify otherwise than the model fail no entry but those that they earn."""

from __future__ import annotations

import random
from functools import partial
from typing import Any, ClassVar

import pytest

from virtionet_ipsec.conformance.catalogue import catalogue
from virtionet_ipsec.conformance.judge_device import judge_device
from virtionet_ipsec.conformance.model import Model
from virtionet_ipsec.conformance.verdict import Verdict
from virtionet_ipsec.device import Device, Received
from virtionet_ipsec.device.receive_filter import BROADCAST, ReceiveFilter
from virtionet_ipsec.device.steering import Steering
from virtionet_ipsec.virtqueue.in_memory import MemoryTransport
from virtionet_ipsec.virtqueue.packed import PackedQueue
from virtionet_ipsec.virtqueue.split import SplitQueue
from virtionet_ipsec.wire.enums import CtrlRx, Feature
from virtionet_ipsec.wire.profile import Profile

EXTRA = Model().features | 1 << Feature.CTRL_RX_EXTRA
CONTROL = ("filter", "mac", "vlan", "announce", "steering", "rss", "hash")
RINGS = ("split", "packed", "vqreset", "reserved", "status", "reset", "avq", *CONTROL)


class Filtering(Model):
    """A receive filter of another kind."""

    filter_kind: ClassVar[type[ReceiveFilter]]

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self._controls.filter.__class__ = self.filter_kind
        self._controls.filter.reset()


class _Closed(ReceiveFilter):
    def reset(self) -> None:
        super().reset()
        self._modes = {**self._modes, CtrlRx.PROMISC: False}


class StartsClosed(Filtering):
    """Promiscuous mode is off after a reset."""

    filter_kind = _Closed


class DropsBroadcast(Model):
    """What no table holds is dropped, broadcast packets too, unless promiscuous mode is on."""

    def receive(self, frame: bytes) -> Received | None:
        compiled = self._controls.filter.compiled()
        return None if compiled is not None and frame[:6] == BROADCAST else super().receive(frame)


class _Open(ReceiveFilter):
    def compiled(self) -> None:
        return None


class LetsAllThrough(Filtering):
    """The filter is best-effort: everything passes."""

    filter_kind = _Open


class _Anywhere(Steering):
    chance = random.Random(1)

    def _by_flow(self, flow: Any) -> int:
        known = self._flows.get((flow[0], flow[1]))
        return self.chance.randrange(self.pairs) if known is None else known


class SteersAnywhere(Model):
    """A flow of which nothing was transmitted goes anywhere."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self._controls.steering.__class__ = _Anywhere


class Behind(Model):
    """Other queues."""

    split: ClassVar[type[SplitQueue]] = SplitQueue
    packed: ClassVar[type[PackedQueue]] = PackedQueue

    def transport_class(self, *args: Any) -> MemoryTransport:  # type: ignore[override]
        made = MemoryTransport(*args)
        made.split_class, made.packed_class = self.split, self.packed
        return made


class WantsEveryKick(Behind):
    """Available buffer notifications are never suppressed."""

    class split(SplitQueue):  # noqa: N801
        def ask_for_kicks(self, wanted: bool) -> bool:
            return super().ask_for_kicks(True)

    class packed(PackedQueue):  # noqa: N801
        def ask_for_kicks(self, wanted: bool) -> bool:
            return super().ask_for_kicks(True)


class OneAtATime(Behind):
    """Each buffer is used by itself, although several are there."""

    class split(SplitQueue):  # noqa: N801
        def finish(self, done: Any) -> None:
            for each in done:
                super().finish([each])

    class packed(PackedQueue):  # noqa: N801
        def finish(self, done: Any) -> None:
            for each in done:
                super().finish([each])


class NotifiesAlways(Behind):
    """The driver is notified whatever it says."""

    class split(SplitQueue):  # noqa: N801
        def interrupt_wanted(self) -> bool:
            count = self._untold
            return super().interrupt_wanted() or bool(count)

    class packed(PackedQueue):  # noqa: N801
        def interrupt_wanted(self) -> bool:
            count = self._untold
            return super().interrupt_wanted() or bool(count)


def failed(kind: type[Device], areas: tuple[str, ...], **how: Any) -> dict[str, str]:
    """The entries of these areas that a device of this kind fails, and their levels."""
    names = {entry.id for entry in catalogue() if entry.role == "device" and entry.id.split(".")[0] in areas}
    report = judge_device(partial(kind, Profile.VIRTIO_1_4, **how), Profile.VIRTIO_1_4, "a right one", only=names)
    assert any(result.verdict is Verdict.PASS for result in report.results)
    return {result.entry.id: result.entry.level for result in report.failures}


@pytest.mark.parametrize("features", [Model().features, EXTRA])
@pytest.mark.parametrize("kind", [Model, StartsClosed, DropsBroadcast, SteersAnywhere])
def test_control(kind: type[Device], features: int) -> None:
    assert failed(kind, CONTROL, features=features) == {}


def test_a_filter_that_does_its_best() -> None:
    """It fails what SHOULD be dropped, and nothing that is a MUST."""
    levels = failed(LetsAllThrough, CONTROL, features=EXTRA)
    assert {"mac.dev.drops", "vlan.dev.drops", "filter.dev.nomulti", "filter.dev.nouni", "filter.dev.nobcast"} <= set(
        levels
    )
    assert set(levels.values()) == {"SHOULD", "SHOULD NOT"}


@pytest.mark.parametrize("kind", [WantsEveryKick, OneAtATime])
def test_rings(kind: type[Device]) -> None:
    assert failed(kind, RINGS) == {}


def test_a_device_that_always_notifies() -> None:
    assert failed(NotifiesAlways, RINGS) == {
        "split.dev.flags-one": "SHOULD NOT",
        "split.dev.event-not-reached": "SHOULD NOT",
        "packed.dev.event-disabled": "SHOULD NOT",
        "packed.dev.event-other-descriptor": "SHOULD NOT",
    }


def test_one_pair_of_queues() -> None:
    assert failed(Model, RINGS, queue_pairs=1) == {}


def test_without_rings() -> None:
    """What is driven by calls alone is not judged on rings."""
    names = {entry.id for entry in catalogue() if entry.id.startswith(("split.dev.", "packed.dev.", "vqreset.dev."))}
    report = judge_device(Device, Profile.VIRTIO_1_4, "calls", only=names)
    assert {result.verdict for result in report.results} == {Verdict.NOT_OBSERVABLE}


def test_without_control() -> None:
    class NoControl(Device):
        control = None  # type: ignore[assignment]

    names = {entry.id for entry in catalogue() if entry.id.startswith(("filter.dev.", "rss.dev.", "hash.dev."))}
    report = judge_device(NoControl, Profile.VIRTIO_1_4, "no control", only=names)
    assert {result.verdict for result in report.results} <= {Verdict.NOT_OBSERVABLE, Verdict.NOT_APPLICABLE}
    assert any("has no control" in result.why for result in report.results)
