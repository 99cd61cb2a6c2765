"""Devices that are wrong about split virtqueues."""

from __future__ import annotations

from collections.abc import Sequence

from virtionet_ipsec.virtqueue.descriptors import DESCRIPTOR, INDIRECT, NEXT, WRITE, Malformed
from virtionet_ipsec.virtqueue.notifications import passed
from virtionet_ipsec.virtqueue.queue import Chain
from virtionet_ipsec.virtqueue.split import SplitQueue

from ..mutant import breaks
from ..ringed import Ringed

Elements = list[tuple[int, int, int]]
Descriptor = tuple[int, int, int, int]


# -- buffers -----------------------------------------------------------------------------------------------------


@breaks("split.dev.any-arrangement")
class WholeHeader(Ringed):
    """The first descriptor has to hold 12 octets, a whole virtio_net_hdr."""

    class split(SplitQueue):  # noqa: N801
        def _follow(self, first: Descriptor, elements: Elements) -> None:
            super()._follow(first, elements)
            if len(elements) > 1 and elements[0][1] < 12:
                raise Malformed("the header is cut")


@breaks("split.dev.any-arrangement")
class FourDescriptors(Ringed):
    """What is in a fifth descriptor, and behind it, is not seen."""

    class split(SplitQueue):  # noqa: N801
        def _follow(self, first: Descriptor, elements: Elements) -> None:
            super()._follow(first, elements)
            del elements[4:]


@breaks("split.dev.readable-untouched")
class WritesReadable(Ringed):
    """The first octet of a device-readable buffer is cleared when it was read."""

    class split(SplitQueue):  # noqa: N801
        def take(self, most: int) -> list[Chain]:
            chains = super().take(most)
            for chain in chains:
                address, length, flags, _ = DESCRIPTOR.unpack_from(self._table, 16 * chain.id)
                if not flags & WRITE and length:
                    self._memory.view(address, 1)[0] ^= 0xFF
            return chains


@breaks("split.dev.table-untouched")
class MarksTheTable(Ringed):
    """next of a chain's head is overwritten when it was read."""

    class split(SplitQueue):  # noqa: N801
        def take(self, most: int) -> list[Chain]:
            chains = super().take(most)
            for chain in chains:
                self._table[16 * chain.id + 14] ^= 0xFF
            return chains


@breaks("split.dev.table-untouched")
class ClearsIndirect(Ringed):
    """The length of the first descriptor of an indirect table is cleared when it was read."""

    class split(SplitQueue):  # noqa: N801
        def _follow(self, first: Descriptor, elements: Elements) -> None:
            super()._follow(first, elements)
            if first[2] & INDIRECT:
                self._memory.view(first[0] + 8, 4)[:] = bytes(4)


@breaks("split.dev.indirect-write-ignored")
class WritableTable(Ringed):
    """A descriptor with both INDIRECT and WRITE is refused."""

    class split(SplitQueue):  # noqa: N801
        def _follow(self, first: Descriptor, elements: Elements) -> None:
            if first[2] & INDIRECT and first[2] & WRITE:
                raise Malformed("a table that the device may write")
            super()._follow(first, elements)


@breaks("split.dev.indirect-last")
class IndirectAlone(Ringed):
    """An indirect table is taken only from the first descriptor of a chain."""

    class split(SplitQueue):  # noqa: N801
        def _follow(self, first: Descriptor, elements: Elements) -> None:
            _, _, flags, following = first
            while flags & NEXT and following < self.size:
                _, _, flags, following = DESCRIPTOR.unpack_from(self._table, 16 * following)
                if flags & INDIRECT:
                    raise Malformed("an indirect table behind other descriptors")
            super()._follow(first, elements)


# -- used buffer notifications -------------------------------------------------------------------------------------


@breaks("split.dev.used-event-ignored")
class AlwaysByEvent(Ringed):
    """used_event counts without VIRTIO_F_EVENT_IDX, too."""

    class split(SplitQueue):  # noqa: N801
        def interrupt_wanted(self) -> bool:
            count = self._untold
            return super().interrupt_wanted() and passed(self._available[self._used_event], self._used_index, count)


@breaks("split.dev.flags-one")
class NotifiesAnyway(Ringed):
    """flags of the available ring is not looked at."""

    class split(SplitQueue):  # noqa: N801
        def interrupt_wanted(self) -> bool:
            count = self._untold
            return super().interrupt_wanted() or (bool(count) and not self._event_idx)


@breaks("split.dev.flags-zero")
class NotifiesOfSeveral(Ringed):
    """One buffer alone is not worth a notification."""

    class split(SplitQueue):  # noqa: N801
        def interrupt_wanted(self) -> bool:
            count = self._untold
            return super().interrupt_wanted() and (count > 1 or self._event_idx)


