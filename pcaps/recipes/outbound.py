"""What a host sends, for replays that protect it: the kernel's plain captures, in every kind of file and frame.

The packets are those of the first host, 192.168.1.10 and fd01::10, as they came to the gateway ga: their TTL is
one higher than in the tunnel.
"""

from __future__ import annotations

import struct
from ipaddress import ip_address

from .files import ETHERNET, LINUX_SLL2, RAW_IP, Frame, Linux, in_order, pcap, pcapng
from .packets import ETH, IPV6, changed, fragments4, fragments6, framed, ipv4, ipv6, summed, tagged, udp, udp_over_ipv6

_HOST4, _PEER4 = "192.168.1.10", "192.168.2.10"
_HOST6, _PEER6 = "fd01::10", "fd02::10"
_GB = ip_address("10.0.0.2").packed


def _from(frames: list[Frame], source: str) -> list[Frame]:
    """The Ethernet frames whose IP source is ``source``."""
    octets = ip_address(source).packed
    start = ETH + (12 if len(octets) == 4 else 8)
    return [frame for frame in frames if frame.data[start : start + len(octets)] == octets]


def _host4(linux: Linux) -> list[Frame]:
    return _from(linux("gcm128-tunnel-v4.plain"), _HOST4)


def _host6(linux: Linux) -> list[Frame]:
    return _from(linux("ccm128-tunnel-v6.plain"), _HOST6)


def _both(linux: Linux) -> list[Frame]:
    """Eight small packets of each IP version in turn: echo requests, then UDP; times are IPv4's, and one between."""
    frames = []
    for four, six in zip(_host4(linux), _host6(linux), strict=False):
        frames += [four, six._replace(time_ns=four.time_ns + 123)]
    return [frame for frame in frames if len(frame.data) < 120][:16]


def host_v4(linux: Linux) -> bytes:
    """All that the host sent over IPv4; ten TCP segments are too big for the tunnel."""
    return pcap(_host4(linux))


def host_v6(linux: Linux) -> bytes:
    """All that the host sent over IPv6; the last datagram comes in two fragments."""
    return pcap(_host6(linux))


def vlan(linux: Linux) -> bytes:
    """No tag, 802.1Q, priority tag, 802.1ad with 802.1Q, and three tags, in turn, on both IP versions."""
    tags = [
        (),
        ((0x8100, 100),),
        ((0x8100, 0x6000),),
        ((0x88A8, 100), (0x8100, 7)),
        ((0x8100, 1), (0x8100, 2), (0x8100, 3)),
    ]
    frames = _both(linux)[:10]
    return pcap(
        frame._replace(data=tagged(frame.data, *tags[number % len(tags)])) for number, frame in enumerate(frames)
    )


def raw_ip(linux: Linux) -> bytes:
    """Link type RAW: IPv4 and IPv6 packets without frames around them."""
    return pcap((frame._replace(data=frame.data[ETH:]) for frame in _both(linux)), RAW_IP)


def big_endian(linux: Linux) -> bytes:
    """pcap in the other byte order, with nanoseconds."""
    return pcap(_both(linux), order=">", nanoseconds=True)


def cooked(linux: Linux) -> bytes:
    """``tcpdump -i any``: link type LINUX_SLL2, which tells the EtherType and the sender's address."""
    head = struct.Struct("!2sHIHBB8s")  # protocol, reserved, interface, ARPHRD, packet type, address length, address
    frames = [
        frame._replace(data=head.pack(frame.data[12:14], 0, 2, 1, 4, 6, frame.data[6:12]) + frame.data[ETH:])
        for frame in _both(linux)
    ]
    return pcap(frames, LINUX_SLL2)


def two_links(linux: Linux) -> bytes:
    """pcapng with nanoseconds: IPv4 on an Ethernet interface, IPv6 on one of raw IP."""
    frames = []
    for frame in _both(linux):
        six = frame.data[12:14] == IPV6
        frames.append((1, frame._replace(data=frame.data[ETH:])) if six else (0, frame))
    return pcapng(frames, [ETHERNET, RAW_IP], comment="IPv4 framed, IPv6 bare")


