"""Opening a capture file: which format it is, and its packets as a stream."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import chain
from types import TracebackType
from typing import BinaryIO, Self

from . import pcap, pcapng
from .captured import CaptureError, Packet, Source, reason

# What other files begin with, and what to do about them.
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ": "xz",
    b"BZh": "bzip2",
    b"\x04\x22\x4d\x18": "lz4",
}
_KUZNETSOV = (b"\x34\xcd\xb2\xa1", b"\xa1\xb2\xcd\x34")


class Capture:
    """An open capture: iterate over it once for its packets.

    ``format`` is ``pcap`` or ``pcapng``; ``linktype`` that of the first packet,
    or None for a pcapng file without packets.  A context manager; closing it
    closes the file if :func:`open_capture` opened it.
    """

    def __init__(self, stream: BinaryIO, name: str, *, owned: bool) -> None:
        self.name = name
        self._stream = stream
        self._owned = owned
        self._source = Source(stream, name)
        head = self._head()
        self.format: str = "pcapng" if head[:4] == pcapng.MAGIC else "pcap"
        self.linktype: int | None
        self._packets: Iterator[Packet]
        if self.format == "pcap":
            self.linktype, self._packets = pcap.open_pcap(self._source, head)
        else:
            packets = pcapng.open_pcapng(self._source, head)
            first = next(packets, None)
            self.linktype = first.linktype if first is not None else None
            self._packets = packets if first is None else chain((first,), packets)

    def _head(self) -> bytes:
        """The beginning of the file, enough for a file header, checked for its magic."""
        head = b""
        while len(head) < pcap.HEADER_LENGTH and (more := self._source.read()):
            head += more
        if head[:4] in pcap.MAGICS or head[:4] == pcapng.MAGIC:
            return head
        if not head:
            raise self._source.error("the file is empty", 0, "capture again")
        for magic, name in _COMPRESSED.items():
            if head.startswith(magic):
                raise self._source.error(
                    f"the file is compressed with {name}", 0, "decompress it first, or pipe it in decompressed as -"
                )
        if head[:4] in _KUZNETSOV:
            raise self._source.error(
                "this is the modified pcap of Kuznetsov's libpcap", 0, "convert it: editcap -F pcap FILE NEWFILE"
            )
        raise self._source.error(
            "this is neither pcap nor pcapng", 0, "convert it to one of them: editcap -F pcapng FILE NEWFILE"
        )

    @property
    def truncated(self) -> str | None:
        """After the last packet: how the file breaks off inside a record, or None if it does not."""
        return self._source.truncated

    def __iter__(self) -> Iterator[Packet]:
        return self._packets

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._owned:
            self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_capture(file: str | os.PathLike[str] | BinaryIO) -> Capture:
    """Open a pcap or pcapng file: a path, ``-`` for standard input, or a binary stream, which is never sought in.

    Raises CaptureError when it cannot be opened or is no capture; iterating
    raises it where the file contradicts itself.
    """
    if not isinstance(file, (str, os.PathLike)):
        return Capture(file, str(getattr(file, "name", "capture")), owned=False)
    if file == "-":
        if sys.stdin is None:
            raise CaptureError("standard input", "is closed", "pipe a capture in, or give a file")
        return Capture(sys.stdin.buffer, "standard input", owned=False)
    name = os.fspath(file)
    try:
        stream: BinaryIO = open(name, "rb", buffering=0)  # noqa: SIM115  Capture closes it
    except (OSError, ValueError) as error:
        raise CaptureError(name, f"cannot be opened ({reason(error)})", "give the path of a readable file") from None
    try:
        return Capture(stream, name, owned=True)
    except CaptureError:
        stream.close()
        raise
