"""spec, conformance and record at the command line."""

from __future__ import annotations

import json
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from virtionet_ipsec.conformance.catalogue import catalogue
from virtionet_ipsec.conformance.judge_device import BROKEN
from virtionet_ipsec.wire.profile import Profile

ROOT = Path(__file__).parents[2]
DEMO = (ROOT / "pcaps/damaged/demo.pcap", "--sa", ROOT / "pcaps/damaged/demo.toml")
ADAPTER = """
from virtionet_ipsec.device import Device

class WrongGroup(Device):
    def _execute(self, readable):
        written = super()._execute(readable)
        return written[:2] + b"\\x02\\x00" + written[4:] if written[2:3] == b"\\x04" else written

def wrong_group():
    return WrongGroup()
"""

Command = Callable[..., Any]


@pytest.fixture(scope="session")
def trace(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("trace") / "session.jsonl"
    assert command("record", *DEMO, "-o", path).status == 0
    return path


@pytest.fixture(scope="session")
def sent(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session in which packets leave."""
    path: Path = tmp_path_factory.mktemp("trace") / "sent.jsonl"
    outbound = ROOT / "pcaps" / "outbound"
    assert command("record", outbound / "gateway.pcapng", "--sa", outbound / "gateway.toml", "-o", path).status == 0
    return path


@pytest.fixture
def wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An adapter whose device says INVALID_OPCODE for an invalid group."""
    (tmp_path / "wrong_adapter.py").write_text(ADAPTER)
    monkeypatch.chdir(tmp_path)
    return "python:wrong_adapter:wrong_group"


# -- spec ----------------------------------------------------------------------------------------------------------


def test_spec_list(command: Command) -> None:
    rows = json.loads(command("spec", "list", "--json").text)
    assert [row["id"] for row in rows] == [entry.id for entry in catalogue()]
    some = json.loads(
        command("spec", "list", "--json", "--role", "driver", "--level", "must not", "--section", "2.12").text
    )
    assert some and {(row["role"], row["level"]) for row in some} == {("driver", "MUST NOT")}
    assert {row["section"] for row in some} == {"2.12.1", "2.12.1.2", "2.12.1.3"}
    assert json.loads(command("spec", "list", "--json", "--section", "RFC 4303").text)
    done = command("spec", "list", "--section", "9.9")
    assert (done.status, done.text) == (1, "0 statements\n")
    assert {row["document"] for row in json.loads(command("spec", "list", "--json", "--section", "2.4").text)} == {
        "virtio 1.4"
    }
    rows = json.loads(command("spec", "list", "--json", "--section", "RFC 4303 2.4").text)
    assert rows and {(row["document"], row["section"]) for row in rows} == {("RFC 4303", "2.4")}


def test_spec_show(command: Command) -> None:
    row = json.loads(command("spec", "show", "admin.dev.invalid-group", "--json").text)
    assert (row["level"], row["section"], row["role"]) == ("MUST", "2.12.1", "device")
    assert row["checks"][0].startswith("admin.invalid-group: ")
    for name in ("admin.dev.invalid-group", "d12", "admin.invalid-group", "driver.tx.num-buffers"):
        done = command("spec", "show", name)
        assert done.status == 0 and name.lower() in done.text.lower()
    assert json.loads(command("spec", "show", "D12", "--json").text)["entries"]


def test_spec_show_what_is_not_there(command: Command) -> None:
    done = command("spec", "show", "admin.dev.invalid-grup")
    assert done.status == 2 and done.error.count("\n") == 1
    assert "is no statement, no decision and no check; did you mean admin.dev.invalid-group" in done.error


def test_spec_search(command: Command) -> None:
    done = command("spec", "search", "INVALID_GROUP", "whatever")
    assert done.status == 0 and "admin.dev.invalid-group" in done.text
    rows = json.loads(command("spec", "search", "--json", "recirculat").text)
    assert any(row["id"].startswith("D") for row in rows)
    assert command("spec", "search", "no such words as xyzzy").status == 1


def test_spec_search_for_a_sentence(command: Command) -> None:
    """The entry is in other words, and has most of the sentence's."""
    sentence = "The device MUST NOT consume buffers or send any used buffer notifications before DRIVER_OK."
    done = command("spec", "search", *sentence.split())
    assert done.status == 0 and "status.dev.consumes-nothing-early" in done.text


# -- conformance device --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", [each.value for each in Profile])
def test_the_model_passes(command: Command, profile: str) -> None:
    """Everything that applies to it, in both profiles."""
    done = command("conformance", "device", "--profile", profile, "--json")
    report = json.loads(done.text)
    failed = [(row["id"], row.get("why")) for row in report["entries"] if row["verdict"] == "fail"]
    assert failed == [] and done.status == 0
    assert [row["id"] for row in report["entries"] if BROKEN in row.get("why", "")] == []
    assert report["summary"].keys() == {"pass", "fail", "not applicable", "not observable"}
    assert sum(report["summary"].values()) == len(report["entries"])
    for row in report["entries"]:
        assert row.keys() >= {"id", "role", "level", "section", "verdict", "checks"}
        assert row["verdict"] == "pass" or row["why"], row["id"]
    assert [row["id"] for row in report["entries"]] == [
        entry.id for entry in catalogue().entries("device", Profile(profile))
    ]


def test_a_failure_explains_itself(command: Command, wrong: str) -> None:
    done = command("conformance", "device", "--target", wrong, "--only", "admin.dev.invalid-group")
    assert done.status == 1 and done.error == ""
    for said in (
        "admin.dev.invalid-group (virtio 1.4 2.12.1, MUST)",
        "expected: EINVAL, INVALID_GROUP",
        "got:      EINVAL, INVALID_OPCODE",
        "readable: 00000200",  # the bytes sent
        "writable: 16000200",  # the bytes got
        f"repeat: virtionet-ipsec conformance device --target {wrong} --only admin.invalid-group",
        "0 pass, 1 fail",
    ):
        assert said in done.text, said
    again = command("conformance", "device", "--target", wrong, "--only", "admin.invalid-group", "--json")
    row = next(row for row in json.loads(again.text)["entries"] if row["id"] == "admin.dev.invalid-group")
    assert row["verdict"] == "fail" and row["failures"][0]["expected"] == "EINVAL, INVALID_GROUP"


def test_documents(command: Command, wrong: str, tmp_path: Path) -> None:
    """JUnit and HTML: whole, valid, with the failure in them."""
    only = ("--only", "admin.dev.invalid-group", "--only", "admin.dev.status-ok")
    done = command("conformance", "device", "--target", wrong, *only, "--junit", "j.xml", "--html", "h.html")
    assert done.status == 1
    suite = ElementTree.fromstring((tmp_path / "j.xml").read_text())
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    (failure,) = suite.iter("failure")
    assert "INVALID_GROUP" in (failure.text or "")
    page = (tmp_path / "h.html").read_text()
    assert page.count("<html") == 1 and "http" not in page and "<script" not in page and "<link" not in page
    assert page.index("INVALID_GROUP") < page.index("Coverage by section") < page.index("<h2>Entries")
    aside = command("conformance", "device", *only, "--html", "-")
    assert aside.text.startswith("<!DOCTYPE html>") and "2 pass" in aside.error


def test_every_entry_in_a_table(command: Command) -> None:
    done = command("conformance", "device", "--only", "admin.dev.invalid-group", "--all")
    assert "admin.dev.invalid-group  2.12.1   MUST   pass" in done.text


LINES = [
    (("device", "--target", "board"), "--target board: 'board' is not one of: model, rings, vhost-user, python"),
    (("device", "--target", "python:nothing:here"), "cannot be made (ModuleNotFoundError: No module named 'nothing')"),
    (("device", "--only", "admin.dev.invalid-grup"), "is no entry and no check of this judgement; did you mean"),
    (("device", "--only", "rfc.dev.x"), "--only rfc.dev.x: is no entry"),
    (("device", "--html", "no/such/folder/x"), "no/such/folder/x: cannot be written"),
    (("device", "--trace", "absent"), "absent: cannot be read (No such file or directory)"),
    (
        ("device", "--trace", "absent", "--html", "x"),
        "--trace goes with --target and --json alone; it has its own profile.",
    ),
    (("device", "--trace", "absent", "--profile", "rfc-v1"), "--trace goes with --target and --json alone;"),
    (("driver", "absent"), "absent: cannot be read (No such file or directory)"),
    (("driver", str(DEMO[0])), "demo.pcap: is no text"),
    (("driver",), "Missing argument 'TRACE'."),
]


@pytest.mark.parametrize(("words", "said"), LINES, ids=[" ".join(words) for words, _ in LINES])
def test_bad_input(command: Command, words: tuple[str, ...], said: str) -> None:
    done = command("conformance", *words)
    assert (done.status, done.output) == (2, b"")
    assert done.error.startswith("virtionet-ipsec: ") and done.error.count("\n") == 1 and said in done.error


# -- record, conformance driver, conformance device --trace ----------------------------------------------------------


def test_record(command: Command, trace: Path) -> None:
    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    assert lines[0]["format"] == "virtionet-ipsec trace" and lines[1] == {
        "exchange": "StatusWritten",
        "value": 0,
        "status": 0,
    }
    assert {line["exchange"] for line in lines[1:]} >= {"Commanded", "FeaturesWritten", "Arrived"}
    assert stat.S_IMODE(trace.stat().st_mode) == 0o600, "it holds keys"
    done = command("record", *DEMO, "-o", "-")
    assert done.text.count("\n") == len(lines) and "exchanges; it holds the keys" in done.error


def test_record_does_not_write_over_its_input(command: Command, tmp_path: Path) -> None:
    copy = tmp_path / "sa.toml"
    copy.write_bytes(Path(DEMO[2]).read_bytes())
    done = command("record", DEMO[0], "--sa", copy, "-o", copy)
    assert done.status == 2 and "--output names the same file as an SA file" in done.error
    assert copy.read_bytes() == Path(DEMO[2]).read_bytes()
    done = command("record", tmp_path / "absent", "--sa", copy, "-o", tmp_path / "out")
    assert done.status == 2 and not (tmp_path / "out").exists()


def test_the_reference_driver_is_right(command: Command, sent: Path) -> None:
    done = command("conformance", "driver", sent, "--json")
    report = json.loads(done.text)
    assert done.status == 0 and report["role"] == "driver" and report["summary"]["fail"] == 0
    assert report["summary"]["pass"] > 20


def test_a_wrong_driver(command: Command, sent: Path, tmp_path: Path) -> None:
    """One octet of a recorded header is another: the violation is told with the exchange."""
    lines = sent.read_text().splitlines()
    number = next(at for at, line in enumerate(lines) if '"Transmitted"' in line)
    exchange = json.loads(lines[number])
    exchange["buffer"] = exchange["buffer"][:20] + "01" + exchange["buffer"][22:]
    lines[number] = json.dumps(exchange)
    bad = tmp_path / "bad.jsonl"
    bad.write_text("\n".join(lines) + "\n")
    done = command("conformance", "driver", bad)
    assert done.status == 1
    for said in ("tx.drv.num-buffers", f"num_buffers is 1 (exchange {number})", f"driver {bad} --only driver.tx.num-"):
        assert said in done.text


def test_a_report_is_not_written_over_the_trace(command: Command, sent: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(sent.read_bytes())
    done = command("conformance", "driver", copy, "--html", copy)
    assert done.status == 2 and "--html names the same file as the trace" in done.error
    assert copy.read_bytes() == sent.read_bytes()
    done = command("conformance", "driver", copy, "--html", tmp_path / "x", "--junit", tmp_path / "x")
    assert done.status == 2 and "--html names the same file as --junit" in done.error
    done = command("conformance", "driver", copy, "--json", "--junit", "-")
    assert done.status == 2 and "can go to standard output" in done.error


def test_a_session_without_anything_to_judge(command: Command, sent: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text(sent.read_text().splitlines()[0] + "\n")
    done = command("conformance", "driver", empty)
    assert done.status == 0 and "0 pass, 0 fail" in done.text
    assert done.error == f"virtionet-ipsec: note: nothing in {empty} could be judged\n"


def test_the_verdict_survives_its_reader(process: Command, sent: Path, tmp_path: Path) -> None:
    """As in "| true": the exit status is the verdict's."""
    lines = sent.read_text().splitlines()
    number = next(at for at, line in enumerate(lines) if '"Transmitted"' in line)
    lines[number] = lines[number].replace('"buffer": "00', '"buffer": "02').replace('"buffer": "10', '"buffer": "12')
    bad = tmp_path / "bad.jsonl"
    bad.write_text("\n".join(lines))
    assert process("conformance", "driver", bad).status == 1
    judge = shlex.join([sys.executable, "-m", "virtionet_ipsec", "conformance", "driver", str(bad), "--all"])
    shell = ["bash", "-c", f"{judge} | true; exit ${{PIPESTATUS[0]}}"]
    done = subprocess.run(shell, cwd=ROOT, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, b"")


def test_rerun(command: Command, trace: Path, sent: Path, wrong: str) -> None:
    for each in (trace, sent):
        done = command("conformance", "device", "--trace", each)
        assert done.status == 0 and done.text.endswith(" exchanges carried out, 0 differ\n")
    report = json.loads(command("conformance", "device", "--trace", trace, "--json", "--target", wrong).text)
    assert [each["what"] for each in report["differences"]] == ["configuration space (what follows may come of it)"], (
        "its mtu is another"
    )
    assert report["summary"] == {"exchanges": 95, "differences": 1}


def test_rerun_tells_differences(command: Command, trace: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.jsonl"
    changed.write_text(trace.read_text().replace('"status": 3', '"status": 2'))
    done = command("conformance", "device", "--trace", changed)
    assert done.status == 1 and "device status" in done.text
    assert "  recorded status: write ACKNOWLEDGE|DRIVER; reads back DRIVER" in done.text
    assert "  now      status: write ACKNOWLEDGE|DRIVER; reads back ACKNOWLEDGE|DRIVER" in done.text
    report = json.loads(command("conformance", "device", "--trace", changed, "--json").text)
    assert [each["what"] for each in report["differences"]] == ["device status"]


def test_no_key_in_any_output(command: Command, trace: Path, tmp_path: Path) -> None:
    keys = [line.split('"')[1] for line in Path(DEMO[2]).read_text().splitlines() if "key" in line and '"' in line]
    assert keys
    documents = [tmp_path / name for name in ("j.xml", "h.html")]
    outputs = [
        command("conformance", "driver", trace, "--json", "--junit", documents[0], "--html", documents[1]).text,
        command("conformance", "device", "--trace", trace, "--json").text,
        *(path.read_text() for path in documents),
    ]
    for text in outputs:
        packed = text.replace(" ", "")
        assert [key for key in keys if key[:16] in packed] == []
