"""Split virtqueues, virtio 1.4, 2.7."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...virtqueue.port import Rings
from ...wire.enums import Feature, Status
from ..check import check
from ..driving.by_hand import CONTROLQ, INDIRECT, NEXT, RECEIVEQ1, SIZE, TRANSMITQ1, WRITE, Element, start
from ..driving.rig import Rig
from ..driving.ring_buffers import FRAME, cuts, deliver, no_command, outgoing, pieces
from ..driving.split_ring import SplitRing

_PLAIN = Rings(indirect=False, event_idx=False, size=SIZE)
_INDIRECT = Rings(indirect=True, event_idx=False, size=SIZE)
_EVENTS = Rings(indirect=False, event_idx=True, size=SIZE)

_POISON = 0x5A5A5A5A


def _ring(rig: Rig, wanted: Rings = _PLAIN, index: int = TRANSMITQ1) -> SplitRing:
    needed = (Feature.CTRL_VQ,) if index == CONTROLQ else ()
    return SplitRing(start(rig, wanted, *needed), index)


def _sent(rig: Rig, ring: SplitRing, what: str, count: int = 1) -> None:
    """Buffers of the check's frame, which are available, are used, and the frame leaves as often."""
    ring.use(count)
    rig.equal(f"frames on the wire {what}", (FRAME,) * count, ring.frames())


def _indirect(ring: SplitRing, elements: Sequence[Element], flags: int = 0) -> Element:
    """A descriptor for an indirect table of these elements, in order."""
    last = len(elements) - 1
    rows = [
        (each.address, each.length, each.flags | (NEXT if number < last else 0), number + 1 if number < last else 0)
        for number, each in enumerate(elements)
    ]
    return ring.table(rows)._replace(flags=INDIRECT | flags)


# -- buffers -----------------------------------------------------------------------------------------------------


@check
def any_arrangement(rig: Rig) -> None:
    """A packet is sent, and a command answered, in whatever pieces their octets lie in the descriptors."""
    ring = _ring(rig)
    for cut in cuts(len(outgoing(rig))):
        ring.give(pieces(ring, outgoing(rig), cut))
        _sent(rig, ring, f"of a buffer that is cut at {', '.join(map(str, cut)) or 'no octet'}")
    ring = _ring(rig, index=CONTROLQ)
    for cut in ((), (1,), (2,), (1, 2, 3)):
        room = ring.room(1)
        ring.give([*pieces(ring, no_command(), cut), room])
        rig.equal(f"used len of a command that is cut at {cut}", [1], [length for _, length in ring.use()])


@check
def readable_untouched(rig: Rig) -> None:
    """The device-readable octets of packets and commands are the same after use."""
    for index, octets in ((TRANSMITQ1, outgoing), (CONTROLQ, lambda rig: no_command())):
        if index == CONTROLQ and not rig.offers(Feature.CTRL_VQ):
            continue
        ring = _ring(rig, index=index)
        data = octets(rig)
        elements = pieces(ring, data, (3, 20) if index == TRANSMITQ1 else (1,))
        ring.give([*elements, ring.room(1)] if index == CONTROLQ else elements)
        ring.use()
        rig.equal("device-readable octets after use", data, b"".join(map(ring.octets, elements)))


@check
def table_untouched(rig: Rig) -> None:
    """The descriptor table is the same after packets were sent and received through it, an indirect one too."""
    for index in (TRANSMITQ1, RECEIVEQ1):
        ring = _ring(rig, index=index)
        for number in range(2 * SIZE):
            elements = pieces(ring, outgoing(rig), (12,)) if index == TRANSMITQ1 else [ring.room(64), ring.room(4096)]
            ring.give(elements, kick=False)
            before = bytes(ring.descriptors)
            ring.kick()
            if index == RECEIVEQ1:
                ring.arrive(FRAME)
            ring.use()
            rig.equal(f"descriptor table after buffer {number + 1}", before, bytes(ring.descriptors))
    if rig.offers(Feature.INDIRECT_DESC):
        ring = _ring(rig, _INDIRECT)
        table = _indirect(ring, pieces(ring, outgoing(rig), (12, 14)))
        before = ring.octets(table)
        ring.give([table])
        ring.use()
        rig.equal("indirect table after use", before, ring.octets(table))


