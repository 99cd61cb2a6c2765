"""A back end, and a front end that writes its messages and rings octet by octet, for the tests of this folder.

Nothing here is taken from the package's own messages and rings: numbers and
layouts are written down a second time, from vhost-user.rst and virtio 1.4.
"""

from __future__ import annotations

import array
import mmap
import os
import selectors
import socket
import struct
from collections.abc import Callable, Iterable
from typing import Any

from virtionet_ipsec.device import Device
from virtionet_ipsec.vhost_user import Backend

GET_FEATURES, SET_FEATURES, SET_OWNER, RESET_OWNER, SET_MEM_TABLE = 1, 2, 3, 4, 5
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE = 8, 9, 10, 11
SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR = 12, 13, 14
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM, SET_VRING_ENABLE = 15, 16, 17, 18
SET_BACKEND_REQ_FD, GET_CONFIG, SET_CONFIG = 21, 24, 25
GET_INFLIGHT_FD, SET_INFLIGHT_FD, RESET_DEVICE = 31, 32, 34
GET_MAX_MEM_SLOTS, ADD_MEM_REG, REM_MEM_REG, SET_STATUS, GET_STATUS = 36, 37, 38, 39, 40

REPLY, NEED_REPLY = 4, 8

# Protocol features, as masks.
MQ, REPLY_ACK, BACKEND_REQ, CONFIG = 1 << 0, 1 << 3, 1 << 5, 1 << 9
INFLIGHT, RESET, MEM_SLOTS, STATUS = 1 << 12, 1 << 13, 1 << 15, 1 << 16

# Virtio features, as masks; the last is the protocol's own.
F_MAC, F_MRG_RXBUF, F_STATUS, F_CTRL_VQ, F_MQ = 1 << 5, 1 << 15, 1 << 16, 1 << 17, 1 << 22
F_INDIRECT, F_EVENT_IDX, F_VERSION_1 = 1 << 28, 1 << 29, 1 << 32
F_RING_PACKED, F_IN_ORDER, F_RING_RESET, F_ADMIN_VQ = 1 << 34, 1 << 35, 1 << 40, 1 << 41
F_PROTOCOL = 1 << 30

PLAIN = F_VERSION_1 | F_MAC | F_STATUS
OFFERED = PLAIN | F_MRG_RXBUF | F_CTRL_VQ | F_MQ | F_INDIRECT | F_EVENT_IDX | F_RING_PACKED | F_IN_ORDER | F_ADMIN_VQ

ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, NEEDS_RESET = 1, 2, 4, 8, 64

HEADER = bytes(12)  # virtio_net_hdr without hash, tunnel and IPsec fields
RECEIVED = bytes(10) + b"\1\0"  # the same as the device fills it in: num_buffers is 1
FRAME = bytes.fromhex("020000000001 020000000002 88b5") + bytes(range(46))  # of an EtherType that nobody has

U64 = struct.Struct("<Q").pack
STATE = struct.Struct("<II").pack

_INT = array.array("i").itemsize


def state(index: int, num: int) -> bytes:
    """VringState."""
    return STATE(index, num)


def vring_addr(index: int, descriptor: int, available: int, used: int) -> bytes:
    """VringAddr."""
    return struct.pack("<IIQQQQ", index, 0, descriptor, used, available, 0)


def region(guest: int, size: int, user: int, offset: int) -> bytes:
    """MemRegion."""
    return struct.pack("<QQQQ", guest, size, user, offset)


def mem_table(*regions: bytes) -> bytes:
    """MemTable."""
    return struct.pack("<II", len(regions), 0) + b"".join(regions)


def single(one: bytes) -> bytes:
    """SingleMemRegion."""
    return bytes(8) + one


def config(offset: int, size: int) -> bytes:
    """Config, as a request has it."""
    return struct.pack("<III", offset, size, 0) + bytes(size)


def inflight(queues: int, size: int, mmap_size: int = 0, offset: int = 0) -> bytes:
    """InflightDescription."""
    return struct.pack("<QQHH", mmap_size, offset, queues, size)


