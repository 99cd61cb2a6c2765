"""Wires: loopback, capture file, tap."""

from __future__ import annotations

import os
import select
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import pytest
from scapy.utils import RawPcapReader, rdpcap

from virtionet_ipsec.input_error import InputError
from virtionet_ipsec.serve.frames import MAX_FRAME
from virtionet_ipsec.serve.wires import Wire, open_wire, open_wires

from .rig import udp

LONGEST = bytes(range(256)) * 256 + bytes(MAX_FRAME - 65536)


@pytest.fixture
def wire() -> Iterator[Callable[[str], Wire]]:
    opened: list[Wire] = []

    def call(text: str) -> Wire:
        opened.append(open_wire(text))
        return opened[-1]

    yield call
    for each in opened:
        each.close()


def readable(wire: Wire, seconds: float = 0.0) -> bool:
    return bool(select.select([wire.fileno()], [], [], seconds)[0])


def counts(wire: Wire) -> tuple[int, int, int]:
    return wire.sent, wire.received, wire.dropped


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "tap", "tap:", "socket:", "pcap:", "loopback:", "Loopback", "vde:x", ":x"])
def test_a_wire_that_there_is_not(text: str) -> None:
    with pytest.raises(InputError, match="is not known; give one of: tap:NAME, pcap:PATH, socket:PATH, loopback"):
        open_wire(text)


def test_all_or_none(tmp_path: Path) -> None:
    first = f"socket:{tmp_path}/a"
    for other in (first, "nothing"):
        with pytest.raises(InputError, match=r"given twice|not known"):
            open_wires([first, other])
        assert not (tmp_path / "a").exists()
    wires = open_wires([first, "loopback"])
    assert [each.name for each in wires] == [first, "loopback"]
    for each in wires:
        each.close()


# -- loopback ---------------------------------------------------------------------------------------------------------


def test_loopback(wire: Callable[[str], Wire]) -> None:
    plug = wire("loopback")
    assert plug.receive(10) == [] and not readable(plug)
    frames = [udp(size=size) for size in range(5)]
    for each in frames:
        plug.send(each)
    assert readable(plug)
    assert plug.receive(2) == frames[:2]
    assert readable(plug)
    assert plug.receive(100) == frames[2:]
    assert not readable(plug)
    plug.send(LONGEST)
    assert readable(plug) and plug.receive(1) == [LONGEST]
    assert counts(plug) == (6, 6, 0)


def test_loopback_is_bounded(wire: Callable[[str], Wire]) -> None:
    plug = wire("loopback")
    for number in range(2000):
        plug.send(b"%d" % number)
    assert plug.sent + plug.dropped == 2000 and plug.dropped > 0
    assert plug.receive(5000) == [b"%d" % number for number in range(plug.sent)]
    assert not readable(plug)


# -- capture files ----------------------------------------------------------------------------------------------------


def test_a_capture_is_there_at_once(wire: Callable[[str], Wire], tmp_path: Path) -> None:
    """After each frame the file is whole, as scapy reads it."""
    path = tmp_path / "out.pcap"
    path.write_bytes(b"something else, and longer than the header of a capture file")
    file = wire(f"pcap:{path}")
    assert file.fileno() is None and file.receive(5) == []
    assert len(path.read_bytes()) == 24
    frames = [udp(size=9), udp(size=10), LONGEST[:65535]]  # scapy reads no longer ones
    for count, each in enumerate(frames, 1):
        file.send(each)
        assert [data for data, _ in RawPcapReader(str(path))] == frames[:count]
    assert counts(file) == (3, 0, 0)
    packets = rdpcap(str(path))
    assert packets[0].haslayer("UDP") and packets[0].time <= packets[1].time
    assert abs(float(packets[0].time) - path.stat().st_mtime) < 60


def test_a_capture_has_nanoseconds(wire: Callable[[str], Wire], tmp_path: Path) -> None:
    file = wire(f"pcap:{tmp_path}/n.pcap")
    for _ in range(50):
        file.send(bytes(14))
    data = (tmp_path / "n.pcap").read_bytes()
    assert data[:4] == b"\x4d\x3c\xb2\xa1" and struct.unpack_from("<I", data, 20) == (1,)
    fractions = [struct.unpack_from("<I", data, 24 + 30 * number + 4)[0] for number in range(50)]
    assert any(fraction % 1000 for fraction in fractions)


