"""What ESP and AH take and where they go: the checks that both have in common, sequence numbers apart.

RFC 4303 2.1, 3.1.1, 3.3.4, 3.4.1, 3.4.2; RFC 4302 2.4, 3.1.1, 3.3.4, 3.4.1, 3.4.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from ...driver.sa_object import sa_object
from ...ipsec import Mode, OutboundSa, Protocol, SaParams, Tunnel
from ...ipsec.ip import with_ipv4_checksum
from ...wire.capabilities import IpsecResourceCap
from ...wire.codec import parse
from ...wire.enums import Action, AdminStatus, CapId, Feature
from ..check import add
from . import filters, frames
from .associations import (
    INBOUND,
    OUTBOUND,
    SA_TYPE,
    TUNNEL4,
    TUNNEL6,
    accepted,
    create,
    inside,
    modes,
    protected,
    receiver,
    rejected,
    sa,
    send,
    sender,
    start,
)
from .on_the_wire import FRAGMENT, HOPOPTS, ROUTING, UDP, ah_parts, opened, parted
from .rig import Rig
from .sa_objects import any_sa

FRAME = frames.udp4_frame()

_SPI_AT = 8  # octets into the SA object
_MORE, _LAST, _DF = 0x2000, 0x00B9, 0x4000


def start_with_everything_steered(rig: Rig) -> None:
    """Bring the device up with rules that take all IPv4 and IPv6 through IPsec, whatever extension headers it has."""
    rig.needs(Feature.IPSEC)
    flows = filters.start(rig, Action.IPSEC)
    every = (filters.IPV4_FRAMES, filters.IPV6_FRAMES)
    flows.needs(*every)
    # Two groups, so that one rule_priority will do.
    for priority, matches in enumerate(every):
        flows.rule(flows.group(priority), matches, Action.IPSEC)


def spi_finds_sa(rig: Rig, protocol: Protocol) -> None:
    """Packets of up to five SAs with keys of their own are accepted by their SPI, wherever they come from."""
    start(rig)
    limits = parse(IpsecResourceCap, rig.ok(rig.cap_get(CapId.IPSEC_RESOURCE_CAP), "DEVICE_CAP_GET"))
    spis = (0x1000, 0x1001, 0x00100000, 0x100, 0xFFFFFFFF)[: limits.inb_sa_limit]
    far_ends: list[tuple[int, OutboundSa]] = []
    for number, spi in enumerate(spis):
        made = any_sa(rig, INBOUND, protocol, spi=spi)
        cipher_key, auth_key = (bytes(octet ^ number for octet in key) for key in (made.cipher_key, made.auth_key))
        made = replace(made, cipher_key=cipher_key, auth_key=auth_key)
        resource_id = create(rig, made, number)
        elsewhere = Tunnel(bytes((192, 0, 2, 77)), bytes((192, 0, 2, 88))) if made.mode is Mode.TUNNEL else None
        far_ends += [(resource_id, sender(made)), (resource_id, sender(made, tunnel=elsewhere, first_seq=2))]
    for resource_id, far_end in reversed(far_ends):
        spi = far_end.params.spi
        packet = accepted(rig, protected(far_end, FRAME), f"a packet with SPI {spi:#x}")
        rig.equal(f"resource_id of a packet with SPI {spi:#x}", resource_id, packet.resource_id)


def spi_zero(rig: Rig, protocol: Protocol) -> None:
    """No outbound SA with SPI zero can be created; a device that creates one sends nothing through it."""
    start(rig)
    data = bytearray(sa_object(any_sa(rig, OUTBOUND, protocol), 1, rig.profile))
    data[_SPI_AT : _SPI_AT + 4] = bytes(4)
    answer = rig.create(SA_TYPE[OUTBOUND], 1, bytes(data))
    if answer.written and answer.status == AdminStatus.OK:
        rig.equal("frames on the wire from an SA with SPI zero", (), rig.transmit(rig.driver.header(1) + FRAME))


def no_sa(rig: Rig, protocol: Protocol) -> None:
    """A packet whose SPI no SA has is dropped, or handed up with SECURITY_ERR and resource_id zero."""
    start(rig)
    for mode in modes(rig, protocol):
        for plain, tunnel in ((FRAME, TUNNEL4), (frames.udp6_frame(), TUNNEL6)):
            known = sa(rig, INBOUND, protocol=protocol, mode=mode, tunnel=tunnel if mode is Mode.TUNNEL else None)
            stranger = protected(sender(known, spi=0x1234), plain)
            _refused_without_sa(rig, stranger, "a packet with an unknown SPI")
    create(rig, known, 1)
    _refused_without_sa(rig, stranger, "a packet with an unknown SPI beside another SA")
    accepted(rig, protected(sender(known), plain), "a packet of the SA that there is")


def _refused_without_sa(rig: Rig, wire: bytes, what: str) -> None:
    packet = rejected(rig, wire, what)
    if packet is not None:
        rig.equal(f"{what}: resource_id", 0, packet.resource_id)


def fragment_discarded(rig: Rig, protocol: Protocol) -> None:
    """A fragment, its offset nonzero or MF set, is dropped or handed up with SECURITY_ERR; a packet with DF is none."""
    start_with_everything_steered(rig)
    mode = modes(rig, protocol)[0]
    for number, (plain, tunnel) in enumerate(((FRAME, TUNNEL4), (frames.udp6_frame(), TUNNEL6))):
        outer = tunnel if mode is Mode.TUNNEL else None
        made = sa(rig, INBOUND, protocol=protocol, mode=mode, spi=0x1000 + number, tunnel=outer)
        create(rig, made)
        wire = protected(sender(made), plain)
        for field in (_MORE, _MORE | _LAST, _LAST, 1, 0x100, 0x1F00, _MORE | 0x1F00):
            what = f"a fragment of a packet with offset {field & 0x1FFF:#x}{', MF set' if field & _MORE else ''}"
            rejected(rig, _fragment(wire, field), what)
        accepted(rig, _fragment(wire, _DF) if number == 0 else wire, "the whole packet, DF set")


def _fragment(wire: bytes, field: int) -> bytes:
    """The frame with flags and Fragment Offset of IPv4 (RFC 791), or with a Fragment header that says the same."""
    packet = wire[14:]
    if packet[0] >> 4 == 4:
        header = with_ipv4_checksum(packet[:6] + field.to_bytes(2, "big") + packet[8:20])
        return wire[:14] + header + packet[20:]
    offset_and_more = (field & 0x1FFF) << 3 | bool(field & _MORE)
    header = bytes((packet[6], 0)) + offset_and_more.to_bytes(2, "big") + bytes(4)
    return frames.ethernet(frames.ipv6(header + packet[40:], FRAGMENT, src=packet[8:24], dst=packet[24:40]))


def whole_packets(rig: Rig, protocol: Protocol) -> None:
    """A fragment to send leaves neither protected nor plain in transport mode, and as the packet it is in a tunnel."""
    start(rig)
    fragments = []
    for field in (_MORE, _LAST, _MORE | _LAST, 0x100, 0x1F00):
        fragments.append(_fragment(FRAME, field))
        fragments.append(_fragment(frames.udp6_frame(), field))
    for number, mode in enumerate(modes(rig, protocol)):
        params = sa(rig, OUTBOUND, protocol=protocol, mode=mode, spi=0x1000 + number)
        made, far_end = create(rig, params), receiver(params)
        for fragment in fragments:
            if mode is Mode.TRANSPORT:
                sent = rig.transmit(rig.driver.header(made) + fragment)
                rig.equal("frames on the wire for a fragment in transport mode", (), sent)
            else:
                carried = inside(far_end, send(rig, made, fragment), "a fragment in a tunnel")
                rig.equal("the fragment in the tunnel", fragment[14:], carried)


def placement_ipv4(rig: Rig, protocol: Protocol) -> None:
    """In transport mode over IPv4 the IPsec header lies between the IP header with its options and UDP."""
    start(rig)
    params = sa(rig, OUTBOUND, protocol=protocol, mode=Mode.TRANSPORT)
    made = create(rig, params)
    for seq, options in enumerate((b"", bytes.fromhex("94040000"), bytes.fromhex("0101940400000100")), start=1):
        packet = frames.ipv4(frames.udp(), options=options)
        wire = send(rig, made, frames.ethernet(packet))
        header, _ = parted(wire, protocol)
        rig.equal("addresses and options in front of the IPsec header", packet[12:-_UDP_LENGTH], header[12:])
        rig.equal("next header and payload behind it", (UDP, frames.udp()), _carried(params, wire, seq))


def placement_ipv6(rig: Rig, protocol: Protocol) -> None:
    """In transport mode over IPv6 hop-by-hop options and a routing header lie in front of the IPsec header."""
    start(rig)
    params = sa(rig, OUTBOUND, protocol=protocol, mode=Mode.TRANSPORT)
    made = create(rig, params)
    udp = frames.udp(addresses=frames.SRC6 + frames.DST6)
    hop_by_hop, routing = bytes((0, 1, 4, 0, 0, 0, 0)), bytes((0, 253, 0, 1, 2, 3, 4))
    for seq, chain in enumerate(((), ((HOPOPTS, hop_by_hop),), ((HOPOPTS, hop_by_hop), (ROUTING, routing))), start=1):
        named = [number for number, _ in chain]
        sent = chained(chain, UDP) + udp
        wire = send(rig, made, frames.ethernet(frames.ipv6(sent, (*named, UDP)[0])))
        header, _ = parted(wire, protocol)
        rig.equal("extension headers in front of the IPsec header", chained(chain, protocol.value), header[40:])
        rig.equal("next header and payload behind it", (UDP, udp), _carried(params, wire, seq))


def chained(chain: Sequence[tuple[int, bytes]], last: int) -> bytes:
    """IPv6 extension headers, (number, octets behind Next Header), one behind the other; ``last`` follows them."""
    named = [*(number for number, _ in chain[1:]), last]
    return b"".join(bytes((after,)) + content for after, (_, content) in zip(named, chain, strict=False))


def _carried(params: SaParams, wire: bytes, seq: int) -> tuple[int, bytes]:
    """Next Header, and what the IPsec header protects behind it, in a packet that the device sent."""
    if params.protocol is Protocol.AH:
        packet = ah_parts(params, wire)
        return packet.next_header, packet.payload
    inside = opened(params, wire, seq)
    return inside.next_header, inside.payload


_UDP_LENGTH = len(frames.udp())

_CHECKS = (
    spi_finds_sa,
    spi_zero,
    no_sa,
    fragment_discarded,
    whole_packets,
    placement_ipv4,
    placement_ipv6,
)


def enter(area: str, protocol: Protocol) -> None:
    """Enter all of these checks for one protocol."""
    for run in _CHECKS:
        add(f"{area}.{run.__name__.replace('_', '-')}", run.__doc__ or "", partial(run, protocol=protocol))
