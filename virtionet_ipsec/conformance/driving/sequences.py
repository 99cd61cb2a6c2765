"""Sequence numbers and the anti-replay window: the checks that ESP and AH have in common.

RFC 4303 2.2, 3.3.3, 3.4.3 and appendix A; RFC 4302 2.5, 3.3.2, 3.4.3 and appendix B.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ...ipsec import Lifetime, Mode, OutboundSa, Protocol
from ...wire.enums import IpsecMode
from ...wire.profile import Profile
from ..check import add
from ..verdict import NotApplicable, NotObservable
from . import frames
from .associations import (
    INBOUND,
    OUTBOUND,
    accepted,
    create,
    inside,
    mode_cap,
    modes,
    protected,
    receiver,
    rejected,
    send,
    sender,
    start,
)
from .on_the_wire import LOW, flipped, seq_of
from .rig import Rig
from .sa_objects import any_sa

WINDOW = 32
"""The window of most checks: the least that every receiver has to support."""

_SUBSPACE = 1 << 32
FRAME = frames.udp4_frame()


class Receiving:
    """An inbound SA on the device and its far end: packets by their sequence number."""

    def __init__(self, rig: Rig, protocol: Protocol, **parameters: Any) -> None:
        self.rig = rig
        self.params = any_sa(rig, INBOUND, protocol, **({"replay_window": WINDOW} | parameters))
        self.resource_id = create(rig, self.params)
        self.far_end: OutboundSa = sender(self.params, lifetime=Lifetime())

    def wire(self, seq: int) -> bytes:
        return protected(self.far_end, FRAME, seq)

    def forged(self, seq: int) -> bytes:
        """Packet ``seq`` with the last octet wrong: in ESP the ICV's, in AH the payload's."""
        return flipped(self.wire(seq))

    def accepts(self, *numbers: int) -> None:
        for seq in numbers:
            accepted(self.rig, self.wire(seq), f"sequence number {_name(seq)}")

    def rejects(self, *numbers: int) -> None:
        for seq in numbers:
            rejected(self.rig, self.wire(seq), f"sequence number {_name(seq)}")

    def rejects_forged(self, seq: int) -> None:
        rejected(self.rig, self.forged(seq), f"a forged packet with sequence number {_name(seq)}")


def _most(rig: Rig, protocol: Protocol, mode: Mode) -> int:
    """max_replay_win_sz of a mode."""
    return int(mode_cap(rig, IpsecMode[f"{protocol.name}_{mode.name}"]).max_replay_win_sz)


def _name(seq: int) -> str:
    return str(seq) if seq < 1 << 16 else f"{seq:#x}"


# -- sending ---------------------------------------------------------------------------------------------------------


def first_seq(rig: Rig, protocol: Protocol) -> None:
    """The first packet of an SA has sequence number 1; in rfc-v1 the number that follows the SA object's esn."""
    start(rig)
    for spi, first in ((0x1000, 1), (0x1001, 42)) if rig.profile is Profile.RFC_V1 else ((0x1000, 1),):
        made = create(rig, any_sa(rig, OUTBOUND, protocol, spi=spi, first_seq=first))
        rig.equal("sequence number of an SA's first packet", first, seq_of(send(rig, made, FRAME)))


def seq_increments(rig: Rig, protocol: Protocol) -> None:
    """Packets of two SAs, sent in turn, large and small, carry numbers that go up by one on each SA."""
    start(rig)
    sas = [create(rig, any_sa(rig, OUTBOUND, protocol, spi=spi)) for spi in (0x1000, 0x1001)]
    numbers: dict[int, list[int]] = {made: [] for made in sas}
    for turn, made in enumerate((*sas, *sas, *sas[:1] * 3, *sas)):
        wire = send(rig, made, frames.udp4_frame(bytes(17 * turn)))
        numbers[made].append(seq_of(wire))
    for sent in numbers.values():
        rig.equal("sequence numbers on one SA", [sent[0] + step for step in range(len(sent))], sent)


