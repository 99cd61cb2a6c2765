"""Packets in tunnels, for the hash of their inner headers (virtio 1.4, 5.1.9.4.4)."""

from __future__ import annotations

from collections.abc import Callable

from ...wire.enums import CtrlClass, Feature
from ..verdict import NotApplicable
from . import controls, hashing
from .frames import DST4, SRC4, TCP, ethernet, ipv4, udp
from .hashing import Packet, packets
from .rig import Rig

_SUPPORTED_AT = 24  # offset of supported_tunnel_types in virtio_net_config
GRE_2784, VXLAN, GENEVE, IPIP = 1 << 0, 1 << 4, 1 << 6, 1 << 7
_IPIP, _GRE, _UDP = 4, 47, 17


def _over_udp(port: int, header: bytes) -> Callable[[bytes], tuple[int, bytes]]:
    return lambda inner: (_UDP, udp(header + ethernet(inner), 49152, port))


_WRAP: dict[int, Callable[[bytes], tuple[int, bytes]]] = {
    VXLAN: _over_udp(4789, bytes((8, 0, 0, 0, 0, 0, 42, 0))),
    GENEVE: _over_udp(6081, bytes((0, 0, 0x65, 0x58, 0, 0, 42, 0))),
    IPIP: lambda inner: (_IPIP, inner),
    GRE_2784: lambda inner: (_GRE, b"\0\0\x08\0" + inner),
}
NAMES = {VXLAN: "VXLAN", GENEVE: "GENEVE", IPIP: "IPIP", GRE_2784: "GRE_2784"}


def tunnelled(kind: int) -> list[Packet]:
    """IPv4 packets of this encapsulation with TCP inside: the fields are those of the outer headers."""
    found = []
    for inner in packets(TCP, 4):
        protocol, payload = _WRAP[kind](inner.frame[14:])
        frame = ethernet(ipv4(payload, protocol))
        ports = payload[:4] if protocol == _UDP else b""
        found.append(Packet(f"{inner.what} in {NAMES[kind]}", frame, 4, protocol, SRC4 + DST4, ports))
    return found


def start(rig: Rig) -> list[int]:
    """Bring the device up with VIRTIO_NET_F_HASH_TUNNEL and reports; gives the encapsulations to enable one of."""
    controls.start(rig, Feature.HASH_TUNNEL, Feature.HASH_REPORT, also=(Feature.RSS,))
    hashing.enable(rig, hashing.supported_types(rig))
    found = [kind for kind in _WRAP if supported(rig) & kind]
    if not found:
        raise NotApplicable(f"supported_tunnel_types has none of {', '.join(NAMES.values())}")
    return found


def supported(rig: Rig) -> int:
    """supported_tunnel_types."""
    return int.from_bytes(rig.port.read_config(_SUPPORTED_AT, 4), "little")


def enable(rig: Rig, kinds: int) -> None:
    """VIRTIO_NET_CTRL_HASH_TUNNEL_SET, which has to succeed."""
    what = f"VIRTIO_NET_CTRL_HASH_TUNNEL_SET {kinds:#x}"
    controls.accepted(rig, what, CtrlClass.HASH_TUNNEL, 0, kinds.to_bytes(4, "little"))


def expect_outer(rig: Rig, kind: int, when: str) -> None:
    """Packets of this encapsulation are hashed over their outer headers: addresses, and ports where it has them."""
    for outer in tunnelled(kind):
        hashing.expect_hash(rig, outer, when, outer.addresses + outer.ports)
