"""Wires: where frames leave the host and come from (``--wire``).

tap:NAME       a tap interface of this machine
socket:PATH    another process, such as a second backend (AF_UNIX, SOCK_SEQPACKET, one frame a message)
pcap:FILE      a capture of all that is sent
loopback       what is sent arrives again
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ..input_error import InputError, printable
from .loopback import Loopback
from .pcap_wire import PcapWire
from .socket_wire import SocketWire
from .tap import Tap


class Wire(Protocol):
    """Carries Ethernet frames of at most :data:`~.frames.MAX_FRAME` octets.  Nothing here blocks, and nothing raises.

    ``name`` is what the user called it.  ``sent``, ``received`` and ``dropped``
    count frames; a frame that cannot be sent now is dropped.  ``failed`` says
    in words why it works no more, and is empty while it does.
    """

    name: str
    sent: int
    received: int
    dropped: int
    failed: str

    def fileno(self) -> int | None:
        """What is readable when frames have come: the same as long as it lives; None for a wire that none come from."""

    def send(self, frame: bytes) -> None:
        """Send ``frame``, or drop it."""

    def receive(self, most: int) -> list[bytes]:
        """Up to ``most`` frames that have come; fewer when there are no more."""

    def tick(self) -> None:
        """About once a second: look whether what was lost can be had again."""

    def close(self) -> None:
        """Give back what it holds."""


_Open = Callable[[str, str], Wire]
_KINDS: dict[str, _Open] = {"tap": Tap, "pcap": PcapWire, "socket": SocketWire}


def open_wire(text: str) -> Wire:
    """The wire that ``text`` names.  Raises :class:`InputError` for one that is not known or cannot be opened."""
    if text == "loopback":
        return Loopback(text)
    kind, colon, rest = text.partition(":")
    opened = _KINDS.get(kind)
    if opened is None or not colon or not rest:
        known = ", ".join(f"{name}:{'NAME' if name == 'tap' else 'PATH'}" for name in _KINDS)
        raise InputError(f"wire {printable(text)!r}", "is not known", f"give one of: {known}, loopback")
    return opened(text, rest)


def open_wires(texts: Sequence[str]) -> list[Wire]:
    """All wires, or none.  Raises :class:`InputError`, also for one that is named twice."""
    wires: list[Wire] = []
    try:
        for number, text in enumerate(texts):
            if text in texts[:number]:
                raise InputError(f"wire {printable(text)!r}", "is given twice", "give each wire once")
            wires.append(open_wire(text))
    except InputError:
        for wire in wires:
            wire.close()
        raise
    return wires
