"""Reading pcap files: what the format allows, and what hostile files claim."""

from __future__ import annotations

import io
import struct
import sys
import types

import pytest

from virtionet_ipsec.replay.capture import open_capture
from virtionet_ipsec.replay.captured import MAX_RECORD, CaptureError

from .files import Trickle, pcap

PACKETS = [(1, 2, b"first"), (3, 999_999, b""), (0xFFFFFFFF, 5, bytes(range(200)))]


def read(data, step=None):
    capture = open_capture(io.BytesIO(data) if step is None else Trickle(data, step))
    return capture, list(capture)


def refusal(data):
    with pytest.raises(CaptureError) as caught:
        read(data)
    line = str(caught.value)
    assert "\n" not in line
    assert caught.value.mend in line
    return line


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("nanoseconds", "unit"), [(False, 1000), (True, 1)])
@pytest.mark.parametrize("step", [None, 1, 7, 24, 40])
def test_both_byte_orders_and_both_fractions(order, nanoseconds, unit, step):
    capture, packets = read(pcap(PACKETS, order=order, nanoseconds=nanoseconds), step)
    assert capture.format == "pcap"
    assert capture.linktype == 1
    assert capture.truncated is None
    assert [tuple(packet) for packet in packets] == [
        (index, seconds * 10**9 + fraction * unit, data, len(data), 1, 0)
        for index, (seconds, fraction, data) in enumerate(PACKETS, 1)
    ]


def test_no_packets():
    capture, packets = read(pcap([]))
    assert packets == []
    assert capture.truncated is None


def test_original_length_is_what_the_file_says():
    data = pcap([]) + struct.pack("<IIII", 0, 0, 4, 1500) + b"head"
    (packet,) = read(data)[1]
    assert (packet.data, packet.orig_len) == (b"head", 1500)


@pytest.mark.parametrize("step", [None, 5])
def test_every_truncation_yields_what_came_before(step):
    whole = pcap(PACKETS)
    ends = [24]
    for _, _, data in PACKETS:
        ends.append(ends[-1] + 16 + len(data))
    for length in range(24, len(whole)):
        capture, packets = read(whole[:length], step)
        complete = sum(end <= length for end in ends[1:])
        assert [packet.data for packet in packets] == [data for _, _, data in PACKETS[:complete]]
        if length in ends:
            assert capture.truncated is None
        else:
            assert f"record {complete + 1} at byte {ends[complete]} is cut short" in capture.truncated
            assert f"{length - ends[complete]}" in capture.truncated


def test_every_truncated_header_is_refused():
    whole = pcap(PACKETS)
    assert "the file is empty" in refusal(b"")
    for length in range(1, 4):
        assert "neither pcap nor pcapng" in refusal(whole[:length])
    for length in range(4, 24):
        assert f"ends inside its header, after {length} of 24 bytes" in refusal(whole[:length])


@pytest.mark.parametrize("length", [MAX_RECORD + 1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_lying_length_is_refused_where_it_stands(length):
    data = pcap(PACKETS[:1]) + struct.pack("<IIII", 0, 0, length, length) + bytes(100)
    capture = open_capture(io.BytesIO(data))
    packets = iter(capture)
    assert next(packets).data == b"first"
    with pytest.raises(CaptureError, match=f"byte 45: record 2 claims {length} bytes"):
        next(packets)


def test_the_largest_record():
    data = bytes(MAX_RECORD)
    assert read(pcap([(0, 0, data)] * 9), step=100_000)[1][8].data == data


def test_other_files():
    assert "compressed with gzip" in refusal(b"\x1f\x8b\x08\x00" + bytes(50))
    assert "compressed with zstd" in refusal(b"\x28\xb5\x2f\xfd" + bytes(50))
    assert "compressed with xz" in refusal(b"\xfd7zXZ\x00" + bytes(50))
    assert "compressed with bzip2" in refusal(b"BZh91AY" + bytes(50))
    assert "Kuznetsov" in refusal(b"\x34\xcd\xb2\xa1" + bytes(50))
    assert "neither pcap nor pcapng" in refusal(bytes(50))
    assert "neither pcap nor pcapng" in refusal(b"[[sa]]\nid = 1\n")


def test_version():
    data = bytearray(pcap(PACKETS))
    data[4] = 3
    assert "pcap version 3.4 is unknown" in refusal(bytes(data))


def test_paths(tmp_path):
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(PACKETS))
    with open_capture(path) as capture:
        assert capture.name == str(path)
        assert len(list(capture)) == 3
    for bad in (tmp_path / "none.pcap", tmp_path, "a\0b"):
        with pytest.raises(CaptureError, match=r"cannot be (opened|read)"):
            open_capture(bad)


def test_a_file_name_cannot_break_the_line(tmp_path):
    with pytest.raises(CaptureError) as caught:
        open_capture(tmp_path / "two\nlines")
    assert "\n" not in str(caught.value)


def test_standard_input(monkeypatch):
    stream = Trickle(pcap(PACKETS), 10)
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=stream))
    with open_capture("-") as capture:
        assert capture.name == "standard input"
        assert len(list(capture)) == 3


def test_a_read_error_is_one_line():
    class Broken(io.BytesIO):
        def read1(self, size=-1):
            if self.tell():
                raise OSError(5, "Input/output error")
            return super().read1(30)

    capture = open_capture(Broken(pcap(PACKETS)))
    with pytest.raises(CaptureError, match=r"cannot be read \(Input/output error\)"):
        list(capture)


@pytest.mark.parametrize(
    ("written", "read_as"), [(1, 1), (101, 101), (12, 101), (14, 101), (228, 228), (229, 229), (0x04000001, 1)]
)
def test_link_types(written, read_as):
    capture, packets = read(pcap(PACKETS, linktype=written))
    assert capture.linktype == read_as
    assert {packet.linktype for packet in packets} == {read_as}


@pytest.mark.parametrize(("linktype", "name"), [(105, "IEEE 802.11"), (0, "BSD loopback"), (4711, "link type 4711 is")])
def test_other_link_types_are_refused_by_name(linktype, name):
    assert name in refusal(pcap(PACKETS, linktype=linktype))


def test_cooked_captures_become_ethernet():
    sender = bytes.fromhex("020000000005")
    sll = struct.pack("!HHH", 0, 1, 6) + sender + b"\0\0" + b"\x08\x00" + b"IP packet"
    sll2 = b"\x86\xdd" + struct.pack("!HIHBB", 0, 2, 1, 0, 6) + sender + b"\0\0" + b"IP packet"
    for linktype, data, ethertype in ((113, sll, b"\x08\x00"), (276, sll2, b"\x86\xdd")):
        capture, (packet,) = read(pcap([(0, 0, data)], linktype=linktype))
        assert capture.linktype == packet.linktype == 1
        assert packet.data == bytes(6) + sender + ethertype + b"IP packet"
        assert packet.orig_len == len(packet.data)


def test_a_cooked_packet_without_its_header():
    for linktype in (113, 276):
        (packet,) = read(pcap([(0, 0, b"short")], linktype=linktype))[1]
        assert packet.data == b"short"