def gateway(linux: Linux) -> bytes:
    """Both links of ga in one pcapng: from the host on interface 0, from gb on interface 1, in order of time."""
    inside = [(0, frame) for frame in _host4(linux)]
    outside = [(1, frame) for frame in linux("gcm128-tunnel-v4.wire") if frame.data[ETH + 12 : ETH + 16] == _GB]
    return pcapng(sorted(inside + outside, key=lambda each: each[1].time_ns), [ETHERNET, ETHERNET])


def headers(linux: Linux) -> bytes:
    """Headers that take care, made up, all UDP to port 5002.

    1 to 3   IPv4 with TTL 0, 1, 2                 4 to 6   IPv6 with hop limit 0, 1, 2
    7 to 10  IPv4, DSCP 46 and each ECN codepoint  11 to 14 IPv6, DSCP 10 and each ECN codepoint
    15       IPv4 without DF                       16       IPv4 with options: router alert, no-operation, end
    17, 18   two fragments of an IPv4 datagram     19, 20   two fragments of an IPv6 datagram
    21       IPv6, hop-by-hop and destination options in front of UDP
    22       IPv6, destination options, a routing header (no segments left), destination options, UDP
    23       an IPv4 frame padded to 60 octets     24       ARP
    25       an atomic fragment (RFC 6946)         26       a header cut short: IPv4, 12 octets
    """

    def four(size: int = 20, **fields: int | bytes) -> bytes:
        return ipv4(udp(bytes(range(size)), 5000, 5002), 17, _HOST4, _PEER4, **fields)  # type: ignore[arg-type]

    def six(size: int = 20, extension: bytes = b"", nh: int = 17, **fields: int) -> bytes:
        datagram = udp_over_ipv6(bytes(range(size)), 5000, 5002, _HOST6, _PEER6)
        return ipv6(extension + datagram, nh, _HOST6, _PEER6, **fields)

    pad = b"\x01\x04\0\0\0\0"  # PadN, which fills an options header of 8 octets
    routing = b"\x3c\x02\x03\0" + bytes(4) + ip_address(_PEER6).packed  # type 3 (RPL), nothing left to visit
    big4 = summed(changed(four(200), 6, b"\0\0"))
    packets = [
        *(four(ttl=ttl) for ttl in (0, 1, 2)),
        *(six(hop_limit=limit) for limit in (0, 1, 2)),
        *(four(tos=46 << 2 | ecn) for ecn in range(4)),
        *(six(tos=10 << 2 | ecn, flow_label=0x12345) for ecn in range(4)),
        four(flags=0),
        four(options=b"\x94\x04\0\0\x01\0\0\0"),
        *fragments4(big4, 112),
        *fragments6(six(200), 112, ident=19),
        six(extension=b"\x3c\0" + pad + b"\x11\0" + pad, nh=0),
        six(extension=b"\x2b\0" + pad + routing + b"\x11\0" + pad, nh=60),
    ]
    frames = [framed(packet) for packet in packets]
    arp = b"\xff" * 6 + frames[0][6:12] + b"\x08\x06\0\x01\x08\0\x06\x04\0\x01" + bytes(20)
    atomic = fragments6(six(), 1000, ident=25)[0]
    frames += [framed(four(1)).ljust(60, b"\0"), arp.ljust(60, b"\0"), framed(atomic), framed(four())[: ETH + 12]]
    return pcap(in_order(frames))


FILES = {
    "outbound/host-v4.pcap": host_v4,
    "outbound/host-v6.pcap": host_v6,
    "outbound/vlan.pcap": vlan,
    "outbound/raw-ip.pcap": raw_ip,
    "outbound/big-endian.pcap": big_endian,
    "outbound/cooked.pcap": cooked,
    "outbound/two-links.pcapng": two_links,
    "outbound/gateway.pcapng": gateway,
    "outbound/headers.pcap": headers,
}
