"""The steps a packet takes through the engine, as small values.

They are made only when somebody observes.  None holds key material or
plaintext.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


class Event:
    """The base of every event."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class WindowChecked(Event):
    """RFC 4303 3.4.3: ``seq`` (in full, when extended) may pass the window below ``top``."""

    seq: int
    top: int
    size: int


@dataclass(frozen=True, slots=True)
class Verified(Event):
    """The ICV is good; ``algorithm`` made it.  ``length`` octets came out, trailer included."""

    algorithm: str
    length: int


@dataclass(frozen=True, slots=True)
class TrailerRead(Event):
    """RFC 4303 2.4-2.6: padding length in octets and next header."""

    pad_length: int
    next_header: int


@dataclass(frozen=True, slots=True)
class HeadersRemoved(Event):
    """The plain IP packet, ``length`` octets, is out of its outer headers."""

    mode: str
    length: int


@dataclass(frozen=True, slots=True)
class EcnCombined(Event):
    """RFC 6040 4.2: two codepoints made one; ``unexpected`` marks what no encapsulator makes."""

    inner: int
    outer: int
    result: int
    unexpected: bool


@dataclass(frozen=True, slots=True)
class SoftLifetimeReached(Event):
    """D15: the count that includes this packet reached a soft limit."""

    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Protected(Event):
    """An outbound packet got sequence number ``seq``; ``length`` is the whole IP packet's."""

    protocol: str
    mode: str
    seq: int
    algorithm: str
    length: int


Observer = Callable[[Event], None]
