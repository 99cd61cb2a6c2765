"""Whether the frame of a transmit buffer begins where virtio_net_hdr ends (virtio 1.4, 5.1.9.2)."""

from __future__ import annotations

from .frame_place import header_size


def misplaced(buffer: bytes, size: int) -> str:
    """What is wrong with a buffer whose virtio_net_hdr should have ``size`` octets, in words; empty for nothing."""
    if len(buffer) < size:
        return f"the buffer has {len(buffer)} octets, and virtio_net_hdr {size}"
    seen = header_size(buffer, size)
    return "" if seen in (None, size) else f"the frame begins behind {seen} octets, and virtio_net_hdr has {size}"
