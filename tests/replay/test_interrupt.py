"""Ctrl-C: exit status 130, and the files hold what was processed, whole and of one mind."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from virtionet_ipsec.replay import run as run_module
from virtionet_ipsec.replay.captured import Packet
from virtionet_ipsec.replay.interrupt import Interrupt
from virtionet_ipsec.replay.report import Report
from virtionet_ipsec.replay.run import Files, Replayed, replay
from virtionet_ipsec.replay.session import Session

from .files import PCAPS, framed, packet, pcap, protected, read_pcapng, sa, session

WIRES = [framed(each) for each in protected(*[packet()] * 40)]
NAMES = ("out", "report", "lines")


def run(tmp_path: Path, progress: Any = iter, made: Session | None = None) -> Replayed:
    (tmp_path / "in").write_bytes(pcap(WIRES))
    files = Files(*(str(tmp_path / name) for name in NAMES))
    return replay(made or session(sa("inbound")), str(tmp_path / "in"), files, progress)


def processed(tmp_path: Path) -> int:
    """How many packets the files speak of: all three the same."""
    report = json.loads((tmp_path / "report").read_text())
    totals = report["totals"]
    lines = [json.loads(line) for line in (tmp_path / "lines").read_text().splitlines()]
    assert totals["packets"] == totals["delivered"] + totals["sent"] + totals["dropped"] == len(lines)
    assert [line["index"] for line in lines] == list(range(1, len(lines) + 1))
    written = read_pcapng((tmp_path / "out").read_bytes())
    assert len(written) == totals["delivered"] + totals["sent"]
    good = report["flags"].get("SECURITY", 0) - report["flags"].get("SECURITY_ERR", 0)
    assert sum(row["packets"] for row in report["sas"]) == good
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    return len(lines)


# -- in this process, at chosen points ------------------------------------------------------------------------------


def test_while_waiting_for_a_packet(tmp_path: Path) -> None:
    def progress(packets: Iterable[Packet]) -> Iterator[Packet]:
        for each in packets:
            if each.index == 11:
                signal.raise_signal(signal.SIGINT)
            yield each

    done = run(tmp_path, progress)
    assert done.document["interrupted"] is True
    assert processed(tmp_path) == 10


@pytest.mark.parametrize("point", ["process", "add", "sink"])
def test_while_a_packet_is_worked_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    """Whatever part of the work it falls into, the packet is finished, in every file."""
    made = session(sa("inbound"))
    calls = 0

    def interrupted(function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 11:
                signal.raise_signal(signal.SIGINT)
            return function(*arguments)

        return call

    if point == "process":
        made.process = interrupted(made.process)
    elif point == "add":
        monkeypatch.setattr(Report, "add", interrupted(Report.add))
    else:
        monkeypatch.setattr(run_module, "jsonl", interrupted(run_module.jsonl))
    done = run(tmp_path, made=made)
    assert done.document["interrupted"] is True
    assert processed(tmp_path) == 11


def test_a_second_one_ends_it_at_once(tmp_path: Path) -> None:
    """Nothing is written then, and nothing left over."""
    made = session(sa("inbound"))

    def stuck(data: bytes, linktype: int) -> Any:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    made.process = stuck
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, made=made)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_before_the_first_packet(tmp_path: Path) -> None:
    def progress(packets: Iterable[Packet]) -> Iterator[Packet]:
        signal.raise_signal(signal.SIGINT)
        yield from packets

    assert run(tmp_path, progress).document["totals"]["packets"] == 0
    assert processed(tmp_path) == 0


def test_a_run_without_it() -> None:
    with Interrupt() as interrupt:
        assert list(interrupt.each("abc")) == ["a", "b", "c"] and not interrupt.asked
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_where_ctrl_c_means_something_else() -> None:
    """A handler of somebody else's stays, as in a process that was told to ignore it; a thread has none."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupt() as interrupt:
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            signal.raise_signal(signal.SIGINT)
            assert list(interrupt.each("ab")) == ["a", "b"] and not interrupt.asked
    finally:
        signal.signal(signal.SIGINT, before)
    results: list[object] = []

    def work() -> None:
        with Interrupt() as interrupt:
            results.extend(interrupt.each("ab"))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert results == ["a", "b"]


def test_the_handler_is_put_back_after_an_error() -> None:
    with pytest.raises(ValueError, match="x"), Interrupt():
        raise ValueError("x")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# -- a process of its own, at any point -----------------------------------------------------------------------------

SAS = PCAPS / "linux" / "gcm128-tunnel-v4.xfrm"
CAPTURE = (PCAPS / "linux" / "gcm128-tunnel-v4.wire.pcap").read_bytes()


def unread(pipe: Any) -> int:
    """How many octets lie in a pipe."""
    return int(struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0])