def seq_no_cycle(rig: Rig, protocol: Protocol) -> None:
    """After sequence number 2^32 - 1, with ESN 2^64 - 1, nothing more is sent on the SA."""
    _needs_counter(rig)
    start(rig)
    for spi, esn, last in ((0x1000, False, LOW), (0x1001, True, (1 << 64) - 1)):
        try:
            params = any_sa(rig, OUTBOUND, protocol, spi=spi, esn=esn, first_seq=last)
        except NotApplicable:
            if not esn:
                raise
            continue  # a device without ESN has the one limit
        made = create(rig, params)
        rig.equal("low half of the last number", LOW, seq_of(send(rig, made, FRAME)))
        for _ in range(2):
            rig.equal(f"frames on the wire after number {last:#x}", (), rig.transmit(rig.driver.header(made) + FRAME))


def esn_carry(rig: Rig, protocol: Protocol) -> None:
    """With ESN, after low half 2^32 - 1 comes 0, and the ICV is good under the next high half."""
    _needs_counter(rig)
    start(rig)
    params = any_sa(rig, OUTBOUND, protocol, esn=True, first_seq=_SUBSPACE - 2)
    made, far_end = create(rig, params), receiver(params, replay_window=WINDOW)
    for seq in range(_SUBSPACE - 2, _SUBSPACE + 2):
        wire = send(rig, made, FRAME)
        rig.equal("sequence number that is transmitted", seq & LOW, seq_of(wire))
        inside(far_end, wire, f"packet {_name(seq)} at the far end")
        rig.equal("the number under which its ICV is good", seq, far_end.window.top)


def _needs_counter(rig: Rig) -> None:
    if rig.profile is not Profile.RFC_V1:
        raise NotObservable("virtio 1.4 has no field that sets the counter, and 2^32 packets are too many to send")


# -- receiving -------------------------------------------------------------------------------------------------------


def replay_off(rig: Rig, protocol: Protocol) -> None:
    """With replay_win_sz zero every number is accepted: old ones, repeated ones, zero."""
    start(rig)
    Receiving(rig, protocol, replay_window=0).accepts(5000, 5000, 1, 1, 0, LOW, 2)


def replay_start(rig: Rig, protocol: Protocol) -> None:
    """Number 0 is refused before any packet came and after one did; 1 is the first that is accepted."""
    start(rig)
    far_end = Receiving(rig, protocol)
    far_end.rejects(0)
    far_end.accepts(1)
    far_end.rejects(0)
    far_end.accepts(2)


def replay_duplicate(rig: Rig, protocol: Protocol) -> None:
    """A number that was accepted is refused when it comes again, at the right edge and inside the window."""
    start(rig)
    far_end = Receiving(rig, protocol)
    far_end.accepts(1)
    far_end.rejects(1)
    far_end.accepts(5, 3)
    far_end.rejects(1, 3, 5)
    far_end.accepts(4, WINDOW)
    far_end.rejects(1, 3, 4, 5, WINDOW)
    far_end.accepts(2)


def replay_left(rig: Rig, protocol: Protocol) -> None:
    """The lowest number inside the window is accepted, the one below it is refused, wherever the window stands."""
    start(rig)
    far_end = Receiving(rig, protocol)
    for top in (100, 101, 5000):
        far_end.accepts(top)
        far_end.rejects(top - WINDOW, 1)
        far_end.accepts(top - WINDOW + 1)
    if _most(rig, protocol, far_end.params.mode) >= 2 * WINDOW:
        wider = Receiving(rig, protocol, spi=0x2000, replay_window=2 * WINDOW)
        wider.accepts(100)
        wider.rejects(100 - 2 * WINDOW)
        wider.accepts(100 - 2 * WINDOW + 1)