@check
def indirect_write_ignored(rig: Rig) -> None:
    """A packet in an indirect table is sent although the descriptor that refers to it has WRITE."""
    ring = _ring(rig, _INDIRECT)
    for flags in (WRITE, 0):
        ring.give([_indirect(ring, pieces(ring, outgoing(rig), (12,)), flags)])
        _sent(rig, ring, f"of an indirect table whose descriptor has flags {INDIRECT | flags}")


@check
def indirect_last(rig: Rig) -> None:
    """A packet is sent whose first octets are in none to five normal descriptors, the rest in an indirect table."""
    ring = _ring(rig, _INDIRECT)
    for normal in range(6):
        first, *others = pieces(ring, outgoing(rig), (*range(4, 4 * normal + 4, 4), 60))
        elements = [first, *others]
        ring.give([*elements[:normal], _indirect(ring, elements[normal:])])
        _sent(rig, ring, f"of {normal} descriptors and an indirect table")


# -- used buffer notifications -------------------------------------------------------------------------------------


@check
def flags_zero(rig: Rig) -> None:
    """With flags 0, the driver is notified after each buffer, and after several that come at once."""
    ring = _ring(rig)
    for count in (1, 1, 3, 1):
        _transmit(rig, ring, count)
        ring.expect_notified(f"after {count} buffers with flags 0", True)


@check
def flags_one(rig: Rig) -> None:
    """With flags 1, the driver is not notified; with flags 0 again, it is."""
    ring = _ring(rig)
    ring.set_flags(1)
    for count in (1, 3):
        _transmit(rig, ring, count)
        ring.expect_notified(f"after {count} buffers with flags 1", False)
    ring.set_flags(0)
    _transmit(rig, ring)
    ring.expect_notified("after a buffer with flags 0 again", True)


@check
def used_event_ignored(rig: Rig) -> None:
    """Without VIRTIO_F_EVENT_IDX the driver is notified after each buffer, whatever used_event is."""
    ring = _ring(rig)
    for event in (0, 1, 3, 1000, 0xFFFF):
        ring.set_used_event(event)
        _transmit(rig, ring)
        ring.expect_notified(f"after a buffer with used_event {event} and flags 0", True)


@check
def flags_ignored(rig: Rig) -> None:
    """With VIRTIO_F_EVENT_IDX the driver is notified when used_event is reached, although flags is 1."""
    ring = _ring(rig, _EVENTS)
    ring.set_flags(1)
    for _ in range(SIZE + 2):
        ring.set_used_event(ring.seen)
        _transmit(rig, ring)
        ring.expect_notified("after the buffer of used_event, with flags 1", True)


@check
def event_reached(rig: Rig) -> None:
    """With VIRTIO_F_EVENT_IDX the driver is notified when the entry of used_event is written, alone or among others."""
    ring = _ring(rig, _EVENTS)
    for count, at in ((1, 0), (4, 0), (4, 2), (4, 3), (1, 0), (SIZE, SIZE - 1)):
        ring.set_used_event(ring.seen + at)
        _transmit(rig, ring, count)
        ring.expect_notified(f"after {count} buffers, used_event that of number {at + 1}", True)


@check
def event_not_reached(rig: Rig) -> None:
    """With VIRTIO_F_EVENT_IDX the driver is not notified while used_event is ahead, or was passed before."""
    ring = _ring(rig, _EVENTS)
    _transmit(rig, ring, 2)
    ring.notified()
    for ahead in (1, 2, SIZE, 1000, -1, -2):
        ring.set_used_event(ring.seen + ahead)
        _transmit(rig, ring)
        ring.expect_notified(f"after a buffer, with used_event {ahead} from it", False)


