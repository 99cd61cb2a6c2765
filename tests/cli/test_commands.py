"""The commands when nothing is wrong: exit statuses, help, explain, convert, pipes."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from virtionet_ipsec import __version__
from virtionet_ipsec.replay.hints import HINTS
from virtionet_ipsec.safile import load

ROOT = Path(__file__).parents[2]
LINUX, DAMAGED = ROOT / "pcaps" / "linux", ROOT / "pcaps" / "damaged"
CAPTURE, XFRM = LINUX / "gcm128-tunnel-v4.wire.pcap", LINUX / "gcm128-tunnel-v4.xfrm"
PLAIN = LINUX / "gcm128-tunnel-v4.plain.pcap"
BAD = DAMAGED / "bad-icv.pcap"

Command = Callable[..., Any]


def keys_of(path: Path) -> list[str]:
    """The keys of an SA file, salts cut off, as they could be printed."""
    found = re.findall(r"0x([0-9a-f]{20,})", path.read_text())
    assert found
    return [key[:32] for key in found]


# -- help, version, start -------------------------------------------------------------------------------------------

SESSION = ("CAPTURE", "--sa", "--direction", "--profile", "--local", "--seed", "--mtu")
HELP = {
    (): ["replay", "explain", "sa", "bench", "--version"],
    ("replay",): [*SESSION, "--write", "--report", "--packets", "--strict"],
    ("explain",): [*SESSION, "--packet"],
    ("bench",): ["--json", "--replay", "--transport", "--repeats"],
    ("sa",): ["convert"],
    ("sa", "convert"): ["FILE", "--to", "--direction", "--local", "--output", "-o"],
}


@pytest.mark.parametrize("words", HELP, ids=" ".join)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help(command: Command, words: tuple[str, ...], flag: str) -> None:
    done = command(*words, flag)
    assert (done.status, done.error) == (0, "")
    assert done.text.startswith("Usage: " + " ".join(("virtionet-ipsec", *words)))
    for word in HELP[words]:
        assert word in done.text
    options = re.findall(r"^  (?:-\w, )?(--[\w-]+)", done.text, re.MULTILINE)
    assert set(options) - {"--help"} == {word for word in HELP[words] if word.startswith("--")}


def test_version(command: Command) -> None:
    assert command("--version") == (0, f"virtionet-ipsec {__version__}\n".encode(), "")


HEAVY = ("scapy", "construct", "cryptography", "rich", "tomlkit", "virtionet_ipsec.device", "virtionet_ipsec.ipsec")


@pytest.mark.parametrize("words", [("--help",), ("replay", "--help"), ("sa", "convert", "--help"), ("--version",)])
def test_help_imports_nothing_heavy(environment: dict[str, str], words: tuple[str, ...]) -> None:
    script = "import sys; from virtionet_ipsec.cli import run; run(sys.argv[1:]); print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", script, *words], env=environment, capture_output=True, check=True)
    loaded = set(done.stdout.decode().splitlines())
    assert "click" in loaded and not loaded & set(HEAVY)


def test_replay_and_explain_do_without_scapy(environment: dict[str, str]) -> None:
    script = "import sys; from virtionet_ipsec.cli import run; run(sys.argv[1:]); print(*sys.modules, sep='\\n')"
    command = [sys.executable, "-c", script, "replay", str(BAD), "--sa", str(XFRM)]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert not any(line.startswith(("scapy", "tomlkit")) for line in done.stdout.decode().splitlines())


def test_python_m(process: Command) -> None:
    assert process("--version") == (0, f"virtionet-ipsec {__version__}\n".encode(), "")


# -- replay ---------------------------------------------------------------------------------------------------------


def test_replay(command: Command) -> None:
    done = command("replay", CAPTURE, "--sa", XFRM)
    assert (done.status, done.error) == (0, "")
    lines = done.text.splitlines()
    counts = r"90 packets, virtio-1.4: 90 delivered, 0 sent, 0 dropped, 0 failed \(\d+ packets/s\)"
    assert re.fullmatch(f"{re.escape(str(CAPTURE))}: {counts}", lines[0])
    assert lines[1] == "flags: SECURITY 90"
    rows = [line.split() for line in lines[4:]]
    assert [row[:5] for row in rows] == [
        ["inbound", "1", "0x00002010", "esp-tunnel", "aes-gcm"],
        ["inbound", "2", "0x00001010", "esp-tunnel", "aes-gcm"],
    ]
    assert sum(int(row[5]) for row in rows) == 90 and [row[7] for row in rows] == ["0", "0"]
    assert "to see why" not in done.text


def test_replay_with_failures(command: Command) -> None:
    done = command("replay", BAD, "--sa", XFRM, "--direction", "inbound")
    assert done.status == 0
    assert "bad_icv" in done.text and "the integrity check fails" in done.text
    # The command that it gives does what it says.
    (line,) = [line for line in done.text.splitlines() if line.startswith("to see why: ")]
    words = shlex.split(line.removeprefix("to see why: "))
    assert words[0] == "virtionet-ipsec"
    told = command(*words[1:])
    assert told.status == 0 and "bad_icv" in told.text.splitlines()[-1]


@pytest.mark.parametrize("name", ["a[/b].pcap", "a[red].pcap", "with space.pcap", "x:smile:.pcap", "'q'.pcap", "é"])
def test_names_are_shown_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_bytes(BAD.read_bytes())
    done = command("replay", name, "--sa", XFRM, "--mtu", "9000", "--seed", "-1", "--local", "10.0.0.2")
    assert done.status == 0 and done.text.startswith(f"{name}: 15 packets")
    (line,) = [line for line in done.text.splitlines() if line.startswith("to see why: ")]
    words = shlex.split(line.removeprefix("to see why: "))
    assert words[:5] == ["virtionet-ipsec", "explain", name, "--sa", str(XFRM)]
    assert words[5:-2] == ["--local", "10.0.0.2", "--seed", "-1", "--mtu", "9000"]
    assert command(*words[1:]).status == 0


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_names_that_no_terminal_can_show(tmp_path: Path, environment: dict[str, str], encoding: str) -> None:
    name = os.fsencode(tmp_path) + b"/\xff\n\xe2\x82\xac.pcap"
    with open(name, "wb") as file:
        file.write(BAD.read_bytes())
    command = [sys.executable, "-m", "virtionet_ipsec", "replay", name, "--sa", XFRM, "--report", tmp_path / "r"]
    variables = environment | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "1"}
    done = subprocess.run(command, env=variables, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    shown = done.stdout.split(b":")[0].split(b"/")[-1]
    assert shown == {"utf-8": "??€.pcap".encode(), "ascii": b"??\\u20ac.pcap", "latin-1": b"??\\u20ac.pcap"}[encoding]
    assert json.loads((tmp_path / "r").read_text())["capture"].encode("utf-8", "surrogateescape") == name


@pytest.mark.parametrize(
    ("capture", "sa", "more", "status"),
    [
        (CAPTURE, XFRM, (), 0),
        (CAPTURE, XFRM, ("--strict",), 0),
        (BAD, XFRM, (), 0),
        (BAD, XFRM, ("--strict",), 1),
        (DAMAGED / "cut-off.pcap", XFRM, ("--strict",), 0),  # what is there is good
        (PLAIN, XFRM, ("--strict",), 0),  # nothing for IPsec to do is no failure
        (PLAIN, XFRM, ("--strict", "--local", "10.0.0.1", "--direction", "outbound", "--mtu", "68"), 1),
    ],
)
def test_strict(command: Command, capture: Path, sa: Path, more: tuple[str, ...], status: int) -> None:
    assert command("replay", capture, "--sa", sa, *more).status == status


def test_strict_and_dummy_packets(command: Command, tmp_path: Path) -> None:
    """RFC 4303 2.6: they are swallowed, which is no failure."""
    peer = ROOT / "pcaps" / "peer"
    done = command("replay", peer / "dummies.pcap", "--sa", peer / "peer.toml", "--packets", "-")
    reasons = [json.loads(line)["reason"] for line in done.text.splitlines()]
    capture = (peer / "dummies.pcap").read_bytes()
    kept, at = capture[:24], 24
    for reason in reasons:
        after = at + 16 + int.from_bytes(capture[at + 8 : at + 12], "little")
        kept += capture[at:after] if reason == "dummy" else b""
        at = after
    (tmp_path / "in").write_bytes(kept)
    done = command("replay", tmp_path / "in", "--sa", peer / "peer.toml", "--strict")
    assert done.status == 0 and re.search(r" [1-9]\d* dropped, 0 failed", done.text) and "to see why" in done.text


def test_truncated_captures_are_told(command: Command, tmp_path: Path) -> None:
    done = command("replay", DAMAGED / "cut-off.pcap", "--sa", XFRM, "--report", tmp_path / "r")
    assert done.status == 0 and re.search(r"^the capture is truncated: record \d+ at byte", done.text, re.MULTILINE)
    assert json.loads((tmp_path / "r").read_text())["truncated"]


def test_standard_input(process: Command, command: Command) -> None:
    done = process("replay", "-", "--sa", XFRM, "--packets", "-", stdin=CAPTURE.read_bytes())
    assert done.status == 0 and done.error.startswith("standard input: 90 packets")
    assert done.output == command("replay", CAPTURE, "--sa", XFRM, "--packets", "-").output
    done = process("replay", "-", "--sa", XFRM, stdin=b"")
    assert done.status == 2
    assert done.error == "virtionet-ipsec: standard input: byte 0: the file is empty; capture again\n"
    done = process("explain", "-", "--sa", XFRM, "--packet", "3", stdin=BAD.read_bytes())
    assert done.status == 0 and "why: bad_icv" in done.text
    # Where there is no file, there is no command to look again.
    done = process("replay", "-", "--sa", XFRM, stdin=BAD.read_bytes())
    assert done.status == 0 and "to see why" not in done.text


@pytest.mark.parametrize("flag", ["--write", "--report", "--packets"])
def test_a_file_on_standard_output_is_alone_there(command: Command, flag: str) -> None:
    done = command("replay", CAPTURE, "--sa", XFRM, flag, "-")
    assert done.status == 0 and "90 packets" in done.error and "security associations" in done.error
    assert b"security associations" not in done.output
    if flag == "--report":
        assert json.loads(done.output)["totals"]["packets"] == 90
    elif flag == "--packets":
        assert len([json.loads(line) for line in done.output.splitlines()]) == 90
    else:
        assert done.output[:4] == b"\x0a\x0d\x0d\x0a"


def test_directions_and_local_addresses(command: Command) -> None:
    def totals(*words: str) -> dict[str, int]:
        done = command("replay", PLAIN, "--sa", XFRM, "--report", "-", *words)
        report = json.loads(done.output)
        return {"sas": len(report["sas"]), **report["totals"]}

    assert totals()["delivered"] == 110
    assert totals("--local", "10.0.0.1")["sas"] == 2
    both = totals("--direction", "outbound")
    assert (both["sas"], both["sent"]) == (2, 110)
    one = totals("--direction", "outbound", "--local", "10.0.0.1")
    assert (one["sas"], one["sent"]) == (1, 110)


def test_no_key_is_ever_shown(tmp_path: Path, process: Command) -> None:
    """In no output of any command but convert's, which is for that."""
    keys = keys_of(XFRM)
    names = [tmp_path / name for name in "abc"]
    flags = [word for pair in zip(("--write", "--report", "--packets"), names, strict=True) for word in pair]
    texts = []
    for capture in (CAPTURE, BAD, PLAIN):
        for direction in ("inbound", "outbound"):
            done = process("replay", capture, "--sa", XFRM, "--direction", direction, *flags)
            texts += [done.output, done.error.encode(), *(name.read_bytes() for name in names[1:])]
            told = process("explain", capture, "--sa", XFRM, "--direction", direction, "--packet", "3")
            texts += [told.output, told.error.encode()]
    everything = b"".join(texts)
    assert b"aes-gcm" in everything
    for key in keys:
        assert key.encode() not in everything and bytes.fromhex(key) not in everything
        assert bytes.fromhex(key).hex(" ").encode() not in everything


