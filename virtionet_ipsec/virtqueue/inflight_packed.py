"""A packed queue's part of the in-flight region: vhost-user.rst's QueueRegionPacked.

Taken buffers have entries there with a copy of their descriptors, since the ring's may be overwritten.  All entries are
in one list that ``next`` links: those that are free, the last of which has ``desc_num``, and before, buffer by buffer.
``free_head`` is where an update in progress stands, ``old_free_head`` what holds if there is a kill; the used index and
its wrap counter are there twice for the same reason.

What is committed changes in one store: both heads together, and the used position with its old value together.  One
after the other, they could be found with the index of one moment and the wrap counter of another (D118).
"""

from __future__ import annotations

from typing import NamedTuple

from .descriptors import MARKS, available_marks
from .inflight import PACKED_ENTRY, PACKED_HEADER, VERSION, Contradiction, check_header, check_length, following
from .memory import items
from .positions import Position
from .queue import Chain

# Header: features u64, version u16, desc_num u16, free_head u16, old_free_head u16, used_idx u16, old_used_idx u16,
# used_wrap_counter u8, old_used_wrap_counter u8.  Places in units of 2, of 4 and of 8 octets.
_VERSION, _DESC_NUM, _FREE_HEAD, _OLD_FREE_HEAD = 4, 5, 6, 7
_FREE_HEADS = 3
_USED = 2

Descriptor = tuple[int, int, int, int]
"""Address, length, id, flags."""


class Found(NamedTuple):
    """A buffer in flight: its entries, and its descriptors."""

    entries: tuple[int, int]  # the first and the last one
    descriptors: list[Descriptor]


def _used_word(new: Position, old: Position) -> int:
    return new[0] | old[0] << 16 | new[1] << 32 | old[1] << 40


