"""OUT.pcapng: times, framings, comments, the same bytes each time; and where outputs go."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from virtionet_ipsec.replay.captured import CaptureError
from virtionet_ipsec.replay.outputs import Outputs
from virtionet_ipsec.replay.run import Files, replay
from virtionet_ipsec.safile import Select, load_all

from .files import (
    ETHERNET,
    PCAPS,
    TUNNELS,
    Written,
    framed,
    packet,
    pcap,
    protected,
    read_pcapng,
    sa,
    session,
)

LAST = (1 << 32) - 1


def run(tmp_path: Path, capture: bytes, *entries: Any, **options: Any) -> list[Written]:
    entries = entries or (sa("inbound"), sa("outbound", 2, Select(proto=17, dport=53)))
    (tmp_path / "in").write_bytes(capture)
    replay(session(*entries, **options), str(tmp_path / "in"), Files(write=str(tmp_path / "out")))
    return read_pcapng((tmp_path / "out").read_bytes())


def block(kind: int, body: bytes) -> bytes:
    total = struct.pack("<I", 12 + len(body) + -len(body) % 4)
    return struct.pack("<I", kind) + total + body + bytes(-len(body) % 4) + total


def pcapng(packets: list[tuple[int, int, bytes]], linktypes: tuple[int, ...] = (1,), tsresol: int = 9) -> bytes:
    """(interface, time in its unit, data)"""
    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    for linktype in linktypes:
        out += block(1, struct.pack("<HHI", linktype, 0, 0) + struct.pack("<HHB3xHH", 9, 1, tsresol, 0, 0))
    for number, time, data in packets:
        head = struct.pack("<5I", number, time >> 32, time & LAST, len(data), len(data))
        out += block(6, head + data)
    return out


FRAMES = [framed(each) for each in [*protected(packet(), packet(6)), packet(), packet(6, dport=9)]]


# -- times ----------------------------------------------------------------------------------------------------------


def test_times_of_pcap(tmp_path: Path) -> None:
    written = run(tmp_path, pcap(FRAMES, nanoseconds=True, start=1_700_000_000))
    assert [each.time_ns for each in written] == [(1_700_000_000 + n) * 10**9 + n for n in range(4)]
    written = run(tmp_path, pcap(FRAMES, start=LAST - 3))
    assert [each.time_ns for each in written] == [(LAST - 3 + n) * 10**9 + n * 1000 for n in range(4)]


def test_times_of_pcapng(tmp_path: Path) -> None:
    times = [0, 1, 1_700_000_000_123_456_789, 2**63 - 1]
    written = run(tmp_path, pcapng([(0, time, frame) for time, frame in zip(times, FRAMES, strict=True)]))
    assert [each.time_ns for each in written] == times
    micro = [1_700_000_000_123_456 + n for n in range(4)]
    capture = pcapng([(0, time, frame) for time, frame in zip(micro, FRAMES, strict=True)], tsresol=6)
    assert [each.time_ns for each in run(tmp_path, capture)] == [time * 1000 for time in micro]


# -- framings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("linktype", [101, 228, 229])
def test_raw_ip(tmp_path: Path, linktype: int) -> None:
    """A link type that says "IPv4" would be wrong for what a tunnel makes of it: what is written is raw IP."""
    version = 6 if linktype == 229 else 4
    other = 10 - version
    capture = pcap([packet(version), packet(version, dport=9)], linktype)
    sent = run(tmp_path, capture, sa("outbound", 1, Select(dport=53, proto=17), tunnel=TUNNELS[other]))
    assert [each.linktype for each in sent] == [101, 101]
    assert sent[0].data[0] >> 4 == other and sent[1].data == packet(version, dport=9)
    capture = pcap(protected(packet(other), tunnel=TUNNELS[version]), linktype)
    (got,) = run(tmp_path, capture, sa("inbound"))
    assert (got.linktype, got.data) == (101, packet(other))


def test_linux_cooked(tmp_path: Path) -> None:
    """What is known of the frame: its EtherType and the sender's address."""
    plain, (esp,) = packet(), protected(packet())
    cooked = [struct.pack("!HHH", 0, 1, 6) + ETHERNET[6:] + b"\0\0\x08\x00" + each for each in (plain, esp)]
    expected = [bytes(6) + ETHERNET[6:] + b"\x08\x00" + plain] * 2
    written = run(tmp_path, pcap(cooked, 113), sa("inbound"))
    assert [(each.linktype, each.data) for each in written] == [(1, each) for each in expected]
    head = b"\x08\x00\0\0" + bytes(4) + struct.pack("!HBB", 1, 0, 6) + ETHERNET[6:] + b"\0\0"
    written = run(tmp_path, pcap([head + plain, head + esp], 276), sa("inbound"))
    assert [(each.linktype, each.data, each.comment) for each in written] == [
        (1, expected[0], "virtio: flags=none"),
        (1, expected[1], "virtio: flags=SECURITY resource_id=1 type=INB_SA"),
    ]


