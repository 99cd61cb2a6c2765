"""The wire between two processes: both ends are given the same path, either may come first, go, and come back."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from virtionet_ipsec.input_error import InputError
from virtionet_ipsec.serve.frames import MAX_FRAME
from virtionet_ipsec.serve.socket_wire import SocketWire

ROOT = Path(__file__).parents[2]
FRAME, OTHER = bytes(range(60)), bytes(range(60, 130))


class Ends:
    """Opens ends of one path, and closes them all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened: list[SocketWire] = []

    def open(self) -> SocketWire:
        self.opened.append(SocketWire(f"socket:{self.path}", str(self.path)))
        return self.opened[-1]

    def close(self, wire: SocketWire) -> None:
        self.opened.remove(wire)
        wire.close()


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[Ends]:
    made = Ends(tmp_path / "wire")
    yield made
    for each in made.opened:
        each.close()


def readable(wire: SocketWire) -> bool:
    return bool(select.select([wire.fileno()], [], [], 0)[0])


def carries(one: SocketWire, other: SocketWire) -> bool:
    """Whether frames go both ways, and nothing besides."""
    if readable(other):  # a connection waits to be accepted
        other.receive(0)
    if readable(one):
        one.receive(0)
    one.send(FRAME)
    arrived = other.receive(10)
    other.send(OTHER)
    return arrived == [FRAME] and one.receive(10) == [OTHER] and not readable(one) and not readable(other)


def test_the_first_listens_and_the_second_connects(ends: Ends) -> None:
    first = ends.open()
    assert not first.connected and not readable(first)
    second = ends.open()
    assert second.connected and readable(first)
    assert first.receive(10) == [] and first.connected and not readable(first)
    assert carries(first, second) and carries(second, first)
    assert (first.sent, first.received, first.dropped) == (2, 2, 0)


def test_frames_keep_their_bounds(ends: Ends) -> None:
    first, second = ends.open(), ends.open()
    frames = [bytes([size % 256]) * size for size in (14, 60, 1514, 9000, MAX_FRAME)]
    for each in frames:
        second.send(each)
    assert readable(first)
    assert first.receive(2) == frames[:2] and readable(first)
    assert first.receive(10) == frames[2:] and not readable(first)


def test_without_a_peer_frames_are_dropped(ends: Ends) -> None:
    first = ends.open()
    first.send(FRAME)
    assert (first.sent, first.dropped) == (0, 1)
    second = ends.open()
    assert first.receive(10) == [] and second.receive(10) == []


def test_a_slow_peer_loses_frames_and_holds_nobody_up(ends: Ends) -> None:
    first, second = ends.open(), ends.open()
    first.receive(1)
    for _ in range(3000):
        first.send(bytes(1514))
    assert first.sent + first.dropped == 3000 and first.dropped > 0 and first.sent > 50
    assert len(second.receive(5000)) == first.sent


def test_a_frame_that_is_too_long_is_dropped(ends: Ends) -> None:
    first = ends.open()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
        peer.connect(str(ends.path))
        peer.send(bytes(MAX_FRAME + 1))
        peer.send(FRAME)
        assert first.receive(10) == [FRAME]
    assert (first.received, first.dropped) == (1, 1)


def test_who_connected_goes_and_comes_back(ends: Ends) -> None:
    first, second = ends.open(), ends.open()
    for _ in range(3):
        assert carries(first, second)
        ends.close(second)
        assert readable(first) and first.receive(10) == [] and not first.connected
        assert not readable(first)
        first.tick()
        assert not first.connected
        second = ends.open()
    assert carries(first, second)


def test_who_listened_goes_and_comes_back(ends: Ends) -> None:
    """At its next tick the other one listens, so that who comes back connects."""
    first, second = ends.open(), ends.open()
    for _ in range(3):
        assert carries(first, second)
        ends.close(first)
        assert readable(second) and second.receive(10) == [] and not second.connected
        assert not readable(second)  # or the loop would be busy until the tick
        second.tick()
        first, second = second, ends.open()
    assert carries(first, second)


def test_who_listened_comes_back_before_the_tick(ends: Ends) -> None:
    first, second = ends.open(), ends.open()
    assert carries(first, second)
    ends.close(first)
    second.receive(10)
    first = ends.open()
    assert not first.connected
    second.tick()
    assert second.connected and carries(first, second)


