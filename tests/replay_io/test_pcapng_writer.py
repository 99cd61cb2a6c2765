"""Writing pcapng, held against the package's own reader, scapy's, and tshark."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from virtionet_ipsec.replay.capture import open_capture
from virtionet_ipsec.replay.captured import CHUNK, CaptureError
from virtionet_ipsec.replay.pcapng_writer import PcapngWriter

PACKETS = [
    (bytes(range(length)), length * 1_000_000_007, f"virtio: flags=SECURITY resource_id={length}", direction)
    for length, direction in ((0, None), (1, "inbound"), (2, "outbound"), (3, None), (60, "inbound"), (255, "outbound"))
]


def write(file, packets=PACKETS, linktype=1, **keywords):
    with PcapngWriter(file, linktype, **keywords) as writer:
        for packet in packets:
            writer.write(*packet)


def test_read_back(tmp_path):
    path = tmp_path / "out.pcapng"
    write(path)
    capture = open_capture(path)
    assert [(p.data, p.time_ns, p.orig_len) for p in capture] == [(data, at, len(data)) for data, at, _, _ in PACKETS]
    assert capture.truncated is None


def test_interfaces_and_original_length():
    file = io.BytesIO()
    with PcapngWriter(file, 1) as writer:
        raw = writer.add_interface(101, "tun0")
        writer.write(memoryview(b"packet"), 5, interface=raw, orig_len=1500)
        writer.write(bytearray(b"frame"), 6)
    file.seek(0)
    packets = list(open_capture(file))
    assert [(p.linktype, p.interface, p.orig_len) for p in packets] == [(101, 1, 1500), (1, 0, 5)]


def test_times_beyond_the_format():
    file = io.BytesIO()
    write(file, [(b"", -5), (b"", 1 << 70), (b"", (1 << 64) - 1)])
    file.seek(0)
    assert [p.time_ns for p in open_capture(file)] == [0, (1 << 64) - 1, (1 << 64) - 1]


def test_scapy_reads_it(tmp_path):
    rawpcapng = pytest.importorskip("scapy.utils").RawPcapNgReader
    path = tmp_path / "out.pcapng"
    write(path, hardware="hw", os_name="os", userappl="app")
    with rawpcapng(str(path)) as reader:
        packets = list(reader)
    assert [data for data, _ in packets] == [data for data, _, _, _ in PACKETS]
    for (_, meta), (_, at, comment, direction) in zip(packets, PACKETS, strict=True):
        assert (meta.tshigh << 32 | meta.tslow) == at
        assert meta.tsresol == 10**9
        assert meta.direction == {None: None, "inbound": 1, "outbound": 2}[direction]
        assert comment.encode() in (meta.comments or [getattr(meta, "comment", None)])


def test_tshark_reads_it(tmp_path):
    tshark = shutil.which("tshark")
    if tshark is None:
        pytest.skip("tshark is not installed (Debian package tshark)")
    path = tmp_path / "out.pcapng"
    write(path, [(bytes(60), at, comment, direction) for _, at, comment, direction in PACKETS])
    fields = ["frame.time_epoch", "frame.comment", "frame.packet_flags_direction", "frame.len"]
    command = [tshark, "-r", str(path), "-T", "json", *(word for field in fields for word in ("-e", field))]
    output = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    assert len(output) == len(PACKETS)
    for frame, (_, at, comment, direction) in zip(output, PACKETS, strict=True):
        layers = frame["_source"]["layers"]
        assert layers["frame.comment"] == [comment]
        assert layers["frame.time_epoch"] == [f"{at // 10**9}.{at % 10**9:09}"]
        if direction is not None:
            assert int(layers["frame.packet_flags_direction"][0], 0) == {"inbound": 1, "outbound": 2}[direction]


def test_comments(tmp_path):
    path = tmp_path / "out.pcapng"
    long = "é" * 40_000
    write(path, [(b"x", 0, comment) for comment in ("", b"bytes", "ü", "lone \ud800", long, None)])
    data = path.read_bytes()
    assert "ü".encode() in data
    assert b"lone ?" in data
    assert "é".encode() * 32_767 in data
    assert "é".encode() * 32_768 not in data
    assert len(list(open_capture(path))) == 6


def test_the_cache_of_options_is_bounded():
    writer = PcapngWriter(io.BytesIO(), 1)
    for number in range(20_000):
        writer.write(b"", 0, f"comment {number}")
    assert len(writer._options) <= 4096


def test_it_flushes_as_it_goes(tmp_path):
    path = tmp_path / "out.pcapng"
    writer = PcapngWriter(path, 1)
    size = path.stat().st_size
    assert list(open_capture(path)) == []
    for _ in range(CHUNK // 1000 + 1):
        writer.write(bytes(1000), 0)
    assert path.stat().st_size > size
    assert open_capture(path).truncated is None
    writer.close()
    writer.close()
    assert len(list(open_capture(path))) == CHUNK // 1000 + 1


class Interrupted(io.BytesIO):
    """A file whose writes are interrupted half-way as long as ``on`` is set."""

    on = False

    def write(self, data):
        if self.on:
            super().write(bytes(data)[: len(data) // 2])
            raise KeyboardInterrupt
        return super().write(data)


def test_an_interrupted_write_is_made_good_on_close():
    file = Interrupted()
    writer = PcapngWriter(file, 1)
    writer.write(b"one", 1)
    writer.write(b"two", 2)
    file.on = True
    with pytest.raises(KeyboardInterrupt):
        writer.flush()
    file.on = False
    writer.write(b"three", 3)
    writer.close()
    file.seek(0)
    capture = open_capture(file)
    assert [p.data for p in capture] == [b"one", b"two", b"three"]
    assert capture.truncated is None


def test_an_interrupted_pipe_is_not_written_twice():
    class Pipe(Interrupted):
        def seekable(self):
            return False

    file = Pipe()
    writer = PcapngWriter(file, 1)
    writer.write(b"one", 1)
    file.on = True
    with pytest.raises(KeyboardInterrupt):
        writer.flush()
    file.on = False
    writer.close()
    capture = open_capture(io.BytesIO(file.getvalue()))
    assert list(capture) == []
    assert capture.truncated is not None


INTERRUPTED_WRITER = """
import sys
from virtionet_ipsec.replay.pcapng_writer import PcapngWriter
with PcapngWriter(sys.argv[1], 1) as writer:
    print("ready", flush=True)
    for _ in range(200_000):  # for ever, as far as the test goes
        writer.write(bytes(1400), 1, "virtio: flags=SECURITY")
"""


@pytest.mark.parametrize("seed", range(4))
def test_ctrl_c_leaves_a_valid_file(tmp_path, seed):
    path = tmp_path / "out.pcapng"
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED_WRITER, str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.02 + random.Random(seed).random() / 20)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    finally:
        process.kill()
    capture = open_capture(path)
    assert {p.data for p in capture} == {bytes(1400)}
    assert capture.truncated is None


def test_a_pipe_can_be_written_to(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    read = []
    reader = threading.Thread(target=lambda: read.extend(open_capture(path)))
    reader.start()
    write(path)
    reader.join(10)
    assert [p.data for p in read] == [packet[0] for packet in PACKETS]


def test_unwritable(tmp_path):
    with pytest.raises(CaptureError, match=r"cannot be written \(Is a directory\)"):
        PcapngWriter(tmp_path, 1)
    with pytest.raises(CaptureError, match=r"cannot be written \(No such file"):
        PcapngWriter(tmp_path / "none" / "out.pcapng", 1)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_one_line():
    with pytest.raises(CaptureError, match=r"cannot be written \(No space left on device\)"):
        PcapngWriter("/dev/full", 1)