def test_interfaces_of_several_link_types(tmp_path: Path) -> None:
    """Raw IP of three kinds becomes one interface; every packet is on one of its own kind."""
    raw = [packet(dport=9), packet(6, dport=9)]
    packets = [(1, 5, raw[0]), (0, 6, FRAMES[3]), (2, 7, raw[0]), (3, 8, raw[1]), (0, 9, FRAMES[3])]
    written = run(tmp_path, pcapng(packets, (1, 101, 228, 229)))
    assert [(each.linktype, each.time_ns) for each in written] == [(101, 5), (1, 6), (101, 7), (101, 8), (1, 9)]
    assert [each.data for each in written] == [data for _, _, data in packets]
    assert (tmp_path / "out").read_bytes().count(struct.pack("<HHB3x", 9, 1, 9)) == 2


@pytest.mark.parametrize("linktype", [1, 101])
def test_a_packet_of_no_octets(tmp_path: Path, linktype: int) -> None:
    """As raw IP it passes, and is written as what it is; it is too short for an Ethernet frame."""
    written = run(tmp_path, pcap([b""], linktype), sa("inbound"))
    assert [each.data for each in written] == ([b""] if linktype == 101 else [])


def test_vlan(tmp_path: Path) -> None:
    tags = b"\x88\xa8\x00\x01\x81\x00\x00\x05"
    (esp,) = protected(packet(6))
    (written,) = run(tmp_path, pcap([framed(esp, tags)]), sa("inbound"))
    assert written.data == framed(packet(6), tags)


# -- the same each time ---------------------------------------------------------------------------------------------


def test_the_seed_makes_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(pcap([framed(packet(payload=bytes(n))) for n in range(50)]))
    entries = [
        sa("outbound", 1, Select(dport=53, proto=17)),
        sa("outbound", 2, aead=None, salt=b"", cipher="aes-cbc", auth="hmac-sha1", auth_key=bytes(20)),
    ]
    results = []
    for number, seed in enumerate((7, 7, 8)):
        names = [str(tmp_path / f"{name}{number}") for name in ("out", "lines", "report")]
        replay(session(*entries, seed=seed), str(tmp_path / "in"), Files(names[0], names[2], names[1]))
        report = json.loads(Path(names[2]).read_text())
        del report["rate"]
        results.append((Path(names[0]).read_bytes(), Path(names[1]).read_bytes(), report))
    assert results[0] == results[1] and results[0][0] != results[2][0]
    assert results[0][1:] == results[2][1:]  # only IVs differ


