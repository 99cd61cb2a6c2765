"""A device, its driver and frames, for the tests of this folder."""

from __future__ import annotations

import struct
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet

from virtionet_ipsec.device import Device
from virtionet_ipsec.driver.driver import UNDERSTOOD, Driver
from virtionet_ipsec.driver.flow_rules import Match
from virtionet_ipsec.driver.in_process import InProcess, connect
from virtionet_ipsec.ipsec import Direction, Mode, Protocol, Reason, SaParams, Tunnel
from virtionet_ipsec.wire import Feature, Profile, SelectorType, Status

PROFILES = tuple(Profile)

KEY, SALT = bytes(range(16)), b"salt"
V4 = Tunnel(bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2)))
V6 = Tunnel(bytes.fromhex("20010db8" + "00" * 11 + "01"), bytes.fromhex("20010db8" + "00" * 11 + "02"))
TUNNELS = {4: V4, 6: V6}

MACS = {"dst": "02:00:00:00:00:01", "src": "02:00:00:00:00:02"}
ETHERNET = bytes.fromhex("020000000001020000000002")
TAGS = {0: b"", 1: b"\x81\x00\x00\x05", 2: b"\x88\xa8\x00\x07\x81\x00\x00\x05"}  # what stands before the EtherType
ETHERTYPES = {4: b"\x08\x00", 6: b"\x86\xdd"}

OVERHEAD = {4: 20, 6: 40}  # of an IP header


def mask(*features: Feature) -> int:
    return sum(1 << feature for feature in features)


DEFAULT = mask(*UNDERSTOOD)  # what the driver accepts when it is told nothing


BARE = mask(Feature.VERSION_1, Feature.ADMIN_VQ)


def ip(version: int = 4, payload: Packet | bytes = b"", **fields: Any) -> Packet:
    """An IP packet, a UDP datagram to port 53 unless ``payload`` is a packet of its own."""
    v4, v6 = IP(src="198.51.100.1", dst="203.0.113.1"), IPv6(src="2001:db8:1::1", dst="2001:db8:2::1")
    header = v4 if version == 4 else v6
    for name, value in fields.items():
        setattr(header, name, value)
    return header / (UDP(sport=5000, dport=53) / payload if isinstance(payload, bytes) else payload)


def framed(packet: Packet | bytes, tags: int = 0) -> bytes:
    """``packet`` in an Ethernet frame with 0, 1 or 2 VLAN tags."""
    octets = bytes(packet)
    return ETHERNET + TAGS[tags] + ETHERTYPES[octets[0] >> 4] + octets


def sized(version: int, length: int) -> bytes:
    """A UDP packet of ``length`` octets, IP header included."""
    packet = bytes(ip(version, bytes(length - OVERHEAD[version] - 8)))
    assert len(packet) == length
    return packet


def params(direction: Direction, **fields: Any) -> SaParams:
    """AES-GCM in an ESP tunnel, and what ``fields`` change."""
    values: dict[str, Any] = {"protocol": Protocol.ESP, "mode": Mode.TUNNEL, "spi": 0x1000, "tunnel": V4}
    if not fields.keys() & {"cipher", "auth", "aead"}:
        values |= {"aead": "aes-gcm", "cipher_key": KEY, "salt": SALT}
    if direction is Direction.INBOUND:
        values["replay_window"] = 64
    return SaParams(direction=direction, **(values | fields))


def rig(profile: Profile = Profile.VIRTIO_1_4, *, steer: bool = True, **device: Any) -> InProcess:
    """A driver on a device of its own, in DRIVER_OK."""
    driver = connect(profile, **device)
    if steer:
        driver.steer_ipsec()
    return driver


def outbound(driver: Driver, **fields: Any) -> int:
    return driver.create_sa(params(Direction.OUTBOUND, **fields))


def inbound(driver: Driver, **fields: Any) -> int:
    return driver.create_sa(params(Direction.INBOUND, **fields))


def offering(features: int, profile: Profile = Profile.VIRTIO_1_4, **parameters: Any) -> Device:
    """A device with exactly these features, all of them negotiated."""
    device = Device(profile, features=features, **parameters)
    status = Status.ACKNOWLEDGE | Status.DRIVER
    device.set_status(status)
    device.set_driver_features(features)
    device.set_status(status | Status.FEATURES_OK)
    device.set_status(status | Status.FEATURES_OK | Status.DRIVER_OK)
    assert device.status & Status.DRIVER_OK, device.last_refusal
    return device


def protocol_rule(driver: Driver, group: int, priority: int, protocol: int, action: int, vq_index: int = 0) -> int:
    """A rule for IPv4 packets of ``protocol``."""
    matches = (
        Match.fields(SelectorType.ETH, (12, b"\x08\x00")),
        Match.fields(SelectorType.IPV4, (9, bytes((protocol,)))),
    )
    return driver.create_rule(group, driver.create_classifier(matches), priority, action, matches, vq_index)


def refused(driver: InProcess, buffer: bytes) -> Reason:
    """Why the device drops this transmit buffer; the drop is counted under its reason."""
    before = driver.device.counters.tx_dropped.copy()
    sent = driver.device.counters.tx_sent
    assert driver.device.transmit(buffer) == ()
    why = driver.device.transmit_refused
    assert why is not None
    before[why.reason] += 1
    assert driver.device.counters.tx_dropped == before
    assert driver.device.counters.tx_sent == sent
    return why.reason


def decrypted(packet: bytes) -> tuple[bytes, int]:
    """What is inside an ESP packet of :func:`params`, and its next header; not the model's own doing (RFC 4106)."""
    esp = packet[OVERHEAD[packet[0] >> 4] :]
    plain = AESGCM(KEY).decrypt(SALT + esp[8:16], esp[16:], esp[:8])
    pad = plain[-2]
    assert plain[len(plain) - 2 - pad : -2] == bytes(range(1, pad + 1))
    return plain[: len(plain) - 2 - pad], plain[-1]


def le32(data: bytes, at: int) -> int:
    return int(struct.unpack_from("<I", data, at)[0])


def le16(data: bytes, at: int) -> int:
    return int(struct.unpack_from("<H", data, at)[0])
