"""Memory is flat in the number of packets: a capture is read as a stream, and outputs are written as one."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from .files import framed, packet, protected

STATUS = Path("/proc/self/status")

# Not resource.getrusage: its maximum begins with that of the process that started this one.
MEASURE = f"""
import re, sys
from virtionet_ipsec.cli import run
status = run(sys.argv[1:])
print(re.search(r"VmHWM:\\s*(\\d+) kB", open("{STATUS}").read())[1])
sys.exit(status)
"""
SA = """
[[sa]]
id = 1
direction = "inbound"
mode = "esp-tunnel"
spi = 0x1001
aead = "aes-gcm"
cipher_key = "6162636465666768696a6b6c6d6e6f70"
salt = "73616c74"
"""


def peak(tmp_path: Path, environment: dict[str, str], count: int) -> int:
    """Peak resident memory, in KiB, of a replay of ``count`` packets with all outputs."""
    frame = framed(protected(packet(payload=bytes(200)))[0])
    record = struct.pack("<IIII", 1, 2, len(frame), len(frame)) + frame
    (tmp_path / "in").write_bytes(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1) + record * count)
    (tmp_path / "sa.toml").write_text(SA)
    command = [sys.executable, "-c", MEASURE, "replay", "in", "--sa", "sa.toml"]
    command += ["--write", "out", "--report", "report", "--packets", "lines"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True, timeout=120)
    assert f"in: {count} packets, virtio-1.4: {count} delivered".encode() in done.stdout
    assert (tmp_path / "out").stat().st_size > 200 * count
    return int(done.stdout.split()[-1])


@pytest.mark.skipif(not STATUS.exists(), reason="this system does not tell a process's memory in /proc")
def test_ten_times_the_packets_in_the_same_memory(tmp_path: Path, environment: dict[str, str]) -> None:
    few, many = (peak(tmp_path, environment, count) for count in (20_000, 200_000))
    assert many - few < 4096
