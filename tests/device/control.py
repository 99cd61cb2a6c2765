"""A driver's hand on the control plane, without the driver: commands built field by field."""

from __future__ import annotations

import struct
from typing import Any

from virtionet_ipsec.device import Device
from virtionet_ipsec.wire import (
    Action,
    AdminStatus,
    AeadAlgo,
    GroupType,
    IpsecDir,
    IpsecMode,
    Opcode,
    Profile,
    Qualifier,
    ResourceType,
    SelectorType,
    Status,
    TunnelType,
)
from virtionet_ipsec.wire.codec import build
from virtionet_ipsec.wire.sa import ipsec_sa, tunnel_ipv4, tunnel_ipv6

OK = (AdminStatus.OK, Qualifier.OK)
INVALID_FIELD = (AdminStatus.EINVAL, Qualifier.INVALID_FIELD)
INVALID_OPCODE = (AdminStatus.EINVAL, Qualifier.INVALID_OPCODE)
INVALID_GROUP = (AdminStatus.EINVAL, Qualifier.INVALID_GROUP)
INVALID_MEMBER = (AdminStatus.EINVAL, Qualifier.INVALID_MEMBER)
ENXIO = (AdminStatus.ENXIO, Qualifier.INVALID_FIELD)
EEXIST = (AdminStatus.EEXIST, Qualifier.INVALID_FIELD)
EBUSY = (AdminStatus.EBUSY, Qualifier.INVALID_COMMAND)
ENOSPC = (AdminStatus.ENOSPC, Qualifier.NORESOURCE)

ALL_OPCODES = 0x3F83  # LIST_QUERY, LIST_USE, 0x7 to 0xd

GROUP, CLASSIFIER, RULE = ResourceType.FF_GROUP, ResourceType.FF_CLASSIFIER, ResourceType.FF_RULE
OUTB, INB = ResourceType.IPSEC_OUTB_SA, ResourceType.IPSEC_INB_SA

Result = tuple[AdminStatus, Qualifier]


def command(opcode: int, data: bytes = b"", group: int = GroupType.SELF, member: int = 0) -> bytes:
    """The device-readable part of a command."""
    return struct.pack("<HH12xQ", opcode, group, member) + data


def handshake(device: Device, features: int | None = None) -> None:
    """Reset to DRIVER_OK."""
    device.set_status(0)
    status = Status.ACKNOWLEDGE | Status.DRIVER
    device.set_status(status)
    device.set_driver_features(device.features if features is None else features)
    status |= Status.FEATURES_OK
    device.set_status(status)
    device.set_status(status | Status.DRIVER_OK)


class Control:
    """Sends commands and keeps what the last one wrote in ``result``."""

    def __init__(self, device: Device | None = None, **parameters: Any) -> None:
        self.device = device if device is not None else Device(**parameters)
        self.result = b""

    def send(self, opcode: int, data: bytes = b"", group: int = GroupType.SELF, member: int = 0) -> Result:
        written = self.device.admin(command(opcode, data, group, member))
        status, qualifier, reserved = struct.unpack_from("<HHI", written)
        assert reserved == 0
        self.result = written[8:]
        ok = status == AdminStatus.OK
        assert ok == (self.device.last_refusal == "")
        assert ok or not self.result
        return AdminStatus(status), Qualifier(qualifier)

    def start(self, features: int | None = None, *, use: bool = True, enable: bool = True) -> Control:
        """Negotiate; then take all opcodes into use, and all capabilities whole."""
        handshake(self.device, features)
        if use:
            assert self.use(ALL_OPCODES) == OK
        if enable:
            for cap in self.caps():
                assert self.set_cap(cap, self.get_cap(cap)) == OK
        return self

    def use(self, bits: int) -> Result:
        return self.send(Opcode.LIST_USE, bits.to_bytes(8, "little"))

    def caps(self) -> list[int]:
        assert self.send(Opcode.CAP_ID_LIST_QUERY) == OK
        bits = int.from_bytes(self.result, "little")
        return [number for number in range(bits.bit_length()) if bits >> number & 1]

    def get_cap(self, cap: int) -> bytes:
        assert self.send(Opcode.DEVICE_CAP_GET, struct.pack("<H6x", cap)) == OK
        return self.result

    def set_cap(self, cap: int, data: bytes) -> Result:
        return self.send(Opcode.DRIVER_CAP_SET, struct.pack("<H6x", cap) + data)

    def create(self, kind: int, number: int, data: bytes, flags: int = 0) -> Result:
        return self.send(Opcode.RESOURCE_OBJ_CREATE, struct.pack("<H2xIQ", kind, number, flags) + data)

    def modify(self, kind: int, number: int, data: bytes) -> Result:
        return self.send(Opcode.RESOURCE_OBJ_MODIFY, struct.pack("<H2xIQ", kind, number, 0) + data)

    def query(self, kind: int, number: int) -> Result:
        return self.send(Opcode.RESOURCE_OBJ_QUERY, struct.pack("<H2xIQ", kind, number, 0))

    def destroy(self, kind: int, number: int) -> Result:
        return self.send(Opcode.RESOURCE_OBJ_DESTROY, struct.pack("<H2xI", kind, number))

    def refused(self, result: Result, expected: Result, words: str) -> None:
        """The last command was refused as ``expected``, and says so with ``words``."""
        assert result == expected
        assert words in self.device.last_refusal


