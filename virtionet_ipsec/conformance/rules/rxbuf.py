"""Setting up receive buffers, virtio 1.4, 5.1.9.3: their size, and that of virtio_net_hdr."""

from __future__ import annotations

from functools import partial

from ...device.exchanges import BuffersSized, StatusWritten, Transmitted
from ...wire.enums import Feature
from ...wire.features import GUEST_SEGMENTATION
from ..watching.header_place import placed
from ..watching.receive_buffers import in_use
from ..watching.rule import Finding, add, rule
from ..watching.view import View

_PACKET = {True: 65589, False: 1514}  # octets of the largest frame, with and without one of these features


def _whole_packets(segmented: bool, hash_report: bool, view: View, exchange: BuffersSized | StatusWritten) -> Finding:
    size = in_use(view, exchange)
    if size is None or view.has(Feature.MRG_RXBUF) or view.has(Feature.HASH_REPORT) != hash_report:
        return None
    if any(view.has(feature) for feature in GUEST_SEGMENTATION) != segmented:
        return None
    needed = _PACKET[segmented] + view.layout.size
    return [] if size >= needed else [f"receive buffers have {size} octets, and {needed} are needed"]


for _segmented, _gso in ((True, "gso"), (False, "no-gso")):
    for _hash_report, _hash in ((True, "hash-report"), (False, "plain")):
        add(
            f"driver.rxbuf.{_gso}-{_hash}",
            f"""A receive buffer holds virtio_net_hdr and {_PACKET[_segmented]} octets,
            {"with" if _segmented else "without"} large packets from the device and
            {"with" if _hash_report else "without"} VIRTIO_NET_F_HASH_REPORT, when buffers cannot be merged.""",
            (BuffersSized, StatusWritten),
            partial(_whole_packets, _segmented, _hash_report),
        )


@rule(BuffersSized, StatusWritten)
def mergeable(view: View, exchange: BuffersSized | StatusWritten) -> Finding:
    """With VIRTIO_NET_F_MRG_RXBUF, a receive buffer holds virtio_net_hdr at least."""
    size = in_use(view, exchange)
    if size is None or not view.has(Feature.MRG_RXBUF):
        return None
    needed = view.layout.size
    return [] if size >= needed else [f"receive buffers have {size} octets, and virtio_net_hdr {needed}"]


def _header(size: int, view: View, sent: Transmitted) -> Finding:
    return placed(view, sent) if view.layout.size == size else None


for _size, _why in (
    (32, "with VIRTIO_NET_F_OUT_NET_HEADER or VIRTIO_NET_F_IPSEC"),
    (24, "with VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO or VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO and neither of those"),
    (20, "with VIRTIO_NET_F_HASH_REPORT and none of those"),
    (12, "with no feature that asks for more"),
):
    add(
        f"driver.rxbuf.header-{_size}",
        f"The frame begins behind a virtio_net_hdr of {_size} octets {_why}.",
        (Transmitted,),
        partial(_header, _size),
    )