def replay_inside(rig: Rig, protocol: Protocol) -> None:
    """New numbers inside the window are accepted in any order, also when the window has just moved by its width."""
    start(rig)
    far_end = Receiving(rig, protocol)
    far_end.accepts(WINDOW, *range(1, WINDOW))
    far_end.accepts(2 * WINDOW, *range(2 * WINDOW - 1, WINDOW, -1))
    shuffled = [4 * WINDOW + 7 * step % WINDOW for step in range(1, WINDOW)]
    far_end.accepts(5 * WINDOW, *shuffled)


def replay_update(rig: Rig, protocol: Protocol) -> None:
    """A forged packet with a high number does not move the window, and one with a new number leaves that unused."""
    start(rig)
    far_end = Receiving(rig, protocol)
    far_end.rejects_forged(1000)
    far_end.accepts(1, 10)
    far_end.rejects_forged(9)
    far_end.rejects_forged(10 + WINDOW)
    far_end.accepts(9, 2, 10 + WINDOW)


def replay_esn(rig: Rig, protocol: Protocol) -> None:
    """With ESN the window passes 2^32: later numbers, late ones on both sides and duplicates are told apart."""
    start(rig)
    far_end = Receiving(rig, protocol, esn=True)
    far_end.accepts(1, 0x7FFFFFFF, _SUBSPACE - 16)
    far_end.accepts(_SUBSPACE + 5)
    far_end.accepts(_SUBSPACE - 8, _SUBSPACE, _SUBSPACE + 4, _SUBSPACE - 1, _SUBSPACE + 6 - WINDOW)
    far_end.rejects(_SUBSPACE - 8, _SUBSPACE, _SUBSPACE + 5, _SUBSPACE - 16, _SUBSPACE + 5 - WINDOW)
    far_end.rejects(6)  # of the first subspace: a low half that looks new
    far_end.accepts(_SUBSPACE + 6, _SUBSPACE + 1000)
    _esn_edge(Receiving(rig, protocol, esn=True, spi=0x2000))


def _esn_edge(far_end: Receiving) -> None:
    """The top passes, one by one, the low halves where the window begins to lie within one subspace."""
    edge = range(WINDOW - 2, WINDOW + 2)
    for late, top in enumerate(edge, start=1):
        far_end.accepts(top, late)
        far_end.rejects(top, late)
    far_end.accepts(0x7FFFFFFF, _SUBSPACE - 3)
    for top in (_SUBSPACE + low for low in edge):
        far_end.accepts(top, top - WINDOW + 1)
        far_end.rejects(top, top - WINDOW + 1, top - WINDOW)


def replay_minimum(rig: Rig, protocol: Protocol) -> None:
    """In every mode max_replay_win_sz is 32 or more, and a window of 32 has its edge at 32."""
    start(rig)
    for number, mode in enumerate(modes(rig, protocol)):
        most = _most(rig, protocol, mode)
        rig.expect(most >= WINDOW, f"max_replay_win_sz in {mode.value} mode", f"{WINDOW} or more", str(most))
        far_end = Receiving(rig, protocol, mode=mode, spi=0x1000 + number)
        far_end.accepts(WINDOW + 8, 9)
        far_end.rejects(8, 9)


def replay_not_counted(rig: Rig, protocol: Protocol) -> None:
    """Packets that the window refuses do not use up a lifetime of two packets."""
    start(rig)
    far_end = Receiving(rig, protocol, lifetime=Lifetime(packets_hard=2))
    far_end.accepts(1)
    far_end.rejects(1, 1, 0)
    far_end.accepts(2)


_CHECKS = (
    first_seq,
    seq_increments,
    seq_no_cycle,
    esn_carry,
    replay_off,
    replay_start,
    replay_duplicate,
    replay_left,
    replay_inside,
    replay_update,
    replay_esn,
    replay_minimum,
    replay_not_counted,
)


def enter(area: str, protocol: Protocol) -> None:
    """Enter all of these checks for one protocol."""
    for run in _CHECKS:
        add(f"{area}.{run.__name__.replace('_', '-')}", run.__doc__ or "", partial(run, protocol=protocol))
