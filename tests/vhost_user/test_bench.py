"""bench --transport vhost-user: what it measures is what passes, and its driver keeps to the rings."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from virtionet_ipsec.bench import rings
from virtionet_ipsec.bench.far_end import BATCH, arriving
from virtionet_ipsec.bench.pump import PackedPump, SplitPump
from virtionet_ipsec.bench.ring_cases import CASES
from virtionet_ipsec.device import Device
from virtionet_ipsec.device.negotiation import default_features
from virtionet_ipsec.driver import Driver
from virtionet_ipsec.virtqueue.in_memory import RING_FEATURES, MemoryTransport
from virtionet_ipsec.virtqueue.port import QueuePort, Rings
from virtionet_ipsec.wire import Profile

PUMPS: dict[bool, Any] = {False: SplitPump, True: PackedPump}
FRAME = bytes(64)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("step", [1, 7, 16])
def test_the_pump_goes_round(packed: bool, step: int) -> None:
    """Many times round a ring of 16, in steps of every kind: each buffer is used once, and the device is content."""
    device = Device(features=default_features(Profile.VIRTIO_1_4) | RING_FEATURES)
    transport = MemoryTransport(device)
    port = QueuePort(transport, Rings(packed=packed, size=16))
    header = Driver(port).start().header()
    sides = [port.driver_side(index) for index in (0, 1)]
    for side in sides:
        side.restart()
    sides[1].octets[: len(header + FRAME)] = header + FRAME
    receive, transmit = PUMPS[packed](sides[0], 256, False), PUMPS[packed](sides[1], len(header + FRAME), True)
    receive.offer(16)
    transport.kick(0)
    for _ in range(50):
        assert transmit.offer(step) and transmit.used() == 0
        assert not transmit.doze(step)
        before = transport.interrupts[1]
        transport.kick(1)
        transport.wait(lambda: False)
        assert transport.interrupts[1] == before + 1
        assert transmit.doze(step) and transmit.used() == step and transmit.used() == 0
        transport.queues.arrive([FRAME] * step)
        assert receive.doze(step) and receive.used() == step
        assert bytes(sides[0].octets[len(header) : len(header + FRAME)]) == FRAME
        receive.offer(step)
    assert device.counters.tx_sent == device.counters.rx_delivered == 50 * step
    assert transport.frames() == (FRAME,) * 50 * step and not device.counters.rx_dropped
    assert not device.status & 64


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rings, "PACKETS", 40 * BATCH)


@pytest.mark.usefixtures("few")
def test_every_row(command: Callable[..., Any]) -> None:
    done = command("bench", "--transport", "vhost-user", "--repeats", 1, "--json")
    assert done.status == 0 and not done.error
    rows = json.loads(done.text)
    assert {(row["case"], row["direction"], row["ring"]) for row in rows} == {
        (case.name, direction, ring)
        for case in CASES
        for direction in ("transmit", "receive")
        for ring in ("split", "packed")
    }
    assert all(row["packets_per_second"] > 0 < row["processor_us"] and row["in_process_us"] > 0 for row in rows)


@pytest.mark.usefixtures("few")
def test_the_table(command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rings, "CASES", CASES[:1])
    done = command("bench", "--transport", "vhost-user", "--repeats", 1)
    title, heads, *lines = done.text.splitlines()
    assert title.strip() == "through virtqueues, vhost-user" and heads.split()[:3] == ["packets", "direction", "rings"]
    assert [line.split()[:4] for line in lines] == [
        ["plain", direction, ring, "50"] for direction in ("transmit", "receive") for ring in ("split", "packed")
    ]


@pytest.mark.usefixtures("few")
def test_packets_that_fail_are_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of frames that the far end makes only once, the second half is replayed."""
    (case,) = (case for case in CASES if case.transparent)
    served = rings._Served(case, packed=False, frames=rings.PACKETS // 2)
    try:
        run = rings._DIRECTIONS["receive"][1](served, case)
        monkeypatch.setattr(rings, "PACKETS", rings.PACKETS // 2)
        run()
        served.check()
        served.ask(BATCH)
        served.front_end.beside.sync()
        with pytest.raises(
            RuntimeError, match=r"packets failed while they were measured: .*in_dropped {'too_old': 32}"
        ):
            served.check()
    finally:
        served.close()


def test_what_arrives() -> None:
    plain, aware, transparent = CASES
    assert len(arriving(plain, 5)) == 1 and len(arriving(plain, 5)[0]) == 64
    for case in (aware, transparent):
        frames = arriving(case, 5)
        numbers = [int.from_bytes(frame[38:42], "big") for frame in frames]
        assert numbers == [1, 2, 3, 4, 5] and len(frames[0]) > 1414


def test_two_measurements_at_once(command: Callable[..., Any]) -> None:
    done = command("bench", "--transport", "vhost-user", "--replay")
    assert done.status == 2 and "--replay and --transport are two measurements" in done.error
