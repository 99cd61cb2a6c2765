"""The RFC's flow filter actions and virtio_net_hdr."""

from __future__ import annotations

from ....driver.flow_rules import Match, ipsec_matches
from ....ipsec import Protocol, SaParams
from ....wire.enums import Action, Feature, SelectorType
from ...check import check
from ...driving import associations, filters, frames, rfc_v1
from ...driving.associations import INBOUND, OUTBOUND
from ...driving.filters import FlowFilter
from ...driving.on_the_wire import flipped, spi_of
from ...driving.rfc_rig import (
    FRAME,
    arrived,
    device_limits,
    expect_header_size,
    header_size,
    last_id,
    not_plain,
    start,
)
from ...driving.rfc_v1 import created
from ...driving.rig import Rig
from ...driving.sa_objects import any_sa
from ...verdict import NotObservable

_ESP4 = ipsec_matches(())[0]  # Ethernet and IPv4 with protocol 50
_UDP4 = (_ESP4[0], Match.fields(SelectorType.IPV4, (9, bytes((frames.UDP,)))))


def _unsteered(rig: Rig, action: int) -> tuple[FlowFilter, SaParams]:
    """An inbound ESP SA on a device that has no rules, and can have some with this action."""
    rfc_v1.only(rig)
    rig.needs(Feature.IPSEC)
    flows = filters.start(rig, Action(action))
    flows.needs(_ESP4)
    device_limits(rig)
    return flows, created(rig, any_sa(rig, INBOUND, Protocol.ESP))


@check
def action_ipsec(rig: Rig) -> None:
    """A packet that matches a rule with action 0x3 is processed; the same packet without that rule is not."""
    flows, params = _unsteered(rig, rfc_v1.ACTION_IPSEC)
    far_end = associations.sender(params)
    not_plain(rig, associations.protected(far_end, FRAME), "an ESP packet that matches no rule")
    flows.rule(flows.group(1), _ESP4, Action(rfc_v1.ACTION_IPSEC))
    packet = rig.delivered(associations.protected(far_end, FRAME))
    rig.equal("the packet that the driver gets", FRAME[14:], packet.frame[14:])


@check
def action_recirculate(rig: Rig) -> None:
    """With action 0x4 a packet is processed, and a rule for what came out of that acts on it; with 0x3 it does not."""
    for action, dropped in ((rfc_v1.ACTION_IPSEC, False), (rfc_v1.ACTION_RECIRCULATE, True)):
        flows, params = _unsteered(rig, action)
        if Action.DROP not in flows.actions:
            raise NotObservable("without the action DROP no rule shows that it was tried on the decrypted packet")
        flows.needs(_UDP4)
        far_end = associations.sender(params)
        flows.rule(flows.group(1), _ESP4, Action(action))
        packet = rig.delivered(associations.protected(far_end, FRAME))
        rig.equal(f"the packet that the driver gets with action {action:#x}", FRAME[14:], packet.frame[14:])
        flows.rule(flows.group(2), _UDP4, Action.DROP)
        got = rig.receive(associations.protected(far_end, FRAME))
        what = f"a packet whose plain form a rule drops, with action {action:#x}"
        rig.expect((got is None) is dropped, what, "dropped" if dropped else "delivered",
                   "dropped" if got is None else "delivered")  # fmt: skip


@check
def flags_kept(rig: Rig) -> None:
    """The value 1 asks for a checksum on transmit, and a received plain packet has no flags but 1, 2 and 4."""
    rfc_v1.only(rig)
    rig.needs(Feature.CSUM)
    rig.start()
    datagram = frames.udp()
    pseudo = frames.pseudo_header_sum(frames.SRC4 + frames.DST4, frames.UDP, len(datagram)).to_bytes(2, "big")
    partial_sum = FRAME[:40] + pseudo + FRAME[42:]
    header = bytearray(header_size(rig))
    header[0], header[6], header[8] = rfc_v1.NEEDS_CSUM, 34, 6  # flags, csum_start, csum_offset
    rig.equal("the frame on the wire, flags being 1", FRAME, rig.sent(bytes(header) + partial_sum))
    strange = rig.delivered(FRAME).buffers[0][0] & ~(rfc_v1.NEEDS_CSUM | rfc_v1.DATA_VALID | rfc_v1.RSC_INFO)
    rig.equal("flags of a plain packet besides 1, 2 and 4", 0, strange)