def descriptors() -> int:
    """How many file descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


class Loop:
    """The event loop that tests turn by hand."""

    ROUNDS = 200
    """A loop that is not idle after so many rounds is busy for nothing."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._soon: list[Callable[[], object]] = []

    def register(self, fd: int, events: int, callback: Callable[[int], object]) -> None:
        self._selector.register(fd, events, callback)

    def modify(self, fd: int, events: int) -> None:
        self._selector.modify(fd, events, self._selector.get_key(fd).data)

    def unregister(self, fd: int) -> None:
        self._selector.unregister(fd)

    def call_soon(self, call: Callable[[], object]) -> None:
        self._soon.append(call)

    def turn(self) -> bool:
        """One round; whether anything was to be done."""
        ready = self._selector.select(0)
        for key, events in ready:
            now = self._selector.get_map().get(key.fd)
            if now is not None and now.data is key.data:
                key.data(events)
        calls, self._soon = self._soon, []
        for call in calls:
            call()
        return bool(ready or calls)

    def run(self) -> None:
        """Turn until nothing is left to do."""
        for _ in range(self.ROUNDS):
            if not self.turn():
                return
        raise AssertionError("the loop is never idle")

    def close(self) -> None:
        self._selector.close()


class SharedMemory:
    """A file of ``offset`` octets that are not shared, ``size`` that are, and as many again that are not."""

    GUARD = b"\xa5"

    def __init__(
        self, size: int = 0x10000, *, offset: int = 0x1000, guest: int = 0x1_0000_0000, user: int = 0x7F00_0000_0000
    ) -> None:
        self.size, self.offset, self.guest, self.user = size, offset, guest, user
        self.fd = os.memfd_create("test", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, offset + size + offset)
        self._mapped = mmap.mmap(self.fd, 0)
        self._mapped[:offset] = self._mapped[-offset:] = self.GUARD * offset
        self.octets = memoryview(self._mapped)[offset : offset + size]

    @property
    def region(self) -> bytes:
        return region(self.guest, self.size, self.user, self.offset)

    def intact(self) -> bool:
        """Whether nobody wrote to what is not shared."""
        return set(self._mapped[: self.offset]) | set(self._mapped[-self.offset :]) == set(self.GUARD)

    def close(self) -> None:
        self.octets.release()
        self._mapped.close()
        os.close(self.fd)


WRITE = 2


class SplitRing:
    """A driver's hand on a split virtqueue in ``memory``; its three parts begin at ``at`` and ends behind 4 KiB."""

    packed = False

    def __init__(self, memory: SharedMemory, index: int, size: int = 8) -> None:
        self.memory, self.index, self.size = memory, index, size
        self.at = index * 0x1000
        self.table, self.avail, self.used_ring = self.at, self.at + 0x400, self.at + 0x800
        self.data = 0x8000 + index * 0x1000
        self.offered = self.seen = 0
        self.kick = self.call = self.err = -1  # eventfds

    @property
    def addresses(self) -> bytes:
        user = self.memory.user
        return vring_addr(self.index, user + self.table, user + self.avail, user + self.used_ring)

    @property
    def buffer_size(self) -> int:
        """Octets of each of the ``size`` buffers that :meth:`send` and :meth:`give` use."""
        return 0x1000 // self.size

    def put(self, at: int, data: bytes) -> None:
        self.memory.octets[at : at + len(data)] = data

    def le16(self, at: int) -> int:
        return int(struct.unpack_from("<H", self.memory.octets, at)[0])

    def descriptor(self, index: int, address: int, length: int, flags: int = 0, following: int = 0) -> None:
        self.put(self.table + 16 * index, struct.pack("<QIHH", address, length, flags, following))

    def offer(self, head: int) -> None:
        """Make the chain at ``head`` available."""
        self.put(self.avail + 4 + 2 * (self.offered % self.size), struct.pack("<H", head))
        self.put(self.avail + 4 + 2 * self.size, struct.pack("<H", self.offered & 0xFFFF))  # used_event: tell when used
        self.offered += 1
        self.publish(self.offered)

    def publish(self, index: int) -> None:
        """Write the available index."""
        self.put(self.avail + 2, struct.pack("<H", index & 0xFFFF))

    def _buffer(self, length: int, flags: int) -> int:
        head = self.offered % self.size
        at = self.data + head * self.buffer_size
        assert length <= self.buffer_size
        self.descriptor(head, self.memory.guest + at, length, flags)
        self.offer(head)
        return at

    def send(self, frame: bytes = FRAME) -> None:
        """A transmit buffer."""
        data = HEADER + frame
        self.put(self.data + self.offered % self.size * self.buffer_size, data)
        self._buffer(len(data), 0)

    def give(self, length: int = 128) -> None:
        """A receive buffer."""
        self._buffer(length, WRITE)

    def used(self) -> list[tuple[int, int]]:
        """(head, octets written) of what was used since the last call."""
        found = []
        while self.seen != self.le16(self.used_ring + 2):
            at = self.used_ring + 4 + 8 * (self.seen % self.size)
            found.append(struct.unpack_from("<II", self.memory.octets, at))
            self.seen = (self.seen + 1) & 0xFFFF
        return found

    def received(self) -> list[bytes]:
        """The octets of the receive buffers that were used since the last call."""
        found = []
        for head, written in self.used():
            at = self.data + head * self.buffer_size
            found.append(bytes(self.memory.octets[at : at + written]))
        return found


