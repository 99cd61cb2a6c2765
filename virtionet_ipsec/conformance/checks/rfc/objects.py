"""The RFC's SA objects: types, layouts, options."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from ....ipsec import UdpEncap
from ...check import check
from ...driving import associations, frames, rfc_v1
from ...driving.associations import INBOUND, OUTBOUND, SPI, TUNNEL4, TUNNEL6
from ...driving.on_the_wire import seq_of, spi_of
from ...driving.rfc_rig import (
    FRAME,
    aead_and_cipher,
    arrived,
    device_sends,
    not_plain,
    sent_and_opened,
    start,
    through_tunnel,
    with_longest_keys,
)
from ...driving.rfc_v1 import created
from ...driving.rig import Rig
from ...driving.sa_objects import MODES, any_sa, mode_caps
from ...verdict import NotApplicable

DIRECTIONS = (OUTBOUND, INBOUND)


@check
def outb_sa_type(rig: Rig) -> None:
    """An SA created as resource type 0x0203 protects what is sent."""
    start(rig)
    params = any_sa(rig, OUTBOUND)
    rig.ok(rfc_v1.create(rig, 0x0203, 1, rfc_v1.sa_object(params, 1)), "CREATE of type 0x0203, outbound")
    device_sends(rig, params)


@check
def inb_sa_type(rig: Rig) -> None:
    """An SA created as resource type 0x0204 processes what arrives."""
    start(rig)
    params = any_sa(rig, INBOUND)
    rig.ok(rfc_v1.create(rig, 0x0204, 1, rfc_v1.sa_object(params, 1)), "CREATE of type 0x0204, inbound")
    arrived(rig, params)


@check
def sa_layout(rig: Rig) -> None:
    """Every field of a 166-octet SA object is where the RFC has it: keys, salt, SPI, ports, replay window."""
    start(rig)
    for number, params in enumerate(aead_and_cipher(rig, OUTBOUND, first_seq=7)):
        wire = sent_and_opened(rig, created(rig, params, number), resource_id=number)
        rig.equal("SPI on the wire", params.spi, spi_of(wire))
        rig.ok(rfc_v1.delete(rig, rfc_v1.OUTB_SA, number), "DELETE")
    with suppress(NotApplicable):
        params = associations.sa(rig, OUTBOUND, udp=UdpEncap(4501, 4502))
        wire = sent_and_opened(rig, created(rig, params, 0), resource_id=0)
        rig.equal("UDP ports on the wire", (4501).to_bytes(2, "big") + (4502).to_bytes(2, "big"), wire[34:38])
    inbound = created(rig, any_sa(rig, INBOUND, replay_window=32))
    wire = associations.protected(associations.sender(inbound), FRAME)
    rig.equal("the packet that the driver gets", FRAME[14:], rig.delivered(wire).frame[14:])
    not_plain(rig, wire, "a replayed packet, replay_win_sz being 32")


@check
def tunnel_layout(rig: Rig) -> None:
    """With either type of tunnel the fields behind it lie at the same place, and the outer header is of that type."""
    start(rig)
    for number, (tunnel, version) in enumerate(((TUNNEL4, 4), (TUNNEL6, 6))):
        params = created(rig, associations.sa(rig, OUTBOUND, tunnel=tunnel, spi=SPI + number), number)
        wire = sent_and_opened(rig, params, resource_id=number)
        rig.equal("IP version of the outer header", version, wire[14] >> 4)


@check
def tunnel_ipv4_layout(rig: Rig) -> None:
    """The outer IPv4 header has the addresses, DSCP, DF and TTL of the SA's tunnel, and none of the inner header's."""
    start(rig)
    for number, df in enumerate((True, False)):
        frame = frames.udp4_frame(tos=0x28, ttl=99, df=not df)
        outer = through_tunnel(rig, number, frame, tunnel=replace(TUNNEL4, dscp=46, ttl=17, df=df))
        rig.equal("outer source and destination", TUNNEL4.src + TUNNEL4.dst, outer[12:20])
        rig.equal("outer DSCP", 46, outer[1] >> 2)
        rig.equal(f"outer DF, df being {df:d}", int(df), outer[6] >> 6 & 1)
        rig.equal("outer TTL", 17, outer[8])


@check
def tunnel_ipv6_layout(rig: Rig) -> None:
    """The outer IPv6 header has the addresses, flow label, hop limit and DSCP of the SA's tunnel."""
    start(rig)
    frame = frames.udp4_frame(tos=0x28, ttl=99)
    outer = through_tunnel(rig, 1, frame, tunnel=replace(TUNNEL6, dscp=46, ttl=17, flow_label=0xABCDE))
    rig.equal("outer source and destination", TUNNEL6.src + TUNNEL6.dst, outer[8:40])
    first = int.from_bytes(outer[:4], "big")
    rig.equal("outer DSCP", 46, first >> 22 & 0x3F)
    rig.equal("outer flow label", 0xABCDE, first & 0xFFFFF)
    rig.equal("outer hop limit", 17, outer[7])


