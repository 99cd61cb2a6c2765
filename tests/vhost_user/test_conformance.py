"""The model at the end of a vhost-user socket gets the verdicts that it gets in process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from virtionet_ipsec.conformance.judge_device import judge_device, run_check
from virtionet_ipsec.conformance.model import PAIRS
from virtionet_ipsec.conformance.target import find_target
from virtionet_ipsec.conformance.through_rings import _Connections
from virtionet_ipsec.conformance.verdict import Report, Verdict
from virtionet_ipsec.input_error import InputError
from virtionet_ipsec.wire.profile import Profile

from .served import Impostor

NOT_CARRIED = {
    # There is no administration virtqueue, and a ring that is stopped has no notifications.
    "avq.dev.used-length",
    "avq.dev.in-order",
    "reset.dev.notifies-nothing",
    "vqreset.dev.notifies-nothing",
}
"""What the rings of the process show, and a vhost-user connection does not."""


@contextmanager
def served(folder: Path, environment: dict[str, str], *more: str) -> Iterator[Path]:
    """``virtionet-ipsec serve`` in a process of its own: ``socket`` and ``control`` are in ``folder``."""
    words = [sys.executable, "-m", "virtionet_ipsec", "serve", "--socket", str(folder / "socket")]
    words += ["--control", str(folder / "control"), *more]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, env=environment, stderr=log)
    try:
        end = time.monotonic() + 30
        while not ((folder / "control").exists() and (folder / "socket").exists()):
            assert process.poll() is None and time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.02)
        (folder / "pid").write_text(str(process.pid))
        yield folder
    finally:
        process.terminate()
        process.wait()


def verdicts(report: Report) -> dict[str, Verdict]:
    return {each.entry.id: each.verdict for each in report.results}


@pytest.mark.parametrize(("rings", "profile"), [("split", Profile.RFC_V1), ("packed", Profile.VIRTIO_1_4)])
def test_the_served_model(tmp_path: Path, environment: dict[str, str], rings: str, profile: Profile) -> None:
    with served(tmp_path, environment, "--profile", profile.value, "--queues", str(PAIRS)) as folder:
        name = f"vhost-user:{folder}/socket,control={folder}/control,rings={rings}"
        there = judge_device(find_target(name, profile), profile, name)
    assert not there.failures, [(each.entry.id, each.why) for each in there.failures]
    here = verdicts(judge_device(find_target(f"rings:{rings}", profile), profile, "rings"))
    differ = {name: verdict for name, verdict in verdicts(there).items() if verdict is not here[name]}
    assert differ == dict.fromkeys(NOT_CARRIED, Verdict.NOT_OBSERVABLE)


@pytest.mark.parametrize("beside", ["", ",wire={0}/wire", ",control={0}/control,wire={0}/wire"])
def test_what_reaches_the_device_beside_its_rings(tmp_path: Path, environment: dict[str, str], beside: str) -> None:
    """Without a wire packets are not observable, without a control socket there is no IPsec."""
    with served(tmp_path, environment, "--wire", f"socket:{tmp_path}/wire") as folder:
        make = find_target(f"vhost-user:{folder}/socket{beside.format(folder)}", Profile.VIRTIO_1_4)
        status, packet, command = (
            run_check(check, make, Profile.VIRTIO_1_4).verdict
            for check in ("reset.status-zero", "tx.needs-csum", "admin.status-ok")
        )
    assert status is Verdict.PASS
    assert packet is (Verdict.PASS if "wire" in beside else Verdict.NOT_OBSERVABLE)
    assert command is (Verdict.PASS if "control" in beside else Verdict.NOT_APPLICABLE)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rings:", "--target rings:: is neither format; give rings:split or rings:packed"),
        ("rings:round", "--target rings:round: is neither format"),
        ("vhost-user:", "--target vhost-user:: is no back end; give vhost-user:PATH"),
        ("vhost-user:x,y=z", "--target vhost-user:x,y=z: is no back end; give vhost-user:PATH"),
        ("vhost-user:x,control=", "--target vhost-user:x,control=: is no back end"),
        ("vhost-user:x,rings=round", "rings=round is neither format; give rings=split or rings=packed"),
        ("vhost-user:absent", "no back end takes a connection at absent (No such file or directory); start a back end"),
        ("vhost-user:here,control=absent", "absent: cannot be connected to"),
        ("vhost-user:here,wire=absent", "no wire takes a connection at absent"),
    ],
)
def test_what_is_no_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    with Impostor(tmp_path / "here", lambda connection: connection.recv(1)), pytest.raises(InputError) as caught:
        find_target(name, Profile.VIRTIO_1_4)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_back_end_that_dies(tmp_path: Path, environment: dict[str, str]) -> None:
    """Every check has an outcome, and none is waited for for long."""
    with served(tmp_path, environment) as folder:
        make = find_target(f"vhost-user:{folder}/socket,control={folder}/control", Profile.VIRTIO_1_4)
        assert run_check("reset.status-zero", make, Profile.VIRTIO_1_4).verdict is Verdict.PASS
    for _ in range(2):
        outcome = run_check("reset.status-zero", make, Profile.VIRTIO_1_4)
        assert outcome.verdict is Verdict.FAIL and "connect" in outcome.got and "\n" not in outcome.got


def test_a_back_end_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for a few times, and not once for each check."""
    monkeypatch.setattr("virtionet_ipsec.conformance.through_rings._TIMEOUT", 0.1)
    with Impostor(tmp_path / "socket", _until_closed) as impostor:
        with pytest.raises(InputError, match=r"does not answer GET_FEATURES within 0\.1 s"):
            find_target(f"vhost-user:{tmp_path}/socket", Profile.VIRTIO_1_4)
        make = _Connections(f"{tmp_path}/socket", {})
        got = [run_check("reset.status-zero", make, Profile.VIRTIO_1_4).got for _ in range(5)]
        assert ["does not answer" in each for each in got] == [True, True, True, False, False]
        assert "did not answer 3 times, and is not asked again" in got[-1]
        assert len(impostor.connections) == 4


@pytest.mark.parametrize("beside", ["", "control"])
def test_a_back_end_that_stops(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, beside: str
) -> None:
    """In the middle of all: its sockets are there, and nobody answers."""
    monkeypatch.setattr("virtionet_ipsec.conformance.through_rings._TIMEOUT", 0.3)
    with served(tmp_path, environment) as folder:
        make = find_target(
            f"vhost-user:{folder}/socket" + (f",control={folder}/control" if beside else ""), Profile.RFC_V1
        )
        assert run_check("reset.status-zero", make, Profile.RFC_V1).verdict is Verdict.PASS
        pid = int((folder / "pid").read_text())
        os.kill(pid, signal.SIGSTOP)
        try:
            outcomes = [run_check("reset.status-zero", make, Profile.RFC_V1) for _ in range(5)]
        finally:
            os.kill(pid, signal.SIGCONT)
    assert {outcome.verdict for outcome in outcomes} == {Verdict.FAIL}
    assert "is not asked again" in outcomes[-1].got and "not asked" not in outcomes[0].got


def _until_closed(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass
