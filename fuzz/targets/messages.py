"""A front end that says anything: octets, messages and descriptors on the socket, and what it does with its memory.

Afterwards holds: nothing was raised, the loop came to rest each time, nothing
was written outside the memory that was shared, every descriptor is closed, the
device is reset, and the next front end is served.
"""

from __future__ import annotations

import fcntl
import gc
import os
import socket
import struct
from contextlib import suppress
from functools import cache

from tests.vhost_user import rig as peer
from virtionet_ipsec.device.negotiation import default_features
from virtionet_ipsec.wire import Profile

from ..octets import Octets

VALUES = (0, 1, 2, 3, 5, 6, 255, 256, 0x100 | 1, 1 << 31, (1 << 32) - 1)
SIZES = (8, 4, 1, 0, 3, 256, 32768, 32769, (1 << 32) - 1)
PLACES = (0, 0x1000, 0x400, 0x800, 0x2000, 0x8000, 0xFFF0, 0x10000, 1, 2, 4, 8, -16, 1 << 40)
LENGTHS = (0x10000, 0x1000, 0, 1, 0x8000, 0xFFFF, 0x10001, 1 << 32, (1 << 63) - 1, (1 << 64) - 1)
FEATURES = (
    peer.PLAIN | peer.F_PROTOCOL,
    peer.PLAIN | peer.F_PROTOCOL | peer.F_RING_PACKED,
    peer.PLAIN | peer.F_PROTOCOL | peer.F_RING_PACKED | peer.F_EVENT_IDX | peer.F_INDIRECT | peer.F_IN_ORDER,
    peer.PLAIN | peer.F_PROTOCOL | peer.F_EVENT_IDX | peer.F_INDIRECT | peer.F_IN_ORDER | peer.F_MRG_RXBUF,
    peer.PLAIN | peer.F_PROTOCOL | peer.F_CTRL_VQ | peer.F_MQ,
    peer.PLAIN,
    peer.PLAIN | peer.F_RING_PACKED,
    0,
    (1 << 64) - 1,
    None,
)
"""None: any of those that are offered."""

PROTOCOL = (
    peer.MQ | peer.REPLY_ACK | peer.CONFIG | peer.INFLIGHT | peer.MEM_SLOTS | peer.BACKEND_REQ,
    peer.MQ | peer.REPLY_ACK | peer.STATUS | peer.RESET | peer.INFLIGHT,
    peer.REPLY_ACK,
    0,
    (1 << 64) - 1,
)
STATUSES = (0, 1, 3, 8, 11, 15, 4, 128, 64, 0xFF, 0x100)
REQUESTS = (*range(1, 46), 0, 1000, (1 << 32) - 1)
FLAGS = (1, 9, 9, 5, 13, 0, 2, 0xFFFFFFFD)
RINGS = peer.F_INDIRECT | peer.F_EVENT_IDX | peer.F_RING_PACKED | peer.F_IN_ORDER | peer.F_RING_RESET
SERVED = default_features(Profile.VIRTIO_1_4) | RINGS
FRAMES = (peer.FRAME, b"", peer.FRAME[:13], peer.FRAME + bytes(2000), peer.FRAME[:14])

END = 1 << 64


_others: list[int] = []
"""The other ends of pipes, that they stay open."""


