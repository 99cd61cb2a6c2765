"""The link between two ends: what one sends the other gets; all is recorded, and may be changed on the way."""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

LARGEST = 1 << 17  # octets of a message
BUFFER = 8 << 20  # octets on their way
FORCED = {socket.SO_SNDBUF: 32, socket.SO_RCVBUF: 33}  # SO_SNDBUFFORCE, SO_RCVBUFFORCE: asm-generic/socket.h


class Frame(NamedTuple):
    """An Ethernet frame as an end sent it; ``at`` is the time in seconds."""

    at: float
    sender: str
    data: bytes


Alter = Callable[[str, bytes], Iterable[bytes]]


def with_room(end: socket.socket) -> socket.socket:
    """``end`` with room for bursts, as much as the host allows."""
    for option, forced in FORCED.items():
        try:
            end.setsockopt(socket.SOL_SOCKET, forced, BUFFER)
        except OSError:
            end.setsockopt(socket.SOL_SOCKET, option, BUFFER)
    return end


def cable() -> tuple[socket.socket, socket.socket]:
    """Two ends of a cable: one frame a message."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return with_room(one), with_room(other)


def write_pcap(path: Path, frames: Iterable[Frame]) -> None:
    """Write a pcap file of Ethernet frames."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, 1))
        for at, _, data in frames:
            file.write(struct.pack("<IIII", int(at), int(at % 1 * 1e6), len(data), len(data)) + data)


class Wire:
    """A link with two ends that have names, carried by a thread of its own; no frame is dropped or waited for.

    ``alter``, when set, is called for every frame with the sender's name, and
    gives what goes on instead.  It runs in the thread.
    """

    def __init__(self) -> None:
        self.alter: Alter | None = None
        self._frames: list[Frame] = []
        self._ends: dict[str, socket.socket] = {}
        self._waiting: dict[str, deque[bytes]] = {}
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Condition()
        self._wake, waked = socket.socketpair()
        self._selector.register(waked, selectors.EVENT_READ, None)
        self._open = True
        self._thread = threading.Thread(target=self._carry, name="wire", daemon=True)
        self._thread.start()

    # -- ends ----------------------------------------------------------------------------------------------------------

    def plug(self, name: str, end: socket.socket) -> None:
        """``end`` (SOCK_SEQPACKET, one frame a message) becomes the end called ``name``, in place of what it was."""
        end.setblocking(False)
        with self._lock:
            self._unplug(name)
            self._ends[name] = end
            self._waiting[name] = deque()
            self._selector.register(end, selectors.EVENT_READ, name)
        self._wake.send(b"\0")

    def unplug(self, name: str) -> None:
        with self._lock:
            self._unplug(name)

    def _unplug(self, name: str) -> None:
        end = self._ends.pop(name, None)
        if end is not None:
            self._selector.unregister(end)
            end.close()

    def inject(self, receiver: str, data: bytes) -> None:
        """Hand the end ``receiver`` a frame that nobody sent; not recorded."""
        with self._lock:
            self._pass(receiver, data)
        self._wake.send(b"\0")

    # -- what went over it ---------------------------------------------------------------------------------------------

    @property
    def frames(self) -> list[Frame]:
        """Everything since the last :meth:`forget`."""
        with self._lock:
            return list(self._frames)

    def forget(self) -> None:
        with self._lock:
            self._frames.clear()

    def wait_for(self, wanted: Callable[[Frame], bool], patience: float = 10.0) -> Frame:
        """The first recorded frame that is ``wanted``, waiting for it if need be; TimeoutError without one."""
        end = time.monotonic() + patience
        seen = 0
        with self._lock:
            while True:
                for frame in self._frames[seen:]:
                    if wanted(frame):
                        return frame
                seen = len(self._frames)
                if not self._lock.wait(end - time.monotonic()):
                    raise TimeoutError(f"no such frame on the wire in {patience} s; {seen} others")

    def wait_for_frames(self, count: int, patience: float = 10.0) -> None:
        """Until so many were recorded; TimeoutError when they are not in time."""
        end = time.monotonic() + patience
        with self._lock:
            while len(self._frames) < count:
                if not self._lock.wait(end - time.monotonic()):
                    raise TimeoutError(f"{len(self._frames)} frames on the wire after {patience} s")

    def save(self, path: Path, wanted: Callable[[Frame], bool] = lambda frame: True) -> int:
        """Write what was recorded and is ``wanted`` as a pcap file of Ethernet frames; how many."""
        chosen = [frame for frame in self.frames if wanted(frame)]
        write_pcap(path, chosen)
        return len(chosen)

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _carry(self) -> None:
        while self._open:
            for key, events in self._selector.select():
                with self._lock:
                    if key.data is None:
                        key.fileobj.recv(4096)  # type: ignore[union-attr]
                    elif self._ends.get(key.data) is key.fileobj:
                        if events & selectors.EVENT_READ:
                            self._receive(key.data)
                        if events & selectors.EVENT_WRITE:
                            self._flush(key.data)

    def _receive(self, name: str) -> None:
        for _ in range(64):
            try:
                data = self._ends[name].recv(LARGEST)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self._unplug(name)
                break
            self._frames.append(Frame(time.time(), name, data))
            changed = (data,) if self.alter is None else self.alter(name, data)
            for each in changed:
                for other in tuple(self._ends):
                    if other != name:
                        self._pass(other, each)
        self._lock.notify_all()

    def _pass(self, name: str, data: bytes) -> None:
        """To the end ``name``, if it is there; when it is busy, later."""
        if name in self._ends:
            self._waiting[name].append(data)
            self._flush(name)

    def _flush(self, name: str) -> None:
        end, waiting = self._ends[name], self._waiting[name]
        try:
            while waiting:
                end.send(waiting[0])
                waiting.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self._unplug(name)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if waiting else 0)
        self._selector.modify(end, wanted, name)

    def close(self) -> None:
        self._open = False
        self._wake.send(b"\0")
        self._thread.join(10)
        with self._lock:
            for name in tuple(self._ends):
                self._unplug(name)
        self._selector.close()
        self._wake.close()