# -- explain --------------------------------------------------------------------------------------------------------


def test_explain_success(command: Command) -> None:
    done = command("explain", CAPTURE, "--sa", XFRM, "--packet", "1")
    assert (done.status, done.error) == (0, "")
    lines = done.text.splitlines()
    assert lines[0] == "packet 1, inbound: delivered, flags=SECURITY resource_id=2 type=INB_SA"
    assert [line[:4] for line in lines[1:-1]] == [f"{number:3}." for number in range(1, len(lines) - 1)]
    assert lines[-1].strip().startswith("flags=SECURITY num_buffers=1 resource_id=2")
    assert "why:" not in done.text


def reasons() -> list[tuple[str, str, list[str], int]]:
    """From the corpus: for each reason that a replay of it gives, where to find it first."""
    manifest = tomllib.loads((ROOT / "pcaps" / "manifest.toml").read_text())
    found: dict[str, tuple[str, str, list[str], int]] = {}
    for entry in manifest["replay"]:
        for reason, numbers in entry.get("reasons", {}).items():
            if isinstance(numbers, list) and reason not in found:
                options = []
                for name in ("direction", "profile", "mtu", "seed"):
                    options += [f"--{name}", str(entry[name])] if name in entry else []
                options += [word for address in entry.get("local", ()) for word in ("--local", address)]
                options += [word for name in entry["sa"] for word in ("--sa", str(ROOT / "pcaps" / name))]
                found[reason] = (reason, entry["capture"], options, numbers[0])
    return list(found.values())


