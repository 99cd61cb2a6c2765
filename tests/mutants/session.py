"""A session that a driver has with a device: what wrong drivers vary, a step at a time."""

from __future__ import annotations

from typing import Any, ClassVar

from virtionet_ipsec.conformance.driving import frames
from virtionet_ipsec.conformance.watching.monitor import Monitor
from virtionet_ipsec.device import Device
from virtionet_ipsec.driver import Driver
from virtionet_ipsec.ipsec import Direction, Lifetime, Mode, Protocol, SaParams, Tunnel
from virtionet_ipsec.trace import Session
from virtionet_ipsec.wire.enums import Feature, ResourceType
from virtionet_ipsec.wire.profile import Profile

TUNNEL = Tunnel(bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2)))
FRAME = frames.udp4_frame()


def sa(direction: Direction, spi: int = 0x1000, **changes: Any) -> SaParams:
    """An AES-GCM tunnel SA."""
    fields: dict[str, Any] = {
        "protocol": Protocol.ESP,
        "mode": Mode.TUNNEL,
        "spi": spi,
        "aead": "aes-gcm",
        "cipher_key": bytes(range(16)),
        "salt": b"salt",
        "tunnel": TUNNEL,
        "replay_window": 64 if direction is Direction.INBOUND else 0,
        **changes,
    }
    return SaParams(direction=direction, **fields)


class ReferenceDriver(Driver):
    """The reference driver, and all that it does in a session.  A mutant overrides one step of it."""

    right: ClassVar[type[ReferenceDriver]]

    def session(self) -> None:
        """Everything a driver does, from reset to reset."""
        self.read_config()
        self.start()
        self.set_receive_buffers()
        if self.negotiated >> Feature.IPSEC & 1:
            self.make_rules()
            self.make_sas()
        self.pass_packets()
        if self.negotiated >> Feature.IPSEC & 1:
            self.change_sas()
            self.clean_up()
        self.port.set_status(0)

    def read_config(self) -> None:
        self.port.read_config(0, 28)

    def set_receive_buffers(self) -> None:
        self.port.receive_buffer_size = 1 << 17

    def make_rules(self) -> None:
        self.steer_ipsec()

    def make_sas(self) -> None:
        self.outbound = self.create_sa(sa(Direction.OUTBOUND))
        self.inbound = self.create_sa(sa(Direction.INBOUND))

    def pass_packets(self) -> None:
        self.send(FRAME)
        if self.negotiated >> Feature.CSUM & 1:
            self.send_with_checksum()
        if self.negotiated >> Feature.IPSEC & 1:
            for wire in self.send(FRAME, self.outbound):
                self.receive(wire)
        self.receive(FRAME)

    def send_with_checksum(self) -> None:
        """NEEDS_CSUM: the checksum field has the pseudo header's sum (5.1.9.2)."""
        datagram = frames.udp()
        pseudo = frames.pseudo_header_sum(frames.SRC4 + frames.DST4, frames.UDP, len(datagram))
        partial = datagram[:6] + pseudo.to_bytes(2, "big") + datagram[8:]
        self.send(frames.ethernet(frames.ipv4(partial)), csum=(34, 6))

    def change_sas(self) -> None:
        if self.profile is Profile.VIRTIO_1_4:
            self.modify_sa(sa(Direction.INBOUND, lifetime=Lifetime(packets_soft=1000)), self.inbound)
        self.admin.query(ResourceType.IPSEC_INB_SA, self.inbound)

    def clean_up(self) -> None:
        self.destroy_sa(Direction.OUTBOUND, self.outbound)
        self.destroy_sa(Direction.INBOUND, self.inbound)


ReferenceDriver.right = ReferenceDriver


def watched_session(kind: type[ReferenceDriver], profile: Profile, **device: Any) -> Monitor:
    """What a monitor saw of a session of this driver with a model of these parameters."""
    model = Device(profile, **device)
    monitor = Monitor(Session(profile, model.features, model.config))
    model.on_exchange = monitor.observe
    kind(model, profile).session()
    return monitor
