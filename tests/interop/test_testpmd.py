"""DPDK's virtio-user and testpmd, where huge pages can be had: every kind of ring it knows, and many packets."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import needs
from .backend import Backend
from .frames import ethernet
from .testpmd import PROGRAM, Testpmd, huge_pages
from .wire import Wire

needs.require(PROGRAM)

MAC = "52:54:00:00:00:01"
VARIANTS = {
    "split": ("-RING_PACKED,-IN_ORDER", ""),
    "split, in order": ("-RING_PACKED", "in_order=1"),
    "split, no mergeable buffers": ("-RING_PACKED,-IN_ORDER", "mrg_rxbuf=0"),
    "packed": ("-IN_ORDER", "packed_vq=1"),
    "packed, in order": ("", "packed_vq=1,in_order=1"),
    "packed, no mergeable buffers": ("-IN_ORDER", "packed_vq=1,mrg_rxbuf=0"),
    "packed, vectorized": ("-IN_ORDER", "packed_vq=1,mrg_rxbuf=0,vectorized=1"),
}
FRAMES = 3000
AT_ONCE = 100
QUEUE = 256


@pytest.fixture(scope="module", autouse=True)
def pages() -> Iterator[None]:
    with huge_pages():
        yield


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


def frame(number: int) -> bytes:
    """Each another, of sizes between 60 and 1514 octets."""
    content = number.to_bytes(4, "big") * (12 + number % 364)
    return ethernet(MAC, payload=content)[:1514]


def returned(frame: bytes) -> bytes:
    """With its addresses changed over."""
    return frame[6:12] + frame[:6] + frame[12:]


@pytest.mark.parametrize("name", VARIANTS)
def test_every_frame_comes_back(name: str, wire: Wire, tmp_path: Path) -> None:
    """testpmd sends back what it receives: nothing lost, nothing doubled, in order, every octet."""
    features, options = VARIANTS[name]
    backend = Backend(tmp_path, wire, "--features", features)
    testpmd = Testpmd(tmp_path, backend.socket, "macswap", options)
    try:
        for start in range(0, FRAMES, AT_ONCE):
            for number in range(start, start + AT_ONCE):
                wire.inject("near", frame(number))
            wire.wait_for_frames(start + AT_ONCE)
        assert [each.data for each in wire.frames] == [returned(frame(number)) for number in range(FRAMES)]
        assert re.search(rf"RX-packets: {FRAMES}\s", testpmd.stop())
    finally:
        testpmd.close()
        assert backend.stop() == 0


@pytest.mark.parametrize("features", ["-RING_PACKED", ""])
def test_it_sends(features: str, wire: Wire, tmp_path: Path) -> None:
    """As fast as it can for a second; what it has counted as sent is on the wire, but for a queueful at the end."""
    backend = Backend(tmp_path, None, "--wire", f"pcap:{tmp_path / 'sent.pcap'}", "--features", features)
    packed = "" if features else "packed_vq=1"
    testpmd = Testpmd(tmp_path, backend.socket, "txonly", packed)
    try:
        time.sleep(1)
        said = testpmd.stop()
        with backend.client() as client:
            client.sync()
    finally:
        testpmd.close()
        assert backend.stop() == 0
    sent = int(re.findall(r"TX-packets: (\d+)", said)[-1])
    size = (tmp_path / "sent.pcap").stat().st_size
    print(f"{sent} packets sent")
    assert sent > 10_000
    packets, rest = divmod(size - 24, 16 + 64)
    assert rest == 0 and sent - QUEUE <= packets <= sent