@pytest.mark.parametrize(("reason", "capture", "options", "number"), reasons(), ids=[r[0] for r in reasons()])
def test_explain_each_reason(command: Command, reason: str, capture: str, options: list[str], number: int) -> None:
    done = command("explain", ROOT / "pcaps" / capture, *options, "--packet", number)
    assert (done.status, done.error) == (0, "")
    lines = done.text.splitlines()
    hint = {each.value: text for each, text in HINTS.items()}[reason]
    assert lines[-1] == f"why: {reason}: {hint}"
    assert any(re.search(rf"(IPsec processing fails|dropped): {reason}: ", line) for line in lines)
    assert re.match(rf"packet {number}, (in|out)bound: (delivered|dropped), flags=", lines[0])


def test_most_reasons_are_in_the_corpus() -> None:
    assert {"bad_icv", "replayed", "too_old", "unknown_spi", "fragment", "truncated", "hard_lifetime", "too_big"} <= {
        row[0] for row in reasons()
    }


def test_explain_outbound(command: Command) -> None:
    words = ("--sa", XFRM, "--direction", "outbound", "--local", "10.0.0.1", "--seed", "1")
    done = command("explain", PLAIN, *words, "--packet", "2")
    lines = done.text.splitlines()
    assert lines[0].startswith("packet 2, outbound: sent, flags=SECURITY resource_id=")
    assert "transmitq1: virtio_net_hdr, 32 octets: 10" in done.text
    assert "ESP tunnel mode with aes-gcm: sequence number" in done.text
    assert lines[-1].endswith("goes on the wire, protected")


