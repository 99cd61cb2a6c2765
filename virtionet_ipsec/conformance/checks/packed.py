"""Packed virtqueues, virtio 1.4, 2.8."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...virtqueue.port import Rings
from ...wire.enums import Feature
from ..check import check
from ..driving.by_hand import CONTROLQ, INDIRECT, NEXT, RECEIVEQ1, SIZE, TRANSMITQ1, WRITE, Element, start
from ..driving.frames import udp4_frame
from ..driving.packed_ring import AVAIL, DESC, DISABLE, ENABLE, USED, PackedRing
from ..driving.rig import Rig
from ..driving.ring_buffers import FRAME, cuts, deliver, no_command, outgoing, pieces

_PLAIN = Rings(packed=True, indirect=False, event_idx=False, size=SIZE)
_INDIRECT = Rings(packed=True, indirect=True, event_idx=False, size=SIZE)
_EVENTS = Rings(packed=True, indirect=False, event_idx=True, size=SIZE)


def _ring(rig: Rig, wanted: Rings = _PLAIN, index: int = TRANSMITQ1, size: int = SIZE) -> PackedRing:
    needed = (Feature.CTRL_VQ,) if index == CONTROLQ else ()
    return PackedRing(start(rig, wanted, *needed), index, size)


def _sent(rig: Rig, ring: PackedRing, what: str, count: int = 1) -> None:
    """Buffers of the check's frame, which are available, are used, and the frame leaves as often."""
    ring.use(count)
    rig.equal(f"frames on the wire {what}", (FRAME,) * count, ring.frames())


def _transmit(rig: Rig, ring: PackedRing, count: int = 1, length: int = 1) -> None:
    """Send packets, each in a list of ``length`` descriptors."""
    cut = tuple(range(1, length))
    ring.give(*(pieces(ring, outgoing(rig), cut) for _ in range(count)))
    ring.use(count)


# -- descriptors -------------------------------------------------------------------------------------------------


@check
def used_marks(rig: Rig) -> None:
    """Over three laps of rings of 8 and 5 descriptors each used one has both marks as the wrap counter of its lap."""
    for size in (SIZE, 5):
        ring = _ring(rig, size=size)
        for number in range(3 * size):
            slot, lap = number % size, number // size
            ring.give([ring.holding(outgoing(rig))])
            _sent(rig, ring, f"of descriptor {slot} in lap {lap + 1}")
            wanted = 0 if lap % 2 else AVAIL | USED
            marks = ring.read(slot).flags & (AVAIL | USED)
            rig.equal(f"AVAIL and USED of descriptor {slot} in lap {lap + 1}", f"{wanted:#06x}", f"{marks:#06x}")


@check
def skips(rig: Rig) -> None:
    """Lists of 1, 3 and 2 descriptors, again and again: each is used by one descriptor, where its first one was."""
    ring = _ring(rig)
    for number in range(3 * SIZE):
        length = (1, 3, 2)[number % 3]
        first, wrap = ring.slot, ring.wrap
        ring.give(pieces(ring, outgoing(rig), tuple(range(1, length))), kick=False)
        others = [(first + each) % SIZE for each in range(1, length)]
        before = [ring.read(slot) for slot in others]
        ring.kick()
        _sent(rig, ring, f"of a list of {length} descriptors at {first}, wrap counter {wrap}")
        rig.equal("the other descriptors of the list", before, [ring.read(slot) for slot in others])


@check
def length(rig: Rig) -> None:
    """A used descriptor has WRITE and the octets written of a received packet and a command, and of no other buffer."""
    ring = _ring(rig, index=RECEIVEQ1)
    for _ in range(SIZE + 1):
        slot = ring.used_slot
        elements, _ = deliver(ring, (64, 4096))
        used, octets = ring.read(slot), b"".join(map(ring.octets, elements))
        rig.equal("WRITE in the used descriptor of a received packet", WRITE, used.flags & WRITE)
        rig.equal("its length", rig.layout.size + len(FRAME), used.length)
        rig.equal("the packet in the buffer", FRAME, octets[rig.layout.size : used.length])
    if rig.offers(Feature.CTRL_VQ):
        ring = _ring(rig, index=CONTROLQ)
        ring.give([ring.holding(no_command()), ring.room(4)])
        rig.equal("octets that a command's used descriptor says", [1], [length for _, length in ring.use()])