@cache
def fixed() -> dict[str, int]:
    """Descriptors that nobody's use of them changes, so that one of each is enough."""
    kept, full = os.pipe2(os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(full, bytes(4096))
    reader, writer = os.pipe()
    alone, gone = os.pipe()
    os.close(gone)
    short = os.memfd_create("short", os.MFD_ALLOW_SEALING)
    os.ftruncate(short, 100)
    fcntl.fcntl(short, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    one, other = socket.socketpair()
    other.close()
    _others.extend((kept, writer))
    return {
        "full pipe": full,
        "empty pipe": reader,
        "lonely pipe": alone,
        "short file": short,
        "file": os.open(__file__, os.O_RDONLY),
        "path": os.open("/proc/self/exe", os.O_PATH),
        "directory": os.open("/", os.O_RDONLY),
        "null": os.open("/dev/null", os.O_RDWR),
        "socket": one.detach(),
    }


class Play:
    """A back end, and a front end of the fuzzer's making."""

    def __init__(self) -> None:
        fixed()
        self.before = peer.descriptors()
        self.rig = peer.Rig(SERVED)
        self.memories = [self.rig.memory(), self.rig.memory(guest=0x1_0001_0000, user=0x1000)]
        self.events = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(4)]
        self.fds = [*(memory.fd for memory in self.memories), *self.events, *fixed().values()]
        self.rings: list[peer.SplitRing] = []
        self.kept = -1  # the descriptor of the in-flight region
        self.whole: set[int] = set()  # descriptors of memories of which more than the usual part may be shared
        self.connect()

    def connect(self) -> None:
        self.front = self.rig.connect()
        kind = peer.SplitRing
        self.rings = [kind(self.memories[0], index) for index in range(6)]

    def say(self, data: bytes, fds: list[int]) -> None:
        """Octets to the back end, and what it answers to them."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.front.raw(data, fds)
        with suppress(EOFError):
            while answer := self.front.answer():
                for fd in answer[2]:
                    self.keep(fd)

    def keep(self, fd: int) -> None:
        self.front.opened.remove(fd)
        if self.kept >= 0:
            os.close(self.kept)
        self.kept = fd

    def close(self) -> None:
        """The end, and what has to hold then."""
        self.front.close()
        assert self.rig.device.status == 0
        assert not self.rig.backend.connected
        for memory in self.memories:
            assert memory.fd in self.whole or memory.intact(), "memory that is not shared was written to"
            memory.octets[:] = bytes(memory.size)
        front, _, receive, transmit = self.rig.ready(memory=self.memories[0])
        peer.passes(self.rig, front, receive, transmit)
        self.rig.close()
        for fd in self.events:
            os.close(fd)
        if self.kept >= 0:
            os.close(self.kept)
        assert peer.descriptors() == self.before, "a descriptor is left open"


# -- what the front end does ---------------------------------------------------------------------------------------


def _fds(play: Play, octets: Octets) -> list[int]:
    several = octets.number()
    fds = [octets.pick(play.fds) for _ in range(several % 4 if several < 0xF0 else 9)]
    if several >= 0xE0 and play.kept >= 0:
        fds.append(play.kept)
    play.whole.update(fds)
    return fds


def _message(request: int, payload: bytes, flags: int = 9) -> bytes:
    return struct.pack("<III", request, flags, len(payload)) + payload


def _raw(play: Play, octets: Octets) -> None:
    fds = _fds(play, octets)
    play.say(octets.take(octets.number() % 64) or b"\0", fds)


def _any(play: Play, octets: Octets) -> None:
    """A message with any payload."""
    request, flags, fds = octets.pick(REQUESTS), octets.pick(FLAGS), _fds(play, octets)
    play.say(_message(request, octets.take(octets.number()), flags), fds)


def _region(play: Play, octets: Octets) -> bytes:
    memory = octets.pick(play.memories)
    shape = octets.number()
    if not shape % 4:
        return memory.region
    play.whole.update(each.fd for each in play.memories)
    return peer.region(
        memory.guest + octets.pick(PLACES) & END - 1,
        octets.pick(LENGTHS),
        memory.user + octets.pick(PLACES) & END - 1,
        octets.pick(PLACES) & END - 1,
    )


def _address(play: Play, octets: Octets) -> int:
    return play.memories[0].user + octets.pick(PLACES) & END - 1


def _payload(play: Play, octets: Octets, request: int) -> bytes:
    """What the request has for a payload, and mostly makes sense."""
    index = octets.pick(VALUES)
    if request in (peer.SET_VRING_KICK, peer.SET_VRING_CALL, peer.SET_VRING_ERR):
        return peer.U64(index)
    if request == peer.SET_VRING_NUM:
        return peer.state(index, octets.pick(SIZES))
    if request in (peer.SET_VRING_BASE, peer.GET_VRING_BASE):
        return peer.state(index, octets.pick((0, 1, 0x8000, 0x80008000, 0xFFFF, 0x10000, octets.number(4))))
    if request == peer.SET_VRING_ENABLE:
        return peer.state(index, octets.number() % 2)
    if request == peer.SET_VRING_ADDR:
        if index < len(play.rings) and octets.number() % 2:
            return play.rings[index].addresses
        return peer.vring_addr(index, *(_address(play, octets) for _ in range(3)))
    if request == peer.SET_FEATURES:
        return peer.U64(_features(octets))
    if request == peer.SET_PROTOCOL_FEATURES:
        return peer.U64(octets.pick(PROTOCOL))
    if request == peer.SET_STATUS:
        return peer.U64(octets.pick(STATUSES))
    if request == peer.SET_MEM_TABLE:
        return peer.mem_table(*(_region(play, octets) for _ in range(octets.number() % 4)))
    if request in (peer.ADD_MEM_REG, peer.REM_MEM_REG):
        return peer.single(_region(play, octets))
    if request in (peer.GET_CONFIG, peer.SET_CONFIG):
        return peer.config(index, octets.number(2) % 300)
    if request in (peer.GET_INFLIGHT_FD, peer.SET_INFLIGHT_FD):
        return peer.inflight(index & 0xFFFF, octets.pick(SIZES) & 0xFFFF, octets.pick(LENGTHS), octets.pick(SIZES))
    return b""


def _sensible(play: Play, octets: Octets) -> None:
    """A message as it should be, but for one thing or the other."""
    request = octets.pick(REQUESTS)
    flags = octets.pick(FLAGS[:4])
    payload = _payload(play, octets, request)
    if request == peer.SET_MEM_TABLE:
        fds = [memory.fd for memory in play.memories][: int.from_bytes(payload[:4], "little")]
    elif request == peer.ADD_MEM_REG:
        fds = [play.memories[octets.number() % 2].fd]
    elif request in (peer.SET_VRING_KICK, peer.SET_VRING_CALL, peer.SET_VRING_ERR, peer.SET_BACKEND_REQ_FD):
        fds = [octets.pick(play.fds)]
        play.whole.update(fds)
    elif request == peer.SET_INFLIGHT_FD:
        fds = [play.kept if play.kept >= 0 else play.memories[1].fd]
        play.whole.update(fds)
    else:
        fds = []
    play.say(_message(request, payload, flags), fds)


def _features(octets: Octets) -> int:
    features = octets.pick(FEATURES)
    return octets.number(8) & SERVED | peer.F_VERSION_1 | peer.F_PROTOCOL if features is None else features


def _negotiate(play: Play, octets: Octets) -> None:
    features, protocol = _features(octets), octets.pick(PROTOCOL)
    play.say(_message(peer.SET_PROTOCOL_FEATURES, peer.U64(protocol), 1), [])
    play.say(_message(peer.SET_FEATURES, peer.U64(features)), [])
    kind = peer.PackedRing if features & peer.F_RING_PACKED else peer.SplitRing
    play.rings = [kind(play.memories[0], index) for index in range(6)]
    if protocol & peer.STATUS:
        for status in STATUSES[1:6]:
            play.say(_message(peer.SET_STATUS, peer.U64(status)), [])


def _share(play: Play, octets: Octets) -> None:
    some = play.memories[: 1 + octets.number() % 2]
    table = peer.mem_table(*(memory.region for memory in some))
    play.say(_message(peer.SET_MEM_TABLE, table), [memory.fd for memory in some])


def _start(play: Play, octets: Octets) -> None:
    """All that a ring needs."""
    ring = octets.pick(play.rings)
    kick, call = octets.pick(play.events), octets.pick(play.events)
    for request, payload, fds in (
        (peer.SET_VRING_NUM, peer.state(ring.index, ring.size), []),
        (peer.SET_VRING_BASE, peer.state(ring.index, 0), []),
        (peer.SET_VRING_ADDR, ring.addresses, []),
        (peer.SET_VRING_CALL, peer.U64(ring.index), [call]),
        (peer.SET_VRING_KICK, peer.U64(ring.index), [kick]),
        (peer.SET_VRING_ENABLE, peer.state(ring.index, 1), []),
    ):
        play.say(_message(request, payload), fds)


def _give(play: Play, octets: Octets) -> None:
    """Buffers as a good driver gives them."""
    ring = octets.pick(play.rings[:4])
    for _ in range(octets.number() % 8):
        if ring.index % 2:
            ring.send()
        else:
            ring.give(octets.pick((128, 58, 20, 0)))


def _poke(play: Play, octets: Octets) -> None:
    """Any octets in the rings, or further on."""
    at = octets.number(2) % 0x8000
    data = octets.take(1 + octets.number() % 16)
    play.memories[0].octets[at : at + len(data)] = data


def _meddle(play: Play, octets: Octets) -> None:
    """Any octets in the in-flight region."""
    if play.kept >= 0:
        with suppress(OSError):
            size = os.fstat(play.kept).st_size
            at = octets.number(2) % (size or 1)
            os.pwrite(play.kept, octets.take(octets.number() % 16)[: size - at], at)


def _kick(play: Play, octets: Octets) -> None:
    os.eventfd_write(octets.pick(play.events), 1)
    play.rig.loop.run()


def _arrive(play: Play, octets: Octets) -> None:
    play.rig.arrive(*(octets.pick(FRAMES) for _ in range(octets.number() % 5)))


def _again(play: Play, octets: Octets) -> None:
    """Another front end; the one before is closed, and maybe after the other has connected."""
    before = play.front
    if octets.number() % 2:
        before.close()
        play.connect()
    else:
        play.connect()
        before.close()


def _link(play: Play, octets: Octets) -> None:
    play.rig.device.set_link(bool(octets.number() & 1))


ACTS = (
    _negotiate,
    _share,
    _start,
    _give,
    _kick,
    _arrive,
    _sensible,
    _sensible,
    _any,
    _raw,
    _poke,
    _meddle,
    _again,
    _link,
)
MOST_ACTS = 60


def run(data: bytes) -> None:
    """Raises what is wrong."""
    octets = Octets(data)
    gc.disable()  # memory that only the collector would give back is a finding, whenever it comes by
    try:
        play = Play()
        for _ in range(MOST_ACTS):
            if not octets:
                break
            octets.pick(ACTS)(play, octets)
        play.close()
    finally:
        gc.enable()


def seeds() -> list[bytes]:
    """Good front ends, with each set of features, and every message once."""
    found = []
    for features, chosen in enumerate(FEATURES):
        for protocol in range(len(PROTOCOL)):
            some = b"" if chosen is not None else b"\xff" * 8
            begin = bytes((0, features)) + some + bytes((protocol, 1, 1)) + bytes((2, 0, 0, 1, 2, 1, 2, 3))
            traffic = bytes((3, 0, 4, 3, 1, 3, 4, 0, 4, 2, 5, 3, 0, 0, 3)) * 3
            stop = bytes((6, 10, 0, 0, 0, 6, 10, 0, 1, 0))
            found.append(begin + traffic + stop + bytes((2, 0, 0, 1, 2, 1, 2, 3)) + traffic)
    every = b"".join(bytes((6, number, 1, 2, 0, 3, 1, 0)) for number in range(len(REQUESTS)))
    inflight = bytes((6, 30, 0, 2, 0, 0, 0)) + bytes((2, 0, 0, 1, 2, 1, 2, 3)) + bytes((3, 1, 3, 4, 2, 5, 2, 0, 0))
    again = bytes((12, 1, 0, 0, 0, 6, 31, 0, 2, 0, 0, 0, 1, 0, 2, 1, 2, 3, 5, 1, 0))
    return [*found, every[:200], every[200:], bytes((0, 0, 0, 1, 0)) + inflight + again]
