"""A received packet as the driver sees it: virtio_net_hdr and frame (virtio 1.4, 5.1.9.4)."""

from __future__ import annotations

import struct

from ..wire.enums import HdrFlag, HdrFlagRfcV1
from ..wire.net_hdr import HdrLayout, NetHdr

_RESOURCE = struct.Struct("<IH").unpack_from


class RxPacket:
    """One packet of receive queue ``queue`` (receiveq1 is 0) in its ``buffers``; read lazily."""

    __slots__ = ("buffers", "layout", "queue")

    def __init__(self, layout: HdrLayout, queue: int, buffers: tuple[bytes, ...]) -> None:
        self.layout = layout
        self.queue = queue
        self.buffers = buffers

    @property
    def hdr(self) -> NetHdr:
        """The whole header."""
        return self.layout.parse(self.buffers[0])

    @property
    def flags(self) -> HdrFlag | HdrFlagRfcV1:
        """``flags`` with the profile's names."""
        return self.layout.flags(self.buffers[0][0])

    @property
    def flag_names(self) -> tuple[str, ...]:
        """The names of the flags that are set, lowest bit first."""
        return self.layout.flag_names(self.buffers[0][0])

    @property
    def resource(self) -> tuple[int, int]:
        """(resource_id, resource_type); zeros when VIRTIO_NET_F_IPSEC was not negotiated."""
        at = self.layout.resource_offset
        if at is None:
            return 0, 0
        resource_id, resource_type = _RESOURCE(self.buffers[0], at)
        return resource_id, resource_type

    @property
    def resource_id(self) -> int:
        return self.resource[0]

    @property
    def resource_type(self) -> int:
        return self.resource[1]

    @property
    def frame(self) -> bytes:
        """The Ethernet frame; a packet in several buffers is put together."""
        data = self.buffers[0] if len(self.buffers) == 1 else b"".join(self.buffers)
        return data[self.layout.size :]

    def __repr__(self) -> str:
        flags = "|".join(self.flag_names) or "none"
        size = len(self.frame)
        return f"RxPacket(queue={self.queue}, flags={flags}, resource_id={self.resource_id}, frame={size} octets)"
