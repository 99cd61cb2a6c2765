"""What must not become of packets for SAs that are gone."""

from __future__ import annotations

from ...ipsec import SaParams
from . import associations, frames
from .on_the_wire import spi_of
from .rig import Rig

FRAME = frames.udp4_frame()


def not_protected(rig: Rig, resource_id: int, params: SaParams, what: str) -> None:
    """No frame with the SPI leaves the device; what else becomes of the packet is open here (D14)."""
    sent = rig.transmit(rig.driver.header(resource_id) + FRAME)
    rig.expect(params.spi not in map(spi_of, sent), what, "not sent with that SA", "a frame with its SPI")


def not_processed(rig: Rig, inbound: SaParams, what: str) -> None:
    """The driver does not get the plain packet of the next packet of the SA."""
    packet = rig.receive(associations.protected(associations.sender(inbound), FRAME))
    plain = packet is not None and packet.frame[14:] == FRAME[14:]
    rig.expect(not plain, what, "not decrypted", "the plain packet")
