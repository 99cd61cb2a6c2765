"""A session with a model, as it tells it."""

from __future__ import annotations

from virtionet_ipsec.conformance.driving import frames
from virtionet_ipsec.device import Device
from virtionet_ipsec.device.exchanges import Exchange
from virtionet_ipsec.driver import Driver
from virtionet_ipsec.ipsec import Direction, Mode, Protocol, SaParams, Tunnel
from virtionet_ipsec.wire.profile import Profile

FRAME = frames.udp4_frame()
CIPHER_KEY, AUTH_KEY, SALT = bytes(range(0x61, 0x71)), bytes(range(0x81, 0xA1)), b"\xf1\xf2\xf3\xf4"


def sas() -> tuple[SaParams, ...]:
    """An SA each way with an AEAD, and one with a cipher and a MAC."""
    common = {"protocol": Protocol.ESP, "mode": Mode.TUNNEL}
    tunnel = Tunnel(bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2)))
    gcm = {"aead": "aes-gcm", "cipher_key": CIPHER_KEY, "salt": SALT, "spi": 0x1000}
    cbc = {"cipher": "aes-cbc", "cipher_key": CIPHER_KEY, "auth": "hmac-sha256", "auth_key": AUTH_KEY, "spi": 0x2000}
    return (
        SaParams(direction=Direction.OUTBOUND, tunnel=tunnel, **common, **gcm),
        SaParams(direction=Direction.INBOUND, replay_window=64, **common, **gcm),
        SaParams(direction=Direction.OUTBOUND, tunnel=tunnel, **common, **cbc),
    )


def drive(port: object, profile: Profile) -> None:
    """Everything that can cross the boundary, at least once."""
    driver = Driver(port, profile)  # type: ignore[arg-type]
    port.read_config(0, 28)  # type: ignore[attr-defined]
    driver.start()
    port.receive_buffer_size = 1 << 16  # type: ignore[attr-defined]
    driver.steer_ipsec()
    outbound, _, cbc = (driver.create_sa(params) for params in sas())
    for sa in (None, outbound, cbc, 4711):
        for wire in driver.send(FRAME, sa):
            driver.receive(wire)
    driver.receive(FRAME)
    driver.receive(b"short")
    driver.destroy_sa(Direction.OUTBOUND, outbound)
    port.set_status(0)  # type: ignore[attr-defined]
    driver.port.admin(b"", 64)
    driver.port.control(b"\4\0\1\0", 1)


def told(profile: Profile) -> tuple[Device, list[Exchange]]:
    """A device after :func:`drive`, and what it told of it."""
    device = Device(profile, randbytes=lambda length: bytes(length))
    exchanges: list[Exchange] = []
    device.on_exchange = exchanges.append
    drive(device, profile)
    return device, exchanges