def settle(process: subprocess.Popen[bytes], ready: Callable[[], bool] | None = None) -> None:
    """Wait until the process sleeps when it is ``ready``: when it has read all of its standard input, unless given."""
    state = Path(f"/proc/{process.pid}/stat")
    if not state.exists():
        time.sleep(2)
        return
    asleep, deadline = 0, time.monotonic() + 30
    while asleep < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
        idle = state.read_text().rpartition(")")[2].split()[0] == "S"
        asleep = asleep + 1 if idle and (ready() if ready else unread(process.stdin) == 0) else 0


class Running:
    """``replay -`` with all outputs, fed by hand."""

    def __init__(self, tmp_path: Path, environment: dict[str, str], *more: str) -> None:
        command = [sys.executable, "-m", "virtionet_ipsec", "replay", "-", "--sa", str(SAS)]
        command += ["--write", "out", "--report", "report", "--packets", "lines", *more]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0
        )

    def feed(self, data: bytes) -> None:
        def work() -> None:
            try:
                assert self.process.stdin is not None
                self.process.stdin.write(data)
            except BrokenPipeError:
                pass

        threading.Thread(target=work, daemon=True).start()

    def interrupt(self) -> tuple[int, str, str]:
        self.process.send_signal(signal.SIGINT)
        assert self.process.stdout is not None and self.process.stderr is not None
        output, error = self.process.stdout.read().decode(), self.process.stderr.read().decode()
        status = self.process.wait(30)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return status, output, error


def test_a_slow_pipe(tmp_path: Path, environment: dict[str, str]) -> None:
    """All that came through the pipe is in the files, though the pipe is still open."""
    running = Running(tmp_path, environment)
    running.feed(CAPTURE)
    while not list(tmp_path.glob(".lines*")):
        time.sleep(0.01)
    settle(running.process)
    status, output, error = running.interrupt()
    assert (status, error) == (130, "")
    assert "interrupted: what was done until then is written" in output
    assert processed(tmp_path) == 90
    assert json.loads((tmp_path / "report").read_text())["interrupted"] is True


@pytest.mark.parametrize("number", range(6))
def test_at_any_moment(tmp_path: Path, environment: dict[str, str], number: int) -> None:
    running = Running(tmp_path, environment)
    running.feed(CAPTURE + CAPTURE[24:] * 400)
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob(".lines*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(Random(number).uniform(0, 0.15))
    status, _, error = running.interrupt()
    assert (status, error) == (130, "")
    # In the moments before the first packet there is nothing to write yet.
    assert processed(tmp_path) >= 0 if (tmp_path / "report").exists() else list(tmp_path.iterdir()) == []


def test_before_anything_has_come(tmp_path: Path, environment: dict[str, str]) -> None:
    """Waiting for the capture's first octets: nothing is written, and an older file stays."""
    for name in NAMES:
        (tmp_path / name).write_text("old")
    running = Running(tmp_path, environment)
    running.feed(CAPTURE[:10])
    settle(running.process)
    assert running.interrupt() == (130, "", "")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(NAMES, "old")


IMPORTS = """
import signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Finder())
from virtionet_ipsec.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("module", ["click", "virtionet_ipsec.cli.replay", "construct", "rich.console", "tomllib"])
def test_while_modules_are_imported(tmp_path: Path, environment: dict[str, str], module: str) -> None:
    """As early as Python lets us: no traceback, nothing written."""
    command = [sys.executable, "-c", IMPORTS.format(module=module), "replay", "-", "--sa", SAS, "--write", "x"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, input=CAPTURE, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")
    assert list(tmp_path.iterdir()) == []


def test_explain_as_well(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "virtionet_ipsec", "explain", "-", "--sa", SAS, "--packet", "5"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0) as running:
        assert running.stdin is not None and running.stdin.write(CAPTURE[:100]) == 100
        settle(running)
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 130
        assert running.stdout is not None and running.stderr is not None
        assert (running.stdout.read(), running.stderr.read()) == (b"", b"")


def test_an_output_that_nobody_reads(tmp_path: Path, environment: dict[str, str]) -> None:
    """A full pipe: the first Ctrl-C is kept for when it is read again, the second ends it."""
    os.mkfifo(tmp_path / "fifo")
    running = Running(tmp_path, environment, "--packets", "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    try:
        running.feed(CAPTURE + CAPTURE[24:] * 30)
        settle(running.process, lambda: unread(reader) > 60_000)
        running.process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert running.process.poll() is None
        status, _, error = running.interrupt()
    finally:
        os.close(reader)
    assert (status, error) == (130, "")
    assert [path.name for path in tmp_path.iterdir()] == ["fifo"]
