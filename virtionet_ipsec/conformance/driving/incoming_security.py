"""The flags of IPsec in received headers (virtio 1.4, 5.1.9.4): the checks of SECURITY, SECURITY_ERR and soft expiry.

Each looks at one flag alone, whatever the others are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from ...driver.packet import RxPacket
from ...ipsec import Direction, Mode, OutboundSa, Protocol, SaParams
from ...ipsec.sa import Lifetime, UdpEncap
from ...wire.enums import AdminStatus, Feature, IpsecMode, ResourceType
from ...wire.profile import Profile
from ..verdict import NotApplicable, NotObservable
from . import associations, frames, sa_objects, traffic
from .admission import start_with_everything_steered
from .associations import TUNNEL4, TUNNEL6
from .feature_sets import left_out
from .malformed import malformed
from .rig import Rig
from .traffic import Sent

PLAIN = frames.udp4_frame()
_NO_SA = 0x7000
_NATT = 4500

# What an IPsec rule for UDP port 4500 finds and what is no IPsec packet (RFC 3948 2.2, 2.3).
NO_IPSEC = (
    Sent("IKE behind the non-ESP marker", frames.ethernet(frames.ipv4(frames.udp(bytes(4) + b"IKE", _NATT, _NATT)))),
    Sent("a NAT keep-alive", frames.ethernet(frames.ipv4(frames.udp(b"\xff", _NATT, _NATT)))),
)


@dataclass(frozen=True)
class Association:
    """An inbound SA of the device and its far end."""

    params: SaParams
    far_end: OutboundSa
    resource_id: int

    def wire(self) -> bytes:
        """The next packet."""
        return associations.protected(self.far_end, PLAIN)


def inbound(rig: Rig, **parameters: Any) -> Association:
    """A new inbound SA on the device, as :func:`associations.sa` makes them."""
    params = associations.sa(rig, Direction.INBOUND, **parameters)
    resource_id = associations.create(rig, params)
    # Limits are the device's; its far end could send no packet after the last one.
    return Association(params, associations.sender(params, lifetime=Lifetime()), resource_id)


def _flag(rig: Rig, packet: RxPacket, what: str, name: str, wanted: bool) -> None:
    got = name in packet.flag_names
    rig.expect(got is wanted, f"{what}: {name}", "set" if wanted else "clear", "set" if got else "clear")


def _flag_if_delivered(rig: Rig, wire: bytes, what: str, name: str) -> bool:
    """Of a packet that fails IPsec processing and is delivered all the same (D13), the flag is set; whether it was."""
    packet = rig.receive(wire)
    if packet is not None:
        _flag(rig, packet, what, name, True)
    return packet is not None


def _window(rig: Rig) -> int:
    return min(64, int(associations.mode_cap(rig, IpsecMode.ESP_TUNNEL).max_replay_win_sz))


# What a device may have beside its first SA, and this module uses where it does.
_KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ESP in tunnel mode over IPv4", {"tunnel": TUNNEL4}),
    ("ESP in tunnel mode over IPv6", {"tunnel": TUNNEL6}),
    ("ESP in transport mode", {"mode": Mode.TRANSPORT}),
    ("ESP in UDP", {"udp": UdpEncap(_NATT, _NATT)}),
    ("AH in tunnel mode", {"protocol": Protocol.AH}),
    ("AH in transport mode", {"protocol": Protocol.AH, "mode": Mode.TRANSPORT}),
)


def _kinds(rig: Rig) -> Iterator[tuple[str, Association]]:
    """An SA of every kind that the device offers, one at least."""
    found = False
    for number, (what, parameters) in enumerate(_KINDS):
        with suppress(NotApplicable):
            association = inbound(rig, spi=associations.SPI + 0x100 + number, **parameters)
            found = True
            yield what, association
    if not found:
        raise NotApplicable("the device offers no SA that this check knows")


def _altered(wire: bytes) -> bytes:
    return wire[:-1] + bytes((wire[-1] ^ 1,))


def _wrong(rig: Rig) -> Iterator[Sent]:
    """Packets for IPsec processing that fail it, each in a way of its own (D12, D15, D17)."""
    window = _window(rig)
    association = inbound(rig, replay_window=window)
    wire = association.wire()
    esp = wire[34:]
    yield Sent("a packet with a wrong ICV", _altered(wire))
    stranger = associations.sender(association.params, spi=_NO_SA)
    yield Sent("a packet with an SPI that no SA has", associations.protected(stranger, PLAIN))
    yield Sent("the first fragment of a packet", associations.tunnel_frame(esp, more=True))
    yield Sent("a later fragment of a packet", associations.tunnel_frame(esp, offset=10))
    yield Sent("a packet without a whole ESP header", associations.tunnel_frame(esp[:4]))
    with suppress(NotApplicable):
        other = associations.sa(rig, Direction.INBOUND, protocol=Protocol.AH, spi=association.params.spi)
        yield Sent("AH with the SPI of an ESP SA", associations.protected(associations.sender(other), PLAIN))
    with suppress(NotApplicable):
        ah = inbound(rig, protocol=Protocol.AH, spi=associations.SPI + 2)
        stranger = associations.sender(association.params, spi=ah.params.spi)
        yield Sent("ESP with the SPI of an AH SA", associations.protected(stranger, PLAIN))
    if window:
        associations.accepted(rig, wire, "a packet of a new SA")
        yield Sent("a packet that came before", wire)
    if rig.profile is not Profile.RFC_V1:
        with suppress(NotApplicable):
            limited = inbound(rig, spi=associations.SPI + 1, lifetime=Lifetime(packets_hard=1))
            rig.delivered(limited.wire())
            yield Sent("a packet after the hard limit of its SA", limited.wire())


def _without_csum(rig: Rig) -> Iterator[str]:
    """Bring the device up with VIRTIO_NET_F_GUEST_CSUM and without (D39); gives which, in words."""
    without: Collection[Feature]
    for without, said in (((), ""), ((Feature.GUEST_CSUM,), " without VIRTIO_NET_F_GUEST_CSUM")):
        associations.start(rig, without=without)
        yield said


def security_set(rig: Rig) -> None:
    """Packets that went through IPsec processing have SECURITY, of each kind of SA, and those with SECURITY_ERR."""
    for said in _without_csum(rig):
        for what, association in _kinds(rig):
            _flag(rig, rig.delivered(association.wire()), f"{what}{said}", "SECURITY", True)
        for what, wire in _wrong(rig):
            packet = rig.receive(wire)
            # What has neither flag is for the check of SECURITY_ERR.
            if packet is not None and "SECURITY_ERR" in packet.flag_names:
                _flag(rig, packet, f"{what}{said}", "SECURITY", True)
    for said, without in left_out(rig, Feature.ADMIN_VQ, Feature.IPSEC):
        associations.start(rig, without=without)
        _flag(rig, rig.delivered(inbound(rig).wire()), f"an IPsec packet with {said}", "SECURITY", True)


def _unprocessed(rig: Rig) -> Iterator[tuple[str, RxPacket]]:
    """Packets that do not go through IPsec processing, each behind one that did and one that failed it."""
    associations.start(rig)
    association = inbound(rig)
    for what, frame in (*traffic.SIMPLE, *NO_IPSEC, traffic.NO_NETWORK_HEADER[0]):
        rig.delivered(association.wire())
        yield f"{what}, behind an IPsec packet", rig.delivered(frame)
        rig.receive(_altered(association.wire()))
        yield f"{what}, behind an IPsec packet with a wrong ICV", rig.delivered(frame)


def security_clear(rig: Rig) -> None:
    """Plain packets, IKE and NAT keep-alives, ESP without a rule and without VIRTIO_NET_F_IPSEC have no SECURITY."""
    for what, packet in _unprocessed(rig):
        _flag(rig, packet, what, "SECURITY", False)
    wire = inbound(rig, spi=associations.SPI + 1).wire()
    rig.start()
    inbound(rig, spi=associations.SPI + 1)
    _flag(rig, rig.delivered(wire), "an ESP packet without rules", "SECURITY", False)
    rig.negotiate(without=(Feature.IPSEC,))
    _flag(rig, rig.delivered(wire), "an ESP packet without VIRTIO_NET_F_IPSEC", "SECURITY", False)


def security_independent(rig: Rig) -> None:
    """SECURITY is set with SECURITY_ERR and without, before and after a soft limit, and clear in packets between."""
    associations.start(rig)
    made = [("an SA", inbound(rig))]
    if rig.profile is not Profile.RFC_V1:
        with suppress(NotApplicable):
            soft = inbound(rig, spi=associations.SPI + 1, lifetime=Lifetime(packets_soft=2))
            made.append(("an SA with a soft limit of 2 packets", soft))
    for what, association in made:
        for number in range(1, 4):
            wire = association.wire()
            said = f"packet {number} of {what}"
            _flag_if_delivered(rig, _altered(wire), f"{said} with a wrong ICV", "SECURITY")
            _flag(rig, rig.delivered(PLAIN), f"a plain packet behind {said} with a wrong ICV", "SECURITY", False)
            _flag(rig, rig.delivered(wire), said, "SECURITY", True)
            _flag(rig, rig.delivered(PLAIN), f"a plain packet behind {said}", "SECURITY", False)


def security_err_set(rig: Rig) -> None:
    """A wrong ICV, an unknown SPI, fragments, a replay, a hard limit and more: what is delivered has SECURITY_ERR."""
    associations.start(rig)
    delivered = [_flag_if_delivered(rig, wire, what, "SECURITY_ERR") for what, wire in _wrong(rig)]
    if not any(delivered):
        raise NotObservable("the device delivers no packet that failed IPsec processing")


def security_err_malformed(rig: Rig) -> None:
    """Headers that are cut or say wrong lengths: no SECURITY without SECURITY_ERR; a good packet is accepted after."""
    start_with_everything_steered(rig)
    seen = False
    for protocol in Protocol:
        with suppress(NotApplicable):
            params = sa_objects.any_sa(rig, Direction.INBOUND, protocol, spi=associations.SPI + protocol.value)
            associations.create(rig, params)
            seen = True
            far_end = associations.sender(params)
            for what, wire in malformed(params, associations.protected(far_end, PLAIN)):
                packet, said = rig.receive(wire), f"{protocol.name}: {what}"
                if packet is not None and "SECURITY" in packet.flag_names:
                    _flag(rig, packet, said, "SECURITY_ERR", True)
                good = associations.protected(far_end, PLAIN)
                _flag(rig, rig.delivered(good), f"a good packet after {said}", "SECURITY_ERR", False)
    if not seen:
        raise NotApplicable("the device offers neither ESP nor AH")


def security_err_clear(rig: Rig) -> None:
    """Packets that IPsec processing finds good, of each kind of SA, have no SECURITY_ERR, nor have plain packets."""
    for what, packet in _unprocessed(rig):
        _flag(rig, packet, what, "SECURITY_ERR", False)
    for what, association in _kinds(rig):
        _flag(rig, rig.delivered(association.wire()), what, "SECURITY_ERR", False)
        rig.receive(_altered(association.wire()))
        said = f"{what}, behind a packet with a wrong ICV"
        _flag(rig, rig.delivered(association.wire()), said, "SECURITY_ERR", False)


def _soft(rig: Rig, **limits: int) -> Association:
    """The device, started, with an SA of these soft limits."""
    if rig.profile is Profile.RFC_V1:
        raise NotApplicable("the RFC has no soft limits")
    associations.start(rig)
    return inbound(rig, lifetime=Lifetime(**limits))


def security_err_independent(rig: Rig) -> None:
    """Before and after its SA reaches a soft limit, a good packet has no SECURITY_ERR, one with a wrong ICV has it."""
    association = _soft(rig, packets_soft=2)
    for number in range(1, 4):
        wire, said = association.wire(), f"packet {number} of an SA with a soft limit of 2 packets"
        _flag_if_delivered(rig, _altered(wire), f"{said}, with a wrong ICV", "SECURITY_ERR")
        _flag(rig, rig.delivered(wire), said, "SECURITY_ERR", False)


def soft_expiry_warn(rig: Rig) -> None:
    """The packet with which an SA reaches a soft limit, of packets or bytes, and every one after has the warning."""
    length = len(PLAIN) - 14
    for limits, reached in (
        ({"packets_soft": 1}, 1),
        ({"packets_soft": 3}, 3),
        ({"bytes_soft": 2 * length}, 2),
        ({"bytes_soft": 2 * length + 1}, 3),
        ({"packets_soft": 3, "bytes_soft": 2 * length}, 2),
        ({"packets_soft": 2, "bytes_soft": 3 * length}, 2),
    ):
        association = _soft(rig, **limits)
        limit = ", ".join(f"{name} {value}" for name, value in limits.items())
        for number in range(1, reached + 3):
            packet = rig.delivered(association.wire())
            if number >= reached:
                what = f"packet {number}, of {length} octets, of an SA with {limit}"
                _flag(rig, packet, what, "SECURITY_SA_SOFT_EXPIRY_WARN", True)
        what = f"a packet with a wrong ICV of an SA that reached {limit}"
        _flag_if_delivered(rig, _altered(association.wire()), what, "SECURITY_SA_SOFT_EXPIRY_WARN")


def soft_expiry_warn_lowered(rig: Rig) -> None:
    """After a MODIFY that lowers a soft limit below the count, packets good and failed have the warning."""
    length = len(PLAIN) - 14
    for name, high, low in (("packets_soft", 100, 1), ("bytes_soft", 100 * length, length)):
        association = _soft(rig, **{name: high})
        for _ in range(2):
            rig.delivered(association.wire())
        lowered = replace(association.params, lifetime=Lifetime(**{name: low}))
        octets = sa_objects.sa_octets(rig, lowered, association.resource_id)
        if rig.modify(ResourceType.IPSEC_INB_SA, association.resource_id, octets).status != AdminStatus.OK:
            raise NotApplicable("the device does not change the lifetime of an SA that has it")
        for what, wire in (
            ("a packet with a wrong ICV", _altered(association.wire())),
            ("a good packet", association.wire()),
        ):
            said = f"{what} after {name} was lowered from {high} to {low}, {2 * length} octets in 2 packets counted"
            _flag_if_delivered(rig, wire, said, "SECURITY_SA_SOFT_EXPIRY_WARN")


_INBOUND_SA = int(ResourceType.IPSEC_INB_SA)


def _resource(rig: Rig, packet: RxPacket, what: str, resource_id: int, kind: int) -> None:
    rig.equal(f"{what}: resource_id", resource_id, packet.resource_id)
    rig.equal(f"{what}: resource_type", f"{kind:#x}", f"{packet.resource_type:#x}")


def security_resource(rig: Rig) -> None:
    """With SECURITY the header names the inbound SA, processed or failed; without, and with no SA, it has zeros."""
    associations.start(rig)
    made = [inbound(rig)]
    with suppress(NotApplicable):
        made.append(inbound(rig, spi=associations.SPI + 1))
    for association in made:
        resource_id = association.resource_id
        said = f"of SA {resource_id}"
        _resource(rig, rig.delivered(association.wire()), f"a packet {said}", resource_id, _INBOUND_SA)
        failed = rig.receive(_altered(association.wire()))
        if failed is not None:
            _resource(rig, failed, f"a packet {said} with a wrong ICV", resource_id, _INBOUND_SA)
        for what, frame in (*traffic.SIMPLE, *NO_IPSEC, traffic.NO_NETWORK_HEADER[0]):
            _resource(rig, rig.delivered(frame), f"{what}, behind a packet {said}", 0, 0)
        fragment = rig.receive(associations.tunnel_frame(association.wire()[34:], more=True))
        if fragment is not None:
            _resource(rig, fragment, f"a fragment of a packet {said}", 0, 0)


CHECKS: tuple[Callable[[Rig], None], ...] = (
    security_set,
    security_clear,
    security_independent,
    security_err_set,
    security_err_malformed,
    security_err_clear,
    security_err_independent,
    soft_expiry_warn,
    soft_expiry_warn_lowered,
    security_resource,
)
