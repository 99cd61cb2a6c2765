"""IP Authentication Header, RFC 4302; what ESP has too is in admission.py, known_answers.py, sequences.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from ...ipsec import Mode, Protocol, SaParams
from ...wire.enums import IpsecMode, IpsecOption
from ..check import check
from ..driving import admission, ah_headers, frames, known_answers, sequences
from ..driving.ah_headers import FRAME4, FRAME6, ah_sa, around4, around6, carried, check_icv
from ..driving.associations import (
    INBOUND,
    OUTBOUND,
    TUNNEL4,
    TUNNEL6,
    accepted,
    algorithms,
    create,
    mode_cap,
    modes,
    rejected,
    sa,
    send,
    start,
)
from ..driving.on_the_wire import IPIP, IPV6, TCP, UDP, ah, ah_parts, counted, flipped, parted
from ..driving.rig import Rig
from ..driving.tunnels import living
from ..verdict import NotApplicable

_SUBSPACE = 1 << 32
_AH_AT = 14 + 20  # where AH begins in a frame with an IPv4 header without options

sequences.enter("ah", Protocol.AH)
admission.enter("ah", Protocol.AH)
known_answers.enter("ah", Protocol.AH)
ah_headers.enter("ah")


class _Length(NamedTuple):
    """An AH packet that the device sent, and how long AH is by the lengths around it."""

    params: SaParams
    version: int
    octets: int
    payload_len: int


def _lengths(rig: Rig) -> Iterator[_Length]:
    """AH with every MAC over IPv4 and IPv6; GMAC is left out, whose ICV field has an IV besides (D50)."""
    start(rig)
    mode = modes(rig, Protocol.AH)[0]
    macs = [choice for choice in algorithms(rig, Protocol.AH, mode) if choice["auth"] != "aes-gmac"]
    for version, (frame, tunnel) in {4: (FRAME4, TUNNEL4), 6: (FRAME6, TUNNEL6)}.items():
        for number, choice in enumerate(macs):
            outer = tunnel if mode is Mode.TUNNEL else None
            spi = 0x1000 + 100 * version + number
            params = sa(rig, OUTBOUND, protocol=Protocol.AH, mode=mode, spi=spi, tunnel=outer, **choice)
            with living(rig, params) as made:
                _, body = parted(send(rig, made, frame), Protocol.AH)
            behind = len(frame) - 14 if mode is Mode.TUNNEL else len(frame) - 14 - (20 if version == 4 else 40)
            yield _Length(params, version, len(body) - behind, body[1])


# -- format (2) ------------------------------------------------------------------------------------------------------


@check
def protocol(rig: Rig) -> None:
    """The IP header names AH, and AH names what follows it, over IPv4 and IPv6, in both modes."""
    start(rig)
    tcp = frames.ethernet(frames.ipv4(frames.tcp(), TCP))
    sent: dict[Mode, tuple[tuple[bytes, int], ...]] = {
        Mode.TUNNEL: ((FRAME4, IPIP), (FRAME6, IPV6), (tcp, IPIP)),
        Mode.TRANSPORT: ((FRAME4, UDP), (FRAME6, UDP), (tcp, TCP)),
    }
    for mode in modes(rig, Protocol.AH):
        for number, tunnel in enumerate((TUNNEL4, TUNNEL6) if mode is Mode.TUNNEL else (None,)):
            params = sa(rig, OUTBOUND, protocol=Protocol.AH, mode=mode, spi=0x1000 + number, tunnel=tunnel)
            with living(rig, params) as made:
                for frame, expected in sent[mode]:
                    packet = send(rig, made, frame)[14:]
                    size, at = (20, 9) if packet[0] >> 4 == 4 else (40, 6)
                    rig.equal("protocol in front of AH", frames.AH, packet[at])
                    rig.equal(f"AH's Next Header in {mode.value} mode", expected, packet[size])


@check
def payload_length(rig: Rig) -> None:
    """Payload Len is the length of AH in 32-bit words, minus 2, over IPv4 and IPv6, with every MAC."""
    for row in _lengths(rig):
        what = f"Payload Len over IPv{row.version} with {row.params.auth}"
        rig.equal(what, row.octets // 4 - 2, row.payload_len)


@check
def ipv6_length(rig: Rig) -> None:
    """Over IPv6 AH is a multiple of 8 octets long with every MAC."""
    for row in _lengths(rig):
        if row.version == 6:
            rig.equal(f"octets of AH beyond a multiple of 8 with {row.params.auth}", 0, row.octets % 8)


@check
def reserved_zero(rig: Rig) -> None:
    """The Reserved field of AH is sent as zero."""
    start(rig)
    params = ah_sa(rig, OUTBOUND)
    made = create(rig, params)
    for frame in (FRAME4, FRAME6):
        rig.equal("Reserved", 0, ah_parts(params, send(rig, made, frame)).reserved)


@check
def reserved_ignored(rig: Rig) -> None:
    """A packet whose Reserved field is not zero, and covered by a good ICV, is accepted."""
    start(rig)
    params = ah_sa(rig, INBOUND)
    create(rig, params)
    for seq, reserved in enumerate((1, 0x8000, 0xFFFF), start=1):
        wire = ah(params, around4(), carried(params), seq, reserved=reserved)
        accepted(rig, wire, f"a packet with Reserved {reserved:#06x}")


@check
def esn_offered(rig: Rig) -> None:
    """Every AH mode of VIRTIO_NET_IPSEC_SA_CAP has the option ESN."""
    start(rig)
    for mode in modes(rig, Protocol.AH):
        options = IpsecOption(mode_cap(rig, IpsecMode[f"AH_{mode.name}"]).options)
        rig.expect(IpsecOption.ESN in options, f"options of AH in {mode.value} mode", "ESN among them", str(options))


@check
def icv_length(rig: Rig) -> None:
    """The ICV field is a multiple of 32 bits long, and holds the MAC, over IPv4 and IPv6."""
    for row in _lengths(rig):
        field, what = row.octets - 12, f"over IPv{row.version} with {row.params.auth}"
        rig.equal(f"octets of the ICV field beyond a multiple of 4 {what}", 0, field % 4)
        least = row.params.icv_length
        rig.expect(field >= least, f"octets of the ICV field {what}", f"{least} or more", str(field))


def _padded_mac(rig: Rig) -> tuple[Mode, str]:
    """A mode, and a MAC in it whose ICV field needs padding over IPv6."""
    mode = modes(rig, Protocol.AH)[0]
    for choice in algorithms(rig, Protocol.AH, mode):
        name = choice["auth"]
        params = sa(rig, INBOUND, protocol=Protocol.AH, mode=mode, auth=name)
        if name != "aes-gmac" and (12 + params.icv_length) % 8:
            return mode, name
    raise NotApplicable("no MAC of the device needs padding of the ICV field")


@check
def icv_padding(rig: Rig) -> None:
    """Over IPv6 padding of the ICV field is sent where needed, and received whatever it holds; the ICV covers it."""
    start(rig)
    mode, name = _padded_mac(rig)
    outer = TUNNEL6 if mode is Mode.TUNNEL else None
    params = sa(rig, OUTBOUND, protocol=Protocol.AH, mode=mode, auth=name, tunnel=outer)
    packet = ah_parts(params, send(rig, create(rig, params), FRAME6))
    rig.equal("octets beyond a multiple of 8 in AH over IPv6", 0, (packet.payload_len + 2) * 4 % 8)
    check_icv(rig, params, packet, counted(packet.header))

    params = sa(rig, INBOUND, protocol=Protocol.AH, mode=mode, auth=name, tunnel=outer)
    create(rig, params)
    length = -(12 + params.icv_length) % 8
    for seq, padding in enumerate((bytes(length), b"\xa5" * length), start=1):
        wire = ah(params, around6(), carried(params, 6), seq, padding=padding)
        at = 14 + 40 + 12 + params.icv_length
        rejected(rig, flipped(wire, at), "a packet whose ICV padding was changed")
        accepted(rig, wire, f"a packet with ICV padding {padding.hex()}")


@check
def icv_padding_least(rig: Rig) -> None:
    """AH is no longer than header and ICV, padded to 4 octets over IPv4 and to 8 over IPv6."""
    for row in _lengths(rig):
        align = 4 if row.version == 4 else 8
        least = -(-(12 + row.params.icv_length) // align) * align
        rig.equal(f"octets of AH over IPv{row.version} with {row.params.auth}", least, row.octets)


# -- what the ICV covers (3.3.3.1) -----------------------------------------------------------------------------------


@check
def icv_covers(rig: Rig) -> None:
    """The ICV that the device sends is the MAC of headers, AH with ICV zero, and payload; one made so is accepted."""
    start(rig)
    for number, mode in enumerate(modes(rig, Protocol.AH)):
        for version, tunnel in ((4, TUNNEL4), (6, TUNNEL6)):
            where = {"mode": mode, "spi": 0x1000 + 10 * number + version}
            outer = {"tunnel": tunnel if mode is Mode.TUNNEL else None}
            params = sa(rig, OUTBOUND, protocol=Protocol.AH, **where, **outer)
            with living(rig, params) as made:
                for frame in (FRAME4, FRAME6):
                    packet = ah_parts(params, send(rig, made, frame))
                    check_icv(rig, params, packet, counted(packet.header), f"the ICV in {mode.value} mode")
            params = sa(rig, INBOUND, protocol=Protocol.AH, **where, **outer)
            around = around4(tos=0xB8, ttl=9, identification=7) if version == 4 else around6(flow_label=5)
            with living(rig, params):
                accepted(rig, ah(params, around, carried(params, version), 1), f"a packet over IPv{version}")


@check
def icv_wrong(rig: Rig) -> None:
    """A packet in which an octet of AH but the SPI, or of the payload, was changed is dropped or has SECURITY_ERR."""
    start(rig)
    mode = modes(rig, Protocol.AH)[0]
    for number, choice in enumerate(algorithms(rig, Protocol.AH, mode)):
        if choice["auth"] == "aes-gmac":
            continue
        params = sa(rig, INBOUND, protocol=Protocol.AH, mode=mode, spi=0x1000 + number, **choice)
        wire = ah(params, around4(), carried(params), 1)
        with living(rig, params):
            for at in (*range(_AH_AT, _AH_AT + 4), *range(_AH_AT + 8, len(wire))):  # an unknown SPI is another entry's
                what = f"octet {at - 34} of the AH packet changed, {params.auth}"
                rejected(rig, flipped(wire, at), what)
            accepted(rig, wire, "the packet unchanged")


@check
def tunnel_covers_inner(rig: Rig) -> None:
    """In tunnel mode a packet with any changed octet of the inner packet is dropped or has SECURITY_ERR."""
    start(rig)
    for number, (inner, next_header) in enumerate(((FRAME4, IPIP), (FRAME6, IPV6))):
        params = sa(rig, INBOUND, protocol=Protocol.AH, spi=0x1000 + number)
        create(rig, params)
        wire = ah(params, around4(), (next_header, inner[14:]), 1)
        for at in range(len(wire) - len(inner) + 14, len(wire)):
            rejected(rig, flipped(wire, at), f"octet {at - len(wire) + len(inner) - 14} of the inner packet")
        accepted(rig, wire, "the packet unchanged")


@check
def icv_esn(rig: Rig) -> None:
    """With ESN the ICV covers the high half of the number behind the payload, and it is not transmitted."""
    start(rig)
    params = ah_sa(rig, OUTBOUND, esn=True)
    wire = send(rig, create(rig, params), FRAME4)
    without = create(rig, ah_sa(rig, OUTBOUND, spi=params.spi + 1))
    rig.equal("octets of a frame with ESN", len(send(rig, without, FRAME4)), len(wire))
    packet = ah_parts(params, wire)
    check_icv(rig, params, packet, counted(packet.header), "the ICV with ESN")

    params = ah_sa(rig, INBOUND, esn=True, replay_window=32)
    create(rig, params)
    short = ah(replace(params, esn=False), around4(), carried(params), 1)
    rejected(rig, short, "an ICV without the high half")
    for seq in (1, 0x7FFFFFFF, _SUBSPACE - 1, _SUBSPACE + 1):
        accepted(rig, ah(params, around4(), carried(params), seq), f"an ICV over high half {seq >> 32}")
    wire = ah(params, around4(), carried(params), 2)
    rejected(rig, wire, "an ICV over the high half before")
