"""End to end: ``replay --direction inbound --write`` beside tshark on the same capture.

Both run as processes of their own; tshark decrypts and authenticates, and
prints for each packet whether the ICV was good.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from ..ipsec import Direction
from ..safile import SaEntry, dumps_toml
from .cases import ALGORITHMS, SPI, driver_for, frame, ip_packet, sa_params

PACKETS = 200_000
PACKET_SIZE = 512  # octets of the protected IP packet
_ESP_OVERHEAD = 20 + 8 + 8 + 2 + 16


@dataclass(frozen=True)
class EndToEnd:
    """Wall time of both, in seconds; ``ratio`` is ours over tshark's."""

    packets: int
    replay_seconds: float
    tshark_seconds: float

    @property
    def ratio(self) -> float:
        return self.replay_seconds / self.tshark_seconds


def write_capture(path: Path, packets: int) -> None:
    """A pcap of ``packets`` ESP packets (AES-GCM, tunnel mode over IPv4) of 512 octets each."""
    driver, resource_id = driver_for(ALGORITHMS[0])
    buffer = driver.header(resource_id) + frame(ip_packet(PACKET_SIZE - _ESP_OVERHEAD))
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for number in range(packets):
            (wire,) = driver.device.transmit(buffer)
            file.write(struct.pack("<IIII", number // 1000, number % 1000 * 1000, len(wire), len(wire)) + wire)


def tshark_table() -> str:
    """The esp_sa table of the capture's SA, as tshark takes it on its command line."""
    parameters = ALGORITHMS[0].parameters
    key = (parameters["cipher_key"] + parameters["salt"]).hex()
    columns = (
        "IPv4",
        "10.0.0.1",
        "10.0.0.2",
        f"{SPI:#x}",
        "AES-GCM with 16 octet ICV [RFC4106]",
        f"0x{key}",
        "NULL",
        "",
    )
    return "uat:esp_sa:" + ",".join(f'"{column}"' for column in columns)


def compare(repeats: int, packets: int = PACKETS) -> EndToEnd:
    """Run both ``repeats`` times, in turn, and take the medians.

    Raises FileNotFoundError when tshark is not installed and RuntimeError when
    one of the two did not decrypt every packet.
    """
    tshark = shutil.which("tshark")
    if tshark is None:
        raise FileNotFoundError("tshark is not installed (Debian: apt install tshark)")
    with tempfile.TemporaryDirectory() as folder:
        capture, sa_file, out = (Path(folder) / name for name in ("in.pcap", "sa.toml", "out.pcapng"))
        write_capture(capture, packets)
        entry = SaEntry(1, sa_params(ALGORITHMS[0], Direction.INBOUND))
        sa_file.write_text(dumps_toml([entry])[0], encoding="utf-8")
        ours = [sys.executable, "-m", "virtionet_ipsec", "replay", str(capture), "--sa", str(sa_file)]
        ours += ["--direction", "inbound", "--write", str(out), "--strict"]
        preferences = ("esp.enable_encryption_decode:TRUE", "esp.enable_authentication_check:TRUE", tshark_table())
        theirs = [tshark, "-r", str(capture), *(part for each in preferences for part in ("-o", each))]
        theirs += ["-T", "fields", "-e", "esp.icv_good"]
        times: list[tuple[float, float]] = []
        for _ in range(repeats):
            mine, _ = _timed(ours)
            tsharks, printed = _timed(theirs)
            if printed.split() not in (["1"] * packets, ["True"] * packets):
                raise RuntimeError("tshark did not find every ICV good")
            times.append((mine, tsharks))
    return EndToEnd(packets, median(mine for mine, _ in times), median(its for _, its in times))


def _timed(command: list[str]) -> tuple[float, str]:
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} failed: {done.stderr.strip()}")
    return seconds, done.stdout
