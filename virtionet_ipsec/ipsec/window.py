"""The anti-replay window (RFC 4303 3.4.3 and appendix A, RFC 4302 3.4.3).

The order is check, verify, update: :meth:`ReplayWindow.check` changes nothing;
:meth:`ReplayWindow.commit` is called once the ICV has been found good.

``top`` is the highest sequence number verified so far.  Bit *i* of ``seen``
stands for the number ``top - i``; there are ``size`` of them.
"""

from __future__ import annotations

from .reasons import Reason, Refused

_LOW = 0xFFFFFFFF

# With anti-replay off an ESN receiver still has to tell the high half of a
# number (RFC 4303 3.3.3, the note).  Half of the low space either way is the
# widest reach in which that guess is unambiguous.
_ESN_REACH_WITHOUT_WINDOW = 1 << 31


class ReplayWindow:
    """A window of ``size`` numbers, 0 to 4096; 0 turns the check off.

    ``first`` is the first number expected: everything before it counts as seen.
    """

    __slots__ = ("_mask", "_reach", "esn", "first", "seen", "size", "top")

    def __init__(self, size: int, esn: bool = False, first: int = 1) -> None:
        self.size = size
        self.first = first
        self.esn = esn
        self.top = first - 1
        self._mask = (1 << size) - 1
        self._reach = size or _ESN_REACH_WITHOUT_WINDOW
        self.seen = self._mask

    def resize(self, size: int) -> None:
        """Change the size in place (D19).  Numbers that a larger window newly covers count as seen."""
        if size > self.size:
            self.seen |= ((1 << size) - 1) ^ self._mask
        self.size = size
        self._mask = (1 << size) - 1
        self._reach = size or _ESN_REACH_WITHOUT_WINDOW
        self.seen &= self._mask

    def check(self, low: int) -> int:
        """The full sequence number of a packet that carries ``low`` (32 bits), if it may pass.

        Raises :class:`Refused` with ``REPLAYED``, ``TOO_OLD`` or, where an ESN
        would have to pass 2**64 - 1, ``SEQUENCE_EXHAUSTED``.
        """
        seq = self.infer(low) if self.esn else low
        behind = self.top - seq
        if behind < 0 or not self.size:
            return seq
        if seq < self.first:
            raise Refused(Reason.TOO_OLD, f"sequence number {seq} lies before the first, {self.first}")
        if behind >= self.size:
            raise Refused(Reason.TOO_OLD, f"sequence number {seq} is below the window {self.bottom} to {self.top}")
        if self.seen >> behind & 1:
            raise Refused(Reason.REPLAYED, f"sequence number {seq} has been received before")
        return seq

    def infer(self, low: int) -> int:
        """The 64-bit number whose low half is ``low``, as RFC 4303 A2.1 and A2.2 guess it."""
        top_low, high = self.top & _LOW, self.top >> 32
        bottom_low = (top_low - self._reach + 1) & _LOW
        if top_low >= self._reach - 1:  # case A: the window lies within one subspace
            high += low < bottom_low
        else:  # case B: it spans two
            high -= low >= bottom_low
        if high < 0:
            if not self.size:
                return low  # nothing is too old here: the ICV will tell
            raise Refused(Reason.TOO_OLD, f"sequence number with low half {low} lies before the first, {self.first}")
        if high > _LOW:
            raise Refused(Reason.SEQUENCE_EXHAUSTED, "the extended sequence number would pass 2**64 - 1")
        return high << 32 | low

    def commit(self, seq: int) -> None:
        """Mark ``seq``, which :meth:`check` let pass and whose ICV was good, as seen."""
        ahead = seq - self.top
        if ahead > 0:
            self.top = seq
            # A jump of a window's width or more leaves nothing of the old bits.
            self.seen = (self.seen << ahead | 1) & self._mask if ahead < self.size else 1 & self._mask
        elif self.size:  # without a window a number may lie billions behind: no bit for it
            self.seen |= 1 << -ahead

    @property
    def bottom(self) -> int:
        """The lowest number that is still inside the window."""
        return max(self.top - self.size + 1, 0)
