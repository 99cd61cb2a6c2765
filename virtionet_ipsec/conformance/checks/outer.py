"""The outer header of tunnel mode, RFC 4301 5.1.2."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from ..check import check
from ..driving import frames
from ..driving.associations import TUNNEL4, TUNNEL6, start
from ..driving.ip_header import ip_header
from ..driving.rig import Rig
from ..driving.tunnels import TUNNELS, WITH_OPTIONS, both, has, sent_through

_EXTENSION_HEADERS = frozenset({0, 43, 44, 60})


@check
def addresses(rig: Rig) -> None:
    """The outer source and destination are those of the SA, whatever the inner packet has."""
    start(rig)
    others = [replace(tunnel, src=tunnel.dst, dst=tunnel.src[:-1] + b"\x63") for tunnel in TUNNELS]
    for sent in sent_through(rig, both(), (*TUNNELS, *others)):
        assert sent.params.tunnel is not None
        rig.equal(f"{sent.what}: outer source", sent.params.tunnel.src, sent.header.src)
        rig.equal(f"{sent.what}: outer destination", sent.params.tunnel.dst, sent.header.dst)


@check
def dscp(rig: Rig) -> None:
    """The outer DSCP is the SA's, and with COPY_DSCP the inner one."""
    start(rig)
    inner = [frame for dscp in (0, 46, 63) for frame in both(traffic_class=dscp << 2)]
    for dscp in (0, 26, 63):
        for sent in sent_through(rig, inner, [replace(tunnel, dscp=dscp) for tunnel in TUNNELS]):
            rig.equal(f"{sent.what}: outer DSCP, the SA's is {dscp}", dscp, sent.header.dscp)
    if not has(rig, copy_dscp=True):
        return
    for sent in sent_through(rig, inner, [replace(tunnel, dscp=26) for tunnel in TUNNELS], copy_dscp=True):
        expected = ip_header(sent.what, sent.inner).dscp
        rig.equal(f"{sent.what}: outer DSCP with COPY_DSCP", expected, sent.header.dscp)


@check
def lengths(rig: Rig) -> None:
    """Outer header length and Total Length or Payload Length are those of the packet that leaves."""
    start(rig)
    inner = [frame for length in (0, 1, 2, 3, 4, 255, 400) for frame in both(bytes(length))]
    for sent in sent_through(rig, [*inner, *WITH_OPTIONS]):
        header = sent.header
        rig.equal(f"{sent.what}: octets of the outer header", 20 if header.version == 4 else 40, header.size)
        rig.equal(f"{sent.what}: octets of the packet, as the outer header says", len(sent.outer), header.total)


@check
def identification(rig: Rig) -> None:
    """Outer IPv4 headers without DF have an Identification of their own: it changes though the inner one does not."""
    start(rig)
    inner = [frames.udp4_frame(bytes((number,)), identification=0x5A5A) for number in range(8)]
    seen = defaultdict(set)
    for sent in sent_through(rig, inner, [TUNNEL4]):
        seen[sent.what].add(sent.header.identification)
    for what, numbers in seen.items():
        shown = ", ".join(f"{number:#06x}" for number in sorted(numbers))
        rig.expect(len(numbers) > 1, f"{what}: Identification of 8 packets", "not the same in all of them", shown)


@check
def df(rig: Rig) -> None:
    """DF of the outer IPv4 header is the SA's, and with COPY_DF that of the inner IPv4 header."""
    start(rig)
    inner = [frames.udp4_frame(df=df) for df in (False, True)]
    tunnels = [replace(TUNNEL4, df=df) for df in (False, True)]
    for sent in sent_through(rig, inner, tunnels):
        assert sent.params.tunnel is not None
        rig.equal(f"{sent.what}: outer DF without COPY_DF", sent.params.tunnel.df, sent.header.df)
    if not has(rig, copy_df=True):
        return
    for sent in sent_through(rig, inner, tunnels, copy_df=True):
        rig.equal(f"{sent.what}: outer DF with COPY_DF", ip_header(sent.what, sent.inner).df, sent.header.df)