class PackedInflight:
    """``octets`` of the region for a queue of ``size``.  ValueError when they are too few.

    Entries: inflight u8, 1 unused, next u16, last u16, num u16, counter u64, and of a descriptor id u16, flags u16,
    len u32, addr u64; inflight, last, num and counter count in a buffer's first one.
    """

    def __init__(self, octets: memoryview, size: int) -> None:
        check_length(octets, size, packed=True)
        entries = octets[PACKED_HEADER : PACKED_HEADER + PACKED_ENTRY * size]
        self._size = size
        self._header = items(octets[:PACKED_HEADER], "H")
        self._header_ints = items(octets[:PACKED_HEADER], "I")
        self._header_longs = items(octets[:PACKED_HEADER], "Q")
        self._inflight = entries[::32]
        shorts, longs = items(entries, "H"), items(entries, "Q")
        self._next, self._last, self._num = shorts[1::16], shorts[2::16], shorts[3::16]
        self._counters, self._words, self._addresses = longs[1::4], longs[2::4], longs[3::4]

        self._counter = 0
        self._free = 0
        self._links: list[int] = []  # as in next
        self._position = (0, 1)
        self._taken: dict[Chain, tuple[int, int]] = {}  # first and last entry

    def resume(self, position: Position, ring_flags: memoryview) -> tuple[Position, list[Found]]:
        """The used position to go on from, and what is in flight, in the order it was taken.

        A region that was never used is started with ``position``.  ``ring_flags`` are those of the descriptor ring.
        Raises Contradiction.
        """
        header, size = self._header, self._size
        if not header[_VERSION]:
            self._links = list(range(1, size + 1))
            for entry, link in enumerate(self._links):
                self._next[entry] = link
            header[_DESC_NUM] = size
            self._commit(0, position)
            header[_VERSION] = VERSION
            return position, []
        check_header(header[_VERSION], header[_DESC_NUM], size)
        self._links = self._next.tolist()
        free, position = self._last_batch(ring_flags)
        self._commit(free, position)
        unused = self._walk(free, size)
        if (self._links[unused[-1]] if unused else free) != size:
            raise Contradiction("the free list of the in-flight region has no end")
        for entry in unused:
            self._inflight[entry] = 0
        found = sorted((self._counters[entry], entry) for entry in range(size) if self._inflight[entry])
        if found:
            self._counter = following(found[-1][0])
        buffers = [self._walk(entry, self._num[entry]) for _, entry in found]
        if sorted(entry for entries in [unused, *buffers] for entry in entries) != list(range(size)):
            raise Contradiction("not every entry of the in-flight region is free or of one buffer")
        return position, [Found((each[0], each[-1]), [self._descriptor(entry) for entry in each]) for each in buffers]

    def _last_batch(self, ring_flags: memoryview) -> tuple[int, Position]:
        """The free list and the used position: with the last batch if the driver was shown it, otherwise without."""
        word = self._header_longs[_USED]
        new = word & 0xFFFF, word >> 32 & 1
        old = word >> 16 & 0xFFFF, word >> 40 & 1
        if new[0] >= self._size or old[0] >= self._size:
            raise Contradiction(f"the in-flight region's used index is {max(new[0], old[0])} of {self._size}")
        if new != old and ring_flags[old[0]] & MARKS != available_marks(old[1]):
            return self._header[_FREE_HEAD], new
        return self._header[_OLD_FREE_HEAD], old

    def _walk(self, entry: int, count: int) -> list[int]:
        """Up to ``count`` entries from ``entry`` on, fewer where the list ends."""
        found: list[int] = []
        while entry < self._size and len(found) < min(count, self._size):
            found.append(entry)
            entry = self._links[entry]
        return found

    def _descriptor(self, entry: int) -> Descriptor:
        word = self._words[entry]
        return self._addresses[entry], word >> 32, word & 0xFFFF, word >> 16 & 0xFFFF

    def _commit(self, free: int, position: Position) -> None:
        self._free, self._position = free, position
        self._header_ints[_FREE_HEADS] = free | free << 16
        self._header_longs[_USED] = _used_word(position, position)

    def resumed(self, chain: Chain, entries: tuple[int, int]) -> None:
        """``chain`` is what was found there."""
        self._taken[chain] = entries

    def take(self, taken: list[tuple[Chain, list[Descriptor]]]) -> None:
        """These were taken, with these descriptors of the ring."""
        for chain, descriptors in taken:
            first = last = self._free
            for address, length, name, flags in descriptors:
                last = self._free
                self._words[last] = name | flags << 16 | length << 32
                self._addresses[last] = address
                self._free = self._links[last]
            self._last[first] = last
            self._num[first] = len(descriptors)
            self._counters[first] = self._counter
            self._inflight[first] = 1
            self._counter = following(self._counter)
            self._taken[chain] = first, last
        self._header_ints[_FREE_HEADS] = self._free | self._free << 16

    def _put_back(self, chains: list[Chain]) -> list[int]:
        """Links the entries of ``chains`` in front of the free list, where nobody looks yet; gives the first ones."""
        entries = []
        for chain in chains:
            first, last = self._taken.pop(chain)
            self._next[last] = self._links[last] = self._free
            self._free = first
            entries.append(first)
        return entries

    def untake(self, chains: list[Chain]) -> None:
        """These were given back, the last one taken first."""
        entries = self._put_back(chains)
        self._header_ints[_FREE_HEADS] = self._free | self._free << 16
        for entry in entries:
            self._inflight[entry] = 0

    def using(self, chains: list[Chain], position: Position) -> list[int]:
        """These are about to be used, which moves the used position to ``position``; gives what ``used`` needs."""
        entries = self._put_back(chains)
        self._header[_FREE_HEAD] = self._free
        self._header_longs[_USED] = _used_word(position, self._position)
        return entries

    def used(self, entries: list[int], position: Position) -> None:
        """The driver was shown them."""
        for entry in entries:
            self._inflight[entry] = 0
        self._commit(self._free, position)
