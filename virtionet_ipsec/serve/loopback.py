"""The wire that is a plug: what is sent arrives again."""

from __future__ import annotations

import os
from collections import deque

_MOST = 1024
"""Frames that wait to arrive; what is sent beyond them is dropped."""


class Loopback:
    """A :class:`~.wires.Wire`.  An eventfd is readable while frames wait."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sent = self.received = self.dropped = 0
        self.failed = ""
        self._frames: deque[bytes] = deque()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int | None:
        return self._event

    def send(self, frame: bytes) -> None:
        if len(self._frames) >= _MOST:
            self.dropped += 1
            return
        if not self._frames:
            os.eventfd_write(self._event, 1)
        self._frames.append(frame)
        self.sent += 1

    def receive(self, most: int) -> list[bytes]:
        waiting = self._frames
        frames = [waiting.popleft() for _ in range(min(most, len(waiting)))]
        if frames and not waiting:
            os.eventfd_read(self._event)
        self.received += len(frames)
        return frames

    def tick(self) -> None:
        pass

    def close(self) -> None:
        os.close(self._event)
