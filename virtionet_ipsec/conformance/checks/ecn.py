"""Congestion notification through tunnels, RFC 6040."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..check import check
from ..driving import frames
from ..driving.associations import accepted, rejected, start
from ..driving.ip_header import ip_header
from ..driving.rig import Rig
from ..driving.tunnels import Sent, arriving, both, has, sent_through

_NOT_ECT, _ECT_1, _ECT_0, _CE = range(4)
_NAMES = ("Not-ECT", "ECT(1)", "ECT(0)", "CE")

# RFC 6040, figure 4: what goes on, by inner and outer codepoint; Not-ECT inside and CE outside is dropped.
_FIGURE_4 = {
    _NOT_ECT: {_NOT_ECT: _NOT_ECT, _ECT_0: _NOT_ECT, _ECT_1: _NOT_ECT},
    _ECT_0: {_NOT_ECT: _ECT_0, _ECT_0: _ECT_0, _ECT_1: _ECT_1, _CE: _CE},
    _ECT_1: {_NOT_ECT: _ECT_1, _ECT_0: _ECT_1, _ECT_1: _ECT_1, _CE: _CE},
    _CE: {_NOT_ECT: _CE, _ECT_0: _CE, _ECT_1: _CE, _CE: _CE},
}
_DSCP = 10 << 2


def _marked(rig: Rig, *, ecn: bool, **options: Any) -> Iterator[tuple[str, int, Sent]]:
    """Packets with each codepoint that went through outbound tunnels, with the option or without."""
    said = ", ".join([f"{'with' if ecn else 'without'} ECN", *(f"with {name.upper()}" for name in options)])
    for codepoint in range(4):
        for sent in sent_through(rig, both(traffic_class=_DSCP | codepoint), ecn=ecn, **options):
            yield f"{sent.what}, {said}, {_NAMES[codepoint]} inside", codepoint, sent


@check
def ingress(rig: Rig) -> None:
    """With ECN the outer codepoint is the inner one."""
    start(rig)
    for what, codepoint, sent in _marked(rig, ecn=True):
        rig.equal(f"{what}: outer codepoint", _NAMES[codepoint], _NAMES[sent.header.ecn])


@check
def ingress_compatibility(rig: Rig) -> None:
    """Without ECN the outer codepoint is Not-ECT, whatever the inner one is, with COPY_DSCP and without."""
    start(rig)
    every: tuple[dict[str, Any], ...] = ({}, {"copy_dscp": True}) if has(rig, copy_dscp=True) else ({},)
    for options in every:
        for what, _, sent in _marked(rig, ecn=False, **options):
            rig.equal(f"{what}: outer codepoint", _NAMES[_NOT_ECT], _NAMES[sent.header.ecn])


@check
def inner_kept(rig: Rig) -> None:
    """The inner codepoint goes into the tunnel as it is, with ECN and without."""
    start(rig)
    for ecn in (True, False) if has(rig, ecn=True) else (False,):
        for what, codepoint, sent in _marked(rig, ecn=ecn):
            inner = ip_header(what, sent.opened()).ecn
            rig.equal(f"{what}: inner codepoint on the wire", _NAMES[codepoint], _NAMES[inner])


def _combined(rig: Rig, inside: int) -> None:
    # The bits beside the codepoint are set: in IPv6 it lies across two octets, with the flow label behind it.
    labelled = frames.udp6_frame(traffic_class=0xFC | inside, flow_label=0xFFFFF)
    marked = (*both(traffic_class=_DSCP | inside), frames.udp4_frame(tos=0xFC | inside), labelled)
    for outside, expected in _FIGURE_4[inside].items():
        for arrived in arriving(rig, marked, outer_class=outside, ecn=True):
            what = f"{arrived.what}, {_NAMES[inside]} inside and {_NAMES[outside]} outside"
            packet = accepted(rig, arrived.wire, what)
            got = ip_header(what, packet.frame[14:]).ecn
            rig.equal(f"{what}: codepoint for the driver", _NAMES[expected], _NAMES[got])


@check
def egress(rig: Rig) -> None:
    """A received packet with ECT or CE inside gets the codepoint of figure 4."""
    start(rig)
    for inside in (_ECT_0, _ECT_1, _CE):
        _combined(rig, inside)


@check
def egress_not_ect(rig: Rig) -> None:
    """A received packet with Not-ECT inside keeps it with Not-ECT, ECT(0) and ECT(1) outside."""
    start(rig)
    _combined(rig, _NOT_ECT)


@check
def egress_drop(rig: Rig) -> None:
    """A received packet with Not-ECT inside and CE outside is dropped or has SECURITY_ERR."""
    start(rig)
    for arrived in arriving(rig, both(traffic_class=_DSCP), outer_class=_CE, ecn=True):
        rejected(rig, arrived.wire, f"{arrived.what}, Not-ECT inside and CE outside", [arrived.inner])


@check
def egress_checksum(rig: Rig) -> None:
    """Where the codepoint changed, the inner IPv4 checksum is right again."""
    start(rig)
    for inside, outside in ((_ECT_0, _CE), (_ECT_1, _CE), (_ECT_0, _ECT_1)):
        expected = _FIGURE_4[inside][outside]
        # With the second number the checksum is 0, and the other two are beside it: there the change carries.
        zero = int.from_bytes(frames.udp4_frame(tos=_DSCP | inside, identification=0)[24:26], "big")
        for number in (0, zero, zero - 1, zero + 1):
            frame = frames.udp4_frame(tos=_DSCP | inside, identification=number)
            for arrived in arriving(rig, [frame], outer_class=outside, ecn=True):
                what = f"{arrived.what}, {_NAMES[inside]} made {_NAMES[expected]}"
                packet = accepted(rig, arrived.wire, what).frame[14:]
                right = ip_header(what, packet).checksum_right
                rig.expect(right, f"{what}: checksum of the inner header", "the right one", packet[:20].hex(" ", -4))
