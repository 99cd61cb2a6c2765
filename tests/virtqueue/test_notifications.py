"""When notifications are due, against counting place by place."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from virtionet_ipsec.virtqueue.notifications import packed_due, packed_event, passed


@given(event=st.integers(0, 0xFFFF), index=st.integers(0, 0xFFFF), count=st.integers(0, 40), near=st.integers(-45, 5))
def test_split(event: int, index: int, count: int, near: int) -> None:
    """2.7.7: an entry was written whose index is the event."""
    for asked in (event, (index + near) & 0xFFFF):
        assert passed(asked, index, count) == (asked in [(index - back) & 0xFFFF for back in range(1, count + 1)])


def test_split_after_a_whole_round() -> None:
    assert passed(5, 5, 65536)
    assert not passed(5, 5, 65535)


def test_packed() -> None:
    """2.8.14, all positions of small rings: a descriptor with the event's offset and wrap counter was passed."""
    for size in (1, 2, 3, 4):
        places = [(position % size, 1 - position // size % 2) for position in range(2 * size)]
        for end, (event, event_wrap), count in product(range(2 * size), places, range(2 * size + 1)):
            offset, wrap = places[end]
            went = [places[(end - back) % (2 * size)] for back in range(1, count + 1)]
            word = event | event_wrap << 15 | 2 << 16
            assert packed_due(word, True, size, offset, wrap, count) == ((event, event_wrap) in went)
            assert packed_event(event, event_wrap) == word


def test_packed_flags() -> None:
    """Disabled is disabled; what is reserved, or not negotiated, is enabled (D114). Reserved bits are nothing."""
    never = 3 | 1 << 15  # not passed
    for reserved in (0, 0xFFFC << 16):
        for event_idx, flags in product((False, True), range(4)):
            expected = {0: True, 1: False, 2: not event_idx, 3: True}[flags]
            assert packed_due(never | flags << 16 | reserved, event_idx, 4, 2, 1, 1) == expected
