"""Whether the frame of a transmit buffer begins where virtio_net_hdr ends (virtio 1.4, 5.1.9.2)."""

from __future__ import annotations

from ...device.exchanges import Transmitted
from .frame_place import header_size
from .rule import Finding
from .view import View


def placed(view: View, sent: Transmitted) -> Finding:
    """What is wrong with where the frame begins; None where that cannot be told, and before DRIVER_OK."""
    if not view.live:
        return None
    size, length = view.layout.size, len(sent.buffer)
    if length < size:
        return [f"the buffer has {length} octets, and virtio_net_hdr {size}"]
    seen = header_size(sent.buffer, size)
    if seen is None:
        return None
    return [] if seen == size else [f"the frame begins behind {seen} octets, and virtio_net_hdr has {size}"]
