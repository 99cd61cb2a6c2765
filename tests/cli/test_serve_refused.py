"""What `serve` is told and cannot do: one line, exit status 2, nothing left behind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

REFUSED = {
    "mac of a group": (["--mac", "01:00:5e:00:00:01"], "--mac 01:00:5e:00:00:01"),
    "mac of nobody": (["--mac", "00:00:00:00:00:00"], "--mac 00:00:00:00:00:00"),
    "feature": (["--features", "-RING"], "--features -RING"),
    "wire": (["--wire", "ether:eth0"], "wire 'ether:eth0'"),
    "mtu": (["--wire-mtu", "70", "--sa", "pcaps/linux/gcm128-tunnel-v4.xfrm", "--local", "10.0.0.1"], "70"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_one_line(command: Any, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    words, where = REFUSED[case]
    done = command("serve", "--socket", str(tmp_path / "s"), *words)
    assert done.status == 2 and where in done.error and len(done.error.splitlines()) == 1
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_a_trace_that_could_make_it_wait_is_refused(command: Any, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "trace"
    if kind == "pipe":
        os.mkfifo(path)
    trace = {"pipe": str(path), "device": "/dev/full", "folder": str(tmp_path)}[kind]
    done = command("serve", "--socket", str(tmp_path / "s"), "--trace", trace)
    assert done.status == 2 and f"--trace {trace}" in done.error and len(done.error.splitlines()) == 1
    assert not (tmp_path / "s").exists()


def test_the_trace_is_not_written_over_the_keys(command: Any, tmp_path: Path) -> None:
    keys = tmp_path / "keys.xfrm"
    keys.write_bytes((Path(__file__).parents[2] / "pcaps/linux/gcm128-tunnel-v4.xfrm").read_bytes())
    before = keys.read_bytes()
    done = command(
        "serve", "--socket", str(tmp_path / "s"), "--sa", str(keys), "--local", "10.0.0.1", "--trace", str(keys)
    )
    assert done.status == 2 and "--trace names the same file as an SA file" in done.error
    assert keys.read_bytes() == before


def test_an_older_trace_stays_when_it_cannot_serve(command: Any, tmp_path: Path) -> None:
    trace, occupied = tmp_path / "trace", tmp_path / "s"
    trace.write_text("older")
    occupied.write_text("no socket")
    done = command("serve", "--socket", str(occupied), "--trace", str(trace))
    assert done.status == 2 and trace.read_text() == "older" and occupied.read_text() == "no socket"
