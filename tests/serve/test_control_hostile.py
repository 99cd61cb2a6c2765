"""The control socket and octets that nobody should send: it answers or ends the connection, and serves the others."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from virtionet_ipsec.control import ControlClient
from virtionet_ipsec.control.messages import (
    HEADER_LENGTH,
    MAGIC,
    MAX_BODY,
    BadHeader,
    Inbox,
    Kind,
    Message,
    Result,
    pack,
    pack_admin,
    pack_written,
    unpack_written,
)
from virtionet_ipsec.serve.control_requests import Requests
from virtionet_ipsec.serve.control_values import Refusal
from virtionet_ipsec.serve.host import Host
from virtionet_ipsec.serve.loop import Loop
from virtionet_ipsec.serve.segment import Segment
from virtionet_ipsec.serve.transparent import Transparent

from .rig import OUT, PlainGuest, Served, sa, served, udp

# -- messages ---------------------------------------------------------------------------------------------------------

messages = st.builds(
    Message,
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.binary(max_size=200) | st.just(bytes(MAX_BODY)),
)


def all_of(inbox: Inbox) -> list[Message]:
    found = []
    while (message := inbox.next()) is not None:
        found.append(message)
    return found


@given(st.lists(messages, max_size=5), st.data())
def test_messages_in_any_pieces(sent: list[Message], data: st.DataObject) -> None:
    octets = b"".join(pack(m.kind, m.request, m.body, m.status) for m in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=6)))
    inbox, found = Inbox(), []
    for start, end in zip([0, *cuts], [*cuts, len(octets)], strict=True):
        inbox.feed(octets[start:end])
        found += all_of(inbox)
    assert found == sent and len(inbox) == 0


def test_the_header_is_what_the_specification_says() -> None:
    text = (Path(__file__).parents[2] / "specs" / "control.md").read_text()
    octets = pack(Kind.ADMIN, 0x01020304, b"body", Result.REFUSED)
    assert octets.hex(" ", 4) in text.replace("`", "")
    assert struct.unpack("<IHHII", octets[:HEADER_LENGTH]) == (MAGIC, Kind.ADMIN, Result.REFUSED, 0x01020304, 4)


def test_every_kind_and_status_is_in_the_specification() -> None:
    text = (Path(__file__).parents[2] / "specs" / "control.md").read_text()
    rows = {
        tuple(cell.strip(" `") for cell in line.split("|")[1:3]) for line in text.splitlines() if line.startswith("|")
    }
    for each in (*Kind, *Result):
        assert (str(each.value), each.name) in rows, each


@pytest.mark.parametrize(
    "octets", [b"GET / HTTP/1.1\r\n\r\n", bytes(16), pack(1, 1)[:12] + struct.pack("<I", MAX_BODY + 1)]
)
def test_what_is_no_message(octets: bytes) -> None:
    inbox = Inbox()
    inbox.feed(octets)
    for _ in range(2):
        with pytest.raises(BadHeader):
            inbox.next()


def test_a_body_that_is_too_long() -> None:
    assert len(pack(1, 1, bytes(MAX_BODY))) == HEADER_LENGTH + MAX_BODY
    with pytest.raises(ValueError, match="is the most"):
        pack(1, 1, bytes(MAX_BODY + 1))


@given(st.binary(max_size=50), st.text(max_size=50))
def test_what_was_written(written: bytes, why: str) -> None:
    assert unpack_written(pack_written(written, why)) == (written, why)


# -- requests ---------------------------------------------------------------------------------------------------------


class Anybody:
    port = None

    def deliver(self, frames: Any) -> None:
        pass

    def subscribe(self, on: bool, every: bool) -> None:
        pass


KINDS = st.sampled_from(Kind) | st.integers(0, 0xFFFF)
NUMBERS = st.integers() | st.floats() | st.booleans() | st.none() | st.text(max_size=5)
NAMES = st.sampled_from(
    ["direction", "sa", "select", "first", "id", "icv_len", "iv", "first_seq", "ah_align", "on", "every", "start", "?"]
)
SELECT = st.dictionaries(st.sampled_from(["src", "dst", "proto", "sport", "dport", "x"]), NUMBERS, max_size=3)
OBJECTS = st.dictionaries(NAMES, NUMBERS | SELECT | st.sampled_from(["inbound", "outbound", "00ff"]), max_size=4)
COMMANDS = st.builds(
    lambda room, opcode, kind, number, rest: pack_admin(
        struct.pack("<HH12xQHxxI", opcode, 1, 0, kind, number) + rest, room
    ),
    st.integers(0, 1 << 33),
    st.integers(0, 20),
    st.sampled_from([0x200, 0x201, 0x202, 0x203, 0x204, 0, 1, 2, 3, 4, 5]),
    st.integers(0, 5),
    st.binary(max_size=260),
)
BODIES = (
    st.binary(max_size=100) | OBJECTS.map(lambda each: json.dumps(each).encode()) | COMMANDS | st.just(b"[" * 100000)
)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    loop = Loop()
    segment = Segment(loop)
    transparent = Transparent([sa("outbound", 1, OUT), sa("inbound", 2)])
    yield Host(PlainGuest(transparent, segment), transparent, segment)
    loop.close()


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(KINDS, BODIES), max_size=5))
def test_any_request(host: Host, asked: list[tuple[int, bytes]]) -> None:
    """An answer of bounded length, or a refusal in words; and packets go on all the while."""
    requests, client = Requests(host), Anybody()
    for kind, body in asked:
        try:
            said = len(requests.answer(client, kind, body))
        except Refusal as refusal:
            said = len(refusal.what) + len(refusal.mend)
        assert said <= MAX_BODY
    host.transparent.outbound(udp())
    host.transparent.inbound(udp())
    requests.answer(client, Kind.UNPLUG, b"")


# -- connections ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("hostile") / "c", [sa("outbound", 1, OUT), sa("inbound", 2)]) as made:
        yield made


def connected(server: Served) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.connect(server.path)
    made.settimeout(20)
    return made


def still_serves(server: Served) -> bool:
    with ControlClient(server.path, timeout=20) as client:
        return bool(client.ask(Kind.INFO)["profile"] == "virtio-1.4")


def rest(connection: socket.socket) -> bytes:
    """All that comes until the server ends the connection."""
    octets = b""
    while more := connection.recv(1 << 16):
        octets += more
    return octets


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=60) | st.builds(pack, KINDS, st.just(0), BODIES), min_size=1, max_size=6))
def test_any_octets(server: Served, pieces: list[bytes]) -> None:
    with connected(server) as connection, suppress(BrokenPipeError):  # after octets that make no sense it ends
        for piece in pieces:
            connection.sendall(piece)
    assert still_serves(server)


@pytest.mark.parametrize("octets", [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 1000, pack(1, 7)[:12] + b"\xff" * 4])
def test_after_a_bad_header_the_connection_ends(server: Served, octets: bytes) -> None:
    with connected(server) as connection:
        connection.sendall(octets)
        inbox = Inbox()
        inbox.feed(rest(connection))
        message = inbox.next()
    assert message is not None and (message.kind, message.status) == (0, Result.BAD_REQUEST)
    assert json.loads(message.body).keys() == {"what", "mend"}
    assert still_serves(server)


def test_an_unknown_kind_is_answered_and_the_connection_goes_on(server: Served) -> None:
    with connected(server) as connection:
        connection.sendall(pack(999, 5) + pack(Kind.EVENT, 6) + pack(Kind.INFO, 7))
        inbox, found = Inbox(), []
        while len(found) < 3:
            inbox.feed(connection.recv(1 << 16))
            found += all_of(inbox)
    assert [(m.kind, m.request, m.status) for m in found] == [
        (999, 5, Result.UNKNOWN_KIND),
        (Kind.EVENT, 6, Result.UNKNOWN_KIND),
        (Kind.INFO, 7, Result.OK),
    ]


def test_a_message_that_never_ends_holds_nobody_up(server: Served) -> None:
    with connected(server) as connection:
        connection.sendall(pack(Kind.ADMIN, 1, bytes(1000))[:-1])
        assert still_serves(server)


def test_many_requests_at_once_let_others_in_between(tmp_path: Path) -> None:
    made = Served(tmp_path / "control")
    carried_out: list[Any] = []
    answer = made.server.requests.answer

    def noted(client: Any, kind: int, body: bytes) -> bytes:
        carried_out.append(client)
        if len(carried_out) == 400:
            made.loop.stop()
        return answer(client, kind, body)

    made.server.requests.answer = noted  # type: ignore[method-assign]
    greedy = [connected(made) for _ in range(2)]
    for each in greedy:
        each.sendall(pack(Kind.INFO, 1) * 200)
    made.loop.run()
    first, second = set(carried_out)
    for start in range(0, 300, 80):
        assert {*carried_out[start : start + 80]} == {first, second}
    for each in greedy:
        each.close()
    made.close()


def test_a_client_that_never_reads_is_not_read_from(server: Served) -> None:
    """What it asks for stays with it: the server's memory is bounded, and it goes on when the client reads at last."""
    with connected(server) as mute:
        mute.settimeout(0.5)
        request = pack(Kind.RULES, 1, b"") * 100
        sent = 0
        try:
            for _ in range(100000):
                sent += mute.send(request)
        except TimeoutError:
            pass
        assert sent < 100 << 20  # it stopped
        assert still_serves(server)
        assert 0 < max(len(each._out) for each in server.server._clients) < 3 << 20
        mute.settimeout(20)
        whole = sent // (len(request) // 100)
        inbox, found = Inbox(), 0
        while found < whole:
            inbox.feed(mute.recv(1 << 20))
            found += len(all_of(inbox))


def test_connections_are_bounded_and_the_next_waits(server: Served) -> None:
    crowd = [connected(server) for _ in range(64)]
    late = connected(server)
    late.sendall(pack(Kind.INFO, 1))
    late.settimeout(0.3)
    with pytest.raises(TimeoutError):
        late.recv(1)
    crowd.pop().close()
    late.settimeout(20)
    assert late.recv(16)[:4] == b"vic1"
    for each in [*crowd, late]:
        each.close()
    assert still_serves(server)


def test_a_client_that_goes_leaves_nothing(server: Served) -> None:
    with ControlClient(server.path, timeout=20) as client:
        client.plug()
        client.subscribe(every=True)
    assert still_serves(server)
    server.send(udp())
    assert server.transparent.observer is None and len(server.segment._ports) == 1