@breaks("split.dev.flags-ignored")
class FlagsBesideEvent(Ringed):
    """flags 1 suppresses notifications with VIRTIO_F_EVENT_IDX, too."""

    class split(SplitQueue):  # noqa: N801
        def interrupt_wanted(self) -> bool:
            return super().interrupt_wanted() and not self._available[0] & 1


@breaks("split.dev.event-reached")
class LastOfBatch(Ringed):
    """Of several buffers used at once only the last one is held against used_event."""

    class split(SplitQueue):  # noqa: N801
        def interrupt_wanted(self) -> bool:
            self._untold = min(self._untold, 1)
            return super().interrupt_wanted()


@breaks("split.dev.event-reached", "split.dev.event-not-reached")
class OneLater(Ringed):
    """The driver is notified one buffer behind used_event."""

    class split(SplitQueue):  # noqa: N801
        def interrupt_wanted(self) -> bool:
            if not self._event_idx:
                return super().interrupt_wanted()
            count, self._untold = self._untold, 0
            return passed(self._available[self._used_event] + 1, self._used_index, count)


@breaks("split.dev.event-not-reached")
class FromTheEventOn(Ringed):
    """Once used_event was passed, every buffer is notified of."""

    class split(SplitQueue):  # noqa: N801
        def interrupt_wanted(self) -> bool:
            count = self._untold
            wanted = super().interrupt_wanted()
            return wanted or (bool(count) and (self._used_index - self._available[self._used_event]) & 0xFFFF < 0x8000)


# -- the used ring -------------------------------------------------------------------------------------------------


@breaks("split.dev.length-first")
class NoLength(Ringed):
    """len of a used entry is left as it was."""

    class split(SplitQueue):  # noqa: N801
        def finish(self, done: Sequence[tuple[Chain, int]]) -> None:
            places = [2 * ((self._used_index + number) % self.size) + 1 for number in range(len(done))]
            before = [self._elements[place] for place in places]
            super().finish(done)
            for place, value in zip(places, before, strict=True):
                self._elements[place] = value


@breaks("split.dev.length-written")
class RoundsUp(Ringed):
    """len counts whole words of four octets."""

    class split(SplitQueue):  # noqa: N801
        def finish(self, done: Sequence[tuple[Chain, int]]) -> None:
            super().finish([(chain, written + 3 & ~3) for chain, written in done])


@breaks("split.dev.length-written")
class WritesBehind(Ringed):
    """What is received begins with the last device-writable element, if that has room."""

    class split(SplitQueue):  # noqa: N801
        def take(self, most: int) -> list[Chain]:
            chains = super().take(most)
            for chain in chains:
                chain.writable = chain.writable[-1:] + chain.writable[:-1]
            return chains


# -- available buffer notifications --------------------------------------------------------------------------------


@breaks("split.dev.used-flags")
class OddFlags(Ringed):
    """A reserved bit of flags is set while notifications are not wanted."""

    class split(SplitQueue):  # noqa: N801
        def ask_for_kicks(self, wanted: bool) -> bool:
            found = super().ask_for_kicks(wanted)
            if not wanted and not self._event_idx:
                self._used[0] = 3
            return found


@breaks("split.dev.used-flags-zero")
class FlagsWithEvent(Ringed):
    """flags of the used ring is 1 with VIRTIO_F_EVENT_IDX while notifications are not wanted."""

    class split(SplitQueue):  # noqa: N801
        def ask_for_kicks(self, wanted: bool) -> bool:
            found = super().ask_for_kicks(wanted)
            if self._event_idx:
                self._used[0] = int(not wanted)
            return found


@breaks("split.dev.spurious")
class TakesAgain(Ringed):
    """A notification with nothing available lets the last buffer be used once more."""

    class split(SplitQueue):  # noqa: N801
        last: Chain | None = None

        def take(self, most: int) -> list[Chain]:
            chains = super().take(most)
            if not chains and self.last is not None:
                chains, self.last = [self.last], None
                self._outstanding += 1
            elif chains:
                self.last = chains[-1]
            return chains


@breaks("split.dev.spurious")
class BreaksDown(Ringed):
    """A second notification with nothing available breaks the queue."""

    class split(SplitQueue):  # noqa: N801
        idle = 0

        def take(self, most: int) -> list[Chain]:
            chains = super().take(most)
            self.idle = 0 if chains else self.idle + 1
            if self.idle > 1:
                self.broken = "nothing is available"
            return chains
