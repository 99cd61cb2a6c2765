"""Between a front end that cannot reconnect and a backend: to the front end, the backend never goes.

It remembers what was set up and tells it to the backend's successor, as QEMU
does (vhost-user.rst, "Inflight I/O tracking"): the region in which the backend
notes what it has taken from the rings is asked for here, and handed on.
"""

from __future__ import annotations

import mmap
import os
import select
import socket
import threading
import time
from pathlib import Path

from virtionet_ipsec.vhost_user.channel import Channel, Closed
from virtionet_ipsec.vhost_user.messages import (
    HEADER,
    INDEX_MASK,
    InflightDescription,
    MemTable,
    Message,
    ProtocolFeature,
    Request,
    VringAddr,
    VringState,
    encode,
    u64,
)

QUEUE_SIZE = 256
QUEUES = 3  # of one pair, and the control queue
INFLIGHT = 1 << ProtocolFeature.INFLIGHT_SHMFD
NEED_REPLY = 8
PATIENCE = 20.0

# In the order in which a successor is told.
ONCE = (
    Request.SET_OWNER,
    Request.SET_PROTOCOL_FEATURES,
    Request.SET_BACKEND_REQ_FD,
    Request.SET_FEATURES,
    Request.SET_MEM_TABLE,
    Request.SET_INFLIGHT_FD,
)
OF_A_QUEUE = (
    Request.SET_VRING_NUM,
    Request.SET_VRING_BASE,
    Request.SET_VRING_ADDR,
    Request.SET_VRING_CALL,
    Request.SET_VRING_KICK,
    Request.SET_VRING_ENABLE,
)


class Relay:
    """Listens at ``front``, and is connected to the backend at ``back`` as long as there is one.

    ``reconnections`` counts the successors.
    """

    def __init__(self, front: Path, back: Path) -> None:
        self.reconnections = 0
        self._back_path = os.fspath(back)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.fspath(front))
        self._listener.listen(1)
        self._ended, self._end = socket.socketpair()
        self._set_up: dict[tuple[Request, int], Message] = {}
        self._packed = self._closed = False
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed = True
        self._end.close()
        self._thread.join(10)
        self._listener.close()

    def _run(self) -> None:
        while self._listener in select.select([self._listener, self._ended], [], [])[0]:
            front, back = Channel(self._listener.accept()[0]), self._connect()
            self._set_up.clear()
            while self._carry(front, back):
                back.close()
                back = self._successor()
            back.close()
            front.close()

    def _connect(self) -> Channel:
        """To the backend, which may have to come first."""
        end = time.monotonic() + PATIENCE
        while True:
            back = socket.socket(socket.AF_UNIX)
            try:
                back.connect(self._back_path)
                return Channel(back)
            except OSError:
                back.close()
                if self._closed or time.monotonic() > end:
                    raise
                time.sleep(0.01)

    def _successor(self) -> Channel:
        """Another backend, which knows what the last one did; one that is just being killed does not count."""
        while True:
            back = self._connect()
            try:
                self._set_up_again(back)
            except Closed:
                back.close()
            else:
                self.reconnections += 1
                return back

    def _carry(self, front: Channel, back: Channel) -> bool:
        """Messages both ways until one end goes: whether it is the backend."""
        while True:
            ready = select.select([front.fileno(), back.fileno(), self._ended.fileno()], [], [])[0]
            if self._ended.fileno() in ready:
                return False
            if back.fileno() in ready:
                try:
                    while (answer := back.receive()) is not None:
                        forward(front, answer)
                except Closed:
                    return True
            if front.fileno() in ready:
                try:
                    while (message := front.receive()) is not None:
                        forward(back, self._noted(back, message))
                except Closed:
                    return False

    # -- what is set up ------------------------------------------------------------------------------------------------

    def _noted(self, back: Channel, message: Message) -> Message:
        """``message`` as it goes on."""
        request = message.request
        if request == Request.SET_PROTOCOL_FEATURES:
            features = int.from_bytes(message.payload, "little") | INFLIGHT
            message = Message(request, message.flags, u64(features))
        if request == Request.SET_FEATURES:
            self._packed = bool(int.from_bytes(message.payload, "little") >> 34 & 1)
        if request == Request.SET_MEM_TABLE:
            self._ask_for_region(back)
        if request in ONCE:
            self._set_up[Request(request), 0] = message
        elif request in OF_A_QUEUE:
            self._set_up[Request(request), message.payload[0] & INDEX_MASK] = message
        return message

    def _ask_for_region(self, back: Channel) -> None:
        asked = {"mmap_size": 0, "mmap_offset": 0, "num_queues": QUEUES, "queue_size": QUEUE_SIZE}
        back.send(encode(Request.GET_INFLIGHT_FD, InflightDescription.build(asked)))
        region = wait(back)
        told = Message(Request.SET_INFLIGHT_FD, 1, region.payload, region.fds)
        self._set_up[Request.SET_INFLIGHT_FD, 0] = told
        forward(back, told)

    def _set_up_again(self, back: Channel) -> None:
        queues = sorted({index for request, index in self._set_up if request is Request.SET_VRING_KICK})
        order = [(request, 0) for request in ONCE]
        order += [(request, index) for index in queues for request in OF_A_QUEUE]
        for key in order:
            message = self._set_up.get(key)
            if message is None:
                continue
            if key[0] is Request.SET_VRING_BASE and not self._packed:
                base = VringState.build({"index": key[1], "num": self._used_index(key[1])})
                message = Message(message.request, message.flags, base)
            forward(back, message)
            if message.flags & NEED_REPLY:
                wait(back)
            if key[0] is Request.SET_OWNER:
                for number in (Request.GET_FEATURES, Request.GET_PROTOCOL_FEATURES):
                    back.send(encode(number, b""))
                    wait(back)

    def _used_index(self, index: int) -> int:
        """``idx`` of the used ring of a split queue (virtio 1.4, 2.7.8)."""
        used = VringAddr.parse(self._set_up[Request.SET_VRING_ADDR, index].payload).used
        table = self._set_up[Request.SET_MEM_TABLE, 0]
        for region, fd in zip(MemTable.parse(table.payload).regions, table.fds, strict=True):
            offset = used + 2 - region.user_address
            if 0 <= offset < region.size:
                at = region.mmap_offset + offset
                start = at - at % mmap.PAGESIZE
                with mmap.mmap(fd, mmap.PAGESIZE, offset=start) as memory:
                    return int.from_bytes(memory[at - start : at - start + 2], "little")
        raise AssertionError("the used ring is in no region")


def forward(channel: Channel, message: Message) -> None:
    packed = HEADER.pack(message.request, message.flags, len(message.payload))
    channel.send(packed + message.payload, message.fds)


def wait(channel: Channel) -> Message:
    """The next message."""
    while True:
        if not select.select([channel], [], [], PATIENCE)[0]:
            raise TimeoutError("the backend gives no answer")
        message = channel.receive()
        if message is not None:
            return message
