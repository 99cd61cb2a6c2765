"""The region in which a back end writes down what it has taken, as the front end keeps it (vhost-user.rst).

It outlives a back end that is killed, and tells the next one which buffers are to be carried out again.
"""

from __future__ import annotations

import os

from .asking import Asking, BackEndFailed
from .channel import close_all
from .messages import InflightDescription, Request


class InFlight:
    """The region for ``queues`` virtqueues of ``size`` entries, as the back end makes it (GET_INFLIGHT_FD)."""

    def __init__(self, asking: Asking, queues: int, size: int) -> None:
        self.queues = queues
        description = {"mmap_size": 0, "mmap_offset": 0, "num_queues": queues, "queue_size": size}
        request = InflightDescription.build(description)
        given, fds = asking.fields(Request.GET_INFLIGHT_FD, InflightDescription, request)
        if len(fds) != 1 or given.mmap_size % queues:
            close_all(fds)
            raise BackEndFailed(f"{len(fds)} files, {given.mmap_size} octets for what is in flight in {queues} queues")
        self._fd = fds[0]
        self._each, self._offset = given.mmap_size // queues, given.mmap_offset
        self._description = description | {"mmap_size": given.mmap_size, "mmap_offset": given.mmap_offset}
        self.give(asking)

    def give(self, asking: Asking) -> None:
        """Hand it to a back end (SET_INFLIGHT_FD)."""
        asking.must(Request.SET_INFLIGHT_FD, InflightDescription.build(self._description), (self._fd,))

    def clear(self, index: int) -> None:
        """Virtqueue ``index`` begins at its beginning, and has nothing in flight."""
        if index < self.queues:
            os.pwrite(self._fd, bytes(self._each), self._offset + index * self._each)

    def close(self) -> None:
        close_all([self._fd])
        self._fd = -1
