"""Drivers that are wrong about what the configuration space says (5.1.4)."""

from __future__ import annotations

from virtionet_ipsec.conformance.driving import frames
from virtionet_ipsec.device import Device
from virtionet_ipsec.wire.enums import Feature

from ..meddling import AlmostAll, Through, accepting
from ..mutant import violates
from ..segmenting import Segmenting
from ..session import ReferenceDriver

_OFFERED = Device().features
_CTRL_VQ = 1 << Feature.CTRL_VQ


@violates("config.drv.mac-accepted")
class LeavesMac(Through):
    """Does not accept VIRTIO_NET_F_MAC."""

    port_kind = accepting(less=1 << Feature.MAC)


@violates("config.drv.mtu-accepted")
class LeavesMtu(Through):
    """Does not accept VIRTIO_NET_F_MTU."""

    port_kind = accepting(less=1 << Feature.MTU)


@violates("config.drv.standby-accepted", features=_OFFERED | 1 << Feature.STANDBY)
class LeavesStandby(ReferenceDriver):
    """Does not accept VIRTIO_NET_F_STANDBY."""

    right = Segmenting


@violates("config.drv.link-status-read")
class AssumesTheLink(ReferenceDriver):
    """Reads mac and nothing more of the configuration."""

    def read_config(self) -> None:
        self.port.read_config(0, 6)

    def read_link_up(self) -> bool:
        return True


@violates("config.drv.mtu-buffers", features=_OFFERED & ~(1 << Feature.MRG_RXBUF), mtu=9000)
class SmallBuffers(ReferenceDriver):
    """Has receive buffers of 2048 octets, and mtu is 9000."""

    def set_receive_buffers(self) -> None:
        self.port.receive_buffer_size = 2048


@violates("config.drv.mtu-transmit")
class SendsTooMuch(ReferenceDriver):
    """Sends a packet of 1501 octets, and mtu is 1500."""

    def pass_packets(self) -> None:
        super().pass_packets()
        self.send(frames.sized_frame(1501))


@violates("config.drv.hash-report-ctrl-vq", features=_OFFERED | _CTRL_VQ | 1 << Feature.HASH_REPORT)
class HashesUncontrolled(AlmostAll):
    """Accepts VIRTIO_NET_F_HASH_REPORT without VIRTIO_NET_F_CTRL_VQ."""

    port_kind = accepting(less=_CTRL_VQ)


@violates("config.drv.ctrl-rx-extra-ctrl-vq", features=_OFFERED | _CTRL_VQ | 1 << Feature.CTRL_RX_EXTRA)
class ReceivesUncontrolled(AlmostAll):
    """Accepts VIRTIO_NET_F_CTRL_RX_EXTRA without VIRTIO_NET_F_CTRL_VQ."""

    port_kind = accepting(less=_CTRL_VQ)