class PackedRing(SplitRing):
    """The same on a packed virtqueue: each buffer is one descriptor, its id the offset in the ring."""

    packed = True

    @staticmethod
    def _marks(wrapped: int) -> int:
        return 0x8000 if wrapped % 2 else 0x0080

    def _buffer(self, length: int, flags: int) -> int:
        rounds, name = divmod(self.offered, self.size)
        at = self.data + name * self.buffer_size
        self.descriptor_packed(name, self.memory.guest + at, length, name, flags | self._marks(rounds))
        self.offered += 1
        return at

    def descriptor_packed(self, index: int, address: int, length: int, name: int, flags: int) -> None:
        self.put(self.table + 16 * index, struct.pack("<QIHH", address, length, name, flags))

    def used(self) -> list[tuple[int, int]]:
        found = []
        while self.seen < self.offered:
            rounds, at = divmod(self.seen, self.size)
            _, written, name, flags = struct.unpack_from("<QIHH", self.memory.octets, self.table + 16 * at)
            if flags & 0x8080 != (0 if rounds % 2 else 0x8080):
                break
            found.append((name, written))
            self.seen += 1
        return found


class FrontEnd:
    """The other end of the connection.  Messages that have no answer are followed by a turn of the loop."""

    def __init__(self, address: Any, loop: Loop) -> None:
        self.loop = loop
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(address)
        self.socket.setblocking(False)
        self.opened: list[int] = []
        self.loop.run()

    # -- messages ------------------------------------------------------------------------------------------------

    def raw(self, data: bytes, fds: Iterable[int] = ()) -> None:
        """Any octets, with any descriptors."""
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        assert self.socket.sendmsg([data], ancillary) == len(data)
        self.loop.run()

    def say(self, request: int, payload: bytes = b"", fds: Iterable[int] = (), flags: int = 0) -> None:
        self.raw(struct.pack("<III", request, 1 | flags, len(payload)) + payload, fds)

    def answer(self) -> tuple[int, bytes, list[int]] | None:
        """(request, payload, descriptors) of the next answer; None when there is none.  EOFError when it is over."""
        try:
            data, ancillary, _, _ = self.socket.recvmsg(12, socket.CMSG_SPACE(8 * _INT))
        except BlockingIOError:
            return None
        except ConnectionResetError:
            raise EOFError from None
        if not data:
            raise EOFError
        request, flags, size = struct.unpack("<III", data)
        assert flags == 1 | REPLY
        fds = array.array("i")
        for _, _, octets in ancillary:
            fds.frombytes(octets)
        self.opened += fds
        return request, self.socket.recv(size) if size else b"", list(fds)

    def ask(self, request: int, payload: bytes = b"", fds: Iterable[int] = (), flags: int = 0) -> bytes:
        """A message that has an answer of its own; gives the answer's payload."""
        self.say(request, payload, fds, flags)
        got = self.answer()
        assert got is not None and got[0] == request
        return got[1]

    def number(self, request: int, payload: bytes = b"") -> int:
        """The same where the answer is a u64."""
        return int.from_bytes(self._exactly(8, self.ask(request, payload)), "little")

    @staticmethod
    def _exactly(length: int, data: bytes) -> bytes:
        assert len(data) == length
        return data

    def acked(self, request: int, payload: bytes = b"", fds: Iterable[int] = ()) -> int:
        """A message with NEED_REPLY; gives the answer, 0 for done."""
        return int.from_bytes(self._exactly(8, self.ask(request, payload, fds, NEED_REPLY)), "little")

    @property
    def over(self) -> bool:
        """Whether the back end closed the connection."""
        try:
            assert self.answer() is None
        except EOFError:
            return True
        return False

    # -- what most front ends do ---------------------------------------------------------------------------------

    def negotiate(self, features: int = PLAIN | F_PROTOCOL, protocol: int = MQ | REPLY_ACK | CONFIG) -> None:
        if features & F_PROTOCOL:
            self.say(SET_PROTOCOL_FEATURES, U64(protocol))
        self.say(SET_FEATURES, U64(features))

    def share(self, *memories: SharedMemory) -> None:
        self.say(SET_MEM_TABLE, mem_table(*(memory.region for memory in memories)), [each.fd for each in memories])

    def start(self, ring: SplitRing, *, base: int = 0, enable: bool = True) -> None:
        """Everything that a ring needs to run."""
        self.say(SET_VRING_NUM, state(ring.index, ring.size))
        self.say(SET_VRING_BASE, state(ring.index, base))
        self.say(SET_VRING_ADDR, ring.addresses)
        self.signal(SET_VRING_CALL, ring)
        self.signal(SET_VRING_KICK, ring)
        if enable:
            self.say(SET_VRING_ENABLE, state(ring.index, 1))

    def signal(self, request: int, ring: SplitRing) -> None:
        """An eventfd of ours for a ring's kick, call or err."""
        fd = self.event()
        setattr(ring, {SET_VRING_KICK: "kick", SET_VRING_CALL: "call", SET_VRING_ERR: "err"}[request], fd)
        self.say(request, U64(ring.index), [fd])

    def event(self) -> int:
        fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.opened.append(fd)
        return fd

    def kick(self, ring: SplitRing) -> None:
        os.eventfd_write(ring.kick, 1)
        self.loop.run()

    def close(self) -> None:
        for fd in self.opened:
            os.close(fd)
        self.opened = []
        self.socket.close()
        self.loop.run()