def ff_resource_cap(
    groups: int = 8, classifiers: int = 8, rules: int = 8, per_group: int = 8, last: int = 100, selectors: int = 3
) -> bytes:
    return struct.pack("<IIIIBB2x", groups, classifiers, rules, per_group, last, selectors)


def ipsec_resource_cap(inbound: int, outbound: int) -> bytes:
    return struct.pack("<II", inbound, outbound)


def action_cap(*actions: int) -> bytes:
    return bytes([len(actions)]) + bytes(7) + bytes(actions)


LENGTHS = {
    SelectorType.ETH: 14,
    SelectorType.IPV4: 20,
    SelectorType.IPV6: 40,
    SelectorType.TCP: 20,
    SelectorType.UDP: 8,
    SelectorType.ESP: 8,
}


def octets(length: int, **at: bytes) -> bytes:
    """``length`` zeros, with ``_4=b".."`` from octet 4 on."""
    data = bytearray(length)
    for place, value in at.items():
        start = int(place[1:])
        data[start : start + len(value)] = value
    return bytes(data)


ETHERTYPE_MASK = octets(14, _12=b"\xff\xff")
PROTOCOL_MASK = octets(20, _9=b"\xff")
NEXT_HEADER_MASK = octets(40, _6=b"\xff")


def selector(kind: int, mask: bytes, flags: int = 0, length: int | None = None) -> bytes:
    return struct.pack("<BB2xB3x", kind, flags, len(mask) if length is None else length) + mask


def array(*entries: bytes, count: int | None = None) -> bytes:
    """``count``, 7 reserved octets and the entries: classifiers and array capabilities."""
    return bytes([len(entries) if count is None else count]) + bytes(7) + b"".join(entries)


ETH_ONLY = array(selector(SelectorType.ETH, ETHERTYPE_MASK))
ESP_V4 = array(
    selector(SelectorType.ETH, ETHERTYPE_MASK),
    selector(SelectorType.IPV4, PROTOCOL_MASK),
    selector(SelectorType.ESP, bytes(8)),
)
ESP_V4_KEY = octets(42, _12=b"\x08\x00", _23=b"\x32")


def rule(
    keys: bytes = ESP_V4_KEY,
    *,
    group: int = 0,
    classifier: int = 0,
    priority: int = 0,
    action: int = Action.IPSEC,
    vq_index: int = 0,
    key_length: int | None = None,
) -> bytes:
    length = len(keys) if key_length is None else key_length
    return struct.pack("<IIBBBBH2x", group, classifier, priority, length, action, 0, vq_index) + keys


def group(priority: int) -> bytes:
    return struct.pack("<H", priority)


def key(data: bytes, length: int | None = None) -> dict[str, Any]:
    return {"length": len(data) if length is None else length, "data": data.ljust(32, b"\0")[:32]}


def tunnel_v4(profile: Profile = Profile.VIRTIO_1_4, **fields: Any) -> dict[str, Any]:
    values = {"src_ip": {"s_addr": 0x0A000001}, "dst_ip": {"s_addr": 0x0A000002}, "ttl": 64, **fields}
    return {"type": TunnelType.IPV4, "header": _union(build(tunnel_ipv4(profile), **values), profile)}


def tunnel_v6(profile: Profile = Profile.VIRTIO_1_4, **fields: Any) -> dict[str, Any]:
    values = {
        "src_addr": {"s6_u8": bytes(15) + b"\1"},
        "dst_addr": {"s6_u8": bytes(15) + b"\2"},
        "hlimit": 64,
        **fields,
    }
    return {"type": TunnelType.IPV6, "header": _union(build(tunnel_ipv6(profile), **values), profile)}


def _union(header: bytes, profile: Profile) -> bytes:
    return header.ljust(40 if profile is Profile.VIRTIO_1_4 else 38, b"\0")


def sa(kind: ResourceType, profile: Profile = Profile.VIRTIO_1_4, **fields: Any) -> bytes:
    """An SA object: AES-GCM-128 in an ESP tunnel, and what ``fields`` change."""
    outbound = kind is OUTB
    values: dict[str, Any] = {
        "mode": IpsecMode.ESP_TUNNEL,
        "direction": IpsecDir.OUTBOUND if outbound else IpsecDir.INBOUND,
        "spi": 0x1000,
        "salt": 0x04030201,
        "cipher_algo": AeadAlgo.GCM,
        "cipher_key": key(bytes(range(16))),
        **({"param": tunnel_v4(profile)} if outbound else {"replay_win_sz": 64}),
        **fields,
    }
    return build(ipsec_sa(profile), **values)
