"""REPORT.json and PACKETS.jsonl: what specs/replay-report.md says is what is written, no key more or less."""

from __future__ import annotations

import json
import re
import struct
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from virtionet_ipsec.ipsec import Lifetime, Reason
from virtionet_ipsec.replay.hints import HINTS
from virtionet_ipsec.replay.run import Files, replay
from virtionet_ipsec.safile import Select
from virtionet_ipsec.wire import Profile

from .files import ETHERNET, KEY, ROOT, SALT, framed, packet, pcap, protected, read_pcapng, sa, session

DOCUMENT = (ROOT / "specs" / "replay-report.md").read_text()


class Done(NamedTuple):
    report: dict[str, Any]
    lines: list[dict[str, Any]]
    out: Path
    given: list[bytes]


def dummy() -> bytes:
    """A packet to swallow: next header 59 (RFC 4303 2.6)."""
    (wire,) = protected(packet())
    head, iv = struct.pack("!II", 0x1001, 50), bytes(8)
    esp = head + iv + AESGCM(KEY).encrypt(SALT + iv, bytes(10) + bytes((0, 59)), head)
    return wire[:2] + struct.pack("!H", 20 + len(esp)) + wire[4:20] + esp


def mixture() -> list[bytes]:
    """Frames of every fate."""
    good = [framed(wire) for wire in protected(*(packet(payload=bytes(size)) for size in (10, 50, 200)))]
    bad = good[2][:-1] + bytes((good[2][-1] ^ 1,))
    unknown = framed(protected(packet(), spi=0x9999)[0])
    arp = ETHERNET + b"\x08\x06" + bytes(28)
    plain = [framed(packet(dport=port)) for port in (53, 53, 53, 9)]
    return [good[0], good[0], bad, *plain, unknown, good[1], framed(dummy()), arp, b"short", unknown, good[2]]


def run(tmp_path: Path, frames: list[bytes] | None = None, capture: bytes | None = None, **options: Any) -> Done:
    frames = mixture() if frames is None else frames
    (tmp_path / "in.pcap").write_bytes(pcap(frames) if capture is None else capture)
    made = session(
        sa("inbound", 1, lifetime=Lifetime(packets_soft=2)),
        sa("outbound", 1, Select(proto=17, dport=53), spi=0x5000, lifetime=Lifetime(packets_hard=2)),
        **options,
    )
    files = Files(*(str(tmp_path / name) for name in ("out.pcapng", "report.json", "packets.jsonl")))
    done = replay(made, str(tmp_path / "in.pcap"), files)
    report = json.loads((tmp_path / "report.json").read_text())
    assert done.document == report
    lines = [json.loads(line) for line in (tmp_path / "packets.jsonl").read_text().splitlines()]
    return Done(report, lines, tmp_path / "out.pcapng", frames)


# -- numbers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["auto", "inbound", "outbound"])
def test_sums(tmp_path: Path, direction: str) -> None:
    report, lines, out, given = run(tmp_path, direction=direction)
    totals = report["totals"]
    assert totals["packets"] == totals["delivered"] + totals["sent"] + totals["dropped"] == len(lines) == len(given)
    assert totals["bytes_in"] == sum(line["length_in"] for line in lines) == sum(map(len, given))
    assert totals["bytes_out"] == sum(line["length_out"] for line in lines)
    assert totals["failed"] == sum(line["reason"] not in (None, "dummy") for line in lines)
    assert [line["index"] for line in lines] == list(range(1, len(given) + 1))
    verdicts = Counter(line["verdict"] for line in lines)
    assert {name: totals[name] for name in ("delivered", "sent", "dropped")} == {
        name: verdicts[name] for name in ("delivered", "sent", "dropped")
    }
    directions = Counter((line["direction"], line["verdict"]) for line in lines)
    assert {(d, v): n for d, row in report["directions"].items() for v, n in row.items()} == directions
    crossed = [line["flags"] or ["none"] for line in lines if line["verdict"] != "dropped"]
    assert report["flags"] == Counter(name for names in crossed for name in names)
    reasons = Counter(line["reason"] for line in lines if line["reason"])
    assert report["reasons"] == reasons
    counts = list(report["reasons"].values())
    assert counts == sorted(counts, reverse=True)  # the most frequent first
    for name, first in report["first_failures"].items():
        line = next(line for line in lines if line["reason"] == name)
        assert first == {"packet": line["index"], "detail": line["detail"]}
    assert set(report["first_failures"]) == set(report["reasons"])
    written = read_pcapng(out.read_bytes())
    assert len(written) == totals["delivered"] + totals["sent"]
    kept = [line["length_out"] for line in lines if line["verdict"] != "dropped"]
    assert [len(each.data) for each in written] == kept