def count(event: int) -> int:
    """What an eventfd counted since the last time."""
    try:
        return os.eventfd_read(event)
    except BlockingIOError:
        return 0


def fill(writer: int) -> None:
    """Write to a pipe until it takes no more."""
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, bytes(4096))
    except BlockingIOError:
        os.set_blocking(writer, True)


class Rig:
    """A back end at an abstract address, its wire (``sent``) and what it says (``told``)."""

    def __init__(self, features: int = OFFERED, queue_pairs: int = 2, **parameters: Any) -> None:
        self.loop = Loop()
        self.device = Device(features=features, queue_pairs=queue_pairs, **parameters)
        self.sent: list[bytes] = []
        self.told: list[str] = []
        self._front_ends: list[FrontEnd] = []
        self._memories: list[SharedMemory] = []
        self.listen(queue_pairs)

    def listen(self, queue_pairs: int = 2) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind("")  # the kernel chooses an abstract address
        listener.listen()
        self.address = listener.getsockname()
        self.backend = Backend(listener, self.loop, self.device, queue_pairs, self.sent.extend, self.told.append)

    def connect(self) -> FrontEnd:
        front = FrontEnd(self.address, self.loop)
        self._front_ends.append(front)
        return front

    def memory(self, *args: Any, **parameters: Any) -> SharedMemory:
        memory = SharedMemory(*args, **parameters)
        self._memories.append(memory)
        return memory

    def ready(
        self,
        features: int = PLAIN | F_PROTOCOL,
        protocol: int = MQ | REPLY_ACK | CONFIG,
        size: int = 8,
        memory: SharedMemory | None = None,
    ) -> Any:
        """A front end with its first pair of queues running: (front end, memory, receiveq1, transmitq1)."""
        memory = self.memory() if memory is None else memory
        front = self.connect()
        front.negotiate(features, protocol)
        front.share(memory)
        kind = PackedRing if features & F_RING_PACKED else SplitRing
        rings = kind(memory, 0, size), kind(memory, 1, size)
        for ring in rings:
            front.start(ring)
        return front, memory, *rings

    def arrive(self, *frames: bytes) -> None:
        self.backend.arrive(frames)
        self.loop.run()

    def close(self) -> None:
        for front in self._front_ends:
            front.close()
        self.backend.close()
        for memory in self._memories:
            memory.close()
        self.loop.close()


def passes(rig: Rig, front: FrontEnd, receive: SplitRing, transmit: SplitRing) -> None:
    """A frame goes each way, and the driver is told."""
    rig.sent.clear()
    transmit.used()
    receive.used()
    count(receive.call), count(transmit.call)
    transmit.send()
    front.kick(transmit)
    assert rig.sent == [FRAME]
    assert [written for _, written in transmit.used()] == [0]
    assert count(transmit.call) == 1
    receive.give()
    front.kick(receive)
    rig.arrive(FRAME)
    assert receive.received() == [RECEIVED + FRAME]
    assert count(receive.call) == 1