@check
def processes_in_order(rig: Rig) -> None:
    """Packets that become available together leave in the order of their descriptors, over the end of the ring too."""
    ring = _ring(rig)
    frames = [udp4_frame(bytes((number,)) * 40) for number in range(3 * (SIZE - 3))]
    for at in range(0, len(frames), SIZE - 3):
        batch = frames[at : at + SIZE - 3]
        ring.give(*([ring.holding(rig.header() + frame)] for frame in batch))
        ring.use(len(batch))
        rig.equal("frames on the wire", tuple(batch), ring.frames())


@check
def readable_untouched(rig: Rig) -> None:
    """The device-readable octets of packets and commands are the same after use."""
    for index, octets, at in ((TRANSMITQ1, outgoing, (3, 20)), (CONTROLQ, lambda rig: no_command(), (1,))):
        if index == CONTROLQ and not rig.offers(Feature.CTRL_VQ):
            continue
        ring = _ring(rig, index=index)
        elements = pieces(ring, octets(rig), at)
        ring.give([*elements, ring.room(1)] if index == CONTROLQ else elements)
        ring.use()
        rig.equal("device-readable octets after use", octets(rig), b"".join(map(ring.octets, elements)))


@check
def available_only(rig: Rig) -> None:
    """A descriptor whose AVAIL is as it was before this lap is not used, whatever USED is and however it is kicked."""
    ring = _ring(rig)
    for lap in range(3):
        before = 0 if ring.wrap else AVAIL
        for flags in (before, before | USED):
            ring.write(ring.slot, ring.holding(outgoing(rig)), 1, flags)
            ring.kick()
            ring.settle()
            what = f"frames of a descriptor with flags {flags:#06x} in lap {lap + 1}"
            rig.equal(what, (), ring.frames())
            rig.equal(f"flags of the descriptor, in lap {lap + 1}", flags, ring.read(ring.slot).flags)
        for _ in range(SIZE):
            ring.give([ring.holding(outgoing(rig))])
            _sent(rig, ring, f"of an available descriptor in lap {lap + 1}")


@check
def used_unchanged(rig: Rig) -> None:
    """Used descriptors are the same while others behind them are used, until the driver writes them anew."""
    ring = _ring(rig)
    for _ in range(3):
        seen: list[tuple[int, object]] = []
        for _ in range(SIZE):
            slot = ring.slot
            _transmit(rig, ring)
            seen.append((slot, ring.read(slot)))
            for earlier, descriptor in seen:
                rig.equal(f"descriptor {earlier} after {len(seen)} are used", descriptor, ring.read(earlier))


@check
def list_order(rig: Rig) -> None:
    """A packet whose octets lie in a list of descriptors, cut anywhere, leaves as it is."""
    ring = _ring(rig)
    for cut in cuts(len(outgoing(rig))):
        ring.give(pieces(ring, outgoing(rig), cut))
        _sent(rig, ring, f"of a list that is cut at {', '.join(map(str, cut)) or 'no octet'}")


# -- indirect tables -----------------------------------------------------------------------------------------------


def _indirect(ring: PackedRing, elements: Sequence[Element], flags: int, buffer_id: int) -> Element:
    """A descriptor for an indirect table of these elements, whose descriptors have such flags and Buffer IDs."""
    rows = [(each.address, each.length, buffer_id, each.flags | flags) for each in elements]
    return ring.table(rows)._replace(flags=INDIRECT)