@pytest.mark.parametrize("path", ["/nowhere/out.pcap", "{tmp}", "nul\0"])
def test_a_capture_that_cannot_be_written(path: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        open_wire(f"pcap:{path.format(tmp=tmp_path)}")


def test_a_capture_into_a_pipe(wire: Callable[[str], Wire], tmp_path: Path) -> None:
    """As for Wireshark.  Frames beyond what the pipe holds are lost, whole ones; what comes through is a capture.

    The pipe takes the last of them in part, and the rest of it before the next.
    """
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(InputError, match="a pipe needs its reader first"):
        open_wire(f"pcap:{path}")
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    file = wire(f"pcap:{path}")
    frames = [bytes([number]) * 20000 for number in range(100)]
    for each in frames:
        file.send(each)
    assert file.sent + file.dropped == 100 and file.dropped > 10
    first = file.sent
    data = drained(reader)
    file.send(b"y" * 5000)
    data += drained(reader)
    os.close(reader)
    assert pcap_records(data) == [*frames[:first], b"y" * 5000]
    file.send(bytes(14))
    assert file.sent == first + 1  # the reader has gone


def drained(reader: int) -> bytes:
    data = b""
    try:
        while more := os.read(reader, 1 << 20):
            data += more
    except BlockingIOError:
        pass
    return data


def pcap_records(data: bytes) -> list[bytes]:
    """Each record of a capture, which has to end with the last of them."""
    at, found = 24, []
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at + 8)
        found.append(data[at + 16 : at + 16 + length])
        assert len(found[-1]) == length
        at += 16 + length
    return found


def test_a_full_disk(wire: Callable[[str], Wire]) -> None:
    file = wire("pcap:/dev/full")
    file.send(bytes(60))
    assert counts(file) == (0, 0, 1)


# -- tap --------------------------------------------------------------------------------------------------------------

TAP = f"vitest{os.getpid()}"  # tests run side by side


def taps_permitted() -> str:
    """Why no tap interface can be made, or ""."""
    try:
        open_wire(f"tap:{TAP}").close()
    except InputError as error:
        return str(error)
    return ""


@pytest.fixture
def tap(wire: Callable[[str], Wire]) -> Wire:
    if why := taps_permitted():
        pytest.skip(why)
    return wire(f"tap:{TAP}")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def arrivals(wire: Wire, wanted: bytes, seconds: float = 5.0) -> bytes | None:
    """A frame with these octets in it; the kernel sends others by itself."""
    until = monotonic() + seconds
    while readable(wire, max(until - monotonic(), 0)):
        for each in wire.receive(10):
            if wanted in each:
                return each
    return None


def test_tap_both_ways(tap: Wire) -> None:
    """A packet socket on the interface is the other end."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5)) as other:
        other.bind((TAP, 0x88B5))
        other.settimeout(5)
        leaving = b"\xff" * 6 + b"\x02" + bytes(5) + b"\x88\xb5" + b"from the device" + bytes(60)
        tap.send(leaving)
        assert other.recv(2000) == leaving
        coming = b"\xff" * 6 + b"\x02" + bytes(5) + b"\x88\xb5" + b"for the device" + bytes(60)
        other.send(coming)
        assert arrivals(tap, b"for the device") == coming
    assert tap.sent == 1 and tap.received >= 1 and tap.dropped == 0 and not tap.failed


def test_a_tap_that_was_made_is_up_and_goes_with_it(tap: Wire) -> None:
    flags = int(Path(f"/sys/class/net/{TAP}/flags").read_text(), 16)
    assert flags & 1
    with pytest.raises(InputError, match="another process has it"):
        open_wire(f"tap:{TAP}")
    tap.receive(0)


def test_a_tap_that_is_there_stays_as_it_is(wire: Callable[[str], Wire]) -> None:
    if why := taps_permitted():
        pytest.skip(why)
    ip("tuntap", "add", TAP, "mode", "tap")
    try:
        there = wire(f"tap:{TAP}")
        assert not int(Path(f"/sys/class/net/{TAP}/flags").read_text(), 16) & 1
        there.send(bytes(60))
        assert counts(there) == (0, 0, 1)  # it is down
        assert there.receive(1) == [] and not there.failed
    finally:
        ip("link", "del", TAP)  # it was still there


def test_a_tap_that_is_removed(tap: Wire) -> None:
    ip("link", "del", TAP)
    assert readable(tap, 5)
    assert tap.receive(5) == []
    assert tap.failed.startswith("the interface is gone")
    tap.send(bytes(60))
    assert tap.dropped == 1


@pytest.mark.parametrize("name", ["a/b", "has space", "tap%d", "sixteen-letters-", "ä", "..", "a:1", "tab\t"])
def test_no_name_for_a_tap(name: str) -> None:
    with pytest.raises(InputError, match="has no interface's name; give 1 to 15 letters or digits"):
        open_wire(f"tap:{name}")


def test_an_interface_that_is_no_tap() -> None:
    if why := taps_permitted():
        pytest.skip(why)
    with pytest.raises(InputError, match="lo is no tap interface"):
        open_wire("tap:lo")


def test_without_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("fcntl.ioctl", refuse)
    with pytest.raises(InputError, match="ip tuntap add vitest1 mode tap user"):
        open_wire("tap:vitest1")
