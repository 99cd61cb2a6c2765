"""Where the frame of a transmit buffer begins, and so how long its driver takes virtio_net_hdr to be.

Nothing in a buffer says so.  It shows where the driver sends IP: behind a
header of one length there is an IP packet whose length fits the buffer, and
behind that of the negotiated features there is no such thing.
"""

from __future__ import annotations

_SIZES = (12, 18, 20, 24, 26, 32)
_ETHERNET = 14
_LEAST_ETHERTYPE = 0x0600
_IPV4, _IPV6 = 0x0800, 0x86DD


def header_size(buffer: bytes, expected: int) -> int | None:
    """The length that virtio_net_hdr seems to have in ``buffer``; None when that cannot be told.

    Frames may hold frames, so that a length above ``expected`` counts only
    where no EtherType stands behind a header of that.
    """
    if _ip_begins(buffer, expected):
        return expected
    if len(buffer) < expected + _ETHERNET:
        return None
    above = _word(buffer, expected + 12) < _LEAST_ETHERTYPE
    for size in _SIZES:
        if (size < expected or (above and size > expected)) and _ip_begins(buffer, size):
            return size
    return None


def _word(buffer: bytes, at: int) -> int:
    return int.from_bytes(buffer[at : at + 2], "big")


def _ip_begins(buffer: bytes, size: int) -> bool:
    start = size + _ETHERNET
    length = len(buffer) - start
    if length < 20:
        return False
    ethertype, version = _word(buffer, start - 2), buffer[start] >> 4
    if ethertype == _IPV4 and version == 4:
        return 20 <= _word(buffer, start + 2) <= length
    if ethertype == _IPV6 and version == 6:
        return 40 + _word(buffer, start + 4) <= length
    return False