def test_every_line_of_auto(tmp_path: Path) -> None:
    """By hand, the whole of it."""
    report, lines, _, _ = run(tmp_path)
    shown = [
        (line["direction"][:3], line["verdict"], "|".join(line["flags"]), line["resource_id"], line["reason"])
        for line in lines
    ]
    err = "SECURITY|SECURITY_ERR"
    warn = "|SECURITY_SA_SOFT_EXPIRY_WARN"
    assert shown == [
        ("inb", "delivered", "SECURITY", 1, None),
        ("inb", "delivered", err, 1, "replayed"),
        ("inb", "delivered", err, 1, "bad_icv"),
        ("out", "sent", "SECURITY", 1, None),
        ("out", "sent", "SECURITY", 1, None),
        ("out", "dropped", "SECURITY", 1, "hard_lifetime"),
        ("inb", "delivered", "", 0, None),
        ("inb", "delivered", err, 0, "unknown_spi"),
        ("inb", "delivered", "SECURITY" + warn, 1, None),
        ("inb", "dropped", "", 0, "dummy"),
        ("inb", "delivered", "", 0, None),
        ("inb", "dropped", "", 0, "truncated"),
        ("inb", "delivered", err, 0, "unknown_spi"),
        ("inb", "delivered", "SECURITY" + warn, 1, None),
    ]
    types = [line["resource_type"] for line in lines]
    assert types == ["INB_SA"] * 3 + ["OUTB_SA"] * 3 + [None, None, "INB_SA", None, None, None, None, "INB_SA"]
    assert report["totals"] | {"bytes_in": 0, "bytes_out": 0} == {
        "packets": 14,
        "delivered": 9,
        "sent": 2,
        "dropped": 3,
        "failed": 6,
        "bytes_in": 0,
        "bytes_out": 0,
    }
    assert lines[5]["length_out"] == lines[9]["length_out"] == 0
    inbound, outbound = report["sas"]
    assert inbound == {
        "direction": "inbound",
        "resource_id": 1,
        "spi": "0x00001001",
        "mode": "esp-tunnel",
        "algorithm": "aes-gcm",
        "origin": "test.toml:1",
        "packets": 3,
        "bytes": (28 + 10) + (28 + 50) + (28 + 200),
        "failures": {"replayed": 1, "bad_icv": 1},
        "soft_expired": True,
        "highest_seq": 50,
        "dummies": 1,
    }
    assert (outbound["spi"], outbound["packets"], outbound["last_seq"]) == ("0x00005000", 2, 2)
    assert outbound["failures"] == {"hard_lifetime": 1} and outbound["bytes"] == 2 * 33


def test_an_empty_capture(tmp_path: Path) -> None:
    report, lines, out, _ = run(tmp_path, [])
    assert not any(report["totals"].values()) and lines == []
    assert report["reasons"] == report["flags"] == report["directions"] == report["first_failures"] == {}
    assert report["rate"]["packets_per_second"] == 0 and read_pcapng(out.read_bytes()) == []


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_truncated(tmp_path: Path, cut: int) -> None:
    """What came before the last record is processed."""
    frames = mixture()
    report, lines, _, _ = run(tmp_path, frames, pcap(frames)[:-cut])
    assert len(lines) == len(frames) - 1 == report["totals"]["packets"]
    assert re.fullmatch(r"record 14 at byte \d+ is cut short: \d+ of 314 bytes are there", report["truncated"])
    assert report["interrupted"] is False


