"""Packets that contradict themselves, and packets that are no IPsec at all, from the kernel's captures.

Packet numbers in the docstrings are those of the capture that is made, from 1.
"""

from __future__ import annotations

import struct

from .files import Linux, in_order, pcap
from .packets import ETH, IPV4, MACS, changed, framed, ipv4, ipv6, sized, summed, udp

ESP4 = 20  # where ESP or AH starts behind an IPv4 header without options
GA, GB = "10.0.0.1", "10.0.0.2"
MULTICAST = bytes.fromhex("0180c2000000025000000001")


def _packets(linux: Linux, name: str, count: int) -> list[bytes]:
    return [frame.data[ETH:] for frame in linux(name, count)]


def _file(frames: list[bytes]) -> bytes:
    return pcap(in_order(frames))


def _cut(packet: bytes, length: int) -> bytes:
    """The first ``length`` octets of ``packet``, its IP header being honest about it."""
    return sized(packet[:length])


def malformed_esp(linux: Linux) -> bytes:
    """AES-GCM over IPv4.  Each is the next good packet from ga or gb with one thing wrong.

    1  ESP of 4 octets: no sequence number        2  ESP of 8 octets: a header and nothing else
    3  IV, and an ICV cut to 8 octets             4  one octet of ciphertext short: not a multiple of 4
    5  four octets short: the wrong ICV           6  IP says 100 octets more than there are
    7  IP says 16 octets, less than its header    8  IP header of 16 octets
    9  IP header of 60 octets: the SPI is sought inside the ciphertext
    10 20 octets of Ethernet padding behind a good packet: harmless
    11 IP version 5                               12 the frame ends inside the IP header
    13 the frame ends behind its EtherType        14 10 octets of frame
    """
    p = _packets(linux, "gcm128-tunnel-v4.wire", 14)
    frames = [
        framed(_cut(p[0], ESP4 + 4)),
        framed(_cut(p[1], ESP4 + 8)),
        framed(_cut(p[2], ESP4 + 8 + 8 + 8)),
        framed(_cut(p[3], len(p[3]) - 1)),
        framed(_cut(p[4], len(p[4]) - 4)),
        framed(summed(changed(p[5], 2, struct.pack("!H", len(p[5]) + 100)))),
        framed(summed(changed(p[6], 2, struct.pack("!H", 16)))),
        framed(changed(p[7], 0, b"\x44")),
        framed(summed(changed(p[8], 0, b"\x4f"))),
        framed(p[9]) + bytes(20),
        MACS + IPV4 + changed(p[10], 0, b"\x55"),
        framed(p[11])[: ETH + 12],
        framed(p[12])[:ETH],
        framed(p[13])[:10],
    ]
    return _file(frames)


def malformed_cbc(linux: Linux) -> bytes:
    """AES-CBC with HMAC-SHA-256-128: ciphertext one octet (1) and four octets (2) off a block; no ciphertext (3);
    ICV alone (4); a block less, so that the wrong octets are the ICV (5); a good packet (6)."""
    p = _packets(linux, "cbc128-sha256-tunnel-v4.wire", 6)
    lengths = [len(p[0]) - 1, len(p[1]) - 4, ESP4 + 8 + 16 + 16, ESP4 + 8 + 16, len(p[4]) - 16, len(p[5])]
    return _file([framed(_cut(packet, length)) for packet, length in zip(p, lengths, strict=True)])


def malformed_ah(linux: Linux) -> bytes:
    """AH over IPv4; its length field is in 4 octets, less 2: HMAC-SHA-256-128 padded to 32 octets has 6.

    1 and 2: 0 and 255.  3: 4, no room for the ICV.  4: 5, RFC 4302's own without Linux's padding, so that the
    padding counts as payload: the ICV does not cover the length as it was.  5: 8 octets of AH are there.
    6: the packet ends inside the ICV.  7: a good packet.
    """
    p = _packets(linux, "ah-sha256-tunnel-v4.wire", 7)
    length = [changed(packet, ESP4 + 1, bytes((value,))) for packet, value in zip(p, (0, 255, 4, 5), strict=False)]
    return _file([framed(packet) for packet in (*length, _cut(p[4], ESP4 + 8), _cut(p[5], ESP4 + 20), p[6])])


def malformed_v6(linux: Linux) -> bytes:
    """AES-CCM over IPv6.

    1  payload length 100 too large                 2  payload length 0 (a jumbogram without its option)
    3  a hop-by-hop header of 8 octets in front: fine
    4  one that claims 2048 octets                  5  a fragment header cut short
    6  destination options twice, then ESP: fine    7  40 octets less than ESP needs
    """
    p = _packets(linux, "ccm128-tunnel-v6.wire", 7)
    pad = b"\x01\x04\0\0\0\0"  # PadN

    def extended(packet: bytes, nh: int, *headers: bytes) -> bytes:
        return sized(changed(packet[:40], 6, bytes((nh,))) + b"".join(headers) + packet[40:])

    frames = [
        changed(p[0], 4, struct.pack("!H", len(p[0]) - 40 + 100)),
        changed(p[1], 4, b"\0\0"),
        extended(p[2], 0, b"\x32\0" + pad),
        extended(p[3], 0, b"\x32\xff" + pad),
        sized(changed(p[4][:40], 6, b"\x2c") + b"\x32\0\0\0"),
        extended(p[5], 60, b"\x3c\0" + pad, b"\x32\0" + pad),
        _cut(p[6], 40 + 12),
    ]
    return _file([framed(packet) for packet in frames])