# -- what tshark sees -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_shows_the_comments(tmp_path: Path) -> None:
    out = tmp_path / "out.pcapng"
    capture = PCAPS / "damaged" / "bad-icv.pcap"
    entries = load_all([PCAPS / "linux" / "gcm128-tunnel-v4.xfrm"], "inbound")
    replay(session(*entries), str(capture), Files(write=str(out)))
    fields = ("frame.time_epoch", "frame.comment", "frame.packet_flags_direction", "ip.proto", "_ws.malformed")
    command = ["tshark", "-r", str(out), "-T", "fields", *(word for each in fields for word in ("-e", each))]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    ours = read_pcapng(out.read_bytes())
    assert [row[1] for row in rows] == [each.comment for each in ours]
    assert {row[1] for row in rows} >= {
        "virtio: flags=SECURITY resource_id=2 type=INB_SA",
        "virtio: flags=SECURITY|SECURITY_ERR resource_id=2 type=INB_SA reason=bad_icv",
    }
    assert {row[2] for row in rows} <= {"1", "0x00000001"}
    # A packet that failed is still ESP; one that did not is not; none is malformed.
    assert all(("50" in row[3].split(",")) == ("SECURITY_ERR" in row[1]) for row in rows)
    assert not any(row[4:] for row in rows if row[4:] != [""])
    # Times as tshark reads them in the original.
    command = ["tshark", "-r", str(capture), "-T", "fields", "-e", "frame.time_epoch"]
    original = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
    assert [row[0] for row in rows] == original


# -- whole files or none --------------------------------------------------------------------------------------------

GARBAGE = struct.pack("<IIII", 0, 0, 1 << 30, 0)


@pytest.mark.parametrize("name", ["write", "report", "packets"])
def test_a_capture_that_fails_leaves_everything_as_it_was(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").write_bytes(pcap(FRAMES * 300) + GARBAGE)
    (tmp_path / "old").write_bytes(b"precious")
    with pytest.raises(CaptureError, match="claims 1073741824 bytes"):
        replay(session(sa("inbound")), str(tmp_path / "in"), Files(**{name: str(tmp_path / "old")}))
    assert (tmp_path / "old").read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "old"]


def test_any_other_exception_as_well(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(pcap(FRAMES))
    made = session(sa("inbound"))

    def fails(data: bytes, linktype: int) -> Any:
        raise MemoryError

    made.process = fails
    files = Files(*(str(tmp_path / name) for name in "abc"))
    with pytest.raises(MemoryError):
        replay(made, str(tmp_path / "in"), files)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_one_output_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(pcap(FRAMES))
    (tmp_path / "old").write_bytes(b"precious")
    files = Files(write=str(tmp_path / "old"), packets=str(tmp_path / "no" / "such"))
    with pytest.raises(CaptureError, match=r"such: cannot be written \(No such file or directory\)"):
        replay(session(sa("inbound")), str(tmp_path / "in"), files)
    # Also when it turns out at the end: the report is opened last.
    files = Files(write=str(tmp_path / "old"), report=str(tmp_path))
    with pytest.raises(CaptureError, match="Is a directory"):
        replay(session(sa("inbound")), str(tmp_path / "in"), files)
    assert (tmp_path / "old").read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "old"]