# -- sa convert -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["toml", "xfrm", "esp_sa"])
@pytest.mark.parametrize("direction", ["auto", "inbound", "outbound"])
def test_convert_there_and_back(command: Command, tmp_path: Path, to: str, direction: str) -> None:
    done = command("sa", "convert", XFRM, "--to", to, "--direction", direction, "-o", tmp_path / "x")
    assert done.status == 0 and done.output == b""
    assert all(line.startswith("virtionet-ipsec: warning: ") for line in done.error.splitlines())
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600  # keys are in it
    ways = {"auto": ["inbound", "outbound"], "inbound": ["inbound"], "outbound": ["outbound"]}[direction]
    for way in ways:
        before, after = load(XFRM, way), load(tmp_path / "x", way)
        assert [e.params.spi for e in after] == [e.params.spi for e in before]
        assert [e.params.cipher_key for e in after] == [e.params.cipher_key for e in before]
        if to != "esp_sa":
            assert [e.params for e in after] == [e.params for e in before]
    again = command("sa", "convert", tmp_path / "x", "--to", "toml", "--direction", direction)
    assert again.status == 0 and again.output.startswith(b"[[sa]]")


def test_convert_of_every_file_of_the_kernel(command: Command, tmp_path: Path) -> None:
    for path in sorted(LINUX.glob("*.xfrm")):
        done = command("sa", "convert", path, "-o", tmp_path / "x.toml")
        assert (done.status, done.error) == (0, "")
        assert [(e.id, e.params, e.select) for e in load(tmp_path / "x.toml")] == [
            (e.id, e.params, e.select) for e in load(path)
        ]


