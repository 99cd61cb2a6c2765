"""A short soak: 60,000 packets through each format of rings, a fault every 6,000 (``make soak`` is the long one)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from . import soak
from .soak import UNDER_WAY, Served, Soak, SoakFailed

PACKETS = 60_000


@pytest.mark.parametrize("rings", ["split", "packed"])
def test_nothing_is_lost_and_nothing_doubled(rings: str) -> None:
    tally = soak.soak(PACKETS, rings == "packed", PACKETS // 10)
    assert tally.sent == PACKETS == tally.received + tally.unknown
    assert (tally.kills, tally.resets, tally.pauses, tally.remaps) == (2, 2, 1, 4)
    assert tally.unknown <= tally.kills * UNDER_WAY


def _without(came: Callable[[Soak, bytes], None], self: Soak, data: bytes) -> None:
    if data[14:22] != (500).to_bytes(8, "little"):
        came(self, data)


def _twice(came: Callable[[Soak, bytes], None], self: Soak, data: bytes) -> None:
    came(self, data)
    if data[14:22] == (500).to_bytes(8, "little"):
        came(self, data)


def _changed(came: Callable[[Soak, bytes], None], self: Soak, data: bytes) -> None:
    came(self, data[:-1] if data[14:22] == (500).to_bytes(8, "little") else data)


@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (_without, "1 packets do not come, the first is 500"),
        (_twice, "packet 500 came twice"),
        (_changed, "a packet came that was never sent"),
    ],
)
def test_it_would_be_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, happens: Callable[..., None], said: str
) -> None:
    came = Soak._came
    monkeypatch.setattr(soak, "PATIENCE", 5.0)
    monkeypatch.setattr(Soak, "_came", lambda self, data: happens(came, self, data))
    run = Soak(tmp_path, packed=False)
    monkeypatch.setattr(soak, "PATIENCE", 0.5)
    try:
        with pytest.raises(SoakFailed, match=said):
            run.run(2000, lambda sent: None)
    finally:
        run.end()


def test_memory_that_grows_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = iter((10 << 20, 13 << 20))
    monkeypatch.setattr(soak, "WARM", 1000)
    monkeypatch.setattr(Served, "memory", property(lambda self: next(sizes)))
    run = Soak(tmp_path, packed=False)
    try:
        with pytest.raises(SoakFailed, match=r"the back end's memory grows: .* memory grew by 3072 KiB"):
            run.run(2000, lambda sent: None)
    finally:
        run.end()
