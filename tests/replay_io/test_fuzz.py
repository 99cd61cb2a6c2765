"""Whatever the bytes, a capture gives packets or CaptureError."""

from __future__ import annotations

import io
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from virtionet_ipsec.replay.capture import open_capture
from virtionet_ipsec.replay.captured import CaptureError, Packet

from .files import Trickle, block, enhanced, interface, option, pcap, section

SEEDS = [
    pcap([(1, 2, b"first"), (3, 4, b"second")]),
    pcap([(1, 2, bytes(20))], order=">", linktype=113),
    section() + interface(options=option(9, b"\x06")) + enhanced(b"packet", 5, options=option(1, b"hello")),
    section(">") + interface(276, order=">") + enhanced(bytes(30), order=">") + section() + block(3, bytes(8)),
]


def swallow(stream):
    """The packets, or None for a file that is refused."""
    try:
        packets = list(open_capture(stream))
    except CaptureError as error:
        line = str(error)
    else:
        line = ""
    assert "\n" not in line
    if line:
        return None
    assert all(isinstance(packet, Packet) for packet in packets)
    return packets


@given(st.binary(max_size=200), st.sampled_from(SEEDS))
def test_any_bytes(data, seed):
    swallow(io.BytesIO(data))
    swallow(io.BytesIO(seed[:24] + data))
    swallow(io.BytesIO(seed + data))


@given(st.sampled_from(SEEDS), st.data())
def test_damaged_files(seed, data):
    damaged = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.sampled_from([0, 1, 4, 0x7F, 0x80, 0xFF]))
    step = data.draw(st.integers(1, 64))
    assert swallow(io.BytesIO(bytes(damaged))) == swallow(Trickle(bytes(damaged), step))


class Endless:
    """A pcap file of ``count`` records of 64 KiB that lies nowhere."""

    def __init__(self, count):
        self._head = pcap([])
        self._record = pcap([(1, 1, bytes(65_536))])[24:]
        self._count = count

    def read(self, size):
        if self._head:
            head, self._head = self._head, b""
            return head
        self._count -= 1
        return self._record if self._count >= 0 else b""


def test_memory_is_flat():
    tracemalloc.start()
    try:
        count = sum(1 for _ in open_capture(Endless(2000)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 2000  # 131 MB
    assert peak < 4_000_000
