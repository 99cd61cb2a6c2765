"""Devices that are wrong about packed virtqueues."""

from __future__ import annotations

from collections.abc import Sequence

from virtionet_ipsec.virtqueue.descriptors import DESCRIPTOR, INDIRECT, USED, WRITE, Malformed
from virtionet_ipsec.virtqueue.packed import PackedQueue
from virtionet_ipsec.virtqueue.queue import Chain

from ..mutant import breaks
from ..ringed import Ringed

Descriptor = tuple[int, int, int, int]
Done = Sequence[tuple[Chain, int]]
_MARKS = 1 << 7 | 1 << 15


def _event(queue: PackedQueue) -> int:
    """The flags of the driver's event suppression structure."""
    return int(queue._driver_event[0]) >> 16 & 3


# -- descriptors -------------------------------------------------------------------------------------------------


@breaks("packed.dev.used-marks")
class OneLap(Ringed):
    """The wrap counter of used descriptors never changes."""

    class packed(PackedQueue):  # noqa: N801
        def finish(self, done: Done) -> None:
            super().finish(done)
            self._used_wrap = 1


@breaks("packed.dev.used-marks")
class UsedAlone(Ringed):
    """AVAIL is cleared in used descriptors."""

    class packed(PackedQueue):  # noqa: N801
        def finish(self, done: Done) -> None:
            first = self._used
            super().finish(done)
            self._flags[first] &= ~(1 << 7)


@breaks("packed.dev.skips")
class SkipsOne(Ringed):
    """The next used descriptor is written right behind the one before."""

    class packed(PackedQueue):  # noqa: N801
        def finish(self, done: Done) -> None:
            for chain, _ in done:
                self._outstanding -= chain.span - 1
                chain.span = 1
            super().finish(done)


@breaks("packed.dev.skips")
class MarksAll(Ringed):
    """Every descriptor of a list is marked as used."""

    class packed(PackedQueue):  # noqa: N801
        def finish(self, done: Done) -> None:
            places = [(chain.place, chain.span) for chain, _ in done]
            super().finish(done)
            for place, span in places:
                for number in range(1, span):
                    self._flags[(place + number) % self.size] ^= _MARKS & ~USED


@breaks("packed.dev.length")
class NoLength(Ringed):
    """Used descriptors say that nothing was written."""

    class packed(PackedQueue):  # noqa: N801
        def finish(self, done: Done) -> None:
            super().finish([(chain, 0) for chain, _ in done])


@breaks("packed.dev.length")
class WholeRoom(Ringed):
    """Used descriptors say how many octets could have been written."""

    class packed(PackedQueue):  # noqa: N801
        def finish(self, done: Done) -> None:
            super().finish([(chain, chain.writable_len) for chain, _ in done])


@breaks("packed.dev.processes-in-order")
class LastFirst(Ringed):
    """Of several buffers the last one is processed first."""

    class packed(PackedQueue):  # noqa: N801
        def take(self, most: int) -> list[Chain]:
            return super().take(most)[::-1]


@breaks("packed.dev.readable-untouched")
class WritesReadable(Ringed):
    """The first octet of a device-readable buffer is changed when it was read."""

    class packed(PackedQueue):  # noqa: N801
        def take(self, most: int) -> list[Chain]:
            chains = super().take(most)
            for chain in chains:
                address, length, _, flags = DESCRIPTOR.unpack_from(self._ring, 16 * chain.place)
                if not flags & WRITE and length:
                    self._memory.view(address, 1)[0] ^= 0xFF
            return chains


@breaks("packed.dev.available-only")
class LooksAtUsed(Ringed):
    """A descriptor is taken for available if USED is not the wrap counter."""

    class packed(PackedQueue):  # noqa: N801
        def take(self, most: int) -> list[Chain]:
            flags = self._flags[self._next]
            _, length, _, _ = DESCRIPTOR.unpack_from(self._ring, 16 * self._next)
            if length and bool(flags & USED) != bool(self._wrap):
                self._flags[self._next] = flags & ~_MARKS | (1 << 7 if self._wrap else USED)
            return super().take(most)