@check
def key_layout(rig: Rig) -> None:
    """The shortest and the longest key of every algorithm is taken from directly behind its length."""
    start(rig)
    for cap in mode_caps(rig):
        protocol, mode = MODES[cap.mode]
        for choice in associations.algorithms(rig, protocol, mode):
            shortest = associations.sa(rig, OUTBOUND, protocol=protocol, mode=mode, **choice)
            for params in (shortest, with_longest_keys(shortest, cap.max_cipher_key_len, cap.max_auth_key_len)):
                sent_and_opened(rig, created(rig, params))
                rig.ok(rfc_v1.delete(rig, rfc_v1.OUTB_SA, 1), "DELETE")


@check
def esn_field(rig: Rig) -> None:
    """The first packet of an outbound SA has the number after esn, all 64 bits of it where the SA has ESN."""
    start(rig)
    wire = device_sends(rig, created(rig, any_sa(rig, OUTBOUND, first_seq=0x01020304), 0), resource_id=0)
    rig.equal("the first sequence number, esn being 0x01020303", 0x01020304, seq_of(wire))
    with suppress(NotApplicable):
        first = 0x0102030405060708
        wire = sent_and_opened(rig, created(rig, any_sa(rig, OUTBOUND, esn=True, first_seq=first, spi=SPI + 1), 1))
        rig.equal("the low half of the first sequence number", first & 0xFFFFFFFF, seq_of(wire))
        arrived(rig, created(rig, any_sa(rig, INBOUND, esn=True, first_seq=first, replay_window=32)))


@check
def option_esn(rig: Rig) -> None:
    """If ESN is an option, an SA with it goes on from 2^32 - 1 to 2^32, the upper half of which the ICV covers."""
    start(rig)
    first = 0xFFFFFFFF
    outbound = created(rig, any_sa(rig, OUTBOUND, esn=True, first_seq=first))
    inbound = created(rig, any_sa(rig, INBOUND, esn=True, first_seq=first, replay_window=32))
    far_receiver, far_sender = associations.receiver(outbound), associations.sender(inbound)
    for low in (first, 0, 1):
        wire = associations.send(rig, 1, FRAME)
        rig.equal("the low half of the sequence number", low, seq_of(wire))
        rig.equal("the packet that the far end finds", FRAME[14:], associations.inside(far_receiver, wire))
        packet = rig.delivered(associations.protected(far_sender, FRAME))
        rig.equal("the packet that the driver gets", FRAME[14:], packet.frame[14:])


@check
def option_udp_encap(rig: Rig) -> None:
    """If UDP encapsulation is an option, an SA with it has ESP behind a UDP header with the ports of the SA object."""
    start(rig)
    outbound, inbound = associations.pair(rig, udp=UdpEncap(4501, 4500), replay_window=0)
    wire = sent_and_opened(rig, created(rig, outbound))
    rig.equal("IP protocol", frames.UDP, wire[23])
    rig.equal("UDP ports", bytes.fromhex("11951194"), wire[34:38])
    rig.equal("UDP length", len(wire) - 34, int.from_bytes(wire[38:40], "big"))
    rig.equal("SPI behind the UDP header", SPI.to_bytes(4, "big"), wire[42:46])
    arrived(rig, created(rig, inbound))


@check
def option_copy_dscp(rig: Rig) -> None:
    """If copying of DSCP is an option, the outer header of an SA with it has the inner DSCP, else the tunnel's."""
    start(rig)
    frame = frames.udp4_frame(tos=46 << 2)
    outer = through_tunnel(rig, 0, frame, copy_dscp=True, tunnel=replace(TUNNEL4, dscp=10))
    rig.equal("outer DSCP with the option, inner DSCP 46", 46, outer[1] >> 2)
    outer = through_tunnel(rig, 1, frame, tunnel=replace(TUNNEL4, dscp=10))
    rig.equal("outer DSCP without the option, the tunnel's being 10", 10, outer[1] >> 2)


@check
def option_copy_df(rig: Rig) -> None:
    """If copying of DF is an option, the outer header of an SA with it has the inner DF bit, set or clear."""
    start(rig)
    for number, df in enumerate((True, False)):
        outer = through_tunnel(rig, number, frames.udp4_frame(df=df), copy_df=True, tunnel=replace(TUNNEL4, df=not df))
        rig.equal(f"outer DF, the inner being {df:d}", int(df), outer[6] >> 6 & 1)


@check
def option_dec_ttl(rig: Rig) -> None:
    """If decrementing of TTL is an option, the inner header of an SA with it has one less, whichever way it goes."""
    start(rig)
    outbound, inbound = associations.pair(rig, dec_ttl=True, replay_window=0)
    frame, less = frames.udp4_frame(ttl=64), frames.udp4_frame(ttl=63)
    created(rig, outbound)
    far_end = associations.receiver(outbound, dec_ttl=False)
    rig.equal(
        "the packet that the far end finds", less[14:], associations.inside(far_end, associations.send(rig, 1, frame))
    )
    created(rig, inbound)
    packet = rig.delivered(associations.protected(associations.sender(inbound, dec_ttl=False), frame))
    rig.equal("the packet that the driver gets", less[14:], packet.frame[14:])


@check
def sa_created(rig: Rig) -> None:
    """Packets find an SA as soon as it was created, and not before."""
    start(rig)
    outbound, inbound = (any_sa(rig, direction) for direction in DIRECTIONS)
    not_plain(rig, associations.protected(associations.sender(inbound), FRAME), "a packet of an SA not yet created")
    device_sends(rig, created(rig, outbound))
    arrived(rig, created(rig, inbound))
