"""Inner header hash, virtio 1.4, 5.1.9.4.4."""

from __future__ import annotations

from ...wire.enums import CtrlClass, HashType
from ..check import check
from ..driving import controls, hashing, tunnelled
from ..driving.frames import TCP, UDP
from ..driving.rig import Rig
from ..driving.tunnelled import NAMES
from ..verdict import NotApplicable


def _start(rig: Rig) -> list[int]:
    kinds = tunnelled.start(rig)
    needed = HashType.IPV4 | HashType.TCPV4 | HashType.UDPV4
    if needed & ~hashing.supported_types(rig):
        raise NotApplicable("not all hash types of IPv4 are supported")
    return kinds


@check
def outer(rig: Rig) -> None:
    """With one encapsulation enabled, packets of others, and those of none, are hashed over their outer headers."""
    for kind in _start(rig):
        tunnelled.enable(rig, kind)
        for other in NAMES:
            if other != kind:
                tunnelled.expect_outer(rig, other, f"{NAMES[kind]} enabled")
        for protocol in (TCP, UDP):
            for packet in hashing.packets(protocol, 4):
                hashing.expect_hash(rig, packet, f"{NAMES[kind]} enabled", packet.addresses + packet.ports)


@check
def unsupported(rig: Rig) -> None:
    """HASH_TUNNEL_SET with a bit that supported_tunnel_types lacks gets VIRTIO_NET_ERR, alone and with others."""
    _start(rig)
    known = tunnelled.supported(rig)
    for bit in range(32):
        if not known >> bit & 1:
            for kinds in (1 << bit, known | 1 << bit):
                what = f"VIRTIO_NET_CTRL_HASH_TUNNEL_SET {kinds:#x}"
                controls.refused(rig, what, CtrlClass.HASH_TUNNEL, 0, kinds.to_bytes(4, "little"))


@check
def disabled(rig: Rig) -> None:
    """Once enabled_tunnel_types is 0 again, packets of every encapsulation are hashed over their outer headers."""
    kinds = _start(rig)
    tunnelled.enable(rig, sum(kinds))
    tunnelled.enable(rig, 0)
    for kind in NAMES:
        tunnelled.expect_outer(rig, kind, "enabled_tunnel_types 0")


@check
def disabled_on_reset(rig: Rig) -> None:
    """Of a device that was reset with encapsulations enabled, packets are hashed over their outer headers."""
    kinds = _start(rig)
    tunnelled.enable(rig, sum(kinds))
    _start(rig)
    for kind in NAMES:
        tunnelled.expect_outer(rig, kind, "after a reset")
