"""A split queue's part of the in-flight region: vhost-user.rst's QueueRegionSplit."""

from __future__ import annotations

from .inflight import SPLIT_ENTRY, SPLIT_HEADER, VERSION, Contradiction, check_header, check_length, following
from .memory import items

# Header: features u64, version u16, desc_num u16, last_batch_head u16, used_idx u16.  Places in units of two octets.
_VERSION, _DESC_NUM, _LAST_BATCH_HEAD, _USED_IDX = 4, 5, 6, 7


class SplitInflight:
    """``octets`` of the region for a queue of ``size``.  ValueError when they are too few.

    For each descriptor: inflight u8, 5 unused, next u16, counter u64; only those of heads count.
    """

    def __init__(self, octets: memoryview, size: int) -> None:
        check_length(octets, size, packed=False)
        entries = octets[SPLIT_HEADER : SPLIT_HEADER + SPLIT_ENTRY * size]
        self._size = size
        self._header = items(octets[:SPLIT_HEADER], "H")
        self._inflight = entries[::16]
        self._next = items(entries, "H")[3::8]
        self._counters = items(entries, "Q")[1::2]
        self._counter = 0
        self._last_batch_head = 0

    def resume(self, used_index: int) -> list[int]:
        """The heads in flight, in the order they were taken; starts a region that was never used.

        ``used_index`` is the index in the used ring.  Raises Contradiction.
        """
        header, size = self._header, self._size
        if not header[_VERSION]:
            header[_DESC_NUM] = size
            header[_USED_IDX] = used_index
            header[_VERSION] = VERSION
            return []
        check_header(header[_VERSION], header[_DESC_NUM], size)
        batch = (used_index - header[_USED_IDX]) & 0xFFFF
        if batch > size:
            raise Contradiction(f"the used index is {batch} ahead of the in-flight region's")
        # The driver was shown the last batch, and the backend was killed before it said so.
        head = header[_LAST_BATCH_HEAD]
        for _ in range(batch):
            if head >= size:
                raise Contradiction(f"the last batch in the in-flight region names descriptor {head} of {size}")
            self._inflight[head] = 0
            head = self._next[head]
        header[_USED_IDX] = used_index
        found = sorted((self._counters[head], head) for head in range(size) if self._inflight[head])
        if found:
            self._counter = following(found[-1][0])
        return [head for _, head in found]

    def take(self, heads: list[int]) -> None:
        """These were taken, in this order."""
        for head in heads:
            self._counters[head] = self._counter
            self._inflight[head] = 1
            self._counter = following(self._counter)

    def untake(self, heads: list[int]) -> None:
        """These were given back, the last one taken first."""
        for head in heads:
            self._inflight[head] = 0

    def using(self, heads: list[int]) -> None:
        """These are about to be used: the used index has not changed yet."""
        for head in heads:
            self._next[head] = self._last_batch_head
            self._header[_LAST_BATCH_HEAD] = self._last_batch_head = head

    def used(self, heads: list[int], used_index: int) -> None:
        """These are used: the used index is ``used_index`` now."""
        for head in heads:
            self._inflight[head] = 0
        self._header[_USED_IDX] = used_index
