"""Devices that are wrong about sequence numbers and the anti-replay window, of ESP and AH alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from virtionet_ipsec.device import Device
from virtionet_ipsec.device.limits import ALL_SA_MODES, Limits
from virtionet_ipsec.ipsec import InboundSa, OutboundSa, Reason, Refused, SaState
from virtionet_ipsec.ipsec.ah import AhTransform
from virtionet_ipsec.ipsec.window import ReplayWindow
from virtionet_ipsec.wire.profile import Profile

from ..mutant import Kind, breaks
from ..other_sas import OtherSas, OtherTransform, OtherWindow, Wrapped

_LOW = 0xFFFFFFFF


def breaks_both(*entries: str, **how: Any) -> Callable[[Kind], Kind]:
    """:func:`breaks` for the entry of ESP and its twin of AH."""
    return breaks(*(f"{area}.dev.{entry}" for area in ("esp", "ah") for entry in entries), **how)


# -- sending ---------------------------------------------------------------------------------------------------------


@breaks_both("first-seq")
@breaks_both("first-seq", profile=Profile.RFC_V1)
class FirstNumberZero(OtherSas):
    """The first packet of an SA has sequence number 0."""

    def outbound(self, sa: OutboundSa) -> OutboundSa:
        sa.state.seq -= 1
        return sa


@breaks_both("first-seq", profile=Profile.RFC_V1)
class EsnIsTheNextNumber(OtherSas):
    """The SA object's esn is taken for the number of the first packet."""

    def outbound(self, sa: OutboundSa) -> OutboundSa:
        sa.state.seq = max(sa.state.seq - 1, 0)
        return sa


class _Stuck(OutboundSa):
    def protect(self, *args: Any) -> bytes:
        protected = super().protect(*args)
        self.state.seq = min(self.state.seq, 2)
        return protected


@breaks_both("seq-increments")
class NumberStuck(Device):
    """The sequence number goes up to 3 and stays there."""

    _outbound_class = _Stuck


class _Reused(OutboundSa):
    def protect(self, *args: Any) -> bytes:
        protected = super().protect(*args)
        if self.state.packets == 1:
            self.state.seq -= 1
        return protected


@breaks_both("seq-increments")
class NumberReused(Device):
    """The second packet has the number of the first."""

    _outbound_class = _Reused


@breaks_both("seq-increments")
class OneCounterForAll(OtherSas):
    """All outbound SAs share one sequence number."""

    def outbound(self, sa: OutboundSa) -> OutboundSa:
        sa.state = self.__dict__.setdefault("shared", SaState())
        return sa


class _NoNumber(OutboundSa):
    def protect(self, *args: Any) -> bytes:
        self.state.seq = -1
        return super().protect(*args)


@breaks_both("seq-present")
class NumberLeftOut(Device):
    """The sequence number field is sent as zero, since no receiver's window is known."""

    _outbound_class = _NoNumber


@breaks_both("seq-no-cycle", profile=Profile.RFC_V1)
class NumberCycles(OtherSas):
    """After the last number comes 0 again."""

    def outbound(self, sa: OutboundSa) -> OutboundSa:
        sa._last_seq = 1 << 64
        return sa


class _NoCarry(Wrapped):
    def seal(self, head: bytes, plaintext: bytes, high: bytes) -> tuple[bytes, bytes]:
        return super().seal(head, plaintext, bytes(len(high)))


class _NoCarryAh(AhTransform):
    def protect(self, header: bytes, nh: int, seq: int, payload: bytes, high: bytes) -> bytes:
        return super().protect(header, nh, seq, payload, bytes(len(high)))


@breaks("esp.dev.esn-low-half", "ah.dev.icv-esn", profile=Profile.RFC_V1)
class NoCarryIntoTheHighHalf(OtherTransform):
    """The high half of the number stays zero under the ICV that is sent."""

    esp = _NoCarry
    ah = _NoCarryAh


# -- receiving -------------------------------------------------------------------------------------------------------


@breaks_both("replay-supported")
class AlwaysChecks(OtherSas):
    """With replay_win_sz zero there is a window all the same."""

    def inbound(self, sa: InboundSa) -> InboundSa:
        sa.window = ReplayWindow(sa.params.replay_window or 64, sa.params.esn, sa.params.first_seq)
        return sa


@breaks_both("replay-supported", "replay-duplicate")
class NeverChecks(OtherSas):
    """There is no window, whatever replay_win_sz says."""

    def inbound(self, sa: InboundSa) -> InboundSa:
        sa.window = ReplayWindow(0, sa.params.esn, sa.params.first_seq)
        return sa


@breaks_both("replay-start")
class AcceptsZero(OtherSas):
    """The receive counter begins below zero: a packet with number 0 is accepted."""

    def inbound(self, sa: InboundSa) -> InboundSa:
        sa.window = ReplayWindow(sa.params.replay_window, sa.params.esn, sa.params.first_seq - 1)
        return sa


@breaks_both("replay-start")
class RefusesOne(OtherSas):
    """The receive counter begins at 1: the first packet is taken for a duplicate."""

    def inbound(self, sa: InboundSa) -> InboundSa:
        sa.window = ReplayWindow(sa.params.replay_window, sa.params.esn, sa.params.first_seq + 1)
        return sa


class _NoDuplicates(ReplayWindow):
    def check(self, low: int) -> int:
        try:
            return super().check(low)
        except Refused as refused:
            if refused.reason is Reason.REPLAYED:
                return self.infer(low) if self.esn else low
            raise


