"""What pcaps/manifest.toml says, held against the files and against what replaying them gives."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from virtionet_ipsec.cli import run as run_cli
from virtionet_ipsec.replay.capture import open_capture
from virtionet_ipsec.replay.captured import Packet
from virtionet_ipsec.replay.run import Files, replay
from virtionet_ipsec.replay.session import Options, Session
from virtionet_ipsec.safile import load_all
from virtionet_ipsec.wire.profile import Profile

from .corpus import PCAPS, frames_of, link_type_of, manifest

MANIFEST = manifest()
CAPTURES = {entry["file"]: entry for entry in MANIFEST["capture"]}
REPLAYS = {entry["name"]: entry for entry in MANIFEST["replay"]}
GIVING = [name for name, entry in REPLAYS.items() if "error" not in entry]
FAILING = [name for name, entry in REPLAYS.items() if "error" in entry]

CAPTURE_KEYS = {"file", "made", "link_type", "packets", "truncated"}
REPLAY_KEYS = {"name", "capture", "sa", "direction", "profile", "seed", "mtu", "local"}
WITH_KERNELS = ("linux/", "interop/")
GIVEN_KEYS = {"verdicts", "flags", "reasons", "sas"}
EXPLAIN_THEMSELVES = {"manifest.toml", "README.md", "linux/README.md", "interop/README.md"}


class Done(NamedTuple):
    """A finished replay: its report, its line for each packet, what it wrote, and what it read."""

    report: dict[str, Any]
    lines: list[dict[str, Any]]
    out: list[Packet]
    source: list[Packet]


def options(entry: dict[str, Any]) -> Options:
    profile = Profile(entry.get("profile", Profile.VIRTIO_1_4.value))
    return Options(entry.get("direction", "auto"), profile, entry.get("seed"), entry.get("mtu", 65535))


def session(entry: dict[str, Any]) -> Session:
    paths = [PCAPS / name for name in entry["sa"]]
    entries = load_all(paths, entry.get("direction", "auto"), local_addresses=entry.get("local", ()))
    return Session(entries, options(entry))


def replayed(entry: dict[str, Any], folder: Path) -> Done:
    out, report, lines = (folder / name for name in ("out.pcapng", "report.json", "packets.jsonl"))
    replay(session(entry), str(PCAPS / entry["capture"]), Files(str(out), str(report), str(lines)))
    return Done(
        json.loads(report.read_text()),
        [json.loads(line) for line in lines.read_text().splitlines()],
        packets_of(out),
        packets_of(PCAPS / entry["capture"]),
    )


def packets_of(path: Path) -> list[Packet]:
    with open_capture(path) as capture:
        return list(capture)


# --- the manifest and the files -----------------------------------------------------------------------------------


def files() -> set[str]:
    """All files of pcaps/ but the recipes."""
    every = {path.relative_to(PCAPS) for path in PCAPS.rglob("*") if path.is_file()}
    return {path.as_posix() for path in every if path.suffix not in (".py", ".pyc")}


def test_every_file_is_named() -> None:
    """Captures under [[capture]], SA files by a [[replay]]; and no name is without its file."""
    named = set(CAPTURES) | {name for entry in REPLAYS.values() for name in entry["sa"]}
    assert files() - named == EXPLAIN_THEMSELVES
    assert named - files() == set()


def test_every_capture_is_used() -> None:
    """By a replay, as what one delivers, or (the kernel's plain ones) by the tests of the kernel's captures."""
    used = {entry["capture"] for entry in REPLAYS.values()} | {entry.get("delivers") for entry in REPLAYS.values()}
    assert {name for name in set(CAPTURES) - used if not name.endswith(".plain.pcap")} == set()


def test_names_are_unique() -> None:
    assert len(CAPTURES) == len(MANIFEST["capture"]) and len(REPLAYS) == len(MANIFEST["replay"])


def test_nothing_but_what_the_manifest_explains() -> None:
    for capture in CAPTURES.values():
        assert capture.keys() <= CAPTURE_KEYS and capture.keys() >= CAPTURE_KEYS - {"truncated"}
    for entry in REPLAYS.values():
        given = entry.keys() - REPLAY_KEYS
        assert given == {"error"} or GIVEN_KEYS <= given <= GIVEN_KEYS | {"delivers", "sha256"}, entry["name"]
        assert entry["capture"] in CAPTURES


def test_the_whole_stays_small() -> None:
    assert sum((PCAPS / name).stat().st_size for name in files()) < 3_000_000


@pytest.mark.parametrize("name", CAPTURES)
def test_capture(name: str) -> None:
    entry, path = CAPTURES[name], PCAPS / name
    assert link_type_of(path) == entry["link_type"]
    with open_capture(path) as capture:
        assert sum(1 for _ in capture) == entry["packets"]
        assert (capture.truncated is not None) is entry.get("truncated", False)


def test_every_kind_of_file_tells_the_same() -> None:
    """The same sixteen packets at the same times, in microseconds or, from two of the files, in nanoseconds."""
    names = ("raw-ip.pcap", "cooked.pcap", "big-endian.pcap", "two-links.pcapng")
    raw, cooked, exact, exact_too = (packets_of(PCAPS / "outbound" / name) for name in names)
    for packets in (cooked, exact, exact_too):
        for packet, bare in zip(packets, raw, strict=True):
            assert packet.data.endswith(bare.data)
            assert packet.time_ns // 1000 == bare.time_ns // 1000
    assert [packet.time_ns for packet in exact] == [packet.time_ns for packet in exact_too]
    assert exact[1].time_ns - exact[0].time_ns == 123


def test_the_recipes_make_the_same_bytes(tmp_path: Path) -> None:
    """make.py makes all captures but those that kernels took part in, and the bytes are those in the repository."""
    subprocess.run([sys.executable, PCAPS / "make.py", "--to", tmp_path], check=True, timeout=60)
    made = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*.pcap*")}
    kept = {name: (PCAPS / name).read_bytes() for name in CAPTURES if not name.startswith(WITH_KERNELS)}
    assert made.keys() == kept.keys()
    assert [name for name in kept if made[name] != kept[name]] == []


# --- what replaying gives -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GIVING)
def test_replay(name: str, tmp_path: Path) -> None:
    entry = REPLAYS[name]
    capture = CAPTURES[entry["capture"]]
    done = replayed(entry, tmp_path)
    report = done.report
    totals = report["totals"]
    assert totals["packets"] == len(done.lines) == capture["packets"]
    verdicts = {verdict: totals[verdict] for verdict in ("delivered", "sent", "dropped")}
    assert {verdict: count for verdict, count in verdicts.items() if count} == entry["verdicts"]
    assert report["flags"] == entry["flags"]
    assert_reasons(done, entry["reasons"])
    assert totals["failed"] == sum(report["reasons"].values()) - report["reasons"].get("dummy", 0)
    assert (report["truncated"] is not None) is capture.get("truncated", False)
    assert_sas(report["sas"], entry["sas"])
    assert_outputs(done, options(entry).profile)
    if "delivers" in entry:
        assert [packet.data.hex() for packet in done.out] == [due.hex() for due in frames_of(PCAPS / entry["delivers"])]
    if "sha256" in entry:
        assert hashlib.sha256(b"".join(packet.data for packet in done.out)).hexdigest() == entry["sha256"]


def assert_reasons(done: Done, due: dict[str, int | list[int]]) -> None:
    """The numbers of the packets that failed, by reason; those that were many are counted."""
    failed: dict[str, list[int]] = defaultdict(list)
    for line in done.lines:
        if line["reason"] is not None:
            failed[line["reason"]].append(line["index"])
    assert {reason: len(numbers) for reason, numbers in failed.items()} == done.report["reasons"]
    assert {r: len(n) if isinstance(due.get(r), int) else n for r, n in failed.items()} == due


def assert_sas(rows: list[dict[str, Any]], due: dict[str, dict[str, int]]) -> None:
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        if row["packets"] or row["failures"]:
            found.setdefault(row["direction"], {})[str(row["resource_id"])] = row["packets"]
    assert found == due


def assert_outputs(done: Done, profile: Profile) -> None:
    """What is written is what was not dropped, with the times of the capture; and what holds for every packet."""
    kept = [pair for pair in zip(done.source, done.lines, strict=True) if pair[1]["verdict"] != "dropped"]
    for (source, line), out in zip(kept, done.out, strict=True):
        assert (out.time_ns, len(out.data)) == (source.time_ns, line["length_out"])
        flags = set(line["flags"])
        assert ("SECURITY_ERR" in flags) == (line["reason"] is not None)
        assert "SECURITY" in flags or not flags
        assert (line["resource_type"] is None) == (line["resource_id"] == 0)
        if line["reason"] is not None or not flags:  # handed up, or sent, as it came (D13)
            assert out.data == source.data
        else:
            assert out.data != source.data
    for line in done.lines:
        assert line["verdict"] != "dropped" or line["reason"] is not None
        assert profile is Profile.VIRTIO_1_4 or "SECURITY_SA_SOFT_EXPIRY_WARN" not in line["flags"]


def test_the_seed_decides() -> None:
    """The same seed gave the manifest's bytes; another gives others, and none at all never the same twice."""
    entry = REPLAYS["aes-gcm"]

    def first(seed: int | None) -> bytes:
        one = session(entry | {"seed": seed})
        return one.process(frames_of(PCAPS / entry["capture"])[0], 1).data

    assert first(1) == first(1)
    assert len({first(1), first(2), first(None), first(None)}) == 4


# --- the command line ---------------------------------------------------------------------------------------------


def arguments(entry: dict[str, Any]) -> list[str]:
    words = ["replay", str(PCAPS / entry["capture"])]
    for name in entry["sa"]:
        words += ["--sa", str(PCAPS / name)]
    for key in ("direction", "profile", "seed", "mtu"):
        if key in entry:
            words += [f"--{key}", str(entry[key])]
    for address in entry.get("local", ()):
        words += ["--local", address]
    return words


@pytest.mark.parametrize("name", FAILING)
def test_bad_input(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit status 2 and one line that names the file, the place and the mend."""
    entry = REPLAYS[name]
    assert run_cli(arguments(entry)) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith(f"virtionet-ipsec: {PCAPS / entry['sa'][0]}:")
    assert entry["error"] in err and "; " in err


@pytest.mark.parametrize("name", ["bad-icv", "gateway, xfrm", "cut-off, pcapng", "rfc-v1"])
def test_command_line(name: str, tmp_path: Path) -> None:
    """The same as above from a process of its own; with --strict, packets that failed make the exit status 1."""
    entry = REPLAYS[name]
    outputs = {flag: tmp_path / flag for flag in ("write", "report", "packets")}
    words = [*arguments(entry), "--strict", *(word for flag, out in outputs.items() for word in (f"--{flag}", out))]
    done = subprocess.run([sys.executable, "-m", "virtionet_ipsec", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == (1 if entry["reasons"] else 0), done.stderr
    report = json.loads(outputs["report"].read_text())
    assert report["flags"] == entry["flags"]
    assert report["reasons"] == {r: n if isinstance(n, int) else len(n) for r, n in entry["reasons"].items()}
    if "sha256" in entry:
        out = b"".join(packet.data for packet in packets_of(outputs["write"]))
        assert hashlib.sha256(out).hexdigest() == entry["sha256"]
    assert not done.stderr and f"{CAPTURES[entry['capture']]['packets']} packets" in done.stdout
