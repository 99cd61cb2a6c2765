"""VIRTIO_F_IN_ORDER (virtio 1.4, 2.7.9 and 2.8.8): buffers are used in the order in which they were made available."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from .queue import Chain


class InOrder:
    """What was taken and is not used yet, in order, and what of it is finished and has to wait."""

    def __init__(self) -> None:
        self._taken: deque[Chain] = deque()
        self._finished: dict[Chain, int] = {}

    def take(self, chains: Iterable[Chain]) -> None:
        """These were taken, in this order."""
        self._taken += chains

    def untake(self, count: int) -> None:
        """The last ``count`` ones were given back."""
        for _ in range(count):
            self._taken.pop()

    def finish(self, done: Iterable[tuple[Chain, int]]) -> list[tuple[Chain, int]]:
        """``done`` is finished: gives what can be used now, in order."""
        taken, finished = self._taken, self._finished
        finished.update(done)
        ready = []
        while taken and taken[0] in finished:
            chain = taken.popleft()
            ready.append((chain, finished.pop(chain)))
        return ready


def batches(done: Sequence[tuple[Chain, int]]) -> list[list[tuple[Chain, int]]]:
    """``done`` in batches that one used entry can stand for.

    The driver takes the skipped ones for written completely, so only the last of a batch may be anything else (D113).
    """
    found: list[list[tuple[Chain, int]]] = [[]]
    for chain, written in done:
        found[-1].append((chain, written))
        if chain.refused or written != chain.writable_len:
            found.append([])
    return [batch for batch in found if batch]