def test_convert_in_place(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "sas"
    path.write_bytes(XFRM.read_bytes())
    assert command("sa", "convert", path, "-o", path).status == 0
    assert path.read_bytes().startswith(b"[[sa]]")


def test_convert_to_standard_output(command: Command) -> None:
    done = command("sa", "convert", XFRM, "--local", "10.0.0.1")
    directions = re.findall(r'direction = "(\w+)"', done.text)
    assert sorted(directions) == ["inbound", "outbound"]


# -- pipes ----------------------------------------------------------------------------------------------------------

PIPES = {
    "table": ("replay", CAPTURE, "--sa", XFRM),
    "packets": ("replay", CAPTURE, "--sa", XFRM, "--packets", "-"),
    "write": ("replay", CAPTURE, "--sa", XFRM, "--write", "-"),
    "report": ("replay", CAPTURE, "--sa", XFRM, "--report", "-"),
    "explain": ("explain", CAPTURE, "--sa", XFRM, "--packet", "1"),
    "convert": ("sa", "convert", XFRM),
    "help": ("replay", "--help"),
}


@pytest.mark.parametrize("name", PIPES)
def test_a_reader_that_goes_away(environment: dict[str, str], name: str) -> None:
    """As "| head" does: no complaint, and no failure."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "virtionet_ipsec", *map(str, PIPES[name])]
    done = subprocess.run(command, env=environment, stdout=write, stderr=subprocess.PIPE, timeout=60)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_strict_whoever_reads(environment: dict[str, str]) -> None:
    """A reader that goes away does not make a failure a success, nor the other way round."""
    for capture, status in ((BAD, 1), (CAPTURE, 0)):
        read, write = os.pipe()
        os.close(read)
        command = [sys.executable, "-m", "virtionet_ipsec", "replay", str(capture), "--sa", str(XFRM), "--strict"]
        done = subprocess.run(command, env=environment, stdout=write, stderr=subprocess.PIPE, timeout=60)
        os.close(write)
        assert (done.returncode, done.stderr) == (status, b"")


def test_a_reader_that_goes_away_in_between(environment: dict[str, str], tmp_path: Path) -> None:
    capture = tmp_path / "in.pcap"
    data = CAPTURE.read_bytes()
    capture.write_bytes(data + data[24:] * 60)
    for flag in ("--write", "--packets"):
        command = [sys.executable, "-m", "virtionet_ipsec", "replay", str(capture), "--sa", str(XFRM), flag, "-"]
        command += ["--report", str(tmp_path / "report")]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
            assert running.stdout is not None and running.stderr is not None
            running.stdout.read(100)
            running.stdout.close()
            assert (running.wait(60), running.stderr.read()) == (0, b"")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("words", [("--version",), ("replay", str(BAD), "--sa", str(XFRM)), ("sa", "convert", "none")])
def test_closed_standard_streams(environment: dict[str, str], words: tuple[str, ...]) -> None:
    line = " ".join([sys.executable, "-m", "virtionet_ipsec", *words])
    for redirect in (">&-", "2>&-", ">&- 2>&-", "<&-"):
        done = subprocess.run(["sh", "-c", f"{line} {redirect}"], env=environment, capture_output=True, timeout=60)
        assert done.returncode == (2 if words[0] == "sa" else 0), (redirect, done)
        assert b"Traceback" not in done.stderr + done.stdout


def test_a_progress_bar_on_a_terminal_and_none_in_a_pipe(environment: dict[str, str], tmp_path: Path) -> None:
    """The bar goes to standard error, where the terminal is, and is gone in the end."""
    data = CAPTURE.read_bytes()
    (tmp_path / "in").write_bytes(data + data[24:] * 100)
    command = [sys.executable, "-m", "virtionet_ipsec", "replay", str(tmp_path / "in"), "--sa", str(XFRM)]
    parent, child = pty.openpty()
    variables = environment | {"TERM": "xterm"}
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=child) as running:
        os.close(child)
        shown = b""
        try:
            while piece := os.read(parent, 4096):
                shown += piece
        except OSError:  # the other side has closed
            pass
        assert running.stdout is not None
        output = running.stdout.read()
    os.close(parent)
    assert running.returncode == 0 and b"replaying" in shown and b"replaying" not in output
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60)
    assert done.stderr == b"" and b"replaying" not in done.stdout
