"""Clients of the control socket that send anything, beside a guest that sends and a wire on which frames arrive.

Every request is answered once, with its number, and by a message of the
protocol; none but a bad header ends a connection; no answer holds a key.
"""

from __future__ import annotations

import atexit
import json
import os
import socket
import struct
import tempfile
from contextlib import suppress

from tests.device import control as admin
from tests.serve import rig as served
from tests.vhost_user.rig import Loop
from virtionet_ipsec.serve.control_server import ControlServer
from virtionet_ipsec.serve.host import Host
from virtionet_ipsec.serve.segment import Segment
from virtionet_ipsec.serve.transparent import Transparent

from ..octets import Octets

MAGIC = b"vic1"
HEADER = struct.Struct("<4sHHII")
MOST_BODY = 1 << 17
FRAME_KIND, EVENT_KIND, EVENTS_KIND = 34, 11, 10
ADMIN_KINDS = (9, 18)
KINDS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 17, 18, 19, 32, 33, 34, 35, 0, 99, 0xFFFF)

KEY = b"fuzzed key, 16 B"
NAMES = ("direction", "sa", "select", "first", "id", "start", "icv_len", "iv", "first_seq", "ah_align", "on", "every")
INNER = ("src", "dst", "proto", "sport", "dport", "x")
VALUES: tuple[object, ...] = (
    *(
        "inbound",
        "outbound",
        "",
        "10.1.0.0/16",
        "10.2.0.0/16",
        "::/0",
        "0.0.0.0/0",
        "udp",
        "tcp",
        "00ff",
        "zz",
        "é\ud800",
    ),
    *(0, 1, 2, 3, 7, 53, 64, 65536, -1, 1 << 32, 1 << 64, 10**30, 1.5, 1e400, True, False, None),
    *([], [1], {}, {"a": 1}),
)
TEXTS = (b"", b"{", b"[]", b"[" * 5000, b"1", b'"x"', b"\xff", b"9" * 5000, b'{"on": NaN}', b'{"a":1,"a":2}', b"null")


class Client:
    """One connection, and what it expects."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(world.path)
        self.socket.setblocking(False)
        self.number = 0
        self.over = False
        self.untidy = False  # it has sent octets that are no messages
        world.loop.run()

    def send(self, data: bytes) -> list[tuple[int, int, int, bytes]]:
        """(kind, status, number, body) of all that comes back."""
        received = bytearray()
        while data and not self.over:
            with suppress(BlockingIOError):
                try:
                    data = data[self.socket.send(data) :]
                except (BrokenPipeError, ConnectionResetError):
                    self.over = True
            self.world.loop.run()
            received += self._read()
        received += self._read()
        return list(self._messages(bytes(received)))

    def _read(self) -> bytes:
        received = b""
        while not self.over:
            try:
                some = self.socket.recv(1 << 18)
            except BlockingIOError:
                break
            except ConnectionResetError:
                some = b""
            self.over = not some
            received += some
            self.world.loop.run()
        return received

    @staticmethod
    def _messages(received: bytes) -> list[tuple[int, int, int, bytes]]:
        found, at = [], 0
        while at < len(received):
            magic, kind, status, number, length = HEADER.unpack_from(received, at)
            at += HEADER.size
            assert magic == MAGIC
            assert status in (0, 1, 2, 3)
            body = received[at : at + length]
            assert len(body) == length <= MOST_BODY
            if status:
                told = json.loads(body)
                assert told["what"]
                assert told["mend"]
            if kind not in (*ADMIN_KINDS, FRAME_KIND):
                assert KEY not in body
                assert KEY.hex().encode() not in body
            found.append((kind, status, number, body))
            at += length
        return found

    def ask(self, kind: int, body: bytes) -> None:
        """A message as it should be, which has an answer."""
        self.number += 1
        answers = self.send(HEADER.pack(MAGIC, kind, 0, self.number, len(body)) + body)
        if self.untidy:
            return
        assert not self.over, "a request ended the connection"
        mine = [answer for answer in answers if answer[2] == self.number and answer[0] not in (EVENT_KIND, FRAME_KIND)]
        refused = [answer for answer in answers if answer[0] == FRAME_KIND and answer[1]]
        if kind == FRAME_KIND:
            assert len(refused) <= 1
        elif kind != EVENT_KIND:
            assert len(mine) == 1, f"{len(mine)} answers to a request of kind {kind}"
            assert mine[0][0] == kind


class World:
    """The host's side; made anew when something in it has changed."""

    def __init__(self) -> None:
        self.path = os.path.join(tempfile.mkdtemp(prefix="fuzz-"), "control")
        self.loop = Loop()
        self.segment = Segment(self.loop)
        sas = [served.sa("outbound", 1, served.OUT, cipher_key=KEY), served.sa("inbound", 2, cipher_key=KEY)]
        self.transparent = Transparent(sas, randbytes=bytes)
        self.guest = served.PlainGuest(self.transparent, self.segment)
        self.server = ControlServer(self.loop, self.path, Host(self.guest, self.transparent, self.segment))
        self.clients: list[Client] = []
        self.fresh = self.state()

    def state(self) -> tuple[object, ...]:
        host, guest = self.transparent, self.guest
        policies = [(each.id, each.direction, each.sa, each.select) for each in host.policies]
        extras = sorted(host.device.model_extras), guest.accepted, guest.device.model_extras
        return host.device.digest(), guest.device.digest(), policies, repr(extras), repr(host.tally)

    def leave(self) -> bool:
        """All clients go; whether this can be used once more."""
        for client in self.clients:
            client.socket.close()
        self.clients.clear()
        self.loop.run()
        assert self.transparent.observer is None, "somebody still listens"
        return self.state() == self.fresh

    def close(self) -> None:
        self.server.close()
        self.segment.close()
        self.loop.close()
        os.rmdir(os.path.dirname(self.path))