@check
def df_over_ipv6(rig: Rig) -> None:
    """DF of the outer IPv4 header of an inner IPv6 packet is the SA's; with COPY_DF either value will do."""
    start(rig)
    tunnels = [replace(TUNNEL4, df=df) for df in (False, True)]
    for sent in sent_through(rig, [frames.udp6_frame()], tunnels, mixed=True):
        assert sent.params.tunnel is not None
        rig.equal(f"{sent.what}: outer DF without COPY_DF", sent.params.tunnel.df, sent.header.df)


@check
def no_fragment(rig: Rig) -> None:
    """MF and Fragment Offset of the outer IPv4 header are zero, also around a fragment."""
    start(rig)
    kinds = ((False, 0), (True, 0), (True, 8), (False, 16))
    inner = [frames.ethernet(frames.ipv4(bytes(64), more=more, offset=offset)) for more, offset in kinds]
    for sent in sent_through(rig, inner, [TUNNEL4]):
        header = sent.header
        rig.equal(f"{sent.what}: MF and offset of the outer header", (False, 0), (header.more, header.fragment))


@check
def ttl(rig: Rig) -> None:
    """The outer TTL or Hop Limit is the SA's, whatever the inner one is."""
    start(rig)
    inner = [frame for ttl in (1, 64, 255) for frame in both(ttl=ttl)]
    for ttl in (1, 17, 255):
        for sent in sent_through(rig, inner, [replace(tunnel, ttl=ttl) for tunnel in TUNNELS]):
            rig.equal(f"{sent.what}: outer TTL, the SA's is {ttl}", ttl, sent.header.ttl)


@check
def protocol(rig: Rig) -> None:
    """The outer Protocol or Next Header is 50 in front of ESP and 51 in front of AH."""
    start(rig)
    for sent in sent_through(rig, both()):
        rig.equal(f"{sent.what}: outer protocol", sent.params.protocol.value, sent.header.protocol)


@check
def checksum(rig: Rig) -> None:
    """The checksum of the outer IPv4 header is right, whatever is in the header."""
    start(rig)
    inner = [frame for length in range(0, 400, 17) for frame in both(bytes(length))]
    tunnels = [replace(TUNNEL4, dscp=dscp, ttl=ttl, df=df) for dscp, ttl, df in ((0, 64, False), (63, 255, True))]
    for sent in sent_through(rig, inner, tunnels):
        got = f"{sent.outer[10:12].hex()} in {sent.outer[:20].hex(' ', -4)}"
        rig.expect(sent.header.checksum_right, f"{sent.what}: outer checksum", "the right one", got)


@check
def no_options(rig: Rig) -> None:
    """The outer header has no IPv4 options and no IPv6 extension headers, also around a packet that has them."""
    start(rig)
    for sent in sent_through(rig, WITH_OPTIONS):
        header = sent.header
        rig.equal(f"{sent.what}: octets of the outer header", 20 if header.version == 4 else 40, header.size)
        if header.version == 6:
            extended = header.protocol in _EXTENSION_HEADERS
            rig.expect(not extended, f"{sent.what}: outer Next Header", "no extension header", str(header.protocol))


@check
def flow_label(rig: Rig) -> None:
    """The outer IPv6 flow label is the SA's, whatever the inner one is."""
    start(rig)
    inner = [frames.udp4_frame(), frames.udp6_frame(), frames.udp6_frame(flow_label=0x12345)]
    for label in (0, 0xABCDE, 0xFFFFF):
        for sent in sent_through(rig, inner, [replace(TUNNEL6, flow_label=label)]):
            rig.equal(f"{sent.what}: outer flow label", f"{label:#07x}", f"{sent.header.flow_label:#07x}")