def _transmit(rig: Rig, ring: SplitRing, count: int = 1) -> None:
    ring.give(*([ring.holding(outgoing(rig))] for _ in range(count)))
    ring.use(count)


# -- the used ring -------------------------------------------------------------------------------------------------


def _written(rig: Rig) -> Iterator[tuple[str, int, bytes, int, int]]:
    """Use a buffer of each kind that the device writes: what, its head, what is in it, and id and len as used."""
    ring = _ring(rig, index=RECEIVEQ1)
    for head in range(0, 2 * SIZE, 2):
        ring.fill_used()
        elements, (used, length) = deliver(ring, (64, 4096))
        yield "a received packet", head % SIZE, b"".join(map(ring.octets, elements)), used, length
    if rig.offers(Feature.CTRL_VQ):
        ring = _ring(rig, index=CONTROLQ)
        for head in range(0, 2 * SIZE, 2):
            ring.fill_used()
            room = ring.room(4)
            ring.give([ring.holding(no_command()), room])
            ((used, length),) = ring.use()
            yield "a command", head % SIZE, ring.octets(room), used, length


@check
def length_first(rig: Rig) -> None:
    """When idx of the used ring says so, id and len of the entry are written."""
    for what, head, _, used, length in _written(rig):
        rig.equal(f"id of the used entry of {what}", head, used)
        rig.expect(
            length != _POISON, f"len of the used entry of {what}", "the octets written", f"{length:#x}, as before"
        )


@check
def length_written(rig: Rig) -> None:
    """A received packet lies in the first len octets of its buffer, from the first descriptor on; so does ack."""
    for what, _, octets, _, length in _written(rig):
        if what == "a command":
            rig.equal("used len of a command", 1, length)
            rig.expect(octets[0] in (0, 1), "ack", "0 or 1", str(octets[0]))
            continue
        size = rig.layout.size
        rig.equal("used len of a received packet", size + len(FRAME), length)
        rig.equal("the packet in the buffer", FRAME, octets[size:length])


# -- available buffer notifications --------------------------------------------------------------------------------


def _flags_seen(rig: Rig, wanted: Rings) -> Iterator[tuple[str, int]]:
    """flags of the used ring while packets are sent and received."""
    for index in (TRANSMITQ1, RECEIVEQ1):
        ring = _ring(rig, wanted, index)
        yield "of a new queue", ring.used_flags
        for number in range(SIZE + 2):
            if index == RECEIVEQ1:
                deliver(ring, (4096,))
            else:
                _transmit(rig, ring)
            yield f"after {number + 1} buffers", ring.used_flags


@check
def used_flags(rig: Rig) -> None:
    """Without VIRTIO_F_EVENT_IDX flags of the used ring is 0 or 1 all the time."""
    for when, flags in _flags_seen(rig, _PLAIN):
        rig.expect(flags in (0, 1), f"flags of the used ring {when}", "0 or 1", str(flags))


@check
def used_flags_zero(rig: Rig) -> None:
    """With VIRTIO_F_EVENT_IDX flags of the used ring is 0 all the time."""
    for when, flags in _flags_seen(rig, _EVENTS):
        rig.equal(f"flags of the used ring {when}", 0, flags)


@check
def spurious(rig: Rig) -> None:
    """Notifications with nothing available use nothing, and packets are sent before and after them."""
    ring = _ring(rig)
    for _ in range(3):
        for _ in range(3):
            ring.kick()
            ring.kick()
            ring.expect_untouched("after notifications with nothing available")
        _transmit(rig, ring)
        rig.equal("frames on the wire after them", (FRAME,), ring.frames())
    rig.equal("DEVICE_NEEDS_RESET in device status after them", 0, rig.port.status & Status.DEVICE_NEEDS_RESET)
