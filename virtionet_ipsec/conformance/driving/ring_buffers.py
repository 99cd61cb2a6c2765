"""Buffers that checks put into rings: a packet, a command, and the pieces that they are cut into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from .by_hand import Element, Ring
from .frames import udp4_frame
from .rig import Rig

FRAME = udp4_frame(bytes(range(64)))


def outgoing(rig: Rig) -> bytes:
    """A transmit buffer, whose frame leaves as it is."""
    return rig.header() + FRAME


def no_command() -> bytes:
    """A command of the control virtqueue that there is not: every device answers with an octet, and does nothing."""
    return bytes((0xFE, 0xFE, 0xFE, 0xFE))


def cuts(length: int) -> Iterator[tuple[int, ...]]:
    """Where to cut a buffer of so many octets: nowhere, around the header, into seven octets and the rest, anywhere."""
    yield ()
    for at in (1, 10, 12, 20, 24, 32, 33, 46, length - 1):
        yield (at,)
    yield tuple(range(1, 8))
    yield (5, 12, 13, 32, 50, 60, 70)


def pieces(ring: Ring, octets: bytes, at: Sequence[int] = ()) -> list[Element]:
    """The octets in memory, each piece somewhere else."""
    bounds = [0, *at, len(octets)]
    return [ring.holding(octets[start:end]) for start, end in pairwise(bounds)]


def deliver(ring: Ring, lengths: Sequence[int]) -> tuple[list[Element], tuple[int, int]]:
    """Let a frame arrive in one receive buffer of such pieces; gives them, and what is said of the used buffer."""
    elements = [ring.room(length) for length in lengths]
    ring.give(elements)
    ring.arrive(FRAME)
    (used,) = ring.use()
    return elements, used
