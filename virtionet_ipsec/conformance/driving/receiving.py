"""What a device lets through to the driver: modes, addresses, VLANs (virtio 1.4, 5.1.9.5.1 to 5.1.9.5.3)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ...wire.enums import CtrlClass, CtrlMac, CtrlRx, CtrlVlan, Feature
from . import controls
from .frames import MACS, udp4_frame
from .rig import Rig

STRANGER = bytes.fromhex("52540000f001")
UNICAST = tuple(bytes.fromhex(each) for each in ("52540000a001", "020000000001", "00005e000101"))
"""Addresses of stations, none of them the device's own or :data:`STRANGER`'s."""

MULTICAST = tuple(bytes.fromhex(each) for each in ("01005e0000fb", "333300000001", "0180c200000e"))
"""Group addresses: IPv4's, IPv6's, LLDP's."""

BROADCAST = b"\xff" * 6


def own_address(rig: Rig) -> bytes:
    """``mac`` of the configuration space; the address that all checks send to where there is none."""
    return rig.port.read_config(0, 6) if rig.offers(Feature.MAC) else MACS[:6]


def frame(destination: bytes, vlan: int | None = None) -> bytes:
    """A frame for ``destination``, with a VLAN tag of this id."""
    tag = b"" if vlan is None else b"\x81\x00" + vlan.to_bytes(2, "big")
    return destination + MACS[6:] + tag + udp4_frame()[12:]


def passes(rig: Rig, destination: bytes, vlan: int | None = None) -> bool:
    """Whether a frame for ``destination`` reaches the driver."""
    return rig.receive(frame(destination, vlan)) is not None


def expect_pass(rig: Rig, when: str, destinations: Collection[bytes]) -> None:
    for each in destinations:
        rig.expect(passes(rig, each), f"a frame for {each.hex(':')} {when}", "delivered", "nothing was delivered")


def expect_drop(rig: Rig, when: str, destinations: Collection[bytes]) -> None:
    for each in destinations:
        rig.expect(not passes(rig, each), f"a frame for {each.hex(':')} {when}", "dropped", "it was delivered")


def start(rig: Rig, *features: Feature, also: Collection[Feature] = ()) -> None:
    """Bring the device up with VIRTIO_NET_F_CTRL_RX and ``features``, and turn promiscuous mode off."""
    controls.start(rig, Feature.CTRL_RX, *features, also=also)
    switch(rig, CtrlRx.PROMISC, False)


def switch(rig: Rig, mode: CtrlRx, on: bool) -> None:
    """A command of the VIRTIO_NET_CTRL_RX class, which has to succeed."""
    controls.accepted(rig, f"VIRTIO_NET_CTRL_RX_{mode.name} {int(on)}", CtrlClass.RX, mode, bytes((on,)))


def set_table(rig: Rig, unicast: Sequence[bytes] = (), multicast: Sequence[bytes] = ()) -> None:
    """VIRTIO_NET_CTRL_MAC_TABLE_SET, which has to succeed."""
    data = b"".join(len(each).to_bytes(4, "little") + b"".join(each) for each in (unicast, multicast))
    controls.accepted(rig, "VIRTIO_NET_CTRL_MAC_TABLE_SET", CtrlClass.MAC, CtrlMac.TABLE_SET, data)


def set_address(rig: Rig, address: bytes) -> None:
    """VIRTIO_NET_CTRL_MAC_ADDR_SET, which has to succeed."""
    controls.accepted(rig, "VIRTIO_NET_CTRL_MAC_ADDR_SET", CtrlClass.MAC, CtrlMac.ADDR_SET, address)


def set_vlan(rig: Rig, command: CtrlVlan, vlan: int) -> None:
    """VIRTIO_NET_CTRL_VLAN_ADD or _DEL, which has to succeed."""
    what = f"VIRTIO_NET_CTRL_VLAN_{command.name} {vlan}"
    controls.accepted(rig, what, CtrlClass.VLAN, command, vlan.to_bytes(2, "little"))
