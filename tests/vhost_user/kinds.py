"""Descriptors of every kind, to be sent where they do or do not belong."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIZE = 0x10000  # of the short file one octet less, of the others twice as much


@contextmanager
def opened(kinds: list[str]) -> Iterator[list[int]]:
    """Descriptors of these kinds."""
    makers: dict[str, Callable[[], tuple[int, ...]]] = {
        "memory": lambda: (_memfd(2 * SIZE),),
        "short": lambda: (_memfd(SIZE - 1),),
        "event": lambda: (os.eventfd(0),),
        "read-only": lambda: (_read_only(),),
        "file": lambda: (os.open(__file__, os.O_RDONLY),),
        "path": lambda: (os.open("/proc/self/exe", os.O_PATH),),
        "directory": lambda: (os.open("/", os.O_RDONLY),),
        "null": lambda: (os.open("/dev/null", os.O_RDWR),),
        "pipe": os.pipe,
        "socket": lambda: tuple(each.detach() for each in socket.socketpair()),
    }
    made = [makers[kind]() for kind in kinds]
    try:
        yield [fds[0] for fds in made]
    finally:
        for fds in made:
            for fd in fds:
                os.close(fd)


def _memfd(size: int) -> int:
    fd = os.memfd_create("test", os.MFD_CLOEXEC)
    os.ftruncate(fd, size)
    return fd


def _read_only() -> int:
    fd = _memfd(2 * SIZE)
    other = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    os.close(fd)
    return other
