"""The security architecture, RFC 4301: SAs side by side, and what is inside a tunnel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ...ipsec import Lifetime
from ...ipsec.ip import with_traffic_class
from ...wire.enums import IpsecMode, IpsecOption
from ..check import check
from ..driving import frames, sa_objects, traffic
from ..driving.associations import (
    INBOUND,
    OUTBOUND,
    TUNNEL4,
    TUNNEL6,
    accepted,
    create,
    mode_cap,
    protected,
    rejected,
    start,
)
from ..driving.ip_header import ip_header
from ..driving.on_the_wire import spi_of
from ..driving.rig import Rig
from ..driving.sa_objects import any_sa
from ..driving.tunnels import WITH_OPTIONS, arriving, both, far_sender, has, living, sent_through, tunnel_sas
from ..verdict import NotApplicable

_CLASS = 0x2A  # DSCP 10, ECT(0)
_CE = 3

# Inner packets with every field of the header set to something.
_HEADERS = (
    frames.udp4_frame(tos=_CLASS, ttl=7, df=True, identification=0xBEEF),
    frames.ethernet(frames.ipv4(bytes(40), 253, tos=0xFF, ttl=255, identification=0xFFFF)),
    frames.ethernet(frames.ipv6(bytes(40), 253, traffic_class=_CLASS, flow_label=0x12345, hop_limit=7)),
)

_FIRST, _SECOND = "first", "second"
_INTERLEAVED = (  # SA, sequence number, whether it passes; the windows have 32 numbers
    (_FIRST, 1, True),
    (_SECOND, 1, True),
    (_FIRST, 2, True),
    (_SECOND, 500, True),
    (_FIRST, 4, True),
    (_SECOND, 499, True),
    (_SECOND, 500, False),
    (_FIRST, 4, False),
    (_FIRST, 3, True),
    (_SECOND, 2, False),
    (_FIRST, 5, True),
    (_SECOND, 501, True),
)


@check
def parallel_sas(rig: Rig) -> None:
    """Two inbound SAs between the same addresses take interleaved packets, each with its own window, count and key."""
    start(rig)
    # As many as the first SA gets: no packet of the second may count.
    limited = Lifetime(packets_hard=5)
    lifetime = limited if has(rig, lifetime=limited) else Lifetime()
    for params in tunnel_sas(rig, INBOUND, replay_window=32, lifetime=lifetime):
        key: dict[str, Any] = (
            {"auth_key": params.auth_key[::-1]} if params.auth_key else {"cipher_key": params.cipher_key[::-1]}
        )
        other = replace(params, spi=params.spi + 0x100, lifetime=Lifetime(), **key)
        ends = {_FIRST: far_sender(params), _SECOND: far_sender(other)}
        frame, name = frames.udp4_frame(), params.protocol.name
        with living(rig, params), living(rig, other):
            foreign = far_sender(replace(other, spi=params.spi))
            rejected(rig, protected(foreign, frame, 1), f"{name}: a packet for the first SA under the second one's key")
            for end, seq, passes in _INTERLEAVED:
                what, wire = f"{name}: packet {seq} of the {end} SA", protected(ends[end], frame, seq)
                if passes:
                    rig.equal(f"{what}: payload", frame[34:], accepted(rig, wire, what).frame[34:])
                else:
                    rejected(rig, wire, what)
            accepted(rig, protected(ends[_SECOND], frame, 502), f"{name}: packet 502 of the second SA")


def _unusable(rig: Rig) -> Iterator[tuple[str, int, tuple[bytes, ...]]]:
    """SAs that cannot be used, by id, and frames that are to go through them."""
    # TCP: any UDP datagram could be ESP, too.
    both_versions = tuple(each.frame for each in traffic.SIMPLE if each.what.startswith("TCP"))
    yield "no SA at all", 1, both_versions
    params = any_sa(rig, OUTBOUND)
    with living(rig, params) as existing:
        # An inbound SA's id is nothing here.
        inbound = existing + 1
        with suppress(NotApplicable):
            create(rig, any_sa(rig, INBOUND), inbound)
        for unknown in (inbound, existing + 2, 0xFFFFFFFF, *([0] if existing else [])):
            yield f"no SA has the id {unknown}", unknown, both_versions
        yield "no IP packet", existing, tuple(each.frame for each in traffic.NO_NETWORK_HEADER)
    yield "the SA was destroyed", existing, both_versions
    length = len(both_versions[0]) - 14
    for name, lifetime in (("packets", Lifetime(packets_hard=3)), ("bytes", Lifetime(bytes_hard=3 * length))):
        with suppress(NotApplicable), living(rig, any_sa(rig, OUTBOUND, lifetime=lifetime)) as spent:
            for _ in range(3):
                rig.transmit(rig.driver.header(spent) + both_versions[0])
            yield f"the hard limit of {name} is reached", spent, both_versions


@check
def nothing_in_the_clear(rig: Rig) -> None:
    """A packet whose SA is unknown, destroyed or spent, and a frame without IP, leaves protected or not at all."""
    sa_objects.start(rig)
    for why, resource_id, sent in _unusable(rig):
        for frame in sent:
            for wire in rig.transmit(rig.driver.header(resource_id) + frame):
                shown = "a frame in the clear" if wire == frame else wire.hex(" ", -4)
                rig.expect(bool(spi_of(wire)), f"a packet with SECURITY, {why}", "nothing, or ESP or AH", shown)


def _but_ttl(packet: bytes) -> bytes:
    """``packet`` with TTL and header checksum, or Hop Limit, zero."""
    if packet[0] >> 4 == 4:
        return packet[:8] + b"\0" + packet[9:10] + b"\0\0" + packet[12:]
    return packet[:7] + b"\0" + packet[8:]


@check
def inner_header_unchanged(rig: Rig) -> None:
    """The inner IP header comes out of a tunnel as it went in, both ways, but for what an option is to change."""
    start(rig)
    for sent in sent_through(rig, _HEADERS):
        rig.equal(f"{sent.what}: the inner packet", sent.inner, sent.opened())
    for arrived in arriving(rig, _HEADERS):
        packet = accepted(rig, arrived.wire, arrived.what)
        rig.equal(f"{arrived.what}: the inner packet", arrived.inner, packet.frame[14:])
    for option in ("copy_dscp", "copy_df", "ecn", "dec_ttl"):
        switched_on: dict[str, Any] = {option: True}
        if not has(rig, **switched_on):
            continue
        for sent in sent_through(rig, _HEADERS, **switched_on):
            what = f"{sent.what}, {option}: the inner packet but for its TTL"
            rig.equal(what, _but_ttl(sent.inner), _but_ttl(sent.opened()))
        for arrived in arriving(rig, _HEADERS, outer_class=_CE if option == "ecn" else 0, **switched_on):
            inner = accepted(rig, arrived.wire, arrived.what).frame[14:]
            what = f"{arrived.what}, {option}: the inner packet but for TTL, DS and ECN"
            expected, got = (_but_ttl(with_traffic_class(each, 0)) for each in (arrived.inner, inner))
            rig.equal(what, expected, got)


@check
def inner_options_unchanged(rig: Rig) -> None:
    """IPv4 options and IPv6 extension headers of the inner packet come out of a tunnel as they went in, both ways."""
    start(rig)
    for sent in sent_through(rig, WITH_OPTIONS):
        rig.equal(f"{sent.what}: the inner packet", sent.inner, sent.opened())
    for arrived in arriving(rig, WITH_OPTIONS):
        packet = accepted(rig, arrived.wire, arrived.what)
        rig.equal(f"{arrived.what}: the inner packet", arrived.inner, packet.frame[14:])


@check
def mixed_versions(rig: Rig) -> None:
    """IPv4 goes through an IPv6 tunnel and IPv6 through an IPv4 tunnel, both ways, each frame with its EtherType."""
    start(rig)
    ipv4, ipv6 = both()
    for tunnel, frame, version in ((TUNNEL6, ipv4, 6), (TUNNEL4, ipv6, 4)):
        for sent in sent_through(rig, [frame], [tunnel], mixed=True):
            rig.equal(f"{sent.what}: outer IP version", version, sent.header.version)
            rig.equal(f"{sent.what}: EtherType", b"\x86\xdd" if version == 6 else b"\x08\x00", sent.wire[12:14])
            rig.equal(f"{sent.what}: the inner packet", sent.inner, sent.opened())
        for arrived in arriving(rig, [frame], tunnels=[tunnel]):
            packet = accepted(rig, arrived.wire, arrived.what)
            rig.equal(f"{arrived.what}: EtherType and packet for the driver", frame[12:], packet.frame[12:])


def _ttl(packet: bytes) -> int:
    return packet[8 if packet[0] >> 4 == 4 else 7]


@check
def inner_ttl(rig: Rig) -> None:
    """With DEC_TTL the inner TTL or Hop Limit is one lower, both ways, and a packet with 1 fails; without, it stays."""
    start(rig)
    variants: tuple[dict[str, Any], ...] = ({}, {"dec_ttl": True}) if has(rig, dec_ttl=True) else ({},)
    inner = [frame for ttl in (2, 64, 255) for frame in both(ttl=ttl)]
    for options in variants:
        said = "with DEC_TTL" if options else "without DEC_TTL"
        for sent in sent_through(rig, inner, **options):
            was = _ttl(sent.inner)
            rig.equal(f"{sent.what}, {said}: inner TTL that was {was}", was - len(options), _ttl(sent.opened()))
        for arrived in arriving(rig, inner, **options):
            was, packet = _ttl(arrived.inner), accepted(rig, arrived.wire, arrived.what)
            what = f"{arrived.what}, {said}: inner TTL that was {was}"
            rig.equal(what, was - len(options), _ttl(packet.frame[14:]))
    if len(variants) == 1:
        return
    for params in tunnel_sas(rig, OUTBOUND, dec_ttl=True):
        with living(rig, params) as resource_id:
            for frame in both(ttl=1):
                left = rig.transmit(rig.driver.header(resource_id) + frame)
                rig.equal(f"{params.protocol.name} out, inner TTL 1 with DEC_TTL: frames on the wire", 0, len(left))
    for arrived in arriving(rig, both(ttl=1), dec_ttl=True):
        rejected(rig, arrived.wire, f"{arrived.what}, inner TTL 1 with DEC_TTL")


@check
def inner_checksum(rig: Rig) -> None:
    """Where DEC_TTL changed the inner IPv4 header, its checksum is right again, both ways."""
    start(rig)
    inner = []
    for ttl in (2, 64, 255):
        plain = frames.udp4_frame(ttl=ttl, identification=0)
        # With the second number the checksum is 0xffbf, so that the change carries.
        for number in (0, int.from_bytes(plain[24:26], "big") + 0x40 & 0xFFFF):
            inner.append(frames.udp4_frame(ttl=ttl, identification=number))
    for sent in sent_through(rig, inner, dec_ttl=True):
        _right_checksum(rig, sent.what, sent.opened())
    for arrived in arriving(rig, inner, dec_ttl=True):
        _right_checksum(rig, arrived.what, accepted(rig, arrived.wire, arrived.what).frame[14:])


def _right_checksum(rig: Rig, what: str, packet: bytes) -> None:
    right = ip_header(what, packet).checksum_right
    rig.expect(right, f"{what}: checksum of the inner header", "the right one", packet[:20].hex(" ", -4))


@check
def inner_dscp_kept(rig: Rig) -> None:
    """The inner DSCP of a received packet stays what it is, whatever the outer one is."""
    start(rig)
    for outer in (0, 46, 63):
        for arrived in arriving(rig, both(traffic_class=10 << 2), outer_class=outer << 2):
            packet = accepted(rig, arrived.wire, arrived.what)
            dscp = ip_header(arrived.what, packet.frame[14:]).dscp
            rig.equal(f"{arrived.what}, DSCP {outer} outside: inner DSCP that was 10", 10, dscp)
    if not has(rig, ecn=True):
        return
    for inner, outer in ((63, 0), (21, 63)):
        marked = both(traffic_class=inner << 2 | _CLASS & 3)
        for arrived in arriving(rig, marked, outer_class=outer << 2 | _CE, ecn=True):
            packet = accepted(rig, arrived.wire, arrived.what)
            dscp = ip_header(arrived.what, packet.frame[14:]).dscp
            rig.equal(f"{arrived.what}, DSCP {outer} and CE outside: inner DSCP that was {inner}", inner, dscp)


@check
def df_option(rig: Rig) -> None:
    """Every tunnel mode in VIRTIO_NET_IPSEC_SA_CAP has the option COPY_DF."""
    start(rig)
    seen = 0
    for mode in (IpsecMode.ESP_TUNNEL, IpsecMode.AH_TUNNEL):
        try:
            options = mode_cap(rig, mode).options
        except NotApplicable:
            continue
        seen += 1
        rig.expect(bool(options & IpsecOption.COPY_DF), f"options of {mode.name}", "with COPY_DF", f"{options:#x}")
    if not seen:
        raise NotApplicable("the device offers no tunnel mode")
