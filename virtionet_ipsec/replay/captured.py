"""What every capture reader takes, yields and raises.

Capture files come from anywhere: every length in them is a claim.  A reader
answers a false one with :class:`CaptureError`, which is one line for a person,
and a file that ends inside its last record with ``truncated``; it raises
nothing else and never holds more than one record beyond a chunk in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from ..input_error import InputError

CHUNK = 1 << 20

# The largest snapshot length that capture tools use; more is a damaged length field.
MAX_RECORD = 262_144


class Packet(NamedTuple):
    """One captured packet.

    ``index`` counts from 1; ``time_ns`` is in nanoseconds since 1970 (0 where
    the file has no time); ``data`` is what was captured of ``orig_len`` octets;
    ``linktype`` says what ``data`` begins with (see :mod:`.linktypes`);
    ``interface`` counts a pcapng file's interfaces from 0, over all its sections.
    """

    index: int  # type: ignore[assignment]  # tuple has a method of this name, which nobody wants of a packet
    time_ns: int
    data: bytes
    orig_len: int
    linktype: int
    interface: int


class CaptureError(InputError):
    """A capture file that cannot be read, or a file that cannot be written."""


class Source:
    """The bytes of a capture, in order and once, and what is to be said about them."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.name = name
        self.truncated: str | None = None
        # read1 hands over what a pipe has instead of waiting for a whole chunk.
        self._read: Callable[[int], bytes | None] = getattr(stream, "read1", stream.read)

    def read(self) -> bytes:
        """The next bytes, at most a chunk; none at the end.  Raises CaptureError when reading fails."""
        try:
            return self._read(CHUNK) or b""
        except (OSError, ValueError) as error:
            raise CaptureError(self.name, f"cannot be read ({reason(error)})", "check the file or the pipe") from None

    def error(self, what: str, offset: int, mend: str) -> CaptureError:
        """A CaptureError about what lies ``offset`` bytes into the file."""
        return CaptureError(f"{self.name}: byte {offset}", what, mend)

    def damaged(self, what: str, offset: int) -> CaptureError:
        """A CaptureError for a file that contradicts itself."""
        return self.error(what, offset, f"the file is damaged there: cut it before byte {offset}, or capture again")

    def cut_short(self, unit: str, offset: int, have: int, need: int | None) -> None:
        """Note that the file ended inside the ``unit`` at ``offset``, ``have`` of ``need`` bytes in."""
        of = f" of {need}" if need is not None else ""
        self.truncated = f"{unit} at byte {offset} is cut short: {have}{of} bytes are there"


def reason(error: OSError | ValueError) -> str:
    """What an operating system error says, without its numbers and names."""
    return getattr(error, "strerror", None) or type(error).__name__
