"""Device configuration layout, virtio 1.4, 5.1.4: features that go with configuration fields, link status, mtu."""

from __future__ import annotations

from ...device.ethernet import MAX_HEADER, payload_offset
from ...device.exchanges import BuffersSized, ConfigRead, StatusWritten, Transmitted
from ...wire.enums import Feature, GsoType
from ...wire.features import feature_name
from ..watching.accepted import accepted, accepts_if_offered, has
from ..watching.history import covers_link_status
from ..watching.receive_buffers import in_use
from ..watching.rule import Finding, rule
from ..watching.view import View

_ETHERNET = 14
_UNSEGMENTED = (int(GsoType.NONE), int(GsoType.ECN))


def _with_ctrl_vq(feature: Feature, view: View, written: StatusWritten) -> Finding:
    features = accepted(view, written)
    if features is None or not has(features, feature):
        return None
    if has(features, Feature.CTRL_VQ):
        return []
    return [f"the driver accepted {feature_name(feature)} without {feature_name(Feature.CTRL_VQ)}"]


@rule(StatusWritten)
def mac_accepted(view: View, written: StatusWritten) -> Finding:
    """VIRTIO_NET_F_MAC is accepted where it is offered."""
    return accepts_if_offered(Feature.MAC, view, written)


@rule(StatusWritten)
def mtu_accepted(view: View, written: StatusWritten) -> Finding:
    """VIRTIO_NET_F_MTU is accepted where it is offered."""
    return accepts_if_offered(Feature.MTU, view, written)


@rule(StatusWritten)
def standby_accepted(view: View, written: StatusWritten) -> Finding:
    """VIRTIO_NET_F_STANDBY is accepted where it is offered."""
    return accepts_if_offered(Feature.STANDBY, view, written)


@rule(StatusWritten)
def hash_report_ctrl_vq(view: View, written: StatusWritten) -> Finding:
    """VIRTIO_NET_F_HASH_REPORT is accepted with VIRTIO_NET_F_CTRL_VQ only."""
    return _with_ctrl_vq(Feature.HASH_REPORT, view, written)


@rule(StatusWritten)
def ctrl_rx_extra_ctrl_vq(view: View, written: StatusWritten) -> Finding:
    """VIRTIO_NET_F_CTRL_RX_EXTRA is accepted with VIRTIO_NET_F_CTRL_VQ only."""
    return _with_ctrl_vq(Feature.CTRL_RX_EXTRA, view, written)


@rule(ConfigRead, StatusWritten)
def link_status_read(view: View, exchange: ConfigRead | StatusWritten) -> Finding:
    """With VIRTIO_NET_F_STATUS, a driver that sends packets has read status by the time it resets the device."""
    if not view.has(Feature.STATUS):
        return None
    if isinstance(exchange, ConfigRead):
        return [] if covers_link_status(exchange) else None
    if exchange.value or not view.live or not view.history.transmitted:
        return None
    return [] if view.history.link_status_read else ["packets were sent, and status was never read"]


@rule(BuffersSized, StatusWritten)
def mtu_buffers(view: View, exchange: BuffersSized | StatusWritten) -> Finding:
    """With VIRTIO_NET_F_MTU and without VIRTIO_NET_F_MRG_RXBUF, a receive buffer holds a packet of mtu octets."""
    size = in_use(view, exchange)
    if size is None or not view.mtu or not view.has(Feature.MTU) or view.has(Feature.MRG_RXBUF):
        return None
    needed = view.layout.size + _ETHERNET + view.mtu
    if size >= needed:
        return []
    return [f"receive buffers have {size} octets, and a packet of mtu {view.mtu} takes {needed} with its headers"]


@rule(Transmitted)
def mtu_transmit(view: View, sent: Transmitted) -> Finding:
    """With VIRTIO_NET_F_MTU, a packet that is not to be segmented has mtu octets at most behind its Ethernet header."""
    buffer, size = sent.buffer, view.layout.size
    if len(buffer) < size + _ETHERNET or not view.has(Feature.MTU) or buffer[1] not in _UNSEGMENTED or not view.mtu:
        return None
    most = size + _ETHERNET + view.mtu
    if len(buffer) <= most:
        return []
    length = len(buffer) - size - payload_offset(buffer[size : size + MAX_HEADER])
    return [f"a packet of {length} octets is sent, and mtu is {view.mtu}"] if length > view.mtu else []
