"""Reading pcapng files: sections, interfaces, units of time, and what hostile files claim."""

from __future__ import annotations

import io
import struct

import pytest

from virtionet_ipsec.replay.capture import open_capture
from virtionet_ipsec.replay.captured import MAX_RECORD, CaptureError

from .files import Trickle, block, enhanced, interface, option, section

NANOSECONDS = option(9, b"\x09") + option(0, b"")


def read(data, step=None):
    capture = open_capture(io.BytesIO(data) if step is None else Trickle(data, step))
    return capture, list(capture)


def refusal(data):
    with pytest.raises(CaptureError) as caught:
        read(data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("step", [None, 1, 13])
def test_enhanced_packets(order, step):
    data = section(order) + interface(101, order=order)
    data += enhanced(b"abc", 1_000_001, order=order) + enhanced(b"", 2, order=order, orig_len=77)
    capture, packets = read(data, step)
    assert (capture.format, capture.linktype, capture.truncated) == ("pcapng", 101, None)
    assert [tuple(packet) for packet in packets] == [(1, 1_000_001_000, b"abc", 3, 101, 0), (2, 2000, b"", 77, 101, 0)]


@pytest.mark.parametrize(
    ("options", "stamp", "time_ns"),
    [
        (b"", 7, 7000),
        (option(9, b"\x03"), 7, 7_000_000),
        (option(9, b"\x00"), 7, 7_000_000_000),
        (option(9, b"\x0c"), 7999, 7),
        (option(9, b"\x81"), 3, 1_500_000_000),
        (option(9, b"\x9e"), 1 << 30, 1_000_000_000),
        (option(9, b"\xff"), 1, 0),
        (option(9, b"\x7f"), 1, 0),
        (option(14, struct.pack("<q", 100)), 1, 100_000_001_000),
        (option(14, struct.pack("<q", -1)) + option(9, b"\x09"), 0, -1_000_000_000),
        (option(2, b"eth0") + NANOSECONDS + option(9, b"\x00"), 1 << 33, 1 << 33),
    ],
)
def test_units_of_time(options, stamp, time_ns):
    (packet,) = read(section() + interface(options=options) + enhanced(b"x", stamp))[1]
    assert packet.time_ns == time_ns


def test_old_and_simple_packets_and_blocks_to_skip():
    old = block(2, struct.pack("<HHIIII", 0, 9, 0, 5, 3, 3) + b"old\0" + option(1, b"comment"))
    simple = block(3, struct.pack("<I", 10) + b"simple\0\0")
    data = section() + block(0x80000001, b"private") + interface(snaplen=6) + block(5, bytes(12)) + old + simple
    assert [(packet.data, packet.time_ns, packet.orig_len) for packet in read(data)[1]] == [
        (b"old", 5000, 3),
        (b"simple", 0, 10),
    ]


def test_a_simple_packet_without_a_snapshot_length():
    data = section() + interface(snaplen=0) + block(3, struct.pack("<I", 5) + b"whole")
    assert read(data)[1][0].data == b"whole"


def test_sections_have_interfaces_and_byte_order_of_their_own():
    data = section("<") + interface(101) + interface(1, options=NANOSECONDS)
    data += enhanced(b"a", 1, number=1) + enhanced(b"b", 1, number=0)
    data += section(">") + interface(229, order=">") + enhanced(b"c", 1, order=">") + section("<")
    capture, packets = read(data)
    assert [(p.data, p.time_ns, p.linktype, p.interface) for p in packets] == [
        (b"a", 1, 1, 1),
        (b"b", 1000, 101, 0),
        (b"c", 1000, 229, 2),
    ]
    assert capture.linktype == 1


def test_no_packets():
    assert read(section())[0].linktype is None
    assert read(section() + interface())[1] == []


def test_an_unsupported_link_type_matters_when_a_packet_has_it():
    data = section() + interface(105) + interface(1) + enhanced(b"fine", number=1)
    assert len(read(data)[1]) == 1
    line = refusal(data + enhanced(b"radio", number=0))
    assert "packet 2, interface 0" in line
    assert "105 (IEEE 802.11)" in line


def test_cooked_packets_become_ethernet():
    sll = bytes(6) + bytes.fromhex("020000000005") + b"\0\0\x08\x00IP"
    (packet,) = read(section() + interface(113) + enhanced(sll, orig_len=0))[1]
    assert packet.data == bytes(6) + bytes.fromhex("020000000005") + b"\x08\x00IP"
    assert (packet.linktype, packet.orig_len) == (1, 0)


def test_every_truncation_yields_what_came_before():
    head = section() + interface()
    packets = [enhanced(bytes([n] * n), options=option(1, b"note")) for n in (5, 40)]
    whole = head + b"".join(packets)
    for length in range(24, len(whole)):
        capture, read_packets = read(whole[:length])
        complete = (length >= len(head) + len(packets[0])) + (length == len(whole))
        assert len(read_packets) == complete
        boundary = length in (len(section()), len(head), len(head) + len(packets[0]))
        assert (capture.truncated is None) == boundary, length
        if not boundary:
            assert f"the block after packet {complete} at byte" in capture.truncated


LIES = {
    "a block shorter than itself": (section() + struct.pack("<II", 6, 8) + bytes(40), "total length of 8"),
    "a length that is not of words": (section() + struct.pack("<II", 6, 33) + bytes(40), "total length of 33"),
    "an endless block": (section() + struct.pack("<II", 6, 0xFFFFFFFC) + bytes(40), "total length of 4294967292"),
    "more than 16 MiB": (section() + struct.pack("<II", 99, (1 << 24) + 4) + bytes(40), "total length of 16777220"),
    "two lengths": (section() + interface()[:-4] + b"\x18\0\0\0", "two total lengths differ"),
    "two lengths of a packet": (section() + interface() + enhanced(b"x")[:-4] + bytes(4), "two total lengths differ"),
    "no byte order": (section() + b"\x0a\x0d\x0d\x0a" + bytes(24), "no byte order magic"),
    "no byte order at once": (b"\x0a\x0d\x0d\x0a" + bytes(24), "byte 0: a section header has no byte order magic"),
    "captured beyond the block": (section() + interface() + enhanced(b"x", captured=500), "packet 1 claims 500"),
    "captured a word too much": (section() + interface() + enhanced(b"1234", captured=5), "packet 1 claims 5"),
    "an immense packet": (section() + interface() + enhanced(bytes(MAX_RECORD + 1)), f"claims {MAX_RECORD + 1}"),
    "no interface": (section() + enhanced(b"x"), "interface 0, which is not described"),
    "another interface": (section() + interface() + enhanced(b"x", number=1), "interface 1, which is not described"),
    "the section before's": (section() + interface() + section() + enhanced(b"x"), "interface 0, which is not"),
    "a simple packet's": (section() + block(3, bytes(8)), "interface 0, which is not described"),
    "a short packet block": (section() + interface() + block(6, bytes(16)), "cannot hold its own header"),
    "a short simple packet": (section() + interface() + block(3, b""), "cannot hold its own header"),
    "a simple packet beyond": (section() + interface() + block(3, struct.pack("<I", 9) + b"8 bytes."), "claims 9"),
    "a short description": (section() + block(1, bytes(4)), "shorter than its fixed part"),
    "a long option": (section() + interface(options=b"\x09\0\xff\xff\x09\0\0\0"), "option 9"),
}


@pytest.mark.parametrize("name", LIES)
def test_lies(name):
    data, says = LIES[name]
    assert says in refusal(data)


def test_a_lie_is_told_where_it_stands():
    data = section() + interface() + enhanced(b"fine")
    assert f"byte {len(data)}:" in refusal(data + enhanced(b"x", captured=500))
