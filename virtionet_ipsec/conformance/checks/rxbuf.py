"""Setting up receive buffers, virtio 1.4, 5.1.9.3: how a received packet lies in them."""

from __future__ import annotations

from collections.abc import Iterator

from ...driver.packet import RxPacket
from ...wire.enums import Feature
from ..check import check
from ..driving import associations, frames
from ..driving.rig import Rig
from ..verdict import NotObservable

LEAST = 60  # octets of an Ethernet frame without FCS (IEEE 802.3)
MOST = 1294  # of one that every link for IPv6 takes: 1280 octets and the link-layer header
HUGE = 1 << 16


def _lengths(size: int, header: int) -> Iterator[int]:
    """Lengths of frames that fill one, two, three buffers of ``size`` octets to the last octet, and one more."""
    full = (count * size - header for count in (1, 2, 3, 8))
    edges = {edge for end in full for edge in (end - 1, end, end + 1)}
    yield from sorted(edge for edge in edges | {LEAST, 500, MOST} if LEAST <= edge <= MOST)


def _frame(length: int) -> bytes:
    return frames.sized_frame(length - 14)


def _counts_its_buffers(rig: Rig, what: str, packet: RxPacket | None) -> bool:
    """Hold num_buffers of ``packet`` against its buffers; False when there is no packet: it may have been dropped."""
    if packet is not None:
        rig.equal(f"num_buffers of {what}", len(packet.buffers), packet.hdr.num_buffers)
    return packet is not None


def _needs_any(seen: bool) -> None:
    if not seen:
        raise NotObservable("no packet reaches the driver")


@check
def num_buffers(rig: Rig) -> None:
    """num_buffers is the number of receive buffers that a packet lies in, with buffers of many sizes."""
    rig.negotiate()
    header = rig.layout.size
    mergeable = rig.driver.negotiated >> Feature.MRG_RXBUF & 1
    seen = False
    for size in (header + 1, 64, 128, 256, 1526, HUGE) if mergeable else (HUGE,):
        rig.port.receive_buffer_size = size
        for length in _lengths(size, header):
            what = f"a frame of {length} octets in buffers of {size}"
            seen |= _counts_its_buffers(rig, what, rig.receive(_frame(length)))
    _needs_any(seen)


@check
def num_buffers_protected(rig: Rig) -> None:
    """num_buffers is the number of receive buffers that a packet from IPsec processing lies in."""
    associations.start(rig)
    mergeable = rig.driver.negotiated >> Feature.MRG_RXBUF & 1
    inbound = associations.sa(rig, associations.INBOUND, replay_window=0)
    associations.create(rig, inbound)
    far_end = associations.sender(inbound)
    unknown = associations.tunnel_frame((inbound.spi + 1).to_bytes(4, "big") + bytes(600))
    seen = False
    for size in (64, 256, HUGE) if mergeable else (HUGE,):
        rig.port.receive_buffer_size = size
        for length in _lengths(size, rig.layout.size):
            wire = associations.protected(far_end, _frame(length))
            what = f"a frame of {length} octets after decryption, in buffers of {size}"
            seen |= _counts_its_buffers(rig, what, rig.receive(wire))
        _counts_its_buffers(rig, f"ESP with a SPI that no SA has, in buffers of {size}", rig.receive(unknown))
    _needs_any(seen)


@check
def single_buffer(rig: Rig) -> None:
    """Without VIRTIO_NET_F_MRG_RXBUF a packet lies in one buffer, and num_buffers is 1; one too long may be dropped."""
    rig.negotiate(without=(Feature.MRG_RXBUF,))
    header, seen = rig.layout.size, False
    for size in (header + 100, 1526, HUGE):
        rig.port.receive_buffer_size = size
        for length in _lengths(size, header):
            what = f"a frame of {length} octets, with buffers of {size}"
            got = rig.receive(_frame(length))
            seen |= _counts_its_buffers(rig, what, got)
            rig.equal(f"buffers of {what}", 1, len(got.buffers) if got is not None else 1)
    _needs_any(seen)