@pytest.mark.parametrize("name", ["write", "report", "packets"])
def test_a_full_disk(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").write_bytes(pcap(FRAMES))
    others = {other: str(tmp_path / other) for other in ("write", "report", "packets") if other != name}
    with pytest.raises(CaptureError, match=r"^/dev/full: cannot be written \(No space left on device\)"):
        replay(session(sa("inbound")), str(tmp_path / "in"), Files(**{name: "/dev/full"}, **others))
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_full_disk_that_shows_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renaming fails: one line that names the file."""
    (tmp_path / "in").write_bytes(pcap(FRAMES))

    def fails(source: str, target: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(CaptureError, match=r"x\.json: cannot be written \(No space left on device\)"):
        replay(session(sa("inbound")), str(tmp_path / "in"), Files(report=str(tmp_path / "x.json")))
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_files_are_replaced_and_links_stay(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("later")
    (tmp_path / "in").write_bytes(pcap(FRAMES))
    files = Files(write=str(tmp_path / "link"), report=str(tmp_path / "dangling"))
    replay(session(sa("inbound")), str(tmp_path / "in"), files)
    assert (tmp_path / "link").is_symlink() and len(read_pcapng((tmp_path / "real").read_bytes())) == 4
    assert json.loads((tmp_path / "later").read_text())["totals"]["packets"] == 4


def test_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with Outputs() as outputs:
            outputs.open(str(tmp_path / "public"), "w").write("a")
            outputs.open(str(tmp_path / "private"), "w", private=True).write("b")
            outputs.keep()
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("public", "private")] == [0o640, 0o600]


# -- names that clash -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"write": "in"}, "--write names the same file as the capture"),
        ({"report": "./in"}, "--report names the same file as the capture"),
        ({"packets": "link"}, "--packets names the same file as the capture"),
        ({"write": "x", "report": "x"}, "--report names the same file as --write"),
        ({"report": "x", "packets": "sub/../x"}, "--packets names the same file as --report"),
        ({"write": "x", "packets": "new-link"}, "--packets names the same file as --write"),
        ({"report": "sa.toml"}, "--report names the same file as an SA file"),
        ({"write": "sa-link"}, "--write names the same file as an SA file"),
        ({"report": "-", "packets": "-"}, "--packets names the same file as --report"),
        ({"report": "-", "write": "/dev/stdout"}, "--report names the same file as --write"),
    ],
)
def test_one_file_for_two_things(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    capture = pcap(FRAMES)
    Path("in").write_bytes(capture)
    Path("sa.toml").write_text("keys")
    Path("sub").mkdir()
    for link, target in (("link", "in"), ("new-link", "x"), ("sa-link", "sa.toml")):
        Path(link).symlink_to(target)
    with pytest.raises(CaptureError, match=words):
        replay(session(sa("inbound")), "in", Files(**files), sa_files=["other", "sa.toml"])
    assert Path("in").read_bytes() == capture and Path("sa.toml").read_text() == "keys"
    assert not Path("x").exists()


def test_one_device_for_two_things_is_fine(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(pcap(FRAMES))
    done = replay(session(sa("inbound")), str(tmp_path / "in"), Files("/dev/null", "/dev/null", "/dev/null"))
    assert done.document["totals"]["packets"] == 4
    assert not os.path.isfile("/dev/null")


# -- pipes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--write", "--report", "--packets"])
def test_a_fifo(tmp_path: Path, process: Any, flag: str) -> None:
    (tmp_path / "in").write_bytes(pcap(FRAMES))
    os.mkfifo(tmp_path / "fifo")
    reader = subprocess.Popen(["cat", tmp_path / "fifo"], stdout=subprocess.PIPE)
    xfrm = PCAPS / "linux" / "gcm128-tunnel-v4.xfrm"
    done = process("replay", tmp_path / "in", "--sa", xfrm, flag, tmp_path / "fifo")
    output, _ = reader.communicate(timeout=30)
    assert (done.status, done.error) == (0, "")
    if flag == "--write":
        assert len(read_pcapng(output)) == 4
    elif flag == "--report":
        assert json.loads(output)["totals"]["packets"] == 4
    else:
        assert len(output.splitlines()) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fifo", "in"]


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1"])
def test_standard_output(process: Any, name: str) -> None:
    """The tables make room, on standard error."""
    capture = PCAPS / "linux" / "gcm128-tunnel-v4.wire.pcap"
    sas = PCAPS / "linux" / "gcm128-tunnel-v4.xfrm"
    done = process("replay", "-", "--sa", sas, "--write", name, stdin=capture.read_bytes())
    assert done.status == 0 and len(read_pcapng(done.output)) == 90
    assert done.error.startswith("standard input: 90 packets, virtio-1.4: 90 delivered")


def test_process_substitution(tmp_path: Path, environment: dict[str, str]) -> None:
    """A pipe that has a name in /dev/fd alone."""
    capture, sas = (PCAPS / "linux" / f"gcm128-tunnel-v4.{name}" for name in ("wire.pcap", "xfrm"))
    script = f"{sys.executable} -m virtionet_ipsec replay {capture} --sa {sas} --packets >(wc -l > {tmp_path}/lines)"
    done = subprocess.run(["bash", "-c", f"{script}; wait $!"], env=environment, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "lines").read_text().strip() == "90"