_worlds: list[World] = []


@atexit.register
def _close_worlds() -> None:
    for each in _worlds:
        each.close()


def _client(world: World, octets: Octets) -> Client:
    place = octets.number() % 3
    while len(world.clients) <= place:
        world.clients.append(Client(world))
    if world.clients[place].over:
        world.clients[place].socket.close()
        world.clients[place] = Client(world)
    return world.clients[place]


def _raw(world: World, octets: Octets) -> None:
    client = _client(world, octets)
    client.untidy = True
    client.send(octets.take(octets.number()))


def _header(world: World, octets: Octets) -> None:
    """Any header, with a body of any length."""
    client = _client(world, octets)
    magic = octets.pick((MAGIC, MAGIC, MAGIC, b"vic2", octets.take(4)))
    kind, status, number = octets.pick(KINDS), octets.number(2), octets.number(4)
    body = octets.take(octets.number())
    length = octets.pick((len(body), len(body), len(body) + 1, 0, MOST_BODY, MOST_BODY + 1, 0xFFFFFFFF))
    client.untidy = True
    client.send(HEADER.pack(magic, kind, status, number, length) + body)


def _text(world: World, octets: Octets) -> None:
    _client(world, octets).ask(octets.pick(KINDS), octets.pick((*TEXTS, octets.take(octets.number()))))


def _values(world: World, octets: Octets) -> None:
    """A JSON object, of names that are known and any values."""
    client, kind = _client(world, octets), octets.pick(KINDS)
    values = {octets.pick(NAMES): octets.pick(VALUES) for _ in range(octets.number() % 5)}
    if octets.number() % 2:
        values["select"] = {octets.pick(INNER): octets.pick(VALUES) for _ in range(octets.number() % 4)}
    client.ask(kind, json.dumps(values).encode())


def _policy(world: World, octets: Octets) -> None:
    """A policy that can be, mostly."""
    direction = octets.pick(("outbound", "inbound"))
    values = {"direction": direction, "sa": octets.pick((1, 2, 0)), "first": bool(octets.number() & 1)}
    values["select"] = {octets.pick(INNER[:5]): octets.pick(VALUES) for _ in range(octets.number() % 3)}
    _client(world, octets).ask(6, json.dumps(values).encode())


def _admin(world: World, octets: Octets) -> None:
    """An administration command to the host's or to the guest's device."""
    client, kind = _client(world, octets), octets.pick(ADMIN_KINDS)
    opcode = octets.pick((7, 8, 9, 10, 11, 12, 13, 0, 1))
    what, number = octets.pick((admin.OUTB, admin.INB, admin.RULE, admin.GROUP, admin.CLASSIFIER)), octets.number() % 4
    good = {admin.OUTB: admin.sa(admin.OUTB), admin.INB: admin.sa(admin.INB, spi=9), admin.RULE: admin.rule()}
    data = bytearray(good.get(what) or (admin.group(3) if what == admin.GROUP else admin.ESP_V4))
    for _ in range(octets.number() % 3):
        data[octets.number() % len(data)] = octets.number()
    readable = admin.command(opcode, struct.pack("<H2xIQ", what, number, 0) + bytes(data))
    room = octets.pick((65536, 8, 0, 0xFFFFFFFF))
    client.ask(kind, struct.pack("<I", room) + readable[: octets.number() or None])


def _frame(world: World, octets: Octets) -> None:
    data = served.udp(size=octets.number())[: octets.number() or None]
    act = octets.number() % 3
    if act == 0:
        _client(world, octets).ask(FRAME_KIND, data)
    elif act == 1 and len(data) >= 14:
        world.guest.send(data)
    elif len(data) >= 14:
        world.guest.arrive([data])


def _leave(world: World, octets: Octets) -> None:
    if world.clients:
        world.clients.pop().socket.close()
        world.loop.run()


ACTS = (_values, _text, _policy, _admin, _frame, _header, _raw, _leave)
MOST_ACTS = 30


def run(data: bytes) -> None:
    """Raises what is wrong."""
    octets = Octets(data)
    world = _worlds.pop() if _worlds else World()
    try:
        for _ in range(MOST_ACTS):
            if not octets:
                break
            octets.pick(ACTS)(world, octets)
        usable = world.leave()
    except BaseException:
        world.close()
        raise
    if usable:
        _worlds.append(world)
    else:
        world.close()


def seeds() -> list[bytes]:
    """Each kind of request with nothing, and some that change things."""
    kinds = [bytes((1, 0, kind, 0)) for kind in range(len(KINDS))]
    policies = bytes((2, 0, 1, 1, 1, 0, 3, 0)) + bytes((2, 1, 2, 0, 2, 1, 4, 3, 8, 0))
    commands = b"".join(bytes((3, 0, 0, opcode, what, 3, 0, 0, 0)) for opcode in (3, 5, 4, 6) for what in range(5))
    events = bytes((0, 0, 9, 2, 10, 25, 11, 25, 0)) + bytes((4, 60, 0, 1)) * 2 + bytes((4, 60, 0, 2)) * 2
    frames = bytes((1, 1, 15, 0)) + bytes((4, 60, 0, 0, 1, 4, 60, 0, 1, 4, 60, 10, 0, 1))
    return [
        b"".join(kinds[:11]),
        b"".join(kinds[11:]),
        policies,
        commands[:90],
        commands[90:],
        events + policies,
        frames,
    ]