def test_it_is_json_of_ascii_and_without_keys(tmp_path: Path) -> None:
    run(tmp_path)
    for name in ("report.json", "packets.jsonl"):
        text = (tmp_path / name).read_bytes()
        assert text.isascii() and text.endswith(b"\n")
        assert KEY not in text and KEY.hex().encode() not in text and SALT.hex().encode() not in text


def test_rfc_v1(tmp_path: Path) -> None:
    frames = mixture()
    (tmp_path / "in.pcap").write_bytes(pcap(frames))
    made = session(sa("inbound"), profile=Profile.RFC_V1)
    done = replay(made, str(tmp_path / "in.pcap"))
    assert done.document["profile"] == "rfc-v1"
    assert set(done.document["flags"]) == {"none", "SECURITY", "SECURITY_ERR"}


# -- the document ---------------------------------------------------------------------------------------------------


def section(title: str) -> str:
    return DOCUMENT.split(f"## {title}", 1)[1].split("\n## ", 1)[0]


def documented(title: str) -> list[str]:
    """The keys in the first column of a section's table."""
    keys: list[str] = []
    for line in section(title).splitlines():
        if line.startswith("| `"):
            keys += re.findall(r"`([^`]+)`", line.split("|")[1])
    return keys


def test_report_keys(tmp_path: Path) -> None:
    report, *_ = run(tmp_path)
    assert documented("REPORT.json") == list(report)
    assert report["format"] == "virtionet-ipsec replay report" and report["version"] == 1
    table = [line.split("|") for line in section("REPORT.json").splitlines() if line.startswith("|")]
    rows = {cells[1].strip(" `"): cells[2] for cells in table}
    assert re.findall(r"`(\w+)`", rows["totals"]) == list(report["totals"])
    assert re.findall(r"`(\w+)`", rows["rate"]) == list(report["rate"])
    assert re.findall(r"`([\w.-]+)`", rows["profile"]) == ["virtio-1.4", "rfc-v1"]


def test_keys_of_an_sa(tmp_path: Path) -> None:
    report, *_ = run(tmp_path)
    text = section("REPORT.json").split("Each of `sas`:")[1]
    common, inbound, outbound = re.split(r"inbound ones|\noutbound ones", text)
    common_keys = re.findall(r"`(\w+)`", common)
    assert list(report["sas"][0]) == common_keys + re.findall(r"`(\w+)`", inbound)
    assert list(report["sas"][1]) == common_keys + re.findall(r"`(\w+)`", outbound)


def test_packet_keys(tmp_path: Path) -> None:
    _, lines, *_ = run(tmp_path)
    assert all(list(line) == documented("PACKETS.jsonl") for line in lines)


def test_every_reason_is_documented_with_its_hint() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", section("Reasons"), re.MULTILINE)
    assert dict(rows) == {reason.value: HINTS[reason] for reason in Reason}
    assert list(HINTS) == list(Reason)


def test_the_comment_is_the_documented_one(tmp_path: Path) -> None:
    assert "`virtio: flags=F resource_id=N type=T reason=R`" in section("Comments in OUT.pcapng")
    _, lines, out, _ = run(tmp_path)
    kept = [line for line in lines if line["verdict"] != "dropped"]
    for written, line in zip(read_pcapng(out.read_bytes()), kept, strict=True):
        expected = f"virtio: flags={'|'.join(line['flags']) or 'none'}"
        if line["resource_type"]:
            expected += f" resource_id={line['resource_id']} type={line['resource_type']}"
        if line["reason"]:
            expected += f" reason={line['reason']}"
        assert written.comment == expected
        assert written.direction == {"inbound": 1, "outbound": 2}[line["direction"]]