def test_what_is_sent_to_a_peer_that_has_gone_is_dropped(ends: Ends) -> None:
    first, second = ends.open(), ends.open()
    assert carries(first, second)
    ends.close(second)
    first.send(FRAME)
    first.send(FRAME)
    assert first.dropped == 2 and not first.connected
    assert carries(first, ends.open())


KILLED = """
import os, signal, sys
from virtionet_ipsec.serve.socket_wire import SocketWire
wire = SocketWire("w", sys.argv[1])
print(int(wire.connected), flush=True)
signal.pause()
"""


def test_a_killed_process_leaves_a_socket_that_is_replaced(ends: Ends, environment: dict[str, str]) -> None:
    first = ends.open()
    ends.close(first)
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(ends.path)], stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "0\n"
        second = ends.open()
        assert second.connected
        process.kill()
        process.wait()
    assert ends.path.is_socket()
    second.receive(1)
    second.tick()
    assert not second.connected
    assert carries(second, ends.open())


def test_a_third_waits_until_there_is_room(ends: Ends) -> None:
    first, second = ends.open(), ends.open()
    assert carries(first, second)
    third = ends.open()
    assert third.connected
    third.send(FRAME)
    assert first.receive(10) == [] and not readable(first)
    ends.close(second)
    assert first.receive(10) == [] and readable(first)
    assert first.receive(10) == [FRAME]
    third.close()
    ends.opened.remove(third)


def test_too_many_are_told(ends: Ends) -> None:
    first, second = ends.open(), ends.open()
    assert carries(first, second)
    for _ in range(2):
        ends.open()
    with pytest.raises(InputError, match="two are connected here"):
        ends.open()


def test_two_that_begin_at_once_find_each_other(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both find a socket that nobody listens at; the second removes the first's.  A tick mends it."""
    stale = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stale.bind(str(ends.path))
    stale.close()
    real = SocketWire._listen
    met: list[SocketWire] = []
    began: list[bool] = []

    def listen(self: SocketWire) -> None:
        """The first is held up between looking and listening, until the second has done both."""
        if not began:
            began.append(True)
            met.append(ends.open())
            os.unlink(ends.path)
        real(self)

    monkeypatch.setattr(SocketWire, "_listen", listen)
    first = ends.open()
    (second,) = met
    assert not first.connected and not second.connected
    first.tick()
    second.tick()
    assert carries(first, second)


def test_two_that_begin_at_once_on_an_empty_path(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    real = SocketWire._listen
    met: list[SocketWire] = []
    began: list[bool] = []

    def listen(self: SocketWire) -> None:
        if not began:
            began.append(True)
            met.append(ends.open())
        real(self)

    monkeypatch.setattr(SocketWire, "_listen", listen)
    first = ends.open()
    assert first.connected and carries(first, met[0])


def test_a_path_that_is_removed_is_made_again(ends: Ends) -> None:
    first = ends.open()
    os.unlink(ends.path)
    first.tick()
    assert ends.path.is_socket()
    assert carries(first, ends.open())


def test_closing_removes_the_socket_and_no_other(ends: Ends) -> None:
    first = ends.open()
    os.unlink(ends.path)
    second = ends.open()
    ends.close(first)
    assert ends.path.is_socket()
    ends.close(second)
    assert not ends.path.exists()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_is_left_alone(ends: Ends, kind: str) -> None:
    target = ends.path.with_name("target")
    if kind == "file":
        ends.path.write_bytes(b"precious")
    elif kind == "folder":
        ends.path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as there:
            there.bind(str(target))
        ends.path.symlink_to(target)
    before = os.lstat(ends.path)
    with pytest.raises(InputError, match="is there already, and no socket"):
        ends.open()
    assert os.lstat(ends.path) == before


def test_a_file_that_comes_into_the_way_later(ends: Ends) -> None:
    first = ends.open()
    os.unlink(ends.path)
    ends.path.write_bytes(b"precious")
    first.tick()
    first.tick()
    assert ends.path.read_bytes() == b"precious" and not readable(first)
    ends.path.unlink()
    first.tick()
    assert carries(first, ends.open())


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/nowhere/wire", "no socket can be made here"),
        ("x" * 108, "at most 107 octets"),
        ("a\0b", "is not a file name"),
    ],
)
def test_paths_that_cannot_be(path: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        SocketWire("socket", path)


def test_a_socket_of_another_kind(ends: Ends) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.bind(str(ends.path))
        stream.listen()
        with pytest.raises(InputError, match="no socket can be made here"):
            ends.open()
        assert ends.path.is_socket()