@breaks("packed.dev.used-unchanged")
class CleansUp(Ringed):
    """The address in a used descriptor is cleared when the next one is written."""

    class packed(PackedQueue):  # noqa: N801
        last = -1

        def finish(self, done: Done) -> None:
            before, self.last = self.last, self._used
            super().finish(done)
            if before >= 0:
                self._words[2 * before] = 0


@breaks("packed.dev.list-order")
class FirstLast(Ringed):
    """The first descriptor of a list is taken for the last."""

    class packed(PackedQueue):  # noqa: N801
        def _buffer(self, place: int, descriptors: list[Descriptor]) -> tuple[Chain, int]:
            return super()._buffer(place, [*descriptors[1:], descriptors[0]])


# -- indirect tables -----------------------------------------------------------------------------------------------


@breaks("packed.dev.indirect-flags-ignored")
class FlagsInTables(Ringed):
    """A table with other flags than WRITE is refused."""

    class packed(PackedQueue):  # noqa: N801
        def _table(self, descriptors: list[Descriptor]) -> list[tuple[int, int, int]]:
            elements = super()._table(descriptors)
            if any(flags & ~WRITE for _, _, flags in elements):
                raise Malformed("flags in an indirect table")
            return elements


@breaks("packed.dev.indirect-flags-ignored")
class WritableTable(Ringed):
    """A descriptor with both INDIRECT and WRITE is refused."""

    class packed(PackedQueue):  # noqa: N801
        def _table(self, descriptors: list[Descriptor]) -> list[tuple[int, int, int]]:
            if descriptors[0][3] & WRITE:
                raise Malformed("a table that the device may write")
            return super()._table(descriptors)


@breaks("packed.dev.indirect-id-ignored")
class IdOfTheTable(Ringed):
    """The Buffer ID is that of the table's last descriptor."""

    class packed(PackedQueue):  # noqa: N801
        def _buffer(self, place: int, descriptors: list[Descriptor]) -> tuple[Chain, int]:
            chain, work = super()._buffer(place, descriptors)
            address, length, _, flags = descriptors[0]
            if flags & INDIRECT:
                *_, (_, _, chain.id, _) = DESCRIPTOR.iter_unpack(self._memory.read(address, length))
            return chain, work


# -- notifications -------------------------------------------------------------------------------------------------


@breaks("packed.dev.event-enabled")
class NotifiesOfSeveral(Ringed):
    """One buffer alone is not worth a notification."""

    class packed(PackedQueue):  # noqa: N801
        def interrupt_wanted(self) -> bool:
            count = self._untold
            return super().interrupt_wanted() and (count > 1 or _event(self) == 2)


@breaks("packed.dev.event-disabled")
class NotifiesAnyway(Ringed):
    """RING_EVENT_FLAGS_DISABLE is not looked at."""

    class packed(PackedQueue):  # noqa: N801
        def interrupt_wanted(self) -> bool:
            count = self._untold
            return super().interrupt_wanted() or (bool(count) and _event(self) == 1)


@breaks("packed.dev.event-descriptor")
class LastOfBatch(Ringed):
    """Of several buffers used at once only the last one is held against the event."""

    class packed(PackedQueue):  # noqa: N801
        def interrupt_wanted(self) -> bool:
            if _event(self) == 2:
                self._untold = min(self._untold, 1)
            return super().interrupt_wanted()


@breaks("packed.dev.event-other-descriptor")
class AnyDescriptor(Ringed):
    """RING_EVENT_FLAGS_DESC is taken for RING_EVENT_FLAGS_ENABLE."""

    class packed(PackedQueue):  # noqa: N801
        def interrupt_wanted(self) -> bool:
            count = self._untold
            return super().interrupt_wanted() or (bool(count) and _event(self) == 2)


@breaks("packed.dev.event-other-descriptor")
class AnyLap(Ringed):
    """The wrap counter of the event is not looked at."""

    class packed(PackedQueue):  # noqa: N801
        def interrupt_wanted(self) -> bool:
            count, before = self._untold, self._driver_event[0]
            wanted = super().interrupt_wanted()
            if _event(self) != 2:
                return wanted
            self._driver_event[0] = before ^ 1 << 15
            self._untold = count
            wanted |= super().interrupt_wanted()
            self._driver_event[0] = before
            return wanted
