"""Writing pcapng files, with a comment for each packet (draft-ietf-opsawg-pcapng).

Little-endian, timestamps in nanoseconds.  Whole blocks gather in memory and go
to the file together, so that what is in the file after :meth:`PcapngWriter.close`
ends with a whole packet, whenever Ctrl-C came.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterable
from types import TracebackType
from typing import BinaryIO, Literal, Self

from .captured import CHUNK, MAX_RECORD, CaptureError, reason
from .pcapng import (
    BYTE_ORDER_MAGIC,
    ENHANCED_PACKET,
    IF_NAME,
    IF_TSRESOL,
    INTERFACE_DESCRIPTION,
    OPT_COMMENT,
    OPT_ENDOFOPT,
    SECTION_HEADER,
)

_SHB_HARDWARE, _SHB_OS, _SHB_USERAPPL = 2, 3, 4
_EPB_FLAGS = 2
_DIRECTION_BITS = {"inbound": 1, "outbound": 2}

_MAX_TIME = (1 << 64) - 1
_MAX_OPTION = 0xFFFF
_CACHED_OPTIONS = 4096

_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")
_packet_head = struct.Struct("<7I").pack
_length = struct.Struct("<I").pack

FlagsDirection = Literal["inbound", "outbound"]


class PcapngWriter:
    """A pcapng file that packets are appended to.

    ``file`` is a path, or a binary stream, which is then left open.
    ``linktype`` and ``snaplen`` (0 is no limit) describe interface 0;
    ``hardware``, ``os_name`` and ``userappl`` go into the section header.

    Raises CaptureError when the file cannot be written; but BrokenPipeError as
    it is, for that is the reader's choice and no error.
    """

    def __init__(
        self,
        file: str | os.PathLike[str] | BinaryIO,
        linktype: int,
        *,
        hardware: str = "",
        os_name: str = "",
        userappl: str = "virtionet-ipsec",
        snaplen: int = MAX_RECORD,
    ) -> None:
        self._owned = isinstance(file, (str, os.PathLike))
        self._name = os.fspath(file) if isinstance(file, (str, os.PathLike)) else str(getattr(file, "name", "output"))
        self._closed = False
        self._snaplen = snaplen
        self._interfaces = 0
        self._options: dict[tuple[str | bytes | None, FlagsDirection | None], bytes] = {}
        try:
            # close() closes what is opened here.
            self._file: BinaryIO = open(file, "wb") if isinstance(file, (str, os.PathLike)) else file  # noqa: SIM115
            self._seekable = self._file.seekable()
            start = self._file.tell() if self._seekable else 0
        except (OSError, ValueError) as error:
            raise self._unwritable(error) from None
        self._pending = (start, bytearray())  # where the gathered blocks go, and they
        texts = ((_SHB_HARDWARE, hardware), (_SHB_OS, os_name), (_SHB_USERAPPL, userappl))
        options = _options((code, text.encode()) for code, text in texts if text)
        # The section's length is not known in advance: -1.
        self._append(_block(SECTION_HEADER, struct.pack("<IHHq", BYTE_ORDER_MAGIC, 1, 0, -1) + options))
        self.add_interface(linktype)
        self.flush()

    def add_interface(self, linktype: int, name: str = "") -> int:
        """Describe one more interface; returns its number, for :meth:`write`."""
        options = [(IF_NAME, name.encode())] if name else []
        options.append((IF_TSRESOL, b"\x09"))
        body = struct.pack("<HHI", linktype, 0, self._snaplen) + _options(options)
        self._append(_block(INTERFACE_DESCRIPTION, body))
        self._interfaces += 1
        return self._interfaces - 1

    def write(
        self,
        data: bytes | bytearray | memoryview,
        time_ns: int,
        comment: str | bytes | None = None,
        flags_direction: FlagsDirection | None = None,
        *,
        interface: int = 0,
        orig_len: int | None = None,
    ) -> None:
        """Append a packet.

        ``time_ns`` is in nanoseconds since 1970; what a 64-bit timestamp cannot
        hold becomes the nearest that it can.  ``comment`` (UTF-8) is cut at
        65,535 octets.  ``orig_len`` is the packet's length before it was cut,
        if that is not the length of ``data``.
        """
        options = self._options.get((comment, flags_direction))
        if options is None:
            options = self._encode_options(comment, flags_direction)
        if not 0 <= time_ns <= _MAX_TIME:
            time_ns = 0 if time_ns < 0 else _MAX_TIME
        captured = len(data)
        padding = _PADDING[captured & 3]
        total = 32 + captured + len(padding) + len(options)
        head = _packet_head(
            ENHANCED_PACKET,
            total,
            interface,
            time_ns >> 32,
            time_ns & 0xFFFFFFFF,
            captured,
            captured if orig_len is None else orig_len,
        )
        gathered = self._pending[1]
        # One call appends the whole block: an interrupt falls before or after it.
        gathered += b"".join((head, data, padding, options, _length(total)))
        if len(gathered) >= CHUNK:
            self.flush()

    def flush(self) -> None:
        """Hand what has gathered to the file.  Raises CaptureError when that fails.

        An interrupt may fall between any two steps.  In a file the blocks
        count as gathered until they are written, and writing them again, at the
        same place, does no harm.  In a pipe they cannot be written again, so
        there they are forgotten first: an interrupt may cut the last block.
        """
        start, gathered = self._pending
        after = (start + len(gathered), bytearray())
        try:
            if self._seekable:
                self._file.seek(start)
                self._file.write(gathered)
                self._file.flush()
                self._pending = after
            else:
                self._pending = after
                self._file.write(gathered)
                self._file.flush()
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:
            raise self._unwritable(error) from None

    def close(self) -> None:
        """Write what has gathered, and close the file if it was opened here.  Closing twice does nothing."""
        if self._closed:
            return
        try:
            self.flush()
        finally:
            self._closed = True
            if self._owned:
                # After a flush that failed, closing fails once more; one error is enough.
                with contextlib.suppress(OSError):
                    self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, block: bytes) -> None:
        gathered = self._pending[1]
        gathered += block

    def _encode_options(self, comment: str | bytes | None, direction: FlagsDirection | None) -> bytes:
        options: list[tuple[int, bytes]] = []
        if comment is not None:
            options.append((OPT_COMMENT, _clip(comment)))
        if direction is not None:
            options.append((_EPB_FLAGS, _length(_DIRECTION_BITS[direction])))
        encoded = _options(options) if options else b""
        if len(self._options) >= _CACHED_OPTIONS:
            self._options.clear()
        self._options[comment, direction] = encoded
        return encoded

    def _unwritable(self, error: OSError | ValueError) -> CaptureError:
        return CaptureError(self._name, f"cannot be written ({reason(error)})", "name a file on a disk with room")


def _clip(comment: str | bytes) -> bytes:
    """A comment as UTF-8 of at most 65,535 octets, cut between characters."""
    text = comment.encode("utf-8", "replace") if isinstance(comment, str) else comment
    if len(text) <= _MAX_OPTION:
        return text
    return text[:_MAX_OPTION].decode("utf-8", "ignore").encode()


def _options(options: Iterable[tuple[int, bytes]]) -> bytes:
    """A list of options, each padded to 4 octets, and its end."""
    parts = [struct.pack("<HH", code, len(value)) + value + _PADDING[len(value) & 3] for code, value in options]
    return b"".join(parts) + struct.pack("<HH", OPT_ENDOFOPT, 0)


def _block(kind: int, body: bytes) -> bytes:
    total = _length(12 + len(body))
    return _length(kind) + total + body + total