def malformed_udp(linux: Linux) -> bytes:
    """UDP-encapsulated AES-GCM: UDP length 4 (1), 100 too large (2), 4 too small (3: the wrong ICV); 3 octets of UDP
    header (4); 6 octets of ESP (5: an SPI and no sequence number); a good packet (6)."""
    p = _packets(linux, "gcm128-udpencap-tunnel-v4.wire", 6)
    length = len(p[0]) - 20
    lying = [
        changed(packet, 24, struct.pack("!H", value))
        for packet, value in zip(p, (4, length + 100, length - 4), strict=False)
    ]
    no_header = _cut(p[3], 20 + 4)
    six = sized(changed(p[4], 24, struct.pack("!H", 8 + 6))[: 20 + 8 + 6])
    return _file([framed(packet) for packet in (*lying, no_header, six, p[5])])


def port_4500(linux: Linux) -> bytes:
    """What else comes to UDP port 4500 (RFC 3948 2): 1, 8 and 12 are ESP and good, all others go up as they came.

    2 a NAT keep-alive; 3 IKE behind the non-ESP marker; 4 the marker alone; 5 no payload; 6 one octet that is no
    keep-alive; 7 three octets; 9 IKE on port 500; 10 ESP from port 4500 to another port; 11 a keep-alive with
    Ethernet padding to 60 octets.
    """
    p = _packets(linux, "gcm128-udpencap-tunnel-v4.wire", 4)
    ike = bytes(range(16)) + b"\x29\x20\x23\x08" + bytes(8)

    def datagram(payload: bytes, dport: int = 4500) -> bytes:
        return framed(ipv4(udp(payload, 4500, dport), 17, GA, GB))

    keep_alive = datagram(b"\xff")
    frames = [
        framed(p[0]),
        keep_alive,
        datagram(bytes(4) + ike),
        datagram(bytes(4)),
        datagram(b""),
        datagram(b"\x01"),
        datagram(b"\xff\xff\xff"),
        framed(p[1]),
        datagram(ike, 500),
        framed(changed(p[2], 22, struct.pack("!H", 4501))),
        keep_alive.ljust(60, b"\0"),
        framed(p[3]),
    ]
    return _file(frames)


def mixed(linux: Linux) -> bytes:
    """IPsec among what else is on a link: ESP at 1, 4, 8 and 11.

    2 ARP; 3 IPv6 neighbour solicitation; 5 IEEE 802.3 with a length and LLC (spanning tree); 6 LLDP; 7 TCP in the
    clear; 9 IP in IP; 10 a fragment of UDP in the clear.
    """
    p = _packets(linux, "gcm128-tunnel-v4.wire", 4)
    plain = linux("gcm128-tunnel-v4.plain")[12].data[ETH:]
    arp = b"\xff" * 6 + MACS[6:] + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x800, 6, 4, 1) + MACS[6:] + bytes(4 + 6 + 4)
    solicitation = ipv6(b"\x87\0\0\0" + bytes(20), 58, "fe80::1", "ff02::1:ff00:2", hop_limit=255)
    spanning_tree = MULTICAST + struct.pack("!H", 38) + b"\x42\x42\x03" + bytes(35)
    lldp = changed(MULTICAST, 5, b"\x0e") + b"\x88\xcc" + bytes.fromhex("0207040250000000010403023165060200780000")
    frames = [
        framed(p[0]),
        arp.ljust(60, b"\0"),
        framed(solicitation),
        framed(p[1]),
        spanning_tree.ljust(60, b"\0"),
        lldp.ljust(60, b"\0"),
        framed(plain),
        framed(p[2]),
        framed(ipv4(plain, 4, GA, GB)),
        framed(ipv4(udp(bytes(64), 1, 2), 17, GA, GB, flags=0x2000)),
        framed(p[3]),
    ]
    return _file(frames)


FILES = {
    "damaged/malformed-esp.pcap": malformed_esp,
    "damaged/malformed-cbc.pcap": malformed_cbc,
    "damaged/malformed-ah.pcap": malformed_ah,
    "damaged/malformed-v6.pcap": malformed_v6,
    "damaged/malformed-udp.pcap": malformed_udp,
    "damaged/port-4500.pcap": port_4500,
    "damaged/mixed.pcap": mixed,
}