@breaks_both("replay-duplicate")
class AcceptsDuplicates(OtherWindow):
    """A number inside the window is accepted again and again."""

    window_class = _NoDuplicates


class _TopUnmarked(ReplayWindow):
    def commit(self, seq: int) -> None:
        moved = seq > self.top
        super().commit(seq)
        if moved:
            self.seen &= ~1


@breaks_both("replay-duplicate")
class AcceptsTheLastOneAgain(OtherWindow):
    """The right edge of the window is not marked as seen: the newest packet is accepted twice."""

    window_class = _TopUnmarked


class _Ages(InboundSa):
    def unprotect(self, *args: Any) -> bytes:
        try:
            return super().unprotect(*args)
        except Refused as refused:
            if refused.reason in (Reason.REPLAYED, Reason.TOO_OLD):
                self.state.packets += 1
            raise


@breaks_both("replay-duplicate")
class DuplicatesAge(Device):
    """A replayed packet counts towards the lifetime of the SA."""

    _inbound_class = _Ages


class _Wide(ReplayWindow):
    def __init__(self, size: int, *args: Any) -> None:
        super().__init__(size + 1 if size else 0, *args)


class _Narrow(ReplayWindow):
    def __init__(self, size: int, *args: Any) -> None:
        super().__init__(max(size - 1, 0), *args)


@breaks("esp.dev.replay-left", "ah.dev.replay-duplicate", "esp.dev.replay-minimum", "ah.dev.replay-minimum")
class WindowTooWide(OtherWindow):
    """The window is one number wider than replay_win_sz."""

    window_class = _Wide


@breaks("esp.dev.replay-left", "ah.dev.replay-duplicate", "esp.dev.replay-minimum", "ah.dev.replay-minimum")
class WindowTooNarrow(OtherWindow):
    """The window is one number narrower than replay_win_sz."""

    window_class = _Narrow


class _NoLeftEdge(ReplayWindow):
    def check(self, low: int) -> int:
        behind = self.top - low
        return low if not self.esn and low and behind >= self.size else super().check(low)

    def commit(self, seq: int) -> None:
        if self.top - seq < self.size:
            super().commit(seq)


@breaks("esp.dev.replay-left", "ah.dev.replay-duplicate")
class NoLeftEdge(OtherWindow):
    """What is left of the window is accepted, as nobody knows whether it came before."""

    window_class = _NoLeftEdge


class _Stale(ReplayWindow):
    def commit(self, seq: int) -> None:
        old, jumped = self.seen, seq - self.top >= self.size > 0
        super().commit(seq)
        if jumped:
            self.seen |= old


@breaks("esp.dev.replay-left", "ah.dev.replay-minimum")
class StaleBits(OtherWindow):
    """A jump of a window's width or more leaves the old bits in the window."""

    window_class = _Stale


class _Early(ReplayWindow):
    def check(self, low: int) -> int:
        seq = super().check(low)
        self.commit(seq)
        return seq


@breaks_both("replay-update")
class WindowBeforeIcv(OtherWindow):
    """The window is updated before the ICV is checked."""

    window_class = _Early


class _EarlyBits(ReplayWindow):
    def check(self, low: int) -> int:
        seq = super().check(low)
        if seq <= self.top:
            self.commit(seq)
        return seq


@breaks_both("replay-update")
class NumberUsedBeforeIcv(OtherWindow):
    """A number inside the window counts as seen before the ICV is checked."""

    window_class = _EarlyBits


class _OneSubspace(ReplayWindow):
    def infer(self, low: int) -> int:
        return self.top >> 32 << 32 | low


@breaks_both("replay-esn")
class NeverTheNextSubspace(OtherWindow):
    """The high half of a number is always that of the newest packet."""

    window_class = _OneSubspace


class _ShortRule(ReplayWindow):
    def infer(self, low: int) -> int:
        return (self.top >> 32) + (low <= self.top & _LOW) << 32 | low


@breaks_both("replay-esn")
class EveryLatePacketIsNew(OtherWindow):
    """A low half that is not above the newest packet's is taken for one of the next subspace."""

    window_class = _ShortRule


class _DeadAtTheEdge(ReplayWindow):
    def infer(self, low: int) -> int:
        if self.size and self.top & _LOW == self.size - 1:
            raise Refused(Reason.TOO_OLD)
        return super().infer(low)


@breaks_both("replay-esn")
class DeadAtTheEdge(OtherWindow):
    """With ESN nothing is accepted any more as soon as the window begins with low half 0."""

    window_class = _DeadAtTheEdge


class _EdgeTooEarly(ReplayWindow):
    def infer(self, low: int) -> int:
        if self.top >> 32 and self.top & _LOW == self.size - 2:
            return self.top >> 32 << 32 | low
        return super().infer(low)


@breaks_both("replay-esn")
class EdgeTooEarly(OtherWindow):
    """A window of which one number lies in the subspace before counts as if it lay within one."""

    window_class = _EdgeTooEarly


@breaks_both("replay-minimum")
class SmallWindows(Device):
    """max_replay_win_sz is 31 in transport modes."""

    def __init__(self, *args: Any, **how: Any) -> None:
        small = [replace(cap, max_replay_win_sz=31) if "TRANSPORT" in cap.mode.name else cap for cap in ALL_SA_MODES]
        super().__init__(*args, limits=Limits(sa_modes=tuple(small)), **how)