@check
def flag_security_value(rig: Rig) -> None:
    """The flag 8 has a packet protected, and a packet that was processed has it."""
    start(rig)
    outbound = created(rig, any_sa(rig, OUTBOUND))
    header = bytes((rfc_v1.SECURITY,)) + rig.driver.header(1)[1:]
    rig.equal("SPI of the frame on the wire, flags being 8", outbound.spi, spi_of(rig.sent(header + FRAME)))
    packet = arrived(rig, created(rig, any_sa(rig, INBOUND)))
    rig.equal("flag 8 of a processed packet", rfc_v1.SECURITY, packet.buffers[0][0] & rfc_v1.SECURITY)


@check
def flag_security_err_value(rig: Rig) -> None:
    """A packet whose ICV is wrong has the flag 16, one that was processed has not."""
    start(rig)
    params = created(rig, any_sa(rig, INBOUND))
    good = arrived(rig, params)
    rig.equal("flag 16 of a processed packet", 0, good.buffers[0][0] & rfc_v1.SECURITY_ERR)
    bad = rig.receive(flipped(associations.protected(associations.sender(params), FRAME, 2)))
    if bad is None:
        raise NotObservable("the device delivers no packet that failed IPsec processing")
    rig.equal("flag 16 of a packet with a wrong ICV", rfc_v1.SECURITY_ERR, bad.buffers[0][0] & rfc_v1.SECURITY_ERR)


@check
def header_with_hash_report(rig: Rig) -> None:
    """With VIRTIO_NET_F_HASH_REPORT the header has 8 octets more: hash_value, hash_report, padding_reserved."""
    rfc_v1.only(rig)
    rig.needs(Feature.HASH_REPORT, Feature.IPSEC)
    rig.negotiate(also=(Feature.CTRL_VQ, Feature.HASH_REPORT), without=(Feature.GUEST_CSUM,))
    expect_header_size(rig, 26)


@check
def header_without_hash_report(rig: Rig) -> None:
    """Without VIRTIO_NET_F_HASH_REPORT the header is 12 octets and struct ipsec_resource_hdr."""
    rfc_v1.only(rig)
    rig.needs(Feature.IPSEC)
    rig.negotiate(without=(Feature.HASH_REPORT, Feature.GUEST_CSUM))
    expect_header_size(rig, 18)


@check
def resource_hdr(rig: Rig) -> None:
    """With VIRTIO_NET_F_IPSEC, resource_id and resource_type are the last 6 octets of the header, either way."""
    start(rig)
    at, number = header_size(rig) - rfc_v1.RESOURCE_HDR.size, last_id(rig, 0x0105)
    outbound = created(rig, any_sa(rig, OUTBOUND), number)
    header = bytes((rfc_v1.SECURITY,)) + bytes(at - 1) + rfc_v1.RESOURCE_HDR.pack(number, rfc_v1.OUTB_SA)
    rig.equal("SPI of the frame on the wire", outbound.spi, spi_of(rig.sent(header + FRAME)))
    packet = arrived(rig, created(rig, any_sa(rig, INBOUND), number))
    rig.equal("resource_id", number, rfc_v1.RESOURCE_HDR.unpack_from(packet.buffers[0], at)[0])


@check
def no_resource_hdr(rig: Rig) -> None:
    """Without VIRTIO_NET_F_IPSEC the header is as long as it was before the RFC."""
    rfc_v1.only(rig)
    rig.negotiate(without=(Feature.IPSEC, Feature.GUEST_CSUM))
    expect_header_size(rig, header_size(rig))