@check
def indirect_flags_ignored(rig: Rig) -> None:
    """A packet in an indirect table is sent, whatever other flags its descriptors have, and WRITE the one in front."""
    ring = _ring(rig, _INDIRECT)
    for flags in (0, NEXT, INDIRECT, AVAIL, USED, AVAIL | USED | NEXT | INDIRECT):
        for write in (0, WRITE):
            table = _indirect(ring, pieces(ring, outgoing(rig), (12, 20)), flags, 0)
            ring.give([table._replace(flags=INDIRECT | write)])
            _sent(rig, ring, f"of an indirect table with flags {flags:#06x} inside and {write} outside")


@check
def indirect_id_ignored(rig: Rig) -> None:
    """A packet in an indirect table is sent and used by the Buffer ID of the ring, whatever the table has."""
    ring = _ring(rig, _INDIRECT)
    for buffer_id in (0, 1, 7, 0xFFFF):
        ring.give([_indirect(ring, pieces(ring, outgoing(rig), (12, 20)), 0, buffer_id)])
        _sent(rig, ring, f"of an indirect table with Buffer IDs {buffer_id}")


# -- notifications -------------------------------------------------------------------------------------------------


@check
def event_enabled(rig: Rig) -> None:
    """With RING_EVENT_FLAGS_ENABLE the driver is notified after each buffer, and after several that come at once."""
    for wanted in (_PLAIN, _EVENTS):
        if wanted.event_idx and not rig.offers(Feature.EVENT_IDX):
            continue
        ring = _ring(rig, wanted)
        ring.set_event(ENABLE, 5, 1)  # the rest counts with DESC alone
        for count in (1, 1, 3, 1, 6):
            _transmit(rig, ring, count)
            ring.expect_notified(f"after {count} buffers with RING_EVENT_FLAGS_ENABLE", True)


@check
def event_disabled(rig: Rig) -> None:
    """With RING_EVENT_FLAGS_DISABLE the driver is not notified, and is when they are enabled again."""
    ring = _ring(rig)
    ring.set_event(DISABLE)
    for count in (1, 3, 6):
        _transmit(rig, ring, count)
        ring.expect_notified(f"after {count} buffers with RING_EVENT_FLAGS_DISABLE", False)
    ring.set_event(ENABLE)
    _transmit(rig, ring)
    ring.expect_notified("after a buffer with RING_EVENT_FLAGS_ENABLE again", True)


def _event_ahead(ring: PackedRing, ahead: int) -> None:
    """Ask for an event ``ahead`` descriptors from where the next used one will be."""
    place = ring.used_slot + ahead
    ring.set_event(DESC, place % ring.size, ring.used_wrap ^ (place // ring.size & 1))


def _events(rig: Rig) -> Iterator[PackedRing]:
    for size in (SIZE, 5):
        yield _ring(rig, _EVENTS, size=size)


@check
def event_descriptor(rig: Rig) -> None:
    """With RING_EVENT_FLAGS_DESC the driver is notified when that descriptor is used, alone or among others."""
    for ring in _events(rig):
        for count, ahead in ((1, 0), (3, 0), (3, 1), (3, 2), (1, 0), (4, 3), (5, 4)) * 2:
            _event_ahead(ring, ahead)
            _transmit(rig, ring, count)
            ring.expect_notified(f"after {count} buffers, the event at number {ahead + 1}", True)


@check
def event_other_descriptor(rig: Rig) -> None:
    """With RING_EVENT_FLAGS_DESC the driver is not notified before that descriptor is used, nor by the wrong lap."""
    for ring in _events(rig):
        for count, ahead in ((1, 1), (2, 2), (1, 4), (3, 4), (1, ring.size), (2, ring.size + 1)) * 2:
            _event_ahead(ring, ahead)
            _transmit(rig, ring, count)
            ring.expect_notified(f"after {count} buffers, the event {ahead} descriptors from the first", False)
