"""The wire that is a capture file: every frame is in it as soon as it was sent (draft-ietf-opsawg-pcap)."""

from __future__ import annotations

import os
import stat
import struct
import time

from ..input_error import InputError
from .frames import MAX_FRAME

# Little-endian, nanoseconds, version 2.4, link type 1 (Ethernet).
_FILE_HEADER = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, MAX_FRAME, 1)
_RECORD_HEADER = struct.Struct("<IIII").pack


class PcapWire:
    """A :class:`~.wires.Wire` from which nothing comes.  Another file of this name is replaced.

    A named pipe will do as well, with a reader that is there already; a reader
    that is too slow for it loses frames.  Raises :class:`InputError`.
    """

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.sent = self.received = self.dropped = 0
        self.failed = ""
        self._rest = _FILE_HEADER  # what has to be written before the next record
        try:
            # O_NONBLOCK is for pipes; a file is truncated only when it is known to be one.
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "not a file name"
            raise InputError(
                path, f"cannot be written ({why})", "give a path in a folder that exists; a pipe needs its reader first"
            ) from None
        if stat.S_ISREG(os.fstat(self._fd).st_mode):
            os.ftruncate(self._fd, 0)
        self._write(self._rest)

    def fileno(self) -> int | None:
        return None

    def send(self, frame: bytes) -> None:
        if self._rest and not self._write(self._rest):
            self.dropped += 1
            return
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        length = len(frame)
        if self._write(_RECORD_HEADER(seconds, nanoseconds, length, length) + frame) or self._rest:
            self.sent += 1
        else:
            self.dropped += 1

    def _write(self, data: bytes) -> bool:
        """Whether all of ``data`` is written; where some of it is, the rest waits in ``_rest``."""
        try:
            written = os.write(self._fd, data)
        except OSError:  # the pipe is full, its reader gone, or the disk full
            return False
        self._rest = data[written:]
        return not self._rest

    def receive(self, most: int) -> list[bytes]:
        return []

    def tick(self) -> None:
        pass

    def close(self) -> None:
        os.close(self._fd)
